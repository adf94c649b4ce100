"""What each method gains: over the best baseline, and over the bare backbone."""

from __future__ import annotations

import math

from recbole_guider.registry import BARE
from recbole_guider.report.board import Board
from recbole_guider.report.comparison import Against
from recbole_guider.report.markdown import (
    HOLE,
    OVER_BARE,
    gained,
    p_value,
    percent,
    side_by_side,
    table,
)
from recbole_guider.report.results import ResultKey


def gains_over_best(board: Board) -> list[str]:
    """Returns, for each data set, the proposed methods against what they are compared with."""
    compared, several = board.comparison, board.has_choice()
    baseline = "best baseline" if several else "compared with"
    blocks: list[str] = []
    for dataset in board.datasets:
        rows = []
        for key in board.keys(dataset):
            if (key, board.metrics[0]) not in compared.vs_best:
                continue
            best = compared.best_baseline[dataset, key.backbone, key.setting]
            rows.append(
                [f"{key.backbone} + {key.method}", f"{best.method} ({best.valid:.4f})"]
                + [_gain(compared.vs_best[key, metric]) for metric in board.metrics]
            )
        if rows:
            valid = next(
                r.valid_metric for k, r in compared.results.items() if k.dataset == dataset
            )
            headers = [dataset, f"{baseline}<br>(validation {valid})", *board.metrics]
            blocks.append(table(headers, rows))
    blocks.append(
        "Difference of the means over the seeds that both have finished, relative to the "
        "baseline's mean, and the 95 % bootstrap interval of this gain over users; p over users "
        "after Holm's correction; users won / tied / lost."
        + (
            " The best baseline is chosen on validation and need not be the one with the highest "
            "test value."
            if several
            else ""
        )
    )
    return blocks


def _gain(against: Against) -> str:
    paired = against.paired
    gain = gained(against)
    if not any(map(math.isnan, paired.gain_interval)):
        low, high = map(percent, paired.gain_interval)
        gain += f" [{low}, {high}]"
    return f"{gain}<br>{p_value(against)}; {paired.wins} / {paired.ties} / {paired.losses}"


def gains_over_bare(board: Board) -> list[str]:
    """Returns what every method gains over the bare backbone, for all metrics.

    [] where there is nothing, or where the bare backbone is the one baseline: that is told already.
    """
    if board.rivals() == [BARE]:
        return []
    compared = board.comparison.vs_base
    blocks: list[str] = []
    for datasets in side_by_side(board):
        rows = []
        for backbone, method in board.rows():
            found = [
                compared.get((ResultKey(dataset, backbone, method), metric))
                for dataset in datasets
                for metric in board.metrics
            ]
            if method != BARE and any(found):
                gains = [gained(against) if against else HOLE for against in found]
                rows.append([f"{backbone} + {method}", *gains])
        if rows:
            headers = [f"{name}<br>{metric}" for name in datasets for metric in board.metrics]
            blocks.append(table(["", *headers], rows))
    if blocks:
        blocks.append(
            "Difference of the means over the seeds that both have finished, relative to that of "
            f"the bare backbone. {OVER_BARE} A family of Holm's correction is a column: all "
            "backbones and methods of a data set and metric."
        )
    return blocks
