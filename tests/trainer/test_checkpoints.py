"""Checkpoints and resuming: what is refused, and that a finished run stays finished."""

from __future__ import annotations

import os
import shutil

import pytest
import torch

from recbole_guider.config import Config
from recbole_guider.errors import InputError
from recbole_guider.quick_start import load_data_and_model, prepare
from recbole_guider.trainer import checkpoint


def built(tiny_data_path, tmp_path, model="LightGCN", **properties):
    own = {
        "data_path": str(tiny_data_path),
        "checkpoint_dir": str(tmp_path),
        "embedding_size": 8,
        "epochs": 2,
        **properties,
    }
    return prepare(Config(model, "tiny", None, own, {}))


def test_an_early_stopped_run_stays_stopped(tiny_data_path, tmp_path):
    own = {"epochs": 60, "stopping_step": 2, "learning_rate": 0.1}
    first, train, valid, _ = built(tiny_data_path, tmp_path, **own)
    first.fit(train, valid, saved=True)
    assert len(first.valid_curve) < 60
    again, train, valid, _ = built(tiny_data_path, tmp_path, **own)
    again.resume_checkpoint(first.saved_model_file)
    again.fit(train, valid, saved=False)
    assert again.valid_curve == first.valid_curve


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"model": "VBPR"}, "holds model LightGCN, not VBPR"),
        ({"method": "R-CE"}, "holds method Base, not R-CE"),
        ({"embedding_size": 4}, "another shape"),
    ],
)
def test_another_runs_checkpoint_is_refused(tiny_data_path, tmp_path, other, message):
    first, train, valid, _ = built(tiny_data_path, tmp_path)
    first.fit(train, valid, saved=True)
    second, _, _, _ = built(tiny_data_path, tmp_path, **other)
    with pytest.raises(InputError, match=message):
        second.resume_checkpoint(first.saved_model_file)


def test_a_model_is_not_loaded_beside_another_split(tiny_data_path, tmp_path):
    """Of the same size, its test interactions are some that the model was trained on."""
    shutil.copytree(tiny_data_path / "tiny", tmp_path / "data" / "tiny")
    first, train, valid, _ = built(tmp_path / "data", tmp_path)
    first.fit(train, valid, saved=True)
    load_data_and_model(first.saved_model_file)
    file = tmp_path / "data" / "tiny" / "tiny.inter"
    head, *lines = file.read_text().splitlines()
    labels = {"0": "2", "2": "0"}
    moved = [f"{line[:-1]}{labels[line[-1]]}" for line in (lines[0], lines[11])]
    file.write_text("\n".join([head, moved[0], *lines[1:11], moved[1], *lines[12:]]) + "\n")
    with pytest.raises(InputError, match="was trained on other data"):
        load_data_and_model(first.saved_model_file)
    again, train, valid, _ = built(tmp_path / "data", tmp_path)
    again.resume_checkpoint(first.saved_model_file)
    with pytest.raises(InputError, match="was trained on other data"):
        again.fit(train, valid, saved=False)


def test_another_run_may_make_the_folder_at_the_same_time(tiny_data_path, tmp_path, monkeypatch):
    folder = tmp_path / "saved"
    exists = os.path.exists

    def looked(path):
        """Another process makes the folder just after this one has looked."""
        there = exists(path)
        if str(path) == str(folder):
            folder.mkdir(exist_ok=True)
        return there

    monkeypatch.setattr(os.path, "exists", looked)
    own = {"data_path": str(tiny_data_path), "checkpoint_dir": str(folder), "method": "Base"}
    prepare(Config("BM3", "tiny", None, own, {}))


def test_files_of_two_runs_never_collide(tiny_data_path, tmp_path):
    names = {built(tiny_data_path, tmp_path, seed=seed)[0].saved_model_file for seed in (1, 2)}
    assert len(names) == 2


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 torn"])
def test_a_damaged_file_is_one_line(tmp_path, content):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.pth: .*Train the model again"):
        checkpoint.load(path, "cpu")
    with pytest.raises(InputError, match="cannot be read"):
        checkpoint.load(tmp_path / "missing.pth", "cpu")


def test_random_state_comes_back(tmp_path):
    state = checkpoint.random_state()
    path = tmp_path / "x.pth"
    checkpoint.save(path, {"random": state})
    expected = torch.rand(3)
    torch.rand(10)
    checkpoint.restore_random_state(checkpoint.load(path, "cpu")["random"])
    assert torch.equal(torch.rand(3), expected)


def test_training_without_validation_data(tiny_data_path, tmp_path):
    trainer, train, _, test = built(tiny_data_path, tmp_path)
    assert trainer.fit(train, None, saved=False) == (float("-inf"), None)
    assert "recall@20" in trainer.evaluate(test)
