"""What of a grid is run here and now: the cells it expands to, and what a reader must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from recbole_guider.benchmark.cell import WITHOUT_EFFECT, Cell, CellName
from recbole_guider.benchmark.choosing.search import Search
from recbole_guider.benchmark.choosing.trials import Kind, Trial, trial_cells
from recbole_guider.benchmark.grid import Grid
from recbole_guider.benchmark.presence import present_datasets
from recbole_guider.benchmark.vary import AXES, chosen_settings
from recbole_guider.errors import InputError, nearest_name
from recbole_guider.property_layers import (
    known_keys,
    lay_over,
    load_properties,
    property_file,
    resolve,
)
from recbole_guider.registry import BARE


@dataclass(frozen=True)
class Selection:
    """What of a grid is to be run, here and now.

    Attributes:
        grid: the grid with the axes that were selected; its name ends in ``-selection`` where the
            user chose other cells than the grid's, so that the grid's own tables stay.
        cells: the cells in the order in which they should run; where the grid searches, they lack
            the values that their trials will choose.
        notes: what a reader of the leaderboard must know about the selection.
        absent: data sets of the grid that are not installed -> how to get them.
        trials: data set, backbone and method -> the trials that choose its values, the bare
            backbone's among them whether it is a method of the grid or not; empty where nothing is
            searched.
    """

    grid: Grid
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]
    absent: Mapping[str, str]
    trials: Mapping[Kind, tuple[Trial, ...]] = field(default_factory=dict)


def select(
    grid: Grid,
    *,
    datasets: Sequence[str] = (),
    backbones: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: Optional[int] = None,  # noqa: UP045
    settings: Sequence[str] = (),
    trials: Optional[int] = None,  # noqa: UP045
    files: Sequence[str] = (),
    command_line: Mapping[str, Any] | None = None,
) -> Selection:
    """Expands a grid, or what the user selected of it, to cells.

    The order is data set, backbone, seed, setting, method: a run that stops early leaves one
    backbone after the other compared across all methods on the same seeds, rather than many methods
    of which none can be compared with another. A combination that does not know the property that
    varies has one cell, which comes with the first setting.

    Args:
        grid: the grid.
        datasets: data sets to run instead of the grid's; the same holds for the next two. A name
            that the suite knows need not be one of the grid's.
        backbones: backbones.
        methods: methods.
        seeds: how many seeds on every data set, instead of the grid's numbers.
        settings: values of the varied property, or names of settings, to run of the grid's.
        trials: how many trials, instead of the grid's number; the grid need not name a search. 1
            tries nothing but the property files' values.
        files: YAML files of properties; they win over the grid's overrides.
        command_line: properties that win over everything.

    Raises:
        InputError: an unknown name, value or property, or a data set asked for by name is not
            installed.
    """
    of_settings = chosen_settings(grid.vary, grid.settings, settings)
    overrides, sources = _layered(grid, files, command_line or {})
    chosen_backbones = _chosen("model", backbones, grid.backbones)
    chosen_methods = _chosen("method", methods, grid.methods)
    data_path = Path(
        overrides.get("data_path")
        or resolve(chosen_backbones[0], chosen_methods[0], grid.datasets[0])["data_path"]
    )
    asked = _ordered(datasets, grid.datasets)
    chosen_datasets, absent, notes = present_datasets(grid, asked, data_path)
    wanted = grid if seeds is None else replace(grid, seeds=seeds, seeds_on={})
    tuned = tuple(dict.fromkeys([BARE, *chosen_methods]))
    known = {(b, m): known_keys(b, m) for b in chosen_backbones for m in tuned}
    every = frozenset().union(*(own for (_, m), own in known.items() if m in chosen_methods))
    _check_known(grid, every, sources)
    start = overrides.pop("seed", None)
    of_pair = {
        pair: {key: value for key, value in overrides.items() if key in own}
        for pair, own in known.items()
    }
    cells: list[Cell] = []
    search = _search(grid.search, trials)
    tried: dict[Kind, tuple[Trial, ...]] = {}
    for dataset in chosen_datasets:
        for backbone in chosen_backbones:
            first = _first_seed(start, resolve(backbone, chosen_methods[0], dataset))
            if search is not None:
                run_seed = first if search.run_seed is None else search.run_seed
                for method in tuned:
                    kind, pair = (dataset, backbone, method), (backbone, method)
                    tried[kind] = trial_cells(
                        search, kind, run_seed, of_pair[pair], known[pair], grid.vary
                    )
            for seed in range(first, first + wanted.seeds_of(dataset)):
                for place, setting in enumerate(of_settings or [""]):
                    for method in chosen_methods:
                        name = CellName(dataset, backbone, method, seed)
                        applied = of_pair[backbone, method]
                        if grid.vary in known[backbone, method]:
                            applied = {**applied, grid.vary: of_settings[setting]}
                            cells.append(Cell(name._replace(setting=setting), applied))
                        elif place == 0:
                            cells.append(Cell(name, applied))
    narrowed = [
        *_narrowed(asked or grid.datasets, grid.datasets),
        *_narrowed(chosen_backbones, grid.backbones),
        *_narrowed(chosen_methods, grid.methods),
        *_narrowed(tuple(of_settings), tuple(grid.settings)),
        *([] if search == grid.search else [_trials(search)]),
        *_fewer_or_more(grid, wanted, chosen_datasets),
    ]
    notes += narrowed
    notes += [
        f"{backbone} + {method} on {dataset} has {len(few)} setting{'s' if len(few) > 1 else ''} "
        f"to try, not {search.count(method)}."
        for (dataset, backbone, method), few in tried.items()
        if search is not None and len(few) < search.count(method)
    ]
    for cell in cells:  # what cannot be meant is refused before anything runs
        _require_metrics(grid, cell.properties)
    shown = {key: value for key, value in overrides.items() if key not in WITHOUT_EFFECT}
    if start is not None:
        shown["seed"] = start
    if shown:
        listed = ", ".join(f"{key}={value}" for key, value in sorted(shown.items()))
        notes.append(f"Set for every cell that knows the property: {listed}.")
    from_user = {key for key, where in sources.items() if not where.startswith(_origin(grid))}
    selected = replace(
        wanted,
        name=f"{grid.name}-selection" if narrowed or from_user - WITHOUT_EFFECT else grid.name,
        datasets=chosen_datasets,
        backbones=chosen_backbones,
        methods=chosen_methods,
        settings=of_settings,
        search=search,
    )
    if grid.note:
        notes.insert(0, grid.note)
    return Selection(selected, tuple(cells), tuple(notes), absent, tried)


def _layered(
    grid: Grid, files: Sequence[str], command_line: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns the overrides in their order of precedence, and where each was last set."""
    overrides: dict[str, Any] = {}
    sources: dict[str, str] = {}
    layers: list[tuple[str, Mapping[str, Any]]] = [(_origin(grid), grid.overrides)]
    layers += [(f"{path}: ", load_properties(path)) for path in files]
    for where, layer in [*layers, ("--", command_line)]:
        lay_over(overrides, layer)
        sources.update({key: f"{where}{key}" for key in layer})
    for key, axis in AXES.items():
        if key in overrides and key != "seed":  # a seed is the first one of the axis
            raise InputError(
                "is an axis of the grid and no property of its cells",
                where=sources[key],
                mend=f"Use --{axis} {overrides[key]}.",
            )
    if grid.vary is not None and grid.vary in overrides:
        in_grid = sources[grid.vary].startswith(_origin(grid))
        raise InputError(
            "is what this grid varies and no property of all its cells",
            where=sources[grid.vary],
            mend="Keep it under vary alone." if in_grid else "Use --settings to choose values.",
        )
    if overrides.get("read_test", True) is not True:
        raise InputError(
            "would leave the tables without a number",
            where=sources["read_test"],
            mend="Leave it out; trials of a search set it for themselves.",
        )
    data_path = overrides.get("data_path", "dataset/")
    if not isinstance(data_path, str) or not data_path:
        raise InputError(
            f"is {data_path!r}, expected the path of a folder",
            where=sources["data_path"],
            mend="Write for example --data_path=dataset/.",
        )
    return overrides, sources


