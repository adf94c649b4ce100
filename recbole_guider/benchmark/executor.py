"""Runs cells, each in a process of its own, some at a time.

Processes are forked from a server that has imported torch and RecBole once, so a cell pays for
neither; where there is no such server they are spawned. A cell that dies takes nothing with it.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, Callable

from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.processes import process_context
from recbole_guider.benchmark.progress import Progress
from recbole_guider.benchmark.record import Record
from recbole_guider.benchmark.store import Failure, Store
from recbole_guider.benchmark.work import (
    BUSY,
    FAILED,
    REFUSED,
    Check,
    Run,
    build_data,
    check_input,
    quick_start,
    work,
)
from recbole_guider.errors import InputError

_PRELOADED = ("recbole_guider.benchmark.work", "recbole_guider.quick_start")

# Called with a cell that finished or failed; the cells it returns run before those that wait.
Follow = Callable[[Cell, "Record | Failure"], Sequence[Cell]]

_POLL = 0.5  # seconds between looks at the clock and at cells that another runner holds


class AllRefusedError(InputError):
    """Every cell stumbled over the same input; their failures are in the store."""


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    *,
    workers: int,
    repeat: Callable[[CellName], str],
    progress: Progress,
    fresh: bool = True,
    run: Run = quick_start,
    check: Check | None = build_data,
    follow: Follow | None = None,
    preload: Sequence[str] = _PRELOADED,
) -> dict[CellName, Failure]:
    """Runs cells that have no record yet; their records and failures go into the store.

    Args:
        cells: what to run, in this order; the data sets must be there.
        store: an opened store.
        workers: how many processes at a time.
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
        preload: modules that all processes share.

    Returns:
        The cells that failed, with the reason.

    Raises:
        AllRefusedError: a fresh grid's cells, and those that followed, all stumbled over the same
            input.
        InputError: a data set was refused.
        KeyboardInterrupt: Ctrl-C or SIGTERM; all processes have ended and the store is whole.
    """
    if not cells:
        progress.close()
        return {}
    queue = _Queue(cells, store, progress, follow)
    threads = max(int(cell.properties["torch_threads"]) for cell in cells)
    with process_context(threads, preload) as context:
        crew = _Crew(store, repeat, run, context)
        try:
            if check is not None:
                for cell in {cell.name.dataset: cell for cell in reversed(cells)}.values():
                    crew.check(cell, check)
            while queue.waiting or crew.running:
                _fill(queue, crew, workers)
                for cell, outcome in crew.ended():
                    if outcome is None:
                        queue.waiting.append(cell)
                    else:
                        queue.settle(cell, outcome, crew.clock())
                progress.tick(queue.waiting, crew.clock())
        finally:
            crew.end()
            progress.close()
    if fresh and len(crew.refused) == queue.total and len(set(crew.refused)) == 1:
        raise AllRefusedError(crew.refused[0])
    return queue.failures


def _fill(queue: _Queue, crew: _Crew, workers: int) -> None:
    """Starts cells while workers are free; those that another runner holds go to the end."""
    held: list[Cell] = []
    while queue.waiting and len(crew.running) < workers:
        cell = queue.waiting.popleft()
        with queue.store.lock(cell.key) as free:
            # Another runner may have finished it meanwhile.
            record = queue.store.record(cell) if free else None
        if record is not None:
            queue.settle(cell, record, crew.clock())
        elif free:
            crew.start(cell)
        else:
            held.append(cell)
    queue.waiting.extend(held)
    if held and not crew.running:
        time.sleep(_POLL)


class _Queue:
    """The cells that wait, and what became of the others."""

    def __init__(
        self, cells: Sequence[Cell], store: Store, progress: Progress, follow: Follow | None
    ) -> None:
        self.store, self.progress, self.follow = store, progress, follow
        self.waiting = deque(cells)
        self.total = len(cells)
        self.failures: dict[CellName, Failure] = {}

    def settle(self, cell: Cell, outcome: Record | Failure, running: dict[Cell, float]) -> None:
        """Takes down how a cell ended, queues what follows it and tells the progress."""
        if self.follow is not None:
            following = list(self.follow(cell, outcome))
            self.waiting.extendleft(reversed(following))
            self.total += len(following)
        if isinstance(outcome, Failure):
            self.failures[cell.name] = outcome
            self.progress.failure(outcome, self.waiting, running)
        else:
            self.progress.finished(outcome, self.waiting, running)


class _Crew:
    """The processes at work."""

    def __init__(
        self, store: Store, repeat: Callable[[CellName], str], run: Run, context: Any
    ) -> None:
        self.store, self.repeat, self.run, self.context = store, repeat, run, context
        self.refused: list[str] = []
        self.running: dict[Any, tuple[Cell, BaseProcess, float]] = {}

    def clock(self) -> dict[Cell, float]:
        """Returns when each running cell was started."""
        return {cell: started for cell, _, started in self.running.values()}

    def check(self, cell: Cell, check: Check) -> None:
        """Raises the InputError that ``check`` raises in a process of its own, if it does."""
        answers, question = self.context.Pipe(duplex=False)
        arguments = (cell, self.store.folder, check, question)
        process = self.context.Process(target=check_input, args=arguments)
        process.start()
        question.close()
        self.running[process.sentinel] = (cell, process, time.monotonic())
        process.join()
        del self.running[process.sentinel]
        with answers, contextlib.suppress(EOFError):  # died: its cells will say why
            error = answers.recv()
            if error is not None:
                raise error

    def start(self, cell: Cell) -> None:
        arguments = (cell, self.store.folder, self.repeat(cell.name), self.run)
        process = self.context.Process(target=work, args=arguments, name=str(cell.name))
        process.start()
        self.running[process.sentinel] = (cell, process, time.monotonic())

    def ended(self) -> Iterator[tuple[Cell, Record | Failure | None]]:
        """Waits a moment and yields the cells whose process ended; None: to be tried later."""
        for sentinel in wait(list(self.running), timeout=_POLL):
            cell, process, _ = self.running.pop(sentinel)
            process.join()
            yield cell, self._outcome(cell, process.exitcode)

    def _outcome(self, cell: Cell, code: int | None) -> Record | Failure | None:
        if code == BUSY:
            return None
        record = self.store.record(cell)
        if record is not None:
            return record
        failure = self.store.failure(cell.key) if code in (FAILED, REFUSED) else None
        if failure is None:
            log = str(self.store.log_file(cell.key))
            failure = Failure(cell.name, _cause_of_death(code), "", self.repeat(cell.name), log)
            with contextlib.suppress(InputError):  # a full disk: the reason is still shown
                self.store.write_failure(cell.key, failure)
        elif code == REFUSED:
            self.refused.append(failure.reason)
        return failure

    def end(self) -> None:
        """Ends every process that is still at work."""
        processes = [process for _, process, _ in self.running.values()]
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
        self.running.clear()


def _cause_of_death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with code {code} and left no result"
