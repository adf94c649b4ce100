"""Injected noise: how much, where, and that it keeps its labels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_guider.config import Config
from recbole_guider.data.dataset import MultimodalDataset
from recbole_guider.data.noise import inject
from recbole_guider.data.splits import Interactions, Splits
from recbole_guider.errors import InputError


def phase(pairs, ratings=None) -> Interactions:
    users, items = torch.tensor(pairs).unbind(1)
    return Interactions(users, items, ratings)


def random_splits(seed: int, n_users: int = 12, n_items: int = 30, n: int = 90) -> Splits:
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randperm((n_users - 1) * (n_items - 1), generator=generator)[:n]
    users, items = cells // (n_items - 1) + 1, cells % (n_items - 1) + 1
    cut = [n - 20, 10, 10]
    parts = [Interactions(u, i) for u, i in zip(users.split(cut), items.split(cut))]
    return Splits(*parts, n_users, n_items)


def pairs(interactions: Interactions) -> list[tuple[int, int]]:
    return list(zip(interactions.users.tolist(), interactions.items.tolist()))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 50), st.floats(0, 2), st.integers(0, 1000))
def test_exactly_the_share_and_no_pair_that_any_phase_holds(data, ratio, seed):
    given_ = random_splits(data)
    noisy = inject(given_, ratio, seed)
    n = len(given_.train)
    added = pairs(noisy.train)[n:]
    assert len(added) == int(ratio * n + 0.5)
    assert pairs(noisy.train)[:n] == pairs(given_.train)
    assert len(set(added)) == len(added)
    held = {*pairs(given_.train), *pairs(given_.valid), *pairs(given_.test)}
    assert not held & set(added)
    assert {user for user, _ in added} <= set(given_.train.users.tolist())
    assert {item for _, item in added} <= set(given_.train.items.tolist())
    assert noisy.train.injected.tolist() == [False] * n + [True] * len(added)
    assert noisy.valid is given_.valid
    assert noisy.test is given_.test


def test_one_seed_one_noise():
    splits = random_splits(3)
    first, again, other = (inject(splits, 0.5, seed) for seed in (1, 1, 2))
    assert pairs(first.train) == pairs(again.train)
    assert pairs(first.train) != pairs(other.train)


def test_every_free_pair_can_be_asked_for_and_no_more():
    splits = Splits(phase([(1, 1), (2, 2)]), phase([(1, 2)]), phase([(3, 3)]), 4, 4)
    assert pairs(inject(splits, 0.5, 0).train)[2:] == [(2, 1)]
    with pytest.raises(InputError, match="asks for 2 unobserved pairs; the data set has 1"):
        inject(splits, 1.0, 0)


def test_draws_are_uniform():
    splits = Splits(phase([(1, 1), (2, 2), (3, 3)]), phase([(1, 2)]), phase([(2, 3)]), 4, 4)
    counts = {}
    for seed in range(600):
        pair = pairs(inject(splits, 0.34, seed).train)[-1]
        counts[pair] = counts.get(pair, 0) + 1
    assert set(counts) == {(1, 3), (2, 1), (3, 1), (3, 2)}
    assert max(abs(count - 150) for count in counts.values()) < 5 * 150**0.5


def test_large_draws_are_uniform_over_users_and_items():
    generator = torch.Generator().manual_seed(0)
    train = Interactions(
        torch.cat([torch.arange(1, 101), torch.randint(1, 101, (1900,), generator=generator)]),
        torch.cat([torch.arange(1, 101), torch.randint(1, 101, (1900,), generator=generator)]),
    )
    nothing = Interactions(train.users[:0], train.items[:0])
    noisy = inject(Splits(train, nothing, nothing, 101, 101), 1.0, 5).train
    for ids in (noisy.users[2000:], noisy.items[2000:]):
        counts = torch.bincount(ids, minlength=101)[1:]
        assert counts.min() > 0
        assert counts.max() < 45  # 20 expected


def test_added_pairs_have_no_rating():
    train = phase([(1, 1), (2, 2)], torch.tensor([5.0, 1.0]))
    splits = Splits(train, phase([(1, 2)]), phase([(3, 3)]), 4, 4)
    ratings = inject(splits, 0.5, 0).train.ratings
    assert ratings[:2].tolist() == [5.0, 1.0]
    assert torch.isnan(ratings[2])


def built(tiny_data_path, **properties):
    own = {"data_path": str(tiny_data_path), **properties}
    return MultimodalDataset(Config("LightGCN", "tiny", None, own, {})).build()


def test_the_data_set_injects_and_recboles_columns_agree(tiny_data_path):
    clean, _, _ = built(tiny_data_path)
    train, valid, test = built(tiny_data_path, noise_ratio=0.2)
    assert clean.splits.train.injected is None
    assert len(train.splits.train) == round(1.2 * len(clean.splits.train))
    assert train.inter_num == len(train.splits.train)
    assert torch.equal(train.inter_feat["item_id"], train.splits.train.items)
    assert valid.splits is train.splits
    assert torch.equal(test.splits.test.items, clean.splits.test.items)


def test_the_models_seed_does_not_move_the_noise(tiny_data_path):
    one = built(tiny_data_path, noise_ratio=0.2, seed=1)[0].splits.train
    other = built(tiny_data_path, noise_ratio=0.2, seed=2)[0].splits.train
    assert torch.equal(one.items, other.items)
    moved = built(tiny_data_path, noise_ratio=0.2, noise_seed=7)[0].splits.train
    assert not torch.equal(one.items, moved.items)


def test_a_negative_share_is_refused(tiny_data_path):
    with pytest.raises(InputError, match=r"noise_ratio: expected a number, >= 0; found -0\.1"):
        built(tiny_data_path, noise_ratio=-0.1)
