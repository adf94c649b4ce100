"""A grid file: axes and tables in YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from recbole_guider.benchmark.choosing.search import Search, read_search
from recbole_guider.benchmark.vary import read_vary
from recbole_guider.errors import InputError, nearest_name, one_of
from recbole_guider.evaluator.metric_names import parse_metric
from recbole_guider.property_layers import load_properties, names, property_file
from recbole_guider.property_rules import checked

_LISTS = ("datasets", "backbones", "methods", "baselines", "metrics")
_OTHERS = ("title", "fallback_datasets", "seeds", "seeds_on", "overrides", "vary", "search",
           "figure", "note")  # fmt: skip
_COUNT = "whole, >= 1"
FIGURES = ("gains", "settings", "training", "scores")  # see recbole_guider.report.figures.drawing


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
        seeds_on: data set -> how many seeds on it, where that is another number.
        fallback_datasets: what stands in when none of the data sets is installed: those of these
            that are.
        overrides: properties set for every cell that knows them.
        vary: the property whose values the grid compares; None for none.
        settings: name of a setting, such as ``noise_ratio=0.1`` -> that property's value.
        search: how hyper-parameters are chosen; None for the property files' values.
        figure: kind of the figure beside the tables; None for none.
        note: what a reader must know before all else; None for nothing.
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    backbones: tuple[str, ...]
    methods: tuple[str, ...]
    baselines: tuple[str, ...]
    metrics: tuple[str, ...]
    seeds: int = 1
    seeds_on: Mapping[str, int] = field(default_factory=dict)
    fallback_datasets: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    vary: Optional[str] = None  # noqa: UP045 (Python 3.9)
    settings: Mapping[str, Any] = field(default_factory=dict)
    search: Optional[Search] = None  # noqa: UP045
    figure: Optional[str] = None  # noqa: UP045
    note: Optional[str] = None  # noqa: UP045

    def seeds_of(self, dataset: str) -> int:
        """Returns how many seeds the grid has on a data set."""
        return self.seeds_on.get(dataset, self.seeds)


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
    for method in axes["baselines"]:
        if method not in names("method"):
            raise InputError(
                f"baselines names the unknown method '{method}'",
                where=path,
                mend=nearest_name(method, names("method")),
            )
    for metric in axes["metrics"]:
        parse_metric(metric, where=f"{path}: metrics")
    fallback = _list(content, "fallback_datasets", path) if "fallback_datasets" in content else ()
    overrides = content.get("overrides") or {}
    if not isinstance(overrides, dict):
        raise InputError(
            f"overrides is {overrides!r}, expected 'key: value' pairs",
            where=path,
            mend="Write one property a line below overrides:.",
        )
    varied = read_vary(content.get("vary"), path)
    return Grid(
        name=path.stem,
        title=_text(content, "title", path) or path.stem,
        seeds=checked(content.get("seeds", 1), _COUNT, f"{path}: seeds"),
        seeds_on=_seeds_on(content.get("seeds_on"), (*axes["datasets"], *fallback), path),
        fallback_datasets=fallback,
        overrides=overrides,
        vary=varied.key if varied else None,
        settings=varied.settings if varied else {},
        search=_search(content.get("search"), path),
        figure=_figure(content, path, varied is not None),
        note=_text(content, "note", path),
        **axes,
    )


def _seeds_on(content: Any, datasets: Sequence[str], path: Path) -> dict[str, int]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(
            f"seeds_on is {content!r}, expected 'data set: count' pairs",
            where=path,
            mend=f"Write for example seeds_on: {{{datasets[0]}: 3}}.",
        )
    for dataset in content:
        one_of(dataset, datasets, f"{path}: seeds_on")
    return {
        name: checked(count, _COUNT, f"{path}: seeds_on.{name}") for name, count in content.items()
    }


def _search(content: Any, path: Path) -> Search | None:
    """Returns the search that a grid describes, or that of the grid which it names."""
    if not isinstance(content, str):
        return read_search(content, path)
    one_of(content, names("grid"), f"{path}: search")
    named = property_file("grid", content)
    search = read_search(load_properties(named).get("search"), named)
    if search is None:
        raise InputError(
            f"search names the grid '{content}', which has none",
            where=path,
            mend="Name a grid that has one, such as table2, or describe it.",
        )
    return search


def _figure(content: Mapping[str, Any], path: Path, varied: bool) -> str | None:
    kind = content.get("figure")
    if kind is None or kind == "none":
        return None
    one_of(kind, FIGURES, f"{path}: figure")
    if kind == "settings" and not varied:
        raise InputError(
            "figure is settings, but no property varies",
            where=path,
            mend="Add an entry vary, or choose gains, training or scores.",
        )
    if kind == "gains" and varied:
        raise InputError(
            "figure is gains, which has no place for the values of vary",
            where=path,
            mend="Choose settings.",
        )
    return str(kind)


def _text(content: Mapping[str, Any], key: str, path: Path) -> str | None:
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise InputError(
            f"{key} is {value!r}, expected text", where=path, mend=f"Write for example {key}: a."
        )
    return value


def _list(content: Mapping[str, Any], key: str, path: Path) -> tuple[str, ...]:
    value = content.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise InputError(
            f"{key} is {value!r}, expected a list of names",
            where=path,
            mend=f"Write for example {key}: [a, b].",
        )
    return tuple(dict.fromkeys(value))
