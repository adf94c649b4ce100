"""The search that a grid may name: which values are tried, how many trials, and which trials.

In a grid file::

    search:
      trials: 6
      everywhere: {learning_rate: [5.0e-4, 1.0e-3, 2.0e-3]}
      backbones: {FREEDOM: {reg_weight: {low: 1.0e-5, high: 0.01, scale: log}}}
      methods: {T-CE: {drop_rate: [0.02, 0.05, 0.1]}}

A backbone or method that is not named there is searched as the ``search`` section of its own
property file says. A grid that writes ``search: table2`` searches as that grid does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from recbole_guider.benchmark.cell import WITHOUT_EFFECT
from recbole_guider.benchmark.vary import AXES, MEANING
from recbole_guider.errors import InputError, nearest_name, one_of
from recbole_guider.property_layers import names, search_of
from recbole_guider.property_rules import checked

_EXAMPLE = "Write for example search: {trials: 6, everywhere: {learning_rate: [0.001, 0.002]}}."
_DIGITS = 3  # of a number drawn from a range: what is published should be short
_CUBES = 200  # after so many a small space has been met whole, but for about 1 in e^200 of it
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
        trials: settings tried for each data set, backbone and method; the first is the property
            files' own.
        draw_seed: draws the trials; runs do not depend on it.
        run_seed: the seed that trials run with; None for the grid's first.
        everywhere: property -> values, for every combination that knows it.
        backbones: backbone -> its space instead of its property file's.
        methods: method -> its space instead of its property file's.
    """

    trials: int
    draw_seed: int = 0
    run_seed: Optional[int] = None  # noqa: UP045 (Python 3.9)
    everywhere: Space = field(default_factory=dict)
    backbones: Mapping[str, Space] = field(default_factory=dict)
    methods: Mapping[str, Space] = field(default_factory=dict)


def read_search(content: Any, where: object) -> Search | None:
    """Returns what a grid file's entry ``search`` says; None without one.

    Raises:
        InputError: it cannot be used. Whether a cell knows a property is not decided here.
    """
    if content is None:
        return None
    known = ("trials", "draw_seed", "run_seed", "everywhere", "backbones", "methods")
    if not isinstance(content, dict):
        raise InputError(f"search is {content!r}, expected entries", where=where, mend=_EXAMPLE)
    for key in content:
        if key not in known:
            mend = nearest_name(key, known)
            raise InputError(f"unknown entry '{key}'", where=f"{where}: search", mend=mend)
    return Search(
        trials=checked(content.get("trials"), "whole, >= 2", f"{where}: search: trials"),
        draw_seed=checked(
            content.get("draw_seed", 0), "whole, >= 0", f"{where}: search: draw_seed"
        ),
        run_seed=checked(
            content.get("run_seed"), "whole or null, >= 0", f"{where}: search: run_seed"
        ),
        everywhere=_space(content.get("everywhere"), f"{where}: search: everywhere"),
        backbones=_spaces(content.get("backbones"), "model", f"{where}: search: backbones"),
        methods=_spaces(content.get("methods"), "method", f"{where}: search: methods"),
    )


def spaces_of(search: Search, backbone: str, method: str) -> tuple[Space, Space]:
    """Returns what is tried of a backbone and the optimiser, and what of a method.

    A property in both is the method's.

    Raises:
        InputError: the ``search`` section of a property file cannot be used.
    """
    own = search.methods.get(method)
    if own is None:
        own = _space(search_of("method", method, backbone), f"method {method}: search")
    shared = search.backbones.get(backbone)
    if shared is None:
        shared = _space(search_of("model", backbone), f"backbone {backbone}: search")
    shared = {**search.everywhere, **shared}
    return {key: values for key, values in shared.items() if key not in own}, own


def trials_of(search: Search, shared: Space, own: Space) -> Iterator[dict[str, Any]]:
    """Yields settings to try, the best spread first; the first one is empty: nothing is changed.

    The n-th settings of two methods on one backbone agree in what both search, so that methods
    meet the same backbones, each with values of its own. Settings may repeat where a space is
    small; there are none left when the spaces are used up.

    Args:
        search: the number of trials and the seed of the draws.
        shared: the space of backbone and optimiser.
        own: the method's space.
    """
    yield {}
    ours = _draws(shared, search.trials, search.draw_seed)
    theirs = _draws(own, search.trials, search.draw_seed + 1)
    turn = math.lcm(len(ours), len(theirs))
    for place in range(len(ours) * len(theirs)):
        # One step aside after each turn, so that every pair comes up once.
        yield {**ours[place % len(ours)], **theirs[(place + place // turn) % len(theirs)]}


def _draws(space: Space, count: int, seed: int) -> list[dict[str, Any]]:
    """Returns different settings of a space: all of a small one, ``count`` of a large one.

    They are drawn as Latin hypercubes, so that few draws still meet all values of each property
    about equally often.
    """
    if not space:
        return [{}]
    from scipy.stats import qmc

    count = int(min(count, math.prod(_size(values) for values in space.values())))
    cubes = qmc.LatinHypercube(len(space), seed=seed)
    found: list[dict[str, Any]] = []
    for _ in range(_CUBES):
        for point in cubes.random(count):
            one = {key: _at(space[key], share) for key, share in zip(space, point)}
            if one not in found:
                found.append(one)
        if len(found) >= count:
            break
    return found[:count]


def _size(values: Any) -> float:
    """Returns how many values there are at most."""
    if isinstance(values, Range):
        return values.high - values.low + 1 if values.whole else math.inf
    return len(values)


def _at(values: Any, share: float) -> Any:
    if isinstance(values, Range):
        return values.at(share)
    return values[min(int(share * len(values)), len(values) - 1)]


def _spaces(content: Any, kind: str, where: str) -> dict[str, Space]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"is {content!r}, expected names", where=where, mend=_EXAMPLE)
    for name in content:
        if name not in names(kind):
            raise InputError(f"names the unknown '{name}'", where=where,
                             mend=nearest_name(name, names(kind)))  # fmt: skip
    return {name: _space(space, f"{where}: {name}") for name, space in content.items()}


def _space(content: Any, where: str) -> dict[str, Any]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        mend = "Write one property with its values a line."
        raise InputError(f"is {content!r}, expected properties", where=where, mend=mend)
    return {str(key): _values(str(key), values, where) for key, values in content.items()}


def _values(key: str, values: Any, where: str) -> Any:
    where = f"{where}: {key}"
    if key in AXES or key in WITHOUT_EFFECT or key in MEANING:
        raise InputError("cannot be searched", where=where, mend="Search another property.")
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
