"""What finished cells have cost: processor time, epochs and memory, by method.

These figures differ from run to run, so they are told on request and stand in no leaderboard file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Protocol

from recbole_guider.report.markdown import HOLE, table
from recbole_guider.report.results import Cell, CellKey, ResultKey, cell_key, result_key


class Costly(Protocol):
    """What is read of a finished cell."""

    @property
    def cell(self) -> Cell:
        """What the record is the result of."""

    @property
    def seconds(self) -> Mapping[str, float]:
        """``processor``: what the cell's process computed, on all cores."""

    @property
    def epochs(self) -> int:
        """How many were trained."""

    @property
    def peak_memory_mb(self) -> float:
        """Largest resident size of the cell's process in MiB."""


def _seconds(record: Costly) -> float | None:
    return record.seconds.get("processor")  # not in records of early versions


def _per_epoch(record: Costly) -> float | None:
    seconds = _seconds(record)
    return None if seconds is None or record.epochs < 1 else seconds / record.epochs


_MEASURES: Mapping[str, tuple[str, Callable[[Costly], float | None]]] = {
    "seconds": (".0f", _seconds),
    "epochs": (".0f", lambda record: record.epochs),
    "seconds per epoch": (".2f", _per_epoch),
    "memory, MiB": (".0f", lambda record: record.peak_memory_mb),
}


def cost_table(cells: Iterable[CellKey], records: Sequence[Costly]) -> str:
    """Returns a Markdown table: methods in columns, medians over the seeds that have finished.

    Seconds are the processor's, of a whole run: reading data, training, validation and test. Those
    per epoch are these divided by the epochs, so that short runs bear more of the set-up.

    Args:
        cells: what a grid asks for, in its order; the rows' and columns' order.
        records: finished cells in any order; those that are not asked for are left out.
    """
    found: dict[ResultKey, list[Costly]] = {}
    for record in records:
        found.setdefault(result_key(cell_key(record.cell)), []).append(record)
    asked = [key for key in dict.fromkeys(map(result_key, cells)) if key in found]
    methods = list(dict.fromkeys(key.method for key in asked))
    varies = any(key.setting for key in asked)
    rows = []
    for place in dict.fromkeys(key._replace(method="") for key in asked):
        runs = [found.get(place._replace(method=method), ()) for method in methods]
        setting = [place.setting or "any"] if varies else []
        for measure, (form, of) in _MEASURES.items():
            shown = [_median(map(of, own), form) for own in runs]
            rows.append([place.dataset, place.backbone, *setting, measure, *shown])
    headers = ["data set", "backbone", *(["setting"] if varies else []), "median of a run"]
    return table([*headers, *methods], rows)


def _median(values: Iterable[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return format(median(known), form) if known else HOLE
