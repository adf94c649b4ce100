"""Repeating a random sample of finished cells, for whoever doubts a leaderboard."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.crews.work import Run, quick_start
from recbole_guider.benchmark.estimate import Estimates
from recbole_guider.benchmark.executor import run_cells
from recbole_guider.benchmark.job import Job
from recbole_guider.benchmark.progress import Progress
from recbole_guider.benchmark.store import Failure, Store
from recbole_guider.errors import InputError


def repeat_sample(
    job: Job, count: int, folder: Path, *, run: Run = quick_start, **options: Any
) -> dict[CellName, Failure]:
    """Runs finished cells of a grid again, apart from its store.

    Trials of a search are left out: what they chose is repeated, they are not.

    Args:
        job: the grid and its store, which stays as it is.
        count: how many cells, drawn at random; all where fewer have finished.
        folder: gets two stores: ``finished`` with the records as they are, and ``repeated``.
        run: computes one cell.
        options: passed on to ``run_cells``.

    Returns:
        The cells that failed when they were repeated.

    Raises:
        InputError: no cell has finished, or the data is not here.
    """
    job.prepare_data()
    finished = job.finished()
    if not finished:
        raise InputError(
            "none of this grid's cells has finished here",
            where=job.store.folder,
            mend="Name the folder of records with --results.",
        )
    sample = _different(random.sample(finished, len(finished)))[:count]
    kept, repeated = Store(folder / "finished").open(), Store(folder / "repeated").open()
    for cell in sample:
        job.store.copy(cell.key, kept)
    progress = Progress(len(sample), 0, job.workers, Estimates(job.store.costs()))
    return run_cells(
        sample,
        repeated,
        workers=job.asked_workers,
        repeat=job.repeat,
        progress=progress,
        run=run,
        **options,
    )


def _different(cells: list[Cell]) -> list[Cell]:
    """Returns cells of different keys; settings may share a record."""
    return list({cell.key: cell for cell in cells}.values())
