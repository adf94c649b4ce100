"""Two results folders are compared cell by cell; nothing on the disk changes."""

from __future__ import annotations

import gzip
import hashlib
from itertools import count

import numpy as np
import pytest

from recbole_guider.benchmark import record as record_module
from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.store import Failure, Store
from recbole_guider.errors import InputError
from recbole_guider.report.stores.compare import compare_folders

N = 80


class Folder:
    """A results folder to which cells are written by what tells them apart."""

    def __init__(self, path):
        self.store = Store(path).open()
        self.path = path
        self._keys = count()

    def add(
        self, method="Base", seed=1, lift=0.0, users=None, key="", data="f00d", noise=0.0, **config
    ):
        name = CellName("tiny", "BM3", method, seed)
        properties = {"epochs": 9, "learning_rate": 0.001, **config}
        cell = Cell(name)
        text = f"{self.path}{name}{sorted(properties.items())}{data}{next(self._keys)}"
        cell.__dict__["key"] = key or hashlib.sha256(text.encode()).hexdigest()[:40]
        tokens = np.array(users if users is not None else [f"u{place:03d}" for place in range(N)])
        trial = config.get("read_test") is False
        generator = np.random.default_rng([*map(ord, f"{name}")])
        own = np.random.default_rng(3)
        values = {
            metric: generator.random(len(tokens)) + lift + noise * own.standard_normal(len(tokens))
            for metric in ("recall@20", "ndcg@20")
        }
        means = {metric: float(array.mean()) for metric, array in values.items()}
        self.store.write(
            cell,
            {
                "best_valid_result": means,
                "test_result": {} if trial else means,
                "per_user": {} if trial else {"users": tokens, **values},
                "config": {
                    "protocol": "mmrec", "torch_threads": 1, "valid_metric": "Recall@20",
                    "data_path": str(self.path), **properties,
                },
                "data": {"hash": data, "users": len(tokens), "modalities": {"text": 4}},
                "epochs": 9,
                "best_epoch": 3,
                "valid_curve": [],
                "seconds": {"total": float(next(self._keys))},
                "diagnostics": {},
            },
        )  # fmt: skip
        return cell.key


@pytest.fixture
def a(tmp_path):
    return Folder(tmp_path / "a")


@pytest.fixture
def b(tmp_path):
    return Folder(tmp_path / "b")


def compare(a, b):
    before = {p: p.read_bytes() for f in (a, b) for p in f.path.rglob("*") if p.is_file()}
    text, significant = compare_folders(a.path, b.path)
    after = {p: p.read_bytes() for f in (a, b) for p in f.path.rglob("*") if p.is_file()}
    assert after == before
    assert all(line == line.rstrip() or "  " in line for line in text.splitlines())
    return text, significant


def row(text, *words):
    """The table line that holds all of the words."""
    found = [line for line in text.splitlines() if all(word in line for word in words)]
    assert len(found) == 1, text
    return found[0].split()


def test_equal_cells_are_equal_wherever_they_lie(a, b):
    for folder in (a, b):
        for seed in (1, 2):
            folder.add(seed=seed)
    text, significant = compare(a, b)
    assert "2 cells in both: 2 equal, 0 different, 0 of them significantly" in text
    assert not significant
    assert "what differs" not in text  # paths and seconds are no difference
    assert "Only in" not in text


def test_a_cell_that_differs_is_told_by_metric_and_significance(a, b):
    for method in ("Base", "T-CE", "GUIDER"):
        a.add(method)
        b.add(method, lift=0.25 if method == "GUIDER" else 0.0)
    text, significant = compare(a, b)
    assert significant
    assert "3 cells in both: 2 equal, 1 different, 1 of them significantly" in text
    first, second, change, p, mark, users = row(text, "GUIDER/1  recall@20")[2:]
    assert float(second) - float(first) == pytest.approx(0.25, abs=1e-5)
    assert (change, p, mark, users) == ("+0.25", "0", "*", str(N))
    assert float(row(text, "GUIDER/1", "validation recall@20")[5]) == 0.25


