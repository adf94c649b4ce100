"""The Sinkhorn divergence against hand-checked values and its own definition."""

from __future__ import annotations

import pytest
import torch
from plain_transport import newton, plan_by_scaling, squares, uniform_or_softmax
from torch.nn.functional import logsigmoid

from recbole_guider.errors import InputError
from recbole_guider.kernels.transport import debiased_ot, entropic_ot
from recbole_guider.kernels.transport.line_plan import solve

Z_TEACHER = [-0.126928011, -0.4740769842, -1.3132616875, -0.2632824673]
Z_STUDENT = [-0.3132616875, -0.8543552445, -0.5130152524, -0.1050833198]

# marginals, lambda, divergence
CASES = [
    ("softmax", 0.01, 0.0315541406),
    ("softmax", 0.1, 0.0252262473),
    ("softmax", 1.0, 0.0057983221),
    ("uniform", 0.01, 0.0538829991),
    ("uniform", 0.1, 0.0571724153),
    ("uniform", 1.0, 0.029793211),
]


def double(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def points(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return logsigmoid(2.0 * torch.randn(n, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize(("marginals", "regularization", "divergence"), CASES)
def test_divergences_of_known_plans(marginals, regularization, divergence):
    found = debiased_ot(double(Z_TEACHER), double(Z_STUDENT), regularization, marginals)
    assert float(found.cost) == pytest.approx(divergence, abs=1e-8)
    assert found.marginal_error <= 1e-9


@pytest.mark.parametrize("marginals", ["softmax", "uniform"])
@pytest.mark.parametrize("n", [1, 5, 300, 900])
def test_equal_points_have_no_divergence_and_no_gradient(n, marginals):
    x = points(n, 1)
    student = x.clone().requires_grad_()
    found = debiased_ot(x, student, 0.1, marginals)
    found.cost.backward()
    assert float(found.cost.detach()) == pytest.approx(0.0, abs=1e-9)
    assert student.grad.abs().max() < 1e-8
    if n > 1:
        # The biased cost is not 0 there, and pulls the points together.
        assert float(entropic_ot(x, x, 0.1, marginals).cost) > 1e-3


@pytest.mark.parametrize("marginals", ["softmax", "uniform"])
@pytest.mark.parametrize(("n", "m"), [(30, 25), (600, 550)])
def test_gradient_is_that_of_the_dense_plans_held_fixed(n, m, marginals):
    x, y = points(n, 2).sort().values, points(m, 3).sort().values
    a, b = uniform_or_softmax(x, marginals), uniform_or_softmax(y, marginals)
    student = y.clone().requires_grad_()
    debiased_ot(x, student, 0.2, marginals).cost.backward()

    def plan(s, t, p, q):
        if n < 100:
            return plan_by_scaling(s, t, p, q, 0.2)
        found = solve(s, t, p, q, 0.2, 1000, 1e-9).logarithms(torch.arange(len(s)))
        return newton(found, p, q, 2).exp()

    free = y.clone().requires_grad_()
    biased = (plan(x, y, a, b) * squares(x, free)).sum()
    (biased - (plan(y, y, b, b) * squares(free, free)).sum() / 2).backward()
    torch.testing.assert_close(student.grad, free.grad, atol=1e-8, rtol=0)


def test_gradient_is_the_divergences_own_where_masses_are_fixed():
    """The plans are optimal, so that what they change in the value is of second order."""
    x, y = points(12, 4), points(9, 5)
    student = y.clone().requires_grad_()
    debiased_ot(x, student, 0.3, "uniform").cost.backward()
    for place in (0, 4, 8):
        step = torch.zeros_like(y)
        step[place] = 1e-4
        up, down = (debiased_ot(x, y + sign * step, 0.3, "uniform").cost for sign in (1, -1))
        assert float(student.grad[place]) == pytest.approx(float((up - down) / 2e-4), abs=1e-7)


def test_it_is_symmetric_and_never_negative():
    for seed in range(5):
        x, y = points(40, seed), points(40, seed + 10)
        there, back = debiased_ot(x, y, 0.5, "uniform"), debiased_ot(y, x, 0.5, "uniform")
        assert float(there.cost) == pytest.approx(float(back.cost), abs=1e-8)
        assert float(there.cost) > 0


def test_float32_points_lose_no_more_digits_than_they_have():
    x, y = points(500, 6), points(500, 7)
    exact = float(debiased_ot(x, y, 1.0).cost)
    found = debiased_ot(x.float(), y.float(), 1.0)
    assert found.cost.dtype == torch.float32
    assert float(found.cost) == pytest.approx(exact, rel=1e-4)


def test_what_cannot_be_transported_is_refused():
    with pytest.raises(InputError, match="above 0"):
        debiased_ot(torch.zeros(2), torch.zeros(2), 0.0)
    with pytest.raises(InputError, match="softmax"):
        debiased_ot(torch.zeros(2), torch.zeros(2), 0.1, "sofmax")
    with pytest.raises(ValueError, match="debiased_ot needs at least one point"):
        debiased_ot(torch.zeros(0), torch.zeros(2))
