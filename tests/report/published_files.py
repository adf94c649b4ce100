"""What leaderboard/ publishes, as its tests read it: the pages' numbers and the texts' words."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEADERBOARD = ROOT / "leaderboard"
PUBLISHED = LEADERBOARD / "published"
KEYS = ("dataset", "backbone", "method", "setting", "metric")
NUMBERS = [
    "none",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]


def rows_in(path):
    """The rows of a CSV."""
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def numbers_in(path):
    """(data set, backbone, method, setting, metric) -> a row of a page's CSV."""
    return {tuple(row.get(key, "") for key in KEYS): row for row in rows_in(path)}


@cache
def numbers_of(grid):
    """The numbers of a grid's published page."""
    return numbers_in(PUBLISHED / f"{grid}.csv")


def comparison(row, family):
    """(gain in per cent, p over users, p over users and seeds) of a row; vs_base or vs_best."""
    users, both = (float(row[f"{family}_{kind}p_holm"]) for kind in ("", "both_"))
    return 100 * float(row[f"{family}_relative_gain"]), users, both


def verdict(users, both):
    """What the texts call the p values of the two tests."""
    if users >= 0.05:
        return "undecided"
    return "in both tests" if both < 0.05 else "over users alone"


def printed(value, digits=4):
    """A number as the texts print it."""
    return f"{value:.{digits}f}".lstrip("0")


def words_of(text):
    """A text of the repository as one line."""
    return " ".join((ROOT / text).read_text(encoding="utf-8").split())


def tables(text, marks="*†"):
    """Every table of a Markdown text as rows, each a mapping of its header's words.

    ``marks`` are left out of the cells.
    """
    header = None
    for line in map(str.strip, text.splitlines()):
        if not line.startswith("|"):
            header = None
            continue
        cells = [
            cell.strip().translate({ord(mark): None for mark in marks})
            for cell in line[1:-1].split("|")
        ]
        if header is None:
            header = cells
        elif set("".join(cells)) - set(":-"):
            yield dict(zip(header, cells))


def rows_with(text, *headers, marks="*†"):
    """The rows of a text's tables that have these columns; there are some."""
    found = tables((ROOT / text).read_text(encoding="utf-8"), marks)
    rows = [row for row in found if set(headers) <= set(row)]
    assert rows, text
    return rows
