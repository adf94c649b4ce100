"""Runs one cell: backbone, data set and method in, metrics per user out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from recbole.utils import init_seed

from recbole_guider.allocator import keep_freed_memory
from recbole_guider.config import Config
from recbole_guider.data.dataset import MultimodalDataset
from recbole_guider.errors import InputError
from recbole_guider.property_layers import property_file
from recbole_guider.registration import register
from recbole_guider.registry import backbone_class, trainer_class
from recbole_guider.trainer import checkpoint
from recbole_guider.trainer.base import MethodTrainer

register()


def run(
    model: str,
    dataset: str,
    method: str | None = None,
    config_dict: Mapping[str, Any] | None = None,
    config_file_list: Sequence[str] | None = None,
    command_line: Mapping[str, Any] | None = None,
    saved: bool = False,
) -> dict[str, Any]:
    """Trains a backbone with a method, selects the epoch on validation and reads the test once.

    Example:
        >>> result = run("BM3", "ml-100k", "GUIDER", {"epochs": 2})
        >>> sorted(result["test_result"])
        ['ndcg@20', 'ndcg@5', 'recall@20', 'recall@5']

    Args:
        model: a backbone, such as ``BM3``.
        dataset: a data set under ``data_path``; ``ml-100k`` is made on first use.
        method: a method, such as ``GUIDER``; None takes the properties' (default ``Base``).
        config_dict: properties that win over files.
        config_file_list: YAML files of properties.
        command_line: properties that win over everything; never read from ``sys.argv`` here.
        saved: write a checkpoint into ``checkpoint_dir``.

    Returns:
        ``best_valid_score``, ``best_valid_result``, ``test_result`` (means over users),
        ``per_user`` (user tokens and one float64 array per metric, of the test; both are empty
        where ``read_test`` is false), ``config`` (resolved properties), ``data`` (hash, counts,
        modality widths), ``epochs``, ``best_epoch``, ``valid_curve``, ``seconds``, ``diagnostics``,
        ``model_file`` (the checkpoint's path when ``saved``).

    Raises:
        InputError: anything the user gave that cannot be used.
    """
    started = time.perf_counter()
    property_file("model", model)  # an unknown name is told before RecBole looks for it
    own = {**(config_dict or {}), **({"method": method} if method else {})}
    config = Config(model, dataset, config_file_list, own, command_line or {})
    torch.set_num_threads(int(config["torch_threads"]))
    if config["keep_freed_memory"]:
        keep_freed_memory()
    trainer, train, valid, test = prepare(config)
    score, valid_result = trainer.fit(train, valid, saved=saved)
    test_result, per_user = _read_test(trainer, test) if config["read_test"] else ({}, {})
    return {
        "best_valid_score": score,
        "valid_score_bigger": True,
        "best_valid_result": dict(valid_result or {}),
        "test_result": test_result,
        "per_user": per_user,
        "config": config.resolved,
        "data": describe(train),
        "epochs": len(trainer.valid_curve),
        "best_epoch": trainer.best_epoch,
        "valid_curve": trainer.valid_curve,
        "seconds": {**trainer.seconds, "total": time.perf_counter() - started},
        "diagnostics": trainer.diagnostics,
        "model_file": trainer.saved_model_file if saved else None,
    }


def _read_test(
    trainer: MethodTrainer, test: MultimodalDataset
) -> tuple[dict[str, float], dict[str, Any]]:
    """Evaluates the chosen epoch on the test split: means over users, and each user's values."""
    means = trainer.evaluate(test, load_best_model=True)
    trainer.note_scores()
    assert trainer.per_user is not None
    users, values = trainer.per_user
    tokens = test.id2token(test.uid_field, users.numpy())
    return dict(means), {"users": tokens.astype(str), **values}


def prepare(
    config: Config,
) -> tuple[MethodTrainer, MultimodalDataset, MultimodalDataset, MultimodalDataset]:
    """Builds data set, model and trainer of a configuration, seeded in this order.

    Returns:
        The trainer and the built training, validation and test data sets.

    Raises:
        InputError: the model is not a backbone of this suite, or the data cannot be used.
    """
    if not config.is_ours:
        raise InputError(
            f"{config['model']} is RecBole's own model, not a backbone of this suite",
            where="model",
            mend="Run it with recbole.quick_start.run_recbole.",
        )
    init_seed(config["seed"], config["reproducibility"])
    train, valid, test = MultimodalDataset(config).build()
    init_seed(config["seed"], config["reproducibility"])
    model = backbone_class(config["model"])(config, train).to(config["device"])
    return trainer_class(config["method"])(config, model), train, valid, test


def describe(dataset: MultimodalDataset) -> dict[str, Any]:
    """Returns hash, counts, and each modality's width and numbers of items: having it, swapped."""
    splits = dataset.splits
    injected = splits.train.injected
    return {
        "hash": dataset.data_hash,
        "users": splits.n_users - 1,
        "items": splits.n_items - 1,
        "train": len(splits.train),
        "valid": len(splits.valid),
        "test": len(splits.test),
        "injected": 0 if injected is None else int(injected.sum()),
        "removed": 0 if dataset.removed is None else len(dataset.removed),
        "swapped": {name: int(dataset.swapped_items(name).sum()) for name in dataset.modalities},
        "modalities": {
            name: int(matrix.shape[1]) for name, matrix in dataset.item_features().items()
        },
        "coverage": {name: int(dataset.items_with(name).sum()) for name in dataset.modalities},
    }


def load_data_and_model(
    model_file: str,
) -> tuple[Config, MethodTrainer, MultimodalDataset, MultimodalDataset, MultimodalDataset]:
    """Rebuilds what a checkpoint was trained with and loads its best weights.

    Returns:
        The configuration, the trainer (its ``model`` holds the weights of the best epoch) and the
        built training, validation and test data sets.

    Raises:
        InputError: the data set is no longer the one that the model was trained on.
    """
    state = checkpoint.load(model_file, "cpu")
    properties = state["config"]
    config = Config(properties["model"], properties["dataset"], None, properties, {})
    trainer, train, valid, test = prepare(config)
    checkpoint.refuse_other_data(state, train.data_hash, model_file)
    trainer.model.load_state_dict(state["best_state_dict"] or state["state_dict"])
    trainer.model.eval()
    return config, trainer, train, valid, test
