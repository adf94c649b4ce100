"""Configuration: precedence, slips, another program's arguments, no code execution."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from recbole_guider.config import Config
from recbole_guider.errors import InputError


def config(tiny_data_path, *, files=None, properties=None, command_line=None, model="LightGCN"):
    own = {"data_path": str(tiny_data_path), **(properties or {})}
    return Config(model, "tiny", files, own, command_line)


def test_later_layers_win(tiny_data_path, tmp_path):
    low, high = tmp_path / "low.yaml", tmp_path / "high.yaml"
    low.write_text("learning_rate: 1e-1\nn_layers: 4\nepochs: 9\nseed: 1\n")
    high.write_text("n_layers: 3\n")
    result = config(
        tiny_data_path,
        files=[str(low), str(high)],
        properties={"epochs": 8},
        command_line={"seed": 2},
    )
    assert result["learning_rate"] == 0.1
    assert (result["n_layers"], result["epochs"], result["seed"]) == (3, 8, 2)
    assert result["train_batch_size"] == 2048  # ours
    assert result["clip_grad_norm"] is None  # RecBole's


def test_method_file_wins_over_the_model_file(tiny_data_path):
    result = config(tiny_data_path, properties={"method": "WBPR"})
    assert result["train_neg_sample_args"]["distribution"] == "popularity"


def test_recbole_style_command_line_reaches_the_model(tiny_data_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prog", "--learning_rate=0.02", "--method=R-CE", "-q", "x"])
    result = config(tiny_data_path)
    assert (result["learning_rate"], result["method"], result["beta"]) == (0.02, "R-CE", 0.1)


def test_another_programs_arguments_stay_out(tiny_data_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prog", "--cov-report=html", "--zzz=1,2"])
    result = config(tiny_data_path)
    assert "zzz" not in result
    assert "cov-report" not in result


def test_a_slip_on_the_command_line_is_named(tiny_data_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prog", "--learnig_rate=0.02"])
    with pytest.raises(InputError, match="Did you mean 'learning_rate'"):
        config(tiny_data_path)


def test_numpy_values_become_plain_inside_lists_and_mappings_too(tiny_data_path):
    """A checkpoint that holds numpy's numbers could not be read again."""
    given = {
        "modality_weights": {"text": np.float64(0.7), "image": np.float32(0.5)},
        "topk": (np.int64(5), 20),
        "knn_k": np.int64(4),
    }
    resolved = config(tiny_data_path, properties=given, model="FREEDOM").resolved
    assert resolved["modality_weights"] == {"text": 0.7, "image": 0.5}
    assert resolved["topk"] == [5, 20]
    values = [*resolved["modality_weights"].values(), *resolved["topk"], resolved["knn_k"]]
    assert {type(value) for value in values} == {float, int}


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"n_layer": 2}, "Did you mean 'n_layers'"),
        ({"cl_weight": 2}, "unknown property for LightGCN"),
        ({"learning_rate": "fast"}, "expected a number"),
        ({"epochs": 1.5}, "whole number"),
        ({"protocol": "mrec"}, "Did you mean 'mmrec'"),
        ({"metrics": ["Recal"]}, "Did you mean 'recall'"),
        ({"topk": [0]}, "positive whole numbers"),
        ({"valid_metric": "Recall"}, "cut-off"),
        ({"eval_step": 9, "epochs": 3}, r"eval_step: 9 is more than epochs \(3\)"),
        ({"method": "TCE"}, "unknown method 'TCE'"),
    ],
)
def test_bad_values_are_one_clear_line(tiny_data_path, properties, message):
    with pytest.raises(InputError, match=message) as caught:
        config(tiny_data_path, properties=properties)
    assert "\n" not in str(caught.value)


def test_strings_are_read_as_yaml_never_as_code(tiny_data_path, tmp_path):
    target = tmp_path / "made"
    code = f"__import__('pathlib').Path({str(target)!r}).touch()"
    result = config(tiny_data_path, properties={"checkpoint_dir": code, "topk": "[5, 10]"})
    assert result["checkpoint_dir"] == code
    assert not target.exists()
    assert result["topk"] == [5, 10]


def test_an_unreadable_file_is_one_line(tiny_data_path, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1\nb: 2\n")
    with pytest.raises(InputError, match=r"bad\.yaml:2: is not valid YAML"):
        config(tiny_data_path, files=[str(bad)])


def test_cpu_and_scheduler_choices_hold(tiny_data_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    result = config(tiny_data_path, properties={"use_gpu": False})
    import os

    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert str(result["device"]) == "cpu"
    assert config(tiny_data_path)["gpu_id"] == "3"


def test_a_data_set_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        Config("LightGCN", "nowhere", None, {"data_path": str(tmp_path)}, {})


def test_a_teacher_has_its_own_backbones_properties(tiny_data_path):
    base = config(tiny_data_path, properties={"method": "GUIDER"}, model="BM3")
    teacher = base.for_model("LightGCN", {"n_layers": 7})
    assert (teacher["n_layers"], base["n_layers"]) == (7, 1)
    assert "nonsense" not in base.for_model("LightGCN", {"nonsense": 7})
