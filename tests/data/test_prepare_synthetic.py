"""Made data: what was planted can be found again, and its labels are right."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recbole_guider.data.__main__ import main
from recbole_guider.data.prepare.synthetic import Plan, make

PLAN = Plan(
    users=400, items=300, interactions=8000, factors=6, seed=3,
    modalities={"text": (0.9, 6), "image": (0.0, 24), "exact": (1.0, 6), "wide": (1.0, 24)},
)  # fmt: skip


def prepare(tmp_path, *options, name="made") -> int:
    return main(["prepare", "synthetic", "--users", "60", "--items", "50", "--interactions", "700",
                 "--factors", "4", "--name", name, f"--data_path={tmp_path / 'data'}",
                 *options])  # fmt: skip


def codes(raw):
    return (np.array([int(name[1:]) for name in names]) for names in (raw.users, raw.items))


def replaced(**changes) -> Plan:
    return Plan(**{**vars(PLAN), **changes})


def hits(scores, user, item, share=0.1) -> float:
    """Share of pairs whose item is among the best tenth of its user's scores."""
    rank = (-scores).argsort(axis=1).argsort(axis=1)
    return float((rank[user, item] < share * scores.shape[1]).mean())


def test_pairs_are_distinct_and_as_many_as_asked_for_and_every_user_has_one():
    raw = make(PLAN)
    assert len(set(zip(raw.users, raw.items))) == len(raw.users) == 8000
    assert len(set(raw.users)) == 400


def test_the_densest_data_that_can_be_asked_for_is_made_too():
    raw = make(Plan(users=40, items=40, interactions=400, factors=2, popularity=3.0, noise=0.3))
    assert len(set(zip(raw.users, raw.items))) == 400
    assert raw.columns["noise"].sum() == 120


def test_planted_tastes_tell_the_interactions_and_noise_labels_the_rest():
    raw = make(replaced(noise=0.2, popularity=0.0))
    user, item = codes(raw)
    noisy = raw.columns["noise"] == 1
    assert noisy.sum() == 1600
    scores = raw.planted["user_tastes"] @ raw.planted["taste_items"]
    assert np.allclose(scores.sum(axis=1), 1)
    assert hits(scores, user[~noisy], item[~noisy]) > 0.25
    assert 0.07 < hits(scores, user[noisy], item[noisy]) < 0.13


def test_factors_of_the_matrix_recover_held_out_interactions():
    raw = make(replaced(popularity=0.0, interactions=12000))
    user, item = codes(raw)
    test = np.random.default_rng(0).random(len(user)) < 0.2
    matrix = np.zeros((400, 300))
    matrix[user[~test], item[~test]] = 1
    normal = matrix / np.sqrt(np.maximum(matrix.sum(1), 1)[:, None] * np.maximum(matrix.sum(0), 1))
    left, values, right = np.linalg.svd(normal)
    scores = (left[:, :6] * values[:6]) @ right[:6]
    scores[matrix > 0] = -np.inf
    assert hits(scores, user[test], item[test]) > 0.25  # chance: 0.1


@pytest.mark.parametrize(("modality", "least", "most"),
                         [("text", 0.2, 1), ("wide", 0.2, 1), ("image", 0.06, 0.14)])  # fmt: skip
def test_neighbours_by_content_recover_as_much_as_the_degree_says(modality, least, most):
    raw = make(replaced(popularity=0.0))
    user, item = codes(raw)
    test = np.random.default_rng(0).random(len(user)) < 0.2
    matrix = np.zeros((400, 300))
    matrix[user[~test], item[~test]] = 1
    content = raw.modalities[modality].values
    unit = content / np.linalg.norm(content, axis=1, keepdims=True)
    scores = matrix @ np.exp(4 * (unit @ unit.T))
    scores[matrix > 0] = -np.inf
    assert least < hits(scores, user[test], item[test]) < most


