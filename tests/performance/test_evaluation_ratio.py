"""Speed of a full-ranking evaluation against a loop over users, on Baby size."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from baby_sized import N_ITEMS, N_USERS, dataset
from best_of import best_of

from recbole_guider.allocator import keep_freed_memory
from recbole_guider.evaluator.ranking import evaluate_embeddings

pytestmark = pytest.mark.performance

METRICS = ["recall@5", "recall@20", "ndcg@5", "ndcg@20"]


def loop_over_users(users, items, splits):
    """Scores in blocks of 4,096 users, hits and metrics one user at a time, as toolboxes do."""
    seen = [[] for _ in range(N_USERS)]
    for user, item in zip(splits.train.users.tolist(), splits.train.items.tolist()):
        seen[user].append(item)
    wanted = [set() for _ in range(N_USERS)]
    for user, item in zip(splits.valid.users.tolist(), splits.valid.items.tolist()):
        wanted[user].add(item)
    values = []
    for block in torch.arange(1, N_USERS).split(4096):
        scores = users[block] @ items.T
        scores[:, 0] = -torch.inf
        for row, user in enumerate(block.tolist()):
            scores[row, seen[user]] = -torch.inf
        for user, ranked in zip(block.tolist(), torch.topk(scores, 20).indices.tolist()):
            hits = [item in wanted[user] for item in ranked]
            row = []
            for k in (5, 20):
                row.append(sum(hits[:k]) / len(wanted[user]))
            for k in (5, 20):
                gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(hits[:k]) if hit)
                best = sum(1 / math.log2(place + 2) for place in range(min(k, len(wanted[user]))))
                row.append(gain / best)
            values.append(row)
    return np.array(values)


def test_evaluation_against_a_loop_over_users():
    splits = dataset().splits
    generator = torch.Generator().manual_seed(5)
    users = torch.randn(N_USERS, 64, generator=generator)
    items = torch.randn(N_ITEMS, 64, generator=generator)
    looped, expected = best_of(1, lambda: loop_over_users(users, items, splits))
    keep_freed_memory()
    ours, (_, values) = best_of(
        3, lambda: evaluate_embeddings(users, items, splits, "valid", "mmrec", METRICS, 256)
    )
    print(
        f"\n{N_USERS - 1} users, {N_ITEMS} items: {ours:.2f} s, loop over users {looped:.2f} s, "
        f"ratio {looped / ours:.1f}"
    )
    np.testing.assert_allclose(np.stack([values[name] for name in METRICS], 1), expected)
