"""The two solvers below ``entropic_ot``: which one runs, and that neither loses digits."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import logsigmoid

from recbole_guider.kernels import sinkhorn


def case(n, m, scale=1.5, shift=1.0):
    """Points (log sigmoids of margins) and softmax masses of two models, float64."""
    generator = torch.Generator().manual_seed(0)
    x = logsigmoid(torch.randn(n, generator=generator, dtype=torch.float64) * scale + shift)
    y = logsigmoid(torch.randn(m, generator=generator, dtype=torch.float64) * scale)
    return x, y, x.softmax(0), y.softmax(0)


def as_matrix(plan, m):
    return torch.stack([plan.times(row) for row in torch.eye(m, dtype=torch.float64)], 1)


def record_kernels(monkeypatch):
    """Lists the kernels that solve, and whether their results counted as accurate."""
    used, scale = [], sinkhorn._scale

    def recorded(kernel, *arguments):
        plan, accurate = scale(kernel, *arguments)
        used.append((type(kernel).__name__, accurate))
        return plan, accurate

    monkeypatch.setattr(sinkhorn, "_scale", recorded)
    return used


@pytest.mark.parametrize("half", [0.0, 0.5, 3.0, 8.0])
def test_thin_kernel_is_the_gaussian_to_rounding(half):
    s = torch.linspace(-half, half, 300, dtype=torch.float64)
    t = torch.linspace(-4.0, 9.0, 200, dtype=torch.float64)
    thin = sinkhorn.ThinKernel(s, t, 1e-8)
    K = (-(s[:, None] - t).square()).exp()
    assert thin.left.shape[1] == sinkhorn.ThinKernel.rank(s) < 130
    assert (thin.left @ thin.right - K).abs().max() < 3e-14
    assert torch.allclose(thin.times(t.cos()), K @ t.cos(), atol=1e-11)
    assert torch.allclose(thin.transposed_times(s.cos()), K.T @ s.cos(), atol=1e-11)


@pytest.mark.parametrize(("regularization", "scale"), [(1.0, 1.5), (0.3, 1.0), (0.2, 0.3)])
def test_thin_and_dense_plans_agree_entry_by_entry(monkeypatch, regularization, scale):
    x, y, a, b = case(260, 240, scale)
    used = record_kernels(monkeypatch)
    thin = as_matrix(sinkhorn.solve(x, y, a, b, regularization, 5000, 1e-11), 240)
    assert used == [("ThinKernel", True)]
    dense = as_matrix(sinkhorn._solve_dense(x, y, a, b, regularization, 5000, 1e-11), 240)
    assert (thin - dense).abs().sum() < 1e-8
    assert torch.allclose(thin.sum(1), a, atol=1e-11)
    assert torch.allclose(thin.sum(0), b, atol=1e-11)


def test_matched_points_scale_to_the_same_plan():
    x, y, a, b = case(30, 20)
    s, t = sinkhorn._matched(x, y - 3.0, a, b, 0.5)
    # An affine map away from each other, so the logarithms of the kernels differ by f_m + g_n.
    difference = -(s[:, None] - t).square() + (x[:, None] - (y - 3.0)).square() / 0.5
    rest = difference - difference.mean(0) - difference.mean(1)[:, None] + difference.mean()
    assert rest.abs().max() < 1e-12
    assert abs(float(a @ s)) < 1e-12
    assert abs(float(b @ t)) < 1e-12
    assert float(a @ s.square()) == pytest.approx(float(b @ t.square()))


def test_a_thin_kernel_too_coarse_for_a_far_point_is_refused(monkeypatch):
    x, y, a, b = case(400, 400, scale=2.0, shift=2.0)
    x[0] = -12.0
    a = x.softmax(0)
    used = record_kernels(monkeypatch)
    plan = sinkhorn.solve(x, y, a, b, 1.0, 5000, 1e-10)
    assert used == [("ThinKernel", False), ("DenseKernel", True)]
    assert plan.times(torch.ones_like(y))[0].item() == pytest.approx(a[0].item(), rel=1e-3)


def test_scalings_that_grow_move_into_the_exponent(monkeypatch):
    x, y, a, b = case(64, 64, scale=6.0)
    start = b.log() + sinkhorn._normal_potential(x, y, a, b, 0.003)
    # So small a limit that it is passed again and again.
    monkeypatch.setattr(sinkhorn, "_LARGEST_SCALE", 1e3)
    used = record_kernels(monkeypatch)
    plan = sinkhorn._solve_dense(x, y, a, b, 0.003, 200, 0.0)
    assert used.count(("DenseKernel", False)) >= 1
    # The same iterations on logarithms alone.
    exponent, g = -(x[:, None] - y).square() / 0.003, start
    for _ in range(200):
        f = a.log() - torch.logsumexp(exponent + g, 1)
        g = b.log() - torch.logsumexp(exponent + f[:, None], 0)
    expected = (exponent + f[:, None] + g).exp()
    assert plan.iterations == 200
    assert torch.allclose(as_matrix(plan, 64), expected, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("regularization", [0.01, 1.0])
@pytest.mark.parametrize("iterations", [1, 2, 7, 100])
def test_iterations_end_at_their_limit(iterations, regularization):
    plan = sinkhorn.solve(*case(300, 280), regularization, iterations, 0.0)
    assert plan.iterations == iterations


@pytest.mark.parametrize("regularization", [0.01, 1.0])
def test_reported_error_is_that_of_the_rows_and_columns_are_exact(regularization):
    x, y, a, b = case(300, 280)
    loose = sinkhorn.solve(x, y, a, b, regularization, 5000, 1e-2)
    tight = sinkhorn.solve(x, y, a, b, regularization, 5000, 1e-6)
    assert loose.iterations < tight.iterations
    assert tight.marginal_error < 1e-6 <= loose.marginal_error < 1e-2
    rows = loose.times(torch.ones_like(y))
    assert loose.marginal_error == pytest.approx((rows - a).abs().sum().item(), rel=1e-6)
    assert torch.allclose(loose.transposed_times(torch.ones_like(x)), b, rtol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("regularization", [0.01, 1.0])
def test_cuda_agrees_with_the_cpu(regularization):
    values = case(300, 280)
    here = as_matrix(sinkhorn.solve(*values, regularization, 50, 0.0), 280)
    there = sinkhorn.solve(*(part.cuda() for part in values), regularization, 50, 0.0)
    columns = there.transposed_times(values[0].cuda()).cpu()
    assert torch.allclose(columns, here.T @ values[0], atol=1e-9)
