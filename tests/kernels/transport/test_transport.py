"""Entropic transport against hand-checked plans, POT, and itself in another form."""

from __future__ import annotations

import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_transport import plan_by_scaling, sinkhorn, squares
from plain_transport import uniform_or_softmax as masses
from torch.nn.functional import logsigmoid

from recbole_guider.errors import InputError
from recbole_guider.kernels.transport import entropic_ot
from recbole_guider.kernels.transport.line_plan import solve

Z_TEACHER = [-0.126928011, -0.4740769842, -1.3132616875, -0.2632824673]
Z_STUDENT = [-0.3132616875, -0.8543552445, -0.5130152524, -0.1050833198]

# marginals, lambda, <P, D>, and its gradient in the student's points with P held fixed
CASES = [
    ("softmax", 0.01, 0.034506281, [-0.033138656, 0.0557786817, -0.0323821252, 0.0184722096]),
    ("softmax", 0.1, 0.0565502593, [-0.0288675442, 0.0499672774, -0.0779260205, 0.0655563975]),
    ("softmax", 1.0, 0.1532505283, [0.0230649689, -0.1087552919, -0.0499437293, 0.1443641625]),
    ("uniform", 0.01, 0.0548498409, [-0.0272328755, 0.2294532215, -0.0209675097, 0.0146639867]),
    ("uniform", 0.1, 0.0805381829, [-0.0143121081, 0.2102533775, -0.0552679925, 0.055243546]),
    ("uniform", 1.0, 0.2344927037, [0.0835290294, -0.0651760988, 0.0232957143, 0.1542681781]),
]


