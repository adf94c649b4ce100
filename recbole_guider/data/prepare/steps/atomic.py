"""Writing a data set's folder, whole or not at all: atomic files, features, a manifest."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_guider.data.files.feature_table import keep_table
from recbole_guider.data.files.whole_folder import whole_folder
from recbole_guider.data.fingerprint import file_hash
from recbole_guider.data.names import why_unreadable
from recbole_guider.data.prepare.steps.raw import ItemRows, RawData
from recbole_guider.errors import InputError

_LABELS = ("train", "valid", "test")
_PLANTED = "planted.npz"  # without the data set's name: no result depends on it
_LARGEST = float(np.finfo(np.float32).max)
_ROWS = 256  # feature rows written together


def write_dataset(raw: RawData, folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """Writes ``<name>.inter``, a file for each modality and ``<name>.manifest.json``.

    Interactions keep their order. Feature rows of items without an interaction are left out, since
    the candidates of a recommendation are the items of the interactions.

    Args:
        raw: what a source was read into; its texts must have become modalities.
        folder: ``<data_path>/<name>``; must not hold anything yet.
        about: entries for the manifest, such as the source's name and the split's rule.

    Returns:
        The manifest.

    Raises:
        InputError: the folder cannot be written, holds something already, or the data has no
            interaction, or a modality has no row for any item.
    """
    name = folder.name
    check(raw)
    known = pd.Index(pd.unique(raw.items.astype(object)))
    with whole_folder(folder) as place:
        _write_interactions(raw, place / f"{name}.inter")
        modalities = {
            modality: write_modality(rows, modality, known, place / f"{name}.item{modality}")
            for modality, rows in raw.modalities.items()
        }
        manifest = {
            "name": name,
            **about,
            **_counts(raw, known),
            "modalities": modalities,
            "notes": list(raw.notes),
            "source files": _hashes(raw),
            "files": {path.name: file_hash(path) for path in sorted(place.glob(f"{name}.*"))
                      if path.suffix not in (".npy", ".tokens")},
            "versions": {"numpy": np.__version__, "pandas": pd.__version__,
                         "python": platform.python_version()},
        }  # fmt: skip
        if raw.planted:
            np.savez(place / _PLANTED, **raw.planted)
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (place / f"{name}.manifest.json").write_text(text, encoding="utf-8")
    return manifest


def check(raw: RawData) -> None:
    """Refuses data that cannot become a data set.

    Raises:
        InputError: it has no interaction, none of a phase, a name that RecBole would read as
            another, or a modality without any known item or with a name that cannot be one.
    """
    if len(raw.users) == 0:
        raise InputError("no interaction is left", mend="Check the source and its filters.")
    labels = raw.columns.get("x_label")
    if labels is not None:
        for place, part in enumerate(_LABELS):
            if not (labels == place).any():
                raise InputError(
                    f"no interaction has x_label {place} ({part})", mend="Check the split."
                )
    known = pd.Index(pd.unique(raw.items.astype(object)))
    for name in [*pd.unique(raw.users.astype(object)), *known]:
        if why := why_unreadable(name):
            raise InputError(f"'{name}' {why}; expected a name", mend="Check the source.")
    for modality, rows in raw.modalities.items():
        if not modality.isidentifier():
            raise InputError(
                f"'{modality}' cannot name a modality", where=rows.source,
                mend="Rename the file; use letters, digits and _.",
            )  # fmt: skip
        again = pd.Index(rows.tokens).duplicated()
        if again.any():
            second = int(again.argmax())
            first = list(rows.tokens).index(rows.tokens[second])
            raise InputError(
                f"item '{rows.tokens[second]}' has two rows, {first} and {second}",
                where=rows.source,
                mend="Keep one row for each item.",
            )
        if not known.isin(rows.tokens).any():
            raise InputError(
                f"none of its {len(rows.tokens):,} rows belongs to an item with interactions",
                where=rows.source,
                mend=f"Check how {modality} names its items.",
            )


def _hashes(raw: RawData) -> dict[str, str]:
    """Returns the files that were read with their hashes; names that meet get their folder's."""
    listed = (rows.listed for rows in raw.modalities.values())
    paths = list(dict.fromkeys([*raw.sources, *filter(None, listed)]))
    names = [path.name for path in paths]
    return {
        name if names.count(name) == 1 else f"{path.resolve().parent.name}/{name}": file_hash(path)
        for name, path in zip(names, paths)
    }


def _counts(raw: RawData, known: pd.Index) -> dict[str, Any]:
    users, items = len(pd.unique(raw.users.astype(object))), len(known)
    counts: dict[str, Any] = {"total": len(raw.users)}
    labels = raw.columns.get("x_label")
    if labels is not None:
        counts.update({part: int((labels == i).sum()) for i, part in enumerate(_LABELS)})
    return {"users": users, "items": items, "interactions": counts}


def _write_interactions(raw: RawData, path: Path) -> None:
    columns: dict[str, Any] = {"user_id:token": raw.users, "item_id:token": raw.items}
    for name, values in raw.columns.items():
        whole = bool((values == np.round(values)).all()) and bool((np.abs(values) < 2**53).all())
        columns[f"{name}:float"] = values.astype(np.int64) if whole else values
    table = pd.DataFrame(columns)
    # Inside a name a quotation mark stands for itself; in front of one, ``check`` refuses it.
    table.to_csv(path, sep="\t", index=False, lineterminator="\n", quoting=3, encoding="utf-8")


def write_modality(rows: ItemRows, modality: str, known: pd.Index, path: Path) -> dict[str, Any]:
    """Writes a modality's file and its compiled form; every float32 is read back as it was."""
    kept = np.flatnonzero(known.get_indexer(pd.Index(rows.tokens)) >= 0)
    width = rows.values.shape[1]
    line = " ".join(["%.9g"] * width)  # nine digits tell every float32
    names = [rows.tokens[k] for k in kept]
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(f"item_id:token\t{modality}:float_seq\n")
        for start in range(0, len(kept), _ROWS):
            chosen = kept[start : start + _ROWS]
            for k, row in zip(chosen, _finite(rows, chosen).tolist()):
                stream.write(f"{rows.tokens[k]}\t{line % tuple(row)}\n")
    blocks = (_float32(rows, kept[i : i + _ROWS]) for i in range(0, len(kept), _ROWS))
    keep_table(path, names, width, blocks)
    return {
        "width": int(width),
        "rows": len(kept),
        "items without a row": len(known) - len(kept),
        "rows without interactions, left out": len(rows.tokens) - len(kept),
        "extractor": rows.extractor,
    }


def _finite(rows: ItemRows, chosen: Any) -> Any:
    """Returns rows as float32; refuses a value that is none."""
    given = np.asarray(rows.values[chosen])
    wrong = ~(np.abs(given.astype(np.float64)) <= _LARGEST)  # also where it is not a number
    if wrong.any():
        row, column = (int(one) for one in np.argwhere(wrong)[0])
        raise InputError(
            f"value {column + 1} of item '{rows.tokens[chosen[row]]}' is {given[row, column]}; "
            "expected a finite number",
            where=rows.source,
            mend="Repair the row, or leave the item out.",
        )
    return given.astype(np.float32)


def _float32(rows: ItemRows, chosen: Any) -> Any:
    return np.asarray(rows.values[chosen], dtype=np.float32)
