"""T-CE against float64 values worked out by hand from the paper's equations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import softplus

from recbole_guider.model.base import bpr_loss
from recbole_guider.trainer.t_ce import (
    drop_rate,
    kept_count,
    kept_interactions,
    pointwise_truncated,
    smallest,
)

POSITIVE = [2.0, -1.5, 0.3, -0.2, 1.1]
NEGATIVE = [-2.0, 0.4, -0.6, 0.9, -3.0]
BATCH_RATE = {0.0: 0.6235343168, 0.1: 0.5037699878, 0.2: 0.4669738776, 0.3: 0.4544908252}
POSITIVE_RATE = {0.2: 0.5037699878, 0.4: 0.4669738776}
GRADIENT_AT_02 = [
    -0.0149003653, 0.0, -0.0531946854, 0.0, -0.0312174868,
    0.0149003653, 0.0748359575, 0.0442929617, 0.0888686878, 0.0059282341,
]  # fmt: skip


def logits(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def truncated(positive: torch.Tensor, negative: torch.Tensor, rate: float, base: str):
    kept = kept_interactions(softplus(-positive), rate, base)
    return pointwise_truncated(positive, negative, kept)


@pytest.mark.parametrize(("rate", "expected"), BATCH_RATE.items())
def test_batch_rate_drops_that_share_of_all_samples_from_the_positives(rate, expected):
    loss = truncated(logits(POSITIVE), logits(NEGATIVE), rate, "batch")
    assert loss.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("rate", "expected"), POSITIVE_RATE.items())
def test_positive_rate_counts_positives_only(rate, expected):
    loss = truncated(logits(POSITIVE), logits(NEGATIVE), rate, "positive")
    assert loss.item() == pytest.approx(expected, abs=1e-9)


def test_dropped_samples_get_no_gradient():
    positive, negative = logits(POSITIVE), logits(NEGATIVE)
    truncated(positive, negative, 0.2, "batch").backward()
    gradient = torch.cat([positive.grad, negative.grad]).tolist()
    assert gradient == pytest.approx(GRADIENT_AT_02, abs=1e-9)


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.0, 0.6410235961), (0.2, 0.4544456639), (0.4, 0.3015891344)]
)
def test_pairwise_form_truncates_triples(rate, expected):
    positive = torch.tensor([1.5, 0.2, -0.7, 2.2, 0.9], dtype=torch.float64)
    negative = torch.tensor([0.1, 0.6, 0.4, -1.0, 0.8], dtype=torch.float64)
    losses = bpr_loss(positive, negative)
    loss = losses[kept_interactions(losses, rate, "positive")].mean()
    assert loss.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("rate", "kept"), [(0.1, 9), (0.2, 8), (0.3, 7), (0.6, 4), (0.7, 3), (0.9, 1), (1.0, 1)]
)
def test_kept_count_is_not_cut_by_rounding(rate, kept):
    assert kept_count(10, rate) == kept


def test_ramp_is_the_papers_linear_one():
    rates = [drop_rate(iteration / 5, 0.2) for iteration in range(8)]
    assert rates == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.2, 0.2])


def test_exponent_bends_the_ramp_and_never_jumps():
    rates = [drop_rate(iteration / 100, 0.2, exponent=2) for iteration in range(120)]
    steps = [later - earlier for earlier, later in zip(rates, rates[1:])]
    assert rates[-1] == pytest.approx(0.2)
    assert max(steps) < 0.005


@given(st.lists(st.floats(0, 50), min_size=1, max_size=40), st.floats(0, 1))
def test_what_is_kept_is_never_above_what_is_dropped(values, rate):
    losses = torch.tensor(values, dtype=torch.float64)
    kept = smallest(losses, kept_count(len(values), rate))
    assert int(kept.sum()) == kept_count(len(values), rate)
    if not bool(kept.all()):
        assert losses[kept].max() <= losses[~kept].min()


def test_ties_keep_the_earlier_sample():
    assert smallest(torch.ones(4), 2).tolist() == [True, True, False, False]
