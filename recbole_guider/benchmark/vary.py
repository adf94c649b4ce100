"""The property that a grid may vary: its values, and what a cell's setting is called.

In a grid file::

    vary: {noise_ratio: [0, 0.05, 0.1]}
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from recbole_guider.benchmark.cell import WITHOUT_EFFECT
from recbole_guider.errors import InputError

# Properties that decide which cells there are, and what chooses them instead.
AXES = {
    "dataset": "datasets", "model": "backbones", "method": "methods", "seed": "seeds",
}  # fmt: skip
# Numbers under different values of these never share a table.
MEANING = frozenset({"protocol", "valid_metric", "metrics", "topk", "read_test"})
_EXAMPLE = "Write for example vary: {noise_ratio: [0, 0.1, 0.2]}."


class Varied(NamedTuple):
    """A varied property.

    Attributes:
        key: the property.
        settings: name of a setting, such as ``noise_ratio=0.1`` -> value, in the grid's order.
    """

    key: str
    settings: Mapping[str, Any]


def read_vary(content: Any, where: object) -> Varied | None:
    """Returns what a grid file's entry ``vary`` says; None without one.

    Raises:
        InputError: it is not one property with a list of different plain values, or a property
            that cannot vary. Whether a cell knows the property is not decided here.
    """
    if content is None:
        return None
    if not isinstance(content, dict) or len(content) != 1:
        found = f"{len(content)} properties" if isinstance(content, dict) else repr(content)
        raise InputError(
            f"vary holds {found}, expected one property with its values", where=where, mend=_EXAMPLE
        )
    key, values = next(iter(content.items()))
    if not isinstance(key, str):
        raise InputError(f"vary names {key!r}, expected a property", where=where, mend=_EXAMPLE)
    where = f"{where}: vary {key}"
    if key in AXES:
        raise InputError(
            "is an axis of the grid and cannot vary as a property",
            where=where,
            mend=f"List them in {AXES[key]}." if key != "seed" else "seeds says how many.",
        )
    if key in WITHOUT_EFFECT or key in MEANING:
        why = "cannot change a number" if key in WITHOUT_EFFECT else "says what the numbers mean"
        raise InputError(f"{why}, so it cannot vary", where=where, mend="Vary another property.")
    if not isinstance(values, list) or not values:
        found = "no values" if values in (None, []) else repr(values)
        raise InputError(f"has {found}, expected a list of values", where=where, mend=_EXAMPLE)
    settings: dict[str, Any] = {}
    for value in values:
        name = f"{key}={_text(value, where)}"
        if name in settings:
            raise InputError(
                f"has the value {_text(value, where)} twice", where=where, mend="Keep one."
            )
        settings[name] = value
    return Varied(key, settings)


def chosen_settings(
    key: str | None, settings: Mapping[str, Any], asked: Sequence[str]
) -> Mapping[str, Any]:
    """Returns the settings that a user asks for, by value or by name, in the grid's order.

    Args:
        key: the grid's varied property; None if nothing varies.
        settings: the grid's settings.
        asked: values such as ``0.1`` or names such as ``noise_ratio=0.1``; all if empty.

    Raises:
        InputError: one of them is no setting of the grid.
    """
    if not asked:
        return settings
    if key is None:
        raise InputError(
            "this grid varies no property", where="--settings", mend="Leave the option out."
        )
    values = {name[len(key) + 1 :]: name for name in settings}
    chosen = []
    for one in asked:
        name = one if one in settings else values.get(one)
        if name is None:
            raise InputError(
                f"'{one}' is no value of {key} in this grid",
                where="--settings",
                mend=f"It has {', '.join(values)}.",
            )
        chosen.append(name)
    return {name: value for name, value in settings.items() if name in chosen}


def _text(value: Any, where: str) -> str:
    """Returns a value as YAML writes it; 1 and 1.0, which are the same run, look the same."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and math.isfinite(value):
        return repr(int(value) if value.is_integer() else value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str) and value and value == " ".join(value.split()):
        return value
    raise InputError(
        f"has the value {value!r}, expected a number, a word, true, false or null",
        where=where,
        mend=_EXAMPLE,
    )