def test_a_small_change_is_told_and_is_not_significant(a, b):
    a.add("T-CE")
    b.add("T-CE", noise=0.01)
    text, significant = compare(a, b)
    assert "1 different, 0 of them significantly" in text
    assert not significant


def test_the_correction_is_over_all_cells_of_a_metric(a, b):
    a.add("GUIDER")
    b.add("GUIDER", noise=0.5, lift=0.07)
    alone = float(row(compare(a, b)[0], "GUIDER/1  ndcg@20")[5])
    for seed in range(2, 6):
        for folder in (a, b):
            folder.add("Base", seed=seed)
    together = float(row(compare(a, b)[0], "GUIDER/1  ndcg@20")[5])
    assert 0 < alone < 0.2
    assert together == pytest.approx(min(1, 5 * alone), rel=0.01)


def test_values_that_are_equal_on_average_alone_are_different(a, b):
    a.add()
    users = [f"u{place:03d}" for place in reversed(range(N))]  # who has which value changes
    b.add(users=users)
    text, significant = compare(a, b)
    assert "0 equal, 1 different, 0 of them significantly" in text
    assert not significant


def test_other_users_are_compared_on_those_in_common(a, b):
    a.add()
    b.add(lift=0.1, users=[f"u{place:03d}" for place in range(10, N + 10)])
    assert row(compare(a, b)[0], "Base/1  recall@20")[-1] == str(N - 10)
    b.add(seed=2, users=["x", "y"])
    a.add(seed=2)
    text, _ = compare(a, b)  # nobody in common: no test
    assert len(row(text, "Base/2  recall@20")) == 5


def test_what_differs_in_how_numbers_were_made_is_named_once(a, b, monkeypatch):
    for seed in (1, 2):
        a.add(seed=seed)
    versions = record_module.versions
    monkeypatch.setattr(record_module, "versions", lambda: {**versions(), "torch": "99.0"})
    monkeypatch.setattr(record_module, "source", lambda: {"commit": "c" * 40, "dirty": False})
    for seed in (1, 2):
        b.add(seed=seed, learning_rate=0.002, new="x", data="beef", lift=float(seed == 2))
    text, _ = compare(a, b)
    assert row(text, "property", "learning_rate")[2:] == ["0.001", "0.002", "2", "1"]
    assert row(text, "property", "new")[2:] == ["absent", '"x"', "2", "1"]
    assert row(text, "data", "hash")[2:] == ['"f00d"', '"beef"', "2", "1"]
    assert row(text, "version", "torch")[3:] == ['"99.0"', "2", "1"]
    assert row(text, "code", "commit")[-3:] == [f'"{"c" * 36}...', "2", "1"]
    assert "data_path" not in text


def test_cells_of_one_name_are_matched_by_their_properties(a, b):
    for rate in (0.1, 0.2, 0.3):
        a.add("T-CE", drop_rate=rate)
    for rate in (0.3, 0.2, 0.4):
        b.add("T-CE", drop_rate=rate, lift=rate)
    text, _ = compare(a, b)
    assert "2 cells in both" in text
    row(text, "T-CE/1/drop_rate=0.2", " validation recall@20")
    row(text, "T-CE/1/drop_rate=0.3", " validation recall@20")
    assert (
        "Only in A: 1 record\n  tiny/BM3/T-CE/1/drop_rate=0.1 (nearest in the other folder " in text
    )
    assert "Only in B: 1 record\n  tiny/BM3/T-CE/1/drop_rate=0.4 (" in text
    assert "differs in drop_rate)" in text


def test_a_property_that_all_changed_does_not_hide_what_a_grid_varied(a, b):
    for rate in (0.1, 0.2):
        a.add("T-CE", drop_rate=rate)
        b.add("T-CE", drop_rate=rate, learning_rate=0.005)
    text, _ = compare(a, b)
    assert "2 cells in both: 2 equal" in text
    assert row(text, "property", "learning_rate")[-2:] == ["2", "0"]
    assert "drop_rate" not in text  # not among what differs, and equal cells are not listed


