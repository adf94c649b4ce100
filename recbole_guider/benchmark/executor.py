"""Runs cells, each in a process of its own, some at a time.

Processes are forked from a server that has imported torch and RecBole once, so a cell pays for
neither; where there is no such server they are spawned. A cell that dies takes nothing with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Callable

from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.progress import Progress
from recbole_guider.benchmark.record import Record
from recbole_guider.benchmark.store import Failure, Store
from recbole_guider.benchmark.work import BUSY, FAILED, REFUSED, Run, quick_start, work
from recbole_guider.errors import InputError

_PRELOADED = ("recbole_guider.benchmark.work", "recbole_guider.quick_start")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_POLL = 0.5  # seconds between looks at the clock and at cells that another runner holds


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    *,
    workers: int,
    repeat: Callable[[CellName], str],
    progress: Progress,
    run: Run = quick_start,
    preload: Sequence[str] = _PRELOADED,
) -> dict[CellName, Failure]:
    """Runs cells that have no record yet; their records and failures go into the store.

    Args:
        cells: what to run, in this order; the data sets must be there.
        store: an opened store.
        workers: how many processes at a time.
        repeat: returns the command that runs a cell alone again.
        progress: is told what happens.
        run: computes a cell's result in its process; must be importable there.
        preload: modules that all processes share.

    Returns:
        The cells that failed, with the reason.

    Raises:
        InputError: nothing finished, and every cell stumbled over the same input.
        KeyboardInterrupt: Ctrl-C or SIGTERM; all processes have ended and the store is whole.
    """
    crew = _Crew(store, repeat, run, _context(preload))
    waiting = deque(cells)
    failures: dict[CellName, Failure] = {}
    threads = max((int(cell.properties["torch_threads"]) for cell in cells), default=1)
    with _environment(threads), _sigterm_as_interrupt():
        try:
            while waiting or crew.running:
                _fill(waiting, crew, workers, progress)
                for cell, outcome in crew.ended():
                    if outcome is None:
                        waiting.append(cell)
                    elif isinstance(outcome, Failure):
                        failures[cell.name] = outcome
                        progress.failure(outcome, waiting, crew.clock())
                    else:
                        progress.finished(outcome, waiting, crew.clock())
                progress.tick(waiting, crew.clock())
        finally:
            crew.end()
            progress.close()
    if cells and len(crew.refused) == len(cells) and len(set(crew.refused)) == 1:
        raise InputError(crew.refused[0])
    return failures


def _fill(waiting: deque[Cell], crew: _Crew, workers: int, progress: Progress) -> None:
    """Starts cells while workers are free; those that another runner holds go to the end."""
    for _ in range(len(waiting)):
        if len(crew.running) >= workers:
            return
        cell = waiting.popleft()
        with crew.store.lock(cell.key) as free:
            # Another runner may have finished it meanwhile.
            record = crew.store.read(cell.key) if free else None
        if record is not None:
            progress.finished(record, waiting, crew.clock())
        elif free:
            crew.start(cell)
        else:
            waiting.append(cell)
    if not crew.running and waiting:
        time.sleep(_POLL)


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
        record = self.store.read(cell.key)
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


def _context(preload: Sequence[str]) -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


@contextlib.contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Caps the threads of numerical libraries, which read these when they are imported.

    The package's folder goes along, so that a checkout that is not installed is found whatever the
    working directory.
    """
    own = {
        name: str(threads)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    }
    paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    own["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Makes SIGTERM end a run the way Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
