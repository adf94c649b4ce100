"""Seconds per training epoch of every method on a Baby-sized problem, over the bare backbone."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import pytest
import torch
from baby_sized import dataset

from recbole_guider.allocator import keep_freed_memory
from recbole_guider.config import Config
from recbole_guider.registration import register
from recbole_guider.registry import backbone_class, methods, trainer_class

pytestmark = pytest.mark.performance

BACKBONES = ["BM3", "FREEDOM"]
EPOCHS = 3  # the first warms up, the second brings GUIDER's first partition
data = cache(dataset)


def trainer(backbone: str, method: str, folder: Any, **properties: Any) -> Any:
    (folder / "baby-sized").mkdir(exist_ok=True)
    (folder / "baby-sized" / "baby-sized.inter").touch()  # Config looks for it; nothing reads it
    own = {"data_path": str(folder), "checkpoint_dir": str(folder), "method": method, **properties}
    config = Config(backbone, "baby-sized", None, own, {})
    torch.manual_seed(1)
    made = trainer_class(method)(config, backbone_class(backbone)(config, data()))
    made._prepare(data())
    return made


def epoch_seconds(made: Any) -> float:
    """The fastest of the epochs after the first."""
    taken = []
    for epoch in range(EPOCHS):
        started = time.perf_counter()
        made._train_epoch(data(), epoch)
        taken.append(time.perf_counter() - started)
    return min(taken[1:])


@cache
def bare(backbone: str, folder: Any) -> float:
    return epoch_seconds(trainer(backbone, "Base", folder))


@pytest.fixture(scope="module", autouse=True)
def _as_a_run_does():
    register()
    torch.set_num_threads(1)
    keep_freed_memory()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("cost")
    data().data_hash = ""
    return made


@pytest.mark.parametrize("method", sorted(set(methods()) - {"Base"}))
@pytest.mark.parametrize("backbone", BACKBONES)
def test_cost_of_denoising(backbone, method, folder):
    alone, teacher = bare(backbone, folder), bare("LightGCN", folder)
    warm = {"warmup_epochs": 1} if "GUIDER" in method and method != "GUIDER-released" else {}
    made = trainer(backbone, method, folder, **warm)
    taken = epoch_seconds(made)
    line = (
        f"\n{backbone:8} {method:16} epoch {taken:6.2f} s, {taken / alone:4.2f}x the bare backbone"
    )
    if getattr(made, "teacher", None) is not None:
        line += f", {taken / (alone + teacher):4.2f}x teacher and student"
    if getattr(made, "calibrator", None) is not None:
        started = time.perf_counter()
        train = data().splits.train
        made.judge.eval()
        losses = -made.judge.score_pairs(train.users, train.items)
        scored = time.perf_counter()
        made._use_partition(made.calibrator.partition(losses).clean)
        line += (
            f"; scoring {100 * (scored - started) / taken:.1f} %, partition "
            f"{100 * (time.perf_counter() - scored) / taken:.1f} % of it"
        )
    print(line)