def test_a_single_record_of_a_name_is_matched_whatever_its_properties(a, b):
    a.add("T-CE", drop_rate=0.1)
    b.add("T-CE", drop_rate=0.2, lift=0.3)
    text, significant = compare(a, b)
    assert significant
    assert row(text, "property", "drop_rate")[2:4] == ["0.1", "0.2"]


def test_of_two_versions_of_one_cell_that_with_the_same_key_is_taken(a, b):
    key = a.add()
    a.add(lift=0.4)  # the same properties and data, computed by older code
    b.add(key=key)
    text, _ = compare(a, b)
    assert "1 cell in both: 1 equal" in text
    assert "Only in A: 1 record\n  tiny/BM3/Base/1 (nearest" not in text
    assert "Only in A: 1 record\n  tiny/BM3/Base/1 (the other folder has" in text


def test_what_cannot_be_told_apart_is_not_matched(a, b):
    for folder in (a, b):
        folder.add()
        folder.add(lift=0.2)
    text, significant = compare(a, b)
    assert "0 cells in both" in text
    assert text.count("(the other folder has several that differ in no property)") == 4
    assert not significant


def test_cells_of_one_folder_are_listed(a, b):
    a.add("Base")
    a.add("WBPR")
    b.add("Base")
    text, significant = compare(a, b)
    assert text.endswith("Only in A: 1 record\n  tiny/BM3/WBPR/1")
    assert not significant


def test_trials_are_compared_on_validation_and_with_trials_only(a, b):
    a.add("T-CE", read_test=False, learning_rate=0.004)
    b.add("T-CE", read_test=False, learning_rate=0.004, lift=0.5)
    b.add("T-CE", learning_rate=0.004)
    text, significant = compare(a, b)
    assert "1 cell in both: 0 equal, 1 different, 0 of them significantly" in text
    assert "1 trial of a search among them: validation values only." in text
    assert len(row(text, "validation recall@20")) == 6
    assert "Only in B: 1 record\n  tiny/BM3/T-CE/1" in text
    assert not significant


def test_a_trial_and_a_finished_cell_are_two_things(a, b):
    a.add("T-CE", read_test=False)
    b.add("T-CE")
    text, _ = compare(a, b)
    assert "0 cells in both" in text
    assert "Only in A: 1 record\n  tiny/BM3/T-CE/1\n" in text


def test_a_property_that_joined_later_is_no_difference_at_its_old_value(a, b):
    a.add()
    b.add(read_test=True)
    text, _ = compare(a, b)
    assert "1 equal" in text
    assert "read_test" not in text


def test_damaged_records_are_named_and_left_out(a, b):
    for folder in (a, b):
        folder.add()
    torn = a.path / f"{a.add(seed=2)}.npz"
    torn.write_bytes(torn.read_bytes()[:-5])
    (b.path / "notes.json.gz").write_bytes(gzip.compress(b"{}"))
    b.store.write_failure("f" * 40, Failure(CellName("tiny", "BM3", "Base", 3), "", "", "", ""))
    text, _ = compare(a, b)
    assert f"left out: {torn.with_suffix('.json.gz')}: damaged record (its arrays do not" in text
    assert f"left out: {b.path / 'notes.json.gz'}: damaged record (not a record" in text
    assert "f" * 40 not in text
    assert "1 cell in both: 1 equal" in text


@pytest.mark.parametrize("what", ["absent", "a file", "empty"])
def test_what_is_no_results_folder_is_one_line(a, tmp_path, what):
    a.add()
    other = tmp_path / "other"
    if what == "a file":
        other.write_text("mine")
    elif what == "empty":
        other.mkdir()
    for pair in ((a.path, other), (other, a.path)):
        with pytest.raises(InputError) as caught:
            compare_folders(*pair)
        assert str(other) in str(caught.value)
        assert "\n" not in str(caught.value)
