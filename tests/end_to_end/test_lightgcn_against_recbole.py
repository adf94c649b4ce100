"""LightGCN with method Base against popularity and RecBole's own LightGCN, on ml-100k's split.

Run with ``python -m pytest -m slow tests/end_to_end/test_lightgcn_against_recbole.py -s``; it takes
about a quarter of an hour on two cores.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.trainer import Trainer
from recbole.utils import init_seed

from recbole_guider.config import Config, RecBoleConfig
from recbole_guider.data.prepare import ensure_prepared
from recbole_guider.evaluator.ranking import evaluate_embeddings
from recbole_guider.quick_start import prepare, run

pytestmark = pytest.mark.slow
SEEDS = (1, 2, 3)
SHARED = {"learning_rate": 0.005, "n_layers": 2, "reg_weight": 1e-4, "embedding_size": 64,
          "epochs": 300, "stopping_step": 10, "train_batch_size": 2048}  # fmt: skip


@pytest.fixture(scope="module")
def data_path(tmp_path_factory):
    """ml-100k under another name too, since RecBole ties the name to its own unsplit copy."""
    folder = tmp_path_factory.mktemp("data")
    made = ensure_prepared("ml-100k", folder)
    twin = folder / "split"
    twin.mkdir()
    for path in made.glob("ml-100k.*.inter"):
        shutil.copy(path, twin / path.name.replace("ml-100k", "split"))
    return folder


def recboles_own(data_path, seed: int) -> float:
    """Test Recall@20 of RecBole's LightGCN, trainer, sampler and evaluator."""
    import recbole.model.general_recommender as own

    config = RecBoleConfig(
        model=own.LightGCN,
        dataset="split",
        config_dict={
            **SHARED,
            "seed": seed,
            "data_path": str(data_path),
            "checkpoint_dir": str(data_path / "saved"),
            "benchmark_filename": ["train", "valid", "test"],
            "load_col": {"inter": ["user_id", "item_id"]},
            "metrics": ["Recall"],
            "topk": [20],
            "valid_metric": "Recall@20",
            "metric_decimal_place": 8,
            "eval_batch_size": 1683 * 943,
            "show_progress": False,
            "gpu_id": "",
        },
    )
    init_seed(seed, True)
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    init_seed(seed, True)
    trainer = Trainer(config, own.LightGCN(config, train._dataset))
    best: dict[str, object] = {"score": -1.0}

    def keep_best(_epoch: int, score: float) -> None:
        # RecBole reloads its pickled checkpoint, which torch 2.6 and later refuse to read.
        if score >= best["score"]:
            best["score"] = score
            best["weights"] = {k: v.clone() for k, v in trainer.model.state_dict().items()}

    trainer.fit(train, valid, saved=False, verbose=False, callback_fn=keep_best)
    trainer.model.load_state_dict(best["weights"])
    trainer.model.restore_user_e = trainer.model.restore_item_e = None
    return float(trainer.evaluate(test, load_best_model=False)["recall@20"])


def ours(data_path, seed: int, method: str = "Base") -> float:
    properties = {**SHARED, "seed": seed, "data_path": str(data_path), "protocol": "recbole"}
    result = run("LightGCN", "ml-100k", method, properties)
    return float(result["test_result"]["recall@20"])


def popularity(data_path) -> float:
    """Test Recall@20 when every user gets the items with most training interactions."""
    config = Config("LightGCN", "ml-100k", None, {"data_path": str(data_path)}, {})
    _, train, _, _ = prepare(config)
    splits = train.splits
    counts = torch.bincount(splits.train.items, minlength=splits.n_items).float().unsqueeze(1)
    _, values = evaluate_embeddings(
        torch.ones(splits.n_users, 1), counts, splits, "test", "recbole", ["recall@20"], 4096
    )
    return float(values["recall@20"].mean())


def test_reaches_recboles_lightgcn_and_beats_popularity(data_path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # RecBole writes ./log_tensorboard
    theirs = np.array([recboles_own(data_path, seed) for seed in SEEDS])
    own = np.array([ours(data_path, seed) for seed in SEEDS])
    popular = popularity(data_path)
    print(f"\nRecall@20: ours {own.round(4)} mean {own.mean():.4f}; RecBole's {theirs.round(4)} "
          f"mean {theirs.mean():.4f}; popularity {popular:.4f}")  # fmt: skip
    spread = max(theirs.std(ddof=1), own.std(ddof=1))
    assert own.mean() >= theirs.mean() - 2 * spread
    assert own.mean() > 1.5 * popular
