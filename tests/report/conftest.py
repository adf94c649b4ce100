from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple

import numpy as np
import pytest

METRICS = ("recall@5", "recall@20", "ndcg@5", "ndcg@20")


class FakeCell(NamedTuple):
    dataset: str
    backbone: str
    method: str
    seed: int
    setting: str = ""


@dataclass(frozen=True)
class FakeRecord:
    cell: FakeCell
    users: np.ndarray
    per_user: Mapping[str, np.ndarray]
    valid: Mapping[str, float]
    protocol: str = "mmrec"
    config: Mapping[str, Any] = field(
        default_factory=lambda: {"valid_metric": "Recall@20", "torch_threads": 1}
    )
    data: Mapping[str, Any] = field(
        default_factory=lambda: {
            "hash": "f00d", "users": 943, "items": 1682, "train": 80000, "valid": 9900,
            "test": 10100, "modalities": {"text": 64, "attributes": 20},
        }
    )  # fmt: skip
    best_epoch: int = 1
    valid_curve: Sequence[Mapping[str, Any]] = ()
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(
        default_factory=lambda: {
            "recbole_guider": "0.1.0", "results": 1, "recbole": "1.2.1", "torch": "2.13.0+cpu",
            "numpy": "1.26.4", "python": "3.11.7",
        }
    )  # fmt: skip


@pytest.fixture
def grid(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A grid with two seeds; with three where a test is parametrized so (``indirect=True``)."""
    return {
        "name": "table2",
        "title": "Table 2: denoising methods on three backbones",
        "datasets": ["baby", "ml-100k"],
        "backbones": ["LightGCN", "BM3"],
        "methods": ["Base", "WBPR", "T-CE", "GUIDER"],
        "baselines": ["Base", "WBPR", "T-CE"],
        "metrics": ["Recall@5", "Recall@20", "NDCG@5", "NDCG@20"],
        "seeds": [2022, 2023, 2024][: getattr(request, "param", 2)],
    }


@pytest.fixture
def make_record() -> Callable[..., FakeRecord]:
    """Makes a record whose users share a level per user; ``lift`` is added to every value."""

    def make(
        cell: Sequence[Any], lift: float = 0.0, valid: float = 0.2, n: int = 200, **changed: Any
    ) -> FakeRecord:
        level = np.random.default_rng(1).random(n)
        own = np.random.default_rng([2, *map(ord, "".join(map(str, cell)))])
        per_user = {
            metric: np.clip(0.3 + 0.2 * level + lift + 0.02 * own.standard_normal(n), 0, 1)
            for metric in METRICS
        }
        values: dict[str, Any] = {
            "cell": FakeCell(*cell),
            "users": np.array(sorted(str(user) for user in range(n))),
            "per_user": per_user,
            "valid": {"recall@20": valid},
            **changed,
        }
        return FakeRecord(**values)

    return make


@pytest.fixture
def cells(grid: dict[str, Any]) -> list[FakeCell]:
    """The grid's cells on ml-100k, the only data set that is asked for."""
    return [
        FakeCell("ml-100k", backbone, method, seed)
        for backbone in grid["backbones"]
        for method in grid["methods"]
        for seed in grid["seeds"]
    ]