def _search(search: Search | None, trials: int | None) -> Search | None:
    """Returns the grid's search with the number of trials that a user asks for; 1 is no search."""
    if trials is None or trials == 1:
        return search if trials is None else None
    return replace(search or Search(trials), trials=trials, backbone_trials=None)


def _trials(search: Search | None) -> str:
    """Says how many trials there are."""
    if search is None:
        return "No search: the property files' values."
    return f"{search.trials} trials for each backbone, and for each method."


def _check_known(grid: Grid, known: frozenset[str], sources: Mapping[str, str]) -> None:
    """Refuses a property that no chosen combination knows.

    What the grid states for a combination of its own that is not among the chosen ones is fine, but
    for the property that it varies.
    """
    combinations = {m: [known_keys(b, m) for b in grid.backbones] for m in grid.methods}
    of_grid = known.union(*(keys for every in combinations.values() for keys in every))
    if grid.vary and grid.vary in of_grid - known:
        able = [m for m, every in combinations.items() if any(grid.vary in keys for keys in every)]
        raise InputError(
            f"none of the chosen methods knows {grid.vary}, which the grid varies",
            where=f"grid {grid.name}",
            mend=f"Choose {' or '.join(able)} too.",
        )
    varied = {grid.vary: f"{_origin(grid)}vary {grid.vary}"} if grid.vary else {}
    for key, where in {**sources, **varied}.items():
        may_be = of_grid if where.startswith(_origin(grid)) else known
        if key not in may_be:
            hint = nearest_name(key, may_be)
            raise InputError("no cell of this grid knows the property", where=where, mend=hint)


def _origin(grid: Grid) -> str:
    return f"grid {grid.name}: "


def _chosen(kind: str, asked: Sequence[str], axis: tuple[str, ...]) -> tuple[str, ...]:
    chosen = _ordered(asked, axis) or axis
    for name in chosen:
        property_file(kind, name)  # raises for a name that the suite does not know
    return chosen


def _ordered(asked: Sequence[str], axis: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names asked for once each; the whole axis in its own order."""
    return axis if set(asked) == set(axis) else tuple(dict.fromkeys(asked))


def _narrowed(chosen: tuple[str, ...], axis: tuple[str, ...]) -> list[str]:
    """Returns what a reader must know if an axis is not the grid's."""
    if chosen == axis:
        return []
    named, whole = ", ".join(chosen), ", ".join(axis)
    if set(chosen) < set(axis):
        return [f"Only {named} of {whole}."]
    return [f"{named} instead of {whole}."]


def _fewer_or_more(grid: Grid, wanted: Grid, datasets: Sequence[str]) -> list[str]:
    """Returns what a reader must know if the seeds are not as many as the grid's."""
    owns = {grid.seeds_of(dataset): wanted.seeds_of(dataset) for dataset in datasets}
    return [
        f"{count} seed{'s' if count > 1 else ''} instead of {own}."
        for own, count in owns.items()
        if count != own
    ]


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
