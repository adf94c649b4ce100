"""MovieLens as GroupLens publishes it: 100k (u.data), 1M and 10M (ratings.dat), later ones (csv).

Text is the title, attributes are genres and the decade of release.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_guider.data.prepare.ml100k import attributes
from recbole_guider.data.prepare.reading.columns import number_columns, pair_columns
from recbole_guider.data.prepare.reading.table import read_table, refuse_repeated, tokens
from recbole_guider.data.prepare.steps import options as shared
from recbole_guider.data.prepare.steps.raw import ItemRows, ItemTexts, RawData
from recbole_guider.errors import InputError

SUMMARY = "a folder of MovieLens: u.data and u.item, or ratings and movies as .dat or .csv"
_FILES = (("u.data", "u.item"), ("ratings.dat", "movies.dat"), ("ratings.csv", "movies.csv"))
_RATINGS = ["user", "item", "rating", "timestamp"]
_GENRES = [
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
]  # fmt: skip
_NO_GENRE = ("unknown", "(no genres listed)")


def add_options(parser: ArgumentParser) -> None:
    """Adds the options of this source."""
    shared.add_folder(parser)
    shared.add_filters(parser)
    shared.add_split(parser)
    shared.add_text(parser)


def read_given(options: Any) -> RawData:
    """Reads what the options name; see ``read``."""
    return read(options.folder)


def read(folder: Path) -> RawData:
    """Reads a folder of MovieLens, whichever release it holds.

    Raises:
        InputError: the folder holds none, or a file cannot be used; the message says where.
    """
    if not folder.is_dir():
        raise InputError("is no folder", where=folder, mend="Give the folder of the raw files.")
    present = [pair for pair in _FILES if (folder / pair[0]).is_file()]
    if not present:
        listed = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise InputError(
            f"expected u.data, ratings.dat or ratings.csv, found {listed}",
            where=folder,
            mend="Check --from.",
        )
    ratings, movies = present[0]
    path, about = folder / ratings, folder / movies
    table = _ratings(path)
    users, items = pair_columns(table, {}, path)
    columns = number_columns(table, {}, path)
    movie = _hundred_k(about) if about.suffix == ".item" else _movies(about)
    refuse_repeated(movie, "item", about)
    named = tokens(movie, "item", about).tolist()
    title, year = _titles(movie["title"])
    names, matrix = attributes(movie["genres"].tolist(), year)
    has = matrix.any(axis=1)
    rows = ItemRows(
        [name for name, one in zip(named, has) if one], matrix[has], about,
        f"0/1 of {', '.join(names)}",
    )  # fmt: skip
    return RawData(
        users, items, columns, {"attribute": rows} if has.any() else {},
        {"text": ItemTexts(dict(zip(named, title)), about)}, sources=[path, about],
    )  # fmt: skip


def _ratings(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return read_table(path, ["userId", "movieId"], ",")
    separator = "\t" if path.suffix == ".data" else "::"
    return read_table(path, separator=separator, names=_RATINGS, quoted=False)


def _hundred_k(path: Path) -> pd.DataFrame:
    """Returns item, title and blank-separated genres of ``u.item``."""
    names = ["item", "title", "date", "video", "link", *_GENRES]
    table = read_table(path, separator="|", names=names, quoted=False, encoding="latin-1")
    flags = table[_GENRES] == "1"
    table["genres"] = [
        " ".join(name for name, flag in zip(_GENRES, row) if flag and name not in _NO_GENRE)
        for row in flags.to_numpy()
    ]
    return table[["item", "title", "genres"]]


def _movies(path: Path) -> pd.DataFrame:
    """Returns item, title and blank-separated genres of ``movies.dat`` or ``movies.csv``."""
    names = ["item", "title", "genres"]
    if path.suffix == ".csv":
        table = read_table(path, ["movieId", "title", "genres"], ",")
        table = table.rename(columns={"movieId": "item"})
    else:
        table = read_table(path, separator="::", names=names, quoted=False,
                           encoding=_encoding(path))  # fmt: skip
    table["genres"] = [
        " ".join(one for one in text.split("|") if one not in _NO_GENRE) for text in table["genres"]
    ]
    return table[names]


def _encoding(path: Path) -> str:
    """1M is Latin-1, 10M is UTF-8; bytes that are UTF-8 beyond ASCII are hardly ever Latin-1."""
    try:
        path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    except OSError:
        pass  # told by the reader
    return "utf-8-sig"


def _titles(given: pd.Series) -> tuple[list[str], list[str]]:
    """Splits ``Toy Story (1995)`` into title and year; the year is empty where there is none."""
    found = [re.fullmatch(r"(.*?)\s*\((\d{4})\)\s*", text) for text in given]
    titles = [match.group(1) if match else text.strip() for match, text in zip(found, given)]
    return titles, [match.group(2) if match else "" for match in found]
