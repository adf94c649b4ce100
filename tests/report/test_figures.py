"""Figures: what they show, for whom nothing can be shown, and that they are stable and light."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from recbole_guider.report.board import arrange
from recbole_guider.report.figures.drawing import KINDS, drawing_of, lay_out, render_svg, styled
from recbole_guider.report.figures.panels import looks
from recbole_guider.report.results import ResultKey
from recbole_guider.report.tables import render

LAMBDAS = {f"ot_regularization={value}": value for value in (0.1, 0.01, 1)}


def curve(length: int, start: float) -> list[dict]:
    return [
        {"epoch": epoch, "loss": 1.0, **({"recall@20": start + epoch} if epoch != 1 else {})}
        for epoch in range(length)
    ]


@pytest.fixture
def varied(grid, make_record):
    """Base without settings, GUIDER with three of which one has no result."""
    wanted = {**grid, "name": "figure6", "methods": ["Base", "GUIDER"], "baselines": ["Base"],
              "vary": "ot_regularization", "settings": LAMBDAS, "figure": "settings"}  # fmt: skip
    records = [make_record(("ml-100k", "BM3", "Base", seed)) for seed in (1, 2)]
    records += [
        make_record(("ml-100k", "BM3", "GUIDER", seed, name), lift=value / 10)
        for seed in (1, 2)
        for name, value in LAMBDAS.items()
    ]
    cells = [record.cell for record in records]
    return wanted, cells, [r for r in records if r.cell.setting != "ot_regularization=0.1"]


@pytest.fixture
def trained(grid, make_record):
    wanted = {**grid, "name": "figure3", "methods": ["Base", "GUIDER"], "baselines": ["Base"],
              "figure": "training"}  # fmt: skip
    records = [
        make_record(("ml-100k", backbone, method, seed), valid_curve=curve(length, start))
        for backbone in ("BM3", "LightGCN")
        for method, start in (("Base", 0.0), ("GUIDER", 10.0))
        for seed, length in ((1, 4), (2, 6))
    ]
    return wanted, [record.cell for record in records], records


@pytest.fixture
def scored(grid, make_record):
    wanted = {**grid, "name": "figure4", "methods": ["Base"], "baselines": ["Base"],
              "figure": "scores"}  # fmt: skip
    found = {"edges": [0.0, 1.0, 2.0, 4.0], "clean": [1, 1, 2], "noisy": [3, 1, 0]}
    told = [{"label": "injected", **found, "auc": None},
            {"label": "low_rating", **found, "auc": 0.6}]  # fmt: skip
    records = [
        make_record(("ml-100k", backbone, "Base", seed), diagnostics={"score_distribution": told})
        for backbone in ("BM3", "LightGCN")
        for seed in (5, 6)
    ]
    return wanted, [record.cell for record in records], records


@pytest.fixture
def compared(grid, make_record):
    """T-CE gains little, GUIDER much on BM3; LightGCN has no bare backbone to gain over."""
    wanted = {**grid, "methods": ["Base", "T-CE", "GUIDER"], "baselines": ["Base", "T-CE"],
              "figure": "gains"}  # fmt: skip
    lifts = {"Base": 0.0, "T-CE": 0.0001, "GUIDER": 0.05}
    records = [
        make_record(("ml-100k", backbone, method, seed), lift=lift)
        for seed in (1, 2, 3)
        for method, lift in lifts.items()
        for backbone in ("BM3", "LightGCN")
        if (backbone, method) != ("LightGCN", "Base")
    ]
    return wanted, [record.cell for record in records], records


@pytest.fixture(params=["compared", "varied", "trained", "scored"])
def any_grid(request):
    return request.getfixturevalue(request.param)


def drawing_of_case(case):
    wanted, cells, records = case
    return drawing_of(arrange(wanted, cells, records, {}))


def drawn(case) -> list:
    """The axes of each panel."""
    painted = []
    for panel in drawing_of_case(case).panels:
        axes = Figure().add_subplot()
        panel.paint(axes)
        painted.append((panel, axes))
    return painted


def texts(svg: str) -> set[str]:
    return {"".join(one.itertext()).strip() for one in ElementTree.fromstring(svg).iter()
            if one.tag.endswith("text")}  # fmt: skip


def test_a_page_links_its_figure(tmp_path, any_grid) -> None:
    wanted, cells, records = any_grid
    paths = render(wanted, cells, records, {}, tmp_path)
    name = wanted["name"]
    assert f"{name}.svg" in [path.name for path in paths]
    page = (tmp_path / f"{name}.md").read_text()
    assert f"![{wanted['title']}]({name}.svg)" in page
    svg = (tmp_path / f"{name}.svg").read_text()
    assert 'width="525.6pt"' in svg  # 700 pixels
    shown = texts(svg)  # text is text, so the page can be searched and translated
    assert any("BM3" in text for text in shown)
    assert "<dc:date>" not in svg
    assert "dc:creator" not in svg


def test_the_same_cells_give_the_same_bytes(tmp_path, any_grid, monkeypatch) -> None:
    import matplotlib

    wanted, cells, records = any_grid
    first = render_svg(drawing_of(arrange(wanted, cells, records, {})))
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30)  # a user's own taste
    monkeypatch.setitem(matplotlib.rcParams, "xtick.direction", "in")
    monkeypatch.setitem(matplotlib.rcParams, "svg.hashsalt", None)
    assert render_svg(drawing_of(arrange(wanted, cells[::-1], records[::-1], {}))) == first
    assert matplotlib.rcParams["font.size"] == 30  # which stays


def test_gains_are_points_with_intervals_filled_where_significant(compared) -> None:
    board = arrange(*compared, {})
    ((panel, axes),) = drawn(compared)
    assert panel.title == "BM3"
    # Recall@20 chooses the epoch, though Recall@5 comes first.
    assert drawing_of_case(compared).x_label == "gain in Recall@20, %"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["T-CE", "GUIDER"]
    zero, *lines = axes.get_lines()
    assert set(zero.get_xdata()) == {0.0}
    for place, (method, filled) in enumerate((("T-CE", False), ("GUIDER", True))):
        paired = board.comparison.vs_base[ResultKey("ml-100k", "BM3", method), "Recall@20"].paired
        interval, point = lines[2 * place : 2 * place + 2]
        assert list(interval.get_xdata()) == [100 * end for end in paired.gain_interval]
        assert list(point.get_xdata()) == [100 * paired.relative_gain]
        assert set(point.get_ydata()) == set(interval.get_ydata()) == {place}
        assert (point.get_markerfacecolor() != "white") is filled


def test_gains_without_a_test_over_seeds_are_hollow(compared) -> None:
    wanted, cells, records = compared
    kept = [record for record in records if record.cell.seed < 3]
    ((_, axes),) = drawn((wanted, cells, kept))
    assert [line.get_markerfacecolor() for line in axes.get_lines()[2::2]] == ["white"] * 2


@pytest.fixture
def side_by_side(grid, make_record):
    """Three panels with a long name; one of them lacks a method."""
    backbones, methods = ["VBPR", "MMGCN", "DRAGON"], ["Base", "T-CE", "GUIDER-as-released"]
    wanted = {**grid, "backbones": backbones, "methods": methods, "baselines": ["Base", "T-CE"],
              "figure": "gains"}  # fmt: skip
    records = [
        make_record(("ml-100k", backbone, method, seed), lift=0.01 * place)
        for backbone in backbones
        for place, method in enumerate(methods)
        for seed in (1, 2)
        if (backbone, method) != ("MMGCN", "T-CE")
    ]
    return wanted, [record.cell for record in records], records


def test_gains_share_their_rows_and_one_that_lacks_a_method_leaves_a_gap(side_by_side) -> None:
    figure = lay_out(drawing_of_case(side_by_side))
    first, second, _ = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["T-CE", "GUIDER-as-released"]
    assert not second.get_yticklabels()
    assert [set(line.get_ydata()) for line in second.get_lines()[1:]] == [{1}, {1}]
    low, high = second.get_ylim()
    assert low > 1
    assert high < 0  # the first method on top


@pytest.mark.parametrize("case", ["side_by_side", "varied", "trained", "scored"])
def test_what_is_written_stays_inside_the_figure(case, request) -> None:
    with styled():
        figure = lay_out(drawing_of_case(request.getfixturevalue(case)))
        figure.draw_without_rendering()  # which lays it out
    width, height = figure.get_size_inches()
    drawn = figure.get_tightbbox()  # in inches too
    assert drawn.x0 >= 0
    assert drawn.y0 >= 0
    assert drawn.x1 <= width
    assert drawn.y1 <= height


def test_a_line_for_each_method_over_the_values(varied) -> None:
    ((panel, axes),) = drawn(varied)
    drawing = drawing_of_case(varied)
    assert (drawing.x_label, drawing.y_label) == ("ot_regularization", "Recall@5")
    assert panel.title == "BM3"
    level, line = axes.lines
    _, _, records = varied
    base = [r.per_user["recall@5"].mean() for r in records if r.cell.method == "Base"]
    assert list(level.get_ydata()) == [pytest.approx(np.mean(base))] * 2
    assert list(line.get_xdata()) == [0.01, 0.1, 1.0]  # ascending, however the grid lists them
    means = [
        np.mean([r.per_user["recall@5"].mean() for r in records if r.cell.setting == name])
        for name in ("ot_regularization=0.01", "ot_regularization=1")
    ]
    assert line.get_ydata()[[0, 2]] == pytest.approx(means)
    assert np.isnan(line.get_ydata()[1])  # a hole breaks the line
    assert len(axes.collections) == 1  # the band
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "0.01", "1"]


def test_one_seed_has_no_band_and_words_stand_side_by_side(varied, make_record) -> None:
    wanted, _, _ = varied
    settings = {"dbpr=mixed": "mixed", "dbpr=none": "none"}
    records = [make_record(("ml-100k", "BM3", "GUIDER", 1, name)) for name in settings]
    wanted = {**wanted, "vary": "dbpr", "settings": settings}
    ((_, axes),) = drawn((wanted, [record.cell for record in records], records))
    assert not axes.collections
    assert axes.get_xscale() == "linear"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["mixed", "none"]
    assert list(axes.lines[0].get_xdata()) == [0.0, 1.0]


def test_training_shows_seeds_and_their_mean_up_to_the_shortest(trained) -> None:
    (panel, axes), (other, _) = drawn(trained)
    assert (panel.title, other.title) == ("LightGCN", "BM3")  # the grid's order
    assert drawing_of_case(trained).y_label == "validation Recall@20"
    base, guider = axes.lines[2], axes.lines[5]
    assert list(base.get_xdata()) == [0, 2, 3]  # epoch 1 was not evaluated
    assert list(base.get_ydata()) == [0, 2, 3]
    assert list(guider.get_ydata()) == [10, 12, 13]
    assert list(axes.lines[1].get_xdata()) == [0, 2, 3, 4, 5]  # the longer seed, thin
    assert axes.lines[1].get_linewidth() < base.get_linewidth() < guider.get_linewidth()


def test_epochs_below_narrow_panels_do_not_run_into_each_other(trained, make_record) -> None:
    wanted, cells, _ = trained
    records = [make_record(cell, valid_curve=curve(400, 0.0)) for cell in cells]
    drawing = drawing_of_case((wanted, cells, records))
    with styled():
        figure = lay_out(replace(drawing, panels=drawing.panels[:1] * 3))
        figure.draw_without_rendering()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = zip(axes.get_xticks(), axes.get_xticklabels())
        shown = [label.get_window_extent() for place, label in ticks if low <= place <= high]
        assert len(shown) > 2
        assert all(left.x1 < right.x0 for left, right in zip(shown, shown[1:]))


def test_scores_are_densities_with_the_area_under_the_curve(scored) -> None:
    panels = drawn(scored)
    assert [panel.title for panel, _ in panels] == [
        "LightGCN: injected pairs", "LightGCN: low ratings", "BM3: injected pairs",
        "BM3: low ratings",
    ]  # fmt: skip
    axes = panels[0][1]
    clean = axes.patches[0].get_data()
    assert list(clean.values) == [0.25, 0.25, 0.25]
    assert list(clean.edges) == [0.0, 1.0, 2.0, 4.0]
    assert list(axes.patches[2].get_data().values) == [0.75, 0.25, 0.0]
    assert not axes.texts  # the record tells none
    assert panels[1][1].texts[0].get_text() == "AUC 0.600"  # as the record tells it
    assert "(seed 5)" in drawing_of_case(scored).caption


def test_nothing_to_show_is_no_figure_and_an_old_one_goes(tmp_path, any_grid) -> None:
    wanted, cells, records = any_grid
    render(wanted, cells, records, {}, tmp_path)
    paths = render(wanted, cells, [], {}, tmp_path)
    assert not [path for path in paths if path.suffix == ".svg"]
    assert not list(tmp_path.glob("*.svg"))
    assert ".svg" not in (tmp_path / f"{wanted['name']}.md").read_text()
    assert drawing_of(arrange({**wanted, "figure": None}, cells, records, {})) is None


def test_grids_know_the_kinds_that_can_be_drawn() -> None:
    from recbole_guider.benchmark.grid import FIGURES

    assert set(KINDS) == set(FIGURES)


def test_looks_differ_and_proposed_methods_stand_out() -> None:
    names = [f"method {i}" for i in range(20)]
    made = looks(names, names[-2:])
    assert len({look[:3] for look in made.values()}) == len(names)
    assert made["method 19"].width > made["method 0"].width


def test_a_long_legend_and_odd_names_stay_inside(varied, tmp_path) -> None:
    wanted, cells, records = varied
    odd = {"GUIDER": "GUIDER $x^2$ & <b>" + "y" * 60}
    records = [
        type(r)(**{**vars(r), "cell": r.cell._replace(method=odd.get(r.cell.method, "Base"))})
        for r in records
    ]
    cells = [cell._replace(method=odd.get(cell.method, "Base")) for cell in cells]
    svg = render_svg(drawing_of(arrange({**wanted, "methods": []}, cells, records, {})))
    assert odd["GUIDER"] in texts(svg)


def test_matplotlib_is_imported_to_draw_and_not_before() -> None:
    program = (
        "import sys, recbole_guider.report.tables\n"
        "print([name for name in ('torch', 'recbole', 'matplotlib') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "[]"
