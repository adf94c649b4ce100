"""One self-contained HTML page for a grid: filters, sortable tables, figures, and every word.

It works from disk without a network: style, script and figures are inside, and its content policy
forbids requests. Its words are the Markdown page's. Without JavaScript it reads as plain tables.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from string import Template
from urllib.parse import quote

from recbole_guider.report.board import Board
from recbole_guider.report.html.inline_figures import inline_svg, learning_curves
from recbole_guider.report.html.markup import Html, element, join
from recbole_guider.report.html.results_table import comparisons_table, facets, results_table
from recbole_guider.report.html.words import Section, box, html_of, image, is_table, sections

_SUPERSEDED = "Gain over"  # how the sections begin whose numbers the comparisons' table holds
_RESULTS = "Test split, mean over users and seeds"
_COMPARISONS = (
    "Difference of the means over the seeds that both sides have finished and its share of the "
    "other method's mean, each with its 95 % bootstrap interval over users; the users won, tied "
    "and lost; the paired t test over users; Clark's min F' over users and seeds."
)


def render_page(board: Board, texts: Mapping[str, str]) -> str:
    """Returns the page of a grid.

    Args:
        board: what it shows.
        texts: name -> text of the grid's other files, ``<grid>.md`` among them. Those that are
            not empty are linked, and the figures that the Markdown page shows are put in.
    """
    script = _part("page.js")
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return Template(_part("page.html")).substitute(
        title=join(board.title),
        style=_part("page.css"),
        script=script,
        digest=base64.b64encode(digest).decode("ascii"),
        body="\n".join(part for part in _body(board, texts) if part),
    )


def _part(name: str) -> str:
    return files("recbole_guider.report.html").joinpath(name).read_text(encoding="utf-8")


def _body(board: Board, texts: Mapping[str, str]) -> Iterator[Html]:
    top, *others = sections(texts[f"{board.name}.md"])
    _, *blocks = [block for block in top.blocks if not is_table(block)]
    figure: list[str] = []
    for place in [place for place, block in enumerate(blocks) if image(block)]:
        figure += blocks[place : place + 2]  # the image and its caption
    lead = [block for block in blocks if block.startswith(("- ", "> "))]
    legend = [block for block in blocks if block not in lead and block not in figure]
    missing = [section for section in others if section.title == "Missing"]
    rest = [one for one in others if one not in missing and not one.title.startswith(_SUPERSEDED)]

    yield element("header", element("h1", board.title), *_words(lead, texts))
    yield element("div", *_filters(board), id="controls", hidden=True)
    yield results_table(board, _RESULTS)
    yield element("div", *_words(legend, texts), class_="legend")
    yield from (_section(section, texts) for section in missing)
    if figure:
        yield _section(Section("Figure", figure), texts)
    yield _curves(board)
    yield _comparisons(board)
    yield from (_section(section, texts) for section in rest)
    links = [element("a", name, href=quote(name)) for name, text in texts.items() if text]
    yield element("footer", "Files: ", *(join(" ", link) for link in links))


def _words(blocks: Iterable[str], texts: Mapping[str, str]) -> Iterator[Html]:
    """Yields blocks of the Markdown page; the figures that it shows are put in."""
    for block in blocks:
        shown = image(block)
        if not shown:
            yield html_of(block, texts)
        elif texts.get(shown):
            prefix = f"figure{list(texts).index(shown)}-"
            title = block[2:].partition("](")[0]
            yield element("figure", box(inline_svg(texts[shown], prefix, title), title))


def _section(section: Section, texts: Mapping[str, str]) -> Html:
    return element("section", element("h2", section.title), *_words(section.blocks, texts))


def _filters(board: Board) -> Iterator[Html]:
    """Yields the filters, which the page's script shows: none chosen in a group shows all."""
    groups = []
    for name, values in facets(board).items():
        choices = [
            element(
                "label",
                element("input", type="checkbox", value=str(place)),
                element("span", value),
            )
            for place, value in enumerate(values)
        ]
        groups.append(element("fieldset", element("legend", name), *choices))
    yield element("details", element("summary", "Filter"), *groups, open=True, id="filters")
    yield element(
        "p",
        element("output", id="count"),
        element("button", "Clear filters", type="button", id="clear"),
        element("button", "Reading order", type="button", id="reset"),
        element(
            "label",
            element("input", type="checkbox", id="spread"),
            element("span", "± over seeds"),
        ),
        class_="tools",
    )


def _curves(board: Board) -> Html:
    curves = list(learning_curves(board))
    if not curves:
        return Html("")
    anything = " -" * (len(facets(board)) - 1)
    figures = [
        element(
            "figure",
            element("figcaption", dataset),
            box(svg, dataset),
            data_k=f"{board.datasets.index(dataset)}{anything}",
        )
        for dataset, svg, _ in curves
    ]
    captions = dict.fromkeys(caption for _, _, caption in curves)
    return element(
        "section",
        element("h2", "Learning curves"),
        *figures,
        *(html_of(caption) for caption in captions),
    )


def _comparisons(board: Board) -> Html:
    table = comparisons_table(board, "Every comparison")
    if not table:
        return Html("")
    return element(
        "section",
        element("h2", "Comparisons"),
        element("p", _COMPARISONS),
        element("details", element("summary", "Every comparison"), table),
    )
