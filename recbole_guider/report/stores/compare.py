"""What has changed between two results folders: cells, numbers, and how they were made."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from recbole_guider.benchmark.record import DamagedError, Record
from recbole_guider.benchmark.store import Store
from recbole_guider.errors import InputError
from recbole_guider.report.markdown import SIGNIFICANCE
from recbole_guider.report.stores.differences import Compared, Origin, compare_pairs
from recbole_guider.report.stores.matching import Alone, match

_WIDTH = 40  # characters of a value in a table


def compare_folders(first: str | Path, second: str | Path) -> tuple[str, bool]:
    """Compares the records of two results folders; nothing on the disk changes.

    Args:
        first: a folder of records, called A in the text.
        second: another one, B.

    Returns:
        Lines for a reader, and whether a metric of a cell differs significantly. How cells are
        matched is said in ``matching``, what is tested in ``differences.compare_pairs``.

    Raises:
        InputError: a folder cannot be read or holds no whole record.
    """
    damaged: list[str] = []
    stores = [_records(Path(folder), damaged) for folder in (first, second)]
    matching = match(*stores)
    compared = compare_pairs(matching.pairs)
    lines = [
        f"A: {first}: {_count(len(stores[0]), 'record')}",
        f"B: {second}: {_count(len(stores[1]), 'record')}",
        *damaged,
        _summary(compared, sum(ours.trial for ours, _ in matching.pairs)),
    ]
    blocks = ["\n".join(lines), _changes(compared), _origins(compared)]
    blocks += [_alone("A", matching.first), _alone("B", matching.second)]
    return "\n\n".join(filter(None, blocks)), any(map(_significant, compared))


def _records(folder: Path, damaged: list[str]) -> list[Record]:
    store, found = Store(folder), []
    for key in store.recorded():
        try:
            record = store.inspect(key)
        except DamagedError as damage:
            damaged.append(f"left out: {store.record_file(key)}: damaged record ({damage})")
            continue
        if record is not None:  # it has not gone meanwhile
            found.append(record)
    if not found:
        raise InputError(
            "holds no whole record", where=folder, mend="Name the --results folder of a run."
        )
    return found


def _significant(one: Compared) -> bool:
    return one.significant(SIGNIFICANCE)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _summary(compared: Sequence[Compared], trials: int) -> str:
    equal = sum(one.equal for one in compared)
    significant = sum(map(_significant, compared))
    text = (
        f"{_count(len(compared), 'cell')} in both: {equal} equal, {len(compared) - equal} "
        f"different, {significant} of them significantly (two-sided paired t test over users, "
        f"p < {SIGNIFICANCE:g} after Holm's correction over all cells of a metric)."
    )
    if trials:
        text += f" {_count(trials, 'trial')} of a search among them: validation values only."
    return text


def _changes(compared: Sequence[Compared]) -> str:
    rows = [
        [
            one.cell,
            change.metric,
            _number(change.first),
            _number(change.second),
            ""
            if math.isnan(change.second - change.first)
            else f"{change.second - change.first:+.4g}",
            "" if math.isnan(change.p_holm) else f"{change.p_holm:.3g}",
            "*" if change.p_holm < SIGNIFICANCE else "",
            str(change.users or ""),
        ]
        for one in compared
        for change in one.changes
        if not change.equal
    ]
    if not rows:
        return ""
    headers = ["cell", "metric", "A", "B", "B - A", "p (Holm)", "", "users"]
    return _table(headers, rows, numbers=range(2, 8))


def _origins(compared: Sequence[Compared]) -> str:
    """Returns what differs in how the numbers of the cells in both folders were made."""
    cells: Counter[Origin] = Counter()
    changed: Counter[Origin] = Counter()
    for one in compared:
        cells.update(one.origins)
        changed.update(() if one.equal else one.origins)
    if not cells:
        return ""
    rows = [
        [
            origin.kind,
            origin.name,
            _short(origin.first),
            _short(origin.second),
            str(cells[origin]),
            str(changed[origin]),
        ]
        for origin in cells  # in the order of the first cell that has it
    ]
    headers = ["what differs", "", "A", "B", "cells", "with other numbers"]
    return _table(headers, rows, numbers=(4, 5))


def _alone(name: str, alone: Sequence[Alone]) -> str:
    if not alone:
        return ""
    return "\n".join(
        [f"Only in {name}: {_count(len(alone), 'record')}", *(f"  {_why(one)}" for one in alone)]
    )


def _why(one: Alone) -> str:
    if one.differing is None:
        return str(one.entry)
    if not one.differing:
        return f"{one.entry} (the other folder has several that differ in no property)"
    return f"{one.entry} (nearest in the other folder differs in {', '.join(one.differing)})"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> str:
    places = ["right" if place in numbers else "left" for place in range(len(headers))]
    return tabulate(rows, headers=headers, disable_numparse=True, colalign=places)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _short(value: str) -> str:
    return value if len(value) <= _WIDTH else f"{value[: _WIDTH - 3]}..."
