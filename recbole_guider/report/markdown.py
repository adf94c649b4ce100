"""Parts of the Markdown tables: one number with its marks, row names, the table itself."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from recbole_guider.registry import BARE
from recbole_guider.report.board import Board
from recbole_guider.report.comparison import Against
from recbole_guider.report.results import ResultKey

SIGNIFICANCE = 0.05
HOLE = "—"
# Metric columns that fit a page of GitHub without a scroll bar.
_COLUMNS = 8
OVER_BARE = (
    "**\\*** / **†**: significantly better / worse than the bare backbone in both tests; "
    "**(\\*)** / **(†)**: over users alone."
)
_MARKS = {1: "\\*", -1: "†"}


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table: the first column to the left, numbers to the right."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in [headers, *rows]]
    return tabulate(
        escaped[1:],
        headers=escaped[0],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left"] + ["right"] * (len(headers) - 1),
    )


def side_by_side(board: Board) -> list[tuple[str, ...]]:
    """Returns the data sets in groups whose columns fit beside each other."""
    size = max(1, _COLUMNS // len(board.metrics))
    return [board.datasets[i : i + size] for i in range(0, len(board.datasets), size)]


def row_labels(board: Board) -> dict[tuple[str, str], str]:
    """Returns the rows' names: a backbone's first row bears its name, the others ``+ method``."""
    labels: dict[tuple[str, str], str] = {}
    named: set[str] = set()
    for backbone, method in board.rows():
        added = "" if method == BARE else f"+ {method}"
        label = added if backbone in named else f"{backbone} {added}"
        labels[backbone, method] = label.strip()
        named.add(backbone)
    return labels


def value(board: Board, place: ResultKey, metric: str) -> str:
    """Returns one number of the main table with its marks, or a hole.

    The best of its backbone in the same data set and setting is bold; the marks tell of the
    comparison with the best baseline there.
    """
    key = board.key_at(place)
    result = board.result(place)
    if key is None:
        return ""
    if result is None:
        return HOLE
    text = f"{result.mean[metric]:.4f}"
    block = [
        other
        for other in board.places(place.dataset)
        if (other.backbone, other.setting) == (place.backbone, place.setting)
    ]
    shown = [board.result(other) for other in block]
    # By what is printed: two equal numbers are both bold.
    if text == max(f"{other.mean[metric]:.4f}" for other in shown if other) and len(block) > 1:
        text = f"**{text}**"
    against = board.comparison.vs_best.get((place, metric))
    if against:
        text += mark(against)
    finished, asked = len(result.seeds), len(board.asked[key])
    return text if finished == asked else f"{text} ({finished}/{asked})"


def mark(against: Against) -> str:
    """Returns the mark of a comparison: in brackets where it is significant over users alone."""
    sign = against.sign(SIGNIFICANCE)
    if sign == 0:
        return ""
    return _MARKS[sign] if against.over_both(SIGNIFICANCE) else f"({_MARKS[sign]})"


def gained(against: Against) -> str:
    """Returns the relative gain of a comparison with its mark."""
    if against.level <= 0:
        return "baseline is 0"
    return f"{percent(against.paired.relative_gain)} %{mark(against)}"


def p_value(against: Against) -> str:
    """Returns the p value over users after Holm's correction."""
    return "p < 0.001" if against.p_holm < 0.001 else f"p {against.p_holm:.3f}"


def percent(fraction: float) -> str:
    """Returns a fraction as percent with its sign; what rounds to nothing has none."""
    text = f"{100 * fraction:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text
