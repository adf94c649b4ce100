"""Amazon's three releases, in their raw formats, become one kind of data set."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from recbole_guider.data.__main__ import main
from recbole_guider.data.files.feature_table import load_table

USERS, ITEMS = [f"A{u}" for u in range(5)], [f"B00000000{k}" for k in range(6)]
IMAGES = np.random.default_rng(1).normal(size=(7, 4096)).astype("<f4")


def review(release, user, item, rating=5.0, time=1400000000):
    if release == 2023:
        return {"rating": rating, "title": "ok", "text": "t", "images": [], "asin": "variant",
                "parent_asin": item, "user_id": user, "timestamp": time * 1000}  # fmt: skip
    return {"reviewerID": user, "asin": item, "overall": rating, "unixReviewTime": time,
            "reviewText": "It's \"good\""}  # fmt: skip


def metadata(release, item):
    said = {"title": f"Cup &amp; {item}", "description": "For <b>tea</b>\nand more"}
    if release == 2014:
        return repr({"asin": item, **said, "brand": "Acme's", "categories": [["Baby", "Cups"]]})
    if release == 2018:
        said = {**said, "description": [said["description"]], "category": ["Baby", "Cups"]}
        return json.dumps({"asin": item, "brand": "Acme's", **said})
    said = {**said, "description": [said["description"]], "categories": ["Baby", "Cups"]}
    return json.dumps({"parent_asin": item, "store": "Acme's", **said})


def lines(path, content):
    text = "".join(line + "\n" for line in content)
    if path.suffix == ".gz":
        with gzip.open(path, "wt") as stream:
            stream.write(text)
    else:
        path.write_text(text)


def images(path, names=(*ITEMS, "BELSEWHERE")):
    data = b"".join(name.encode() + row.tobytes() for name, row in zip(names, IMAGES))
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def raw(tmp_path, release, packed=""):
    """All users have all items but the last, which two users have."""
    folder = tmp_path / "raw"
    folder.mkdir()
    pairs = [(u, i) for u in USERS for i in ITEMS[:5]] + [(u, ITEMS[5]) for u in USERS[:2]]
    names = {
        2014: ("reviews_Baby_5.json", "meta_Baby.json"),
        2018: ("Baby_5.json", "meta_Baby.json"),
        2023: ("Baby.jsonl", "meta_Baby.jsonl"),
    }[release]
    lines(folder / (names[0] + packed), [json.dumps(review(release, *pair)) for pair in pairs])
    lines(folder / (names[1] + packed), [metadata(release, item) for item in [*ITEMS, "BX"]])
    images(folder / f"image_features_Baby.b{packed}")
    return folder


def prepare(tmp_path, *options) -> int:
    return main(["prepare", "amazon", "--name", "baby", f"--data_path={tmp_path / 'data'}",
                 "--text-width", "2", *map(str, options)])  # fmt: skip


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("release", [2014, 2018, 2023])
def test_the_three_releases_give_the_same(tmp_path, release, packed):
    assert prepare(tmp_path, "--from", raw(tmp_path, release, packed)) == 0
    folder = tmp_path / "data" / "baby"
    header, *rows = (folder / "baby.inter").read_text().splitlines()
    assert header == "user_id:token\titem_id:token\trating:float\ttimestamp:float\tx_label:float"
    assert [row.split("\t")[:2] for row in rows] == [[u, i] for u in USERS for i in ITEMS[:5]]
    time = "1400000000000" if release == 2023 else "1400000000"
    assert {tuple(row.split("\t")[2:4]) for row in rows} == {("5", time)}
    image = load_table(folder / "baby.itemimage")
    assert image.tokens == ITEMS[:5]
    assert np.array_equal(image.values, IMAGES[:5])
    assert load_table(folder / "baby.itemtext").tokens == ITEMS[:5]
    manifest = json.loads((folder / "baby.manifest.json").read_text())
    assert manifest["core"] == 5
    assert "5-core: 25 of 27 interactions" in manifest["notes"]


@pytest.mark.parametrize("release", [2014, 2018, 2023])
def test_text_is_title_brand_categories_and_description(tmp_path, release):
    from recbole_guider.data.prepare.amazon_text import read_texts

    folder = raw(tmp_path, release)
    texts, notes = read_texts(next(folder.glob("meta*")), {ITEMS[0], "BNONE"})
    assert texts == {ITEMS[0]: f"Cup & {ITEMS[0]} Acme's Baby Cups For tea and more"}
    assert notes == ["1 of 2 items have no metadata"]


def test_files_can_be_named_and_content_be_absent(tmp_path):
    folder = raw(tmp_path, 2018)
    assert prepare(tmp_path, "--reviews", folder / "Baby_5.json", "--core", "0") == 0
    manifest = json.loads((tmp_path / "data" / "baby" / "baby.manifest.json").read_text())
    assert manifest["interactions"]["total"] == 27
    assert manifest["modalities"] == {}


def test_metadata_are_never_evaluated(tmp_path, capsys):
    folder = raw(tmp_path, 2014)
    mark = tmp_path / "mark"
    lines(folder / "meta_Baby.json",
          ["{'asin': '" + ITEMS[0] + f"', 'title': open({str(mark)!r}, 'w')" + "}"])  # fmt: skip
    assert prepare(tmp_path, "--from", folder) == 2
    assert "meta_Baby.json:1" in capsys.readouterr().err
    assert not mark.exists()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f: lines(f / "Baby_5.json", ['{"asin": "B1"']), ["Baby_5.json:1", "no record"]),
        (lambda f: lines(f / "Baby_5.json", ['{"asin": "B1"}']), ["Baby_5.json:1", "reviewerID"]),
        (lambda f: lines(f / "Baby_5.json", [json.dumps(review(2018, "u", "i", "5"))]),
         ["Baby_5.json:1", "overall is '5'", "finite number"]),
        (lambda f: images(f / "image_features_Baby.b", (*ITEMS, "B7")), ["16,394", "record 6"]),
        (lambda f: lines(f / "Sports_5.json", ["{}"]), ["several files of reviews", "--reviews"]),
        (lambda f: (f / "Baby_5.json").unlink(), ["no file of reviews", "--from"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_nothing_is_written(tmp_path, capsys, spoil, told):
    folder = raw(tmp_path, 2018)
    spoil(folder)
    assert prepare(tmp_path, "--from", folder) == 2
    line = capsys.readouterr().err
    assert len(line.splitlines()) == 1
    assert all(word in line for word in told), line
    assert not (tmp_path / "data").exists()


def test_a_cut_off_gzip_is_told(tmp_path, capsys):
    folder = raw(tmp_path, 2018, ".gz")
    for name in ("Baby_5.json.gz", "image_features_Baby.b.gz"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-12])
        assert prepare(tmp_path, "--from", folder) == 2
        assert name in capsys.readouterr().err
        (folder / name).write_bytes(whole)
