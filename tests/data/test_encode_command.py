"""``python -m recbole_guider.data encode``: what it writes, what it refuses."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from recbole_guider.config import Config
from recbole_guider.data.__main__ import main
from recbole_guider.data.commands import encode as command
from recbole_guider.data.dataset import MultimodalDataset
from recbole_guider.data.encoders.text import tfidf_svd
from recbole_guider.data.fingerprint import file_hash
from recbole_guider.data.prepare import ensure_prepared
from recbole_guider.quick_start import register


@pytest.fixture
def place(tiny_data_path, tmp_path):
    """A copy of the tiny data set, a table of titles and a folder of empty image files."""
    shutil.copytree(tiny_data_path / "tiny", tmp_path / "tiny", ignore=shutil.ignore_patterns(".*"))
    for path in (tmp_path / "tiny").glob("*.npy"):
        path.unlink()
    items = items_of(tmp_path)
    lines = [f'{item},"A title, number {item[1:]} of many"' for item in items]
    lines[3] = f"{items[3]}, "
    titles = ["item_id,title", *lines, "stranger,Nobody asked"]
    (tmp_path / "titles.csv").write_text("\n".join(titles) + "\n")
    (tmp_path / "images").mkdir()
    for item in [*items[2:], "stranger"]:
        (tmp_path / "images" / f"{item}.jpg").write_text(item)
    return tmp_path


def items_of(folder):
    rows = (folder / "tiny" / "tiny.inter").read_text().splitlines()[1:]
    return list(dict.fromkeys(row.split("\t")[1] for row in rows))


def encode(place, *given):
    return main(["encode", "tiny", *map(str, given), f"--data_path={place}"])


def files(place):
    return {path.name: path.read_bytes() for path in (place / "tiny").iterdir() if path.is_file()}


def text(place, *given):
    return encode(place, "text", "--from", place / "titles.csv", "--modality", "title", *given)


def test_text_becomes_a_modality_with_its_entry(place, capsys):
    (place / "tiny" / ".encoding").mkdir()  # an earlier run's blocks
    assert text(place, "--width", 5) == 0
    items = items_of(place)
    assert capsys.readouterr().out == (
        f"tiny: title: {len(items) - 1:,} rows of 5 values; 1 items have none\n"
    )
    register()
    config = Config("VBPR", "tiny", None, {"data_path": str(place)}, {})
    dataset = MultimodalDataset(config)
    lacking = dataset.token2id("item_id", items[3])
    assert (~dataset.items_with("title")[1:]).nonzero().flatten().tolist() == [lacking - 1]
    named = [item for item in items if item != items[3]]
    expected = tfidf_svd([f"A title, number {item[1:]} of many" for item in named], 5, 2022)
    found = dataset.item_features()["title"][dataset.token2id("item_id", named)].numpy()
    assert np.array_equal(found, expected.astype(np.float32))
    manifest = json.loads((place / "tiny" / "tiny.manifest.json").read_text())
    assert manifest["modalities"]["title"]["rows"] == len(named)
    assert "TF-IDF" in manifest["modalities"]["title"]["extractor"]
    assert manifest["files"]["tiny.itemtitle"] == file_hash(place / "tiny" / "tiny.itemtitle")
    assert not [path for path in (place / "tiny").iterdir() if path.is_dir()], "nothing is left"


def test_a_modality_is_replaced_on_request_only(place, capsys):
    assert text(place, "--width", 5) == 0
    before = files(place)
    assert text(place, "--width", 6) == 2
    assert "tiny.itemtitle: exists already. Add --replace" in capsys.readouterr().err
    assert files(place) == before
    assert text(place, "--width", 6, "--replace") == 0
    side_cars = [name for name in files(place) if name.startswith("tiny.itemtitle.")]
    assert len(side_cars) == 2, "those of the old file are gone"
    manifest = json.loads(files(place)["tiny.manifest.json"])
    assert manifest["modalities"]["title"]["width"] == 6


def test_what_the_manifest_said_stays(place):
    path = place / "tiny" / "tiny.manifest.json"
    path.write_text(json.dumps({"name": "tiny", "modalities": {"text": {"rows": 1}}, "x": 3}))
    assert text(place, "--width", 5) == 0
    manifest = json.loads(path.read_text())
    assert manifest["x"] == 3
    assert set(manifest["modalities"]) == {"text", "title"}


def test_interactions_that_cannot_be_read_are_told(place, capsys):
    path = place / "tiny" / "tiny.inter"
    path.write_text(path.read_text().replace("item_id", "itemid", 1))
    assert text(place, "--width", 5) == 2
    assert "tiny.inter: has no column 'item_id'" in capsys.readouterr().err


def test_what_another_modality_has_done_so_far_stays(place):
    other = place / "tiny" / ".encoding" / "image"
    other.mkdir(parents=True)
    (other / "block.npy").write_text("of hours")
    assert text(place, "--width", 5) == 0
    assert (other / "block.npy").exists()
    assert [path.name for path in other.parent.iterdir()] == ["image"]


def test_the_manifest_of_the_embedded_data_set_stays_true(tmp_path, capsys):
    ensure_prepared("ml-100k", tmp_path)
    folder = tmp_path / "ml-100k"
    (tmp_path / "t.csv").write_text("item,title\n1,Toys and more toys\n2,Eyes of gold\n3,Rooms\n")
    given = ["encode", "ml-100k", "text", "--from", str(tmp_path / "t.csv"), "--width", "2"]
    data = f"--data_path={tmp_path}"
    assert main([*given, "--replace", data]) == 0
    manifest = json.loads((folder / "ml-100k.manifest.json").read_text())
    assert "text" not in manifest
    assert "attribute" in manifest
    assert "ml-100k.itemtext" not in manifest["sha256"]
    assert manifest["modalities"]["text"]["rows"] == 3
    assert main(["validate", "ml-100k", data]) == 0
    (folder / "ml-100k.itemattribute").open("a").write("\n")
    capsys.readouterr()
    assert main(["validate", "ml-100k", data]) == 2
    assert "itemattribute: has changed since it was prepared" in capsys.readouterr().err


@pytest.fixture
def stand_in(monkeypatch, place):
    """A model that gives a file's length, and cannot read the files named in ``lost``."""
    lost = set()
    (place / "weights").write_text("w")

    def vectors(files, model, keep):
        rows = np.array([[len(file.read_text()), 1.0] for file in files], dtype=np.float32)
        unreadable = [file for file in files if file.stem in lost]
        rows[[file.stem in lost for file in files]] = np.nan
        return rows, unreadable

    monkeypatch.setattr(
        command,
        "find_model",
        lambda name, _: SimpleNamespace(architecture=name, weights=place / "weights"),
    )
    monkeypatch.setattr(command, "image_vectors", vectors)
    return lost


