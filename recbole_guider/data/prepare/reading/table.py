"""Reading a table of text from another project: what is wrong with it, and in which line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_guider.data.prepare.reading.text_files import opened
from recbole_guider.errors import InputError, nearest_name

_LONGEST_CELL = 1 << 24  # characters; the csv module's own limit cuts long descriptions


def read_table(
    path: Path,
    needed: Sequence[str] = (),
    separator: str | None = None,
    *,
    names: Sequence[str] | None = None,
    quoted: bool = True,
    encoding: str = "utf-8-sig",
) -> pd.DataFrame:
    r"""Reads a table as text; the index of the result holds the line of every row.

    Args:
        path: the file, plain or ``.gz``.
        needed: columns that it must have.
        separator: between columns, of one character or more; None for whichever of tab, comma,
            semicolon and ``|`` the header has most of.
        names: of the columns of a file without a header.
        quoted: whether ``"`` encloses cells, which may then hold separators and line breaks.
        encoding: of the file; a byte-order mark of UTF-8 is skipped.

    Raises:
        InputError: the file is missing, empty, damaged, of another encoding, without a row, lacks
            or repeats a column, or has a row of another width.
    """
    with opened(path, encoding, newline="") as stream:
        text = stream.read().rstrip("\r\n")
    header, _, rest = text.partition("\n")
    _refuse_empty(path, header, names is not None or bool(rest.strip()))
    if separator is None:
        separator = max("\t,;|", key=header.count)
    elif len(separator) > 1:
        text = text.replace("\t", " ").replace(separator, "\t")
        separator = "\t"
    quoted = quoted and '"' in text
    found = next(csv.reader([header.rstrip("\r")], delimiter=separator)) if names is None else names
    _check_names(path, found, needed)
    lines = _lines(path, text, separator, len(found), quoted)
    table: pd.DataFrame = pd.read_csv(
        io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, skip_blank_lines=False,
        names=list(found), header=None if names else 0, index_col=False,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    )  # fmt: skip
    table.index = pd.Index(lines if names else lines[1:])
    return table


def tokens(table: pd.DataFrame, column: str, path: Path) -> NDArray[Any]:
    """Returns a column of names, object [n].

    Raises:
        InputError: one is empty, or holds a blank end, a tab or a line break, which atomic files
            cannot.
    """
    values = table[column]
    distinct = pd.Series(values.unique())
    wrong = (distinct == "") | (distinct != distinct.str.strip())
    wrong |= distinct.str.contains(r"[\t\r\n]")
    if wrong.any():
        bad = values.isin(distinct[wrong]).to_numpy()
        place = int(bad.argmax())
        raise InputError(
            f"'{values.iloc[place]}' in column '{column}'; expected a name without blanks at its "
            "ends",
            where=f"{path}:{table.index[place]}",
            mend="Complete, clean or remove the row.",
        )
    names: NDArray[Any] = values.to_numpy(dtype=object)
    return names


def numbers(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.float64]:
    """Returns a column of finite numbers, float64 [n].

    Raises:
        InputError: one is not; the message names its line.
    """
    given = pd.to_numeric(table[column], errors="coerce")
    values: NDArray[np.float64] = given.to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(values)
    if wrong.any():
        place = int(wrong.argmax())
        raise InputError(
            f"'{table[column].iloc[place]}' in column '{column}'; expected a finite number",
            where=f"{path}:{table.index[place]}",
            mend="Correct the value.",
        )
    return values


def refuse_repeated(table: pd.DataFrame, column: str, path: Path) -> None:
    """Raises an InputError for the first row whose value occurred before."""
    again = table[column].duplicated().to_numpy()
    if again.any():
        place = int(again.argmax())
        raise InputError(
            f"'{table[column].iloc[place]}' occurs again",
            where=f"{path}:{table.index[place]}",
            mend="Keep one row.",
        )


def only_file(folder: Path, pattern: str, what: str) -> Path:
    """Returns the one file of a folder that fits a pattern.

    Raises:
        InputError: there is no such folder, none or several.
    """
    if not folder.is_dir():
        raise InputError("is no folder", where=folder, mend="Give the folder of the raw files.")
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        listed = ", ".join(path.name for path in found or sorted(folder.iterdir())[:8]) or "nothing"
        raise InputError(
            f"expected one {what} ({pattern}), found {len(found) or 'none'} in: {listed}",
            where=folder,
            mend="Check --from.",
        )
    return found[0]


def _refuse_empty(path: Path, header: str, has_rows: bool) -> None:
    if not header.strip() or not has_rows:
        raise InputError(
            "holds no row" if header.strip() else "is empty",
            where=path,
            mend="It needs a header and one row at least.",
        )


def _check_names(path: Path, names: Sequence[str], needed: Sequence[str]) -> None:
    for name in needed:
        if name not in names:
            raise InputError(
                f"has no column '{name}'; its columns are {', '.join(names)}",
                where=f"{path}:1",
                mend=nearest_name(name, names),
            )
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InputError(
            f"has two columns '{repeated[0]}'", where=f"{path}:1", mend="Rename or remove one."
        )


def _lines(path: Path, text: str, separator: str, width: int, quoted: bool) -> NDArray[np.int64]:
    """Returns the line of every row; refuses rows that pandas would fill or cut in silence."""
    lines: list[int] = []
    found = line = 0
    if not quoted:
        for row in text.split("\n"):
            found = row.count(separator) + 1
            lines.append(len(lines) + 1)
            if found != width:
                break
    else:
        csv.field_size_limit(_LONGEST_CELL)
        reader: Any = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        try:
            for cells in reader:
                found, line = len(cells), line + 1
                lines.append(line)
                line = reader.line_num
                if found != width and not (width == 1 and not cells):
                    break
                found = width
        except csv.Error as error:
            raise InputError(
                f"cannot be read ({error})", where=f"{path}:{reader.line_num}", mend="Mend the row."
            ) from error
    if found != width:
        raise InputError(
            f"has {found} columns; expected {width}"
            + (", as in the header" if lines[-1] > 1 else ""),
            where=f"{path}:{lines[-1]}",
            mend="Complete or remove the row.",
        )
    return np.asarray(lines, dtype=np.int64)
