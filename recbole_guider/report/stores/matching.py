"""Which records of two stores are about the same cell.

Keys cannot tell: they differ as soon as one property or the version of the results does, which is
what a comparison of stores is made for. So records are matched by the cell's name (data set,
backbone, method, seed). A store may hold several records of one name: other overrides, a property
that a grid varies, trials of a search, results of an older version. Among those of one name, the
first of these that pairs exactly one record with exactly one decides:

1. the same key;
2. the same resolved properties on the same data;
3. the same resolved properties;
4. the same values of those properties in which a store's own records of that name differ. Where
   each store has one record of the name, there is no such property, and the name decides.

Trials, which leave the test split unread, are matched with trials only. Properties that cannot
change a number (paths, what is shown) do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Callable, NamedTuple, Optional

from recbole_guider.benchmark.cell import JOINED_LATER, CellName, canonical_json
from recbole_guider.benchmark.record import Record

ABSENT = "absent"  # stands for the value of a property that a record does not know


class Entry(NamedTuple):
    """A record with its properties in comparable form.

    Attributes:
        record: the record.
        properties: property -> canonical JSON of its value, without those that change no number.
        apart: the properties in which a store's records of this cell's name differ; they are part
            of what the cell is called.
    """

    record: Record
    properties: Mapping[str, str]
    apart: tuple[str, ...] = ()

    @property
    def trial(self) -> bool:
        """Whether the record is a trial of a search: it has no test values."""
        return not self.record.test

    def __str__(self) -> str:
        """Names the cell: ``ml-100k/BM3/T-CE/2022/drop_rate=0.1``."""
        own = [f"{name}={self.properties.get(name, ABSENT)}" for name in self.apart]
        return "/".join([str(self.record.cell), *own])


class Alone(NamedTuple):
    """A record without a partner; ``differing`` tells it from the nearest of its name.

    ``differing`` is None where the other store has no record of the name, and empty where it has
    several that cannot be told apart by properties.
    """

    entry: Entry
    differing: Optional[tuple[str, ...]]  # noqa: UP045 (Python 3.9)


class Matching(NamedTuple):
    """Pairs of records about one cell, and those that only the first or the second store has."""

    pairs: tuple[tuple[Entry, Entry], ...]
    first: tuple[Alone, ...]
    second: tuple[Alone, ...]


def match(first: Iterable[Record], second: Iterable[Record]) -> Matching:
    """Pairs the records of two stores, in the order of the cells' names."""
    groups: dict[tuple[CellName, bool], tuple[list[Entry], list[Entry]]] = {}
    for place, records in enumerate((first, second)):
        for record in records:
            entry = Entry(record, comparable(record))
            name = (record.cell._replace(setting=""), entry.trial)
            groups.setdefault(name, ([], []))[place].append(entry)
    pairs: list[tuple[Entry, Entry]] = []
    alone: tuple[list[Alone], list[Alone]] = ([], [])
    for name in sorted(groups):
        ours, theirs = groups[name]
        apart = tuple(sorted({*_varied(ours), *_varied(theirs)}))
        ours, theirs = (
            [entry._replace(apart=apart) for entry in sorted(side, key=_order)]
            for side in (ours, theirs)
        )
        found = _pairs(ours, theirs)
        pairs += found
        paired = {id(entry) for pair in found for entry in pair}
        for left, entries, others in zip(alone, (ours, theirs), (theirs, ours)):
            left.extend(
                Alone(entry, _nearest(entry, others))
                for entry in entries
                if id(entry) not in paired
            )
    return Matching(tuple(pairs), tuple(alone[0]), tuple(alone[1]))


def comparable(record: Record) -> dict[str, str]:
    """Returns the properties that may change a number, each value as canonical JSON."""
    return {
        name: canonical_json(value)
        for name, value in record.config.items()
        if not _as_before(name, value)
    }


def _as_before(name: str, value: object) -> bool:
    """Says whether a property has the value that records from before it was known imply."""
    return name in JOINED_LATER and canonical_json(value) == canonical_json(JOINED_LATER[name])


def differing(first: Mapping[str, str], second: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the names under which two mappings differ, sorted; a missing one differs."""
    return tuple(sorted(name for name in {*first, *second} if first.get(name) != second.get(name)))


def _order(entry: Entry) -> tuple[list[tuple[str, str]], str]:
    return sorted(entry.properties.items()), entry.record.key


def _pairs(ours: Sequence[Entry], theirs: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """Pairs entries of one name by the first criterion that pairs one with one."""
    found: list[tuple[Entry, Entry]] = []
    varied = _values_of({*_varied(ours), *_varied(theirs)})
    for criterion in (_key, _properties_and_data, _properties, varied):
        taken = {id(entry) for pair in found for entry in pair}
        left, right = (
            [entry for entry in side if id(entry) not in taken] for side in (ours, theirs)
        )
        found += _one_to_one(left, right, criterion)
    return found


def _one_to_one(
    ours: Sequence[Entry], theirs: Sequence[Entry], criterion: Callable[[Entry], object]
) -> list[tuple[Entry, Entry]]:
    groups: dict[object, tuple[list[Entry], list[Entry]]] = {}
    for side, entries in enumerate((ours, theirs)):
        for entry in entries:
            groups.setdefault(criterion(entry), ([], []))[side].append(entry)
    return [(left[0], right[0]) for left, right in groups.values() if len(left) == len(right) == 1]


def _key(entry: Entry) -> object:
    return entry.record.key


def _properties(entry: Entry) -> object:
    return tuple(sorted(entry.properties.items()))


def _properties_and_data(entry: Entry) -> object:
    return _properties(entry), entry.record.data.get("hash")


def _values_of(names: Iterable[str]) -> Callable[[Entry], object]:
    ordered = sorted(names)
    return lambda entry: tuple(entry.properties.get(name) for name in ordered)


def _varied(entries: Sequence[Entry]) -> set[str]:
    """Returns the properties that have several values among entries."""
    return {
        name for entry in entries[1:] for name in differing(entries[0].properties, entry.properties)
    }


def _nearest(entry: Entry, others: Sequence[Entry]) -> tuple[str, ...] | None:
    """Returns the properties in which an entry differs from the nearest of the others."""
    return min(
        (differing(entry.properties, other.properties) for other in others),
        key=lambda names: (len(names), names),
        default=None,
    )
