"""Demsar's critical-difference diagram: average ranks on a line, bars over what is alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recbole_guider.report.board import Board
from recbole_guider.report.figures.drawing import render_svg
from recbole_guider.report.figures.panels import Drawing, Panel
from recbole_guider.report.ranks import Ranks, rank_methods

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK = "#333333"
_STEP = 1.0  # between two names, in the unit of the vertical axis
_BAR = 0.42  # between two bars


def ranks_svg(board: Board) -> str:
    """Returns the board's diagram as SVG; empty text where it has no ranks."""
    ranks = rank_methods(board)
    return render_svg(draw_ranks(ranks, board.proposed())) if ranks else ""


def draw_ranks(ranks: Ranks, strong: Sequence[str]) -> Drawing:
    """Returns the diagram as a drawing of one panel; names in ``strong`` are bold."""

    def paint(axes: Axes) -> None:
        axes.set_axis_off()
        _paint_scale(axes, ranks)
        lowest = _paint_bars(axes, ranks)
        _paint_names(axes, ranks, strong, lowest)

    title = f"Average rank by {ranks.metric}, {len(ranks.blocks)} blocks (1 is best)"
    return Drawing((Panel(title, paint),), "", "", (), "")


def _paint_scale(axes: Axes, ranks: Ranks) -> None:
    """Draws the line of ranks, 1 to k, and the critical difference above it."""
    k = len(ranks.average)
    axes.plot([1, k], [0, 0], color=_INK, linewidth=1)
    for rank in range(1, k + 1):
        axes.plot([rank, rank], [0, 0.2], color=_INK, linewidth=1)
        axes.text(rank, 0.3, str(rank), ha="center", va="bottom", color=_INK)
    axes.plot([1, 1 + ranks.critical], [1.3, 1.3], color=_INK, linewidth=1.5,
              marker="|", markersize=7)  # fmt: skip
    axes.text(1 + ranks.critical / 2, 1.45, f"critical difference {ranks.critical:.2f}",
              ha="center", va="bottom", color=_INK)  # fmt: skip


def _paint_bars(axes: Axes, ranks: Ranks) -> float:
    """Joins methods that are not told apart; returns where the names may begin."""
    level = -_BAR
    for group in ranks.groups:
        ends = [ranks.average[group[0]] - 0.03, ranks.average[group[-1]] + 0.03]
        axes.plot(ends, [level, level], color="#D55E00", linewidth=3.5, solid_capstyle="butt")
        level -= _BAR
    return level


def _paint_names(axes: Axes, ranks: Ranks, strong: Sequence[str], top: float) -> None:
    """Writes the better half to the left and the other to the right, each line led to its rank."""
    k = len(ranks.average)
    names = list(ranks.average)
    left = names[: (k + 1) // 2]
    margin = 0.05 * (k - 1)
    rows = {name: place for place, name in enumerate(left)}
    rows.update({name: place for place, name in enumerate(reversed(names[len(left) :]))})
    for name, rank in ranks.average.items():
        y = top - _STEP * (rows[name] + 0.4)
        x, side = (1 - margin, "right") if name in left else (k + margin, "left")
        axes.plot([rank, rank, x], [0, y, y], color=_INK, linewidth=0.9)
        label = f"{name}  {rank:.2f}" if side == "right" else f"{rank:.2f}  {name}"
        axes.text(x + (-0.3 if side == "right" else 0.3) * margin, y, label, ha=side, va="center",
                  fontweight="bold" if name in strong else "normal")  # fmt: skip
    axes.set_ylim(top - _STEP * len(left), 2.4)
    axes.set_xlim(1 - (0.42 * k), k + 0.42 * k)
