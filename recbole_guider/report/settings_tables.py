"""Tables of a grid that varies a property: a column for each of its values."""

from __future__ import annotations

from recbole_guider.registry import BARE
from recbole_guider.report.board import Board
from recbole_guider.report.comparison import Against
from recbole_guider.report.markdown import (
    HOLE,
    OVER_BARE,
    gained,
    p_value,
    row_labels,
    table,
    value,
)
from recbole_guider.report.results import ResultKey


def results_by_setting(board: Board) -> list[str]:
    """Returns a table for each data set and metric: methods down, settings across."""
    blocks = []
    labels = row_labels(board)
    for dataset in board.datasets:
        for metric in board.metrics:
            rows = [
                [labels[backbone, method]]
                + [
                    value(board, ResultKey(dataset, backbone, method, setting), metric)
                    for setting in board.settings
                ]
                for backbone, method in board.rows()
            ]
            blocks.append(table(_headers(board, f"{dataset}, {metric}"), rows))
    return blocks


def gains_by_setting(board: Board) -> list[str]:
    """Returns the gain of every method over the bare backbone in each setting; [] without any."""
    compared = board.comparison.vs_base
    blocks = []
    for dataset in board.datasets:
        for metric in board.metrics:
            rows = []
            for backbone, method in board.rows():
                places = [ResultKey(dataset, backbone, method, name) for name in board.settings]
                found = [compared.get((place, metric)) for place in places]
                if method != BARE and any(found):
                    gains = [_gain(against) for against in found]
                    rows.append([f"{backbone} + {method}", *gains])
            if rows:
                blocks.append(table(_headers(board, f"{dataset}, {metric}"), rows))
    if blocks:
        blocks.append(
            "Difference from the bare backbone in the same setting, relative to its mean, with the "
            "p value over users after Holm's correction (a family is a data set and metric, all "
            f"settings together). {OVER_BARE}"
        )
    return blocks


def _headers(board: Board, corner: str) -> list[str]:
    """Returns the column names: the first says the property, the others its values."""
    name = f"{board.vary}="
    first, *others = (setting[len(name) :] for setting in board.settings)
    return [corner, f"{board.vary}<br>{first}", *others]


def _gain(against: Against | None) -> str:
    if against is None:
        return HOLE
    return f"{gained(against)}<br>{p_value(against)}"
