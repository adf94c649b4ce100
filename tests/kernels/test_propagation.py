from __future__ import annotations

import pytest
import torch

from recbole_guider.kernels.adjacency import (
    bipartite_adjacency,
    interaction_matrix,
    row_means,
    transpose,
)
from recbole_guider.kernels.propagation import light_gcn, neighbour_sum, propagate


def graph(n_users=7, n_items=9, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    users, items = (torch.rand(n_users, n_items, generator=generator) < 0.4).nonzero().T
    return bipartite_adjacency(users, items, n_users, n_items).to(dtype)


def embeddings(n=16, width=3, dtype=torch.float64):
    values = torch.randn(n, width, generator=torch.Generator().manual_seed(4), dtype=dtype)
    return values.requires_grad_()


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_product_equals_the_dense_product(dtype, error):
    adjacency, X = graph(dtype=dtype), embeddings(dtype=dtype)
    product = propagate(adjacency, X)
    assert product.dtype == dtype
    assert torch.allclose(product, adjacency.to_dense() @ X, atol=error)


def test_gradient_is_that_of_the_product():
    adjacency, X = graph(), embeddings()
    assert torch.autograd.gradcheck(lambda x: propagate(adjacency, x), X)
    # The check above cannot tell A from A^T; a product that is not A X would pass as well.
    weight = torch.arange(48.0, dtype=torch.float64).reshape(16, 3)
    (gradient,) = torch.autograd.grad((propagate(adjacency, X) * weight).sum(), X)
    assert torch.allclose(gradient, adjacency.to_dense().T @ weight)


def test_gradient_needs_no_contiguous_input():
    adjacency, X = graph(), embeddings()
    plain, strided = X.detach().clone().requires_grad_(), X.detach().T.clone().requires_grad_()
    propagate(adjacency, plain).T.sum(0).pow(2).sum().backward()
    propagate(adjacency, strided.T).T.sum(0).pow(2).sum().backward()
    assert torch.allclose(plain.grad, strided.grad.T)
    # An expanded gradient, as .sum() alone gives.
    X.grad = None
    propagate(adjacency, X).sum().backward()
    assert torch.allclose(X.grad, (adjacency.to_dense() @ torch.ones_like(X)))


@pytest.mark.parametrize("values", [lambda graph: graph, row_means])
def test_directed_gradient_is_that_of_the_product(values):
    generator = torch.Generator().manual_seed(3)
    users, items = (torch.rand(7, 9, generator=generator) < 0.4).nonzero().T
    matrix = values(interaction_matrix(users, items, 7, 9)).double()
    X, turned = embeddings(matrix.shape[1]), transpose(matrix)
    assert torch.allclose(propagate(matrix, X, turned), matrix.to_dense() @ X)
    assert torch.autograd.gradcheck(lambda x: propagate(matrix, x, turned), X)
    weight = torch.rand(matrix.shape[0], 3, dtype=torch.double)
    (gradient,) = torch.autograd.grad((propagate(matrix, X, turned) * weight).sum(), X)
    assert torch.allclose(gradient, matrix.to_dense().T @ weight)


def test_result_does_not_depend_on_the_number_of_threads():
    adjacency, X = graph(300, 400, torch.float32), embeddings(700, 64, torch.float32)
    alone = propagate(adjacency, X)
    torch.set_num_threads(2)
    try:
        together = propagate(adjacency, X)
    finally:
        torch.set_num_threads(1)
    assert torch.equal(alone, together)


def test_neighbour_sum_is_a_sum_over_neighbours():
    X = embeddings()
    neighbours = torch.tensor([[0, 3, 3], [5, 15, 0]])
    weights = torch.tensor([[0.5, 1.0, 2.0], [0.0, -1.0, 0.25]], dtype=torch.double)
    expected = torch.stack([0.5 * X[0] + 3.0 * X[3], 0.25 * X[0] - X[15]])
    assert torch.allclose(neighbour_sum(neighbours, weights, X), expected)
    assert torch.autograd.gradcheck(lambda x: neighbour_sum(neighbours, weights, x), X)
    weight = torch.rand(2, 3, dtype=torch.double)
    (ours,) = torch.autograd.grad((neighbour_sum(neighbours, weights, X) * weight).sum(), X)
    (plain,) = torch.autograd.grad(((X[neighbours] * weights[:, :, None]).sum(1) * weight).sum(), X)
    assert torch.allclose(ours, plain)


def test_gradients_have_gradients():
    """What a loss on gradients needs (gradient matching); cubed, so that they depend on X."""
    adjacency, X = graph(), embeddings()
    users, items = (adjacency.to_dense()[:7, 7:] > 0).nonzero().T
    directed = row_means(interaction_matrix(users, items, 7, 9)).double()
    Y, turned = embeddings(9), transpose(directed)
    neighbours = torch.tensor([[0, 3, 3], [5, 15, 0]])
    weights = torch.tensor([[0.5, 1.0, 2.0], [0.0, -1.0, 0.25]], dtype=torch.double)
    check = torch.autograd.gradgradcheck
    assert check(lambda x: light_gcn(adjacency, x, 2).pow(3), X)
    assert check(lambda y: propagate(directed, y, turned).pow(3), Y)
    assert check(lambda x: neighbour_sum(neighbours, weights, x).pow(3), X)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gradients_of_gradients_on_cuda():
    def twice(adjacency, x):
        (first,) = torch.autograd.grad(
            light_gcn(adjacency, x, 2).pow(3).sum(), x, create_graph=True
        )
        (second,) = torch.autograd.grad(first.pow(2).sum(), x)
        return second.cpu()

    adjacency, X = graph(), embeddings()
    there = X.detach().cuda().requires_grad_()
    assert torch.allclose(twice(adjacency.cuda(), there), twice(adjacency, X))


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_light_gcn_is_the_mean_of_the_layers(layers):
    adjacency, X = graph(), embeddings()
    dense = adjacency.to_dense()
    powers = [torch.linalg.matrix_power(dense, power) @ X for power in range(layers + 1)]
    assert torch.allclose(light_gcn(adjacency, X, layers), torch.stack(powers).mean(0))
    assert torch.autograd.gradcheck(lambda x: light_gcn(adjacency, x, layers), X)


def test_without_gradients():
    adjacency, X = graph(), embeddings()
    with torch.no_grad():
        quiet = light_gcn(adjacency, X, 2)
    assert not quiet.requires_grad
    assert torch.equal(quiet, light_gcn(adjacency, X, 2).detach())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu():
    adjacency, X = graph(dtype=torch.float32), embeddings(dtype=torch.float32)
    there = X.detach().cuda().requires_grad_()
    light_gcn(adjacency.cuda(), there, 2).pow(2).sum().backward()
    light_gcn(adjacency, X, 2).pow(2).sum().backward()
    assert torch.allclose(there.grad.cpu(), X.grad, atol=1e-5)
