"""A data set as a folder of the MMRec toolbox: what ``prepare mmrec`` reads, written back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_guider.data.commands.validate import check_readable
from recbole_guider.data.files.feature_table import load_table
from recbole_guider.data.files.layout import OTHER, Layout, read_interactions
from recbole_guider.data.files.whole_folder import whole_folder
from recbole_guider.data.modality_choice import choose_modalities, find_modalities
from recbole_guider.errors import InputError, one_of

MISSING = ("zero", "list")
_ROWS = 1024  # feature rows written together


def export(
    layout: Layout, folder: Path, missing: str = "zero", keep_ids: bool = False
) -> dict[str, Any]:
    """Writes ``<name>.inter``, ``<modality>_feat.npy`` and, where ids change, the id maps.

    Interactions keep their order and the text of their cells. Users and items keep their names if
    these are the numbers 0 to n - 1, as the toolbox needs; otherwise they are numbered in order of
    occurrence and ``u_id_mapping.csv`` and ``i_id_mapping.csv`` hold the names. Features are
    float32, row k for item k.

    Args:
        layout: the data set; its files must fix the split.
        folder: made now; must not hold anything.
        missing: what an item without a row gets: ``zero`` (all that the toolbox can read), or
            ``list``: no row, and ``<modality>_items.csv`` names the items of the others. It does
            so for items too that are not numbered 0 to n - 1.
        keep_ids: never number anew.

    Returns:
        Numbers of ``users``, ``items``, ``interactions``, whether ids were ``renumbered``, and
        ``filled``: modality -> items that got a row of zeros.

    Raises:
        InputError: the files cannot be read, bring no split, the folder holds something, or rows
            cannot be at the place of their items.
    """
    one_of(missing, MISSING, "--missing")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError("exists already", where=folder, mend="Choose another folder for --to.")
    check_readable(layout)
    table = read_interactions(layout)
    if (table["phase"] == -1).all():
        raise InputError(
            f"has no column '{layout.label}', which the toolbox needs",
            where=layout.inter[0],
            mend="Prepare the data set with a split.",
        )
    items = pd.Index(table["item"].unique())
    users = pd.Index(table["user"].unique())
    renumbered = not keep_ids and not (_are_numbers(users) and _are_numbers(items))
    found = choose_modalities(layout.wanted, find_modalities(layout.folder, layout.name))
    filled: dict[str, int] = {}
    with whole_folder(folder) as place:
        if renumbered:
            _write_map(users, "user_id", "userID", place / "u_id_mapping.csv")
            _write_map(items, "asin", "itemID", place / "i_id_mapping.csv")
            table["user"] = users.get_indexer(table["user"]).astype(str)
            table["item"] = items.get_indexer(table["item"]).astype(str)
        _write_interactions(table, place / f"{layout.name}.inter")
        for name, path in found.items():
            features = load_table(path)
            kept = np.flatnonzero(items.get_indexer(pd.Index(features.tokens)) >= 0)
            tokens = [features.tokens[k] for k in kept]
            if renumbered:
                tokens = [str(k) for k in items.get_indexer(pd.Index(tokens))]
            rows = _Kept(features.values, kept, tokens, path)
            filled[name] = _write_features(rows, len(items), missing, place / f"{name}_feat.npy")
    return {
        "users": len(users),
        "items": len(items),
        "interactions": len(table),
        "renumbered": renumbered,
        "filled": {name: count for name, count in filled.items() if count},
    }


class _Kept(NamedTuple):
    """The rows of a modality that belong to items of the interactions.

    Attributes:
        values: float32 [n_rows, width], all rows of the modality's file.
        kept: int64 [n], the rows to write.
        tokens: the items of the kept rows, as they are named in the toolbox's folder.
        source: the modality's file, for messages.
    """

    values: NDArray[np.float32]
    kept: NDArray[np.int64]
    tokens: list[str]
    source: Path


def _are_numbers(names: pd.Index) -> bool:
    """Returns whether the names are the numbers 0 to n - 1, written plainly."""
    return set(names) == {str(k) for k in range(len(names))}


def _write_map(names: pd.Index, name_column: str, id_column: str, path: Path) -> None:
    rows = "".join(f"{name}\t{k}\n" for k, name in enumerate(names))
    path.write_bytes(f"{name_column}\t{id_column}\n{rows}".encode())


def _write_interactions(table: pd.DataFrame, path: Path) -> None:
    others = [name for name in table.columns if name.startswith(OTHER)]
    written = table[["user", "item", *others, "phase"]]
    written.columns = pd.Index(
        ["userID", "itemID", *(name[len(OTHER) :] for name in others), "x_label"]
    )
    text = written.to_csv(None, sep="\t", index=False, lineterminator="\n", quoting=3)
    path.write_bytes(text.encode("utf-8"))


def _write_features(rows: _Kept, n_items: int, missing: str, path: Path) -> int:
    """Writes a matrix; returns how many items got a row of zeros."""
    numbered = set(rows.tokens) == {str(k) for k in range(n_items)}
    if missing == "list" and not numbered:
        listed = path.with_name(path.name.replace("_feat.npy", "_items.csv"))
        listed.write_bytes("\n".join(["item", *rows.tokens, ""]).encode())
        places, height = np.arange(len(rows.kept)), len(rows.kept)
    else:
        places, height = _numbers(rows, n_items), n_items
    mapped: Any = np.lib.format.open_memmap  # numpy leaves it untyped
    matrix = mapped(path, mode="w+", dtype=np.float32, shape=(height, rows.values.shape[1]))
    for start in range(0, len(places), _ROWS):
        block = slice(start, start + _ROWS)
        matrix[places[block]] = rows.values[rows.kept[block]]
    matrix.flush()  # what was not written reads as zeros
    return height - len(places)


def _numbers(rows: _Kept, n_items: int) -> NDArray[np.int64]:
    """Returns the row of the matrix for every kept row, which is its item's number."""
    if not set(rows.tokens) <= {str(k) for k in range(n_items)}:
        raise InputError(
            f"its items are not numbered 0 to {n_items - 1:,}, so rows cannot be at their places",
            where=rows.source,
            mend="Leave out --keep-ids, or add --missing list.",
        )
    numbers: NDArray[np.int64] = np.array(rows.tokens, dtype=np.int64)
    return numbers
