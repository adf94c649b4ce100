from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from recbole_guider.guider.dbpr import FalseItems, dbpr_loss

USERS = torch.tensor([3, 1, 3, 1, 2, 3])
ITEMS = torch.tensor([7, 5, 8, 6, 5, 9])
CLEAN = torch.tensor([False, True, False, False, True, True])


def test_draws_come_from_the_users_own_false_items():
    pool = FalseItems(USERS, ITEMS, CLEAN, n_users=5)
    users = torch.arange(5).repeat(2000)
    items, has_false = pool.draw(users, torch.Generator().manual_seed(0))
    assert has_false.tolist() == [user in (1, 3) for user in users.tolist()]
    assert set(items[users == 1].tolist()) == {6}
    assert set(items[~has_false].tolist()) == {0}
    counts = torch.bincount(items[users == 3], minlength=10)
    assert counts.sum() == counts[7] + counts[8] == 2000
    assert abs(int(counts[7]) - 1000) < 120  # more than five standard deviations of 22


def test_draws_follow_the_generator():
    pool = FalseItems(USERS, ITEMS, CLEAN, n_users=5)
    users = torch.full((64,), 3)
    first, second = (pool.draw(users, torch.Generator().manual_seed(1))[0] for _ in range(2))
    other = pool.draw(users, torch.Generator().manual_seed(2))[0]
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_number_of_draws_does_not_depend_on_the_partition():
    states = []
    for clean in (CLEAN, torch.ones_like(CLEAN)):
        generator = torch.Generator().manual_seed(0)
        FalseItems(USERS, ITEMS, clean, 5).draw(USERS, generator)
        states.append(generator.get_state())
    assert torch.equal(*states)


def test_without_false_items_and_without_users():
    pool = FalseItems(USERS, ITEMS, torch.ones_like(CLEAN), n_users=5)
    items, has_false = pool.draw(USERS, torch.Generator().manual_seed(0))
    assert not has_false.any()
    assert items.tolist() == [0] * 6
    items, has_false = pool.draw(USERS[:0], torch.Generator().manual_seed(0))
    assert len(items) == len(has_false) == 0


@pytest.mark.parametrize(
    ("scores", "false_scores", "mean"),
    [
        # The pairs of the worked example at thresholds .5 and 1, s_ui and s_uj.
        ([2.1, -0.4, 0.9, 0.1, 0.5], [-1.2, -1.2, -1.2, -1.2, -0.8], 0.2009712711),
        (
            [2.1, 2.1, 0.9, 0.9, 0.1, 0.1, 0.5],
            [-0.4, -1.2, -0.4, -1.2, -0.4, -1.2, -0.8],
            0.2039615517,
        ),
    ],
)
def test_equation_7_equals_the_worked_example(scores, false_scores, mean):
    margin = torch.tensor([scores, false_scores], dtype=torch.float64)
    margin = margin[0] - margin[1]
    everywhere = torch.ones(len(margin), dtype=torch.bool)
    loss = dbpr_loss(torch.zeros_like(margin), margin, everywhere, 1.0, literal=True)
    assert float(loss) == pytest.approx(mean, abs=1e-9)


def test_mixed_form_adds_the_weighted_mean_over_users_with_false_items():
    unobserved = torch.tensor([0.3, -2.0, 1.0], dtype=torch.float64, requires_grad=True)
    false = torch.tensor([1.5, -math.inf, -0.5], dtype=torch.float64, requires_grad=True)
    has_false = torch.tensor([True, False, True])
    loss = dbpr_loss(unobserved, false, has_false, 0.2)
    expected = functional.softplus(-unobserved).mean()
    expected = expected + 0.2 * functional.softplus(-false[has_false]).mean()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    loss.backward()
    assert torch.allclose(unobserved.grad, -torch.sigmoid(-unobserved.detach()) / 3)
    gradient = -0.2 * torch.sigmoid(-false.detach()) / 2
    assert torch.allclose(false.grad, torch.where(has_false, gradient, 0.0))


def test_literal_form_gives_unobserved_items_no_gradient():
    unobserved = torch.zeros(2, requires_grad=True)
    false = torch.zeros(2, requires_grad=True)
    dbpr_loss(unobserved, false, torch.tensor([True, True]), 0.2, literal=True).backward()
    assert unobserved.grad is None
    assert (false.grad < 0).all()


@pytest.mark.parametrize("literal", [True, False])
@pytest.mark.parametrize("size", [0, 4])
def test_nothing_to_average_is_zero_and_differentiable(size, literal):
    unobserved = torch.zeros(size, requires_grad=True)
    false = torch.zeros(size, requires_grad=True)
    loss = dbpr_loss(unobserved, false, torch.zeros(size, dtype=torch.bool), 1.0, literal)
    loss.backward()
    expected = 0.0 if literal or size == 0 else float(functional.softplus(torch.zeros(())))
    assert loss.item() == pytest.approx(expected)
    assert (false.grad == 0).all()


def test_weight_zero_is_plain_bpr():
    margin = torch.tensor([0.5, -1.0])
    expected = functional.softplus(-margin).mean()
    assert torch.equal(dbpr_loss(margin, None, torch.ones(2, dtype=torch.bool), 0.0), expected)


def test_large_margins_stay_finite():
    margin = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = dbpr_loss(margin, margin, torch.tensor([True, True]), 1.0)
    loss.backward()
    assert loss.isfinite()
    assert margin.grad.isfinite().all()


def test_a_missing_margin_is_an_error():
    with pytest.raises(ValueError, match="false_margin"):
        dbpr_loss(torch.zeros(2), None, torch.ones(2, dtype=torch.bool), 0.2)
