"""The scaling loop, the mixing that makes it fast, and the flow that makes it look far."""

from __future__ import annotations

import math

import pytest
import torch
from plain_transport import plan_by_scaling, sinkhorn, squares
from torch.nn.functional import logsigmoid

from recbole_guider.kernels.transport import boxed_kernel
from recbole_guider.kernels.transport.anderson import Mixing
from recbole_guider.kernels.transport.boxed_kernel import BoxedKernel
from recbole_guider.kernels.transport.dense_kernel import DenseKernel
from recbole_guider.kernels.transport.mass_flow import MassFlow
from recbole_guider.kernels.transport.sinkhorn import log_masses, scale
from recbole_guider.kernels.transport.staircase import monotone


def case(n, m, spread=1.5, shift=1.0):
    """Points (log sigmoids of margins) and softmax masses of two models, float64."""
    generator = torch.Generator().manual_seed(0)
    x = logsigmoid(torch.randn(n, generator=generator, dtype=torch.float64) * spread + shift)
    y = logsigmoid(torch.randn(m, generator=generator, dtype=torch.float64) * spread)
    return x, y, x.softmax(0), y.softmax(0)


def dense_kernel(n, m, regularization, spread=1.5):
    x, y, a, b = case(n, m, spread)
    return DenseKernel(-squares(x, y) / regularization, a, b, log_masses(a))


def plan_of(kernel, found):
    return (kernel.exponents + found.f[:, None] + found.g).exp()


@pytest.mark.parametrize("regularization", [0.1, 1.0])
def test_dense_scaling_is_the_plain_forms_plan(regularization):
    x, y, a, b = case(60, 50)
    kernel = dense_kernel(60, 50, regularization)
    found = scale(kernel, 1000, 1e-12)
    expected = plan_by_scaling(x, y, a, b, regularization)
    torch.testing.assert_close(plan_of(kernel, found), expected, atol=1e-11, rtol=0)


