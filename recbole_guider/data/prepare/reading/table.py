"""Reading a table of text from another project: what is wrong with it, and in which line."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_guider.data.names import why_unreadable
from recbole_guider.data.prepare.reading.text_files import opened
from recbole_guider.errors import InputError, nearest_name

_ISO = r"\d{4}-\d{2}-\d{2}(?:$|[ T])"  # other orders of day and month look alike
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
    with opened(path, encoding) as stream:
        header = stream.readline().rstrip("\n")
        has_rows = bool(header and names is not None) or any(line.strip() for line in stream)
    _refuse_empty(path, header, has_rows)
    if separator is None:
        separator = max("\t,;|", key=header.count)
    found = next(csv.reader([header], delimiter=separator)) if names is None else list(names)
    _check_names(path, found, needed)
    lines, quoted = row_lines(path, separator, len(found), quoted, encoding)
    with opened(path, encoding) as stream:
        source: Any = _OneSeparator(stream, separator) if len(separator) > 1 else stream
        table: pd.DataFrame = pd.read_csv(
            source, sep="\t" if len(separator) > 1 else separator, dtype=str, names=found,
            header=None if names else 0, index_col=False, keep_default_na=False,
            skip_blank_lines=False, nrows=len(lines) - (names is None),
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        )  # fmt: skip
    table.index = pd.Index(lines if names else lines[1:])
    return table


def row_lines(
    path: Path, separator: str, width: int, quoted: bool = True, encoding: str = "utf-8-sig"
) -> tuple[NDArray[np.int64], bool]:
    """Returns the line of every row, the header's too, and whether any cell is quoted.

    The file is read as a stream. Blank lines at its end are no rows.

    Raises:
        InputError: a row has not ``width`` cells (pandas would fill or cut it in silence), or
            holds a NUL character (pandas would end the cell there).
    """
    last = wrong = found = 0
    quotes = False
    with opened(path, encoding) as stream:
        for number, line in enumerate(stream, start=1):
            if "\0" in line:
                raise InputError(
                    "holds a NUL character", where=f"{path}:{number}", mend="Remove it."
                )
            quotes = quotes or (quoted and '"' in line)
            if line == "\n" or quotes:
                continue
            cells = line.count(separator) + 1
            if not wrong and (cells != width or (number != last + 1 and width > 1)):
                wrong, found = (number, cells) if number == last + 1 else (last + 1, 1)
            last = number
    if quotes:
        return _quoted_lines(path, separator, width, encoding), True
    if wrong:
        raise _wrong_width(path, wrong, found, width)
    return np.arange(1, last + 1), False


class _OneSeparator:
    """A text stream in which a separator of several characters is a tab."""

    def __init__(self, stream: TextIO, separator: str) -> None:
        self._stream, self._separator = stream, separator

    def read(self, size: int = -1) -> str:
        """Returns some lines, of about ``size`` characters."""
        text = "".join(self._stream.readlines(size))
        return text.replace("\t", " ").replace(self._separator, "\t")

    def __iter__(self) -> Iterator[str]:
        """Never called; pandas asks for it."""
        return iter(())


def tokens(table: pd.DataFrame, column: str, path: Path) -> NDArray[Any]:
    """Returns a column of names, object [n].

    Raises:
        InputError: RecBole would read another name (``names.why_unreadable``).
    """
    values = table[column]
    why = {name: found for name in values.unique() if (found := why_unreadable(name))}
    if why:
        place = int(values.isin(list(why)).to_numpy().argmax())
        name = values.iloc[place]
        raise InputError(
            f"'{name}' in column '{column}' {why[name]}; expected a name",
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


def times(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.float64]:
    """Returns a column of numbers as they stand, or of ISO dates as seconds since 1970 (UTC).

    Raises:
        InputError: a value is neither, or numbers and dates are mixed; the message names its line.
    """
    given = table[column]
    if not re.match(_ISO, str(given.iloc[0])):
        return numbers(table, column, path)
    parsed = pd.to_datetime(given.where(given.str.match(_ISO)), errors="coerce", utc=True)
    if parsed.isna().any():
        place = int(parsed.isna().to_numpy().argmax())
        raise InputError(
            f"'{given.iloc[place]}' in column '{column}'; expected a date such as "
            f"'{given.iloc[0]}'",
            where=f"{path}:{table.index[place]}",
            mend="Correct the value.",
        )
    since = parsed - pd.Timestamp(0, tz="UTC")
    seconds: NDArray[np.float64] = since.dt.total_seconds().to_numpy()
    return seconds


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


def _quoted_lines(path: Path, separator: str, width: int, encoding: str) -> NDArray[np.int64]:
    """Returns ``row_lines`` of a file in which cells may hold separators and line breaks."""
    csv.field_size_limit(_LONGEST_CELL)
    lines, start, blank = array("q"), 1, 0
    with opened(path, encoding) as stream:
        reader: Any = csv.reader(stream, delimiter=separator)
        try:
            for cells in reader:
                if not cells:
                    blank = blank or start
                elif len(cells) != width or (blank and width > 1):
                    place, found = (blank, 1) if blank else (start, len(cells))
                    raise _wrong_width(path, place, found, width)
                else:
                    lines.extend(range(blank or start, start))  # cells of nothing
                    lines.append(start)
                    blank = 0
                start = reader.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"cannot be read ({error})", where=f"{path}:{reader.line_num}", mend="Mend the row."
            ) from error
    return np.array(lines, dtype=np.int64)


def _wrong_width(path: Path, line: int, found: int, width: int) -> InputError:
    return InputError(
        f"has {found} columns; expected {width}" + (", as in the header" if line > 1 else ""),
        where=f"{path}:{line}",
        mend="Complete or remove the row.",
    )
