"""Stands in for training: quick, deterministic results, with cells that fail on demand.

Also a program: ``python fake_grid.py <data> <results> <leaderboard> <run>`` runs a small grid of
such cells the way the command line would, in processes of their own.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from recbole_guider.benchmark.crews.local_crew import local
from recbole_guider.benchmark.crews.ray_crew import on_ray
from recbole_guider.benchmark.grid import Grid
from recbole_guider.benchmark.job import Job
from recbole_guider.benchmark.selection import Selection, select
from recbole_guider.errors import InputError

LIGHT = ("numpy", "recbole_guider.benchmark.job")  # processes need neither torch nor RecBole
METRICS = ("recall@5", "recall@20", "ndcg@5", "ndcg@20")


def result_of(cell):
    """A result that depends on the cell's name alone, and a note of having been computed."""
    notes = Path(cell.properties["checkpoint_dir"])
    notes.mkdir(parents=True, exist_ok=True)
    with open(notes / "computed.txt", "a") as stream:
        stream.write(f"{cell.name}\n")
    users = [f"u{i}" for i in range(50)]
    generator = np.random.default_rng([*map(ord, str(cell.name))])
    per_user = {metric: generator.random(50) for metric in METRICS}
    means = {metric: float(values.mean()) for metric, values in per_user.items()}
    return {
        "best_valid_result": means,
        "test_result": means,
        "per_user": {"users": np.array(users), **per_user},
        "config": cell.properties,
        "data": {"hash": "f00d", "users": 50, "items": 9, "train": 3, "valid": 2, "test": 1,
                 "modalities": {"text": 4}},
        "epochs": 3,
        "best_epoch": 1,
        "valid_curve": [{"epoch": 0, "loss": float("nan")}],
        "seconds": {"train": 0.1, "evaluation": 0.1},
        "diagnostics": {},
    }  # fmt: skip


def slow(cell):
    time.sleep(0.05)
    return result_of(cell)


def filling(cell):
    """Leaves no room for its result on the disk of the file that is named in the notes."""
    notes = Path(cell.properties["checkpoint_dir"])
    with contextlib.suppress(OSError):
        Path((notes / "filler.txt").read_text()).write_bytes(bytes(1 << 20))
    return result_of(cell)


def endless(cell):
    notes = Path(cell.properties["checkpoint_dir"])
    notes.mkdir(parents=True, exist_ok=True)
    (notes / f"{cell.key}.started").touch()
    time.sleep(600)


def lost_once(cell):
    """Takes its worker along, the first time."""
    note = Path(cell.properties["checkpoint_dir"]) / f"{cell.key}.lost"
    note.parent.mkdir(exist_ok=True)
    if not note.exists():
        note.touch()
        lost_always(cell)
    return result_of(cell)


def lost_always(cell):
    os.kill(multiprocessing.parent_process().pid, signal.SIGKILL)
    signal.pause()


def base_ends(cell):
    return result_of(cell) if cell.name.method == "Base" else endless(cell)


def on_node(cell):
    """Notes on which node a cell was begun, by the process of the node; takes a while."""
    notes = Path(cell.properties["checkpoint_dir"])
    notes.mkdir(parents=True, exist_ok=True)
    (notes / f"{cell.key}.{os.environ['RAY_RAYLET_PID']}.begun").touch()
    time.sleep(3)
    return result_of(cell)


def troubled(cell):
    """Fails in another way with each method."""
    if cell.name.method == "WBPR":
        raise RuntimeError("the loss is not finite")
    if cell.name.method == "T-CE":
        os.kill(os.getpid(), signal.SIGKILL)
    if cell.name.method == "R-CE":
        os._exit(3)
    return result_of(cell)


def guider_fails(cell):
    result = result_of(cell)
    if cell.name.method == "GUIDER":
        raise RuntimeError("no luck")
    return result


def refused(cell):
    raise InputError("row 7 holds a NaN", where="tiny.itemtext", mend="Remove it.")


def dying(cell):
    os._exit(9)


def partly_refused(cell):
    """Refuses the input of every method but the bare backbone."""
    return result_of(cell) if cell.name.method == "Base" else refused(cell)


def only_the_first_refused(cell):
    return refused(cell) if cell.name.method == "Base" else result_of(cell)


def unfinished_number(cell):
    result = result_of(cell)
    result["test_result"] = {**result["test_result"], "recall@5": float("nan")}
    return result


def selection_of(
    data_path, methods=("Base", "WBPR", "T-CE", "R-CE", "GUIDER"), **chosen
) -> Selection:
    grid = Grid(
        name="fake",
        title="Fake",
        datasets=("tiny",),
        backbones=("BM3",),
        methods=tuple(methods),
        baselines=("Base",),
        metrics=("Recall@5", "Recall@20", "NDCG@5", "NDCG@20"),
    )
    notes = str(Path(data_path) / "notes")
    properties = {"data_path": str(data_path), "checkpoint_dir": notes}
    return select(grid, command_line=properties, **chosen)


def job_of(selection, results, workers=2, only=None) -> Job:
    return Job(
        selection,
        only=only,
        results=Path(results),
        workers=workers,
        repeat=lambda name: f"again --only {name}",
    )


def computed(data_path) -> list[str]:
    path = Path(data_path) / "notes" / "computed.txt"
    return path.read_text().split() if path.exists() else []


def main(data_path, results, leaderboard, run, executor="local") -> None:
    job = job_of(selection_of(data_path, seeds=2), results)
    started = on_ray() if executor == "ray" else local
    job.run(globals()[run], check=None, preload=LIGHT, executor=started)
    from recbole_guider.report.tables import render

    render(folder=Path(leaderboard), **job.board())


if __name__ == "__main__":
    main(*sys.argv[1:])
