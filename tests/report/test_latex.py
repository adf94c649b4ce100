from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from recbole_guider.report.board import arrange
from recbole_guider.report.latex import escape, from_markdown, render_latex
from recbole_guider.report.markdown import value
from recbole_guider.report.results import ResultKey

PDFLATEX = shutil.which("pdflatex")
LIFTS = {"Base": 0.0, "WBPR": -0.004, "T-CE": 0.001, "GUIDER": 0.02}
NASTY = 'Ü <a|b> & "c" 50 % of $5 #1 x_y {z} ~^ \\x --only ß 中 é — †\nend'


@pytest.fixture
def boards(grid, cells, make_record):
    """A grid of two data sets with holes and marks, and one over a property with nasty names."""
    cells = [*cells, *(cell._replace(dataset="baby") for cell in cells)]
    records = [
        make_record(cell, lift=LIFTS[cell.method] * (-1 if cell.backbone == "BM3" else 1))
        for cell in cells
        if cell[1:4] not in [("BM3", "WBPR", 2022), ("LightGCN", "WBPR", 2022)]
        and cell[1:3] != ("LightGCN", "T-CE")
    ]
    plain = arrange(grid, cells, records, {(*cells[2], ""): "loss is `nan`\n% after 3"})
    names = {f"x_y={place}": place for place in ("a&b", "50 %", "$5")}
    varied = {**grid, "name": "own_grid #2", "title": f"Figure 8: {NASTY}", "vary": "x_y",
              "settings": names, "methods": ["Base", "GUIDER"], "baselines": ["Base"]}  # fmt: skip
    more = [
        make_record(("d_1 & co", "B^3", method, seed, name))
        for method in ("Base", "GUIDER")
        for seed in (1, 2)
        for name in names
    ]
    return plain, arrange(varied, [record.cell for record in more], more, {})


def rows_of(text: str) -> dict[str, list[str]]:
    """The rows of the first table: label -> cells; methods are named like 'BM3 + GUIDER'."""
    found, backbone = {}, ""
    body = text.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
    for line in body.splitlines():
        if line.endswith(r" \\"):
            label, *cells = (cell.strip() for cell in line[:-3].split(" & "))
            backbone = backbone if label.startswith("+") else label
            found[f"{backbone} {label}" if label.startswith("+") else label] = cells
    return found


def test_numbers_marks_and_holes_are_the_pages(boards) -> None:
    board = boards[0]
    rows = rows_of(render_latex(board))
    assert list(rows) == [
        "LightGCN", "LightGCN + WBPR", "LightGCN + T-CE", "LightGCN + GUIDER",
        "BM3", "BM3 + WBPR", "BM3 + T-CE", "BM3 + GUIDER",
    ]  # fmt: skip
    back = [(r"\textbf{", "**"), ("}", "**"), ("$^{*$", "\\*"), ("$^{\\dagger$", "†"), ("---", "—")]
    marked = 0
    for label, cells in rows.items():
        backbone, _, method = label.partition(" + ")
        places = [(d, m) for d in board.datasets for m in board.metrics]
        for (dataset, metric), cell in zip(places, cells):
            cell = cell.replace("$^{*}$", "$^{*$").replace("$^{\\dagger}$", "$^{\\dagger$")
            for sign, markdown in back:
                cell = cell.replace(sign, markdown)
            assert cell == value(board, ResultKey(dataset, backbone, method or "Base"), metric)
            marked += "†" in cell or "\\*" in cell
        assert len(cells) == 8
    assert marked == 16
    assert rows["LightGCN + T-CE"] == ["---"] * 8
    assert all(cell.endswith("(1/2)") for cell in rows["BM3 + WBPR"])


