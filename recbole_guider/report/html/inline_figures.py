"""Figures inside the HTML page: SVG without what would clash or weigh, and learning curves."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace

from recbole_guider.report.board import Board
from recbole_guider.report.figures.drawing import render_svg
from recbole_guider.report.figures.training import draw_training
from recbole_guider.report.html.markup import Html

# Points of all curves of a page together: at about 12 bytes each, a quarter of a megabyte.
_POINTS = 20_000
_FEWEST = 20  # of one curve
# Above so many records, single seeds would be a blur: only means are drawn, in half the time.
_SEEDS_UP_TO = 300
_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"#([\w.-]+)")
_GEOMETRY = ("d", "x", "y", "width", "height", "transform")


def learning_curves(board: Board) -> Iterator[tuple[str, Html, str]]:
    """Yields data set, figure and caption for each data set whose records tell of epochs.

    Nothing where the grid's own figure shows them, or where a property varies: a line for each of
    its values would hide the others.
    """
    if board.figure == "training" or board.vary:
        return
    each_seed = len(board.records) <= _SEEDS_UP_TO
    lines = len(board.comparison.results) + (len(board.records) if each_seed else 0)
    for place, dataset in enumerate(board.datasets):
        own = tuple(record for record in board.records if record.cell.dataset == dataset)
        drawing = draw_training(replace(board, datasets=(dataset,), records=own), each_seed)
        if drawing.panels:
            title = f"Learning curves on {dataset}"
            points = max(_FEWEST, _POINTS // lines)
            svg = inline_svg(render_svg(drawing), f"curves{place}-", title, points)
            yield dataset, svg, drawing.caption


def inline_svg(svg: str, prefix: str, title: str, points: int = 0) -> Html:
    """Returns an SVG file's text as an element of a page.

    Identifiers that are referred to get a prefix, because several figures share a page, the others
    go; so do metadata, style sheet and white grounds, because the page has its own. Coordinates
    keep one digit: a seventh of a pixel.

    Args:
        svg: what matplotlib wrote.
        prefix: of the identifiers.
        title: what is read out instead of the figure.
        points: longer lines are thinned to about so many; 0 leaves them as they are.
    """
    root = ElementTree.fromstring(svg)
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")) or child.get("id") == "patch_1":
                parent.remove(child)
    referred = set(_REFERENCE.findall(svg))
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
        node.tail = None
        if node.tag != "text":
            node.text = None
        found = {name.rpartition("}")[2]: value for name, value in node.attrib.items()}
        if found.get("id") not in referred:
            found.pop("id", None)
        if points and "fill: none" in found.get("style", ""):
            found["d"] = _thinned(found["d"], points)
        node.attrib = {name: _attribute(name, value, prefix) for name, value in found.items()}
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": title}
    return Html(ElementTree.tostring(root, encoding="unicode"))


def _attribute(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    value = value.replace("url(#", f"url(#{prefix}")
    if name == "href":
        value = value.replace("#", f"#{prefix}", 1)
    elif name == "style":
        value = value.replace("fill: #ffffff", "fill: none")
    elif name in _GEOMETRY:
        value = _NUMBER.sub(lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), value)
    return " ".join(value.split())


def _thinned(path: str, points: int) -> str:
    """Returns a line with every k-th of its points, the first and the last among them."""
    corners = path.split("L")
    step = math.ceil(len(corners) / points)
    kept = corners[:-1:step] if step > 1 else corners[:-1]
    return "L".join([*kept, corners[-1]])
