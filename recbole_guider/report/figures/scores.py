"""The figure of scores: how trained models score clean and noisy training interactions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable

from recbole_guider.registry import BARE
from recbole_guider.report.board import Board
from recbole_guider.report.detection import LABELS
from recbole_guider.report.figures.panels import Drawing, Panel, block_title
from recbole_guider.report.results import Record, cell_key, result_key

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CLEAN, _NOISY = "#0072B2", "#D55E00"


def draw_scores(board: Board) -> Drawing:
    """Returns a panel for each result and label, of the first seed that tells its scores."""
    first: dict[Any, Record] = {}
    for record in board.records:  # ordered by name, so by seed
        if record.diagnostics.get("score_distribution"):
            first.setdefault(result_key(cell_key(record.cell)), record)
    panels = []
    for dataset in board.datasets:
        for key in board.keys(dataset):
            if key not in first:
                continue
            name = block_title(dataset, key.backbone, board.datasets)
            name += "" if key.method == BARE else f" + {key.method}"
            name += f", {key.setting}" if key.setting else ""
            for found in first[key].diagnostics["score_distribution"]:
                label = LABELS.get(found["label"], str(found["label"]))
                title = f"{name}: {label}"
                panels.append(Panel(title, _painter(found)))
    seeds = sorted({record.cell.seed for record in first.values()})
    named = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    caption = (
        f"Scores that the trained model gives to clean and to noisy training interactions ({named})"
        ". AUC: the chance that a noisy interaction scores below a clean one; 0.5 is chance."
    )
    legend = (_patch("clean", _CLEAN, "-"), _patch("noisy", _NOISY, "--"))
    return Drawing(tuple(panels), "score", "density", legend, caption)


def _painter(found: Mapping[str, Any]) -> Callable[[Axes], None]:
    edges = [float(edge) for edge in found["edges"]]
    widths = [right - left for left, right in zip(edges, edges[1:])]

    def paint(axes: Axes) -> None:
        for name, colour, dashes in (("clean", _CLEAN, "-"), ("noisy", _NOISY, "--")):
            total = sum(found[name]) or 1
            heights = [count / total / width for count, width in zip(found[name], widths)]
            axes.stairs(heights, edges, fill=True, color=colour, alpha=0.22)
            axes.stairs(heights, edges, color=colour, linewidth=1.3, linestyle=dashes)
        area = found.get("auc")
        if area is not None:  # there are both kinds
            axes.text(0.98, 0.95, f"AUC {area:.3f}", transform=axes.transAxes, ha="right", va="top")
        axes.set_ylim(bottom=0)

    return paint


def _patch(name: str, colour: str, dashes: Any) -> tuple[str, Callable[[], Any]]:
    def make() -> Any:
        from matplotlib.colors import to_rgba
        from matplotlib.patches import Patch

        return Patch(facecolor=to_rgba(colour, 0.22), edgecolor=colour, linestyle=dashes,
                     label=name)  # fmt: skip

    return name, make
