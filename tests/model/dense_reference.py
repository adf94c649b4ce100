"""Slow, dense readings of equations that several backbones share."""

from __future__ import annotations

import math

import pytest
import torch

ONE, TWO, THREE = {"text": 5}, {"text": 5, "image": 7}, {"text": 5, "image": 7, "audio": 3}


def dense_adjacency(splits) -> torch.Tensor:
    """D^-1/2 A D^-1/2, entry by entry."""
    n = splits.n_users + splits.n_items
    a = torch.zeros(n, n, dtype=torch.float64)
    for user, item in zip(splits.train.users.tolist(), splits.train.items.tolist()):
        a[user, splits.n_users + item] = a[splits.n_users + item, user] = 1.0
    degree = a.sum(1)
    for row in range(n):
        for column in range(n):
            if a[row, column]:
                a[row, column] = 1.0 / math.sqrt(degree[row] * degree[column])
    return a


def layer_mean(splits, users, items, n_layers):
    a = dense_adjacency(splits)
    ego = torch.cat([users, items])
    layers = [torch.linalg.matrix_power(a, power) @ ego for power in range(n_layers + 1)]
    mean = sum(layers) / (n_layers + 1)
    return mean[: splits.n_users], mean[splits.n_users :]


def bpr(users, items, batch):
    margin = (users[batch.users] * (items[batch.positives] - items[batch.negatives])).sum(1)
    return -torch.log(torch.sigmoid(margin)).mean()


def cosine(a, b):
    return (a * b).sum(1) / (a.pow(2).sum(1).sqrt() * b.pow(2).sum(1).sqrt())


def dense_item_graph(model, shares, missing, k):
    """Row i has w_m / k on each of the k items nearest to i in modality m."""
    graph = torch.zeros(model.n_items, model.n_items, dtype=torch.double)
    for item in range(1, model.n_items):
        own = [name for name in shares if item not in missing.get(name, [])]
        for name in own:
            known = [j for j in range(1, model.n_items) if j not in missing.get(name, [])]
            rows = model.feature(name)[known]
            similarity = cosine(model.feature(name)[item].expand_as(rows), rows)
            for place in similarity.argsort(descending=True)[:k].tolist():
                share = shares[name] / sum(shares[other] for other in own)
                graph[item, known[place]] += share / k
    return graph


def has_content(model, name, missing):
    """1 where an item has the modality, [n_items, 1]; padding has none where an item lacks it."""
    lacking = missing.get(name, [])
    column = [float(item not in (0, *lacking)) if lacking else 1.0 for item in range(model.n_items)]
    return torch.tensor(column, dtype=torch.double)[:, None]


def assert_same_loss_and_gradients(model, loss, reference):
    parameters = dict(model.named_parameters())
    ours = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True)
    theirs = torch.autograd.grad(reference, list(parameters.values()))
    assert loss.item() == pytest.approx(reference.item(), abs=1e-6)
    for name, a, b in zip(parameters, ours, theirs):
        assert torch.allclose(a, b, atol=1e-6, rtol=1e-5), name
