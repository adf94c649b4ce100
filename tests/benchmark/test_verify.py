"""A random sample of finished cells is repeated apart from the store, and compared with it."""

from __future__ import annotations

import fake_grid
import numpy as np
import pytest
from fake_grid import LIGHT, computed, job_of, selection_of

from recbole_guider.benchmark.verify import repeat_sample
from recbole_guider.errors import InputError
from recbole_guider.report.stores.compare import compare_folders

LOCAL = {"check": None, "preload": LIGHT}


def changed(cell):
    """Another code's numbers: lower for every user."""
    result = fake_grid.result_of(cell)
    values = {name: array * 0.5 for name, array in result["per_user"].items() if name != "users"}
    means = {name: float(np.mean(array)) for name, array in values.items()}
    return {**result, "test_result": means, "per_user": {**result["per_user"], **values}}


@pytest.fixture
def finished(data_path, tmp_path):
    job = job_of(selection_of(data_path, methods=["Base", "GUIDER"], seeds=2), tmp_path / "results")
    job.run(fake_grid.result_of, **LOCAL)
    return job


@pytest.mark.parametrize("count", [1, 3, 9])
def test_what_is_repeated_agrees_and_the_store_stays(finished, data_path, tmp_path, count):
    before = {path: path.read_bytes() for path in finished.store.folder.glob("*.*")}
    assert repeat_sample(finished, count, tmp_path / "v", run=fake_grid.result_of, **LOCAL) == {}
    assert len(computed(data_path)) == 4 + min(count, 4)
    text, differ = compare_folders(tmp_path / "v" / "finished", tmp_path / "v" / "repeated")
    assert not differ
    assert f"{min(count, 4)} equal, 0 different" in text
    assert before == {path: path.read_bytes() for path in finished.store.folder.glob("*.*")}


def test_other_numbers_are_told(finished, tmp_path):
    repeat_sample(finished, 2, tmp_path / "v", run=changed, **LOCAL)
    text, differ = compare_folders(tmp_path / "v" / "finished", tmp_path / "v" / "repeated")
    assert differ
    assert "2 different, 2 of them significantly" in text


def test_a_cell_that_fails_now_is_told(finished, tmp_path):
    failures = repeat_sample(finished, 4, tmp_path / "v", run=fake_grid.guider_fails, **LOCAL)
    assert {name.method for name in failures} == {"GUIDER"}


def test_one_cell_alone_is_verified_alone(finished, data_path, tmp_path):
    job = job_of(finished.selection, finished.store.folder, only="tiny/BM3/GUIDER/2023")
    assert repeat_sample(job, 3, tmp_path / "v", run=fake_grid.result_of, **LOCAL) == {}
    assert computed(data_path)[4:] == ["tiny/BM3/GUIDER/2023"]


def test_nothing_finished_is_nothing_to_verify(data_path, tmp_path):
    job = job_of(selection_of(data_path), tmp_path / "results")
    with pytest.raises(InputError, match="none of this grid's cells has finished"):
        repeat_sample(job, 3, tmp_path / "v", run=fake_grid.result_of, **LOCAL)
    assert not (tmp_path / "v").exists()
