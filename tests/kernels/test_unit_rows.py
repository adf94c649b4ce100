from __future__ import annotations

import pytest
import torch

from recbole_guider.kernels.unit_rows import unit_rows


def test_rows_have_length_one_and_the_gradient_of_that():
    X = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    torch.testing.assert_close(unit_rows(X), X / X.pow(2).sum(1, keepdim=True).sqrt())
    assert torch.autograd.gradcheck(unit_rows, X.requires_grad_())


def test_a_row_of_zeros_stays_and_its_gradient_is_of_ordinary_size():
    X = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    rows = unit_rows(X)
    torch.testing.assert_close(rows, torch.tensor([[0.0, 0.0], [0.6, 0.8]]))
    rows.sum().backward()
    assert X.grad.abs().max() <= 1.0


@pytest.mark.parametrize("length", [1e-18, 1e-19, 1e-20, 1e-25, 1e-38, 1e-45])
def test_a_row_that_shrinks_to_nothing_keeps_a_finite_gradient(length):
    """As the padding's preference does under MMGCN's penalty: no user's loss reads it."""
    X = torch.tensor([[length, -length], [3.0, 4.0]], requires_grad=True)
    (unit_rows(X) * torch.tensor([[0.0], [1.0]])).sum().backward()
    assert X.grad.isfinite().all()
    assert X.grad[0].eq(0).all()