@pytest.mark.parametrize("iterations", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("n", [60, 600])
def test_iterations_end_at_their_limit(n, iterations):
    x, y, a, b = case(n, n - 10)
    kernel = BoxedKernel(*monotone(x, y, a, b, 0.01))
    found = scale(kernel, iterations, 0.0)
    assert found.iterations == iterations


def test_the_first_two_iterations_are_sinkhorns():
    x, y, a, b = case(40, 30)
    kernel = dense_kernel(40, 30, 0.3)
    found = scale(kernel, 2, 0.0)
    start = -squares(x, y) / 0.3 + a.log()[:, None]
    first = start + (b.log() - torch.logsumexp(start, 0))
    torch.testing.assert_close(plan_of(kernel, found), sinkhorn(first, a, b, 1).exp())


def test_mixing_takes_far_fewer_iterations_than_sinkhorn_alone():
    x, y, a, b = case(80, 70)
    kernel = dense_kernel(80, 70, 0.02)
    found = scale(kernel, 1000, 1e-8)
    plain = sinkhorn(-squares(x, y) / 0.02, a, b, 5 * found.iterations).exp()
    assert (plain.sum(1) - a).abs().sum() > 1e-6
    assert found.iterations < 120


@pytest.mark.parametrize("points", ["normal", "clusters"])
def test_flow_takes_the_iterations_down_to_a_few(monkeypatch, points):
    x, y, a, b = case(600, 590, spread=3.0)
    if points == "clusters":
        y = torch.where(y < -1, y - 5, y)
    rows, columns = monotone(x, y, a, b, 1e-3)
    kernel = BoxedKernel(rows, columns)
    with_flow = scale(kernel, 3000, 1e-9)
    monkeypatch.setattr(boxed_kernel.BoxedKernel, "flow", lambda *_: None)
    without = scale(kernel, 3000, 1e-9)
    assert with_flow.marginal_error < 1e-9
    assert with_flow.iterations < 60 < without.iterations / 2


def test_mixing_solves_a_linear_fixed_point():
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(12, generator=generator, dtype=torch.float64) + 0.1
    half = torch.rand(12, 12, generator=generator, dtype=torch.float64) / 7
    matrix, right = half @ half.T, torch.arange(12, dtype=torch.float64)
    mixing, current = Mixing(weights), torch.zeros(12, dtype=torch.float64)
    for _ in range(16):
        current = mixing.mix(current, matrix @ current + right - current)
    exact = torch.linalg.solve(torch.eye(12, dtype=torch.float64) - matrix, right)
    torch.testing.assert_close(current, exact, atol=1e-6, rtol=1e-7)


def test_mixing_forgets_what_is_too_old_and_stays_finite():
    mixing = Mixing(torch.ones(3, dtype=torch.float64))
    current = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    for _ in range(100):
        # The fixed point is reached soon; later steps are 0 or rounding.
        current = mixing.mix(current, current.cos() - current)
    torch.testing.assert_close(current, torch.full_like(current, 0.7390851332151607))


def test_flow_is_newtons_step_where_mass_moves_between_neighbours_only():
    points = torch.tensor([0.0, 0.4, 1.5, 1.7, 3.0], dtype=torch.float64)
    conductances = torch.tensor([0.3, 0.01, 0.2, 0.1], dtype=torch.float64)
    laplacian = torch.zeros(5, 5, dtype=torch.float64)
    for i, conductance in enumerate(conductances):
        laplacian[i : i + 2, i : i + 2] += conductance * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    flow = MassFlow(points, laplacian @ points, 1.0)
    missing = torch.tensor([0.01, -0.005, 0.002, 0.003, -0.01], dtype=torch.float64)
    torch.testing.assert_close(laplacian @ flow.potentials(missing), missing)


def test_flow_has_bounded_steps_where_nothing_flows():
    points = torch.zeros(4, dtype=torch.float64)
    flow = MassFlow(points, torch.zeros(4, dtype=torch.float64), 0.0)
    missing = torch.tensor([0.5, -0.5, 1e-3, -1e-3], dtype=torch.float64)
    assert torch.equal(flow.potentials(missing), torch.zeros(4, dtype=torch.float64))
    apart = MassFlow(points + torch.arange(4), torch.zeros(4, dtype=torch.float64), 1.0)
    assert apart.potentials(missing).abs().max() <= 15.0


@pytest.mark.parametrize("regularization", [0.01, 1.0])
def test_reported_error_is_that_of_the_rows_and_columns_are_exact(regularization):
    _, _, a, b = case(120, 110)
    kernel = dense_kernel(120, 110, regularization)
    loose, tight = scale(kernel, 5000, 1e-2), scale(kernel, 5000, 1e-8)
    assert loose.iterations < tight.iterations
    assert tight.marginal_error < 1e-8 <= loose.marginal_error < 1e-2
    for found in (loose, tight):
        plan = plan_of(kernel, found)
        error = float((plan.sum(1) - a).abs().sum())
        assert found.marginal_error == pytest.approx(error, rel=1e-5, abs=1e-13)
        torch.testing.assert_close(plan.sum(0), b, rtol=1e-9, atol=0)


def test_the_best_scaling_is_kept_where_the_limit_ends_it():
    kernel = dense_kernel(60, 50, 0.003, spread=6.0)
    errors = [scale(kernel, limit, 0.0).marginal_error for limit in range(1, 40)]
    assert all(later <= earlier for earlier, later in zip(errors, errors[1:]))


def test_dense_sums_hold_for_scalings_of_any_size():
    x, y, a, b = case(30, 25, spread=6.0)
    exponents = -squares(x, y) / 1e-3
    assert float(exponents.min()) < -1e4
    kernel = DenseKernel(exponents, a, b, log_masses(a))
    generator = torch.Generator().manual_seed(2)
    for size in (1.0, 100.0, 1e4, 1.0):
        f = size * torch.randn(30, generator=generator, dtype=torch.float64)
        g = size * torch.randn(25, generator=generator, dtype=torch.float64)
        rows, columns = kernel.log_row_sums(g), kernel.log_column_sums(f)
        torch.testing.assert_close(rows, torch.logsumexp(exponents + g, 1))
        torch.testing.assert_close(columns, torch.logsumexp(exponents + f[:, None], 0))


def test_a_kernel_that_returns_nonsense_ends_finite():
    class Broken(DenseKernel):
        calls = 0

        def log_row_sums(self, g):
            self.calls += 1
            sums = super().log_row_sums(g)
            return sums if self.calls < 4 else sums * math.nan

    x, y, a, b = case(30, 25)
    kernel = Broken(-squares(x, y), a, b, log_masses(a))
    found = scale(kernel, 20, 0.0)
    assert found.iterations == 20
    assert math.isfinite(found.marginal_error)
    assert bool(found.f.isfinite().all() & found.g.isfinite().all())
