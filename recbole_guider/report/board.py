"""What a leaderboard shows and in which order: the grid's axes, what was asked and what came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recbole_guider.report.comparison import BARE, Comparison, compare_records
from recbole_guider.report.results import CellKey, Record, ResultKey, cell_key


@dataclass(frozen=True)
class Board:
    """A grid's results in reading order.

    Attributes:
        name: the grid's name, which the files bear.
        title: what the grid is about.
        datasets: data sets that have cells, in the grid's order, then by name.
        backbones: the same for backbones.
        methods: the same for methods, the bare backbone first.
        metrics: metrics in the grid's order; higher is better in all of them.
        baselines: methods that the proposed ones are compared with.
        asked: result -> the seeds that the grid asks for, ascending.
        failures: cell -> why it failed, for cells without a record.
        records: the finished cells, ordered by name.
        comparison: results and comparisons of those cells.
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    backbones: tuple[str, ...]
    methods: tuple[str, ...]
    metrics: tuple[str, ...]
    baselines: tuple[str, ...]
    asked: Mapping[ResultKey, tuple[int, ...]]
    failures: Mapping[CellKey, str]
    records: tuple[Record, ...]
    comparison: Comparison

    def keys(self, dataset: str) -> Iterator[ResultKey]:
        """Yields the results asked for on a data set, in reading order."""
        for backbone, method in self.rows():
            key = ResultKey(dataset, backbone, method)
            if key in self.asked:
                yield key

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yields (backbone, method) in reading order, wherever some data set asks for it."""
        wanted = {(key.backbone, key.method) for key in self.asked}
        for backbone in self.backbones:
            for method in self.methods:
                if (backbone, method) in wanted:
                    yield backbone, method

    def finished(self, key: ResultKey) -> tuple[int, ...]:
        """Returns the seeds of a result that finished."""
        result = self.comparison.results.get(key)
        return result.seeds if result else ()

    def proposed(self) -> list[str]:
        """Returns the methods that are no baselines."""
        return [method for method in self.methods if method not in self.baselines]


def arrange(
    grid: Mapping[str, Any],
    cells: Iterable[CellKey],
    records: Iterable[Record],
    failures: Mapping[CellKey, str],
) -> Board:
    """Puts a grid's records in reading order and compares them; other records are left out.

    Args:
        grid: name, title, datasets, backbones, methods, baselines and metrics of a grid file.
        cells: what the grid asks for: (data set, backbone, method, seed).
        records: finished cells in any order.
        failures: cell -> reason, for cells that failed.

    Raises:
        InputError: the records cannot share a column.
    """
    expected = {(str(d), str(b), str(m), int(s)) for d, b, m, s in cells}
    kept = [record for record in records if cell_key(record.cell) in expected]
    kept.sort(key=lambda record: cell_key(record.cell))
    finished = {cell_key(record.cell) for record in kept}
    asked: dict[ResultKey, tuple[int, ...]] = {}
    for dataset, backbone, method, seed in sorted(expected):
        key = ResultKey(dataset, backbone, method)
        asked[key] = (*asked.get(key, ()), seed)
    metrics = tuple(str(metric) for metric in grid["metrics"])
    baselines = tuple(str(name) for name in grid.get("baselines") or [BARE])
    methods = _in_order(grid.get("methods"), (key.method for key in asked))
    return Board(
        name=str(grid["name"]),
        title=str(grid.get("title") or grid["name"]),
        datasets=_in_order(grid.get("datasets"), (key.dataset for key in asked)),
        backbones=_in_order(grid.get("backbones"), (key.backbone for key in asked)),
        methods=tuple(sorted(methods, key=lambda name: name != BARE)),
        metrics=metrics,
        baselines=baselines,
        asked=asked,
        failures={
            cell: str(failures[cell])
            for cell in sorted(expected - finished)
            if failures.get(cell) is not None
        },
        records=tuple(kept),
        comparison=compare_records(kept, metrics, baselines),
    )


def _in_order(listed: Sequence[str] | None, present: Iterable[str]) -> tuple[str, ...]:
    """Returns the present names: first those listed, in that order, then the others by name."""
    names = set(present)
    first = [str(name) for name in dict.fromkeys(listed or ()) if name in names]
    return (*first, *sorted(names.difference(first)))
