"""What a property's value may be, as its property file says it.

The ``valid`` section of a property file holds one rule a property::

    valid:
      epochs: whole, >= 1
      dropout: number, >= 0, < 1
      amsc_quantile: number or null, > 0, < 1
      protocol: one of mmrec, recbole
      modalities: list or null
      missing_modality: each one of zero, mean, error

After ``each`` stands the rule of one value for all, or of every entry of a mapping.
"""

from __future__ import annotations

import math
import operator
import re
from typing import Any

from recbole_guider.errors import InputError, one_of

EACH = "each "
_COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}


def checked(value: Any, rule: str, where: str) -> Any:
    """Returns a value that satisfies its rule; whole numbers come back as int.

    Raises:
        InputError: it does not; the message holds the rule.
        ValueError: the rule itself cannot be read.
    """
    if rule.startswith(EACH):
        rule = rule[len(EACH) :]
        if isinstance(value, dict):
            return {name: checked(one, rule, f"{where}[{name}]") for name, one in value.items()}
    if rule.startswith("one of "):
        return one_of(value, re.split(r",\s*", rule[len("one of ") :]), where)
    if rule == "list or null":
        if value is None or isinstance(value, list):
            return value
        raise InputError(f"expected a list; found {value!r}", where=where, mend="Write [a, b].")
    kind, *bounds = (part.strip() for part in rule.split(","))
    if kind not in ("whole", "number", "whole or null", "number or null"):
        raise ValueError(f"cannot read the rule {rule!r} of {where}")
    if value is None and kind.endswith("or null"):
        return None
    number = not isinstance(value, bool) and isinstance(value, (int, float))
    fits = number and math.isfinite(value) and all(_holds(value, bound) for bound in bounds)
    if not fits or (kind.startswith("whole") and value != int(value)):
        expected = rule.replace("whole", "a whole number", 1).replace("number", "a number", 1)
        expected = expected.replace("a whole a number", "a whole number")
        raise InputError(f"expected {expected}; found {value!r}", where=where)
    return int(value) if kind.startswith("whole") else value


def _holds(value: float, bound: str) -> bool:
    match = re.match(r"^(>=|>|<=|<)\s*(\S+)$", bound)
    if match is None:
        raise ValueError(f"cannot read the bound {bound!r}")
    return bool(_COMPARE[match.group(1)](value, float(match.group(2))))


def check_kind(value: Any, default: Any, where: str) -> None:
    """Refuses a value of another kind than the default's where that can only be a slip.

    For properties without a rule, RecBole's own among them.
    """
    if default is None or value is None or where.endswith("gpu_id"):
        return
    expected = ""
    if isinstance(default, bool):
        expected = "" if isinstance(value, bool) else "true or false"
    elif isinstance(default, (int, float)):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            expected = "a number"
    elif isinstance(default, dict) and not isinstance(value, dict):
        expected = "a mapping"
    elif isinstance(default, str) and not isinstance(value, str):
        expected = "text"
    if expected:
        raise InputError(
            f"expected {expected}, found {value!r}",
            where=where,
            mend=f"The default is {default!r}.",
        )
