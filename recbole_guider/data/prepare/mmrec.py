"""Folders of the MMRec toolbox: ``<name>.inter`` with x_label, and ``<modality>_feat.npy``.

Row k of a feature file belongs to item k, unless ``<modality>_items.csv`` beside it names the item
of every row in a column ``item``. ``u_id_mapping.csv`` and ``i_id_mapping.csv`` hold the original
names of the ids where the folder brings them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_guider.data.prepare.features import load_matrix
from recbole_guider.data.prepare.raw import ItemRows, RawData
from recbole_guider.data.prepare.table import numbers, only_file, read_table, tokens
from recbole_guider.errors import InputError

_USER, _ITEM, _LABEL = "userID", "itemID", "x_label"
_FEATURES = "_feat.npy"


def read(folder: Path, original_ids: bool = False) -> RawData:
    """Reads a folder of the toolbox.

    Args:
        folder: holds one ``.inter`` file and any number of feature files.
        original_ids: name users and items as the id maps do, instead of by their numbers.

    Raises:
        InputError: a file is missing or cannot be used; the message says which line or row.
    """
    path = only_file(folder, "*.inter", "interaction file")
    table = read_table(path, [_USER, _ITEM, _LABEL])
    users, items = tokens(table, _USER, path), tokens(table, _ITEM, path)
    columns = {_LABEL: numbers(table, _LABEL, path)}
    _check_labels(columns[_LABEL], path)
    for name in ("rating", "timestamp"):
        if name in table:
            columns[name] = numbers(table, name, path)
    files = sorted(folder.glob(f"*{_FEATURES}"))
    rows = {file.name[: -len(_FEATURES)]: _rows(file, items, path) for file in files}
    sources = [path, *files, *sorted(folder.glob("*_items.csv"))]
    if original_ids:
        of_user, of_item = (_names(folder / f"{one}_id_mapping.csv", one) for one in "ui")
        users = _renamed(users, of_user, path, _USER)
        items = _renamed(items, of_item, path, _ITEM)
        rows = {name: _with_names(one, of_item) for name, one in rows.items()}
        sources += [folder / f"{one}_id_mapping.csv" for one in "ui"]
    return RawData(users, items, columns, rows, sources=sources)


def _check_labels(labels: NDArray[np.float64], path: Path) -> None:
    wrong = ~np.isin(labels, (0, 1, 2))
    if wrong.any():
        place = int(wrong.argmax())
        raise InputError(
            f"'{labels[place]:g}' in column '{_LABEL}'; expected 0 (training), 1 (validation) or "
            "2 (test)",
            where=f"{path}:{place + 2}",
            mend="Correct the value.",
        )


def _rows(file: Path, items: NDArray[np.str_], interactions: Path) -> ItemRows:
    """Returns a feature file's rows with the items that they belong to."""
    matrix = load_matrix(file)
    listed = file.with_name(f"{file.name[: -len(_FEATURES)]}_items.csv")
    if listed.is_file():
        named = tokens(read_table(listed, ["item"]), "item", listed)
        _refuse_repeated(named, listed)
        if len(named) != len(matrix):
            raise InputError(
                f"names {len(named):,} items, but {file.name} has {len(matrix):,} rows",
                where=listed,
                mend="Line k + 2 must name the item of row k.",
            )
        return ItemRows(named.tolist(), matrix, file)
    count = 1 + _largest_id(items, interactions)
    if len(matrix) != count:
        raise InputError(
            f"has {len(matrix):,} rows, but the items are numbered 0 to {count - 1:,}",
            where=file,
            mend=f"Row k must belong to item k; or name the rows' items in {listed.name}.",
        )
    return ItemRows([str(k) for k in range(count)], matrix, file)


def _largest_id(items: NDArray[np.str_], path: Path) -> int:
    wrong = ~pd.Series(items).str.fullmatch(r"0|[1-9][0-9]{0,17}").to_numpy(dtype=bool)
    if wrong.any():
        place = int(wrong.argmax())
        raise InputError(
            f"'{items[place]}' in column '{_ITEM}'; expected the number of a feature row",
            where=f"{path}:{place + 2}",
            mend="Number the items from 0, or name the rows' items in <modality>_items.csv.",
        )
    return int(items.astype(np.int64).max())


def _names(path: Path, which: str) -> dict[str, str]:
    """Returns id -> original name of an id map, whose id column is userID or itemID."""
    key = _USER if which == "u" else _ITEM
    table = read_table(path, [key])
    others = [name for name in table.columns if name != key]
    if len(others) != 1:
        raise InputError(
            f"has columns {', '.join(table.columns)}; expected {key} and one of names",
            where=f"{path}:1",
            mend="Keep the original name and the id.",
        )
    ids, names = tokens(table, key, path), tokens(table, others[0], path)
    _refuse_repeated(ids, path)
    _refuse_repeated(names, path)
    return dict(zip(ids.tolist(), names.tolist()))


def _refuse_repeated(values: NDArray[np.str_], path: Path) -> None:
    _, first = np.unique(values, return_index=True)
    if len(first) < len(values):
        place = int(np.setdiff1d(np.arange(len(values)), first)[0])
        raise InputError(
            f"'{values[place]}' occurs again", where=f"{path}:{place + 2}", mend="Keep one row."
        )


def _renamed(
    ids: NDArray[np.str_], names: dict[str, str], path: Path, column: str
) -> NDArray[np.str_]:
    renamed = pd.Series(ids).map(names)
    if renamed.isna().any():
        place = int(renamed.isna().to_numpy().argmax())
        raise InputError(
            f"'{ids[place]}' in column '{column}' is not in the id map",
            where=f"{path}:{place + 2}",
            mend="Complete the map, or leave out --original-ids.",
        )
    found: NDArray[np.str_] = renamed.to_numpy(dtype=np.str_)
    return found


def _with_names(rows: ItemRows, names: dict[str, str]) -> ItemRows:
    """Returns the rows under original names; a row whose item the map lacks keeps its number."""
    named = [names.get(token, token) for token in rows.tokens]
    return ItemRows(named, rows.values, rows.source, rows.extractor)
