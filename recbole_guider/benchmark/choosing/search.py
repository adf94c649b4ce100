"""The search that a grid may name: which values are tried, how many trials, and which trials.

It has two steps. The bare backbone tries values of the optimiser and of its own; every method then
tries values of its own at those that the bare backbone chose, so that methods differ by what they
bring and by nothing else. In a grid file::

    search:
      backbone_trials: 12
      trials: 6
      run_seed: 2021
      overrides: {for_model: {FREEDOM: {stopping_step: 20}}}
      everywhere: {learning_rate: [5.0e-4, 1.0e-3, 2.0e-3]}
      backbones: {FREEDOM: {reg_weight: {low: 1.0e-5, high: 0.01, scale: log}}}
      methods: {T-CE: {drop_rate: [0.02, 0.05, 0.1]}}

A backbone or method that is not named there is searched as the ``search`` section of its own
property file says. ``overrides`` are properties that trials alone have, with every backbone or,
below ``for_model``, with one. A grid that writes ``search: table2`` searches as that grid does.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from recbole_guider.benchmark.cell import WITHOUT_EFFECT
from recbole_guider.benchmark.vary import AXES, MEANING
from recbole_guider.errors import InputError, nearest_name, one_of
from recbole_guider.property_layers import names, search_of
from recbole_guider.property_rules import checked
from recbole_guider.registry import BARE

_EXAMPLE = "Write for example search: {trials: 6, everywhere: {learning_rate: [0.001, 0.002]}}."
_SHORTER = "Write for example overrides: {stopping_step: 10}."
_DIGITS = 3  # of a number drawn from a range: what is published should be short
_ROUNDS = 200  # after so many a small space has been met whole, but for about 1 in e^200 of it
Space = Mapping[str, Any]  # property -> list of values, or a Range


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, both included; whole numbers if both bounds are.

    Attributes:
        low: the smallest.
        high: the largest.
        scale: ``linear``, or ``log`` for numbers whose logarithm is spread evenly.
    """

    low: float
    high: float
    scale: str = "linear"

    def at(self, share: float) -> float:
        """Returns the number at a fraction of the range, from 0 to 1.

        Whole where the bounds are, else with three significant digits.
        """
        # Half a step more at whole ends, so that they come up as often as what lies between.
        step = 0.5 if self.whole else 0.0
        low, high = self.low - step, self.high + step
        log = self.scale == "log"
        number = low * (high / low) ** share if log else low + (high - low) * share
        number = round(number) if self.whole else float(f"{number:.{_DIGITS}g}")
        return min(max(number, self.low), self.high)

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class Search:
    """How hyper-parameters are chosen: on validation, with one number of trials for all methods.

    Attributes:
        trials: settings of its own that each method tries on each data set and backbone; the first
            is its property file's.
        backbone_trials: settings of backbone and optimiser that the bare backbone tries on each
            data set; None for as many as ``trials``.
        draw_seed: draws the trials; runs do not depend on it.
        run_seed: the seed that trials run with; None for the grid's first.
        overrides: property -> value that trials alone have, such as a shorter patience.
        for_model: backbone -> such properties of its trials, on top of those.
        everywhere: property -> values, tried with every backbone.
        backbones: backbone -> its space instead of its property file's.
        methods: method -> its space instead of its property file's.
    """

    trials: int
    backbone_trials: Optional[int] = None  # noqa: UP045 (Python 3.9)
    draw_seed: int = 0
    run_seed: Optional[int] = None  # noqa: UP045 (Python 3.9)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    for_model: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    everywhere: Space = field(default_factory=dict)
    backbones: Mapping[str, Space] = field(default_factory=dict)
    methods: Mapping[str, Space] = field(default_factory=dict)

    def count(self, method: str) -> int:
        """Returns how many trials a method has with each backbone."""
        return self.trials if method != BARE else self.backbone_trials or self.trials

    def apart(self, backbone: str) -> dict[str, Any]:
        """Returns the properties that the trials of a backbone have and its results have not."""
        return {**self.overrides, **self.for_model.get(backbone, {})}


