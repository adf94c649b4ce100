"""A store of many finished cells that nobody computed, and cells that take no time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from recbole_guider.benchmark import record, store
from recbole_guider.benchmark.grid import Grid, load_grid
from recbole_guider.benchmark.selection import Selection, select

METRICS = ("recall@5", "recall@20", "ndcg@5", "ndcg@20")
_DIFFERENT = 24  # arrays, shared by the cells: packing them is not what is measured


def stand_ins(data_path: Path) -> Path:
    """Makes a folder with the data sets of table2, one interaction each."""
    for name in load_grid("table2").datasets:
        folder = data_path / name
        folder.mkdir(parents=True)
        (folder / f"{name}.inter").write_text(
            "user_id:token\titem_id:token\tx_label:float\na\tb\t0\n", encoding="utf-8"
        )
    return data_path


def whole_table(data_path: Path, seeds: int) -> Selection:
    """Selects table2's own cells, without trials of a search."""
    grid: Grid = replace(load_grid("table2"), search=None)
    return select(grid, seeds=seeds, command_line={"data_path": str(data_path)})


def fill(selection: Selection, results: Path, n_users: int, monkeypatch) -> None:
    """Writes a record for each cell: 60 epochs, four metrics of each user."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    pack, packed = record.pack, {}

    def pack_once(per_user):
        key = id(per_user)
        if key not in packed:
            packed[key] = pack(per_user)
        return packed[key]

    monkeypatch.setattr(record, "pack", pack_once)
    drawn = list(_drawn(n_users))
    target = store.Store(results).open()
    for place, cell in enumerate(selection.cells):
        per_user = drawn[place % _DIFFERENT]
        means = {metric: float(per_user[metric].mean()) for metric in METRICS}
        target.write(
            cell,
            {
                "best_valid_result": means,
                "test_result": means,
                "per_user": per_user,
                "config": cell.properties,
                "data": {"hash": cell.name.dataset, "users": n_users, "items": 9000,
                         "train": 80000, "valid": 9000, "test": 9000,
                         "modalities": {"text": 384, "image": 4096}},
                "epochs": 60,
                "best_epoch": 40,
                "valid_curve": [{"epoch": e, "loss": 1 / (e + 1), **means} for e in range(60)],
                "seconds": {"train": 9.0, "evaluation": 1.0, "total": 10.0},
                "diagnostics": {},
            },
        )  # fmt: skip


def _drawn(n_users: int) -> Iterator[dict[str, np.ndarray]]:
    """Yields values like those of a sparse data set: one to five test items, few of them found."""
    generator = np.random.default_rng(0)
    tokens = np.array([f"A{place * 7919 % 10**9:09d}XQ" for place in range(n_users)])
    for _ in range(_DIFFERENT):
        items = generator.integers(1, 6, n_users)
        found = generator.binomial(items, 0.09)
        early = generator.random(n_users) < 0.5
        recall = found / items
        ndcg = np.where(found > 0, recall / np.log2(generator.integers(2, 22, n_users)), 0.0)
        yield {
            "users": tokens,
            "recall@5": recall * early,
            "recall@20": recall,
            "ndcg@5": ndcg * early,
            "ndcg@20": ndcg,
        }


def instant(cell):
    """Computes a cell in no time."""
    per_user = {metric: np.linspace(0, 1, 1000) for metric in METRICS}
    means = dict.fromkeys(METRICS, 0.5)
    return {
        "best_valid_result": means,
        "test_result": means,
        "per_user": {"users": np.array([f"u{place}" for place in range(1000)]), **per_user},
        "config": cell.properties,
        "data": {"hash": "f00d", "users": 1000},
        "epochs": 3,
        "best_epoch": 1,
        "valid_curve": [{"epoch": 0, "loss": 1.0}],
        "seconds": {"train": 0.0, "evaluation": 0.0},
        "diagnostics": {},
    }
