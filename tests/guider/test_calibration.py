from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from recbole_guider.guider import similarity
from recbole_guider.guider.calibration import (
    InteractionCalibrator,
    Partition,
    partition_interactions,
)
from recbole_guider.guider.similarity import Content, most_similar_pairs, pairs_above

# Six items, four users; worked out by hand in double precision.
TEXT = [[1, 0.2, -0.1], [0.9, 0.1, 0], [-0.3, 1, 0.4], [0.2, 0.8, 0.6], [0.1, -0.9, 0.7],
        [0.8, 0.3, 0.1]]  # fmt: skip
IMAGE = [[0.7, 0.1, 0.3], [0.6, 0.4, -0.1], [0.1, 0.9, 0.2], [-0.5, 0.7, 0.6], [0.3, -0.6, 0.9],
         [-0.2, 0.5, 0.9]]  # fmt: skip
CONFIDENCE = [1.0, 1.0, 0.5, 0.5, 0.5, 0.0]
SCORES = {
    0: {0: 2.1, 1: -0.4, 2: 0.9, 3: -1.2, 5: 0.1},
    1: {2: 0.5, 4: -0.8},
    2: {3: 1.0},
    3: {1: 0.7, 2: 0.7},
}
RELIABLE = {0: {0, 2, 5}, 1: {2}, 2: {3}, 3: {1, 2}}
RESCUED = {0.3: {(0, 1), (0, 3)}, 0.5: {(0, 1)}, 0.7: {(0, 1)}, 1.0: set()}


def oracle_case():
    pairs = [(user, item) for user in SCORES for item in SCORES[user]]
    users, items = torch.tensor(pairs).T
    scores = torch.tensor([SCORES[user][item] for user, item in pairs], dtype=torch.float64)
    modalities = {
        "text": torch.tensor(TEXT, dtype=torch.float64),
        "image": torch.tensor(IMAGE, dtype=torch.float64),
    }
    return functional.softplus(-scores), users, items, modalities, torch.tensor(CONFIDENCE)


def chosen(mask, users, items):
    return {(int(user), int(item)) for user, item in zip(users[mask], items[mask])}


def by_hand(losses, users, items, modalities, threshold, confidence, present=None):
    """The definition, one interaction at a time."""
    similarity = {}
    names = list(modalities)
    for i in range(len(confidence)):
        for k in range(len(confidence)):
            best = 0.0
            for name in names:
                a, b = modalities[name][i].tolist(), modalities[name][k].tolist()
                norm = math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
                known = present is None or bool(present[name][i] and present[name][k])
                if known and norm > 0:
                    best = max(best, sum(x * y for x, y in zip(a, b)) / norm)
            similarity[i, k] = max(0.0, float(confidence[i])) * best
    reliable, clean = [], []
    for row, user in enumerate(users.tolist()):
        own = [r for r, other in enumerate(users.tolist()) if other == user]
        mean = sum(losses[r].item() for r in own) / len(own)
        good = [r for r in own if losses[r].item() <= mean + 1e-8]
        reliable.append(row in good)
        clean.append(
            row in good or any(similarity[int(items[row]), int(items[r])] > threshold for r in good)
        )
    return torch.tensor(reliable), torch.tensor(clean)


