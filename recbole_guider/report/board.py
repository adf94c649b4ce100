"""What a leaderboard shows and in which order: the grid's axes, what was asked and what came."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recbole_guider.registry import BARE
from recbole_guider.report.comparison import Comparison, compare_records
from recbole_guider.report.results import (
    CellKey,
    Record,
    Result,
    ResultKey,
    cell_key,
    cell_of,
    result_key,
)


@dataclass(frozen=True)
class Board:
    """A grid's results in reading order.

    Attributes:
        name: the grid's name, which the files bear.
        title: what the grid is about.
        datasets: data sets of which a cell has finished or failed (all of them where none has), in
            the grid's order, then by name; not those with one setting beside some with several.
        backbones: the same for backbones.
        waiting: what has not run of other data sets and backbones, as ``asked``.
        methods: the same for methods, the bare backbone first.
        metrics: metrics in the grid's order; higher is better in all of them.
        baselines: methods that the proposed ones are compared with.
        settings: settings of the varied property that have cells, in the grid's order; one empty
            setting where nothing varies.
        values: setting -> the varied property's value; empty where nothing varies.
        vary: the property that varies; None for none.
        figure: kind of the figure; None for none.
        asked: result -> the seeds that the grid asks for, ascending; of the data sets and backbones
            above.
        failures: cell -> why it failed, for cells without a record.
        records: the finished cells, ordered by name.
        comparison: results and comparisons of those cells.
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    backbones: tuple[str, ...]
    waiting: Mapping[ResultKey, tuple[int, ...]]
    methods: tuple[str, ...]
    metrics: tuple[str, ...]
    baselines: tuple[str, ...]
    settings: tuple[str, ...]
    values: Mapping[str, Any]
    vary: str | None
    figure: str | None
    asked: Mapping[ResultKey, tuple[int, ...]]
    failures: Mapping[CellKey, str]
    records: tuple[Record, ...]
    comparison: Comparison

    @functools.cached_property
    def headline(self) -> str:
        """The metric of gains and ranks: what validation chose by, else the grid's first."""
        chosen_by = {result.valid_metric.lower() for result in self.comparison.results.values()}
        return next((one for one in self.metrics if one.lower() in chosen_by), self.metrics[0])

    @functools.cached_property
    def noisy(self) -> frozenset[str]:
        """The data sets of which a record was made with noise: pairs, or swapped content."""
        return frozenset(record.cell.dataset for record in self.records if _with_noise(record))

    def keys(self, dataset: str) -> Iterator[ResultKey]:
        """Yields the results asked for on a data set, in reading order."""
        for backbone, method in self.rows():
            for setting in dict.fromkeys(["", *self.settings]):
                key = ResultKey(dataset, backbone, method, setting)
                if key in self.asked:
                    yield key

    def places(self, dataset: str) -> Iterator[ResultKey]:
        """Yields what stands in the table's cells of a data set, a column after the other.

        A place is a result's key with the setting of its column; a result without a setting stands
        in every column.
        """
        for setting in self.settings:
            for backbone, method in self.rows():
                place = ResultKey(dataset, backbone, method, setting)
                if self.key_at(place) is not None:
                    yield place

    def key_at(self, place: ResultKey) -> ResultKey | None:
        """Returns the result that is asked for at a place, None if none is."""
        shared = place._replace(setting="")
        return place if place in self.asked else shared if shared in self.asked else None

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yields (backbone, method) in reading order, wherever some data set asks for it."""
        wanted = {(key.backbone, key.method) for key in self.asked}
        for backbone in self.backbones:
            for method in self.methods:
                if (backbone, method) in wanted:
                    yield backbone, method

    def result(self, place: ResultKey) -> Result | None:
        """Returns the result at a place, None if no seed of it has finished."""
        key = self.key_at(place)
        return self.comparison.results.get(key) if key else None

    def finished(self, key: ResultKey) -> tuple[int, ...]:
        """Returns the seeds of a result that finished."""
        result = self.comparison.results.get(key)
        return result.seeds if result else ()

    def proposed(self) -> list[str]:
        """Returns the methods that are no baselines."""
        return [method for method in self.methods if method not in self.baselines]

    def rivals(self) -> list[str]:
        """Returns the baselines among the methods, of which the best is compared with."""
        return [method for method in self.baselines if method in self.methods]

    def has_choice(self) -> bool:
        """Whether there are several of them, so that validation chooses the best."""
        return len(self.rivals()) > 1

    def rival(self) -> str:
        """Names in words what proposed methods are compared with."""
        rivals = self.rivals()
        if len(rivals) != 1:
            return "the best baseline"
        return "the bare backbone" if rivals[0] == BARE else rivals[0]


def _with_noise(record: Record) -> bool:
    swapped = record.config.get("content_noise")
    swapped = any(swapped.values()) if isinstance(swapped, Mapping) else swapped
    return any((record.data.get("injected"), record.config.get("removed_ratio"), swapped))


def arrange(
    grid: Mapping[str, Any],
    cells: Iterable[CellKey],
    records: Iterable[Record],
    failures: Mapping[CellKey, str],
) -> Board:
    """Puts a grid's records in reading order and compares them; other records are left out.

    Args:
        grid: name, title, datasets, backbones, methods, baselines, metrics, vary and settings of a
            grid file.
        cells: what the grid asks for: (data set, backbone, method, seed, setting).
        records: finished cells in any order.
        failures: cell -> reason, for cells that failed.

    Raises:
        InputError: the records cannot share a column.
    """
    expected = {(str(d), str(b), str(m), int(s), str(v)) for d, b, m, s, v in cells}
    kept = [record for record in records if cell_key(record.cell) in expected]
    kept.sort(key=lambda record: cell_key(record.cell))
    finished = {cell_key(record.cell) for record in kept}
    asked: dict[ResultKey, tuple[int, ...]] = {}
    for cell in sorted(expected):
        key = result_key(cell)
        asked[key] = (*asked.get(key, ()), cell[3])
    ended = finished.union(expected.intersection(failures))
    asked, waiting = _begun(asked, ended)
    kept = [record for record in kept if result_key(cell_key(record.cell)) in asked]
    values = dict(grid.get("settings") or {})
    settings = _in_order(list(values), (key.setting for key in asked if key.setting)) or ("",)
    metrics = tuple(str(metric) for metric in grid["metrics"])
    baselines = tuple(str(name) for name in grid.get("baselines") or [BARE])
    methods = _in_order(grid.get("methods"), (key.method for key in asked))
    return Board(
        name=str(grid["name"]),
        title=str(grid.get("title") or grid["name"]),
        datasets=_in_order(grid.get("datasets"), (key.dataset for key in asked)),
        backbones=_in_order(grid.get("backbones"), (key.backbone for key in asked)),
        waiting=waiting,
        methods=tuple(sorted(methods, key=lambda name: name != BARE)),
        metrics=metrics,
        baselines=baselines,
        settings=settings,
        values={setting: values.get(setting) for setting in settings if setting},
        vary=grid.get("vary"),
        figure=grid.get("figure"),
        asked=asked,
        failures={
            cell: str(failures[cell])
            for cell in sorted(expected - finished)
            if failures.get(cell) is not None
        },
        records=tuple(kept),
        comparison=compare_records(kept, metrics, baselines, settings),
    )


def _begun(
    asked: Mapping[ResultKey, tuple[int, ...]], ended: Collection[CellKey]
) -> tuple[dict[ResultKey, tuple[int, ...]], dict[ResultKey, tuple[int, ...]]]:
    """Splits what is asked for: data sets and backbones of which a cell has ended, and the rest.

    So a grid of which one data set or backbone has finished shows a whole, smaller table. Where a
    property varies, cells of one setting alone do not show a data set beside one that has several:
    another grid shares the setting that changes nothing, and ran them. The rest has the seeds that
    have not ended.
    """
    datasets, backbones = _shown(ended, 0), _shown(ended, 1)
    begun, rest = {}, {}
    for key, seeds in asked.items():
        if not ended or (key.dataset in datasets and key.backbone in backbones):
            begun[key] = seeds
        else:
            rest[key] = tuple(seed for seed in seeds if cell_of(key, seed) not in ended)
    return begun, rest


def _shown(ended: Iterable[CellKey], axis: int) -> set[str | int]:
    """Returns the names on a cell's axis that have several settings, else all that ended."""
    settings: dict[str | int, set[str]] = {}
    for cell in ended:
        settings.setdefault(cell[axis], set()).add(cell[4])
    several = {name for name, found in settings.items() if len(found) > 1}
    return several or set(settings)


def _in_order(listed: Sequence[str] | None, present: Iterable[str]) -> tuple[str, ...]:
    """Returns the present names: first those listed, in that order, then the others by name."""
    names = set(present)
    first = [str(name) for name in dict.fromkeys(listed or ()) if name in names]
    return (*first, *sorted(names.difference(first)))
