"""The words of the Markdown page as HTML: the few forms of Markdown that our pages are written in.

Everything else is text: names and messages may hold ``<``, ``&`` and quotes.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import NamedTuple

from recbole_guider.report.html.markup import Html, element, join

_IMAGE = re.compile(r"!\[(.*)\]\(([^)]+)\)")
_LISTS = {"ul": re.compile(r"- "), "ol": re.compile(r"\d+\. ")}
_INLINE = re.compile(
    r"`(?P<code>[^`]*)`"
    r"|\*\*(?P<strong>(?:\\.|[^*\\])+)\*\*"
    r"|\[(?P<name>[^]]+)\]\((?P<target>[^)]+)\)"
    r"|\\(?P<plain>[*|])"
    r"|(?P<line><br>)"
)


class Section(NamedTuple):
    """A heading, empty for what stands before the first one, and the blocks under it."""

    title: str
    blocks: list[str]


def sections(markdown: str) -> list[Section]:
    """Splits a page at its headings of the second level."""
    found = [Section("", [])]
    for block in re.split(r"\n{2,}", markdown.strip()):
        if block.startswith("## "):
            found.append(Section(block[3:], []))
        else:
            found[-1].blocks.append(block)
    return found


def image(block: str) -> str:
    """Returns the file that a block shows, empty text where it is no image."""
    match = _IMAGE.fullmatch(block)
    return match[2] if match else ""


def is_table(block: str) -> bool:
    """Says whether a block is a table."""
    return block.startswith("|")


def html_of(block: str, files: Container[str] = ()) -> Html:
    """Returns a paragraph, list, quotation or table as HTML.

    ``files`` are the targets that a link may have; any other link stays text.
    """
    for kind, mark in _LISTS.items():
        if mark.match(block):
            lines = [mark.sub("", line) for line in block.split("\n")]
            return element(kind, *(element("li", inline(line, files)) for line in lines))
    if block.startswith("> "):
        return element("p", inline(block[2:], files), class_="note")
    if is_table(block):
        return _table(block.split("\n"), files)
    return element("p", inline(block, files))


def inline(text: str, files: Container[str] = ()) -> Html:
    """Returns a line of Markdown as HTML: code, bold, links, escaped stars, line breaks."""
    parts: list[str] = []
    end = 0
    for match in _INLINE.finditer(text):
        parts += [text[end : match.start()], _inline(match, files)]
        end = match.end()
    return join(*parts, text[end:])


def _inline(match: re.Match[str], files: Container[str]) -> str:
    kind = match.lastgroup
    if kind == "code":
        return element("code", match["code"])
    if kind == "strong":
        return element("strong", inline(match["strong"], files))
    if kind == "target":
        known = match["target"] in files
        return element("a", match["name"], href=match["target"]) if known else match[0]
    return element("br") if kind == "line" else match["plain"]


def _table(lines: Sequence[str], files: Container[str]) -> Html:
    """Returns a pipe table; its second line is the alignment, which all our tables share."""
    head, _, *body = [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
    ]
    heads = [element("th", inline(cell, files), scope="col") for cell in head]
    rows = [
        element(
            "tr",
            element("th", inline(row[0], files), scope="row"),
            *(element("td", inline(cell, files)) for cell in row[1:]),
        )
        for row in body
    ]
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows))
    return box(table, head[0] or "Table")


def box(table: Html, label: str) -> Html:
    """Returns a table or figure in a box that scrolls by itself, also with the keyboard."""
    return element("div", table, class_="box", tabindex="0", role="region", aria_label=label)
