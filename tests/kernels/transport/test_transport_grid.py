"""Entropic transport over the whole range of its settings, against the plain form."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import pytest
import torch
from plain_transport import newton, plan_by_scaling, squares, uniform_or_softmax
from torch.nn.functional import logsigmoid

from recbole_guider.kernels.transport import debiased_ot, entropic_ot
from recbole_guider.kernels.transport.line_plan import solve

LAMBDAS = [1e-3, 1e-2, 0.1, 1.0, 10.0]
MARGINALS = ["softmax", "uniform"]


def points(n: int, scale: float, seed: int, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    margin = scale * torch.randn(n, generator=generator, dtype=torch.float64) + shift
    return logsigmoid(margin.clamp(-50, 50))


def sides(n: int, m: int, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    return points(n, scale, 1, shift=scale / 3), points(m, scale / 2, 2)


@pytest.mark.parametrize("regularization", LAMBDAS)
@pytest.mark.parametrize("marginals", MARGINALS)
@pytest.mark.parametrize("scale", [0.1, 3.0, 50.0])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 2), (17, 17), (17, 5), (1, 17), (17, 1)])
def test_few_points_have_the_plain_forms_cost_and_gradient(n, m, scale, marginals, regularization):
    x, y = sides(n, m, scale)
    found = entropic_ot(x, y.requires_grad_(), regularization, marginals)
    found.cost.backward()
    gradient, y = y.grad, y.detach()
    a, b = uniform_or_softmax(x, marginals), uniform_or_softmax(y, marginals)
    # The plain form has no use for masses that rounding eats.
    kept, held = a > 1e-14, b > 1e-14
    plan = plan_by_scaling(x[kept], y[held], a[kept], b[held], regularization)
    assert (plan.sum(1) - a[kept]).abs().sum() < 1e-10
    assert found.marginal_error <= 1e-9
    cost = float((plan * squares(x[kept], y[held])).sum())
    assert float(found.cost.detach()) == pytest.approx(cost, abs=1e-6, rel=1e-6)
    expected = torch.zeros_like(y)
    expected[held] = 2 * (plan * (y[held] - x[kept][:, None])).sum(0)
    torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("regularization", LAMBDAS)
@pytest.mark.parametrize("marginals", MARGINALS)
@pytest.mark.parametrize("scale", [0.1, 3.0, 50.0])
@pytest.mark.parametrize(("n", "m"), [(512, 512), (600, 500)])
def test_many_points_have_a_certified_plan(n, m, scale, marginals, regularization):
    """A plan of the form exp(f_m + g_n - D_mn / lambda) with the right sums is the only one."""
    x, y = sides(n, m, scale)
    a, b = uniform_or_softmax(x, marginals), uniform_or_softmax(y, marginals)
    kept, held = a > 1e-15, b > 1e-15
    x, y, a, b = x[kept], y[held], a[kept] / a[kept].sum(), b[held] / b[held].sum()
    found = solve(x, y, a, b, regularization, 2000, 1e-9)
    assert found.marginal_error < 1e-9
    left, right = x.argsort(stable=True), y.argsort(stable=True)
    x, y, a, b = x[left], y[right], a[left], b[right]
    distance = squares(x, y)
    logarithms = found.logarithms(torch.arange(len(x)))
    rest = logarithms + distance / regularization
    rest = rest - rest[:1] - rest[:, :1] + rest[0, 0]
    assert rest.abs().max() < 1e-9 * (1 + float(distance.max()) / regularization)
    plan = logarithms.exp()
    assert (plan.sum(1) - a).abs().sum() < 2e-9
    assert (plan.sum(0) - b).abs().sum() < 2e-9
    # What is known by products is this plan.
    mean = found.transposed_times(x[left.argsort()])[right]
    torch.testing.assert_close(mean, plan.T @ x, atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("scale", "regularization", "marginals"),
    [(3.0, 1e-3, "softmax"), (3.0, 0.1, "uniform"), (50.0, 0.1, "softmax"), (50.0, 10, "uniform")],
)
def test_many_points_do_not_move_under_newtons_steps(scale, regularization, marginals):
    x, y = sides(520, 510, scale)
    a, b = uniform_or_softmax(x, marginals), uniform_or_softmax(y, marginals)
    kept, held = a > 1e-14, b > 1e-14
    x, y, a, b = x[kept], y[held], a[kept] / a[kept].sum(), b[held] / b[held].sum()
    x, left = x.sort(stable=True)
    y, right = y.sort(stable=True)
    found = solve(x, y, a[left], b[right], regularization, 2000, 1e-9)
    plan = newton(found.logarithms(torch.arange(len(x))), a[left], b[right], 4).exp()
    cost = float((plan * squares(x, y)).sum())
    assert float(entropic_ot(x, y, regularization, marginals).cost) == pytest.approx(
        cost, abs=1e-6, rel=1e-6
    )


def peak_mebibytes() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


@pytest.mark.parametrize("marginals", MARGINALS)
@pytest.mark.parametrize("regularization", [1e-3, 0.1])
@pytest.mark.parametrize("scale", [3.0, 50.0])
def test_8192_points_take_little_memory_and_time(scale, regularization, marginals):
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        pytest.skip("needs Linux to measure a peak of memory")
    x, y = sides(8192, 8192, scale)
    gc.collect()
    reset.write_text("5")
    before, start = peak_mebibytes(), time.perf_counter()
    found = entropic_ot(x, y.requires_grad_(), regularization, marginals)
    found.cost.backward()
    assert time.perf_counter() - start < 5
    # One matrix of all pairs would be 512 MiB.
    assert peak_mebibytes() - before < 250
    assert found.marginal_error <= 1e-9
    assert torch.isfinite(y.grad).all()


@pytest.mark.parametrize("regularization", [1e-3, 10.0])
@pytest.mark.parametrize("marginals", MARGINALS)
def test_equal_points_and_saturated_ones_are_no_special_case(marginals, regularization):
    x = torch.cat([torch.zeros(3000), torch.full((1000,), -50.0), points(500, 50.0, 3)]).double()
    y = torch.zeros(2000, dtype=torch.float64)
    found = entropic_ot(x, y, regularization, marginals)
    a = uniform_or_softmax(x, marginals)
    assert float(found.cost) == pytest.approx(float(a @ x.square()), rel=1e-8, abs=1e-9)
    again = entropic_ot(x, torch.cat([y, x]), regularization, marginals)
    assert again.marginal_error <= 1e-9
    equal = debiased_ot(x, x, regularization, marginals)
    assert float(equal.cost) == pytest.approx(0.0, abs=1e-9 * float(found.cost))
