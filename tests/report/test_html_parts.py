"""What the HTML page is built from: escaping, the forms of Markdown, thinned lines."""

from __future__ import annotations

import pytest

from recbole_guider.report.html.inline_figures import inline_svg
from recbole_guider.report.html.markup import Html, element, join
from recbole_guider.report.html.words import html_of, inline, sections


def test_text_is_escaped_once_and_elements_are_not() -> None:
    inner = element("b", "a < b & c")
    assert inner == "<b>a &lt; b &amp; c</b>"
    assert join(inner, "<i>", Html("<br>")) == f"{inner}&lt;i&gt;<br>"
    made = element("td", inner, class_="num", data_k='"0"', hidden=True, id="", role=False)
    assert made == f'<td class="num" data-k="&quot;0&quot;" hidden>{inner}</td>'
    assert element("input", value="1") == '<input value="1">'


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**GUIDER** against `a_b`", "<strong>GUIDER</strong> against <code>a_b</code>"),
        ("**\\*** / **†**: better", "<strong>*</strong> / <strong>†</strong>: better"),
        ("**(\\*)** / **(†)**", "<strong>(*)</strong> / <strong>(†)</strong>"),
        ("**0.3459**\\*", "<strong>0.3459</strong>*"),
        ("**0.3459**(\\*)", "<strong>0.3459</strong>(*)"),
        ("failed: `a **b** <i>`", "failed: <code>a **b** &lt;i&gt;</code>"),
        ("[t.csv](t.csv)", '<a href="t.csv">t.csv</a>'),
        ("[t](javascript:alert)", "[t](javascript:alert)"),
        ("0.1<br>p & <br/>", "0.1<br>p &amp; &lt;br/&gt;"),
        ("2 ** 3 and `open", "2 ** 3 and `open"),
    ],
)
def test_the_forms_of_a_line(markdown: str, html: str) -> None:
    assert inline(markdown, ["t.csv"]) == html


def test_the_forms_of_a_block() -> None:
    assert html_of("- a\n- b") == "<ul><li>a</li><li>b</li></ul>"
    assert html_of("1. a\n2. b") == "<ol><li>a</li><li>b</li></ol>"
    assert html_of("> 1 < 2") == '<p class="note">1 &lt; 2</p>'
    table = html_of("| ml | a\\|b |\n|:---|---:|\n| x < y | **1** |")
    assert '<th scope="col">a|b</th>' in table
    assert '<th scope="row">x &lt; y</th><td><strong>1</strong></td>' in table


def test_sections_begin_at_headings_of_the_second_level() -> None:
    top, missing = sections("# Title\n\n> note\n\n## Missing\n\n- a\n- b\n\nWhere.\n")
    assert (top.title, top.blocks) == ("", ["# Title", "> note"])
    assert (missing.title, missing.blocks) == ("Missing", ["- a\n- b", "Where."])


SVG = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
 width="7pt" viewBox="0 0 7 5">
 <metadata>when</metadata><defs><style>*{stroke: red}</style></defs>
 <g id="figure_1"><g id="patch_1"><path d="M 0 0"/></g>
 <g id="m"><path d="M 0 0"/></g>
 <path id="m1" d="M 0.123456 1.96
L 1 1
L 2 1
L 3 1
L 4 1
L 5.5 9.04
" style="fill: none; stroke: #000000"/><use xlink:href="#m1" clip-path="url(#m1)"/>
 <text x="1.25">a &lt; 10.123456</text></g></svg>"""


def test_an_svg_leaves_behind_what_the_page_has() -> None:
    made = inline_svg(SVG, "one-", 'it\'s "1"')
    assert made.startswith('<svg viewBox="0 0 7 5" role="img" aria-label="it\'s &quot;1&quot;">')
    for gone in ("metadata", "style>", "xmlns", "xlink", "figure_1", "patch_1", "width"):
        assert gone not in made
    assert '<use href="#one-m1" clip-path="url(#one-m1)" />' in made
    assert 'id="one-m"' not in made  # nothing refers to it
    assert 'id="one-m1" d="M 0.1 2 L 1 1 L 2 1 L 3 1 L 4 1 L 5.5 9"' in made
    assert "a &lt; 10.123456</text>" in made  # text keeps its digits


def test_long_lines_are_thinned_between_their_ends() -> None:
    assert 'd="M 0.1 2 L 2 1 L 4 1 L 5.5 9"' in inline_svg(SVG, "", "", points=3)
