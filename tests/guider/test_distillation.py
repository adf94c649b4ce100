"""Distillation of margins: the points, the temperature, and what happens without triples."""

from __future__ import annotations

import pytest
import torch

from recbole_guider.guider.distillation import margin_logits, transport_distillation
from recbole_guider.kernels.transport import entropic_ot

TEACHER = torch.tensor([2.0, 0.5, -1.0, 1.2], dtype=torch.float64)
STUDENT = torch.tensor([1.0, -0.3, 0.4, 2.2], dtype=torch.float64)
SETTINGS = {
    "regularization": 0.1,
    "marginals": "softmax",
    "temperature": 1.0,
    "max_iterations": 1000,
    "tolerance": 1e-10,
}


def test_points_are_log_sigmoids_of_margins():
    expected = [-0.126928011, -0.4740769842, -1.3132616875, -0.2632824673]
    torch.testing.assert_close(
        margin_logits(TEACHER), torch.tensor(expected, dtype=torch.float64), atol=1e-9, rtol=0
    )
    torch.testing.assert_close(margin_logits(TEACHER, 2.0), margin_logits(TEACHER / 2))


def test_margins_of_any_size_stay_finite():
    assert margin_logits(torch.tensor([-50.0, 50.0])).isfinite().all()


@pytest.mark.parametrize(
    ("marginals", "cost"), [("softmax", 0.0565502593), ("uniform", 0.0805381829)]
)
def test_cost_of_known_margins(marginals, cost):
    found = transport_distillation(TEACHER, STUDENT, **{**SETTINGS, "marginals": marginals})
    assert float(found) == pytest.approx(cost, abs=1e-8)


def test_temperature_divides_the_margins_of_both():
    found = transport_distillation(TEACHER, STUDENT, **{**SETTINGS, "temperature": 2.0})
    expected = entropic_ot(margin_logits(TEACHER / 2), margin_logits(STUDENT / 2), 0.1).cost
    assert float(found) == pytest.approx(float(expected), abs=1e-8)


def test_gradient_passes_the_log_sigmoid():
    """d z / d margin = sigma(-margin); d cost / d z is known for these margins."""
    student = STUDENT.clone().requires_grad_()
    transport_distillation(TEACHER, student, **SETTINGS).backward()
    of_points = torch.tensor(
        [-0.0288675442, 0.0499672774, -0.0779260205, 0.0655563975], dtype=torch.float64
    )
    torch.testing.assert_close(student.grad, of_points * torch.sigmoid(-STUDENT), atol=1e-6, rtol=0)


def test_the_student_follows_the_teacher_downhill():
    student = STUDENT.clone().requires_grad_()
    optimizer = torch.optim.SGD([student], lr=0.5)
    settings = {**SETTINGS, "regularization": 0.01, "tolerance": 1e-4}
    first = float(transport_distillation(TEACHER, STUDENT, **settings))
    for _ in range(50):
        optimizer.zero_grad()
        loss = transport_distillation(TEACHER, student, **settings)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < first / 2


def test_without_triples_the_loss_is_a_zero_that_can_be_differentiated():
    student = torch.zeros(0, requires_grad=True)
    loss = transport_distillation(torch.zeros(0), student, **SETTINGS)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert student.grad is not None
