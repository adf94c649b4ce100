"""The figure of training: the validation metric over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Callable

from recbole_guider.report.board import Board
from recbole_guider.report.figures.panels import (
    Drawing,
    Look,
    Panel,
    block_title,
    line_entry,
    looks,
)
from recbole_guider.report.results import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Curve = dict[int, float]  # epoch -> value


def draw_training(board: Board, each_seed: bool = True) -> Drawing:
    """Returns a panel for each data set and backbone, with a line for each method.

    ``each_seed`` draws thin lines for the seeds beside the strong ones for their means.
    """
    curves: dict[tuple[str, str], dict[str, list[_Curve]]] = {}
    metrics = set()
    for record in board.records:
        metric = str(record.config["valid_metric"])
        curve = _curve(record, metric)
        if curve:
            metrics.add(metric)
            block = curves.setdefault((record.cell.dataset, record.cell.backbone), {})
            block.setdefault(_name(record.cell.method, record.cell.setting), []).append(curve)
    names = [
        name
        for method in board.methods
        for name in (_name(method, setting) for setting in dict.fromkeys(["", *board.settings]))
        if any(name in block for block in curves.values())
    ]
    strong = [name for name in names if name.split(", ")[0] in board.proposed()]
    style = looks(names, strong)
    y_label = f"validation {' or '.join(sorted(metrics))}"
    panels = [
        Panel(
            block_title(dataset, backbone, board.datasets),
            _painter(curves[dataset, backbone], style, each_seed),
        )
        for dataset in board.datasets
        for backbone in board.backbones
        if (dataset, backbone) in curves
    ]
    legend = [line_entry(name, style[name], marker=False) for name in names]
    caption = (
        f"{y_label[0].upper()}{y_label[1:]} after each epoch, counted from 0. "
        f"{'Strong lines' if each_seed else 'Lines'}: mean over seeds, up to the end of the "
        f"shortest run{'; thin lines: single seeds' if each_seed else ''}."
    )
    return Drawing(tuple(panels), "epoch", y_label, tuple(legend), caption)


def _name(method: str, setting: str) -> str:
    return f"{method}, {setting}" if setting else method


def _curve(record: Record, metric: str) -> _Curve:
    """Returns the epochs at which validation was evaluated, with its value."""
    points = {int(point["epoch"]): point.get(metric.lower()) for point in record.valid_curve}
    return {epoch: float(value) for epoch, value in points.items() if value is not None}


def _painter(
    block: Mapping[str, Sequence[_Curve]], style: Mapping[str, Look], each_seed: bool
) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        for name, look in style.items():
            seeds = block.get(name, ())
            for curve in seeds if each_seed and len(seeds) > 1 else ():
                axes.plot(list(curve), list(curve.values()), color=look.colour, linewidth=0.6,
                          alpha=0.35)  # fmt: skip
            common = sorted(set.intersection(*map(set, seeds))) if seeds else []
            mean = [sum(curve[epoch] for curve in seeds) / len(seeds) for epoch in common]
            axes.plot(common, mean, color=look.colour, linestyle=look.dashes,
                      linewidth=look.width, marker="o" if len(common) == 1 else None,
                      markersize=4)  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))

    return paint
