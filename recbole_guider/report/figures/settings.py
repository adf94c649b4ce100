"""The figure of a grid that varies a property: a metric over its values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recbole_guider.report.board import Board
from recbole_guider.report.figures.panels import (
    Drawing,
    Look,
    Panel,
    block_title,
    line_entry,
    looks,
)
from recbole_guider.report.results import ResultKey

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHARED = (0, (6, 3))  # dashes of a method that has one result for all values
_LOG_FROM = 30.0  # values that span this ratio or more stand on a logarithmic axis


def draw_settings(board: Board) -> Drawing:
    """Returns a panel for each data set and backbone, with a line for each method."""
    metric = board.metrics[0]
    style = looks(board.methods, board.proposed())
    panels: list[Panel] = []
    drawn: set[str] = set()
    for dataset in board.datasets:
        for backbone in board.backbones:
            lines = {
                method: _line(board, dataset, backbone, method, metric) for method in board.methods
            }
            lines = {method: line for method, line in lines.items() if any(line)}
            drawn.update(lines)
            if lines:
                panels.append(_panel(board, dataset, backbone, lines, style))
    shared = {key.method for key in board.asked if not key.setting}
    legend = [
        line_entry(
            method,
            style[method],
            dashes=_SHARED if method in shared else None,
            marker=method not in shared,
        )
        for method in board.methods
        if method in drawn
    ]
    caption = f"{metric} at test over `{board.vary}`, mean over users and seeds that have finished."
    if any(len(result.seeds) > 1 for result in board.comparison.results.values()):
        caption += " Bands: one standard deviation over seeds to either side."
    if shared:
        caption += f" Dashed and level: a method that does not know `{board.vary}`."
    return Drawing(tuple(panels), str(board.vary), metric, tuple(legend), caption)


_Point = tuple[float, float]  # mean, standard deviation over seeds


def _line(
    board: Board, dataset: str, backbone: str, method: str, metric: str
) -> list[_Point | None]:
    """Returns the method's point in each setting, None for a hole."""
    points: list[_Point | None] = []
    for setting in board.settings:
        result = board.result(ResultKey(dataset, backbone, method, setting))
        points.append((result.mean[metric], result.spread[metric]) if result else None)
    return points


def _panel(
    board: Board,
    dataset: str,
    backbone: str,
    lines: dict[str, list[_Point | None]],
    style: dict[str, Look],
) -> Panel:
    values = [board.values[setting] for setting in board.settings]
    names = [setting[len(f"{board.vary}=") :] for setting in board.settings]
    numeric = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in values)
    positions = (
        [float(one) for one in values] if numeric else [float(i) for i in range(len(values))]
    )

    def paint(axes: Axes) -> None:
        if numeric and min(positions) > 0 and max(positions) / min(positions) >= _LOG_FROM:
            axes.set_xscale("log")
            axes.minorticks_off()
        for method, points in lines.items():
            shared = board.key_at(ResultKey(dataset, backbone, method, board.settings[0]))
            if shared is not None and not shared.setting:
                level = next(point for point in points if point)[0]
                axes.axhline(level, color=style[method].colour, linestyle=_SHARED,
                             linewidth=style[method].width)  # fmt: skip
            else:
                _paint_line(axes, positions, points, style[method])
        axes.set_xticks(positions, names)
        axes.margins(x=0.06)

    title = block_title(dataset, backbone, board.datasets)
    return Panel(title, paint)


def _paint_line(
    axes: Axes, positions: Sequence[float], points: Sequence[_Point | None], look: Look
) -> None:
    """Draws a line that breaks at holes, and its band where seeds have a spread."""
    # By position: the grid may list its values in any order.
    pairs: list[Any] = sorted(zip(positions, points), key=lambda pair: pair[0])
    xs = [x for x, _ in pairs]
    means = [point[0] if point else math.nan for _, point in pairs]
    spreads = [point[1] if point else math.nan for _, point in pairs]
    axes.plot(xs, means, color=look.colour, marker=look.marker, markersize=4,
              linestyle=look.dashes, linewidth=look.width)  # fmt: skip
    if any(not math.isnan(spread) for spread in spreads):
        low = [mean - spread for mean, spread in zip(means, spreads)]
        high = [mean + spread for mean, spread in zip(means, spreads)]
        axes.fill_between(xs, low, high, color=look.colour, alpha=0.13, linewidth=0)
