"""Runs the cells of a grid: which comes next, what became of each, and who is told.

Who computes them is the affair of a crew: see ``crews``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Callable, Union

from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.crews.crew import POLL, Crew, Executor, Order
from recbole_guider.benchmark.crews.local_crew import local
from recbole_guider.benchmark.crews.places import threads_of
from recbole_guider.benchmark.crews.processes import sigterm_as_interrupt
from recbole_guider.benchmark.crews.work import Check, Run, build_data, quick_start
from recbole_guider.benchmark.progress import Progress
from recbole_guider.benchmark.record import Record
from recbole_guider.benchmark.store import Failure, Store
from recbole_guider.errors import InputError

_PRELOADED = ("recbole_guider.benchmark.crews.work", "recbole_guider.quick_start")

# Called with a cell that finished or failed; the cells it returns run before those that wait.
Follow = Callable[[Cell, Union[Record, Failure]], Sequence[Cell]]


class AllRefusedError(InputError):
    """Every cell stumbled over the same input; their failures are in the store."""


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    *,
    workers: int | None,
    repeat: Callable[[CellName], str],
    progress: Progress,
    fresh: bool = True,
    run: Run = quick_start,
    check: Check | None = build_data,
    follow: Follow | None = None,
    executor: Executor = local,
    preload: Sequence[str] = _PRELOADED,
) -> dict[CellName, Failure]:
    """Runs cells that have no record yet; their records and failures go into the store.

    Args:
        cells: what to run, in this order; the data sets must be there.
        store: an opened store.
        workers: how many cells at a time; None for as many as the executor has room for.
        repeat: returns the command that runs a cell alone again.
        progress: is told what happens.
        fresh: whether no cell of the grid has a record yet, so that input which all cells refuse
            is the run's error and not theirs.
        run: computes a cell's result in its process; must be importable there.
        check: is called, in a process of its own, with the first cell of each data set before
            anything runs; what it refuses ends the run. None for no check.
        follow: is called in this process when a cell finished, here or in another runner, or
            failed; the cells that it returns are put before those that wait. ``progress`` counts
            them beforehand.
        executor: gives the crew that computes the cells: ``local_crew.local``, or what
            ``ray_crew.on_ray`` returns.
        preload: modules that all processes share.

    Returns:
        The cells that failed, with the reason.

    Raises:
        AllRefusedError: a fresh grid's cells, and those that followed, all stumbled over the same
            input.
        InputError: a data set was refused, or the executor cannot start.
        KeyboardInterrupt: Ctrl-C or SIGTERM; all processes have ended and the store is whole.
    """
    if not cells:
        progress.close()
        return {}
    queue = _Queue(cells, store, progress, follow)
    order = Order(cells, store, run, repeat, workers, threads_of(cells), preload)
    try:
        with sigterm_as_interrupt(), executor(order) as crew:
            if check is not None:
                for cell in {cell.name.dataset: cell for cell in reversed(cells)}.values():
                    crew.check(cell, check)
            while queue.waiting or crew.running:
                queue.fill(crew)
                for cell, outcome in crew.ended():
                    if outcome is None:
                        queue.waiting.append(cell)
                    else:
                        queue.settle(cell, outcome, crew)
                progress.tick(queue.waiting, crew.running)
    finally:
        progress.close()
    if fresh and len(queue.failures) == queue.total:
        reasons = {(failure.input_error, failure.reason) for failure in queue.failures.values()}
        refused, reason = reasons.pop()
        if refused and not reasons:
            raise AllRefusedError(reason)
    return queue.failures


class _Queue:
    """The cells that wait, and what became of the others."""

    def __init__(
        self, cells: Sequence[Cell], store: Store, progress: Progress, follow: Follow | None
    ) -> None:
        self.store, self.progress, self.follow = store, progress, follow
        self.waiting = deque(cells)
        self.total = len(cells)
        self.failures: dict[CellName, Failure] = {}

    def fill(self, crew: Crew) -> None:
        """Starts cells while there is room; those that another runner holds go to the end."""
        held: list[Cell] = []
        self.progress.workers = places = crew.places
        while self.waiting and len(crew.running) < places:
            cell = self.waiting.popleft()
            with self.store.lock(cell.key) as free:
                # Another runner may have finished it meanwhile.
                record = self.store.record(cell) if free else None
            if record is not None:
                self.settle(cell, record, crew)
            elif free:
                crew.start(cell)
            else:
                held.append(cell)
        self.waiting.extend(held)
        if self.waiting and not crew.running:
            time.sleep(POLL)

    def settle(self, cell: Cell, outcome: Record | Failure, crew: Crew) -> None:
        """Takes down how a cell ended, queues what follows it and tells the progress."""
        if self.follow is not None:
            following = list(self.follow(cell, outcome))
            self.waiting.extendleft(reversed(following))
            self.total += len(following)
        if isinstance(outcome, Failure):
            self.failures[cell.name] = outcome
            self.progress.failure(outcome, self.waiting, crew.running)
        else:
            self.progress.finished(outcome, self.waiting, crew.running)
