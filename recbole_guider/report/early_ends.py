"""Runs that ended before they had begun: validation fell at first, and patience did not outlast it.

Whether a run outlasts such a dip is a matter of its seed, so that a few of these runs can make, or
hide, any difference between methods.
"""

from __future__ import annotations

from statistics import median

from recbole_guider.report.board import Board
from recbole_guider.report.results import CellKey, Record, cell_key

_FIRST = 5  # epochs that are hardly training
_LATE = 20  # epochs after which a run of the same backbone has certainly been trained


def early_ends(board: Board) -> str:
    """Returns a warning that names the runs that ended in a dip; empty where there are none.

    Such a run chose one of its first epochs, where the median of all methods' runs with the same
    backbone on the same data set is far behind them.
    """
    blocks: dict[tuple[str, str], list[Record]] = {}
    for record in board.records:
        blocks.setdefault((record.cell.dataset, record.cell.backbone), []).append(record)
    told = []
    for (dataset, backbone), records in blocks.items():
        usual = median(record.best_epoch for record in records)
        early = [cell_key(one.cell) for one in records if 0 <= one.best_epoch < _FIRST]
        if early and usual >= _LATE:
            told.append(
                f"{len(early)} of {len(records)} runs of {backbone} on {dataset} "
                f"({_named(early)}), where the median chose epoch {usual + 1:g}"
            )
    if not told:
        return ""
    return (
        f"**Stopped early**: one of the first {_FIRST} epochs was chosen by {'; '.join(told)}. "
        "Validation may fall at first and rise again after more epochs than `stopping_step` "
        "waits; whether a run outlasts that is chance. Raise it, for all methods alike."
    )


def _named(cells: list[CellKey]) -> str:
    """Names methods with their seeds, settings where there are any: ``T-CE 2024, 2025``."""
    seeds: dict[str, list[str]] = {}
    for _, _, method, seed, setting in cells:
        seeds.setdefault(f"{method}, {setting}," if setting else method, []).append(str(seed))
    return "; ".join(f"{method} {', '.join(own)}" for method, own in seeds.items())