def read_search(content: Any, where: object) -> Search | None:
    """Returns what a grid file's entry ``search`` says; None without one.

    Raises:
        InputError: it cannot be used. Whether a cell knows a property is not decided here.
    """
    if content is None:
        return None
    known = (
        "trials",
        "backbone_trials",
        "draw_seed",
        "run_seed",
        "overrides",
        "everywhere",
        "backbones",
        "methods",
    )
    if not isinstance(content, dict):
        raise InputError(f"search is {content!r}, expected entries", where=where, mend=_EXAMPLE)
    for key in content:
        if key not in known:
            mend = nearest_name(key, known)
            raise InputError(f"unknown entry '{key}'", where=f"{where}: search", mend=mend)
    overrides, for_model = _overrides(content.get("overrides"), f"{where}: search: overrides")
    return Search(
        trials=checked(content.get("trials"), "whole, >= 2", f"{where}: search: trials"),
        backbone_trials=checked(
            content.get("backbone_trials"),
            "whole or null, >= 2",
            f"{where}: search: backbone_trials",
        ),
        draw_seed=checked(
            content.get("draw_seed", 0), "whole, >= 0", f"{where}: search: draw_seed"
        ),
        run_seed=checked(
            content.get("run_seed"), "whole or null, >= 0", f"{where}: search: run_seed"
        ),
        overrides=overrides,
        for_model=for_model,
        everywhere=_space(content.get("everywhere"), f"{where}: search: everywhere"),
        backbones=_spaces(content.get("backbones"), "model", f"{where}: search: backbones"),
        methods=_spaces(content.get("methods"), "method", f"{where}: search: methods"),
    )


def space_of(search: Search, backbone: str, method: str) -> Space:
    """Returns what a method tries: values of its own; the bare backbone's are the backbone's.

    Raises:
        InputError: the ``search`` section of a property file cannot be used.
    """
    if method != BARE:
        own = search.methods.get(method)
        if own is None:
            own = _space(search_of("method", method, backbone), f"method {method}: search")
        return own
    shared = search.backbones.get(backbone)
    if shared is None:
        shared = _space(search_of("model", backbone), f"backbone {backbone}: search")
    return {**search.everywhere, **shared}


def trials_of(
    space: Space, count: int, defaults: Mapping[str, Any], seed: Any
) -> Iterator[dict[str, Any]]:
    """Yields different settings to try; the first one is empty: nothing is changed.

    In ``count`` trials, the first among them, every value of a property comes up about equally
    often, and numbers of a range spread evenly over it. A property's draws depend on its name and
    on nothing else that is searched: methods that share one try the same values of it in the same
    trials. There are none left when a small space is used up.

    Args:
        space: the properties and their values.
        count: the number of trials wanted, for the spread.
        defaults: property -> the value that the first trial has.
        seed: decides the draws; any text or number.
    """
    yield {}
    if not space:
        return
    met: list[dict[str, Any]] = []
    whole = math.prod(_size(values) for values in space.values())
    for turn in range(_ROUNDS):
        columns = {
            key: _column(values, count, f"{seed} {key} {turn}") for key, values in space.items()
        }
        if turn == 0:  # the first trial's values have had their turn
            columns = {key: _without(column, defaults.get(key)) for key, column in columns.items()}
        for row in zip(*columns.values()):
            one = dict(zip(columns, row))
            if one not in met:
                met.append(one)
                yield one
        if len(met) >= whole:
            return


def _column(values: Any, count: int, seed: str) -> list[Any]:
    """Returns draws of one property for ``count`` trials: spread evenly, in any order."""
    generator = np.random.default_rng(zlib.crc32(seed.encode()))
    if isinstance(values, Range):
        from scipy.stats import qmc

        shares = qmc.LatinHypercube(1, seed=generator).random(count)
        return [values.at(float(share)) for share in shares[:, 0]]
    order = generator.permutation(len(values))
    return [values[order[n % len(values)]] for n in generator.permutation(count)]


