from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from recbole_guider.guider.dbpr import FalseItems, eq7_loss, mean_over_true

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
    everywhere = torch.ones(len(scores), dtype=torch.bool)
    assert float(eq7_loss(margin[0] - margin[1], everywhere)) == pytest.approx(mean, abs=1e-9)


def test_equation_7_averages_what_counts():
    margin = torch.tensor([1.5, -math.inf, -0.5], dtype=torch.float64, requires_grad=True)
    counts = torch.tensor([True, False, True])
    loss = eq7_loss(margin, counts)
    loss.backward()
    assert loss.item() == pytest.approx(functional.softplus(-margin[counts]).mean().item())
    gradient = -torch.sigmoid(-margin.detach()) / 2
    assert torch.allclose(margin.grad, torch.where(counts, gradient, 0.0))


@pytest.mark.parametrize("false_weight", [0.0, 0.3, 1.0])
def test_the_mean_over_true_interactions_counts_false_ones_by_their_weight(false_weight):
    losses = torch.tensor([0.3, 2.0, 1.0], dtype=torch.float64, requires_grad=True)
    loss = mean_over_true(losses, torch.tensor([True, False, True]), false_weight)
    loss.backward()
    assert loss.item() == pytest.approx((1.3 + 2.0 * false_weight) / (2 + false_weight))
    weights = torch.tensor([1.0, false_weight, 1.0], dtype=torch.float64)
    assert torch.allclose(losses.grad, weights / weights.sum())


def test_what_does_not_count_may_be_infinite():
    losses = torch.tensor([0.5, math.inf], requires_grad=True)
    loss = mean_over_true(losses, torch.tensor([True, False]))
    loss.backward()
    assert loss.item() == 0.5
    assert losses.grad.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("size", [0, 4])
def test_nothing_to_average_is_zero_and_differentiable(size):
    for mean in (mean_over_true, eq7_loss):
        values = torch.zeros(size, requires_grad=True)
        loss = mean(values, torch.zeros(size, dtype=torch.bool))
        loss.backward()
        assert loss.item() == 0.0
        assert (values.grad == 0).all()


def test_large_margins_stay_finite():
    margin = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = eq7_loss(margin, torch.tensor([True, True]))
    loss.backward()
    assert loss.isfinite()
    assert margin.grad.isfinite().all()