def test_the_caption_holds_the_legend_and_the_sources(boards) -> None:
    text = render_latex(boards[0], ["50 % of `x_y` stands in."])
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption{"))
    for said in (
        "Denoising methods on three backbones. 50 \\% of \\texttt{x\\_y} stands in. Means over",
        r"\textbf{Bold}: the best",
        r"\textbf{$^{*}$} / \textbf{$^{\dagger}$}: significantly better / worse",
        r"\textbf{($^{*}$)} / \textbf{($^{\dagger}$)}: in the first alone",
        r"p \textless{} 0.05 after Holm's correction",
        "---: no result. ml-100k: every rating is an interaction; modalities from titles (TF-IDF) "
        "and from genres and decade. Data: baby: 943 users, 1,682 items, protocol mmrec; ",
        r"All numbers: \texttt{table2.csv}.",
    ):
        assert said in caption
    assert "see below" not in caption
    assert r"\label{tab:table2}" in text
    assert "% Software: recbole_guider 0.1.0" in text
    assert "% Missing: LightGCN + T-CE on ml-100k (0 of 2 seeds): " in text


def test_a_varied_property_has_its_values_across(boards) -> None:
    text = render_latex(boards[1])
    assert r"\multicolumn{3}{c}{d\_1 \& co, Recall@5}" in text
    assert r"x\_y & a\&b & 50 \% & \$5 & a\&b" in text
    assert r"\label{tab:own-grid-2}" in text
    assert text.count(r"\begin{table*}") == 1


def test_more_columns_than_fit_become_more_tables(grid, cells, make_record) -> None:
    five = [cell._replace(dataset=name) for name in "abcde" for cell in cells]
    grid = {**grid, "datasets": list("abcde")}
    text = render_latex(arrange(grid, five, [make_record(cell) for cell in five], {}))
    assert re.findall(r"\\label{(.*?)}", text) == ["tab:table2", "tab:table2-2"]
    assert [len(spec) for spec in re.findall(r"\\begin{tabular}{(l+)}", text)] == [17, 5]
    assert r"(2 of 2). Legend: Table~\ref{tab:table2}." in text


@pytest.mark.parametrize(
    ("plain", "latex"),
    [
        ("a_b & c", r"a\_b \& c"),
        ("50 % $5 #1 {x}", r"50 \% \$5 \#1 \{x\}"),
        ("~^\\", r"\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("<p|q>", r"\textless{}p\textbar{}q\textgreater{}"),
        ("--only T-CE", r"-{}-only T-CE"),
        ("é ő 中", "é o U+4E2D"),
        ("two\n lines", "two lines"),
    ],
)
def test_escape(plain: str, latex: str) -> None:
    assert escape(plain) == latex


def test_from_markdown() -> None:
    assert from_markdown("**0.1**\\* 0.2† —") == r"\textbf{0.1}$^{*}$ 0.2$^{\dagger}$ ---"
    assert from_markdown("**0.1**(\\*) 0.2(†)") == r"\textbf{0.1}($^{*}$) 0.2($^{\dagger}$)"
    assert from_markdown("**\\*** / **†**: `a_b` --x") == (
        r"\textbf{$^{*}$} / \textbf{$^{\dagger}$}: \texttt{a\_b} -{}-x"
    )


def test_no_results_are_all_holes(grid, cells) -> None:
    rows = rows_of(render_latex(arrange(grid, cells, [], {})))
    assert {cell for row in rows.values() for cell in row} == {"---"}


@pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("columns", ["onecolumn", "twocolumn"])
def test_it_compiles_and_fits(boards, tmp_path, columns) -> None:
    for number, board in enumerate(boards):
        text = render_latex(board, [NASTY])
        (tmp_path / f"{number}.tex").write_text(text, encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        rf"\documentclass[{columns}]{{article}}\usepackage{{booktabs,graphicx}}\begin{{document}}"
        r"Tables \ref{tab:table2} and \ref{tab:own-grid-2}.\input{0.tex}\input{1.tex}"
        r"\end{document}",
        encoding="utf-8",
    )
    for _ in range(2):  # the second run resolves the references
        done = subprocess.run(
            [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
            cwd=tmp_path, capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert "Overfull" not in log
    assert "undefined" not in log
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
