"""Published figures beside ours: what the papers print for the same place, and what differs.

``published.csv`` holds the figures, ``sources.yaml`` where they come from. The property
file of a data set or method may say whose figures it is set beside, and what is to be known then::

    published: {as: baby, note: "..."}
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from recbole_guider.property_layers import described, load_properties
from recbole_guider.registry import BARE
from recbole_guider.report.board import Board
from recbole_guider.report.markdown import HOLE, percent, table
from recbole_guider.report.results import ResultKey

_FOLDER = Path(__file__).parent


class Figure(NamedTuple):
    """One published figure, as printed.

    Attributes:
        value: the number.
        printed: its digits.
        source: a name of ``sources.yaml``.
        note: what is to be known about this figure, such as a suspected typo; often empty.
    """

    value: float
    printed: str
    source: str
    note: str


class Source(NamedTuple):
    """Where figures come from: title with address, the protocol's name, and what else differs."""

    title: str
    protocol: str
    note: str


class Counterpart(NamedTuple):
    """The name under which a data set or method stands in the papers, and a note on it."""

    name: str
    note: str


@functools.cache
def figures() -> dict[tuple[str, str, str, str], Figure]:
    """Returns (data set, backbone, method, metric in lower case) -> the figure."""
    with (_FOLDER / "published.csv").open(encoding="utf-8", newline="") as stream:
        return {
            (row["dataset"], row["backbone"], row["method"], row["metric"].lower()): Figure(
                float(row["value"]), row["value"], row["source"], row["note"]
            )
            for row in csv.DictReader(stream)
        }


@functools.cache
def sources() -> dict[str, Source]:
    """Returns the sources by name."""
    content = load_properties(_FOLDER / "sources.yaml")
    return {
        name: Source(one["title"], one["protocol"], one["note"].strip())
        for name, one in content.items()
    }


@functools.cache
def counterpart(kind: str, name: str) -> Counterpart:
    """Returns what a ``dataset`` or ``method`` is called in the papers: its own name by default."""
    stated: dict[str, str] = described(kind, name, "published") or {}
    return Counterpart(stated.get("as", name), " ".join(stated.get("note", "").split()))


def figure_at(board: Board, place: ResultKey, metric: str) -> Figure | None:
    """Returns the published figure that may stand beside a result, None for none.

    There is none where a property varies or noise was made, which the papers' tables do without,
    nor where the protocols differ.
    """
    found = figures().get(
        (
            counterpart("dataset", place.dataset).name,
            place.backbone,
            counterpart("method", place.method).name,
            metric.lower(),
        )
    )
    if found is None or board.vary or place.dataset in board.noisy:
        return None
    result = board.result(place)
    same = result is None or result.protocol == sources()[found.source].protocol
    return found if same else None


def notes_on(place: ResultKey, figure: Figure) -> str:
    """Returns what is to be known of a figure at a place: data set, method, the figure itself."""
    parts = [
        counterpart("dataset", place.dataset).note,
        counterpart("method", place.method).note,
        figure.note,
    ]
    return "; ".join(filter(None, parts))


def published_section(board: Board) -> list[str]:
    """Returns a table for each data set, and notes; [] where nothing published fits."""
    numbers: dict[str, int] = {}  # a source or a note -> its number
    rows_of = {dataset: list(_rows(board, dataset, numbers)) for dataset in board.datasets}
    blocks = [table([dataset, *board.metrics], rows) for dataset, rows in rows_of.items() if rows]
    if not blocks:
        return []
    blocks.append(
        "Ours / published, and ours relative to published: (ours - published) / published. Ours: "
        "means over users and seeds as above, epoch chosen on validation, test read once. The "
        "published figures come without per-user values, so that no test can be made, and their "
        "protocols differ in what the notes say: a difference is no verdict on either side. They "
        "stand as printed, also where they look wrong."
    )
    blocks.append("\n".join(f"{number}. {text}" for text, number in numbers.items()))
    return blocks


def _rows(board: Board, dataset: str, numbers: dict[str, int]) -> Iterator[list[str]]:
    """Yields the rows of a data set that have a published figure, numbering what they refer to."""
    for place in board.places(dataset):
        result = board.result(place)
        found = {metric: figure_at(board, place, metric) for metric in board.metrics}
        if result is None or not any(found.values()):
            continue
        cells = [
            _beside(result.mean[metric], place, figure, numbers) if figure else HOLE
            for metric, figure in found.items()
        ]
        added = "" if place.method == BARE else f" + {place.method}"
        yield [f"{place.backbone}{added}", *cells]


def _beside(ours: float, place: ResultKey, figure: Figure, numbers: dict[str, int]) -> str:
    source = sources()[figure.source]
    texts = [f"{source.title}. {source.note}"]
    texts += [
        f"{kind} is set beside {other.name}: {other.note}"
        for kind, other in (
            (place.dataset, counterpart("dataset", place.dataset)),
            (place.method, counterpart("method", place.method)),
        )
        if other.note
    ]
    texts += [figure.note[0].upper() + figure.note[1:] + "."] if figure.note else []
    marks = ", ".join(str(numbers.setdefault(text, len(numbers) + 1)) for text in texts)
    return f"{ours:.4f} / {figure.printed}<br>{percent(ours / figure.value - 1.0)} % [{marks}]"
