"""A crew of processes on this machine, each with a cell of its own.

Processes are forked from a server that has imported torch and RecBole once, so a cell pays for
neither; where there is no such server they are spawned. A cell that dies takes nothing with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from recbole_guider.benchmark.cell import Cell
from recbole_guider.benchmark.crews.crew import POLL, Order, Outcome
from recbole_guider.benchmark.crews.places import VISIBLE, default_workers, free_gpu, gpus_here
from recbole_guider.benchmark.crews.processes import process_context
from recbole_guider.benchmark.crews.work import (
    BUSY,
    FAILED,
    REFUSED,
    UNWRITABLE,
    Check,
    check_input,
    work,
)
from recbole_guider.benchmark.store import Failure, StoreError
from recbole_guider.errors import InputError


@contextlib.contextmanager
def local(order: Order) -> Iterator[LocalCrew]:
    """Gives a crew of this machine's processes; all have ended when the block is left."""
    with process_context(order.threads, order.preload) as context:
        crew = LocalCrew(order, context)
        try:
            yield crew
        finally:
            crew.end()


class _Job(NamedTuple):
    cell: Cell
    process: BaseProcess
    started: float
    gpu: str | None


class LocalCrew:
    """The processes at work.

    Args:
        order: what to run.
        context: the context of ``multiprocessing`` that starts them.
    """

    def __init__(self, order: Order, context: Any) -> None:
        self.order, self.context = order, context
        self.places = order.workers or default_workers(order.cells)
        self.gpus = gpus_here(order.cells)
        self._jobs: dict[Any, _Job] = {}

    @property
    def running(self) -> dict[Cell, float]:
        """When each running cell was started."""
        return {job.cell: job.started for job in self._jobs.values()}

    def check(self, cell: Cell, check: Check) -> None:
        """Raises the InputError that ``check`` raises in a process of its own, if it does."""
        answers, question = self.context.Pipe(duplex=False)
        process = self._process(check_input, cell, check, question)
        question.close()
        process.join()
        del self._jobs[process.sentinel]
        with answers, contextlib.suppress(EOFError):  # died: its cells will say why
            error = answers.recv()
            if error is not None:
                raise error

    def start(self, cell: Cell) -> None:
        """Starts a cell's process, which takes the cell's lock and writes into the store."""
        self._process(work, cell, self.order.repeat(cell.name), self.order.run)

    def _process(self, target: Any, cell: Cell, *arguments: Any) -> BaseProcess:
        gpu = free_gpu(self.gpus, [job.gpu for job in self._jobs.values()])
        # Without a choice of GPUs, what this process sees; the server may have started before.
        seen = os.environ.get(VISIBLE) if gpu is None else gpu
        process: BaseProcess = self.context.Process(
            target=target, args=(cell, self.order.store.folder, *arguments, seen)
        )
        process.start()
        self._jobs[process.sentinel] = _Job(cell, process, time.monotonic(), gpu)
        return process

    def ended(self) -> Iterator[tuple[Cell, Outcome | None]]:
        """Waits a moment and yields the cells whose process ended; None: to be tried later."""
        for sentinel in wait(list(self._jobs), timeout=POLL):
            job = self._jobs.pop(sentinel)
            job.process.join()
            yield job.cell, self.outcome(job.cell, job.process.exitcode)

    def outcome(self, cell: Cell, code: int | None) -> Outcome | None:
        """Returns what a process that ended with an exit code left in the store.

        Raises:
            StoreError: it could not write there, and neither could those that follow.
        """
        store = self.order.store
        if code == BUSY:
            return None
        if code == UNWRITABLE:
            store.open()  # says why, if that has not changed
            raise StoreError(
                f"the result of {cell.name} could not be written",
                where=store.folder,
                mend=f"See {store.log_file(cell.key)}; finished cells are kept.",
            )
        record = store.record(cell)
        if record is not None:
            return record
        failure = store.failure(cell.key) if code in (FAILED, REFUSED) else None
        if failure is None:
            reason, log = _cause_of_death(code), str(store.log_file(cell.key))
            failure = Failure(cell.name, reason, "", self.order.repeat(cell.name), log)
            with contextlib.suppress(InputError):  # a full disk: the reason is still shown
                store.write_failure(cell.key, failure)
        return failure

    def end(self) -> None:
        """Ends every process that is still at work."""
        processes = [job.process for job in self._jobs.values()]
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
        self._jobs.clear()


def _cause_of_death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with code {code} and left no result"
