"""Per-user metrics against RecBole's own classes and against a slow reading of the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recbole.config import Config
from recbole.evaluator.metrics import MAP, MRR, NDCG, Hit, Precision, Recall

from recbole_guider.data.splits import Interactions, Splits
from recbole_guider.errors import InputError
from recbole_guider.evaluator.ranking import evaluate_embeddings, per_user_metrics

KINDS = ("recall", "ndcg", "precision", "hit", "map", "mrr")
METRICS = [f"{kind}@{k}" for kind in KINDS for k in (1, 5, 20)]


def random_problem(n_users: int, n_items: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(n_users, n_items, generator=generator)
    positives, masked = [], []
    for _ in range(n_users):
        order = torch.randperm(n_items, generator=generator)
        n_positive = int(torch.randint(1, max(2, n_items // 3), (1,), generator=generator))
        n_masked = int(torch.randint(0, max(1, n_items // 3), (1,), generator=generator))
        positives.append(sorted(order[:n_positive].tolist()))
        masked.append(sorted(order[n_positive : n_positive + n_masked].tolist()))
    return scores, positives, masked


def recbole_values(scores, positives, masked, longest):
    """RecBole's metric classes, fed as its collector feeds them."""
    Config.compatibility_settings(None)  # they read numpy.float
    visible = scores.clone()
    hit = torch.zeros_like(scores, dtype=torch.int)
    for user, (wanted, hidden) in enumerate(zip(positives, masked)):
        visible[user, hidden] = -torch.inf
        hit[user, wanted] = 1
    top = torch.topk(visible, longest, dim=-1).indices
    index = torch.gather(hit, 1, top).bool().numpy()
    count = np.array([len(wanted) for wanted in positives])
    config = {"topk": [1, 5, 20], "metric_decimal_place": 10}
    values = {}
    for cls in (Recall, NDCG, Precision, Hit, MAP, MRR):
        metric = cls(config)
        needs_length = cls in (Recall, NDCG, MAP)
        rows = metric.metric_info(index, count) if needs_length else metric.metric_info(index)
        for k in config["topk"]:
            values[f"{cls.__name__.lower()}@{k}"] = rows[:, k - 1]
    return values


@pytest.mark.parametrize("seed", range(3))
def test_equals_recbole_per_user(seed):
    scores, positives, masked = random_problem(200, 60, seed)
    ours = per_user_metrics(scores, positives, masked, METRICS)
    theirs = recbole_values(scores, positives, masked, 20)
    for name in METRICS:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-12, err_msg=name)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(2, 12), st.integers(0, 10_000))
def test_recall_and_ndcg_equal_their_definitions(n_users, n_items, seed):
    scores, positives, masked = random_problem(n_users, n_items, seed)
    ours = per_user_metrics(scores, positives, masked, ["Recall@3", "NDCG@3"])
    for user in range(n_users):
        visible = [item for item in range(n_items) if item not in masked[user]]
        ranked = sorted(visible, key=lambda item: -float(scores[user, item]))[:3]
        gains = [1.0 if item in positives[user] else 0.0 for item in ranked]
        ideal = sum(1 / math.log2(j + 2) for j in range(min(3, len(positives[user]))))
        dcg = sum(gain / math.log2(j + 2) for j, gain in enumerate(gains))
        assert ours["recall@3"][user] == pytest.approx(sum(gains) / len(positives[user]))
        assert ours["ndcg@3"][user] == pytest.approx(dcg / ideal)


def test_scores_stay_unchanged_and_a_user_without_positives_is_refused():
    scores = torch.tensor([[0.1, 0.9]])
    per_user_metrics(scores, [[0]], [[1]], ["recall@1"])
    assert scores.tolist() == torch.tensor([[0.1, 0.9]]).tolist()
    with pytest.raises(ValueError, match="at least one item"):
        per_user_metrics(scores, [[]], [[]], ["recall@1"])


@pytest.mark.parametrize("name", ["recal@5", "recall", "recall@0", "recall@x"])
def test_unknown_metrics_are_refused(name):
    with pytest.raises(InputError):
        per_user_metrics(torch.rand(1, 3), [[0]], [[]], [name])


def small_splits() -> Splits:
    def pairs(*items):
        users, things = zip(*items)
        return Interactions(torch.tensor(users), torch.tensor(things))

    return Splits(
        train=pairs((1, 1), (1, 2), (2, 3)),
        valid=pairs((1, 3), (2, 4)),
        test=pairs((1, 4), (2, 1), (2, 2)),
        n_users=3,
        n_items=6,
    )


def test_protocols_differ_by_the_validation_items_only():
    users = torch.tensor([[0.0], [1.0], [1.0]])
    items = torch.tensor([[9.0], [5.0], [4.0], [3.0], [2.0], [1.0]])  # padding scores best
    results = {}
    for protocol in ("mmrec", "recbole"):
        evaluated, values = evaluate_embeddings(
            users, items, small_splits(), "test", protocol, ["recall@1", "recall@2"], 1
        )
        assert evaluated.tolist() == [1, 2]
        results[protocol] = values
    # User 1 sees 3, 4, 5 under mmrec and 4, 5 under recbole; user 2 has 1, 2 best under both.
    assert results["mmrec"]["recall@1"].tolist() == [0.0, 0.5]
    assert results["recbole"]["recall@1"].tolist() == [1.0, 0.5]
    assert results["mmrec"]["recall@2"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("block", [1, 2, 100])
def test_block_size_does_not_change_a_value(block):
    generator = torch.Generator().manual_seed(0)
    users, items = torch.randn(3, 4, generator=generator), torch.randn(6, 4, generator=generator)
    names = ["recall@2", "ndcg@3"]
    _, values = evaluate_embeddings(users, items, small_splits(), "valid", "mmrec", names, block)
    _, reference = evaluate_embeddings(users, items, small_splits(), "valid", "mmrec", names, 7)
    for name in names:
        assert values[name].tolist() == reference[name].tolist()
