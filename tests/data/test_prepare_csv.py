"""Any table of interactions with any usual kind of feature file becomes a data set."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from recbole_guider.data.__main__ import main
from recbole_guider.data.files.feature_table import load_table
from recbole_guider.data.fingerprint import file_hash
from recbole_guider.errors import InputError

PAIRS = [
    (f"u{u}", f"i{(u + k) % 8}", 1 + (u + k) % 5, 100 * k + u) for u in range(6) for k in range(5)
]
VALUES = np.arange(16, dtype=np.float32).reshape(8, 2) / 7
ITEMS = [f"i{k}" for k in range(8)]


@pytest.fixture
def raw(tmp_path):
    rows = "".join(f"{u},{i},{r},{t}\n" for u, i, r, t in PAIRS)
    (tmp_path / "pairs.csv").write_text("userId,movieId,rating,timestamp\n" + rows)
    return tmp_path


def prepare(folder, *options, name="toy") -> int:
    return main(["prepare", "csv", "--interactions", str(folder / "pairs.csv"), "--name", name,
                 f"--data_path={folder / 'data'}", *map(str, options)])  # fmt: skip


def table(folder, name="toy"):
    header, *rows = (folder / "data" / name / f"{name}.inter").read_text().splitlines()
    return header.split("\t"), [row.split("\t") for row in rows]


def manifest(folder, name="toy"):
    return json.loads((folder / "data" / name / f"{name}.manifest.json").read_text())


def refused(folder, capsys, *options) -> str:
    assert prepare(folder, *options) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert not (folder / "data").exists()
    return told


def test_usual_names_need_no_option_and_rating_and_time_are_kept(raw):
    assert prepare(raw) == 0
    header, rows = table(raw)
    assert header == ["user_id:token", "item_id:token", "rating:float", "timestamp:float",
                      "x_label:float"]  # fmt: skip
    assert [tuple(row[:4]) for row in rows] == [tuple(map(str, pair)) for pair in PAIRS]


def test_the_named_column_of_items_holds_in_every_file_that_has_it(raw):
    text = (raw / "pairs.csv").read_text().replace("movieId", "sku")
    (raw / "pairs.csv").write_text(text)
    rows = "".join(f"{k},i{k}\n" for k in range(8))
    (raw / "f.csv").write_text("a,sku\n" + rows)
    (raw / "t.csv").write_text("item,title\n" + "".join(f"i{k},word {k}\n" for k in range(8)))
    given = ("--item-column", "sku", "--features", f"image={raw / 'f.csv'}", "--text-width", 2)
    assert prepare(raw, *given, "--texts", f"text={raw / 't.csv'}") == 0
    images = load_table(raw / "data" / "toy" / "toy.itemimage")
    assert {name: int(row[0]) for name, row in zip(images.tokens, images.values)} == {
        f"i{k}": k for k in range(8)
    }


def test_dates_are_times(raw):
    days = ["2014-07-02", "2014-07-01T12:00:00", "2014-07-01 00:30", "2014-07-01 00:30:00+02:00"]
    for day, seconds in zip(days, (1404259200, 1404216000, 1404174600, 1404167400)):
        (raw / "pairs.csv").write_text(f"user,item,date\nu,i,{day}\nu,j,{day}\nu,k,{day}\n")
        assert prepare(raw, name=f"toy{seconds}") == 0
        assert {row[2] for row in table(raw, f"toy{seconds}")[1]} == {str(seconds)}


def test_a_parquet_file_is_told_by_its_row(raw, capsys):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"item": [*ITEMS[:3], None], "a": [1.0, 2.0, 3.0, 4.0]})
    frame.to_parquet(raw / "f.parquet")
    told = refused(raw, capsys, "--features", f"image={raw / 'f.parquet'}")
    assert "f.parquet:row 3: 'None' in column 'item' is read as no value" in told


def test_other_names_are_given_by_options(raw):
    text = (raw / "pairs.csv").read_text().replace("userId,movieId", "who,what")
    (raw / "pairs.csv").write_text(text)
    assert prepare(raw, "--user-column", "who", "--item-column", "what") == 0
    assert table(raw)[1][0][:2] == ["u0", "i0"]


def test_an_unknown_table_says_how_to_name_its_columns(raw, capsys):
    text = (raw / "pairs.csv").read_text().replace("userId", "who")
    (raw / "pairs.csv").write_text(text)
    assert "--user-column" in refused(raw, capsys)


def test_the_last_in_time_are_held_out(raw):
    lines = (raw / "pairs.csv").read_text().splitlines()
    (raw / "pairs.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    assert prepare(raw, "--split", "time") == 0
    header, rows = table(raw)
    assert header[4] == "x_label:float"
    for user in {row[0] for row in rows}:
        own = sorted((int(row[3]), row[4]) for row in rows if row[0] == user)
        assert [label for _, label in own] == ["0", "0", "0", "1", "2"]
    assert "by time" in manifest(raw)["split"]["rule"]


def test_the_random_split_is_drawn_by_its_seed_and_none_writes_none(raw):
    for name, options in (("a", ()), ("b", ()), ("c", ("--split-seed", 5)),
                          ("d", ("--split", "none"))):  # fmt: skip
        assert prepare(raw, *options, name=name) == 0
    assert table(raw, "a") == table(raw, "b") != table(raw, "c")
    assert "x_label:float" not in table(raw, "d")[0]
    assert manifest(raw, "c")["split"]["seed"] == 5


def test_a_split_that_the_table_brings_is_kept_unless_another_is_asked_for(raw):
    lines = (raw / "pairs.csv").read_text().splitlines()
    labels = ["x_label", *("01020" * 6)]
    text = "\n".join(",".join(one) for one in zip(lines, labels)) + "\n"
    (raw / "pairs.csv").write_text(text)
    assert prepare(raw, name="kept") == 0
    assert [row[4] for row in table(raw, "kept")[1]] == labels[1:]
    assert prepare(raw, "--split", "time", name="other") == 0
    assert [row[4] for row in table(raw, "other")[1]] == list("00012" * 6)


def test_ratings_from_a_threshold_on_and_first_pairs_are_interactions(raw):
    with (raw / "pairs.csv").open("a") as stream:
        stream.write("u0,i0,5,9\nu1,i1,3,7\n")  # u0 rated i0 with 1 before; u1 repeats itself
    assert prepare(raw, "--min-rating", 2, "--split", "none") == 0
    rows = table(raw)[1]
    assert ["u0", "i0", "5", "9"] in rows
    assert sum(row[:2] == ["u1", "i1"] for row in rows) == 1
    assert ["u1", "i1", "2", "1"] in rows
    notes = " ".join(manifest(raw)["notes"])
    assert "6 ratings below 2" in notes
    assert "1 repeated pairs" in notes


def test_a_core_is_a_fixed_point(raw):
    # i9 has three users; without x, whom one item leaves, it has two, and then u0 has four items.
    with (raw / "pairs.csv").open("a") as stream:
        stream.write("".join(f"{user},i9,5,1\n" for user in ("x", "u0", "u1")))
    assert prepare(raw, "--core", 3, "--split", "none") == 0
    users, items = zip(*(row[:2] for row in table(raw)[1]))
    assert "x" not in users
    assert "i9" not in items
    assert min(users.count(one) for one in users) >= 3
    assert min(items.count(one) for one in items) >= 3


def test_no_core_is_an_error(raw, capsys):
    assert "Lower it" in refused(raw, capsys, "--core", 7)


def write_features(folder, kind):
    path = folder / f"image.{kind}"
    if kind == "npy":
        np.save(path, VALUES)
        (folder / "image_items.csv").write_text("item\n" + "\n".join(ITEMS) + "\n")
    elif kind == "npz":
        np.savez(path, values=VALUES, items=np.array(ITEMS))
    elif kind == "parquet":
        pytest.importorskip("pyarrow", exc_type=ImportError)
        import pandas as pd

        pd.DataFrame({"item_id": ITEMS, "vector": list(VALUES)}).to_parquet(path)
    elif kind == "tsv":
        rows = (f"{item}\t[{a!r}, {b!r}]\n" for item, (a, b) in zip(ITEMS, VALUES.tolist()))
        path.write_text("item_id:token\timage:float_seq\n" + "".join(rows))
    else:
        rows = (f"{item},{a!r},{b!r}\n" for item, (a, b) in zip(ITEMS, VALUES.tolist()))
        with gzip.open(path, "wt") as stream:
            stream.write("asin,f0,f1\n" + "".join(rows))
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "parquet", "tsv", "csv.gz"])
def test_every_kind_of_feature_file_gives_the_same_rows(raw, kind):
    path = write_features(raw, kind)
    assert prepare(raw, "--features", f"image={path}") == 0
    found = load_table(raw / "data" / "toy" / "toy.itemimage")
    assert found.tokens == ITEMS
    assert np.array_equal(found.values, VALUES)


def test_texts_are_encoded_and_an_empty_text_has_no_row(raw):
    rows = "".join(f'{item},"A story, of {word}",\n' for item, word in zip(ITEMS[:6], "abcdef"))
    (raw / "titles.csv").write_text('item,title,note\n"i7"," ",\n' + rows)
    options = ("--texts", f"text={raw / 'titles.csv'}", "--text-width", 2)
    assert prepare(raw, *options) == 0
    found = load_table(raw / "data" / "toy" / "toy.itemtext")
    assert sorted(found.tokens) == ITEMS[:6]
    assert found.values.shape == (6, 2)
    assert manifest(raw)["modalities"]["text"]["items without a row"] == 2


def test_a_sentence_encoder_keeps_what_it_has_done_until_the_data_set_is_there(raw, monkeypatch):
    seen = []

    def encode(texts, encoder, *, width, seed, keep):
        seen.append((list(texts), encoder, keep))
        keep.mkdir(parents=True, exist_ok=True)
        if len(seen) == 1:
            raise InputError("interrupted")
        return np.eye(len(texts), 3, dtype=np.float32), "a/model, of this content"

    monkeypatch.setattr("recbole_guider.data.prepare.steps.encoding.encode", encode)
    (raw / "titles.csv").write_text("item,title\ni1,One\ni2,Two\n")
    options = ("--texts", f"text={raw / 'titles.csv'}", "--text-encoder", "a/model")
    assert prepare(raw, *options) == 2
    kept = raw / "data" / ".toy.encoding"
    assert kept.is_dir()
    assert prepare(raw, *options) == 0
    assert seen == 2 * [(["One", "Two"], "a/model", kept)]
    assert not kept.exists()
    told = manifest(raw)
    assert told["modalities"]["text"]["extractor"] == "a/model, of this content"
    assert "text" not in told, "said once"


def test_the_manifest_lists_every_file_that_was_read(raw):
    for name in ("near", "far"):
        (raw / name).mkdir()
        np.save(raw / name / "rows.npy", VALUES + len(name))
        (raw / name / "rows_items.csv").write_text("\n".join(["item", *ITEMS]) + "\n")
    options = [("--features", f"{name}={raw / name / 'rows.npy'}") for name in ("near", "far")]
    assert prepare(raw, *options[0], *options[1]) == 0
    files = {
        path.relative_to(raw).as_posix(): file_hash(path)
        for path in [raw / "pairs.csv", *raw.glob("*/rows*")]
        if "data" not in path.parts
    }
    assert manifest(raw)["source files"] == files
    assert len(files) == 5


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("pairs.csv", b"user,item\nu1,i1\nu2\n", ["pairs.csv:3", "1 columns; expected 2"]),
        ("pairs.csv", b'user,item\n"u\n1",i1\nu2\n', ["pairs.csv:4", "1 columns; expected 2"]),
        ("pairs.csv", b"user,item\nu1,i1\nu2,\xff\n", ["pairs.csv:3", "not UTF-8"]),
        ("pairs.csv", b"user,item,rating\nu1,i1,good\n", ["pairs.csv:2", "'good'", "number"]),
        ("pairs.csv", b"user,item\nu1, i1\n", ["pairs.csv:2", "' i1'", "blanks"]),
        ("pairs.csv", b"user,item,x_label\nu1,i1,3\n", ["pairs.csv:2", "'3'", "0 (training)"]),
        ("pairs.csv", b"user,item\n", ["pairs.csv", "holds no row"]),
        ("f.csv", b"item,a\ni1,x\n", ["f.csv:2", "'x'"]),
        ("f.csv", b"item,a\ni1,1,2\n", ["f.csv:2", "3 columns; expected 2"]),
        ("f.csv", b"item,a\ni1,1\ni1,2\n", ["f.csv:3", "'i1' occurs again"]),
        ("f.csv", b"item,a\ni1,1\ni2,nan\n", ["f.csv", "item 'i2' is nan"]),
        ("f.csv", b"item,a\ni99,1\n", ["f.csv", "none of its 1 rows"]),
        ("f.npz", b"PK", ["f.npz", "damaged"]),
        ("f.csv.gz", b"\x1f\x8b", ["f.csv.gz", "damaged"]),
        ("f.pkl", b"", ["f.pkl", "expected .npy"]),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(raw, capsys, name, content, told):
    (raw / name).write_bytes(content)
    options = () if name == "pairs.csv" else ("--features", f"image={raw / name}")
    line = refused(raw, capsys, *options)
    assert all(word in line for word in told), line


def test_parquet_without_pyarrow_says_what_to_install(raw, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (raw / "f.parquet").write_bytes(b"PAR1")
    assert "pip install 'pyarrow" in refused(raw, capsys, "--features", f"a={raw / 'f.parquet'}")
