"""Speed of propagation, forward and backward, against COO with autograd's own backward."""

from __future__ import annotations

import time

import pytest
import torch

from recbole_guider.kernels.adjacency import bipartite_adjacency
from recbole_guider.kernels.propagation import light_gcn

pytestmark = pytest.mark.performance


def baby_sized():
    """19,445 users, 7,050 items, 118,551 interactions, popular items and heavy users."""
    generator = torch.Generator().manual_seed(0)
    n_users, n_items, n = 19_445, 7_050, 160_000
    users = (torch.rand(n, generator=generator) ** 2 * n_users).long()
    items = (torch.rand(n, generator=generator) ** 2 * n_items).long()
    keys = torch.unique(users * n_items + items)
    keys = keys[torch.randperm(len(keys), generator=generator)[:118_551]]
    return torch.div(keys, n_items, rounding_mode="floor"), keys % n_items, n_users, n_items


def coo_light_gcn(adjacency, X, layers):
    total = layer = X
    for _ in range(layers):
        layer = torch.sparse.mm(adjacency, layer)
        total = total + layer
    return total / (layers + 1)


def seconds(forward, adjacency, X, repeats=7):
    """Best of some training steps' forward and backward, and the last gradient."""
    best = float("inf")
    for _ in range(repeats):
        X.grad = None
        start = time.perf_counter()
        forward(adjacency, X, 2).sum().backward()
        best = min(best, time.perf_counter() - start)
    return best, X.grad


def test_two_layers_against_coo():
    users, items, n_users, n_items = baby_sized()
    start = time.perf_counter()
    adjacency = bipartite_adjacency(users, items, n_users, n_items)
    built = time.perf_counter() - start
    X = torch.randn(n_users + n_items, 64, requires_grad=True)
    ours, our_gradient = seconds(light_gcn, adjacency, X)
    coo, coo_gradient = seconds(coo_light_gcn, adjacency.to_sparse_coo().coalesce(), X)
    print(
        f"\n{len(adjacency.values())} entries, d = 64, 2 layers, forward and backward: build once "
        f"{built * 1e3:.0f} ms, ours {ours * 1e3:.0f} ms, COO {coo * 1e3:.0f} ms, "
        f"ratio {coo / ours:.1f}"
    )
    assert torch.allclose(our_gradient, coo_gradient, atol=1e-5)
