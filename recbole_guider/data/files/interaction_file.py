"""Checks of interaction files before RecBole reads them: what is wrong, in which line.

Each check yields every problem that it finds. The loader raises the first one; ``validate`` tells
them all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from recbole_guider.data.names import NO_VALUE, QUOTE
from recbole_guider.errors import InputError, nearest_name

_TYPES = ("token", "float", "token_seq", "float_seq")
_LABELS = (0.0, 1.0, 2.0)


def check_file(path: Path, needed: Sequence[str], separator: str, encoding: str) -> None:
    """Checks that an interaction file has the needed columns, and rows as wide as its header.

    Raises:
        InputError: the first of ``header_problems`` and ``width_problems``.
    """
    for problem in header_problems(path, needed, separator, encoding):
        raise problem
    for problem in width_problems(path, separator, encoding):
        raise problem


def header_problems(
    path: Path, needed: Sequence[str], separator: str, encoding: str
) -> Iterator[InputError]:
    """Yields what keeps the file from being read at all.

    The file is missing, no text, empty or without a row; a header field is not ``name:type`` or
    stands there twice; a needed column is not there.
    """
    if not path.is_file():
        beside = sorted(other.name for other in path.parent.glob("*.inter"))
        yield InputError(
            "is no file" if path.exists() else "the file is missing",
            where=path,
            mend=f"Interaction files there: {', '.join(beside) if beside else 'none'}",
        )
        return
    try:
        lines = _lines(path, encoding)
        header, first = next(lines, ""), next(lines, "")
    except InputError as error:
        yield error
        return
    if not header or not first:
        yield InputError(
            "holds no interaction" if header else "is empty",
            where=path,
            mend="Write the header, then one interaction a line",
        )
        return
    if header.startswith("\ufeff"):
        yield InputError(
            "begins with a byte-order mark", where=f"{path}:1", mend="Save it as UTF-8 without one."
        )
        header = header[1:]
    fields = _fields(header, separator)
    for name, type_ in fields:
        if not name or ":" in name or type_ not in _TYPES:
            yield InputError(
                f"the header field '{(name or type_)[:80]}' is not of the form name:type",
                where=f"{path}:1",
                mend=f"Types are {', '.join(_TYPES)}; columns are separated by {separator!r}",
            )
            return
    columns = [name for name, _ in fields]
    for name in sorted({name for name in columns if columns.count(name) > 1}):
        yield InputError(
            f"has two columns '{name}'", where=f"{path}:1", mend="Rename or remove one."
        )
    for name in needed:
        if name not in columns:
            yield InputError(
                f"has no column '{name}'; its columns are {', '.join(columns)}",
                where=path,
                mend=f"{nearest_name(name, columns)} (rename the column, or set USER_ID_FIELD and "
                "ITEM_ID_FIELD)",
            )


def width_problems(path: Path, separator: str, encoding: str) -> Iterator[InputError]:
    """Yields the rows that RecBole would fill, cut, or join with the next ones.

    They have another number of columns, or a cell that begins with a quotation mark.
    """
    separators = -1
    for number, line in enumerate(_lines(path, encoding), start=1):
        found = line.count(separator)
        separators = found if number == 1 else separators
        if found != separators and line:
            yield InputError(
                f"has {found + 1} columns; expected {separators + 1}",
                where=f"{path}:{number}",
                mend=f"Separate the columns by {separator!r}",
            )
        elif QUOTE in line:
            for cell in line.split(separator):
                if cell.startswith(QUOTE):
                    yield InputError(
                        f"the cell {cell[:40]} begins with a quotation mark, which RecBole's "
                        "reader takes for quoting",
                        where=f"{path}:{number}",
                        mend="Remove the quotation mark",
                    )
                    break


def value_problems(
    path: Path, separator: str, encoding: str, names: Sequence[str] = (), label: str | None = None
) -> Iterator[InputError]:
    """Yields the values that cannot be used; rows of another width are left to ``width_problems``.

    Args:
        path: an interaction file without ``header_problems``.
        separator: between columns.
        encoding: of the file.
        names: columns that need a value in every row.
        label: the column of split labels, if there is one.
    """
    lines = _lines(path, encoding)
    fields = _fields(next(lines), separator)
    watched = [
        (place, name)
        for place, (name, type_) in enumerate(fields)
        if name in names or name == label or type_ == "float"
    ]
    for number, line in enumerate(lines, start=2):
        cells = line.split(separator)
        if len(cells) != len(fields):
            continue
        for place, name in watched:
            cell = cells[place]
            if name in names:
                if cell in NO_VALUE:
                    yield no_value(name, f"{path}:{number}", cell)
            elif name == label:
                if _number(cell) not in _LABELS:
                    yield wrong_label(cell, name, f"{path}:{number}")
            elif cell.strip() not in NO_VALUE and not math.isfinite(_number(cell)):
                yield InputError(
                    f"'{cell[:40]}' in column '{name}'; expected a finite number",
                    where=f"{path}:{number}",
                    mend="Correct the value",
                )


def bad_row(
    path: Path, separator: str, encoding: str, names: Sequence[str] = (), label: str | None = None
) -> InputError:
    """Returns the error for the first of ``value_problems``."""
    for problem in value_problems(path, separator, encoding, names, label):
        return problem
    return InputError("cannot be read", where=path, mend="Compare it with RecBole's atomic files")


def no_value(column: str, where: str, cell: str = "") -> InputError:
    """Returns the error for a row without a user or an item."""
    read_as = f"; '{cell}' is read as none" if cell else ""
    return InputError(
        f"no value in column '{column}'{read_as}", where=where, mend="Complete or remove the row"
    )


def wrong_label(cell: object, column: str, where: str) -> InputError:
    """Returns the error for a split label other than 0, 1 and 2."""
    return InputError(
        f"'{cell}' in column '{column}'; expected 0 (train), 1 (valid) or 2 (test)",
        where=where,
        mend="Correct the value, or name another column as split_label_field",
    )


def columns_of(path: Path, separator: str, encoding: str) -> list[str]:
    """Returns the names of the columns of a file without ``header_problems``."""
    return [name for name, _ in _fields(next(_lines(path, encoding)), separator)]


def _fields(header: str, separator: str) -> list[tuple[str, str]]:
    """Returns name and type of every column."""
    parts = (field.rpartition(":") for field in header.split(separator))
    return [(name, type_) for name, _, type_ in parts]


def _lines(path: Path, encoding: str) -> Iterator[str]:
    try:
        with path.open(encoding=encoding) as stream:
            for line in stream:
                yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"is not {encoding} text ({error.reason})",
            where=_first_undecodable(path, encoding),
            mend=f"Save it as {encoding}, or set encoding",
        ) from error
    except LookupError as error:
        raise InputError(str(error), where="encoding", mend="Set encoding: utf-8") from error
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=path, mend="Check its permissions"
        ) from error


def _first_undecodable(path: Path, encoding: str) -> str:
    """Returns ``path:line`` where the encoding keeps line breaks as bytes, else ``path``."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return f"{path}:{number}"
    return str(path)


def _number(cell: str) -> float:
    """Returns a cell's number; NaN where it is none."""
    try:
        return float(cell)
    except ValueError:
        return math.nan
