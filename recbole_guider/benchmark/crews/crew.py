"""What runs the cells of a grid: a crew. Processes of this machine are one, a Ray cluster another.

A crew knows nothing of queues, progress or leaderboards; ``executor.run_cells`` knows nothing of
processes and hosts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Callable, Optional, Protocol, Union

from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.crews.work import Check, Run
from recbole_guider.benchmark.record import Record
from recbole_guider.benchmark.store import Failure, Store

POLL = 0.5  # seconds that a crew waits for a cell to end before it lets others look at the clock

Outcome = Union[Record, Failure]


@dataclass(frozen=True)
class Order:
    """What a crew is asked to do.

    Attributes:
        cells: the cells that are known when the crew starts; others may follow.
        store: where records, failures and logs go; it is open.
        run: computes a cell's result; must be importable where it is computed.
        repeat: returns the command that runs a cell alone again.
        workers: how many cells at a time; None for as many as there is room for.
        threads: cap of the numerical libraries' threads.
        preload: modules that processes of one host share.
    """

    cells: Sequence[Cell]
    store: Store
    run: Run
    repeat: Callable[[CellName], str]
    workers: Optional[int]  # noqa: UP045 (Python 3.9)
    threads: int
    preload: Sequence[str]


class Crew(Protocol):
    """Runs cells, some at a time, and tells how they ended; the store then holds the outcome."""

    @property
    def places(self) -> int:
        """How many cells it runs at a time; a cluster's number changes with its hosts."""

    @property
    def running(self) -> Mapping[Cell, float]:
        """The cells at work, with the reading of the monotonic clock at which they were started."""

    def check(self, cell: Cell, check: Check) -> None:
        """Raises the InputError that ``check`` raises for a cell where cells are computed."""

    def start(self, cell: Cell) -> None:
        """Starts a cell that has no record."""

    def ended(self) -> Iterable[tuple[Cell, Outcome | None]]:
        """Waits a moment and yields the cells that ended; None: to be tried again later."""


# Gives a crew for an order; leaving the context ends every cell that is still at work.
Executor = Callable[[Order], AbstractContextManager[Crew]]
