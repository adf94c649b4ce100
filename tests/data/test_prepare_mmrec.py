"""Folders of the MMRec toolbox become data sets, exactly, and what is wrong with them is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recbole_guider.data.__main__ import main
from recbole_guider.data.files.feature_table import load_table

INTER = "userID\titemID\tx_label\n0\t0\t0\n0\t2\t1\n1\t1\t0\n1\t2\t2\n2\t0\t0\n"


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "toy.inter").write_text(INTER)
    values = np.random.default_rng(0).normal(size=(3, 5)) * 10.0 ** np.arange(-30, 20, 10)
    np.save(folder / "image_feat.npy", values.astype(np.float32))
    np.save(folder / "text_feat.npy", np.arange(6, dtype=np.float16).reshape(3, 2))
    return folder


def prepare(raw, tmp_path, *options) -> int:
    place = f"--data_path={tmp_path / 'data'}"
    return main(["prepare", "mmrec", "--from", str(raw), "--name", "toy", place, *options])


def test_interactions_keep_their_order_and_every_float32_its_bits(raw, tmp_path):
    assert prepare(raw, tmp_path) == 0
    folder = tmp_path / "data" / "toy"
    text = (folder / "toy.inter").read_text()
    assert text == INTER.replace("userID\titemID\tx_label",
                                 "user_id:token\titem_id:token\tx_label:float")  # fmt: skip
    for modality in ("image", "text"):
        path = folder / f"toy.item{modality}"
        given = np.load(raw / f"{modality}_feat.npy").astype(np.float32)
        kept = load_table(path)
        for side_car in folder.glob(f"{path.name}.*"):
            side_car.unlink()
        read = load_table(path)  # from the text
        for table in (kept, read):
            assert table.tokens == ["0", "1", "2"]
            assert np.array_equal(np.asarray(table.values), given)
    manifest = json.loads((folder / "toy.manifest.json").read_text())
    assert (manifest["users"], manifest["items"]) == (3, 3)
    assert manifest["interactions"] == {"total": 5, "train": 3, "valid": 1, "test": 1}
    assert set(manifest["source files"]) == {"toy.inter", "image_feat.npy", "text_feat.npy"}


def test_rows_may_name_their_items_and_items_may_lack_a_row(raw, tmp_path):
    np.save(raw / "image_feat.npy", np.eye(2, dtype=np.float32))
    (raw / "image_items.csv").write_text("item\n2\n0\n")
    assert prepare(raw, tmp_path) == 0
    table = load_table(tmp_path / "data" / "toy" / "toy.itemimage")
    assert table.tokens == ["2", "0"]
    manifest = json.loads((tmp_path / "data" / "toy" / "toy.manifest.json").read_text())
    assert manifest["modalities"]["image"]["items without a row"] == 1


def test_id_maps_give_back_the_original_names(raw, tmp_path):
    (raw / "u_id_mapping.csv").write_text("user_id\tuserID\nann\t0\nbob\t1\ncy\t2\n")
    (raw / "i_id_mapping.csv").write_text("asin\titemID\nA1\t0\nB2\t1\nC3\t2\n")
    assert prepare(raw, tmp_path, "--original-ids") == 0
    folder = tmp_path / "data" / "toy"
    assert (folder / "toy.inter").read_text().splitlines()[2] == "ann\tC3\t1"
    assert load_table(folder / "toy.itemtext").tokens == ["A1", "B2", "C3"]


def test_what_exists_is_never_overwritten(raw, tmp_path, capsys):
    assert prepare(raw, tmp_path) == 0
    before = {path: path.read_bytes() for path in Path(tmp_path / "data").rglob("*.*")}
    assert prepare(raw, tmp_path) == 2
    assert "exists already" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in Path(tmp_path / "data").rglob("*.*")}
