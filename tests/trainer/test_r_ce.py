"""R-CE against float64 values worked out by hand from the paper's equations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from recbole_guider.model.base import bpr_loss
from recbole_guider.trainer.r_ce import confidence_weights, reweighted

LOGITS = [2.0, -1.5, 0.3, 0.4, -0.6]
SIGNS = torch.tensor([1, 1, 1, -1, -1], dtype=torch.float64)
CASES = {
    0.05: (0.705655775, 0.7322325059,
           [-0.0236897616, -0.1501798273, -0.0827847909, 0.1143943113, 0.0693353598]),
    0.25: (0.5672738129, 0.6777124732,
           [-0.0230959517, -0.1068633344, -0.0740968715, 0.0953017622, 0.0635265182]),
    1.0: (0.2778990786, 0.5175735369,
           [-0.0209987171, -0.0298292904, -0.0488916623, 0.0480521491, 0.0457568481]),
}  # fmt: skip
PAIRWISE = {0.05: 0.6061274668, 0.25: 0.488896092, 1.0: 0.232020273}


@pytest.mark.parametrize("beta", CASES)
def test_pointwise_loss_and_gradient(beta):
    logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    margin = SIGNS * logits
    weights = confidence_weights(margin, beta)
    loss = reweighted(functional.softplus(-margin), weights, normalise=False)
    loss.backward()
    expected, normalised, gradient = CASES[beta]
    assert loss.item() == pytest.approx(expected, abs=1e-9)
    assert logits.grad.tolist() == pytest.approx(gradient, abs=1e-9)
    again = reweighted(functional.softplus(-margin), weights, normalise=True)
    assert again.item() == pytest.approx(normalised, abs=1e-9)


@pytest.mark.parametrize("beta", PAIRWISE)
def test_pairwise_loss(beta):
    positive = torch.tensor([1.5, 0.2, -0.7, 2.2], dtype=torch.float64)
    negative = torch.tensor([0.1, 0.6, 0.4, -1.0], dtype=torch.float64)
    weights = confidence_weights(positive - negative, beta)
    loss = reweighted(bpr_loss(positive, negative), weights, normalise=False)
    assert loss.item() == pytest.approx(PAIRWISE[beta], abs=1e-9)


@given(st.floats(-30, 30), st.floats(0.01, 5), st.floats(0.01, 1))
def test_weight_falls_as_the_loss_rises(logit, step, beta):
    low, high = confidence_weights(torch.tensor([logit, logit + step]).double(), beta).tolist()
    assert 0 <= low <= high <= 1


def test_weights_are_finite_and_without_gradient_at_extremes():
    logits = torch.tensor([-1e4, 0.0, 1e4], requires_grad=True)
    weights = confidence_weights(logits, 0.25)
    assert torch.isfinite(weights).all()
    assert not weights.requires_grad
