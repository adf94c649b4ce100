"""Speed of BOD's uniformity, forward and backward, against a boolean mask of the diagonal."""

from __future__ import annotations

import pytest
import torch
from best_of import best_step

from recbole_guider.kernels.unit_rows import unit_rows
from recbole_guider.trainer.bod import uniformity

pytestmark = pytest.mark.performance


def masked_uniformity(rows, scale):
    unit = unit_rows(rows)
    pairs = (unit @ unit.T)[~torch.eye(len(rows), dtype=torch.bool)]
    return torch.log(torch.exp(2.0 * scale * (pairs - 1.0)).mean())


def test_uniformity_against_a_mask():
    rows = torch.randn(512, 64, requires_grad=True)  # uniformity_sample rows
    ours, our_gradient = best_step(20, lambda: uniformity(rows, 2.0), rows)
    masked, masked_gradient = best_step(20, lambda: masked_uniformity(rows, 2.0), rows)
    print(
        f"\n{len(rows)} rows, d = 64, forward and backward: ours {ours * 1e3:.1f} ms, "
        f"masked {masked * 1e3:.1f} ms, ratio {masked / ours:.1f}"
    )
    assert torch.equal(our_gradient, masked_gradient)  # published records repeat to the last bit
