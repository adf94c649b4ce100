"""What must hold for any registered backbone trained by any registered method.

A new backbone or method is picked up by its registration; nothing here names one.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import torch

from recbole_guider.config import Config
from recbole_guider.property_layers import names
from recbole_guider.quick_start import load_data_and_model, prepare, run
from recbole_guider.registry import backbones, methods

PRODUCT = list(itertools.product(backbones(), methods()))
SHORT = {"epochs": 3, "train_batch_size": 128, "embedding_size": 8, "learning_rate": 0.01,
         "warmup_epochs": 1, "stopping_step": 50}  # fmt: skip

every_pair = pytest.mark.parametrize(("backbone", "method"), PRODUCT)


def settings(backbone: str, method: str, tiny_data_path, **extra):
    """Short training on the tiny data set, without keys that the pair does not know."""
    from recbole_guider.property_layers import known_keys

    known = known_keys(backbone, method)
    short = {key: value for key, value in SHORT.items() if key in known}
    return {"data_path": str(tiny_data_path), "method": method, **short, **extra}


@functools.cache
def trained(backbone: str, method: str, tiny_data_path):
    return run(backbone, "tiny", method, settings(backbone, method, tiny_data_path))


def built(backbone: str, method: str, tiny_data_path, **extra):
    properties = settings(backbone, method, tiny_data_path, **extra)
    return prepare(Config(backbone, "tiny", None, properties, {}))


def test_registry_and_property_files_name_the_same_things():
    assert names("model") == sorted(backbones())
    assert names("method") == sorted(methods())


@every_pair
def test_loss_is_finite_and_every_trainable_parameter_gets_a_gradient(
    backbone, method, tiny_data_path
):
    trainer, train, _, _ = built(backbone, method, tiny_data_path)
    trainer._prepare(train)
    trainer.on_epoch_start(0)
    trainer.model.on_epoch_start(0)
    trainer.model.train()
    loss = trainer.batch_loss(next(iter(trainer.batches)))
    assert torch.isfinite(loss)
    loss.backward()
    for name, parameter in trainer.model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().sum() > 0, name


@every_pair
def test_training_lowers_the_loss(backbone, method, tiny_data_path):
    curve = [point["loss"] for point in trained(backbone, method, tiny_data_path)["valid_curve"]]
    first = 1 if method == "GUIDER-no-KD" else 0  # its first partition adds a term
    assert curve[-1] < curve[first]


@every_pair
def test_same_seed_gives_identical_metrics(backbone, method, tiny_data_path):
    first = trained(backbone, method, tiny_data_path)
    torch.manual_seed(999)  # the state left behind must not matter
    second = run(backbone, "tiny", method, settings(backbone, method, tiny_data_path))
    assert first["test_result"] == second["test_result"]
    assert first["valid_curve"] == second["valid_curve"]
    for name, values in first["per_user"].items():
        np.testing.assert_array_equal(values, second["per_user"][name], err_msg=name)


@every_pair
def test_evaluation_block_size_does_not_matter(backbone, method, tiny_data_path):
    trainer, _, valid, _ = built(backbone, method, tiny_data_path)
    whole = trainer.evaluate(valid, load_best_model=False)
    trainer.config["eval_batch_size"] = 7
    blocks = trainer.evaluate(valid, load_best_model=False)
    assert whole == pytest.approx(blocks, abs=1e-12)


@every_pair
def test_save_and_load_give_equal_scores(backbone, method, tiny_data_path, tmp_path):
    properties = settings(backbone, method, tiny_data_path, checkpoint_dir=str(tmp_path), epochs=1)
    trainer, train, valid, _ = prepare(Config(backbone, "tiny", None, properties, {}))
    trainer.fit(train, valid, saved=True)
    expected = trainer.evaluate(valid)
    _, loaded, _, valid_again, _ = load_data_and_model(trainer.saved_model_file)
    assert loaded.evaluate(valid_again, load_best_model=False) == expected


@every_pair
def test_resuming_equals_never_having_stopped(backbone, method, tiny_data_path, tmp_path):
    def fresh(epochs):
        return built(backbone, method, tiny_data_path, epochs=epochs, checkpoint_dir=str(tmp_path))

    whole, train, valid, test = fresh(3)
    whole.fit(train, valid, saved=False)
    first, train, valid, _ = fresh(1)
    first.fit(train, valid, saved=True)
    second, train, valid, _ = fresh(3)
    torch.manual_seed(4)
    second.resume_checkpoint(first.saved_model_file)
    second.fit(train, valid, saved=False)
    assert second.valid_curve == whole.valid_curve
    assert second.evaluate(test) == whole.evaluate(test)
