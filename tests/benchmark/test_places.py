"""How many cells fit on a host, and which GPU a cell's process is given."""

from __future__ import annotations

import importlib.metadata
import os

import fake_grid
import pytest

from recbole_guider.benchmark.cell import Cell
from recbole_guider.benchmark.crews import places
from recbole_guider.benchmark.crews.work import _on_gpu
from recbole_guider.errors import InputError


@pytest.mark.parametrize(
    ("cores", "gpus", "threads", "share", "expected"),
    [
        (16, 0, 1, 0, 16),
        (16, 0, 3, 0, 5),
        (2, 0, 4, 0, 0),
        (16, 2, 1, 1, 2),
        (16, 2, 1, 0.25, 8),
        (16, 2, 1, 0.4, 4),  # a cell stays on one GPU
        (16, 1, 1, 0.1, 10),
        (6, 2, 2, 0.1, 3),  # cores run out first
        (16, 0, 1, 1, 0),
    ],
)
def test_a_host_has_room_for(cores, gpus, threads, share, expected):
    assert places.fitting(cores, gpus, threads, share) == expected


def test_the_gpu_with_the_fewest_cells_is_given():
    gpus, given = ["0", "1", "2"], []
    for _ in range(6):
        given.append(places.free_gpu(gpus, given))
    assert given == ["0", "1", "2", "0", "1", "2"]
    assert places.free_gpu(gpus, ["0", "2"]) == "1"  # whose cell has ended
    assert places.free_gpu([], []) is None


@pytest.fixture
def with_cuda(monkeypatch, tmp_path):
    """A machine with a CUDA torch and three GPUs, as far as one can see without asking them."""
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "2.13.0")
    monkeypatch.setattr(places, "_DRIVER", tmp_path / "gpus")
    monkeypatch.delenv(places.VISIBLE, raising=False)
    for number in range(3):
        (tmp_path / "gpus" / f"0000:0{number}:00.0").mkdir(parents=True)


def cell_of(data_path, **properties):
    return Cell(
        fake_grid.selection_of(data_path).cells[0].name, {"data_path": str(data_path), **properties}
    )


def test_gpus_of_a_machine(data_path, with_cuda, monkeypatch):
    assert places.gpus_here([cell_of(data_path)]) == ["0", "1", "2"]
    assert places.gpus_here([cell_of(data_path, use_gpu=False)]) == []
    assert places.gpus_here([cell_of(data_path, gpu_id="1,2")]) == ["1", "2"]
    assert places.gpus_here([cell_of(data_path, gpu_id=1)]) == ["1"]
    scheduler = {places.VISIBLE: "GPU-ab, GPU-cd"}
    assert places.gpus_here([cell_of(data_path)], scheduler) == ["GPU-ab", "GPU-cd"]
    assert places.gpus_here([cell_of(data_path, gpu_id=0)], scheduler) == ["GPU-ab", "GPU-cd"]
    assert places.gpus_here([cell_of(data_path, gpu_id="")], scheduler) == []
    assert places.gpus_here([cell_of(data_path)], {places.VISIBLE: ""}) == []
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "2.13.0+cpu")
    assert places.gpus_here([cell_of(data_path)]) == []


def test_default_workers(data_path, with_cuda, monkeypatch):
    monkeypatch.setattr(places, "usable_cores", lambda: 8)
    assert places.default_workers([cell_of(data_path)]) == 3
    assert places.default_workers([cell_of(data_path, gpus_per_cell=0.5)]) == 6
    assert places.default_workers([cell_of(data_path, use_gpu=False)]) == 8
    assert places.default_workers([cell_of(data_path, use_gpu=False, torch_threads=3)]) == 2
    assert places.default_workers([cell_of(data_path, use_gpu=False, torch_threads=9)]) == 1


def test_a_cell_sees_the_gpu_that_it_was_given(data_path, monkeypatch):
    monkeypatch.setenv(places.VISIBLE, "0,1")
    cell = cell_of(data_path, gpu_id="0,1", learning_rate=0.1)
    assert _on_gpu(cell, None) is cell
    assert os.environ[places.VISIBLE] == "0,1"
    given = _on_gpu(cell, "1")
    assert os.environ[places.VISIBLE] == "1"
    assert "gpu_id" not in given.overrides
    assert given.overrides["learning_rate"] == 0.1
    assert given.key == cell.key


def test_the_share_of_a_gpu_is_no_part_of_the_key_and_at_most_one(data_path):
    assert cell_of(data_path, gpus_per_cell=0.25).key == cell_of(data_path).key
    for wrong in (0, 2, -1, True):
        with pytest.raises(InputError, match="gpus_per_cell"):
            cell_of(data_path, gpus_per_cell=wrong).properties  # noqa: B018
