"""Where a data set's files lie and how they are to be read, as its properties say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_guider.data.files.interaction_file import columns_of, header_problems
from recbole_guider.data.prepare import not_installed
from recbole_guider.errors import InputError
from recbole_guider.property_layers import default_method, resolve

PHASES = ("train", "valid", "test")
OTHER = "other:"  # before the names of columns, so that none meets ours
_ANY_BACKBONE = "BPR"  # a data set's properties are the same for every backbone


@dataclass(frozen=True)
class Layout:
    """A data set's folder and the properties that its loading depends on.

    Attributes:
        name: the data set.
        folder: ``<data_path>/<name>``.
        inter: the interaction files in order: one, or one for each part of the split.
        user, item, label: their columns; ``label`` is None where files fix the split.
        separator, encoding: of the interaction files.
        wanted: modalities named by ``modalities``, or None for all.
        missing: the property ``missing_modality``: one policy, or modality -> policy.
        unknown: the property ``unknown_item``.
    """

    name: str
    folder: Path
    inter: Sequence[Path]
    user: str
    item: str
    label: str | None
    separator: str
    encoding: str
    wanted: Sequence[str] | None
    missing: str | Mapping[str, str] | None
    unknown: str

    def header_problems(self, path: Path) -> list[InputError]:
        """Returns what keeps one interaction file from being read."""
        needed = [self.user, self.item]
        return list(header_problems(path, needed, self.separator, self.encoding))

    def has_labels(self) -> bool:
        """Returns whether the one interaction file has the column of split labels."""
        if self.label is None:
            return False
        return self.label in columns_of(self.inter[0], self.separator, self.encoding)


def find_layout(name: str, data_path: Path, properties: Mapping[str, Any]) -> Layout:
    """Returns a data set's layout.

    Args:
        name: the data set.
        data_path: the folder of all data sets.
        properties: from the command line; they win over the data set's property file.

    Raises:
        InputError: the name cannot be one, its folder is not there, or a property is unknown.
    """
    settings = resolve(_ANY_BACKBONE, default_method(), name, command_line=properties)
    folder = installed_folder(name, data_path)
    parts = settings.get("benchmark_filename")
    parts = [parts] if isinstance(parts, str) else parts
    files = [f"{name}.{part}.inter" for part in parts] if parts else [f"{name}.inter"]
    wanted = settings.get("modalities")
    return Layout(
        name,
        folder,
        [folder / file for file in files],
        settings["USER_ID_FIELD"],
        settings["ITEM_ID_FIELD"],
        None if parts else settings.get("split_label_field"),
        settings["field_separator"],
        settings.get("encoding") or "utf-8",
        [wanted] if isinstance(wanted, str) else wanted,
        settings.get("missing_modality"),
        settings.get("unknown_item") or "error",
    )


def installed_folder(name: str, data_path: Path) -> Path:
    """Returns a data set's folder.

    Raises:
        InputError: the name cannot be one, the folder is missing or a file.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise InputError(
            f"'{name}' cannot name a data set",
            where="NAME",
            mend="Give the name of a folder in --data_path, not a path.",
        )
    folder = data_path / name
    for place in (data_path, folder):
        if place.exists() and not place.is_dir():
            raise InputError(
                "is a file; expected a folder",
                where=place,
                mend="Data sets are folders; give the folder above them with --data_path=FOLDER.",
            )
    if not folder.is_dir():
        raise not_installed(name, folder)
    return folder


def read_interactions(layout: Layout) -> pd.DataFrame:
    """Returns the interactions as text: columns ``user``, ``item``, ``phase``, ``place``, others.

    ``phase`` is 0, 1, 2, or -1 where the split is drawn at run time; ``place`` is ``file:line``'s
    line; further columns have ``OTHER`` before their name. The files must be without problems.
    """
    tables = [_read_file(layout, path, part) for part, path in enumerate(layout.inter)]
    return pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]


def _read_file(layout: Layout, path: Path, part: int) -> pd.DataFrame:
    table = pd.read_csv(
        path, sep=layout.separator, encoding=layout.encoding, dtype=str, quoting=3,
        keep_default_na=False, skip_blank_lines=False, engine="c",
    )  # fmt: skip
    own = {layout.user: "user", layout.item: "item"}
    names = columns_of(path, layout.separator, layout.encoding)
    table.columns = [own.get(name, f"{OTHER}{name}") for name in names]
    table["place"] = range(2, len(table) + 2)
    table = table[table["user"].fillna("") != ""]  # a blank line
    if layout.label in names:
        table["phase"] = pd.to_numeric(table.pop(f"{OTHER}{layout.label}")).astype("int64")
    else:
        table["phase"] = part if len(layout.inter) > 1 else -1
    return table.reset_index(drop=True)
