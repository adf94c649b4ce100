"""Files with one record a line: JSON, or Python literals as in the Amazon metadata of 2014."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from recbole_guider.data.prepare.reading.text_files import opened
from recbole_guider.errors import InputError

Kind = TypeVar("Kind", str, float)


def records(
    path: Path, wanted: Callable[[str], bool] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the line and the record of every line that is not blank.

    Args:
        path: the file, plain or ``.gz``.
        wanted: says by its text whether a line is worth reading; None if all are.

    Raises:
        InputError: the file cannot be read, or a line holds no record.
    """
    with opened(path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip() and (wanted is None or wanted(line)):
                yield number, _record(line, path, number)


def field(
    record: dict[str, Any], names: Sequence[str], kind: type[Kind], path: Path, line: int
) -> Kind:
    """Returns the first of the named fields that a record has.

    Raises:
        InputError: it has none, or its value is of another kind or not finite.
    """
    for name in names:
        value = record.get(name)
        if value is None:
            continue
        fits = isinstance(value, str) if kind is str else _is_number(value)
        if fits:
            return kind(value)
        expected = "text" if kind is str else "a finite number"
        raise InputError(f"{name} is {str(value)[:40]!r}; expected {expected}",
                         where=f"{path}:{line}", mend="Correct or remove the line.")  # fmt: skip
    shown = ", ".join(list(record)[:8])
    raise InputError(f"has no field {' or '.join(names)}; its fields are {shown}",
                     where=f"{path}:{line}", mend="Complete or remove the line.")  # fmt: skip


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _record(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        try:
            record = ast.literal_eval(line.strip())  # literals only: nothing is evaluated
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            record = None
    if not isinstance(record, dict):
        raise InputError(f"'{line.strip()[:40]}' is no record; expected {{...}}",
                         where=f"{path}:{number}", mend="Mend or remove the line.")  # fmt: skip
    return record
