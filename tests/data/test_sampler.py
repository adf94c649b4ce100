from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from recbole_guider.data import sampler as module
from recbole_guider.data.sampler import NegativeSampler, TrainingBatches
from recbole_guider.data.splits import Interactions, Splits
from recbole_guider.errors import InputError

# The published toy case, ids shifted by one because id 0 is padding.
TRAIN = {1: [1, 2, 3], 2: [1, 2], 3: [1, 4], 4: [1, 2, 5, 3]}
N_USERS, N_ITEMS = 5, 7
EXACT = {
    0.0: {
        1: [0, 0, 0, 0.5, 0.5, 0],
        2: [0, 0, 0.3333333333, 0.3333333333, 0.3333333333, 0],
        3: [0, 0.3333333333, 0.3333333333, 0, 0.3333333333, 0],
        4: [0, 0, 0, 1, 0, 0],
    },
    0.75: {
        1: [0, 0, 0, 0.5, 0.5, 0],
        2: [0, 0, 0.4567863831, 0.2716068084, 0.2716068084, 0],
        3: [0, 0.4594576237, 0.3389822967, 0, 0.2015600796, 0],
        4: [0, 0, 0, 1, 0, 0],
    },
    1.0: {
        1: [0, 0, 0, 0.5, 0.5, 0],
        2: [0, 0, 0.5, 0.25, 0.25, 0],
        3: [0, 0.5, 0.3333333333, 0, 0.1666666667, 0],
        4: [0, 0, 0, 1, 0, 0],
    },
}


def interactions(train):
    pairs = [(user, item) for user, items in train.items() for item in items]
    users, items = zip(*pairs)
    return Interactions(torch.tensor(users), torch.tensor(items))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def counts(sampler, user, n=20_000, seed=2022):
    drawn = sampler.sample(torch.full((n,), user), generator(seed))
    return torch.bincount(drawn, minlength=N_ITEMS)[1:].double().numpy()


def assert_distribution(observed, exact):
    exact = torch.tensor(exact, dtype=torch.float64)
    exact = (exact / exact.sum()).numpy() * observed.sum()
    assert observed[exact == 0].sum() == 0
    if (exact > 0).sum() > 1:
        assert chisquare(observed[exact > 0], exact[exact > 0]).pvalue > 1e-3


@pytest.mark.parametrize("user", TRAIN)
@pytest.mark.parametrize("alpha", EXACT)
def test_popularity_draws_follow_the_exact_distribution(alpha, user):
    sampler = NegativeSampler(interactions(TRAIN), N_USERS, N_ITEMS, "popularity", alpha)
    assert_distribution(counts(sampler, user), EXACT[alpha][user])


@pytest.mark.parametrize("user", TRAIN)
@pytest.mark.parametrize("alpha", EXACT)
def test_exact_draws_after_the_last_rejection_round_follow_it_too(alpha, user, monkeypatch):
    monkeypatch.setattr(module, "_REJECTION_ROUNDS", 0)
    monkeypatch.setattr(module, "_EXACT_BLOCK", 3000)
    sampler = NegativeSampler(interactions(TRAIN), N_USERS, N_ITEMS, "popularity", alpha)
    assert_distribution(counts(sampler, user), EXACT[alpha][user])


@pytest.mark.parametrize("user", TRAIN)
def test_uniform_over_training_items(user):
    sampler = NegativeSampler(interactions(TRAIN), N_USERS, N_ITEMS)
    assert_distribution(counts(sampler, user), EXACT[0.0][user])


def test_uniform_over_all_items_reaches_items_without_training_interaction():
    sampler = NegativeSampler(interactions(TRAIN), N_USERS, N_ITEMS, candidates="all")
    assert_distribution(counts(sampler, 1), [0, 0, 0, 1, 1, 1])


def test_a_repeated_interaction_counts_once():
    train = interactions({**TRAIN, 1: [1, 2, 3, 3, 3, 3], 2: [1, 1, 2]})
    sampler = NegativeSampler(train, N_USERS, N_ITEMS, "popularity", 1.0)
    assert_distribution(counts(sampler, 2), EXACT[1.0][2])


def test_a_user_without_training_items_gets_any_candidate():
    sampler = NegativeSampler(interactions(TRAIN), N_USERS + 1, N_ITEMS, "popularity", 1.0)
    assert_distribution(counts(sampler, 5), [4, 3, 2, 1, 1, 0])


@settings(max_examples=40, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), min_size=1, max_size=60),
    distribution=st.sampled_from(["uniform", "popularity"]),
    seed=st.integers(0, 5),
)
def test_never_padding_and_never_a_training_item(pairs, distribution, seed):
    users, items = (torch.tensor(part) for part in zip(*pairs))
    train = Interactions(users, items)
    try:
        sampler = NegativeSampler(train, 10, 13, distribution, candidates="all")
    except InputError:
        return  # a user has every candidate
    drawn = sampler.sample(users.repeat(20), generator(seed))
    assert drawn.min() >= 1
    assert drawn.max() <= 12
    own = set(pairs)
    assert not any(pair in own for pair in zip(users.repeat(20).tolist(), drawn.tolist()))


def test_same_seed_same_items_other_seed_other_items():
    sampler = NegativeSampler(interactions(TRAIN), N_USERS, N_ITEMS, "popularity")
    users = torch.tensor([1, 2, 3] * 50)
    first = sampler.sample(users, generator(7))
    assert torch.equal(first, sampler.sample(users, generator(7)))
    assert not torch.equal(first, sampler.sample(users, generator(8)))


@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
def test_users_who_have_everything_are_refused_with_their_number(distribution):
    train = interactions({1: [1, 2, 3], 2: [3, 2, 1, 1], 3: [1]})
    with pytest.raises(InputError, match="2 of the users have all 3 candidate items"):
        NegativeSampler(train, 4, 5, distribution)
    NegativeSampler(train, 4, 5, candidates="all")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distribution": "popular"}, "Did you mean 'popularity'"),
        ({"candidates": "trains"}, "Did you mean 'train'"),
        ({"alpha": -1.0}, ">= 0"),
        ({"alpha": float("nan")}, ">= 0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        NegativeSampler(interactions(TRAIN), N_USERS, N_ITEMS, **options)


def batches(batch_size, seed=0):
    train = interactions(TRAIN)
    held_out = Interactions(torch.tensor([1]), torch.tensor([6]))
    splits = Splits(train, held_out, held_out, N_USERS, N_ITEMS)
    sampler = NegativeSampler(train, N_USERS, N_ITEMS)
    return TrainingBatches(splits, batch_size, sampler, generator(seed))


def test_a_pass_holds_every_interaction_once():
    loader = batches(4)
    parts = list(loader)
    assert [len(part.users) for part in parts] == [4, 4, 3]
    assert len(loader) == 3
    rows = torch.cat([part.rows for part in parts])
    assert sorted(rows.tolist()) == list(range(11))
    assert torch.equal(torch.cat([part.users for part in parts]), loader.train.users[rows])
    assert torch.equal(torch.cat([part.positives for part in parts]), loader.train.items[rows])


def test_each_pass_is_fresh_and_a_seed_repeats_it():
    def passes(seed):
        loader = batches(100, seed)
        return [next(iter(loader)) for _ in range(2)]

    first, second = passes(0)
    assert not torch.equal(first.rows, second.rows)
    again, _ = passes(0)
    assert torch.equal(first.rows, again.rows)
    assert torch.equal(first.negatives, again.negatives)


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(InputError, match="at least 1"):
        batches(0)
