from __future__ import annotations

import logging
import shutil
import sys

import numpy as np
import pytest
import torch

from recbole_guider.data.dataset import MultimodalDataset
from recbole_guider.data.fingerprint import fingerprint
from recbole_guider.data.prepare import ensure_prepared
from recbole_guider.errors import InputError

HEADER = "user_id:token\titem_id:token\trating:float\tx_label:float\n"
# user, item, rating, label; the order of ids in the file is not the order of their tokens
ROWS = [
    ("u2", "i3", 5, 0), ("u1", "i1", 4, 0), ("u1", "i2", 2, 1), ("u2", "i1", 1, 2),
    ("u1", "i3", 3, 2), ("u2", "i4", 4, 1), ("u3", "i4", 2, 0), ("u3", "i1", 1, 2),
]  # fmt: skip


def inter(rows=ROWS, header=HEADER):
    return header + "".join("\t".join(map(str, row)) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "toy.inter").write_text(inter())
    return folder


@pytest.fixture
def load(monkeypatch, tmp_path):
    from recbole.config import Config

    def load(name="toy", **options):
        monkeypatch.setattr(sys, "argv", ["pytest"])
        settings = {
            "data_path": str(tmp_path),
            "checkpoint_dir": str(tmp_path / "saved"),
            "use_gpu": False,
            "split_label_field": "x_label",
            "eval_args": {
                "split": {"RS": [0.8, 0.1, 0.1]},
                "group_by": "user",
                "order": "RO",
                "mode": "full",
            },
        }
        config = Config(model="NGCF", dataset=name, config_dict={**settings, **options})
        config["data_path"] = str(tmp_path / name)
        return MultimodalDataset(config)

    return load


def tokens(dataset, interactions):
    users = dataset.id2token(dataset.uid_field, interactions.users)
    items = dataset.id2token(dataset.iid_field, interactions.items)
    return [(str(user), str(item)) for user, item in zip(users, items)]


def rated(dataset, interactions):
    return [
        (*pair, int(rating))
        for pair, rating in zip(tokens(dataset, interactions), interactions.ratings)
    ]


# Splits


def test_a_label_column_fixes_the_split_in_file_order(folder, load):
    dataset = load()
    parts = dataset.build()
    for label, part in enumerate(parts):
        expected = [row[:3] for row in ROWS if row[3] == label]
        assert rated(dataset, dataset.splits.phase(part.phase)) == expected
        assert len(part) == len(expected)
    assert [part.phase for part in parts] == ["train", "valid", "test"]
    assert all(part.splits is dataset.splits for part in parts)
    assert (dataset.splits.n_users, dataset.splits.n_items) == (4, 5)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_label_column_is_not_shuffled_by_any_seed(folder, load, seed):
    torch.manual_seed(seed)
    dataset = load()
    dataset.build()
    assert tokens(dataset, dataset.splits.train) == [("u2", "i3"), ("u1", "i1"), ("u3", "i4")]


def test_label_and_private_columns_are_not_in_the_batches(folder, load):
    for part in load(load_col=None).build():
        assert set(part.inter_feat.columns) == {"user_id", "item_id", "rating"}


def test_labels_may_be_tokens(folder, load):
    text = inter(header=HEADER.replace("x_label:float", "x_label:token"))
    (folder / "toy.inter").write_text(text)
    dataset = load()
    dataset.build()
    assert len(dataset.splits.train) == 3


@pytest.mark.parametrize(
    "columns",
    [{"load_col": {"inter": ["user_id", "item_id"]}}, {"load_col": {"inter": []}},
     {"load_col": {}}, {"load_col": None, "unload_col": {"inter": ["x_label", "rating"]}}],
)  # fmt: skip
def test_label_and_rating_load_whatever_the_columns_setting(folder, load, columns):
    dataset = load(**columns)
    dataset.build()
    assert len(dataset.splits.valid) == 2
    assert dataset.splits.valid.ratings.tolist() == [2, 4]


def test_benchmark_files_keep_their_rows(tmp_path, load):
    folder = tmp_path / "toy"
    folder.mkdir()
    for label, part in enumerate(("train", "valid", "test")):
        (folder / f"toy.{part}.inter").write_text(inter([r for r in ROWS if r[3] == label]))
    dataset = load(benchmark_filename=["train", "valid", "test"])
    dataset.build()
    for label, phase in enumerate(("train", "valid", "test")):
        expected = [row[:3] for row in ROWS if row[3] == label]
        assert rated(dataset, dataset.splits.phase(phase)) == expected


def ratio_rows():
    return [(f"u{u}", f"i{(3 * u + k) % 11}", u, 0) for u in range(5) for k in range(10)]