def image(place, *given):
    source = ["image", "--from", place / "images", "--modality", "cover", "--encoder", "net"]
    return encode(place, *source, *given)


def test_images_become_a_modality(place, stand_in, capsys):
    assert image(place) == 0
    assert "rows of 2 values; 2 items have none" in capsys.readouterr().out
    rows = (place / "tiny" / "tiny.itemcover").read_text().splitlines()[1:]
    assert sorted(row.split("\t")[0] for row in rows) == sorted(items_of(place)[2:])
    assert all(row.split("\t")[1] == f"{len(row.split()[0])} 1" for row in rows)


def test_unreadable_images_are_refused_or_have_no_row(place, stand_in, capsys):
    lost = items_of(place)[2:9]
    stand_in.update(lost)
    before = files(place)
    assert image(place) == 2
    error = capsys.readouterr().err
    assert f"7 images cannot be read: {', '.join(f'{one}.jpg' for one in lost[:5])} and 2 more" in (
        error
    )
    assert error.count("\n") == 1
    assert files(place) == before
    assert image(place, "--unreadable", "skip") == 0
    told = capsys.readouterr()
    assert "their items have no row" in told.err
    assert "9 items have none" in told.out
    stand_in.update(items_of(place))
    assert image(place, "--unreadable", "skip", "--replace") == 2, "none is left"


BAD = [
    (["text", "--from", "none.csv"], "none.csv"),
    (["text", "--from", "titles.csv", "--column", "titel"], "titel"),
    (["text", "--from", "titles.csv", "--width", "9999"], "Choose a width from 1"),
    (["text", "--from", "titles.csv", "--width", "0"], "a count of at least 1, found '0'"),
    (["text", "--from", "titles.csv", "--seed", "-1"], "a whole number from 0 on"),
    (["text", "--from", "names.csv"], "Call it item"),
    (["text", "--from", "titles.csv", "--encoder", "no-one/nothing"], "o"),
    (["text", "--from", "titles.csv", "--weights", "w"], "--weights: is not for text"),
    (["text", "--from", "titles.csv", "--modality", "a b"], "'a b' cannot name a modality"),
    (["text", "--from", "strangers.csv"], "none of its 1 items has interactions"),
    (["image", "--from", "images"], "--encoder: an image encoder is needed"),
    (["image", "--from", "titles.csv", "--encoder", "net"], "is no folder of images"),
    (["image", "--from", "two", "--encoder", "net"], "two images of item 'i1': i1.jpg and i1.png"),
    (["image", "--from", "images", "--column", "x"], "--column: is not for image"),
    (["sound", "--from", "images"], "sound"),
]


@pytest.mark.parametrize(("given", "line"), BAD)
def test_what_cannot_be_used_is_one_line_and_nothing_is_written(place, given, line, capsys):
    (place / "strangers.csv").write_text("item_id,title\nstranger,Nobody\n")
    (place / "names.csv").write_text("name,title\ni1,Nobody\n")
    (place / "two").mkdir()
    for name in ("i1.jpg", "i1.png"):
        (place / "two" / name).write_text("")
    for path in (place / "tiny").glob("tiny.item*"):
        path.unlink()
    before = files(place)
    given = [str(place / one) if (place / one).exists() else one for one in given]
    assert encode(place, *given) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.strip().count("\n") == 0
    assert files(place) == before


def test_a_damaged_manifest_is_told_before_anything_is_encoded(place, capsys):
    (place / "tiny" / "tiny.manifest.json").write_text("[")
    assert text(place, "--width", 5) == 2
    assert "cannot be read as a manifest" in capsys.readouterr().err
    assert not (place / "tiny" / "tiny.itemtitle").exists()
