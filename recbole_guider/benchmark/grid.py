"""A grid: axes and tables in YAML, and the cells it expands to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.data.prepare import installed, not_installed
from recbole_guider.errors import InputError, nearest_name
from recbole_guider.property_layers import (
    known_keys,
    load_properties,
    names,
    property_file,
    resolve,
)

_LISTS = ("datasets", "backbones", "methods", "baselines", "metrics")
_OTHERS = ("title", "fallback_dataset", "seeds", "overrides")
# Properties that the axes of a grid decide, and the options that choose them.
_AXES = {"dataset": "--datasets", "model": "--backbones", "method": "--methods"}


@dataclass(frozen=True)
class Grid:
    """What a grid file says.

    Attributes:
        name: the file's stem; the leaderboard's files bear it.
        title: the leaderboard's heading.
        datasets: data sets in the order of the table; the same holds for the next three.
        backbones: backbones.
        methods: methods.
        baselines: methods that the others are compared with.
        metrics: columns, such as ``Recall@20``.
        seeds: how many seeds; they are ``seed``, ``seed + 1`` and so on.
        fallback_dataset: what stands in when none of the data sets is installed; None for nothing.
        overrides: properties set for every cell that knows them.
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    backbones: tuple[str, ...]
    methods: tuple[str, ...]
    baselines: tuple[str, ...]
    metrics: tuple[str, ...]
    seeds: int = 1
    fallback_dataset: Optional[str] = None  # noqa: UP045 (Python 3.9)
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """What of a grid is to be run, here and now.

    Attributes:
        grid: the grid with the axes that were selected.
        cells: the cells in the order in which they should run.
        notes: what a reader of the leaderboard must know about the selection.
        absent: data sets of the grid that are not installed -> how to get them.
    """

    grid: Grid
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]
    absent: Mapping[str, str]


def load_grid(name: str) -> Grid:
    """Reads ``properties/grid/<name>.yaml``, or a user's own YAML file given by its path.

    Raises:
        InputError: the grid is unknown, or its file cannot be used.
    """
    own = name.endswith((".yaml", ".yml")) or "/" in name
    path = Path(name) if own else property_file("grid", name)
    content = load_properties(path)
    for key in content:
        if key not in (*_LISTS, *_OTHERS):
            hint = nearest_name(key, [*_LISTS, *_OTHERS])
            raise InputError(f"unknown entry '{key}'", where=path, mend=hint)
    axes = {key: _list(content, key, path) for key in _LISTS}
    seeds = content.get("seeds", 1)
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise InputError(
            f"seeds is {seeds!r}, expected a count of at least 1",
            where=path,
            mend="Write for example seeds: 3.",
        )
    overrides = content.get("overrides") or {}
    if not isinstance(overrides, dict):
        raise InputError(
            f"overrides is {overrides!r}, expected 'key: value' pairs",
            where=path,
            mend="Write one property a line below overrides:.",
        )
    return Grid(
        name=path.stem,
        title=str(content.get("title") or path.stem),
        seeds=seeds,
        fallback_dataset=content.get("fallback_dataset"),
        overrides=overrides,
        **axes,
    )


def _list(content: Mapping[str, Any], key: str, path: Path) -> tuple[str, ...]:
    value = content.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise InputError(
            f"{key} is {value!r}, expected a list of names",
            where=path,
            mend=f"Write for example {key}: [a, b].",
        )
    return tuple(dict.fromkeys(value))


