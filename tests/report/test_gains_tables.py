"""What a page says of gains over the bare backbone, beside its CSV file."""

from __future__ import annotations

import csv
import math

import pytest

from recbole_guider.report.tables import render

HEADING = "## Gain over the bare backbone"
LIFTS = {"Base": 0.0, "WBPR": -0.004, "T-CE": 0.0001, "GUIDER": 0.02}


def rendered(grid, records, folder, cells=None):
    """The page, and the CSV's rows by backbone, method and metric."""
    render(grid, cells or [record.cell for record in records], records, {}, folder)
    with (folder / "table2.csv").open(encoding="utf-8", newline="") as stream:
        rows = {(r["backbone"], r["method"], r["metric"]): r for r in csv.DictReader(stream)}
    return (folder / "table2.md").read_text("utf-8"), rows


def gains(page):
    """The rows of the section's table."""
    lines = page.split(HEADING)[1].split("\n## ")[0].splitlines()
    table = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    return {label.strip(): [cell.strip() for cell in row] for label, *row in table[2:]}


@pytest.mark.parametrize("grid", [2, 3], indirect=True)
def test_every_gain_has_the_mark_of_its_tests(tmp_path, grid, cells, make_record) -> None:
    records = [make_record(cell, lift=LIFTS[cell.method]) for cell in cells]
    page, numbers = rendered(grid, records, tmp_path)
    table = gains(page)
    assert list(table) == [
        f"{backbone} + {method}"
        for backbone in grid["backbones"]
        for method in ("WBPR", "T-CE", "GUIDER")
    ]
    seen = set()
    for label, shown in table.items():
        backbone, method = label.split(" + ")
        for metric, text in zip(grid["metrics"], shown):
            row = numbers[backbone, method, metric]
            gain, mark = text.split(" %")
            assert float(gain) == pytest.approx(100 * float(row["vs_base_relative_gain"]), abs=0.05)
            users = float(row["vs_base_p_holm"]) < 0.05
            both = float(row["vs_base_both_p_holm"] or math.inf) < 0.05
            sign = "\\*" if float(gain) > 0 else "†"
            assert mark == ("" if not users else sign if both else f"({sign})")
            seen.add(mark)
    assert seen >= ({"", "\\*", "†"} if len(grid["seeds"]) == 3 else {"", "(\\*)", "(†)"})
    assert "than the bare backbone in both tests" in page.split(HEADING)[1]


def test_what_has_not_run_is_a_hole(tmp_path, grid, cells, make_record) -> None:
    both = [cell._replace(dataset=name) for name in ("baby", "ml-100k") for cell in cells]
    records = [
        make_record(cell)
        for cell in both
        if (cell.dataset, cell.method) != ("baby", "T-CE") and cell.method != "WBPR"
    ]
    table = gains(rendered(grid, records, tmp_path, both)[0])
    assert not any(label.endswith("WBPR") for label in table)
    assert table["BM3 + T-CE"][:4] == ["—"] * 4
    assert all(text.split(" %")[0] for text in table["BM3 + T-CE"][4:])
    assert "—" not in table["BM3 + GUIDER"]


def test_bare_backbones_alone_gain_nothing(tmp_path, grid, cells, make_record) -> None:
    records = [make_record(cell) for cell in cells if cell.method == "Base"]
    only = {**grid, "methods": ["Base"], "baselines": ["Base"]}
    assert HEADING not in rendered(only, records, tmp_path)[0]
