"""The figure of a comparison: what each method gains over the bare backbone, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Callable

from recbole_guider.registry import BARE
from recbole_guider.report.board import Board
from recbole_guider.report.comparison import Against
from recbole_guider.report.figures.panels import Drawing, Look, Panel, block_title, looks
from recbole_guider.report.markdown import SIGNIFICANCE
from recbole_guider.report.results import ResultKey

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ZERO = "#555555"


def draw_gains(board: Board) -> Drawing:
    """Returns a panel for each data set and backbone, with a point and an interval per method."""
    metric = board.headline
    methods = [method for method in board.methods if method != BARE]
    style = looks(methods, board.proposed())
    blocks: dict[str, dict[str, Against]] = {}
    for dataset in board.datasets:
        for backbone in board.backbones:
            found = {
                method: board.comparison.vs_base.get((ResultKey(dataset, backbone, method), metric))
                for method in methods
            }
            gains = {method: one for method, one in found.items() if one and one.level > 0}
            if gains:
                blocks[block_title(dataset, backbone, board.datasets)] = gains
    rows = [method for method in methods if any(method in gains for gains in blocks.values())]
    panels = [Panel(title, _painter(gains, rows, style)) for title, gains in blocks.items()]
    caption = (
        f"Relative gain of each method over the bare backbone in {metric} at test, with the 95 % "
        "bootstrap interval over users. Filled: significantly different from the bare backbone "
        f"(paired t test over users, and min F' over users and seeds, both p < {SIGNIFICANCE:g} "
        "after Holm's correction); hollow: not."
    )
    label = f"gain in {metric}, %"
    return Drawing(tuple(panels), label, "", (), caption, shared_rows=True)


def _painter(
    gains: Mapping[str, Against], rows: Sequence[str], style: Mapping[str, Look]
) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        axes.axvline(0.0, color=_ZERO, linewidth=1.0)
        for method, against in gains.items():
            place, look = rows.index(method), style[method]
            gain = 100 * against.paired.relative_gain
            low, high = (100 * end for end in against.paired.gain_interval)
            filled = against.over_both(SIGNIFICANCE)
            axes.plot([low, high], [place, place], color=look.colour, linewidth=look.width)
            axes.plot(gain, place, color=look.colour, marker=look.marker, markersize=6,
                      markerfacecolor=look.colour if filled else "white")  # fmt: skip
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.4, -0.6)  # the first method on top
        axes.grid(visible=False, axis="y")

    return paint
