"""What leaderboard/ publishes, as its tests read it: the pages' numbers and the texts' words."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEADERBOARD = ROOT / "leaderboard"
KEYS = ("dataset", "backbone", "method", "setting", "metric")


def numbers_in(path):
    """(data set, backbone, method, setting, metric) -> a row of a page's CSV."""
    with path.open(newline="") as stream:
        return {tuple(row.get(key, "") for key in KEYS): row for row in csv.DictReader(stream)}


@cache
def numbers_of(grid):
    """The numbers of a grid's published page."""
    return numbers_in(LEADERBOARD / "published" / f"{grid}.csv")


def words_of(text):
    """A text of the repository as one line."""
    return " ".join((ROOT / text).read_text(encoding="utf-8").split())
