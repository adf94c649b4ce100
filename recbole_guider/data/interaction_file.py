"""Checks of interaction files before RecBole reads them: what is wrong, in which line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from recbole_guider.errors import InputError, nearest_name

_TYPES = ("token", "float", "token_seq", "float_seq")


def check_file(path: Path, needed: Sequence[str], separator: str, encoding: str) -> None:
    """Checks that an interaction file has the needed columns, and rows as wide as its header.

    Raises:
        InputError: the file is missing, empty or without a row, a header field is not
            ``name:type``, a needed column is not there, or a row has another number of columns
            (RecBole's reader would fill or cut it in silence).
    """
    if not path.is_file():
        beside = sorted(other.name for other in path.parent.glob("*.inter"))
        raise InputError(
            "the file is missing",
            where=path,
            mend=f"Interaction files there: {', '.join(beside) if beside else 'none'}",
        )
    lines = _lines(path, encoding)
    header, first = next(lines, ""), next(lines, "")
    if not header or not first:
        raise InputError(
            "holds no interaction" if header else "is empty",
            where=path,
            mend="Write the header, then one interaction a line",
        )
    if header.startswith("\ufeff"):
        raise InputError(
            "begins with a byte-order mark", where=f"{path}:1", mend="Save it as UTF-8 without one."
        )
    fields = [field.rpartition(":") for field in header.split(separator)]
    for name, _, type_ in fields:
        if not name or type_ not in _TYPES:
            raise InputError(
                f"the header field '{name or type_}' is not of the form name:type",
                where=f"{path}:1",
                mend=f"Types are {', '.join(_TYPES)}; columns are separated by {separator!r}",
            )
    columns = [name for name, _, _ in fields]
    for name in needed:
        if name not in columns:
            raise InputError(
                f"has no column '{name}'; its columns are {', '.join(columns)}",
                where=path,
                mend=f"{nearest_name(name, columns)}. Rename the column, or set USER_ID_FIELD and "
                "ITEM_ID_FIELD",
            )
    separators = header.count(separator)
    for number, line in enumerate(_lines(path, encoding), start=1):
        if line.count(separator) != separators and line:
            raise InputError(
                f"has {line.count(separator) + 1} columns; expected {len(columns)}",
                where=f"{path}:{number}",
                mend=f"Separate the columns by {separator!r}",
            )


def bad_row(path: Path, separator: str, encoding: str) -> InputError:
    """Returns the error for the first value that RecBole's reader cannot read."""
    lines = _lines(path, encoding)
    fields = [field.rpartition(":") for field in next(lines).split(separator)]
    for number, line in enumerate(lines, start=2):
        for (name, _, type_), cell in zip(fields, line.split(separator)):
            if type_ == "float" and not _is_number(cell):
                return InputError(
                    f"'{cell[:40]}' in column '{name}'; expected a number",
                    where=f"{path}:{number}",
                    mend="Correct the value",
                )
    return InputError("cannot be read", where=path, mend="Compare it with RecBole's atomic files")


def _lines(path: Path, encoding: str) -> Iterator[str]:
    try:
        with path.open(encoding=encoding) as stream:
            for line in stream:
                yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"is not {encoding} text ({error.reason})", where=path) from error


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip()  # an empty cell is a missing value
    return True
