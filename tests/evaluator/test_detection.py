"""How the finding of noise is measured."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_guider.data.splits import Interactions
from recbole_guider.evaluator.detection import (
    DetectionLog,
    Labels,
    area_under_curve,
    noise_labels,
    score_distribution,
)
from recbole_guider.quick_start import run

NOISY = torch.tensor([True, False, True, False, False])
INJECTED = {"injected": Labels(NOISY, torch.ones(5, dtype=torch.bool))}


def interactions(ratings=None, injected=None) -> Interactions:
    ids = torch.arange(5)
    return Interactions(ids, ids, ratings, injected)


def test_labels_are_what_is_injected_and_what_is_rated_low():
    ratings = torch.tensor([5.0, 2.0, 1.0, 3.0, torch.nan])
    labels = noise_labels(interactions(ratings, NOISY), 2.0)
    assert labels["injected"].noisy.tolist() == NOISY.tolist()
    assert labels["injected"].known.all()
    assert labels["low_rating"].noisy.tolist() == [False, True, True, False, False]
    assert labels["low_rating"].known.tolist() == [True, True, True, True, False]


def test_labels_that_divide_nothing_are_left_out():
    assert noise_labels(interactions()) == {}
    assert noise_labels(interactions(torch.ones(5), None), None) == {}
    assert noise_labels(interactions(torch.ones(5), torch.zeros(5, dtype=torch.bool)), 2.0) == {}


def test_an_epoch_of_two_batches():
    log = DetectionLog(INJECTED, 5)
    log.note(torch.tensor([0, 3]), torch.tensor([5.0, 4.0]), torch.tensor([True, True]))
    log.note(torch.tensor([4, 2, 1]), torch.tensor([1.0, 3.0, 2.0]), torch.tensor([False] * 3))
    (entry,) = log.close(7)
    assert entry["epoch"] == 7
    assert entry["label"] == "injected"
    assert entry["base_rate"] == pytest.approx(0.4)
    assert entry["auc"] == pytest.approx(5 / 6)  # of 6 pairs only (row 2, row 3) is wrong
    assert entry["flagged"] == pytest.approx(0.4)
    assert entry["precision"] == pytest.approx(0.5)
    assert entry["recall"] == pytest.approx(0.5)


def test_a_method_that_only_weighs_has_no_precision():
    log = DetectionLog(INJECTED, 5)
    log.note(torch.arange(5), torch.arange(5.0))
    (entry,) = log.close(0)
    assert entry["flagged"] is entry["precision"] is entry["recall"] is None


def test_what_is_unknown_does_not_count():
    log = DetectionLog({"low_rating": Labels(NOISY, torch.tensor([True] * 4 + [False]))}, 5)
    log.note(torch.arange(5), torch.tensor([5.0, 4, 3, 2, 9]), torch.tensor([True] * 5))
    (entry,) = log.close(0)
    assert entry["base_rate"] == pytest.approx(0.5)
    assert entry["auc"] == pytest.approx(3 / 4)
    assert entry["flagged"] == 1.0
    assert entry["precision"] == pytest.approx(0.5)


def test_an_epoch_is_forgotten_and_what_it_missed_does_not_count():
    log = DetectionLog(INJECTED, 5)
    log.note(torch.arange(5), torch.arange(5.0), torch.ones(5, dtype=torch.bool))
    log.close(0)
    assert log.close(1) == []
    log.note(torch.tensor([0, 1]), torch.tensor([0.0, 1.0]), torch.tensor([False, False]))
    (entry,) = log.close(2)
    assert entry["base_rate"] == pytest.approx(0.5)
    assert entry["auc"] == 0.0
    assert entry["flagged"] == 0.0
    assert entry["precision"] is None
    assert entry["recall"] == 0.0


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=20))
def test_area_is_the_chance_that_noise_looks_worse(points):
    values = torch.tensor([float(value) for value, _ in points])
    noisy = torch.tensor([mark for _, mark in points])
    found = area_under_curve(values, noisy)
    if noisy.all() or not noisy.any():
        assert found is None
        return
    bad, good = values[noisy][:, None], values[~noisy]
    assert found == pytest.approx(float(((bad > good) + 0.5 * (bad == good)).mean()))


def test_distributions_hold_every_score():
    scores = torch.tensor([0.0, 1.0, 0.5, 1.0, 2.0])
    (found,) = score_distribution(scores, INJECTED)
    assert len(found["edges"]) == len(found["clean"]) + 1
    assert (sum(found["clean"]), sum(found["noisy"])) == (3, 2)
    assert found["noisy"][0] == 1
    assert found["clean"][-1] == 1
    assert found["auc"] == pytest.approx(area_under_curve(-scores, NOISY))


def test_equal_scores_have_a_distribution():
    (found,) = score_distribution(torch.ones(5), INJECTED)
    assert sum(found["clean"]) + sum(found["noisy"]) == 5


@pytest.mark.parametrize("method", ["T-CE", "R-CE", "GUIDER"])
@pytest.mark.parametrize("backbone", ["BM3", "LightGCN"])
def test_methods_report_every_epoch(tiny_data_path, method, backbone):
    own = {"data_path": str(tiny_data_path), "epochs": 3, "train_batch_size": 64,
           "embedding_size": 8, "noise_ratio": 0.2, "likely_false_rating": 2}  # fmt: skip
    own.update({"GUIDER": {"warmup_epochs": 1}, "T-CE": {"ramp_epochs": 1}}.get(method, {}))
    result = run(backbone, "tiny", method, own)
    entries = result["diagnostics"]["detection"]
    assert [(e["epoch"], e["label"]) for e in entries] == [
        (epoch, label) for epoch in range(3) for label in ("injected", "low_rating")
    ]
    assert all(0.0 <= entry["auc"] <= 1.0 for entry in entries)
    assert entries[0]["base_rate"] == pytest.approx(1 / 6, abs=0.01)
    assert entries[1]["base_rate"] > 0.1
    if method == "R-CE":
        assert all(entry["flagged"] is None for entry in entries)
    elif method == "T-CE":  # drop_rate at the end of the ramp is 0.05; every batch drops whole rows
        assert 0 < entries[-1]["flagged"] < 0.1
    else:
        assert 0 < entries[-1]["flagged"] < 0.6
    labels = [found["label"] for found in result["diagnostics"]["score_distribution"]]
    assert labels == ["injected", "low_rating"]
    assert result["data"]["injected"] == round(result["data"]["train"] / 6)


def test_without_labels_nothing_is_kept(tiny_data_path):
    own = {"data_path": str(tiny_data_path), "epochs": 1, "embedding_size": 8}
    assert run("LightGCN", "tiny", "T-CE", own)["diagnostics"] == {}
