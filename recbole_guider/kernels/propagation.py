"""Propagation over constant graphs, with a backward that needs neither a transpose nor a sort."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def product(graph: Tensor, embeddings: Tensor) -> Tensor:
    """Returns A X without a gradient, float [n, d].

    On the CPU a sum of weighted rows per node is ``embedding_bag``, which is vectorised over the
    width where torch's CSR product is not (about 9 times faster for d = 64); each row is summed by
    one thread in the stored order, so the result does not depend on the number of threads.

    Args:
        graph: A, sparse CSR [n, m].
        embeddings: X, float [m, d], of A's dtype.
    """
    if embeddings.is_cuda:
        return graph @ embeddings
    return functional.embedding_bag(
        graph.col_indices(),
        embeddings.contiguous(),
        graph.crow_indices(),
        mode="sum",
        per_sample_weights=graph.values(),
        include_last_offset=True,
    )


class _Product(torch.autograd.Function):
    """A X, whose gradient in X is A^T times the output's gradient: a product of the same kind.

    So the gradient of the gradient is at hand too (A again), as cheap as the first one.
    """

    @staticmethod
    def forward(ctx: Any, graph: Tensor, transposed: Tensor, embeddings: Tensor) -> Tensor:
        ctx.graph, ctx.transposed = graph, transposed
        return product(graph, embeddings)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        return None, None, propagate(ctx.transposed, gradients[0], ctx.graph)


def propagate(graph: Tensor, embeddings: Tensor, transposed: Tensor | None = None) -> Tensor:
    """Returns A X, float [n, d].

    Args:
        graph: A, sparse CSR [n, m], constant: no gradient reaches it.
        embeddings: X, float [m, d].
        transposed: A^T, sparse CSR [m, n], for the gradient. It may be left out for a SYMMETRIC
            graph only; the gradient is wrong for any other.
    """
    backward = graph if transposed is None else transposed
    result: Tensor = _Product.apply(graph, backward, embeddings)  # type: ignore[no-untyped-call]
    return result


def light_gcn(adjacency: Tensor, embeddings: Tensor, layers: int) -> Tensor:
    """Returns the mean of X, A X, ..., A^L X, float [n, d] (LightGCN, Eq. 3-4).

    Args:
        adjacency: A, sparse CSR [n, n], symmetric.
        embeddings: X, float [n, d].
        layers: L.
    """
    total = layer = embeddings
    for _ in range(layers):
        layer = propagate(adjacency, layer)
        total = total + layer
    return total / (layers + 1)


def neighbour_sum(neighbours: Tensor, weights: Tensor, embeddings: Tensor) -> Tensor:
    """Returns sum_k w[b, k] X[neighbours[b, k]], float [b, d]: some rows of a sparse product.

    Args:
        neighbours: int64 [b, k].
        weights: w, float [b, k], constant.
        embeddings: X, float [n, d].
    """
    result: Tensor = _NeighbourSum.apply(  # type: ignore[no-untyped-call]
        neighbours, weights.to(embeddings.dtype), embeddings
    )
    return result


class _NeighbourSum(torch.autograd.Function):
    """``neighbour_sum``; torch's own cannot be differentiated twice and sorts more slowly."""

    @staticmethod
    def forward(ctx: Any, neighbours: Tensor, weights: Tensor, embeddings: Tensor) -> Tensor:
        ctx.neighbours, ctx.weights, ctx.size = neighbours, weights, len(embeddings)
        return functional.embedding_bag(
            neighbours, embeddings, mode="sum", per_sample_weights=weights
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        share: Tensor = _ShareOut.apply(  # type: ignore[no-untyped-call]
            ctx.neighbours, ctx.weights, gradients[0], ctx.size
        )
        return None, None, share


class _ShareOut(torch.autograd.Function):
    """The transpose: each of n nodes gets the sum of w[b, k] G[b] over where it is a neighbour."""

    @staticmethod
    def forward(
        ctx: Any, neighbours: Tensor, weights: Tensor, gradient: Tensor, size: int
    ) -> Tensor:
        ctx.neighbours, ctx.weights = neighbours, weights
        nodes = neighbours.flatten()
        # A stable order, so that a node's terms are added in the order of the batch.
        order = torch.argsort(nodes, stable=True)
        ends = torch.bincount(nodes, minlength=size).cumsum(0)
        return functional.embedding_bag(
            torch.div(order, neighbours.shape[1], rounding_mode="floor"),
            gradient.contiguous(),
            functional.pad(ends, (1, 0)),
            mode="sum",
            per_sample_weights=weights.flatten()[order],
            include_last_offset=True,
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor, None]:
        return None, None, neighbour_sum(ctx.neighbours, ctx.weights, gradients[0]), None
