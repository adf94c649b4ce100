"""How well the methods find the noise that is known: a table and a CSV of every epoch.

Records tell it in ``diagnostics["detection"]``: one entry for each epoch and label, with the share
of noise among the interactions seen (``base_rate``), the area under the ROC curve of the method's
suspicion (``auc``) and, where it drops or condemns, the share it flags (``flagged``) with
``precision`` and ``recall``. What a method does not tell is None.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from recbole_guider.report.board import Board
from recbole_guider.report.markdown import HOLE, table
from recbole_guider.report.results import Record, ResultKey, cell_key, result_key

_MEASURES = ("base_rate", "auc", "flagged", "precision", "recall")
_NAMES = ("noise", "AUC", "flagged", "precision", "recall")
LABELS = {
    "injected": "injected pairs",
    "low_rating": "low ratings",
}


def detection_table(board: Board) -> list[str]:
    """Returns a table for each data set and what explains it; [] where no record tells anything."""
    found = _at_best_epoch(board)
    if not found:
        return []
    blocks = []
    settings = ["setting"] if board.vary else []
    for dataset in board.datasets:
        rows = []
        for key in board.keys(dataset):
            for label in sorted({label for one, label in found if one == key}):
                entries = found[key, label]
                rows.append([
                    f"{key.backbone} + {key.method}",
                    *([key.setting or "any"] if board.vary else []),
                    LABELS.get(label, label),
                    *(_mean(entries, measure) for measure in _MEASURES),
                ])  # fmt: skip
        if rows:
            blocks.append(table([dataset, *settings, "label", *_NAMES], rows))
    blocks.append(
        "At the epoch that validation chose (the last one before it that tells), means over seeds. "
        "Noise: its share of the training interactions, the precision of flagging at random. AUC: "
        "the chance that a noisy interaction looks more suspicious to the method than a clean one; "
        "0.5 is chance. Flagged: the share that is dropped or condemned, with the precision and "
        f"recall of these; {HOLE}: the method weighs and drops nothing. Low ratings mark likely "
        "false positives only. "
        f"Every epoch: [{board.name}-detection.csv]({board.name}-detection.csv)."
    )
    return blocks


def detection_csv(board: Board) -> str:
    """Returns every entry of every record as CSV; empty text where no record tells anything.

    ``chosen`` says whether the entry is the one that the table averages over seeds.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    settings = ["setting"] if board.vary else []
    writer.writerow(
        ["dataset", "backbone", "method", *settings, "seed", "label", "epoch", "chosen", *_MEASURES]
    )
    empty = True
    for record in _in_order(board):
        cell = record.cell
        own = [cell.setting] if board.vary else []
        best = [id(entry) for entry in _chosen(record).values()]
        for entry in _entries(record):
            empty = False
            writer.writerow([
                cell.dataset, cell.backbone, cell.method, *own, cell.seed, entry["label"],
                entry["epoch"], "yes" if id(entry) in best else "no",
                # Six digits: these files hold a line for every epoch of every cell.
                *("" if entry.get(name) is None else f"{entry[name]:.6g}" for name in _MEASURES),
            ])  # fmt: skip
    return "" if empty else text.getvalue()


def _in_order(board: Board) -> Iterator[Record]:
    """Yields the records in the order of the tables, seeds ascending."""
    by_key: dict[ResultKey, list[Record]] = {}
    for record in board.records:  # ordered by name, so by seed
        by_key.setdefault(result_key(cell_key(record.cell)), []).append(record)
    for dataset in board.datasets:
        for key in board.keys(dataset):
            yield from by_key.get(key, [])


def _entries(record: Record) -> list[Mapping[str, Any]]:
    entries = record.diagnostics.get("detection") or []
    return sorted(entries, key=lambda entry: (str(entry["label"]), int(entry["epoch"])))


def _chosen(record: Record) -> dict[str, Mapping[str, Any]]:
    """Returns label -> the record's last entry at or before its best epoch."""
    return {
        str(entry["label"]): entry
        for entry in _entries(record)
        if int(entry["epoch"]) <= record.best_epoch
    }


def _at_best_epoch(board: Board) -> dict[tuple[ResultKey, str], list[Mapping[str, Any]]]:
    """Returns (result, label) -> the chosen entry of each seed."""
    found: dict[tuple[ResultKey, str], list[Mapping[str, Any]]] = {}
    for record in _in_order(board):
        key = result_key(cell_key(record.cell))
        for label, entry in _chosen(record).items():
            found.setdefault((key, label), []).append(entry)
    return found


def _mean(entries: list[Mapping[str, Any]], measure: str) -> str:
    """Returns the mean over the seeds that tell the measure, or a hole."""
    values = [float(entry[measure]) for entry in entries if entry.get(measure) is not None]
    return f"{sum(values) / len(values):.3f}" if values else HOLE
