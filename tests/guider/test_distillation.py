"""Distillation of margins: the points, the temperature, and what happens without triples."""

from __future__ import annotations

import pytest
import torch

from recbole_guider.guider.distillation import (
    candidate_distance,
    margin_distance,
    margin_logits,
    on_one_scale,
)

TEACHER = torch.tensor([2.0, 0.5, -1.0, 1.2], dtype=torch.float64)
STUDENT = torch.tensor([1.0, -0.3, 0.4, 2.2], dtype=torch.float64)
SETTINGS = {
    "kind": "ot",
    "regularization": 0.1,
    "marginals": "softmax",
    "max_iterations": 1000,
    "tolerance": 1e-10,
}


def test_points_are_log_sigmoids_of_margins():
    expected = [-0.126928011, -0.4740769842, -1.3132616875, -0.2632824673]
    torch.testing.assert_close(
        margin_logits(TEACHER), torch.tensor(expected, dtype=torch.float64), atol=1e-9, rtol=0
    )


def test_margins_of_any_size_stay_finite():
    assert margin_logits(torch.tensor([-50.0, 50.0])).isfinite().all()


@pytest.mark.parametrize(
    ("marginals", "cost"), [("softmax", 0.0565502593), ("uniform", 0.0805381829)]
)
def test_cost_of_known_margins(marginals, cost):
    found = margin_distance(TEACHER, STUDENT, **{**SETTINGS, "marginals": marginals})
    assert float(found.value) == pytest.approx(cost, abs=1e-8)


def test_one_scale_divides_by_temperature_and_spread():
    torch.testing.assert_close(on_one_scale(TEACHER, 2.0, False), TEACHER / 2)
    spread = TEACHER.square().mean().sqrt()
    torch.testing.assert_close(on_one_scale(TEACHER, 2.0, True), TEACHER / spread / 2)
    rows = torch.stack([TEACHER, 10 + STUDENT])
    scaled = on_one_scale(rows, 1.0, True)
    deviations = scaled - scaled.mean(1, keepdim=True)
    assert float(deviations.square().mean()) == pytest.approx(1.0)
    assert torch.isfinite(on_one_scale(torch.ones(2, 3), 1.0, True)).all()


def test_kl_and_mse_compare_triple_by_triple():
    z_teacher, z_student = margin_logits(TEACHER), margin_logits(STUDENT)
    p, q = torch.softmax(z_teacher, 0), torch.softmax(z_student, 0)
    found = margin_distance(TEACHER, STUDENT, "kl")
    assert float(found.value) == pytest.approx(float((p * (p / q).log()).sum()), abs=1e-9)
    assert float(margin_distance(TEACHER, STUDENT, "mse").value) == pytest.approx(
        0.2111882804, abs=1e-9
    )
    permuted = STUDENT[[1, 0, 3, 2]]
    assert float(margin_distance(TEACHER, permuted, "mse").value) != pytest.approx(0.2111882804)
    assert float(margin_distance(TEACHER, permuted, **SETTINGS).value) == pytest.approx(
        float(margin_distance(TEACHER, STUDENT, **SETTINGS).value), abs=1e-8
    )


CANDIDATES_OF_TEACHER = torch.tensor(
    [[-0.1, -0.7, -1.2], [-0.5, -0.3, -0.9], [-1.4, -0.2, -0.6]], dtype=torch.float64
)
CANDIDATES_OF_STUDENT = torch.tensor(
    [[-0.3, -0.6, -1.0], [-0.9, -0.4, -0.5], [-1.1, -0.4, -0.3]], dtype=torch.float64
)


def test_candidates_are_compared_user_by_user():
    found = candidate_distance(CANDIDATES_OF_TEACHER, CANDIDATES_OF_STUDENT, "kl")
    assert float(found.value) == pytest.approx(0.0309015351, abs=1e-9)
    centred = [
        rows - rows.mean(1, keepdim=True) for rows in (CANDIDATES_OF_TEACHER, CANDIDATES_OF_STUDENT)
    ]
    expected = float((centred[0] - centred[1]).square().mean())
    found = candidate_distance(CANDIDATES_OF_TEACHER, CANDIDATES_OF_STUDENT + 3.0, "mse")
    assert float(found.value) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["kl", "mse"])
def test_equal_candidates_have_no_distance_and_the_teacher_no_gradient(kind):
    teacher = CANDIDATES_OF_TEACHER.clone().requires_grad_()
    student = CANDIDATES_OF_TEACHER.clone().requires_grad_()
    found = candidate_distance(teacher, student, kind)
    found.value.backward()
    assert float(found.value.detach()) == pytest.approx(0.0, abs=1e-12)
    assert teacher.grad is None
    torch.testing.assert_close(student.grad, torch.zeros_like(student), atol=1e-9, rtol=0)


def test_gradient_passes_the_log_sigmoid():
    """d z / d margin = sigma(-margin); d cost / d z is known for these margins."""
    student = STUDENT.clone().requires_grad_()
    margin_distance(TEACHER, student, **SETTINGS).value.backward()
    of_points = torch.tensor(
        [-0.0288675442, 0.0499672774, -0.0779260205, 0.0655563975], dtype=torch.float64
    )
    torch.testing.assert_close(student.grad, of_points * torch.sigmoid(-STUDENT), atol=1e-6, rtol=0)


def test_the_student_follows_the_teacher_downhill():
    student = STUDENT.clone().requires_grad_()
    optimizer = torch.optim.SGD([student], lr=0.5)
    settings = {**SETTINGS, "regularization": 0.01, "tolerance": 1e-4}
    first = float(margin_distance(TEACHER, STUDENT, **settings).value)
    for _ in range(50):
        optimizer.zero_grad()
        loss = margin_distance(TEACHER, student, **settings).value
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < first / 2


def test_without_triples_the_loss_is_a_zero_that_can_be_differentiated():
    student = torch.zeros(0, requires_grad=True)
    loss = margin_distance(torch.zeros(0), student, **SETTINGS).value
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert student.grad is not None


@pytest.mark.parametrize("kind", ["kl", "mse", "ot"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_no_longer_finite_give_a_loss_that_is_not(kind, bad):
    broken = CANDIDATES_OF_STUDENT.clone()
    broken[0, 1] = bad
    found = candidate_distance(CANDIDATES_OF_TEACHER, broken, **{**SETTINGS, "kind": kind})
    assert not torch.isfinite(found.value)
    margins = STUDENT.clone()
    margins[1] = bad
    assert not torch.isfinite(margin_distance(TEACHER, margins, **{**SETTINGS, "kind": kind}).value)