def select(
    grid: Grid,
    *,
    datasets: Sequence[str] = (),
    backbones: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: Optional[int] = None,  # noqa: UP045
    files: Sequence[str] = (),
    command_line: Mapping[str, Any] | None = None,
) -> Selection:
    """Expands a grid, or what the user selected of it, to cells.

    The order is data set, backbone, seed, method: a run that stops early leaves one backbone after
    the other compared across all methods on the same seeds, rather than many methods of which none
    can be compared with another.

    Args:
        grid: the grid.
        datasets: data sets to run instead of the grid's; the same holds for the next two. A name
            that the suite knows need not be one of the grid's.
        backbones: backbones.
        methods: methods.
        seeds: how many seeds, instead of the grid's number.
        files: YAML files of properties; they win over the grid's overrides.
        command_line: properties that win over everything.

    Raises:
        InputError: an unknown name or property, or a data set asked for by name is not installed.
    """
    overrides, sources = _layered(grid, files, command_line or {})
    chosen_backbones = _known("model", backbones or grid.backbones)
    chosen_methods = _known("method", methods or grid.methods)
    data_path = Path(
        overrides.get("data_path")
        or resolve(chosen_backbones[0], chosen_methods[0], grid.datasets[0])["data_path"]
    )
    chosen_datasets, absent, notes = _present(grid, tuple(dict.fromkeys(datasets)), data_path)
    count = grid.seeds if seeds is None else seeds
    known = {
        (d, b, m): known_keys(b, m, d)
        for d in chosen_datasets
        for b in chosen_backbones
        for m in chosen_methods
    }
    every = frozenset().union(*known.values())
    for key, where in sources.items():
        if key not in every:
            hint = nearest_name(key, every)
            raise InputError("no cell of this grid knows the property", where=where, mend=hint)
    start = overrides.pop("seed", None)
    cells = []
    for dataset in chosen_datasets:
        for backbone in chosen_backbones:
            first = _first_seed(start, resolve(backbone, chosen_methods[0], dataset))
            for seed in range(first, first + count):
                for method in chosen_methods:
                    own = known[dataset, backbone, method]
                    applied = {key: value for key, value in overrides.items() if key in own}
                    cells.append(Cell(CellName(dataset, backbone, method, seed), applied))
    for cell in cells:  # what cannot be meant is refused before anything runs
        _require_metrics(grid, cell.properties)
    shown = {key: value for key, value in overrides.items() if key != "data_path"}
    if shown:
        listed = ", ".join(f"{key}={value}" for key, value in sorted(shown.items()))
        notes.append(f"Set for every cell that knows the property: {listed}.")
    selected = replace(
        grid,
        datasets=chosen_datasets,
        backbones=chosen_backbones,
        methods=chosen_methods,
        seeds=count,
    )
    return Selection(selected, tuple(cells), tuple(notes), absent)


def _layered(
    grid: Grid, files: Sequence[str], command_line: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns the overrides in their order of precedence, and where each was last set."""
    overrides: dict[str, Any] = {}
    sources: dict[str, str] = {}
    layers: list[tuple[str, Mapping[str, Any]]] = [(f"grid {grid.name}: ", grid.overrides)]
    layers += [(f"{path}: ", load_properties(path)) for path in files]
    for where, layer in [*layers, ("--", command_line)]:
        overrides.update(layer)
        sources.update({key: f"{where}{key}" for key in layer})
    for key, option in _AXES.items():
        if key in overrides:
            raise InputError(
                "is an axis of the grid and no property of its cells",
                where=sources[key],
                mend=f"Use {option} {overrides[key]}.",
            )
    return overrides, sources


def _known(kind: str, chosen: Sequence[str]) -> tuple[str, ...]:
    for name in chosen:
        property_file(kind, name)  # raises for a name that the suite does not know
    return tuple(dict.fromkeys(chosen))


def _present(
    grid: Grid, asked: tuple[str, ...], data_path: Path
) -> tuple[tuple[str, ...], dict[str, str], list[str]]:
    """Returns data sets to run, those of the grid that are absent, and notes for the reader."""
    here = {*installed(data_path), *_brought()}
    absent = {
        name: not_installed(name, data_path / name)
        for name in (asked or grid.datasets)
        if name not in here
    }
    if asked and absent:
        raise next(iter(absent.values()))
    present = tuple(name for name in (asked or grid.datasets) if name not in absent)
    notes = []
    if absent:
        unknown = [error for name, error in absent.items() if name not in names("dataset")]
        if unknown:
            raise unknown[0]
        listed = ", ".join(absent)
        if present:
            notes.append(f"Not installed and therefore left out: {listed}.")
        elif grid.fallback_dataset:
            present = (grid.fallback_dataset,)
            notes.append(
                f"None of this grid's data sets ({listed}) is installed; {grid.fallback_dataset} "
                "stands in."
            )
        else:
            raise next(iter(absent.values()))
    advice = {name: _how_to_get(name) for name in absent}
    return present, advice, notes


def _how_to_get(dataset: str) -> str:
    """Returns the advice of a data set's property file; nothing for one that the suite brings."""
    return str(load_properties(property_file("dataset", dataset)).get("how_to_get") or "")


def _brought() -> list[str]:
    """Returns the data sets that are made on first use."""
    return [name for name in names("dataset") if not _how_to_get(name)]


def _require_metrics(grid: Grid, properties: Mapping[str, Any]) -> None:
    metrics, cutoffs = (_as_list(properties[key]) for key in ("metrics", "topk"))
    computed = {f"{metric}@{cutoff}".lower() for metric in metrics for cutoff in cutoffs}
    for metric in grid.metrics:
        if metric.lower() not in computed:
            raise InputError(
                f"shows {metric}, but its cells compute {', '.join(sorted(computed))} only",
                where=f"grid {grid.name}",
                mend="Set metrics and topk to cover it.",
            )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _first_seed(given: Any, properties: Mapping[str, Any]) -> int:
    first = properties["seed"] if given is None else given
    if isinstance(first, bool) or not isinstance(first, int):
        raise InputError(
            f"expected a whole number, found {first!r}",
            where="seed",
            mend="Write for example --seed=2022; --seeds says how many.",
        )
    return first