@st.composite
def cases(draw):
    """Random interactions without duplicates, features with missing and equal rows."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    n_users, n_items = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    taken = torch.rand(n_users, n_items, generator=generator) < draw(st.floats(0.1, 1.0))
    taken[0, 0] = True
    users, items = taken.nonzero().T
    order = torch.randperm(len(users), generator=generator)
    users, items = users[order], items[order]
    losses = torch.rand(len(users), generator=generator, dtype=torch.float64)
    if draw(st.booleans()):
        losses = (losses * 3).round()  # ties
    modalities, present = {}, {}
    for name in ("text", "image", "audio")[: draw(st.integers(1, 3))]:
        values = torch.randn(n_items, 3, generator=generator, dtype=torch.float64)
        values[torch.rand(n_items, generator=generator) < 0.2] = 0
        modalities[name] = values
        present[name] = torch.rand(n_items, generator=generator) < 0.8
    confidence = torch.rand(n_items, generator=generator, dtype=torch.float64) * 1.6 - 0.6
    return (
        losses,
        users,
        items,
        modalities,
        draw(st.floats(0.0, 1.0)),
        confidence.clamp(max=1),
        present,
    )


@pytest.mark.parametrize("threshold", RESCUED)
def test_partition_equals_the_worked_example(threshold):
    losses, users, items, modalities, confidence = oracle_case()
    reliable, clean = partition_interactions(
        losses, users, items, modalities, threshold, confidence
    )
    expected = {(user, item) for user in RELIABLE for item in RELIABLE[user]}
    assert chosen(reliable, users, items) == expected
    assert chosen(clean, users, items) == expected | RESCUED[threshold]


@settings(max_examples=60, deadline=None)
@given(cases())
def test_partition_equals_the_definition(case):
    losses, users, items, modalities, threshold, confidence, present = case
    pairs = pairs_above(users, items, Content(modalities, confidence, present), threshold)
    partition = InteractionCalibrator(users, items, pairs).partition(losses)
    reliable, clean = by_hand(*case)
    assert torch.equal(partition.reliable, reliable)
    assert torch.equal(partition.clean, clean)


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(0, 2**31))
def test_order_of_interactions_does_not_matter(case, seed):
    losses, users, items, modalities, threshold, confidence, _ = case
    order = torch.randperm(len(users), generator=torch.Generator().manual_seed(seed))
    straight = partition_interactions(losses, users, items, modalities, threshold, confidence)
    shuffled = partition_interactions(
        losses[order], users[order], items[order], modalities, threshold, confidence
    )
    for a, b in zip(straight, shuffled):
        assert torch.equal(a[order], b)


@settings(max_examples=40, deadline=None)
@given(cases(), st.floats(0.0, 1.0))
def test_a_higher_threshold_rescues_fewer_and_every_user_keeps_one(case, other):
    losses, users, items, modalities, threshold, confidence, _ = case
    low, high = sorted((threshold, other))
    reliable, many = partition_interactions(losses, users, items, modalities, low, confidence)
    _, few = partition_interactions(losses, users, items, modalities, high, confidence)
    assert (many | ~few).all()
    assert (few | ~reliable).all()
    assert set(users[reliable].tolist()) == set(users.tolist())


def as_set(pairs):
    return set(zip(pairs.rows.tolist(), pairs.columns.tolist()))


def test_blocks_change_nothing(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    taken = torch.rand(30, 40, generator=generator) < 0.3
    taken[4] = False  # a block may begin with a user without interactions
    users, items = taken.nonzero().T
    modalities = {"text": torch.randn(40, 4, generator=generator, dtype=torch.float64)}
    losses = torch.rand(len(users), generator=generator)
    whole = partition_interactions(losses, users, items, modalities, 0.6, None)
    share = most_similar_pairs(users, items, Content(modalities), 0.1)
    monkeypatch.setattr(similarity, "BLOCK", 100)
    blocks = partition_interactions(losses, users, items, modalities, 0.6, None)
    assert 0 < int((whole[1] & ~whole[0]).sum()) < int((~whole[0]).sum())
    assert all(torch.equal(a, b) for a, b in zip(whole, blocks))
    again = most_similar_pairs(users, items, Content(modalities), 0.1)
    assert again.threshold == share.threshold
    assert as_set(again) == as_set(share)


def test_threshold_one_rescues_nothing_even_among_equal_items():
    users, items = torch.zeros(128, dtype=torch.long), torch.arange(128)
    rows = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    modalities = {"text": rows.repeat(2, 1)}
    unit = functional.normalize(modalities["text"])
    assert (unit @ unit.T).max() > 1  # what rounding does to the cosine of equal rows
    losses = torch.arange(128.0)
    reliable, clean = partition_interactions(losses, users, items, modalities, 1.0, None)
    assert torch.equal(clean, reliable)
    for confidence in (None, torch.full((128,), 1.0 + 1e-6)):
        pairs = similarity._co_consumed(users, items, Content(modalities, confidence))
        assert max(float(values.max()) for _, _, values in pairs) == 1.0
    _, clean = partition_interactions(losses, users, items, modalities, 0.99, confidence)
    assert clean.all()


def test_similarity_must_exceed_the_threshold_strictly():
    users, items = torch.zeros(2, dtype=torch.long), torch.arange(2)
    modalities = {"text": torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0.5, 0.5]])}  # cosine 0.5
    for threshold, rescued in ((0.5, False), (0.499, True)):
        _, clean = partition_interactions(
            torch.tensor([0.0, 1.0]), users, items, modalities, threshold, None
        )
        assert clean.tolist() == [True, rescued]


def test_one_item_and_equal_losses_are_reliable():
    users, items = torch.tensor([4, 7, 7, 7]), torch.tensor([1, 1, 2, 3])
    losses = torch.tensor([9.0, 0.1, 0.1, 0.1])
    reliable, clean = partition_interactions(losses, users, items, {"t": torch.eye(4)}, 0.5, None)
    assert reliable.all()
    assert clean.all()


def test_imputed_rows_resemble_nothing():
    users, items = torch.zeros(2, dtype=torch.long), torch.tensor([1, 2])
    modalities = {"image": torch.ones(3, 5)}
    losses = torch.tensor([0.0, 1.0])
    imputed = {"image": torch.tensor([False, True, False])}
    for present, rescued in ((None, True), (imputed, False)):
        pairs = pairs_above(users, items, Content(modalities, None, present), 0.5)
        calibrator = InteractionCalibrator(users, items, pairs)
        assert calibrator.partition(losses).rescued.tolist() == [False, rescued]


@pytest.mark.parametrize("doubtful", [1, 2])
def test_confidence_is_that_of_the_item_to_be_rescued(doubtful):
    """Eq. 4 is asymmetric: a doubtful item vouches for a sure one, but is not rescued by it."""
    users, items = torch.zeros(2, dtype=torch.long), torch.tensor([1, 2])
    modalities = {"text": torch.ones(3, 4)}
    confidence = torch.ones(3)
    confidence[doubtful] = 0.1
    for spurious in (1, 2):
        losses = (items == spurious).float()
        _, clean = partition_interactions(losses, users, items, modalities, 0.5, confidence)
        assert bool(clean.all()) == (spurious != doubtful)


def test_only_items_that_share_a_user_rescue():
    users, items = torch.tensor([1, 1, 2]), torch.tensor([1, 2, 3])
    modalities = {"text": torch.tensor([[0.0, 0], [1, 0], [0, 1], [0, 1]])}
    losses = torch.tensor([0.0, 1.0, 0.0])
    _, clean = partition_interactions(losses, users, items, modalities, 0.5, None)
    assert clean.tolist() == [True, False, True]


def test_empty_inputs():
    nothing = torch.empty(0, dtype=torch.long)
    reliable, clean = partition_interactions(
        torch.empty(0), nothing, nothing, {"t": torch.eye(3)}, 0.5, None
    )
    assert len(reliable) == len(clean) == 0
    losses, users, items, _, confidence = oracle_case()
    reliable, clean = partition_interactions(losses, users, items, {}, 0.0, confidence)
    assert torch.equal(reliable, clean)
    assert most_similar_pairs(nothing, nothing, Content({"t": torch.eye(3)}), 0.5).threshold == 0.0


def test_partition_names_its_parts():
    partition = Partition(torch.tensor([True, False, False]), torch.tensor([True, True, False]))
    assert partition.spurious.tolist() == [False, True, True]
    assert partition.rescued.tolist() == [False, True, False]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.8, 1.0])
def test_quantile_threshold_is_exceeded_by_the_share(share):
    generator = torch.Generator().manual_seed(1)
    users, items = (torch.rand(50, 60, generator=generator) < 0.2).nonzero().T
    modalities = {"text": torch.randn(60, 5, generator=generator)}
    confidence = torch.rand(60, generator=generator)
    content = Content(modalities, confidence)
    found = most_similar_pairs(users, items, content, share)
    threshold = found.threshold
    pairs = list(similarity._co_consumed(users, items, content))
    values = torch.cat([torch.from_numpy(values) for _, _, values in pairs])
    ends = {(i, k): value for rows, columns, some in pairs
            for i, k, value in zip(rows.tolist(), columns.tolist(), some.tolist())}  # fmt: skip
    assert len(ends) == len(values)
    assert as_set(found) == {ends_of for ends_of, value in ends.items() if value > threshold}
    assert as_set(found) == as_set(pairs_above(users, items, content, threshold))
    together = torch.zeros(50, 60)
    together[users, items] = 1
    assert len(values) == int((together.T @ together).fill_diagonal_(0).count_nonzero())
    exceeding = (values > threshold).float().mean()
    assert exceeding <= share + 1e-9
    assert threshold == 0 or (values > threshold - 2e-6).float().mean() >= share - 1e-9


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_quantile_refuses_what_is_no_share(share):
    _, users, items, modalities, _ = oracle_case()
    with pytest.raises(ValueError, match="share"):
        most_similar_pairs(users, items, Content(modalities), share)
