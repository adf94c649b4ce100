"""Finding the columns of an interaction table by the names that published data sets use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_guider.data.prepare.reading.table import numbers, times, tokens
from recbole_guider.errors import InputError, nearest_name

# Compared in lower case, without the type of an atomic file and without _, - and blanks.
_USUAL: Mapping[str, Sequence[str]] = {
    "user": ("userid", "user", "uid", "reviewerid", "customerid", "visitorid", "u"),
    "item": ("itemid", "item", "iid", "parentasin", "asin", "videoid", "video", "movieid",
             "productid", "businessid", "newsid", "i"),
    "rating": ("rating", "ratings", "overall", "stars", "score"),
    "time": ("timestamp", "time", "unixreviewtime", "date", "datetime"),
    "label": ("xlabel",),
    "title": ("title", "text", "name"),
}  # fmt: skip


def find_column(
    names: Sequence[str],
    role: str,
    given: str | None,
    path: Path,
    *,
    needed: bool = True,
    mend: str = "",
) -> str | None:
    """Returns the column of a role.

    Args:
        names: the table's columns.
        role: ``user``, ``item``, ``rating``, ``time``, ``label`` or ``title``.
        given: the column that the user named, or None to find it by its usual names.
        path: the file, for messages.
        needed: whether the table must have it; None is returned otherwise.
        mend: what to do where a needed one is not found; if not said, the option of the role.

    Raises:
        InputError: the named column, or a needed one, is not there.
    """
    if given is not None:
        if given in names:
            return given
        raise InputError(
            f"has no column '{given}'; its columns are {', '.join(names)}",
            where=f"{path}:1",
            mend=nearest_name(given, names),
        )
    plain = {_plain(name): name for name in reversed(names)}
    for usual in _USUAL[role]:
        if usual in plain:
            return plain[usual]
    if not needed:
        return None
    raise InputError(
        f"has no column that usually holds the {role} ({', '.join(_USUAL[role][:4])}, ...); its "
        f"columns are {', '.join(names)}",
        where=f"{path}:1",
        mend=mend or f"Name it with --{role}-column.",
    )


def number_columns(
    table: pd.DataFrame, named: Mapping[str, str | None], path: Path
) -> dict[str, NDArray[np.float64]]:
    """Returns rating, timestamp and x_label of a table, as far as it has them.

    Args:
        table: of text.
        named: role -> column that the user named, or None.
        path: the file, for messages.

    Raises:
        InputError: a named column is not there, or a value is no finite number (of a
            time: or date).
    """
    found = {}
    for role, name in (("rating", "rating"), ("time", "timestamp"), ("label", "x_label")):
        column = find_column(list(table.columns), role, named.get(role), path, needed=False)
        if column is not None:
            found[name] = (times if role == "time" else numbers)(table, column, path)
    if "x_label" in found:
        check_labels(found["x_label"], table, path)
    return found


def check_labels(labels: NDArray[np.float64], table: pd.DataFrame, path: Path) -> None:
    """Refuses labels of a split other than 0, 1 and 2.

    Raises:
        InputError: one is; the message names its line.
    """
    wrong = ~np.isin(labels, (0, 1, 2))
    if wrong.any():
        place = int(wrong.argmax())
        raise InputError(
            f"'{labels[place]:g}' in the column of the split; expected 0 (training), "
            "1 (validation) or 2 (test)",
            where=f"{path}:{table.index[place]}",
            mend="Correct the value.",
        )


def pair_columns(
    table: pd.DataFrame, named: Mapping[str, str | None], path: Path
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the users and items of a table.

    Raises:
        InputError: a column is not there, or a name cannot stand in an atomic file.
    """
    columns = list(table.columns)
    user, item = (find_column(columns, role, named.get(role), path) for role in ("user", "item"))
    return tokens(table, str(user), path), tokens(table, str(item), path)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.split(":")[0].lower())
