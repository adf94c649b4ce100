"""Any table of interactions, with features and texts of the items in files of their own."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_guider.data.prepare.reading.columns import find_column, number_columns, pair_columns
from recbole_guider.data.prepare.reading.feature_files import read_features
from recbole_guider.data.prepare.reading.table import read_table, refuse_repeated, tokens
from recbole_guider.data.prepare.steps import options as shared
from recbole_guider.data.prepare.steps.raw import ItemTexts, RawData
from recbole_guider.errors import InputError

SUMMARY = "a table of interactions, and .npy, .npz, Parquet or text tables of item features"


def add_options(parser: ArgumentParser) -> None:
    """Adds the options of this source."""
    parser.add_argument("--interactions", metavar="FILE", required=True, type=Path,
                        help="a table with a header: csv, tsv, ..., also .gz")  # fmt: skip
    parser.add_argument("--features", metavar="MODALITY=FILE", action="append",
                        help="rows of numbers with the items' column; .npy rows are named by "
                             "<file>_items.csv beside the file; can be repeated")  # fmt: skip
    parser.add_argument("--texts", metavar="MODALITY=FILE", action="append",
                        help="a table of items; its other columns, joined, are encoded; can be "
                             "repeated")  # fmt: skip
    shared.add_columns(parser, "user", "item", "rating", "time", "label")
    shared.add_filters(parser)
    shared.add_split(parser)
    shared.add_text(parser)


def read_given(options: Any) -> RawData:
    """Reads what the options name; see ``read``."""
    return read(
        options.interactions,
        shared.pairs(options.features, "--features"),
        shared.pairs(options.texts, "--texts"),
        shared.named_columns(options),
    )


def read(
    interactions: Path,
    features: Mapping[str, Path],
    texts: Mapping[str, Path],
    columns: Mapping[str, str | None],
) -> RawData:
    """Reads tables.

    Args:
        interactions: a table with columns for user and item, and those for rating, time and
            x_label that it has.
        features: modality -> file.
        texts: modality -> table of items and their texts.
        columns: role -> the column's name in the interactions, or None for a usual name; the
            items' column may have the same name, or a usual one, in the other files.

    Raises:
        InputError: a file or a column is missing or cannot be used; the message says where.
    """
    table = read_table(interactions)
    users, items = pair_columns(table, columns, interactions)
    numbers = number_columns(table, columns, interactions)
    placed, column = pd.Series(items, index=table.index), columns.get("item")
    del table
    rows = {
        name: read_features(file, placed, interactions, column) for name, file in features.items()
    }
    return RawData(
        users, items, numbers, rows,
        {name: ItemTexts(read_texts(file, item=column), file) for name, file in texts.items()},
        sources=[interactions, *features.values(), *texts.values()],
    )  # fmt: skip


def read_texts(
    file: Path, column: str | None = None, item: str | None = None, mend: str = ""
) -> dict[str, str]:
    """Returns item -> text of a table.

    Args:
        file: the table.
        column: of the texts; None joins all but the items'.
        item: the column of the items in a table that has it; others have a usual name.
        mend: what to do where no column holds the items.

    Raises:
        InputError: the table cannot be used, has no texts, or an item occurs twice.
    """
    table = read_table(file)
    names = list(table.columns)
    item = str(find_column(names, "item", item if item in names else None, file, mend=mend))
    refuse_repeated(table, item, file)
    chosen = [name for name in names if name != item]
    if not chosen:
        raise InputError("has no column of texts", where=f"{file}:1", mend="Add one.")
    if column is not None:
        chosen = [str(find_column(names, "title", column, file))]
    joined = table[chosen].agg(" ".join, axis=1).str.split().str.join(" ")
    return dict(zip(tokens(table, item, file).tolist(), joined.tolist()))
