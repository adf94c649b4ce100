"""MicroLens (Ni et al., 2023): pairs of users and videos, titles, and features of the videos.

``*_pairs.csv`` holds user, item and timestamp. ``*_pairs.tsv`` holds a user, a tab, and the items
in the order of watching, separated by blanks; the place in the sequence is the timestamp then.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_guider.data.prepare.any_table import read_texts
from recbole_guider.data.prepare.reading.columns import number_columns, pair_columns
from recbole_guider.data.prepare.reading.feature_files import read_features
from recbole_guider.data.prepare.reading.table import only_file, read_table, tokens
from recbole_guider.data.prepare.steps import options as shared
from recbole_guider.data.prepare.steps.raw import ItemTexts, RawData
from recbole_guider.errors import InputError

SUMMARY = "a folder of MicroLens: *pairs.csv or *pairs.tsv, *title*.csv, <modality>_feat.*"


def add_options(parser: ArgumentParser) -> None:
    """Adds the options of this source."""
    shared.add_folder(parser)
    parser.add_argument("--features", metavar="MODALITY=FILE", action="append",
                        help="features that lie elsewhere or have another name; can be "
                             "repeated")  # fmt: skip
    shared.add_columns(parser, "user", "item", "time")
    shared.add_filters(parser, ratings=False)
    shared.add_split(parser)
    shared.add_text(parser)


def read_given(options: Any) -> RawData:
    """Reads what the options name.

    Raises:
        InputError: a file is missing or cannot be used; the message says which line or row.
    """
    folder: Path = options.folder
    path = _pairs_file(folder)
    table = _sequences(path) if path.suffix == ".tsv" else read_table(path)
    named = shared.named_columns(options)
    users, items = pair_columns(table, named, path)
    columns = number_columns(table, named, path)
    named_files = shared.pairs(options.features, "--features")
    features = {**_feature_files(folder, set(named_files.values())), **named_files}
    placed, column = pd.Series(items, index=table.index), named["item"]
    # A text modality that the features bring is taken as it is.
    wants_titles = "text" not in features and any(folder.glob("*title*.csv"))
    titles = [only_file(folder, "*title*.csv", "file of titles")] if wants_titles else []
    return RawData(
        users, items, columns,
        {name: read_features(file, placed, path, column) for name, file in features.items()},
        {"text": ItemTexts(read_texts(titles[0], item=column), titles[0])} if titles else {},
        sources=[path, *features.values(), *titles],
    )  # fmt: skip


def _feature_files(folder: Path, named: set[Path]) -> dict[str, Path]:
    """Returns modality -> ``<modality>_feat.*`` for the files that no option names.

    Raises:
        InputError: a file's name gives no modality, or two give the same.
    """
    found: dict[str, Path] = {}
    for file in sorted(set(folder.glob("*_feat.*")) - named):
        modality = file.name.split("_feat.")[0]
        if not modality.isidentifier() or modality in found:
            other = found.get(modality)
            raise InputError(
                f"is a second file of modality '{modality}' beside {other.name}"
                if other else f"'{modality}' cannot name a modality",
                where=file,
                mend="Move it away, or name the modality: --features image=FILE.",
            )  # fmt: skip
        found[modality] = file
    return found


def _pairs_file(folder: Path) -> Path:
    """Returns the file of pairs; the one with times where both forms are there."""
    if folder.is_dir() and list(folder.glob("*pairs*.csv")):
        return only_file(folder, "*pairs*.csv", "file of pairs")
    return only_file(folder, "*pairs*.tsv", "file of pairs")


def _sequences(path: Path) -> pd.DataFrame:
    """Returns a file of sequences as a table of user, item and timestamp; lines are its index."""
    table = read_table(path, separator="\t", names=["user", "items"], quoted=False)
    tokens(table, "user", path)
    lists = table["items"].str.split()
    counts = lists.str.len().to_numpy()
    if (counts == 0).any():
        place = int((counts == 0).argmax())
        raise InputError(
            f"user '{table['user'].iloc[place]}' has no items",
            where=f"{path}:{table.index[place]}",
            mend="Remove the line.",
        )
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return pd.DataFrame({
        "user": np.repeat(table["user"].to_numpy(), counts),
        "item": [item for one in lists for item in one],
        "timestamp": np.arange(int(counts.sum())) - starts,
    }, index=np.repeat(table.index.to_numpy(), counts))  # fmt: skip