def double(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def margins(n: int, scale: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, generator=generator, dtype=torch.float64).clamp(-50, 50)


def dense_plan(x, y, regularization, marginals, iterations):
    a, b = masses(x, marginals), masses(y, marginals)
    return sinkhorn(-squares(x, y) / regularization, a, b, iterations).exp()


@pytest.mark.parametrize(("marginals", "regularization", "cost", "gradient"), CASES)
def test_costs_and_gradients_of_known_plans(marginals, regularization, cost, gradient):
    student = double(Z_STUDENT).requires_grad_()
    found = entropic_ot(double(Z_TEACHER), student, regularization, marginals)
    found.cost.backward()
    assert float(found.cost.detach()) == pytest.approx(cost, abs=1e-8)
    torch.testing.assert_close(student.grad, double(gradient), atol=1e-6, rtol=0)
    assert found.marginal_error <= 1e-9


def test_float32_points_give_a_float32_cost_that_is_as_right_as_they_are():
    student = torch.tensor(Z_STUDENT, requires_grad=True)
    found = entropic_ot(torch.tensor(Z_TEACHER), student, 0.01)
    assert found.cost.dtype == torch.float32
    assert float(found.cost.detach()) == pytest.approx(0.034506281, abs=1e-6)


@pytest.mark.parametrize("marginals", ["softmax", "uniform"])
@pytest.mark.parametrize(("regularization", "scale"), [(0.1, 1.0), (0.5, 3.0), (10.0, 3.0)])
def test_agrees_with_pot(marginals, regularization, scale):
    x, y = logsigmoid(margins(60, scale, 1)), logsigmoid(margins(45, scale / 2, 2))
    distance = (x[:, None] - y[None, :]) ** 2
    plan = ot.bregman.sinkhorn_log(
        masses(x, marginals),
        masses(y, marginals),
        distance,
        regularization,
        numItermax=20_000,
        stopThr=1e-11,
    )
    found = entropic_ot(x, y, regularization, marginals)
    assert float(found.cost) == pytest.approx(float((plan * distance).sum()), abs=1e-7)


def test_little_regularization_approaches_the_exact_cost():
    x, y = margins(40, 0.5, 3), margins(40, 0.7, 4)
    exact = float((x.sort().values - y.sort().values).square().mean())
    assert float(entropic_ot(x, y, 1e-3, "uniform").cost) == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize("marginals", ["softmax", "uniform"])
def test_gradient_is_that_of_the_dense_plan_held_fixed(marginals):
    x, y = logsigmoid(margins(30, 2.0, 5)), logsigmoid(margins(25, 1.0, 6)).requires_grad_()
    entropic_ot(x, y, 0.2, marginals).cost.backward()
    plan = dense_plan(x, y.detach(), 0.2, marginals, 2000)
    expected = 2 * (plan * (y.detach()[None, :] - x[:, None])).sum(0)
    torch.testing.assert_close(y.grad, expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize("marginals", ["softmax", "uniform"])
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_a_coarse_tolerance_stops_early_and_stays_close(marginals, scale):
    x, y = logsigmoid(margins(200, scale, 7)), logsigmoid(margins(200, scale / 2, 8))
    coarse = entropic_ot(x, y, 1.0, marginals, max_iterations=500, tolerance=1e-4)
    fine = entropic_ot(x, y, 1.0, marginals)
    assert coarse.marginal_error <= 1e-4
    assert coarse.iterations <= fine.iterations
    assert float(coarse.cost) == pytest.approx(float(fine.cost), rel=1e-2)


def test_clusters_far_apart_agree_with_the_plain_form():
    """Scalings overflow here, and no shift or stretch brings the two sides together."""
    x = torch.cat([margins(20, 0.3, 9), margins(4, 0.3, 10) - 20.0])
    y = torch.cat([margins(10, 0.3, 11) + 2.0, margins(14, 0.3, 12) - 30.0])
    found = entropic_ot(x, y, 0.05, "uniform", max_iterations=40, tolerance=0.0)
    a, b = masses(x, "uniform"), masses(y, "uniform")
    plan = plan_by_scaling(x, y, a, b, 0.05)
    assert (plan.sum(1) - a).abs().sum() < 1e-12
    assert found.iterations == 40
    assert float(found.cost) == pytest.approx(float((plan * squares(x, y)).sum()), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    teacher=st.lists(st.floats(-50, 50), min_size=1, max_size=9),
    student=st.lists(st.floats(-50, 50), min_size=1, max_size=9),
    regularization=st.sampled_from([1e-3, 1e-2, 0.1, 1.0, 10.0]),
    marginals=st.sampled_from(["softmax", "uniform"]),
    tolerance=st.sampled_from([1e-4, 1e-9]),
)
def test_always_finite_between_nothing_and_the_longest_way(
    teacher, student, regularization, marginals, tolerance
):
    x, y = logsigmoid(double(teacher)), logsigmoid(double(student)).requires_grad_()
    found = entropic_ot(x, y, regularization, marginals, max_iterations=100, tolerance=tolerance)
    found.cost.backward()
    longest = float(((x[:, None] - y.detach()[None, :]) ** 2).max())
    assert -1e-6 <= float(found.cost.detach()) <= longest * (1 + 1e-5) + 1e-6
    assert torch.isfinite(y.grad).all()
    assert 0 <= found.marginal_error <= 2 + 1e-9
    assert 1 <= found.iterations <= 100


def test_a_first_guess_finds_shift_and_stretch_at_once():
    """Little regularization alone would take thousands of iterations to move the mass this far."""
    x, y = margins(200, 1.0, 19), 3.0 * margins(200, 1.0, 20) + 10.0
    found = entropic_ot(x, y, 0.01, "uniform", max_iterations=2)
    assert found.marginal_error < 0.2
    exact = float((x.sort().values - y.sort().values).square().mean())
    assert float(found.cost) == pytest.approx(exact, rel=0.01)


def test_constant_points_and_single_points():
    ones = torch.ones(5, dtype=torch.float64)
    assert float(entropic_ot(ones, 3 * ones[:4], 0.1).cost) == pytest.approx(4.0)
    assert float(entropic_ot(ones, ones, 0.1).cost) == pytest.approx(0.0, abs=1e-12)
    assert float(entropic_ot(ones[:1], -ones[:1], 1e-3).cost) == pytest.approx(4.0)


def test_shifting_both_sides_changes_nothing():
    x, y = margins(20, 1.0, 13), margins(30, 1.0, 14)
    before, after = entropic_ot(x, y).cost, entropic_ot(x + 1e5, y + 1e5).cost
    assert float(after) == pytest.approx(float(before), abs=1e-8)


def test_swapping_student_points_changes_nothing():
    """It compares distributions of margins, not margins triple by triple."""
    x, y = margins(20, 1.0, 15), margins(20, 1.0, 16)
    assert float(entropic_ot(x, y.flip(0)).cost) == pytest.approx(float(entropic_ot(x, y).cost))


def test_no_gradient_reaches_the_teacher():
    teacher = double(Z_TEACHER).requires_grad_()
    cost = entropic_ot(teacher, double(Z_STUDENT).requires_grad_()).cost
    cost.backward()
    assert teacher.grad is None


numbers = st.floats(-50, 50).map(lambda value: round(value, 3))


@settings(max_examples=40, deadline=None)
@given(
    teacher=st.lists(numbers, min_size=1, max_size=12),
    student=st.lists(numbers, min_size=1, max_size=12),
    regularization=st.sampled_from([1e-3, 0.1, 10.0]),
    shift=st.floats(-100, 100),
)
def test_the_plan_does_not_see_a_shift_and_swaps_with_the_roles(
    teacher, student, regularization, shift
):
    x, y = double(teacher), double(student)
    a, b = masses(x, "uniform"), masses(y, "uniform")
    plan = solve(x, y, a, b, regularization, 2000, 1e-10)
    shifted = solve(x + shift, y - 3 * shift, a, b, regularization, 2000, 1e-10)
    swapped = solve(y, x, b, a, regularization, 2000, 1e-10)
    # Through its products with the points, which tell where the mass of each point goes.
    goes, comes = plan.times(y), plan.transposed_times(x)
    bound = 1e-6 * (1.0 + float(squares(x, y).max()))
    if max(plan.marginal_error, shifted.marginal_error, swapped.marginal_error) < 1e-10:
        torch.testing.assert_close(shifted.times(y), goes, atol=bound, rtol=0)
        torch.testing.assert_close(swapped.times(x), comes, atol=bound, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    teacher=st.lists(st.floats(-50, 50), min_size=2, max_size=12),
    student=st.lists(st.floats(-50, 50), min_size=2, max_size=12),
    regularization=st.sampled_from([1e-3, 0.1, 10.0]),
    iterations=st.sampled_from([1, 2, 3, 5, 30]),
)
def test_the_reported_error_is_that_of_the_plan_it_returns(
    teacher, student, regularization, iterations
):
    x, y = logsigmoid(double(teacher)), logsigmoid(double(student))
    a, b = masses(x, "uniform"), masses(y, "uniform")
    plan = solve(x, y, a, b, regularization, iterations, 0.0)
    matrix = plan.logarithms(torch.arange(len(x))).exp()
    error = float((matrix.sum(1) - plan.rows.masses).abs().sum())
    assert plan.marginal_error == pytest.approx(error, rel=1e-6, abs=1e-9)
    torch.testing.assert_close(matrix.sum(0), plan.columns.masses, atol=1e-8, rtol=0)


def test_the_result_does_not_change_between_runs():
    x, y = margins(3000, 1.0, 21), margins(2500, 1.0, 22)
    first, second = entropic_ot(x, y, 0.01), entropic_ot(x, y, 0.01)
    assert float(first.cost) == float(second.cost)
    assert first[1:] == second[1:]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_points_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        entropic_ot(torch.zeros(2), torch.tensor([0.0, bad]))


@pytest.mark.parametrize("regularization", [0.0, -1.0, float("nan")])
def test_a_regularization_that_is_not_positive_is_refused(regularization):
    with pytest.raises(InputError, match="above 0"):
        entropic_ot(torch.zeros(2), torch.zeros(2), regularization)


def test_unknown_marginals_are_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="softmax"):
        entropic_ot(torch.zeros(2), torch.zeros(2), 0.1, "sofmax")


def test_a_side_without_points_is_refused():
    with pytest.raises(ValueError, match="one point"):
        entropic_ot(torch.zeros(0), torch.zeros(2))
