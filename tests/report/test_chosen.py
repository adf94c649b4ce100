"""What a search chose, on the page and in the CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import NamedTuple

import pytest

from recbole_guider.report.board import arrange
from recbole_guider.report.chosen import chosen_table, trials_csv
from recbole_guider.report.numbers import render_csv


class Tried(NamedTuple):
    values: dict
    valid: float | None = None
    best_epoch: int | None = None
    epochs: int | None = None


class Chosen(NamedTuple):
    values: dict
    trial: int
    valid: float | None
    asked: int = 4
    finished: int = 4
    seed: int = 2022
    apart: dict = {}  # noqa: RUF012 (of a tuple)
    own: dict = {}  # noqa: RUF012
    ends: dict = {}  # noqa: RUF012
    tried: tuple = ()


@pytest.fixture
def board(grid, cells, make_record):
    return arrange(grid, cells, [make_record(cell) for cell in cells], {})


@pytest.fixture
def chosen():
    return {
        ("ml-100k", "BM3", "Base"): Chosen({}, 1, 0.25, own={"n_layers": 1}),
        ("ml-100k", "BM3", "WBPR"): Chosen(
            {"n_layers": 2, "dropout": 0.3}, 3, 0.5, finished=3, own={"dropout": 0.3}
        ),
        ("ml-100k", "BM3", "T-CE"): Chosen({}, 0, None, finished=0),
    }


def rows_of(board, *chosen):
    rows = csv.DictReader(io.StringIO(render_csv(board, *chosen)))
    return {(row["backbone"], row["method"]): row for row in rows}


def test_the_csv_says_which_trial_and_values(board, chosen):
    rows = rows_of(board, chosen)
    told = {key: [row[name] for name in ("trial", "trials", "chosen")] for key, row in rows.items()}
    assert told["BM3", "Base"] == ["1", "4", "{}"]
    assert told["BM3", "WBPR"] == ["3", "4", '{"dropout": 0.3, "n_layers": 2}']
    assert told["BM3", "T-CE"] == told["BM3", "GUIDER"] == ["", "", ""]
    plain = rows_of(board)
    assert "trial" not in plain["BM3", "Base"]
    for key, row in plain.items():
        assert row == {name: rows[key][name] for name in row}


def test_every_trial_has_a_row_of_the_csv(board, chosen):
    assert trials_csv(board, {}) == ""
    chosen["ml-100k", "BM3", "Base"] = Chosen(
        {}, 2, 1 / 3, tried=(Tried({"n_layers": 1, "dropout": 0.5}), Tried({}, 1 / 3, 4, 65))
    )
    chosen["ml-100k", "BM3", "WBPR"] = Chosen({}, 1, 0.1, seed=7, tried=(Tried({}, 0.1, 0, 1),))
    # Of a backbone that the board does not show.
    chosen["ml-100k", "MMGCN", "Base"] = Chosen({}, 1, 0.1, tried=(Tried({}, 0.1, 0, 1),))
    failed, best, other = csv.DictReader(io.StringIO(trials_csv(board, chosen)))
    assert json.loads(failed.pop("values")) == {"n_layers": 1, "dropout": 0.5}
    assert list(failed.values()) == ["ml-100k", "BM3", "Base", "2022", "1", "no", "", "", ""]
    assert list(best.values())[4:] == ["2", "yes", repr(1 / 3), "4", "65", "{}"]
    assert [other[name] for name in ("method", "seed", "trial")] == ["WBPR", "7", "1"]


def test_the_page_shows_a_hole_where_no_trial_finished(board, chosen):
    table, caption = chosen_table(board, chosen)
    lines = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in table.splitlines()}
    told = {name: [part.strip() for part in parts] for name, parts in lines.items()}
    assert told["ml-100k, BM3 + Base"] == ["1 of 4", "0.2500", "`n_layers` 1"]
    assert told["ml-100k, BM3 + WBPR"] == ["3 of 4", "0.5000", "`dropout` 0.3"]
    assert told["ml-100k, BM3 + T-CE"] == ["0 of 4", "—", "—"]
    assert "the bare backbone had 4 trials; with" in caption
    assert "method had 4 trials (5 failed in all) of its own, with seed 2022." in caption
    assert "beyond" not in caption


def test_the_page_says_which_values_are_the_last_that_were_tried(board, chosen):
    own = {"n_layers": 2, "train_neg_sample_args": {"alpha": 0.5}, "dropout": 0.3}
    chosen["ml-100k", "BM3", "Base"] = Chosen({}, 1, 0.25, own=own, ends={"dropout": "lowest"})
    table, caption = chosen_table(board, chosen)
    shown = "| `n_layers` 2, `train_neg_sample_args` alpha 0.5, `dropout` 0.3 (lowest) |"
    assert shown in table
    assert "(lowest), (highest): of the values tried; better ones may lie beyond" in caption


def test_the_caption_says_what_trials_alone_had(board, chosen):
    chosen["ml-100k", "BM3", "Base"] = Chosen({}, 1, 0.25, apart={"stopping_step": 20})
    assert "with seed 2022, `stopping_step` 20. The first" in chosen_table(board, chosen)[1]
    chosen["ml-100k", "VBPR", "Base"] = Chosen({}, 1, 0.25)
    assert "2022, `stopping_step` 20 (BM3). The first" in chosen_table(board, chosen)[1]


def test_what_all_methods_have_is_shown_where_the_bare_backbone_is_no_row(
    grid, cells, make_record, chosen
):
    cells = [cell for cell in cells if cell.method != "Base"]
    board = arrange(grid, cells, [make_record(cell) for cell in cells], {})
    assert "ml-100k, BM3 + Base" in chosen_table(board, chosen)[0]
