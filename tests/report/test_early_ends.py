"""Runs that patience ended in an early dip are told beside the numbers that they make."""

from __future__ import annotations

import html

import pytest

from recbole_guider.report.board import arrange
from recbole_guider.report.early_ends import early_ends
from recbole_guider.report.tables import render


@pytest.fixture
def board_of(grid, cells, make_record):
    """A board whose runs chose the given epochs: by default the thirtieth."""

    def make(chose, cells=cells):
        records = [make_record(cell, best_epoch=chose.get(cell[1:4], 30)) for cell in cells]
        return arrange(grid, cells, records, {})

    return make


def test_runs_that_ended_in_a_dip_are_named_by_method_and_seed(board_of):
    chose = {("BM3", "T-CE", 2022): 0, ("BM3", "T-CE", 2023): 4, ("BM3", "GUIDER", 2023): 1}
    text = early_ends(board_of(chose))
    assert (
        "chosen by 3 of 8 runs of BM3 on ml-100k (GUIDER 2023; T-CE 2022, 2023), where the median "
        "chose epoch 31." in text
    )
    assert "LightGCN" not in text


@pytest.mark.parametrize("usual", [5, 30])
def test_nothing_is_said_of_runs_that_chose_a_later_epoch(board_of, cells, usual):
    assert early_ends(board_of({cell[1:4]: usual for cell in cells})) == ""


def test_nothing_is_said_where_all_runs_are_short(board_of, cells):
    """A backbone may be done after a few epochs; nothing tells that from a dip then."""
    assert early_ends(board_of({cell[1:4]: 4 if cell[3] == 2022 else 15 for cell in cells})) == ""


def test_a_run_that_chose_no_epoch_is_not_told_as_an_early_one(board_of):
    assert early_ends(board_of({("BM3", "T-CE", 2022): -1})) == ""


def test_a_setting_is_named(board_of, cells):
    varied = [cell._replace(setting="noise_ratio=0.1") for cell in cells]
    assert "(T-CE, noise_ratio=0.1, 2022)" in early_ends(
        board_of({("BM3", "T-CE", 2022): 0}, varied)
    )


def test_both_pages_warn_beside_the_table(tmp_path, grid, cells, make_record):
    records = [make_record(cell, best_epoch=30 if cell[2] != "T-CE" else 0) for cell in cells]
    paths = {path.suffix: path for path in render(grid, cells, records, {}, tmp_path)}
    page = paths[".md"].read_text(encoding="utf-8")
    assert page.index("Means over users") < page.index("**Stopped early**") < page.index("## Gain")
    assert "Stopped early" in html.unescape(paths[".html"].read_text(encoding="utf-8"))
    assert "\n% **Stopped early**" in paths[".tex"].read_text(encoding="utf-8")
