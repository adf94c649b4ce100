from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from recbole_guider.data import prepare as package
from recbole_guider.data.prepare import ensure_prepared, installed, ml100k
from recbole_guider.data.prepare.steps.split import split_per_user
from recbole_guider.errors import InputError

PARTS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return ensure_prepared("ml-100k", tmp_path_factory.mktemp("data"))


def table(path):
    header, *rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    return header, rows


def test_every_rating_is_in_exactly_one_part_with_its_rating(folder):
    parts = {part: table(folder / f"ml-100k.{part}.inter") for part in PARTS}
    for header, _ in parts.values():
        assert header == ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    _, source = table(ml100k._source() / "ml-100k.inter")
    rows = [tuple(row) for part in PARTS for row in parts[part][1]]
    assert sorted(rows) == sorted(map(tuple, source))
    position = {tuple(row): index for index, row in enumerate(source)}
    for _, part_rows in parts.values():
        places = [position[tuple(row)] for row in part_rows]
        assert places == sorted(places)


def test_parts_have_the_sizes_of_the_rule_for_every_user(folder):
    counts = []
    for part in PARTS:
        _, rows = table(folder / f"ml-100k.{part}.inter")
        users = np.array([int(row[0]) for row in rows])
        counts.append(np.bincount(users, minlength=944)[1:])
    n = sum(counts)
    assert np.array_equal(counts[1], n // 5 // 2)
    assert np.array_equal(counts[2], n // 5 - n // 5 // 2)
    manifest = json.loads((folder / "ml-100k.manifest.json").read_text("utf-8"))
    assert [manifest["interactions"][part] for part in PARTS] == [c.sum() for c in counts]
    assert manifest["split"]["seed"] == 2022


@pytest.mark.parametrize(
    ("n", "expected"),
    [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (9, (7, 1, 1)), (10, (8, 1, 1)),
     (14, (12, 1, 1)), (15, (12, 1, 2)), (25, (20, 2, 3)), (100, (80, 10, 10))],
)  # fmt: skip
def test_split_sizes(n, expected):
    users = ["a", "b"] * n
    labels = split_per_user(users, seed=1)
    assert tuple(np.bincount(labels[::2], minlength=3)) == expected
    assert tuple(np.bincount(labels[1::2], minlength=3)) == expected


def test_split_is_shuffled_and_repeats_by_seed():
    users = ["a"] * 50
    first = split_per_user(users, 1)
    assert np.array_equal(first, split_per_user(users, 1))
    assert not np.array_equal(first, split_per_user(users, 2))
    assert not np.array_equal(first, np.sort(first))


def test_modalities_have_one_row_per_item_with_interactions(folder):
    items = {row[1] for part in PARTS for row in table(folder / f"ml-100k.{part}.inter")[1]}
    for modality, width in (("text", 64), ("attribute", 26)):
        header, rows = table(folder / f"ml-100k.item{modality}")
        assert header == ["item_id:token", f"{modality}:float_seq"]
        assert {row[0] for row in rows} == items
        assert len(rows) == len(items) == 1682
        assert {len(row[1].split(" ")) for row in rows} == {width}


def test_attributes_of_known_films(folder):
    columns = json.loads((folder / "ml-100k.manifest.json").read_text())["attribute"]["columns"]
    _, rows = table(folder / "ml-100k.itemattribute")
    films = {row[0]: [c for c, x in zip(columns, row[1].split(" ")) if x == "1"] for row in rows}
    assert films["1"] == ["Animation", "Children's", "Comedy", "1990s"]  # Toy Story
    assert films["127"] == ["Action", "Crime", "Drama", "1970s"]  # The Godfather
    assert films["267"] == []  # neither genre nor year is known
    assert films["1412"] == ["Animation", "Children's"]  # its year column holds "V"


def test_titles_with_common_words_are_close(folder):
    _, rows = table(folder / "ml-100k.itemtext")
    vectors = {row[0]: np.array(row[1].split(" "), dtype=float) for row in rows}

    def cosine(first, second):
        a, b = vectors[first], vectors[second]
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    # Star Trek II, Star Trek III, Toy Story
    assert cosine("228", "229") > 0.7 > 0.3 > cosine("228", "1")


def test_a_second_preparation_gives_the_same_bytes(folder, tmp_path):
    again = ensure_prepared("ml-100k", tmp_path)
    names = sorted(path.name for path in again.iterdir())
    assert names == sorted(path.name for path in folder.iterdir())
    assert all((again / name).read_bytes() == (folder / name).read_bytes() for name in names)


def test_a_complete_folder_is_left_alone(folder):
    marked = folder / "ml-100k.itemtext"
    before = marked.stat().st_mtime_ns
    assert ensure_prepared("ml-100k", folder.parent) == folder
    assert marked.stat().st_mtime_ns == before


def test_a_folder_with_other_content_is_not_overwritten(tmp_path):
    (tmp_path / "ml-100k").mkdir()
    mine = tmp_path / "ml-100k" / "ml-100k.train.inter"
    mine.write_text("mine")
    with pytest.raises(InputError, match=r"lacks ml-100k\.valid\.inter"):
        ensure_prepared("ml-100k", tmp_path)
    assert mine.read_text() == "mine"


def test_two_processes_at_once(tmp_path):
    code = "import sys; from recbole_guider.data.prepare import ensure_prepared as e; "
    code += "e('ml-100k', sys.argv[1]); print(sorted({'torch', 'recbole'} & set(sys.modules)))"
    runs = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [run.communicate()[0].strip() for run in runs] == ["[]", "[]"]  # neither is imported
    assert [run.returncode for run in runs] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["ml-100k"]


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(ml100k, "_write_manifest", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ensure_prepared("ml-100k", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_data_path_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        ensure_prepared("ml-100k", tmp_path / "file")


def test_a_users_own_data_set_is_found(tmp_path):
    for name in ("mine", "yours"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine" / "mine.inter").write_text("")
    (tmp_path / "yours" / "yours.train.inter").write_text("")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / ".hidden.inter").write_text("")
    assert ensure_prepared("mine", tmp_path) == tmp_path / "mine"
    assert installed(tmp_path) == ["mine", "yours"]
    assert installed(tmp_path / "nowhere") == []


@pytest.mark.parametrize("name", ["baby", "sports", "clothing", "microlens"])
def test_a_known_data_set_says_where_it_was_looked_for_and_how_to_get_it(name, tmp_path):
    with pytest.raises(InputError) as error:
        ensure_prepared(name, tmp_path)
    line = str(error.value)
    assert str(tmp_path / name) in line
    assert "github.com" in line
    assert f"python -m recbole_guider.data download {name}" in line
    assert "Installed there: none" in line
    assert "\n" not in line


def test_an_unknown_data_set_names_the_nearest(tmp_path):
    with pytest.raises(InputError, match="Did you mean 'clothing'"):
        ensure_prepared("cloting", tmp_path)
    assert package.installed(tmp_path) == []
