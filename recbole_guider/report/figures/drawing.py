"""The figure beside a leaderboard, as SVG: the same finished cells give the same bytes.

A grid names its kind: ``gains`` (over the bare backbone, with intervals), ``settings`` (a metric
over the varied property), ``training`` (validation over epochs) or ``scores`` (scores of clean and
noisy interactions). matplotlib is imported when a figure is drawn and not before.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable

from recbole_guider.report.board import Board
from recbole_guider.report.figures.gains import draw_gains
from recbole_guider.report.figures.panels import Drawing
from recbole_guider.report.figures.scores import draw_scores
from recbole_guider.report.figures.settings import draw_settings
from recbole_guider.report.figures.training import draw_training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS: dict[str, Callable[[Board], Drawing]] = {
    "gains": draw_gains,
    "settings": draw_settings,
    "training": draw_training,
    "scores": draw_scores,
}

_WIDTH = 7.3  # inches; 700 pixels, the width of a page on GitHub
_PANEL_HEIGHT = 2.5
_LEGEND_LETTERS = 100  # that fit beside each other
# Text stays text, in a font that ships with matplotlib, so that the layout does not depend on the
# machine; identifiers are salted with a constant, not drawn at random.
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "recbole_guider",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "figure.labelsize": "medium",
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.parse_math": False,  # a name with a dollar sign is a name
}


def drawing_of(board: Board) -> Drawing | None:
    """Returns what the board's figure shows; None where no figure is named or nothing finished."""
    if board.figure is None:
        return None
    drawing = KINDS[board.figure](board)
    return drawing if drawing.panels else None


def render_svg(drawing: Drawing) -> str:
    """Returns a drawing as SVG text, 700 pixels wide."""
    stream = io.BytesIO()
    with styled():
        lay_out(drawing).savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue().decode("utf-8")


@contextmanager
def styled() -> Iterator[None]:
    """Sets the style of all figures; a user's own matplotlibrc has no say."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)  # type: ignore[arg-type]
        yield


def lay_out(drawing: Drawing) -> Figure:
    """Returns a drawing as matplotlib's figure, in the style that is set."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    count = len(drawing.panels)
    columns = count if count <= 2 else 2 if count == 4 else 3
    rows = math.ceil(count / columns)
    longest = max((len(name) for name, _ in drawing.legend), default=0)
    across = max(1, min(5, _LEGEND_LETTERS // (longest + 8)))  # a handle is as wide as 8 letters
    legend_rows = math.ceil(len(drawing.legend) / across)
    height = _PANEL_HEIGHT * rows * (1.2 if columns < 3 else 1.0) + 0.25 * legend_rows
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    FigureCanvasSVG(figure)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=drawing.shared_rows)
    for axes, panel in zip(grid.flat, drawing.panels):
        axes.set_title(panel.title)
        panel.paint(axes)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    # Not for each panel: the layout keeps no room for a label that is wider than its axes.
    figure.supxlabel(drawing.x_label)
    figure.supylabel(drawing.y_label)
    if drawing.legend:
        handles = [make() for _, make in drawing.legend]
        figure.legend(handles=handles, loc="outside upper center", ncols=across)
    return figure
