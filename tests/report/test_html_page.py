"""The HTML page of a grid: what it shows, that names stay text, and that nothing is fetched."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import itertools
import random
import re
from html.parser import HTMLParser

import pytest

from recbole_guider.report.html import inline_figures
from recbole_guider.report.markdown import percent
from recbole_guider.report.tables import render

VOID = {"meta", "link", "br", "input"}
LIFTS = {"Base": 0.0, "WBPR": -0.004, "T-CE": 0.001, "GUIDER": 0.02}
EVIL = "<b>\"it\" & 'that'</b>"


class Node:
    """An element with its attributes, its children and all text inside it."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag, self.attributes, self.children, self.text = tag, attributes, [], ""

    def all(self, tag: str, **wanted: str) -> list[Node]:
        found = []
        for child in self.children:
            if child.tag == tag and all(child.attributes.get(k) == v for k, v in wanted.items()):
                found.append(child)
            found += child.all(tag, **wanted)
        return found

    def one(self, tag: str, **wanted: str) -> Node:
        (found,) = self.all(tag, **wanted)
        return found


class Tree(HTMLParser):
    """Reads a page and refuses elements that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]
        self.feed(page)
        self.close()
        assert self.open == [self.root]

    def handle_starttag(self, tag, attrs) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attrs) -> None:
        self.open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data) -> None:
        for node in self.open:
            node.text += data


def curve(length: int, top: float) -> list[dict]:
    return [{"epoch": i, "loss": 1.0, "recall@20": top * i / length} for i in range(length)]


@pytest.fixture
def records(cells, make_record) -> list:
    """GUIDER helps LightGCN and harms BM3; T-CE is the best baseline on validation."""
    return [
        make_record(
            cell,
            lift=LIFTS[cell[2]] * (-1 if cell[1] == "BM3" else 1),
            valid=0.2 + (0.01 if cell[2] == "T-CE" else 0.0),
            valid_curve=curve(6 + cell[3] % 2, 0.2 + LIFTS[cell[2]]),
        )
        for cell in cells
    ]


@pytest.fixture
def varied(grid, make_record):
    """Base does not know the property; GUIDER has two settings, one of them without a result."""
    settings = {f"ot_regularization={value}": value for value in (0.1, 1)}
    wanted = {**grid, "name": "figure6", "methods": ["Base", "GUIDER"], "baselines": ["Base"],
              "vary": "ot_regularization", "settings": settings, "figure": "settings"}  # fmt: skip
    cells = [("ml-100k", "BM3", "Base", seed, "") for seed in grid["seeds"]]
    cells += [("ml-100k", "BM3", "GUIDER", seed, name)
              for seed in grid["seeds"] for name in settings]  # fmt: skip
    records = [make_record(cell, valid_curve=curve(5, 0.2)) for cell in cells]
    return wanted, cells, [r for r in records if r.cell.setting != "ot_regularization=1"]


def page(folder, grid, cells, records, failures=(), notes=()) -> tuple[str, Node]:
    render(grid, cells, records, dict(failures), folder, notes)
    text = (folder / f"{grid['name']}.html").read_text(encoding="utf-8")
    return text, Tree(text).root


def rows(root: Node, table: str) -> list[Node]:
    return root.one("table", id=table).one("tbody").all("tr")


def texts(row: Node) -> list[str]:
    return [cell.text for cell in row.children]


def csv_of(folder, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / f"{name}.csv").read_text())))


def test_every_number_of_the_csv_stands_in_its_cell(tmp_path, grid, cells, records) -> None:
    _, root = page(tmp_path, grid, cells, records)
    heads = [th.text for th in root.one("table", id="results").one("thead").all("th")]
    assert heads == ["Data set", "Backbone", "Method", *grid["metrics"]]
    found = {}
    for row in rows(root, "results"):
        dataset, backbone, _, *numbers = texts(row)
        name = row.one("th").text.split(" ")[-1]
        found.update({(dataset, backbone, name, m): n for m, n in zip(grid["metrics"], numbers)})
    numbers = csv_of(tmp_path, "table2")
    assert len(found) == len(numbers) == 2 * 4 * 4
    for row in numbers:
        shown = found[row["dataset"], row["backbone"], row["method"], row["metric"]]
        assert shown.split("±")[0].strip(" (*†)") == f"{float(row['mean']):.4f}"
        assert shown.split("±")[1] == f"{float(row['std_over_seeds']):.4f}"


@pytest.mark.parametrize("grid", [2, 3], indirect=True)
def test_the_best_is_bold_and_the_marks_are_the_tables(tmp_path, grid, cells, records) -> None:
    _, root = page(tmp_path, grid, cells, records)
    form = "{}" if len(grid["seeds"]) > 2 else "({})"
    for row in rows(root, "results"):
        if row.one("th").text.endswith("GUIDER"):
            helped = row.children[1].text == "LightGCN"
            mark = form.format("*" if helped else "†")
            assert [sup.text for sup in row.all("sup")] == [mark] * 4
            assert len(row.all("strong")) == (4 if helped else 0)
        else:
            assert not row.all("sup")


@pytest.mark.parametrize("grid", [2, 3], indirect=True)
def test_comparisons_are_those_of_the_csv(tmp_path, grid, cells, records) -> None:
    _, root = page(tmp_path, grid, cells, records)
    numbers = {
        (row["backbone"], row["method"], row["metric"]): row for row in csv_of(tmp_path, "table2")
    }
    heads = [th.text for th in root.one("table", id="comparisons").one("thead").all("th")]
    found = [dict(zip(heads, texts(row))) for row in rows(root, "comparisons")]
    assert len(found) == 2 * 4 * (3 + 1)  # three methods with Base, GUIDER with the best baseline
    for one in found:
        row = numbers[one["Backbone"], one["Method"], one["Metric"]]
        families = {"T-CE (best baseline)": "vs_best", "Base (bare backbone)": "vs_base"}
        kind = families[one["against"]]
        assert one["difference"] == f"{float(row[f'{kind}_difference']):+.4f}"
        assert one["p after Holm"] == f"{float(row[f'{kind}_p_holm']):.3g}"
        low, high = (float(row[f"{kind}_{end}"]) for end in ("low", "high"))
        assert one["95 % interval"] == f"{low:+.4f} to {high:+.4f}"
        if kind == "vs_best":  # the other family's stands on the page only
            ends = [percent(float(row[f"vs_best_gain_{end}"])) for end in ("low", "high")]
            assert one["95 % of the gain"] == "{} % to {} %".format(*ends)
        counts = [row[f"{kind}_{what}"] for what in ("wins", "ties", "losses")]
        assert one["wins / ties / losses"] == " / ".join(counts)
        assert one["seeds"] == row[f"{kind}_seeds"] == " ".join(map(str, grid["seeds"]))
        sign = float(row[f"{kind}_difference"]) > 0
        significant = float(row[f"{kind}_p_holm"]) < 0.05
        wanted = f"significantly {'better' if sign else 'worse'}" if significant else "undecided"
        both = row[f"{kind}_both_p_holm"]
        assert one["both after Holm"] == (f"{float(both):.3g}" if both else "")
        assert bool(both) is (len(grid["seeds"]) > 2)
        alone = significant and not float(both or 1) < 0.05
        assert one["verdict"] == wanted + " (users alone)" * alone


def test_each_number_finds_its_comparisons_and_its_filters(tmp_path, grid, cells, records) -> None:
    _, root = page(tmp_path, grid, cells, records)
    filters = root.one("details", id="filters").all("fieldset")
    values = {one.one("legend").text: [span.text for span in one.all("span")] for one in filters}
    assert values == {
        "Data set": ["ml-100k"], "Backbone": grid["backbones"], "Method": grid["methods"],
        "Metric": grid["metrics"],
    }  # fmt: skip
    places = list(values.values())
    by_number = {row.attributes["data-of"]: row for row in rows(root, "results")}
    for row in (*rows(root, "results"), *rows(root, "comparisons")):
        names = [places[i][int(k)] for i, k in enumerate(row.attributes["data-k"].split())
                 if k != "-"]  # fmt: skip
        own = [cell.text for cell in row.children[: len(names)]]
        assert [text.split(" ")[-1] for text in own] == names
        number = row.attributes["data-of"].split(" ")[0]
        of = by_number[number].attributes["data-k"].split()
        assert of[:3] == row.attributes["data-k"].split()[:3]


def test_holes_are_holes_with_their_reason(tmp_path, grid, cells, records) -> None:
    failed = ("ml-100k", "BM3", "GUIDER", 2023)
    gone = [("ml-100k", "LightGCN", "WBPR", 2022), ("ml-100k", "LightGCN", "WBPR", 2023), failed]
    kept = [record for record in records if record.cell[:4] not in gone]
    reason = f"loss is {EVIL}\nafter 3"
    _, root = page(tmp_path, grid, cells, kept, {(*failed, ""): reason})
    named = {(row.children[1].text, row.one("th").text.split(" ")[-1]): row
             for row in rows(root, "results")}  # fmt: skip
    hole, part = named["LightGCN", "WBPR"], named["BM3", "GUIDER"]
    assert texts(hole)[3:] == ["—"] * 4
    assert hole.attributes["data-about"] == "seeds 2022, 2023 not run"
    assert all(text.endswith("(1/2)") for text in texts(part)[3:])
    assert f"seed 2023 failed: loss is {EVIL} after 3" in part.attributes["data-about"]
    listed = next(s for s in root.all("section") if s.one("h2").text == "Missing")
    assert "LightGCN + WBPR on ml-100k (0 of 2 seeds): seeds 2022, 2023 not run" in listed.text
    assert "<b>" in listed.text


def test_nothing_finished_is_all_holes(tmp_path, grid, cells) -> None:
    _, root = page(tmp_path, grid, cells, [])
    assert {text for row in rows(root, "results") for text in texts(row)[3:]} == {"—"}
    assert not root.all("table", id="comparisons")


def test_names_stay_text(tmp_path, grid, make_record) -> None:
    names = {"datasets": [f"{EVIL} d"], "backbones": [f"{EVIL} b"],
             "methods": ["Base", f"{EVIL} m"]}  # fmt: skip
    wanted = {**grid, **names, "title": f"</title>{EVIL}", "baselines": ["Base"]}
    records = [
        make_record((f"{EVIL} d", f"{EVIL} b", method, seed), valid_curve=curve(4, 0.2))
        for method in names["methods"]
        for seed in (1, 2)
    ]
    note = f"{EVIL} [x](javascript:alert(1)) $style"
    _, root = page(tmp_path, wanted, [r.cell for r in records], records, notes=[note])
    assert root.one("title").text == root.one("h1").text == f"</title>{EVIL}"
    assert root.one("p", **{"class": "note"}).text == note
    assert texts(rows(root, "results")[1])[:2] == [f"{EVIL} d", f"{EVIL} b"]
    assert rows(root, "results")[1].one("th").text.endswith(f"{EVIL} m")
    assert root.all("svg")[0].attributes["aria-label"] == f"Learning curves on {EVIL} d"
    assert not root.all("b")
    assert len(root.all("script")) == 1


def test_nothing_is_fetched_and_no_other_script_runs(tmp_path, grid, cells, records) -> None:
    text, root = page(tmp_path, grid, cells, records, notes=["http://elsewhere.org is no link"])
    script = root.one("script")
    assert "src" not in script.attributes
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    policy = next(m.attributes["content"] for m in root.all("meta") if "http-equiv" in m.attributes)
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert root.one("link").attributes["href"] == "data:,"
    files = {path.name for path in tmp_path.iterdir()}
    assert {a.attributes["href"] for a in root.all("a")} == files - {"table2.html"}
    assert not re.search(r"@import|url\((?!#)", text)
    assert not root.all("img")


def test_the_figures_identifiers_are_their_own(tmp_path, grid, cells, records) -> None:
    more = [*records, *(r.__class__(**{**vars(r), "cell": r.cell._replace(dataset="baby")})
                        for r in records)]  # fmt: skip
    _, root = page(tmp_path, grid, [r.cell for r in more], more)
    curves = next(s for s in root.all("section") if s.one("h2").text == "Learning curves")
    assert [one.text for one in curves.all("figcaption")] == ["baby", "ml-100k"]
    assert [one.attributes["data-k"] for one in curves.all("figure")] == ["0 - - -", "1 - - -"]
    for figure in curves.all("figure"):
        assert {"BM3", "LightGCN", *grid["methods"]} <= {one.text for one in figure.all("text")}
    nodes = [node for svg in root.all("svg") for tag in ("path", "clippath", "g", "use", "rect")
             for node in svg.all(tag)]  # fmt: skip
    ids = [node.attributes["id"] for node in nodes if "id" in node.attributes]
    assert ids
    assert len(set(ids)) == len(ids)
    used = re.findall(r"#((?:curves|figure)[\w-]+)", str([node.attributes for node in nodes]))
    assert set(used) == set(ids)


def test_hundreds_of_curves_are_means_alone(tmp_path, grid, cells, records, monkeypatch) -> None:
    lines = []
    for most in (len(records), len(records) - 1):
        monkeypatch.setattr(inline_figures, "_SEEDS_UP_TO", most)
        _, root = page(tmp_path, grid, cells, records)
        curves = next(s for s in root.all("section") if s.one("h2").text == "Learning curves")
        assert ("thin lines: single seeds" in curves.text) == (most == len(records))
        assert "ean over seeds, up to the end of the shortest run" in curves.text
        lines.append(len(curves.all("path")))
    assert lines[0] > lines[1]


def test_a_varied_property_has_a_column_and_a_filter(tmp_path, varied) -> None:
    _, root = page(tmp_path, *varied)
    heads = [th.text for th in root.one("table", id="results").one("thead").all("th")]
    assert heads[:4] == ["Data set", "ot_regularization", "Backbone", "Method"]
    found = [[*texts(row)[1:3], row.one("th").text.split(" ")[-1]] for row in rows(root, "results")]
    assert found == [[value, "BM3", method] for value in ("0.1", "1") for method in
                     ("Base", "GUIDER")]  # fmt: skip
    shared, _, again, hole = (row.attributes["data-about"] for row in rows(root, "results"))
    assert "does not know ot_regularization: one result in every setting" in shared
    assert shared == again
    assert hole == "seeds 2022, 2023 not run"
    titles = [section.one("h2").text for section in root.all("section")]
    assert "Figure" in titles
    assert "Learning curves" not in titles
    figure = next(s for s in root.all("section") if s.one("h2").text == "Figure")
    assert figure.one("svg").attributes["aria-label"] == varied[0]["title"]
    assert "Recall@5 at test over ot_regularization" in figure.text


def test_the_tables_are_tables_to_those_who_hear_them(tmp_path, grid, cells, records) -> None:
    text, root = page(tmp_path, grid, cells, records)
    assert text.startswith("<!doctype html>")
    assert root.one("html").attributes["lang"] == "en"
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [
        meta.attributes for meta in root.all("meta")
    ]
    for table in root.all("table"):
        assert {th.attributes["scope"] for th in table.one("thead").all("th")} == {"col"}
        for row in table.one("tbody").all("tr"):
            assert [th.attributes["scope"] for th in row.all("th")] == ["row"]
            assert len(row.children) == len(table.one("thead").all("th"))
    for name in ("results", "comparisons"):
        table = root.one("table", id=name)
        assert table.one("caption").text
        assert all(len(th.all("button")) == 1 for th in table.one("thead").all("th"))
    for box in root.all("div", **{"class": "box"}):
        assert box.attributes["tabindex"] == "0"
        assert box.attributes["aria-label"]
    assert "hidden" in root.one("div", id="controls").attributes  # they need the script


def test_same_cells_same_bytes(tmp_path, grid, cells, records) -> None:
    first, _ = page(tmp_path / "one", grid, cells, records)
    mixed = random.Random(3).sample(records, len(records))
    second, _ = page(tmp_path / "two", grid, cells[::-1], mixed)
    assert "<svg" in first
    assert first == second


@pytest.mark.slow
def test_the_whole_table_2_stays_below_a_megabyte(tmp_path, grid, make_record) -> None:
    axes = {
        "datasets": ["baby", "sports", "clothing", "microlens"],
        "backbones": [f"BACKBONE{i}" for i in range(6)],
        "methods": ["Base", *(f"METHOD-{i}" for i in range(6))],
        "baselines": ["Base", *(f"METHOD-{i}" for i in range(4))],
    }
    records = [
        make_record((*names, seed), n=50, valid_curve=curve(200, 0.2 + seed / 1e6))
        for names in itertools.product(*list(axes.values())[:3])
        for seed in (2022, 2023, 2024)
    ]
    text, root = page(tmp_path, {**grid, **axes}, [r.cell for r in records], records)
    assert len(rows(root, "results")) == 4 * 6 * 7
    assert len(text.encode("utf-8")) < 1_000_000