def test_content_of_degree_one_is_the_planted_factors():
    raw = make(PLAN)
    z = raw.planted["item_factors"]
    assert np.allclose(raw.modalities["exact"].values, z, atol=1e-6)
    wide = raw.modalities["wide"].values.astype(float)
    assert np.allclose(wide @ wide.T, z @ z.T, atol=1e-4)  # a rotation


def test_swapped_items_carry_the_row_of_another_and_are_told():
    clean, noisy = make(PLAN), make(replaced(content_noise=0.25))
    for modality in PLAN.modalities:
        taken = noisy.planted[f"row_of_{modality}"]
        assert (taken != np.arange(300)).sum() == 75
        values = clean.modalities[modality].values
        assert np.array_equal(noisy.modalities[modality].values, values[taken])
    assert not np.array_equal(noisy.planted["row_of_text"], noisy.planted["row_of_image"])


def test_popularity_follows_the_power_law():
    raw = make(Plan(users=2000, items=200, interactions=40000, popularity=1.0, seed=1))
    flat = make(Plan(users=2000, items=200, interactions=40000, popularity=0.0, seed=1))
    top = [np.sort(np.unique(one.items, return_counts=True)[1])[-20:].sum() for one in (raw, flat)]
    assert top[0] > 1.8 * top[1]


def test_one_plan_one_data_set_and_parts_do_not_move_each_other(tmp_path):
    for name, options in (("a", ()), ("b", ()), ("c", ("--seed", "7")),
                          ("d", ("--modality", "text=0.7"))):  # fmt: skip
        assert prepare(tmp_path, *options, name=name) == 0
    bytes_of = {
        name: {path.name.replace(f"{name}.", "", 1): path.read_bytes()
               for path in (tmp_path / "data" / name).iterdir()
               if path.suffix in (".inter", ".npz", ".itemtext")}
        for name in "abcd"
    }  # fmt: skip
    assert len(bytes_of["a"]) == 3
    assert bytes_of["a"] == bytes_of["b"]
    assert bytes_of["a"]["inter"] != bytes_of["c"]["inter"]
    assert bytes_of["a"]["inter"] == bytes_of["d"]["inter"]
    assert bytes_of["a"]["itemtext"] == bytes_of["d"]["itemtext"]


def test_noise_is_in_training_only_and_the_loader_does_not_read_its_label(tmp_path):
    from recbole_guider.config import Config
    from recbole_guider.data.dataset import MultimodalDataset

    assert prepare(tmp_path, "--noise", "0.2") == 0
    header, *rows = (tmp_path / "data" / "made" / "made.inter").read_text().splitlines()
    assert header.split("\t")[2:] == ["noise:float", "x_label:float"]
    labels = [row.split("\t")[2:] for row in rows]
    assert [noise for noise, _ in labels].count("1") == 140
    assert {label for noise, label in labels if noise == "1"} == {"0"}
    own = {"data_path": str(tmp_path / "data")}
    train, valid, test = MultimodalDataset(Config("LightGCN", "made", None, own, {})).build()
    assert "noise" not in train.inter_feat
    assert sum(len(part.splits.phase(part.phase)) for part in (train, valid, test)) == 700
    planted = np.load(tmp_path / "data" / "made" / "planted.npz")
    assert planted["item_factors"].shape == (50, 4)
    assert (
        "made with users=60"
        in json.loads((tmp_path / "data" / "made" / "made.manifest.json").read_text())["notes"][0]
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--noise", "1.5"), "--noise: found 1.5; expected a share"),
        (("--interactions", "900"), "at most a quarter of all pairs, 750"),
        (("--modality", "text=2"), "'text=2' is not NAME=DEGREE[:WIDTH]"),
        (("--modality", "text=0.5:3"), "a width of 4"),
    ],
)
def test_a_plan_that_cannot_be_made_is_one_line(tmp_path, capsys, options, told):
    assert prepare(tmp_path, *options) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
