"""The catalogue of malformed raw files: every source refuses them in one line."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from bad_input import Case, check, refused
from toy_sets import RAW_INTER, array, as_folder, content, cut, gone, replace, write_raw


def wide(*rows: object) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


ARCHIVE = np.arange(12, dtype=np.float32).reshape(3, 4)

RAW = [
    Case("empty interactions", content("toy.inter", ""), "toy.inter", ("is empty", "header")),
    Case("a header alone", content("toy.inter", "userID\titemID\tx_label\n"), "toy.inter",
         ("holds no row", "one row at least")),
    Case("no interaction file", gone("toy.inter"), "raw", ("expected one", "*.inter")),
    Case("two interaction files", content("other.inter", RAW_INTER), "raw",
         ("expected one", "other.inter", "toy.inter")),
    Case("a column misspelt", replace("toy.inter", "itemID", "itemId"), "toy.inter:1",
         ("no column 'itemID'", "userID, itemId", "Did you mean 'itemId'")),
    Case("no label column", content("toy.inter", "userID\titemID\n0\t0\n1\t1\n2\t2\n"),
         "toy.inter:1", ("no column 'x_label'", "userID, itemID")),
    Case("a column twice", content("toy.inter", "userID\titemID\tx_label\tx_label\n0\t0\t0\t0\n"),
         "toy.inter:1", ("two columns 'x_label'", "Rename or remove")),
    Case("a row cut short", replace("toy.inter", "1\t2\t2", "1\t2"), "toy.inter:5",
         ("2 columns", "expected 3", "Complete or remove")),
    Case("a row too long", replace("toy.inter", "1\t2\t2", "1\t2\t2\t2"), "toy.inter:5",
         ("4 columns", "expected 3")),
    Case("blanks between columns", replace("toy.inter", "0\t2\t1", "0 2 1"), "toy.inter:3",
         ("1 column", "expected 3")),
    Case("a blank line", replace("toy.inter", "0\t2\t1\n", "\n"), "toy.inter:3", ("expected 3",)),
    Case("a label of 3", replace("toy.inter", "1\t2\t2", "1\t2\t3"), "toy.inter:5",
         ("'3' in", "column", "expected 0 (training)", "Correct")),
    Case("a negative label", replace("toy.inter", "0\t2\t1", "0\t2\t-1"), "toy.inter:3",
         ("'-1' in", "column", "expected 0 (training)")),
    Case("a word for a label", replace("toy.inter", "1\t2\t2", "1\t2\ttest"), "toy.inter:5",
         ("'test' in column 'x_label'", "expected a finite number")),
    Case("a label that is no number", replace("toy.inter", "1\t2\t2", "1\t2\tnan"), "toy.inter:5",
         ("'nan' in column 'x_label'", "expected")),
    Case("no user", replace("toy.inter", "1\t2\t2", "\t2\t2"), "toy.inter:5",
         ("'' in column 'userID'", "expected a name")),
    Case("a blank before an item", replace("toy.inter", "1\t2\t2", "1\t 2\t2"), "toy.inter:5",
         ("' 2' in column 'itemID'", "blank")),
    Case("no validation", replace("toy.inter", "0\t2\t1", "0\t2\t0"), "",
         ("no interaction has x_label 1", "split")),
    Case("no test", replace("toy.inter", "1\t2\t2", "1\t2\t0"), "",
         ("no interaction has x_label 2",)),
    Case("an item that is no number", replace("toy.inter", "1\t1\t0", "1\tB00\t0"), "toy.inter:4",
         ("'B00'", "Number the items from 0")),
    Case("an item below 0", replace("toy.inter", "1\t1\t0", "1\t-1\t0"), "toy.inter:4",
         ("'-1'", "Number the items from 0")),
    Case("Latin-1 text", lambda raw: content("toy.inter", RAW_INTER.replace("1\t1", "é\t1")
         .encode("latin-1"))(raw), "toy.inter:4", ("not UTF-8", "Save it as UTF-8")),
    Case("UTF-16 text", replace("toy.inter", "userID", "userID", "utf-16"), "toy.inter:1",
         ("UTF-8",)),
    Case("too few feature rows", array("image_feat.npy", ARCHIVE[:2]), "image_feat.npy",
         ("2 rows", "items are numbered 0 to 2", "image_items.csv")),
    Case("too many feature rows", array("image_feat.npy", np.ones((5, 2)) * [[1], [2], [3], [4],
         [5]]), "image_feat.npy", ("5 rows", "0 to 2")),
    Case("an item without a row of features", replace("toy.inter", "1\t1\t0", "1\t7\t0"),
         "_feat.npy", ("3 rows", "0 to 7")),
    Case("objects", array("image_feat.npy", np.array([["a", 1]], dtype=object)), "image_feat.npy",
         ("Python objects", "never unpickled", "plain array")),
    Case("text features as text", array("text_feat.npy", np.array([["a"], ["b"], ["c"]])),
         "text_feat.npy", ("expected real numbers",)),
    Case("complex features", array("text_feat.npy", np.ones((3, 2), complex)), "text_feat.npy",
         ("complex128", "expected real numbers")),
    Case("one number for each item", array("text_feat.npy", np.arange(3.0)), "text_feat.npy",
         ("shape (3,)", "[items, width]")),
    Case("a cube", array("text_feat.npy", np.ones((3, 2, 2))), "text_feat.npy",
         ("shape (3, 2, 2)",)),
    Case("no width", array("text_feat.npy", np.ones((3, 0))), "text_feat.npy", ("shape (3, 0)",)),
    Case("truncated features", cut("image_feat.npy", 150), "image_feat.npy",
         ("damaged", "Fetch or save it again")),
    Case("features cut in their header", cut("image_feat.npy", 30), "image_feat.npy",
         ("damaged",)),
    Case("empty features", content("image_feat.npy", ""), "image_feat.npy",
         ("damaged", "Fetch")),
    Case("features that are text", content("image_feat.npy", "1 2 3\n"), "image_feat.npy",
         ("Python objects", )),
    Case("features in a folder", as_folder("image_feat.npy"), "image_feat.npy",
         ("cannot be read",)),
    Case("NaN", array("image_feat.npy", wide([1, 2], [3, np.nan], [5, 6])), "image_feat.npy",
         ("row 1, column 1 is nan", "expected a finite number", "Repair")),
    Case("infinite", array("image_feat.npy", wide([1, 2], [3, 4], [-np.inf, 6])), "image_feat.npy",
         ("row 2, column 0 is -inf",)),
    Case("beyond float32", array("image_feat.npy", np.array([[1.0], [1e300], [2.0]])),
         "image_feat.npy", ("row 1, column 0 is 1e+300",)),
    Case("constant", array("image_feat.npy", np.full((3, 4), 0.5)), "image_feat.npy",
         ("all 3 rows are equal", "Extract the features again")),
    Case("zeros", array("image_feat.npy", np.zeros((3, 4))), "image_feat.npy",
         ("all 3 rows are equal",)),
    Case("a list of items that is too short", content("image_items.csv", "item\n0\n1\n"),
         "image_items.csv", ("names 2 items", "3 rows")),
    Case("a list that names an item twice", content("image_items.csv", "item\n0\n1\n1\n"),
         "image_items.csv:4", ("'1' occurs again", "Keep one")),
    Case("a list without its column", content("image_items.csv", "id\n0\n1\n2\n"),
         "image_items.csv:1", ("no column 'item'",)),
    Case("a list of other items", content("image_items.csv", "item\nx\ny\nz\n"), "image_feat.npy",
         ("none of its 3 rows belongs to an item",)),
    Case("a modality that no file of a data set can be named by", array("my-own_feat.npy",
         ARCHIVE), "my-own_feat.npy", ("'my-own' cannot name a modality", "Rename")),
    Case("no id map", gone("text_feat.npy"), "u_id_mapping.csv", ("cannot be read",),
         ("--original-ids",)),
]  # fmt: skip

MAPS = {
    "u_id_mapping.csv": "user_id\tuserID\nann\t0\nbob\t1\ncy\t2\n",
    "i_id_mapping.csv": "asin\titemID\nA1\t0\nB2\t1\nC3\t2\n",
}
MAPPED = [
    Case("a map with a hole", replace("i_id_mapping.csv", "B2\t1\n", ""), "toy.inter:4",
         ("'1' in column 'itemID' is not in the id map", "Complete the map")),
    Case("a map without an item that has features only", lambda raw: [spoil(raw) for spoil in (
         replace("toy.inter", "1\t1\t0", "1\t0\t0"),
         replace("i_id_mapping.csv", "B2\t1\n", ""))] and None, "image_feat.npy",
         ("item '1' of its rows is not in the id map", "Complete the map")),
    Case("a map that names twice", replace("i_id_mapping.csv", "B2", "A1"), "i_id_mapping.csv:3",
         ("'A1' occurs again",)),
    Case("a map with an id twice", replace("u_id_mapping.csv", "cy\t2", "cy\t1"),
         "u_id_mapping.csv:4", ("'1' occurs again",)),
    Case("a map without names", content("u_id_mapping.csv", "userID\n0\n1\n2\n"),
         "u_id_mapping.csv:1", ("expected userID and one of names",)),
    Case("a map without ids", content("u_id_mapping.csv", "name\tid\nann\t0\n"),
         "u_id_mapping.csv:1", ("no column 'userID'",)),
]  # fmt: skip


@pytest.mark.parametrize("case", RAW, ids=lambda case: case.what)
def test_prepare_refuses(case, tmp_path, capsys):
    raw = write_raw(tmp_path / "raw")
    case.spoil(raw)
    given = ["prepare", "mmrec", "--from", str(raw), "--name", "toy", *case.options]
    check(refused([*given, f"--data_path={tmp_path / 'data'}"], tmp_path, capsys), case)


@pytest.mark.parametrize("case", MAPPED, ids=lambda case: case.what)
def test_prepare_refuses_id_maps(case, tmp_path, capsys):
    raw = write_raw(tmp_path / "raw")
    for name, text in MAPS.items():
        (raw / name).write_text(text)
    case.spoil(raw)
    given = ["prepare", "mmrec", "--from", str(raw), "--name", "toy", "--original-ids"]
    check(refused([*given, f"--data_path={tmp_path / 'data'}"], tmp_path, capsys), case)


def test_no_permission_to_write(tmp_path, capsys, monkeypatch):
    import tempfile

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    raw = write_raw(tmp_path / "raw")
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    given = ["prepare", "mmrec", "--from", str(raw), "--name", "toy"]
    line = refused([*given, f"--data_path={tmp_path / 'data'}"], tmp_path, capsys)
    assert "cannot be written (Permission denied)" in line
    assert "--data_path" in line


PAIRS = "user,item,rating,timestamp\n" + "".join(
    f"u{u},i{i},{1 + (u + i) % 5},{u + 10 * i}\n" for u in range(4) for i in range(4)
)
NAMED = "item,a,b\n" + "".join(f"i{i},{i},{i * i}\n" for i in range(4))
REVIEW = {"reviewerID": "u", "asin": "B0", "overall": 5.0, "unixReviewTime": 1}


def reviews(*changes: dict) -> bytes:
    """Returns reviews of four users on four items as JSON lines, with further ones."""
    rows = [{**REVIEW, "reviewerID": f"u{u}", "asin": f"B{i}"} for u in range(4) for i in range(4)]
    return "".join(json.dumps(row) + "\n" for row in [*rows, *changes]).encode()


def without(key: str) -> dict:
    return {name: value for name, value in REVIEW.items() if name != key}


# source, its arguments, its files, where the message points, what it says
SOURCES = [
    ("csv", "--interactions p.csv", {}, "p.csv", ("cannot be read",)),
    ("csv", "--interactions p.csv", {"p.csv": ""}, "p.csv", ("is empty",)),
    ("csv", "--interactions p.csv", {"p.csv": "user,item\n"}, "p.csv", ("no row",)),
    ("csv", "--interactions p.csv", {"p.csv": PAIRS.replace("user", "who")}, "p.csv:1",
     ("user", "its columns are who, item")),
    ("csv", "--interactions p.csv --user-column usr", {"p.csv": PAIRS}, "p.csv:1",
     ("no column 'usr'", "Did you mean 'user'")),
    ("csv", "--interactions p.csv", {"p.csv": PAIRS.replace("u1,i0", "u1;i0")}, "p.csv:6",
     ("expected 4",)),
    ("csv", "--interactions p.csv", {"p.csv": PAIRS.replace("u1,i0,2", "u1,i0,good")}, "p.csv:6",
     ("'good'", "expected a finite number")),
    ("csv", "--interactions p.csv", {"p.csv": PAIRS.replace("u1,i0", ",i0")}, "p.csv:6",
     ("column 'user'",)),
    ("csv", "--interactions p.csv", {"p.csv": PAIRS.replace("u1,i0", "NA,i0")}, "p.csv:6",
     ("'NA' in column 'user' is read as no value",)),
    ("csv", "--interactions p.csv", {"p.csv": PAIRS.replace("u1,i0", 'u1,"""i0"""')}, "p.csv:6",
     ("quotation mark", "expected a name")),
    ("csv", "--interactions p.csv", {"p.csv": PAIRS.replace("u1,i0", "u1,i\0")}, "p.csv:6",
     ("NUL", "Remove it")),
    ("csv", "--interactions p.csv", {"p.csv": PAIRS.replace("u1,i0", "u1,i\r0")}, "p.csv:6",
     ("has 2 columns", "expected 4")),
    ("csv", "--interactions p.csv --min-rating 9", {"p.csv": PAIRS}, "", ("no interaction",)),
    ("csv", "--interactions p.csv --core 99", {"p.csv": PAIRS}, "--core",
     ("99 interactions or more", "Lower it")),
    ("csv", "--interactions p.csv --features image", {"p.csv": PAIRS}, "",
     ("MODALITY=FILE",)),
    ("csv", "--interactions p.csv --features image=f.csv", {"p.csv": PAIRS}, "f.csv",
     ("is missing", "Check the path")),
    ("csv", "--interactions p.csv --features image=f.csv",
     {"p.csv": PAIRS, "f.csv": NAMED.replace("2,4", "2,x")}, "f.csv:4", ("'x'",)),
    ("csv", "--interactions p.csv --features image=f.csv",
     {"p.csv": PAIRS, "f.csv": NAMED.replace("i2", "i1")}, "f.csv:4",
     ("'i1' occurs again", "Keep one")),
    ("csv", "--interactions p.csv --features image=f.csv",
     {"p.csv": PAIRS, "f.csv": NAMED.replace("i2", " i2")}, "f.csv:4", ("blanks at its ends",)),
    ("csv", "--interactions p.csv --features image=f.csv",
     {"p.csv": PAIRS, "f.csv": NAMED.replace("i2,2,4", '"i2",2,4,9')}, "f.csv:4",
     ("has 4 columns", "expected 3")),
    ("csv", "--interactions p.csv --features image=f.csv",
     {"p.csv": PAIRS, "f.csv": NAMED.replace("i1,1,1", 'i1,1,"x"')}, "f.csv:3", ("'x'",)),
    ("csv", "--interactions p.csv --features image=f.csv",
     {"p.csv": PAIRS, "f.csv": 'item,v\ni0,"1\n2"\ni1,1\n'}, "f.csv:4", ("expected 2 numbers",)),
    ("csv", "--interactions p.csv --texts text=t.csv",
     {"p.csv": PAIRS, "t.csv": "item,title\nx,abc\ny,def\n"}, "t.csv",
     ("none of its 2 items has interactions and a text",)),
    ("csv", "--interactions p.csv --texts text=t.csv", {"p.csv": PAIRS, "t.csv": "item\ni0\n"},
     "t.csv:1", ("no column of texts",)),
    ("csv", "--interactions p.csv", {"p.csv": PAIRS.replace("timestamp", "date").replace(",10\n",
     ",2014-07-01\n")}, "p.csv:3", ("'2014-07-01'", "expected a finite number")),
    ("csv", "--interactions p.csv", {"p.csv": "user,item,date\nu,i,2014-07-01\nu,j,01/07/2014\n"},
     "p.csv:3", ("'01/07/2014'", "expected a date such as '2014-07-01'")),
    ("csv", "--interactions p.csv --features image=f.csv",
     {"p.csv": PAIRS, "f.csv": NAMED.replace("\ni", "\nj")}, "f.csv",
     ("none of its 4 rows belongs",)),
    ("csv", "--interactions p.csv --features image=f.bin", {"p.csv": PAIRS, "f.bin": "x"}, "f.bin",
     ("ends in '.bin'", "expected .npy, .npz")),
    ("csv", "--interactions p.csv --features image=f.npz", {"p.csv": PAIRS, "f.npz": "x"}, "f.npz",
     ("damaged", "numpy.savez")),
    ("movielens", "--from .", {}, "", ("u.data", "Check --from")),
    ("movielens", "--from .", {"ratings.dat": "1::2::5\n", "movies.dat": "2::A (1990)::Drama\n"},
     "ratings.dat:1", ("expected 4",)),
    ("movielens", "--from .", {"ratings.dat": "1::2::x::9\n", "movies.dat": "2::A (1990)::War\n"},
     "ratings.dat:1", ("'x'",)),
    ("movielens", "--from .", {"ratings.dat": "1::2::5::9\n"}, "movies.dat", ("cannot be read",)),
    ("amazon", "--from .", {"reviews.json": ""}, "reviews.json", ("holds no review",)),
    ("amazon", "--from .", {"reviews.json": reviews() + b"{'a': \n"}, "reviews.json:17",
     ("is no record", "remove the line")),
    ("amazon", "--from .", {"reviews.json": reviews(without("asin"))}, "reviews.json:17",
     ("asin",)),
    ("amazon", "--from .", {"reviews.json": reviews({**REVIEW, "overall": "?"})}, "reviews.json:17",
     ("?",)),
    ("amazon", "--from .", {"reviews.json": reviews({**REVIEW, "reviewerID": "null"})},
     "reviews.json:17", ("'null' is read as no value",)),
    ("amazon", "--from .", {"reviews.json.gz": gzip.compress(reviews(), mtime=0)[:60]},
     "reviews.json.gz", ("cut off or damaged", "Fetch it again")),
    ("amazon", "--from . --core 4",
     {"reviews.json": reviews(), "meta_x.json": "__import__('os').system('touch evil')\n"},
     "meta_x.json:1", ("is no record",)),
    ("amazon", "--from . --core 4",
     {"reviews.json": reviews(), "image_features_x.b": b"B0        " + bytes(100)},
     "image_features_x.b", ("has 110 bytes", "expected a multiple of 16,394")),
    ("amazon", "--from .", {"reviews.json": reviews(), "other.json": reviews()}, "",
     ("several files of reviews", "--reviews")),
    ("microlens", "--from .", {}, "", ("pairs",)),
    ("microlens", "--from .", {"x_pairs.csv": "user,time\n1,2\n"}, "x_pairs.csv:1", ("item",)),
    ("microlens", "--from .", {"x_pairs.tsv": "1\t5 6\n2\t\n"}, "x_pairs.tsv:2",
     ("user '2' has no items",)),
    ("microlens", "--from .", {"x_pairs.csv": PAIRS, "x-y_image_feat.csv": NAMED},
     "x-y_image_feat.csv", ("'x-y_image' cannot name a modality", "--features image=FILE")),
    ("microlens", "--from .", {"x_pairs.csv": PAIRS, "image_feat.csv": NAMED, "image_feat.tsv": ""},
     "image_feat.tsv", ("second file of modality 'image' beside image_feat.csv",)),
    ("synthetic", "--users 0", {}, "", ("--users", "at least 1", "found '0'")),
    ("synthetic", "--noise 2", {}, "--noise", ("found 2.0", "from 0 to 1")),
    ("synthetic", "--modality text=7", {}, "--modality", ("'text=7'", "from 0 to 1")),
    ("synthetic", "--users 3 --items 2 --interactions 100", {}, "--interactions",
     ("found 100", "a quarter of all pairs, 1")),
    ("mmrec", "--from nowhere", {}, "nowhere", ("folder",)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "options", "files", "where", "says"), SOURCES,
    ids=[f"{one[0]}-{k}" for k, one in enumerate(SOURCES)],
)  # fmt: skip
def test_every_source_refuses(source, options, files, where, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    case = Case(source, lambda _: None, where, says)
    check(refused(["prepare", source, "--name", "toy", *options.split()], tmp_path, capsys), case)