def _without(column: list[Any], default: Any) -> list[Any]:
    """Returns a column less one draw: the default's, if it is among them."""
    place = next((n for n, one in enumerate(column) if _is(one, default)), len(column) - 1)
    return column[:place] + column[place + 1 :]


def _is(value: Any, default: Any) -> bool:
    """Says whether a value is the default; a mapping may state a part of it."""
    if isinstance(value, Mapping) and isinstance(default, Mapping):
        return value.items() <= default.items()
    return bool(value == default)


def _size(values: Any) -> float:
    """Returns how many values there are at most."""
    if isinstance(values, Range):
        return values.high - values.low + 1 if values.whole else math.inf
    return len(values)


def _spaces(content: Any, kind: str, where: str) -> dict[str, Space]:
    return {
        name: _space(space, f"{where}: {name}")
        for name, space in _by_name(content, kind, where).items()
    }


def _by_name(content: Any, kind: str, where: str) -> dict[str, Any]:
    """Returns what is said of each backbone or method, whose names are checked."""
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"is {content!r}, expected names", where=where, mend=_EXAMPLE)
    for name in content:
        if name not in names(kind):
            raise InputError(f"names the unknown '{name}'", where=where,
                             mend=nearest_name(name, names(kind)))  # fmt: skip
    return content


def _space(content: Any, where: str) -> dict[str, Any]:
    given = _properties(content, where, "Write one property with its values a line.")
    return {key: _values(key, values, where) for key, values in given.items()}


def _overrides(content: Any, where: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Returns what holds for the trials of every backbone, and what for those of one."""
    given = _properties(content, where, _SHORTER)
    inner = f"{where}: for_model"
    for_model = _by_name(given.pop("for_model", None), "model", inner)
    return _of_trials(given, where), {
        name: _of_trials(one, f"{inner}: {name}") for name, one in for_model.items()
    }


def _of_trials(content: Any, where: str) -> dict[str, Any]:
    given = _properties(content, where, _SHORTER)
    for key in given:
        _may_differ(key, f"{where}: {key}")
    return given


def _properties(content: Any, where: str, mend: str) -> dict[str, Any]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"is {content!r}, expected properties", where=where, mend=mend)
    return {str(key): value for key, value in content.items()}


def _may_differ(key: str, where: str) -> None:
    """Refuses a property in which trials must not differ from each other or from the results."""
    if key in AXES or key in WITHOUT_EFFECT or key in MEANING:
        raise InputError("cannot be searched", where=where, mend="Search another property.")


def _values(key: str, values: Any, where: str) -> Any:
    where = f"{where}: {key}"
    _may_differ(key, where)
    if isinstance(values, list) and values:
        return values
    if isinstance(values, dict) and set(values) - {"scale"} == {"low", "high"}:
        return _range(values, where)
    raise InputError(
        f"is {values!r}, expected a list of values or a range",
        where=where,
        mend="Write [0.1, 0.2] or {low: 0.001, high: 0.1, scale: log}.",
    )


def _range(values: Mapping[str, Any], where: str) -> Range:
    low, high = values["low"], values["high"]
    scale = one_of(values.get("scale", "linear"), ("linear", "log"), f"{where}: scale")
    numbers = all(
        isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one)
        for one in (low, high)
    )
    if not numbers or not low < high or (scale == "log" and low <= 0):
        least = "two numbers above 0" if scale == "log" else "two numbers"
        raise InputError(
            f"goes from {low!r} to {high!r}, expected {least}, the lower first",
            where=where,
            mend="Write {low: 0.001, high: 0.1, scale: log}.",
        )
    return Range(low, high, scale)
