"""Reading a table of text from another project: what is wrong with it, and in which line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_guider.errors import InputError, nearest_name


def read_table(path: Path, needed: Sequence[str], separator: str | None = None) -> pd.DataFrame:
    r"""Reads a table with a header as text; row k of the result stands in line k + 2.

    Args:
        path: the file, UTF-8 with or without a byte-order mark.
        needed: columns that it must have.
        separator: between columns; None for whichever of tab, comma, semicolon and ``|`` the
            header has most of.

    Raises:
        InputError: the file is missing, empty, no UTF-8, without a row, lacks or repeats a column,
            or has a row of another width.
    """
    header = _header(path)
    if separator is None:
        separator = max("\t,;|", key=header.count)
    names = next(csv.reader([header], delimiter=separator))
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
    _check_widths(path, separator, len(names))
    table: pd.DataFrame = pd.read_csv(
        path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig",
        skip_blank_lines=False, quoting=csv.QUOTE_MINIMAL,
    )  # fmt: skip
    return table


def tokens(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.str_]:
    """Returns a column of names, [n].

    Raises:
        InputError: one is empty, or holds a blank end, a tab or a line break, which atomic files
            cannot.
    """
    values = table[column]
    wrong = (values == "") | (values != values.str.strip()) | values.str.contains(r"[\t\r\n]")
    if wrong.any():
        place = int(wrong.to_numpy().argmax())
        raise InputError(
            f"'{values.iloc[place]}' in column '{column}'; expected a name without blanks at its "
            "ends",
            where=f"{path}:{place + 2}",
            mend="Complete, clean or remove the row.",
        )
    names: NDArray[np.str_] = values.to_numpy(dtype=np.str_)
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
            where=f"{path}:{place + 2}",
            mend="Correct the value.",
        )
    return values


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


def _header(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as stream:
            header = stream.readline().rstrip("\r\n")
            first = stream.readline()
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=path, mend="Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", where=path, mend="Save it as UTF-8.") from error
    if not header or not first.strip():
        raise InputError(
            "holds no row" if header else "is empty",
            where=path,
            mend="It needs a header and one row at least.",
        )
    return header


def _check_widths(path: Path, separator: str, width: int) -> None:
    """Refuses rows that pandas would fill or cut in silence."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader: Any = csv.reader(stream, delimiter=separator)
            for row in reader:
                if len(row) != width:
                    raise InputError(
                        f"has {len(row)} columns; expected {width}, as in the header",
                        where=f"{path}:{reader.line_num}",
                        mend="Complete or remove the row.",
                    )
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", where=path, mend="Save it as UTF-8.") from error
    except csv.Error as error:
        raise InputError(
            f"cannot be read ({error})", where=f"{path}:{reader.line_num}", mend="Mend the row."
        ) from error
