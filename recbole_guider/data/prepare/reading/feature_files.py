"""Item features in files of any usual kind, with the item of every row.

``.npy`` holds rows only; their items stand in a column ``item`` of a table beside it, or are the
numbers of the rows. ``.npz``, Parquet and text tables hold the items themselves.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_guider.data.prepare.reading.columns import find_column
from recbole_guider.data.prepare.reading.matrix import load_matrix
from recbole_guider.data.prepare.reading.table import (
    read_table,
    refuse_repeated,
    row_lines,
    tokens,
)
from recbole_guider.data.prepare.reading.text_files import opened
from recbole_guider.data.prepare.steps.raw import ItemRows, Tokens
from recbole_guider.errors import InputError

_FEATURES = "_feat"


def read_features(file: Path, items: pd.Series, interactions: Path, column: str | None) -> ItemRows:
    """Returns a modality's rows.

    Args:
        file: ``.npy``, ``.npz``, ``.parquet``, or a text table (``.csv``, ``.tsv``, with ``.gz``).
        items: the item of every interaction, by its line; a ``.npy`` file without names is numbered
            by them.
        interactions: their file, for messages.
        column: the column of the items in a table that has it; others have a usual name.

    Raises:
        InputError: the file is missing, damaged, of another kind, or does not say its items.
    """
    if not file.is_file():
        raise InputError("is missing", where=file, mend="Check the path.")
    if file.suffix == ".npy":
        return matrix_rows(file, items, interactions)
    if file.suffix == ".npz":
        return _archive_rows(file)
    if file.suffix in (".parquet", ".pq"):
        return _frame_rows(_parquet(file), file, column)
    if file.name.removesuffix(".gz").endswith((".csv", ".tsv", ".txt")):
        return _frame_rows(_text_frame(file, column), file, column)
    raise InputError(
        f"ends in '{file.suffix}'; expected .npy, .npz, .parquet, .csv or .tsv", where=file,
        mend="Convert it to one of these.",
    )  # fmt: skip


def matrix_rows(file: Path, items: pd.Series, interactions: Path) -> ItemRows:
    """Returns a ``.npy`` file's rows with the items that they belong to.

    They are named by ``<name>_items.csv`` beside ``<name>_feat.npy`` or ``<name>.npy``; without
    such a file, row k belongs to item ``k``.

    Raises:
        InputError: the file cannot be used, or its number of rows does not fit the items.
    """
    matrix = load_matrix(file)
    listed = file.with_name(f"{file.stem.removesuffix(_FEATURES)}_items.csv")
    if listed.is_file():
        table = read_table(listed, ["item"])
        refuse_repeated(table, "item", listed)
        named = tokens(table, "item", listed)
        if len(named) != len(matrix):
            raise InputError(
                f"names {len(named):,} items, but {file.name} has {len(matrix):,} rows",
                where=listed,
                mend="Line k + 2 must name the item of row k.",
            )
        return ItemRows(named.tolist(), matrix, file, listed=listed)
    count = 1 + _largest_id(items, interactions, listed.name)
    if len(matrix) != count:
        raise InputError(
            f"has {len(matrix):,} rows, but the items are numbered 0 to {count - 1:,}",
            where=file,
            mend=f"Row k must belong to item k; or name the rows' items in {listed.name}.",
        )
    return ItemRows([str(k) for k in range(count)], matrix, file)


def _largest_id(items: pd.Series, path: Path, listed: str) -> int:
    distinct = items.drop_duplicates()
    wrong = ~distinct.str.fullmatch(r"0|[1-9][0-9]{0,17}").to_numpy(dtype=bool)
    if wrong.any():
        raise InputError(
            f"item '{distinct.iloc[int(wrong.argmax())]}' is no number of a feature row",
            where=f"{path}:{distinct.index[int(wrong.argmax())]}",
            mend=f"Number the items from 0, or name the rows' items in {listed}.",
        )
    return int(distinct.astype(np.int64).max())


def _archive_rows(file: Path) -> ItemRows:
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = [archive[name] for name in archive.files]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"is damaged, no .npz file or holds Python objects ({error})", where=file,
            mend="Save plain arrays with numpy.savez.",
        ) from error  # fmt: skip
    matrices = [one for one in arrays if one.ndim == 2 and one.dtype.kind in "fiu"]
    named = [one for one in arrays if one.ndim == 1 and one.dtype.kind in "iuU"]
    if len(matrices) != 1 or len(named) != 1 or len(matrices[0]) != len(named[0]):
        shapes = ", ".join(f"{one.dtype} {list(one.shape)}" for one in arrays) or "nothing"
        raise InputError(
            f"holds {shapes}; expected one matrix [n, width] and the items of its rows [n]",
            where=file,
            mend="Save just these two arrays with numpy.savez.",
        )
    return ItemRows([str(one) for one in named[0].tolist()], matrices[0], file)


def _parquet(file: Path) -> pd.DataFrame:
    try:
        import pyarrow as pa  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise InputError(
            f"Parquet files need the package pyarrow ({error})",
            where=file,
            mend="Run: pip install 'pyarrow<22', which works with this numpy.",
        ) from error
    try:
        table = pd.read_parquet(file, engine="pyarrow")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"is damaged or no Parquet file ({error})", where=file, mend="Save it again."
        ) from error
    return table.set_axis([f"row {k}" for k in range(len(table))])  # it has no lines


def _text_frame(file: Path, column: str | None) -> pd.DataFrame:
    """Returns a text table whose columns are numbers but for the items', by the rows' lines."""
    with opened(file) as stream:
        header = stream.readline().rstrip("\r\n")
    separator = max("\t,;|", key=header.count)
    names = next(csv.reader([header], delimiter=separator), [])
    item = _item_column(names, column, file)
    lines, quoted = row_lines(file, separator, len(names))
    with opened(file) as stream:
        table = pd.read_csv(stream, sep=separator, dtype={item: str}, index_col=False,
                            na_values=["nan"], keep_default_na=False, skip_blank_lines=False,
                            nrows=len(lines) - 1,
                            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)  # fmt: skip
    return table.set_axis(lines[1:])


def _item_column(names: Sequence[str], column: str | None, file: Path) -> str:
    return str(find_column(names, "item", column if column in names else None, file))


def _frame_rows(table: pd.DataFrame, file: Path, column: str | None) -> ItemRows:
    table.columns = [str(name) for name in table.columns]
    item = _item_column(list(table.columns), column, file)
    table[item] = table[item].astype(str)
    refuse_repeated(table, item, file)
    named = tokens(table, item, file)
    others = table.drop(columns=item)
    if others.shape[1] == 1 and others.dtypes.iloc[0].kind == "O":
        return ItemRows(named.tolist(), _vectors(others.iloc[:, 0], named, file), file)
    for name in others.columns:
        if others[name].dtype.kind not in "fiu":
            given = pd.to_numeric(others[name].astype(str), errors="coerce")
            place = int(given.isna().to_numpy().argmax())
            raise InputError(
                f"'{others[name].iloc[place]}' in column '{name}'; expected a number",
                where=f"{file}:{table.index[place]}",
                mend="Correct the value, or leave the column out.",
            )
    if others.shape[1] == 0:
        raise InputError("has no column of numbers", where=file, mend="Add the features' columns.")
    return ItemRows(named.tolist(), others.to_numpy(), file)


def _vectors(cells: pd.Series, named: Tokens, file: Path) -> NDArray[np.float64]:
    """Returns the rows of a column that holds a list of numbers, or its text, in every cell."""
    rows = []
    for place, cell in enumerate(cells):
        try:
            if isinstance(cell, str):
                cell = cell.strip().strip("[]").replace(",", " ").split()
            rows.append(np.asarray(cell, dtype=np.float64))
        except (TypeError, ValueError):
            rows.append(np.zeros(0))
        if rows[-1].ndim != 1 or len(rows[-1]) == 0 or len(rows[-1]) != len(rows[0]):
            raise InputError(
                f"item '{named[place]}' has {str(cell)[:40]!r}; expected "
                + (f"{len(rows[0])} numbers" if place else "numbers"),
                where=f"{file}:{cells.index[place]}",
                mend="Give every item the same number of values.",
            )
    return cast("NDArray[np.float64]", np.stack(rows))
