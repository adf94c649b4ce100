from __future__ import annotations

import pytest
import torch

from recbole_guider.kernels.adjacency import bipartite_adjacency
from recbole_guider.kernels.propagation import light_gcn, propagate


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
