"""How the numbers of two records of one cell differ, and what differs in how they were made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recbole_guider.benchmark.cell import canonical_json
from recbole_guider.benchmark.record import Record
from recbole_guider.report.statistics import compare_paired, holm
from recbole_guider.report.stores.matching import ABSENT, Entry, differing


class Change(NamedTuple):
    """A metric of one cell in two stores.

    Attributes:
        metric: the metric, such as ``recall@20``; ``validation recall@20`` where it is not of the
            test split.
        first: its mean in the first store; nan where the record lacks it.
        second: its mean in the second store.
        equal: whether both records hold the same values, for each user too.
        users: common users of the paired test; 0 where there is none.
        p_value: two-sided paired t test over these users; 1 for equal values, nan without test
            values on both sides.
        p_holm: after Holm's correction over all cells compared in this metric.
    """

    metric: str
    first: float
    second: float
    equal: bool
    users: int = 0
    p_value: float = math.nan
    p_holm: float = math.nan


class Origin(NamedTuple):
    """Something that differs in how two records were made: a property, a version, data, ..."""

    kind: str
    name: str
    first: str
    second: str


@dataclass(frozen=True)
class Compared:
    """One cell in two stores.

    Attributes:
        cell: what the cell is called.
        equal: whether all numbers are the same, those of each user included.
        changes: metric by metric; equal ones too.
        origins: what differs in how the numbers were made.
    """

    cell: str
    equal: bool
    changes: tuple[Change, ...]
    origins: tuple[Origin, ...]

    def significant(self, level: float) -> bool:
        """Whether a metric differs significantly over users."""
        return any(change.p_holm < level for change in self.changes)


def compare_pairs(pairs: Sequence[tuple[Entry, Entry]]) -> list[Compared]:
    """Compares the records of each pair; arrays of one pair at a time are in memory.

    Test metrics are compared on the users that both records have, by a two-sided paired t test.
    The cells compared are one family of Holm's correction for each metric; equal cells count in
    it. The test asks whether two runs differ by more than users do by chance; it cannot say
    whether another seed would show the same.
    """
    compared = []
    for first, second in pairs:
        changes = _changes(first.record, second.record)
        compared.append(
            Compared(
                cell=str(first),
                equal=all(change.equal for change in changes),
                changes=tuple(changes),
                origins=tuple(_origins(first, second)),
            )
        )
    return _corrected(compared)


def _corrected(compared: Sequence[Compared]) -> list[Compared]:
    """Returns what was compared with p values after Holm's correction."""
    places: dict[str, list[tuple[int, int]]] = {}
    for row, one in enumerate(compared):
        for column, change in enumerate(one.changes):
            if not math.isnan(change.p_value):
                places.setdefault(change.metric, []).append((row, column))
    changes = [list(one.changes) for one in compared]
    for family in places.values():
        adjusted = holm([changes[row][column].p_value for row, column in family])
        for (row, column), p_holm in zip(family, adjusted):
            changes[row][column] = changes[row][column]._replace(p_holm=float(p_holm))
    return [
        Compared(one.cell, one.equal, tuple(own), one.origins)
        for one, own in zip(compared, changes)
    ]


def _changes(first: Record, second: Record) -> list[Change]:
    """Returns the test metrics, and of validation the one that chose the epoch; a trial's all."""
    changes = []
    same = first.arrays == second.arrays and first.test == second.test
    arrays = [] if same else [first.load(), second.load()]
    for metric in dict.fromkeys([*first.test, *second.test]):
        means = (first.test.get(metric, math.nan), second.test.get(metric, math.nan))
        if same:
            changes.append(Change(metric, *means, equal=True, p_value=1.0))
        elif all(metric in one and "users" in one for one in arrays):
            changes.append(_tested(metric, means, arrays))
        else:
            changes.append(Change(metric, *means, equal=False))
    chose = str(first.config["valid_metric"]).lower()
    if not first.test:
        whole = dict.fromkeys([*first.valid, *second.valid])
        pairs = {metric: first.valid.get(metric) == second.valid.get(metric) for metric in whole}
    else:  # one number is enough to show that the choice of the epoch rests on others
        pairs = {chose: first.valid == second.valid}
    for metric, equal in pairs.items():
        means = (first.valid.get(metric, math.nan), second.valid.get(metric, math.nan))
        changes.append(Change(f"validation {metric}", *means, equal))
    return changes


def _tested(metric: str, means: tuple[float, float], arrays: Sequence[Mapping[str, Any]]) -> Change:
    values = [one[metric] for one in arrays]
    if np.array_equal(arrays[0]["users"], arrays[1]["users"]):
        equal = bool(np.array_equal(values[0], values[1])) and means[0] == means[1]
    else:
        equal = False
        _, *places = np.intersect1d(
            arrays[0]["users"], arrays[1]["users"], assume_unique=True, return_indices=True
        )
        values = [one[place] for one, place in zip(values, places)]
    # The interval is not asked for: one resample is the fewest.
    paired = compare_paired(values[1], values[0], resamples=1)
    return Change(metric, *means, equal, paired.n, paired.p_value)


def _origins(first: Entry, second: Entry) -> list[Origin]:
    ours, theirs = first.record, second.record
    parts: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("property", first.properties, second.properties),
        ("data", _texts(ours.data), _texts(theirs.data)),
        ("version", _texts(ours.versions), _texts(theirs.versions)),
        ("code", _texts(ours.source), _texts(theirs.source)),
        ("hardware", _texts(ours.hardware), _texts(theirs.hardware)),
    ]
    return [
        Origin(kind, name, str(one.get(name, ABSENT)), str(other.get(name, ABSENT)))
        for kind, one, other in parts
        for name in differing(one, other)
    ]


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: canonical_json(value) for name, value in values.items()}
