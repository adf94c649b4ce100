"""How long a cell may take and how much memory, told by finished cells of the same kind."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.record import Record


class Cost(NamedTuple):
    """Seconds and peak memory in MiB of one cell."""

    seconds: float
    memory_mb: float


class Estimates:
    """Costs of finished cells, to be asked for cells that have not run.

    A cell is taken for similar when data set, backbone, method and the limit of epochs agree.
    """

    def __init__(self, finished: Iterable[tuple[CellName, Any, float, float]] = ()) -> None:
        self._costs: dict[tuple[Any, ...], list[Cost]] = {}
        for name, epochs, seconds, memory in finished:
            self._costs.setdefault((*name.kind, epochs), []).append(Cost(seconds, memory))

    def add(self, record: Record) -> None:
        """Counts one more finished cell."""
        kind = (*record.cell.kind, record.config["epochs"])
        cost = Cost(record.seconds["total"], record.peak_memory_mb)
        self._costs.setdefault(kind, []).append(cost)

    def cost(self, cell: Cell) -> Cost | None:
        """Returns mean seconds and largest memory of similar cells; None if none has finished."""
        costs = self._costs.get((*cell.name.kind, cell.properties["epochs"]))
        if not costs:
            return None
        seconds = statistics.fmean(cost.seconds for cost in costs)
        return Cost(seconds, max(cost.memory_mb for cost in costs))

    def seconds(self, cells: Iterable[Cell]) -> list[float] | None:
        """Returns a guess for each cell, the average guess where none is similar; None if blind."""
        costs = [self.cost(cell) for cell in cells]
        known = [cost.seconds for cost in costs if cost is not None]
        if not known:
            known = [cost.seconds for kind in self._costs.values() for cost in kind]
        if not known:
            return None
        mean = statistics.fmean(known)
        return [mean if cost is None else cost.seconds for cost in costs]


def say_duration(seconds: float) -> str:
    """Returns a duration as a person would say it: ``48 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
