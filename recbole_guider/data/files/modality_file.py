"""Reading a modality's atomic file, ``<name>.item<modality>``, row by row.

The first line is ``item_id:token<TAB><modality>:float_seq``; every further line holds an item's
token, a tab and the item's values separated by one blank.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recbole_guider.errors import InputError

Vector = np.ndarray[Any, np.dtype[np.float32]]

_BLOCK = 1 << 20


def count_rows(path: Path) -> int:
    """Returns the number of lines after the header, without decoding them."""
    lines, last = 0, b"\n"
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(_BLOCK), b""):
            lines += block.count(b"\n")
            last = block[-1:]
    return max(0, lines + (last != b"\n") - 1)


class Row(NamedTuple):
    """One line of a modality file.

    Attributes:
        line: its number in the file; the header is line 1.
        token: its item.
        values: float32 [width].
    """

    line: int
    token: str
    values: Vector


def read_rows(path: Path) -> Iterator[tuple[str, Vector]]:
    """Yields every row's item token and its values, float32 [width]; one row is in memory.

    Raises:
        InputError: the header is not as documented, a row is not two columns, a value is not a
            finite number, a row is of another width than the first, an item occurs twice, or
            there is no row. The message names the line.
    """
    for found in scan(path):
        if isinstance(found, InputError):
            raise found
        yield found.token, found.values


def scan(path: Path) -> Iterator[Row | InputError]:
    """Yields every good row, and an error in the place of every bad one.

    A header that is not as documented is the only thing told of its file.
    """
    first_line: dict[str, int] = {}
    width = found = 0
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy's sign of trailing text
        try:
            _check_header(path, _decode(path, 1, stream.readline()))
        except InputError as error:
            yield error
            return
        for number, line in enumerate(stream, start=2):
            found += 1
            try:
                row = _read_row(path, number, line, width)
                if row.token in first_line:
                    raise _error(
                        path,
                        number,
                        f"item '{row.token}' occurs again (first in line {first_line[row.token]})",
                        "Keep one row for each item",
                    )
            except InputError as error:
                yield error
                continue
            width = width or len(row.values)
            first_line[row.token] = number
            yield row
    if not found:
        yield InputError(
            "has no rows", where=path, mend="Write one row for each item, or remove the file"
        )


def _read_row(path: Path, number: int, line: bytes, width: int) -> Row:
    """Reads a line; ``width`` is that of the rows before it, 0 where there is none."""
    token, text = _columns(path, number, _decode(path, number, line))
    try:
        values = np.fromstring(text, dtype=np.float64, sep=" ")
    except (DeprecationWarning, ValueError) as error:
        raise _value_error(path, number, token, text) from error
    if len(values) != (width or len(values)) or len(values) == 0:
        raise _error(
            path,
            number,
            f"item '{token}' has {len(values)} values; expected {width or 'at least 1'}"
            + (", as in the first row" if width else ""),
            "Give every item the same number of values",
        )
    with np.errstate(over="ignore"):
        row = values.astype(np.float32)
    if not np.isfinite(row).all():
        raise _value_error(path, number, token, text)
    return Row(number, token, row)


def _decode(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise _error(path, number, "is not UTF-8 text", "Save the file as UTF-8") from error


def _check_header(path: Path, line: str) -> None:
    if not line.strip():
        raise InputError(
            "is empty", where=path, mend="Write the header, then one row for each item"
        )
    types = [field.rpartition(":")[2] for field in line.rstrip("\r\n").split("\t")]
    if types != ["token", "float_seq"]:
        modality = path.suffix[len(".item") :]
        raise _error(
            path,
            1,
            f"the header is '{line.strip()[:80]}'; expected "
            f"'item_id:token<TAB>{modality}:float_seq'",
            "Separate the two columns by one tab",
        )


def _columns(path: Path, number: int, line: str) -> tuple[str, str]:
    columns = line.rstrip("\r\n").split("\t")
    if len(columns) != 2 or not columns[0]:
        found = "nothing" if not line.strip() else f"{len(columns)} column(s)"
        if len(columns) == 2:
            found = "no item"
        raise _error(
            path,
            number,
            f"found {found}; expected an item, one tab, and the values",
            "Separate the item from its values by one tab, and the values by blanks",
        )
    return columns[0], columns[1]


def _value_error(path: Path, number: int, token: str, text: str) -> InputError:
    """Returns the error for the first value of a row that is no finite float32 number."""
    for place, value in enumerate(text.split(), start=1):
        try:
            finite = bool(abs(float(value)) <= np.finfo(np.float32).max)
        except ValueError:
            finite = False
        if not finite:
            mend = "Replace it by a number"
            if any(separator in value for separator in ",;|"):
                mend = "Separate the values by blanks"
            return _error(
                path,
                number,
                f"value {place} of item '{token}' is '{value[:40]}'; expected a finite number",
                mend,
            )
    return _error(path, number, f"the values of item '{token}' cannot be read as numbers")


def _error(path: Path, number: int, what: str, mend: str = "") -> InputError:
    return InputError(what, where=f"{path}:{number}", mend=mend)
