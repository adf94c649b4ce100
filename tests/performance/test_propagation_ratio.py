"""Speed of propagation, forward and backward, against COO with autograd's own backward."""

from __future__ import annotations

import time

import pytest
import torch
from baby_sized import N_ITEMS, N_USERS, interactions
from best_of import best_step

from recbole_guider.kernels.adjacency import bipartite_adjacency
from recbole_guider.kernels.propagation import light_gcn

pytestmark = pytest.mark.performance


def coo_light_gcn(adjacency, X, layers):
    total = layer = X
    for _ in range(layers):
        layer = torch.sparse.mm(adjacency, layer)
        total = total + layer
    return total / (layers + 1)


def test_two_layers_against_coo():
    users, items = interactions()
    start = time.perf_counter()
    adjacency = bipartite_adjacency(users, items, N_USERS, N_ITEMS)
    built = time.perf_counter() - start
    X = torch.randn(N_USERS + N_ITEMS, 64, requires_grad=True)
    ours, our_gradient = best_step(7, lambda: light_gcn(adjacency, X, 2).sum(), X)
    plain = adjacency.to_sparse_coo().coalesce()
    coo, coo_gradient = best_step(7, lambda: coo_light_gcn(plain, X, 2).sum(), X)
    print(
        f"\n{len(adjacency.values())} entries, d = 64, 2 layers, forward and backward: build once "
        f"{built * 1e3:.0f} ms, ours {ours * 1e3:.0f} ms, COO {coo * 1e3:.0f} ms, "
        f"ratio {coo / ours:.1f}"
    )
    assert torch.allclose(our_gradient, coo_gradient, atol=1e-5)
