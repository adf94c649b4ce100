"""GroupLens' releases of MovieLens, in their raw formats."""

from __future__ import annotations

import json

import pytest

from recbole_guider.data.__main__ import main
from recbole_guider.data.files.feature_table import load_table
from recbole_guider.data.prepare.movielens import read

RATINGS = [(u, i, 1 + (u * i) % 5, 978300000 + u + i) for u in (1, 2, 3) for i in (1, 2, 3, 4)]
FLAGS = {1: "0001110000000000000", 2: "0000000010000000000", 3: "0000000000000001000",
         4: "1000000000000000000"}  # fmt: skip
TITLES = {1: "Toy Story (1995)", 2: "Misérables, Les (1998)", 3: "Alien", 4: "unknown"}
GENRES = {1: "Animation|Children's|Comedy", 2: "Drama", 3: "Sci-Fi", 4: "(no genres listed)"}


def hundred_k(folder):
    (folder / "u.data").write_text("".join("\t".join(map(str, row)) + "\n" for row in RATINGS))
    rows = [f"{i}|{TITLES[i]}|01-Jan-1995||http://x?a|{'|'.join(FLAGS[i])}\n" for i in TITLES]
    (folder / "u.item").write_bytes("".join(rows).encode("latin-1"))


def one_m(folder, encoding="latin-1"):
    (folder / "ratings.dat").write_text("".join("::".join(map(str, row)) + "\n" for row in RATINGS))
    rows = [f"{i}::{TITLES[i]}::{GENRES[i]}\n" for i in TITLES]
    (folder / "movies.dat").write_bytes("".join(rows).encode(encoding))


def ten_m(folder):
    one_m(folder, "utf-8")


def latest(folder):
    rows = "".join(",".join(map(str, row)) + "\n" for row in RATINGS)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + rows)
    rows = "".join(f'{i},"{TITLES[i]}",{GENRES[i]}\n' for i in TITLES)
    (folder / "movies.csv").write_text("movieId,title,genres\n" + rows, encoding="utf-8")


@pytest.mark.parametrize("write", [hundred_k, one_m, ten_m, latest])
def test_every_release_gives_the_same(tmp_path, write):
    folder = tmp_path / "raw"
    folder.mkdir()
    write(folder)
    raw = read(folder)
    assert raw.texts["text"].of_item == {"1": "Toy Story", "2": "Misérables, Les", "3": "Alien",
                                 "4": "unknown"}  # fmt: skip
    assert raw.modalities["attribute"].tokens == ["1", "2", "3"]  # 4 has neither genre nor year
    place = f"--data_path={tmp_path / 'data'}"
    options = ["--from", str(folder), "--name", "ml", "--text-width", "2", place]
    assert main(["prepare", "movielens", *options]) == 0
    header, *rows = (tmp_path / "data" / "ml" / "ml.inter").read_text().splitlines()
    assert header.split("\t")[2:] == ["rating:float", "timestamp:float", "x_label:float"]
    assert [tuple(map(int, row.split("\t")[:4])) for row in rows] == RATINGS
    table = load_table(tmp_path / "data" / "ml" / "ml.itemattribute")
    manifest = json.loads((tmp_path / "data" / "ml" / "ml.manifest.json").read_text())
    names = manifest["modalities"]["attribute"]["extractor"].removeprefix("0/1 of ").split(", ")
    of = {item: {names[k] for k in row.nonzero()[0]} for item, row in zip(*reversed(table))}
    assert of == {"1": {"Animation", "Children's", "Comedy", "1990s"}, "2": {"Drama", "1990s"},
                  "3": {"Sci-Fi"}}  # fmt: skip


def test_a_threshold_on_ratings(tmp_path):
    one_m(tmp_path)
    place = f"--data_path={tmp_path / 'data'}"
    assert main(["prepare", "movielens", "--from", str(tmp_path), "--name", "ml", "--min-rating",
                 "4", "--split", "none", "--text-width", "1", place]) == 0  # fmt: skip
    _, *rows = (tmp_path / "data" / "ml" / "ml.inter").read_text().splitlines()
    assert len(rows) == sum(rating >= 4 for _, _, rating, _ in RATINGS)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("ratings.dat", "1::2::3\n", ["ratings.dat:1", "3 columns; expected 4"]),
        ("ratings.dat", "1::2::3::4\n1::2::x::4\n", ["ratings.dat:2", "'x'"]),
        ("movies.dat", "1::A\n", ["movies.dat:1", "2 columns; expected 3"]),
        ("movies.dat", "1::A::B\n1::A::B\n", ["movies.dat:2", "'1' occurs again"]),
        ("movies.dat", None, ["movies.dat", "cannot be read"]),
        ("ratings.dat", None, ["expected u.data, ratings.dat or ratings.csv"]),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, capsys, name, content, told):
    one_m(tmp_path)
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_text(content)
    place = f"--data_path={tmp_path / 'data'}"
    assert main(["prepare", "movielens", "--from", str(tmp_path), "--name", "ml", place]) == 2
    line = capsys.readouterr().err
    assert len(line.splitlines()) == 1
    assert all(word in line for word in told), line
    assert not (tmp_path / "data").exists()