def test_ratio_splits_are_recboles_and_keep_ratings_with_their_rows(folder, load):
    (folder / "toy.inter").write_text(inter(ratio_rows()))
    dataset = load(split_label_field=None, normalize_all=True)
    dataset.build()
    assert [len(dataset.splits.phase(p)) for p in ("train", "valid", "test")] == [40, 5, 5]
    for phase in ("train", "valid", "test"):
        for user, _, rating in rated(dataset, dataset.splits.phase(phase)):
            assert user == f"u{rating}"  # as given, although RecBole normalised its own column


def test_ratings_survive_a_threshold_that_deletes_the_column(folder, load):
    dataset = load(threshold={"rating": 3})
    parts = dataset.build()
    assert "rating" not in parts[0].inter_feat
    assert dataset.splits.train.ratings.tolist() == [5, 4, 2]


def test_without_a_rating_column_there_are_no_ratings(folder, load):
    rows = [(user, item, label) for user, item, _, label in ROWS]
    (folder / "toy.inter").write_text(inter(rows, HEADER.replace("rating:float\t", "")))
    dataset = load()
    dataset.build()
    assert dataset.splits.train.ratings is None


def test_cold_users_are_dropped_from_validation_and_test_with_one_warning(folder, load, caplog):
    (folder / "toy.inter").write_text(
        inter([*ROWS, ("cold", "i1", 1, 1), ("cold", "i2", 1, 2), ("cold2", "i2", 1, 2)])
    )
    dataset = load()
    with caplog.at_level(logging.WARNING):
        parts = dataset.build()
    assert len(dataset.splits.valid) == len(parts[1]) == 2
    assert len(dataset.splits.test) == len(parts[2]) == 3
    warnings = [record for record in caplog.records if "dropped" in record.message]
    assert [w.message for w in warnings] == [
        "toy: dropped 3 validation and test interactions of users without a training interaction"
    ]


def test_a_pair_that_occurs_twice_in_a_phase_counts_once(folder, load, caplog):
    (folder / "toy.inter").write_text(inter([*ROWS, ROWS[0], ROWS[0], ROWS[2], ROWS[3]]))
    dataset = load()
    with caplog.at_level(logging.WARNING):
        dataset.build()
    assert [len(dataset.splits.phase(p)) for p in ("train", "valid", "test")] == [3, 2, 3]
    assert "dropped 4 repeated interactions" in caplog.text


@pytest.mark.parametrize(("label", "phase"), [(0, "train"), (1, "valid"), (2, "test")])
def test_an_empty_phase_is_an_error(folder, load, label, phase):
    rows = [row for row in ROWS if row[3] != label]
    (folder / "toy.inter").write_text(inter(rows))
    with pytest.raises(InputError, match=f"no interaction is left for {phase if label else '.*'}"):
        load().build()


# Modalities


def add_modality(folder, name, rows):
    header = f"item_id:token\t{name}:float_seq\n"
    (folder / f"toy.item{name}").write_text(header + "".join(f"{i}\t{v}\n" for i, v in rows))


def test_modalities_are_aligned_by_token(folder, load):
    add_modality(folder, "text", [("i4", "4 0"), ("i2", "2 0"), ("i3", "3 0"), ("i1", "1 0")])
    add_modality(folder, "image", [("i1", "1"), ("i2", "2"), ("i3", "3"), ("i4", "4")])
    dataset = load()
    assert dataset.modalities == ["image", "text"]
    for name, features in dataset.item_features().items():
        assert features.dtype == torch.float32
        assert not features[0].any()
        for item in ("i1", "i2", "i3", "i4"):
            row = features[dataset.token2id("item_id", item)]
            assert row[0] == int(item[1])
        assert np.array_equal(dataset.get_preload_weight(name), features.numpy())
        assert dataset.items_with(name).tolist() == [False, True, True, True, True]
    part = dataset.build()[0]
    assert torch.equal(part.item_features()["text"], dataset.item_features()["text"])


def test_the_loaded_modalities_do_not_change_the_ids(folder, load):
    without = load(modalities=[])
    add_modality(folder, "text", [("i9", "9"), ("i2", "2"), ("i3", "3"), ("i1", "1")])
    dataset = load(unknown_item="ignore", missing_modality="mean")
    assert dataset.item_num == without.item_num == 5
    assert list(dataset.field2id_token["item_id"]) == list(without.field2id_token["item_id"])
    assert dataset.item_features()["text"][dataset.token2id("item_id", "i4")].item() == 2
    assert without.modalities == []
    assert without.item_features() == {}


