"""The HTML page in a real headless Chromium: sorting, filters, notes, phone, dark mode, network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from recbole_guider.report.tables import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM = CHROMIUM or shutil.which("google-chrome")
driver = pytest.importorskip("playwright.sync_api")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]

LIFTS = {"Base": 0.0, "WBPR": -0.004, "T-CE": 0.001, "GUIDER": 0.02}
# The contrast of every text outside figures with what is painted behind it, smallest first.
CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255).map(
    (one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
  ).reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility()) continue;
    if (node.closest("svg, script")) continue;
    const pair = [rgba(getComputedStyle(node).color), behind(node)].map(light);
    found.push([(Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05), node.outerHTML]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}"""


@pytest.fixture(scope="module")
def browser():
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's refuses to run as root
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield started
        started.close()


@pytest.fixture
def path(tmp_path: Path, grid, cells, make_record) -> Path:
    """Two data sets; GUIDER helps LightGCN and harms BM3; a hole on each data set."""
    both = [cell._replace(dataset=name) for name in ("baby", "ml-100k") for cell in cells]
    gone = ("BM3", "WBPR")
    records = [
        make_record(
            cell,
            lift=LIFTS[cell.method] * (-1 if cell.backbone == "BM3" else 1),
            valid=0.2 + (0.01 if cell.method == "T-CE" else 0.0),
            valid_curve=[{"epoch": i, "loss": 1.0, "recall@20": 0.02 * i} for i in range(9)],
        )
        for cell in both
        if (cell.backbone, cell.method) != gone
    ]
    failures = {(*cell[:4], ""): "out of <memory>" for cell in both if cell[1:3] == gone}
    render(grid, both, records, failures, tmp_path)
    return tmp_path / "table2.html"


@pytest.fixture
def visit(browser, path):
    """Opens the page; afterwards nothing was said on the console and only the page was read."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def opened(width: int = 1280, **context):
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, **context))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert set(asked) == {path.as_uri()}


def column(page, place: int) -> list[str]:
    """A column's texts, in the order of the rows that are shown."""
    return page.eval_on_selector_all(
        "#results tbody tr",
        "(rows, place) => rows.filter((row) => row.checkVisibility())"
        ".map((row) => row.cells[place].innerText.trim())",
        place,
    )


def numbers(texts: list[str]) -> list[float]:
    return [float(text.rstrip("(*†)")) for text in texts if text != "—"]


def test_a_head_sorts_and_sorts_back(visit) -> None:
    page = visit()
    before = column(page, 4)
    head = page.locator("#results th", has_text="Recall@20")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert numbers(column(page, 4)) == sorted(numbers(before), reverse=True)
    assert column(page, 4)[-2:] == ["—", "—"]
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert numbers(column(page, 4)) == sorted(numbers(before))
    assert column(page, 4)[-2:] == ["—", "—"]
    page.locator("#results th", has_text="Method").locator("button").click()
    assert column(page, 2) == sorted(column(page, 2))
    assert page.locator("#results th[aria-sort]").count() == 1
    page.click("text=Reading order")
    assert column(page, 4) == before
    assert page.locator("th[aria-sort]").count() == 0


def test_filters_hide_and_show_rows_columns_and_curves(visit) -> None:
    page = visit()
    assert page.locator("#count").inner_text() == "16 of 16 rows"
    for name in ("ml-100k", "GUIDER", "T-CE", "NDCG@5"):
        page.locator("#filters").get_by_label(name, exact=True).check()
    assert page.locator("#count").inner_text() == "4 of 16 rows"
    assert set(column(page, 0)) == {"ml-100k"}
    assert column(page, 2) == ["T-CE", "GUIDER"] * 2
    heads = page.locator("#results thead th:visible").all_inner_texts()
    assert [head.strip(" ↕") for head in heads] == ["Data set", "Backbone", "Method", "NDCG@5"]
    assert page.locator("figcaption:visible").all_inner_texts() == ["ml-100k"]
    page.click("summary:has-text('Every comparison')")
    assert page.locator("#comparisons tbody tr:visible").count() == 6
    page.click("text=Clear filters")
    assert page.locator("#count").inner_text() == "16 of 16 rows"
    assert page.locator("#results thead th:visible").count() == 7
    assert page.locator("figcaption:visible").count() == 2


def test_the_numbers_behind_a_mark_show_on_hover_and_on_focus(visit) -> None:
    page = visit()
    note = page.locator("#note")
    row = page.locator("#results tbody tr", has_text="LightGCN").filter(has_text="GUIDER").first
    row.locator("td.num").first.hover()
    words = note.inner_text()
    assert "baby, LightGCN, GUIDER, Recall@5" in words
    assert "against T-CE (best baseline): significantly better" in words
    assert "against Base (bare backbone): significantly better" in words
    for label in ("difference", "95 % interval", "wins / ties / losses", "p after Holm", "seeds"):
        assert label in words
    note.hover()  # it stays while the pointer is on it
    page.wait_for_timeout(300)
    assert note.is_visible()
    page.mouse.move(5, 5)
    note.wait_for(state="hidden")

    first = page.locator("#results td.num").first
    page.locator("#results th", has_text="NDCG@20").locator("button").focus()
    page.keyboard.press("Tab")  # the only tab stop among the numbers
    assert first.evaluate("(cell) => cell === document.activeElement")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert page.locator("#results td[tabindex='0']").count() == 1
    assert note.inner_text() == words
    assert page.locator("[aria-describedby=note]").inner_text() in words
    page.keyboard.press("ArrowRight")
    assert "GUIDER, Recall@20" in note.inner_text()
    page.keyboard.press("Escape")
    assert note.is_hidden()
    page.locator("#results td.hole").first.hover()
    assert "seeds 2022, 2023 failed: out of <memory>" in note.inner_text()


def test_a_phone_scrolls_the_table_and_not_the_page(visit) -> None:
    page = visit(375, has_touch=True, is_mobile=True)
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    box = page.locator(".box:has(#results)")
    assert box.evaluate("(box) => box.scrollWidth > box.clientWidth")
    box.evaluate("(box) => box.scrollBy(9999, 0)")
    who = page.locator("#results tbody th").first
    assert who.inner_text().split() == ["baby,", "LightGCN", "Base"]
    assert who.bounding_box()["x"] >= 0  # it stays in sight
    page.locator("#results td:has(sup)").first.tap()
    note = page.locator("#note")
    assert "against T-CE (best baseline)" in note.inner_text()
    assert note.bounding_box()["width"] == 375
    page.locator("h1").tap()
    assert note.is_hidden()
    for summary in page.locator("summary").all():
        summary.tap()
    page.locator("label", has_text="± over seeds").tap()
    assert page.locator("td small").first.is_visible()
    assert page.evaluate(fits)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(visit, scheme: str) -> None:
    page = visit(color_scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(21, 23, 26)") == (scheme == "dark")
    page.locator("#filters").get_by_label("GUIDER", exact=True).check()
    page.click("summary:has-text('Every comparison')")
    page.locator("#results td.num:visible").first.hover()
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 100
    assert contrasts[0][0] >= 4.5, contrasts[0]


def test_without_javascript_everything_is_there(visit) -> None:
    page = visit(java_script_enabled=False)
    assert page.locator("#results tbody tr:visible").count() == 16
    assert page.locator("#controls").is_hidden()
    page.click("summary:has-text('Every comparison')")
    assert page.locator("#comparisons tbody tr:visible").count() > 0
