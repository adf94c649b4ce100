"""Folders of the MMRec toolbox: ``<name>.inter`` with x_label, and ``<modality>_feat.npy``.

Row k of a feature file belongs to item k, unless ``<modality>_items.csv`` beside it names the item
of every row in a column ``item``. ``u_id_mapping.csv`` and ``i_id_mapping.csv`` hold the original
names of the ids where the folder brings them.
"""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_guider.data.prepare.reading.columns import check_labels
from recbole_guider.data.prepare.reading.feature_files import matrix_rows
from recbole_guider.data.prepare.reading.table import (
    numbers,
    only_file,
    read_table,
    refuse_repeated,
    tokens,
)
from recbole_guider.data.prepare.steps.options import add_folder
from recbole_guider.data.prepare.steps.raw import ItemRows, RawData, Tokens
from recbole_guider.errors import InputError

_USER, _ITEM, _LABEL = "userID", "itemID", "x_label"
_FEATURES = "_feat.npy"

SUMMARY = "a folder of the MMRec toolbox: <name>.inter with x_label, <modality>_feat.npy"


def add_options(parser: ArgumentParser) -> None:
    """Adds the options of this source."""
    add_folder(parser)
    parser.add_argument("--original-ids", action="store_true",
                        help="name users and items as the id maps do")  # fmt: skip


def read_given(options: Any) -> RawData:
    """Reads what the options name; see ``read``."""
    return read(options.folder, options.original_ids)


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
    check_labels(columns[_LABEL], table, path)
    for name in ("rating", "timestamp"):
        if name in table:
            columns[name] = numbers(table, name, path)
    files = sorted(folder.glob(f"*{_FEATURES}"))
    placed = pd.Series(items, index=table.index)
    rows = {file.name[: -len(_FEATURES)]: matrix_rows(file, placed, path) for file in files}
    sources = [path, *files]
    if original_ids:
        of_user, of_item = (_names(folder / f"{one}_id_mapping.csv", one) for one in "ui")
        users = _renamed(pd.Series(users, index=table.index), of_user, path, _USER)
        items = _renamed(placed, of_item, path, _ITEM)
        rows = {name: _with_names(one, of_item) for name, one in rows.items()}
        sources += [folder / f"{one}_id_mapping.csv" for one in "ui"]
    return RawData(users, items, columns, rows, sources=sources)


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
    for column in (key, others[0]):
        refuse_repeated(table, column, path)
    return dict(zip(ids.tolist(), names.tolist()))


def _renamed(ids: pd.Series, names: dict[str, str], path: Path, column: str) -> Tokens:
    renamed = ids.map(names)
    if renamed.isna().any():
        place = int(renamed.isna().to_numpy().argmax())
        raise InputError(
            f"'{ids.iloc[place]}' in column '{column}' is not in the id map",
            where=f"{path}:{ids.index[place]}",
            mend="Complete the map, or leave out --original-ids.",
        )
    found: Tokens = renamed.to_numpy(dtype=object)
    return found


def _with_names(rows: ItemRows, names: dict[str, str]) -> ItemRows:
    """Returns the rows under original names.

    Raises:
        InputError: the map lacks a row's item; its number could be another item's name.
    """
    for token in rows.tokens:
        if token not in names:
            raise InputError(
                f"item '{token}' of its rows is not in the id map",
                where=rows.source,
                mend="Complete the map, or leave out --original-ids.",
            )
    return replace(rows, tokens=[names[token] for token in rows.tokens])