def test_wrong_modalities_stop_the_loading(folder, load):
    add_modality(folder, "text", [("i9", "9"), ("i1", "1")])
    with pytest.raises(InputError, match=r"toy\.itemtext:2: unknown item 'i9'"):
        load()
    with pytest.raises(InputError, match="3 of 4 items have no row"):
        load(unknown_item="ignore", missing_modality="error")
    with pytest.raises(InputError, match=r"unknown modality 'tekst'.*Did you mean 'text'"):
        load(modalities=["tekst"])


def test_data_hash_is_the_folders_fingerprint(folder, load):
    before = load().data_hash
    assert before == fingerprint(folder, "toy")
    add_modality(folder, "text", [(f"i{k}", "1") for k in (1, 2, 3, 4)])
    assert load().data_hash != before


# Errors


def test_a_missing_folder_says_where_and_what_is_installed(folder, load, tmp_path):
    with pytest.raises(InputError, match=r"unknown data set 'tpy'.*Installed there: toy") as error:
        load("tpy")
    assert error.value.where == str(tmp_path / "tpy")
    with pytest.raises(InputError, match="'baby' is not installed"):
        load("baby")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "is empty"),
        (HEADER, None, "holds no interaction"),
        ("user_id\titem_id\n1\t2\n", 1, "'user_id' is not of the form name:type"),
        ("user_id:token\titem_id:text\n1\t2\n", 1, "Types are token, float"),
        ("user:token\titem_id:token\n1\t2\n", None, "no column 'user_id'; its columns are user,"),
        ("user_id:token\titem:token\n1\t2\n", None, "no column 'item_id'"),
        (inter([*ROWS, ("u1", "i1", 4, 3)]), 10, "'3' in column 'x_label'; expected 0"),
        (inter([*ROWS, ("u1", "i1", 4, "")]), 10, "in column 'x_label'; expected 0"),
        (
            inter([*ROWS, ("u1", "i1", "five", 0)]),
            10,
            "'five' in column 'rating'; expected a fini",
        ),
        (inter([*ROWS, ("u1", "i1", 4, 0, 9)]), 10, "has 5 columns; expected 4"),
        (inter([*ROWS, ("u1", "i1", 4)]), 10, "has 3 columns; expected 4"),
        (inter([*ROWS, ("", "i1", 4, 0)]), 10, "no value in column 'user_id'"),
        (inter([*ROWS, ("u1", "", 4, 0)]), 10, "no value in column 'item_id'"),
    ],
)
def test_a_wrong_interaction_file_is_named_with_line_and_mend(folder, load, text, line, message):
    path = folder / "toy.inter"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        load()
    assert error.value.where == (f"{path}:{line}" if line else str(path))
    assert error.value.mend


def test_a_missing_benchmark_file_lists_the_files_there(folder, load):
    with pytest.raises(InputError, match=r"toy\.train\.inter: the file is missing.*toy\.inter"):
        load(benchmark_filename=["train", "valid", "test"])


def test_a_split_in_two_parts_is_refused(folder, load):
    for part in ("train", "test"):
        shutil.copy(folder / "toy.inter", folder / f"toy.{part}.inter")
    with pytest.raises(InputError, match="2 parts; expected train, valid, test"):
        load(benchmark_filename=["train", "test"]).build()


# Through RecBole


def test_recboles_own_loaders_take_it(folder, load):
    from recbole.data import data_preparation

    dataset = load()
    train, valid, test = data_preparation(dataset.config, dataset)
    batch = next(iter(train))
    assert {"user_id", "item_id", "neg_item_id"} <= set(batch.columns)
    assert [loader._dataset.phase for loader in (train, valid, test)] == ["train", "valid", "test"]
    assert train._dataset.splits is test._dataset.splits
    copied = train._dataset.copy(train._dataset.inter_feat)
    assert copied.splits is dataset.splits
    assert copied.phase == "train"


def test_ml_100k_with_its_own_properties(tmp_path, load):
    from recbole_guider.property_layers import load_properties, property_file

    ensure_prepared("ml-100k", tmp_path)
    dataset = load("ml-100k", **load_properties(property_file("dataset", "ml-100k")))
    dataset.build()
    splits = dataset.splits
    assert (splits.n_users, splits.n_items) == (944, 1683)
    assert sum(len(splits.phase(p)) for p in ("train", "valid", "test")) == 100_000
    assert sorted(splits.train.ratings.unique().tolist()) == [1, 2, 3, 4, 5]
    shapes = {name: tuple(values.shape) for name, values in dataset.item_features().items()}
    assert shapes == {"text": (1683, 64), "attribute": (1683, 26)}
    assert dataset.items_with("text")[1:].all()
