"""What a figure is made of: panels that paint themselves, a legend, one look for each method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which the colour-blind tell apart, without their yellow, which is too
# light for a line; https://jfly.uni-koeln.de/color/.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))


class Look(NamedTuple):
    """How a line is drawn: colour, marker, dashes and width in points."""

    colour: str
    marker: str
    dashes: Any
    width: float


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: above it.
        paint: draws into the axes it is given.
    """

    title: str
    paint: Callable[[Axes], None]


@dataclass(frozen=True)
class Drawing:
    """A figure before it is drawn; making one imports no matplotlib.

    Attributes:
        panels: in reading order; none where nothing can be shown.
        x_label: of all panels, once below them.
        y_label: of all panels, once to their left.
        legend: name and maker of each handle of the legend.
        caption: what the figure shows, as Markdown.
        shared_rows: whether all panels have the same y axis, whose names stand on the left only.
    """

    panels: tuple[Panel, ...]
    x_label: str
    y_label: str
    legend: tuple[tuple[str, Callable[[], Any]], ...]
    caption: str
    shared_rows: bool = False


def looks(names: Sequence[str], strong: Sequence[str]) -> dict[str, Look]:
    """Returns one look for each name, in their order; those of ``strong`` have thicker lines."""
    size = len(_COLOURS)
    return {
        name: Look(
            _COLOURS[place % size],
            _MARKERS[place % size],
            _DASHES[place // size % len(_DASHES)],
            2.0 if name in strong else 1.2,
        )
        for place, name in enumerate(names)
    }


def line_entry(
    name: str, look: Look, *, dashes: Any = None, marker: bool = True
) -> tuple[str, Callable[[], Any]]:
    """Returns the legend's entry for a line."""

    def make() -> Any:
        from matplotlib.lines import Line2D

        return Line2D(
            [],
            [],
            color=look.colour,
            marker=look.marker if marker else None,
            markersize=4,
            linestyle=dashes or look.dashes,
            linewidth=look.width,
            label=name,
        )

    return name, make


def block_title(dataset: str, backbone: str, datasets: Sequence[str]) -> str:
    """Names a panel by its backbone, and its data set where there are several."""
    return f"{backbone}, {dataset}" if len(datasets) > 1 else backbone
