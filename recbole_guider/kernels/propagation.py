"""Propagation over a symmetric graph, with the matrix itself as its own backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _SymmetricProduct(torch.autograd.Function):
    """A X for A = A^T: the gradient of X is A times the output's gradient, no transpose."""

    @staticmethod
    def forward(ctx: Any, adjacency: Tensor, embeddings: Tensor) -> Tensor:
        ctx.adjacency = adjacency
        return adjacency @ embeddings

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, ctx.adjacency @ gradients[0]


def propagate(adjacency: Tensor, embeddings: Tensor) -> Tensor:
    """Returns A X, float [n, d].

    Args:
        adjacency: sparse CSR [n, n], SYMMETRIC and constant: no gradient reaches it, and the
            gradient of X is wrong for any other matrix.
        embeddings: X, float [n, d].
    """
    product: Tensor = _SymmetricProduct.apply(adjacency, embeddings)  # type: ignore[no-untyped-call]
    return product


def light_gcn(adjacency: Tensor, embeddings: Tensor, layers: int) -> Tensor:
    """Returns the mean of X, A X, ..., A^L X, float [n, d] (LightGCN, Eq. 3-4)."""
    total = layer = embeddings
    for _ in range(layers):
        layer = propagate(adjacency, layer)
        total = total + layer
    return total / (layers + 1)
