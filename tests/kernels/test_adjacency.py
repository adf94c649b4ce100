from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_guider.kernels.adjacency import bipartite_adjacency


def dense_reference(pairs, n_users, n_items):
    """D^-1/2 A D^-1/2 written out, isolated nodes left at 0."""
    edges = torch.zeros(n_users + n_items, n_users + n_items, dtype=torch.float64)
    for user, item in pairs:
        edges[user, n_users + item] = edges[n_users + item, user] = 1.0
    scale = edges.sum(1).pow(-0.5)
    scale[edges.sum(1) == 0] = 0.0
    return scale[:, None] * edges * scale


def as_tensors(pairs):
    table = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), max_size=40))
def test_equals_the_dense_form_with_duplicates_in_any_order(pairs):
    adjacency = bipartite_adjacency(*as_tensors(pairs), 6, 8)
    assert torch.allclose(adjacency.to_dense().double(), dense_reference(pairs, 6, 8), atol=1e-6)


def test_values_by_hand():
    # User 0 has two items, user 1 one; item 0 has two users, item 1 one; the rest have none.
    users, items = torch.tensor([0, 0, 1, 0]), torch.tensor([0, 1, 0, 0])
    adjacency = bipartite_adjacency(users, items, 3, 3)
    assert adjacency.shape == (6, 6)
    assert adjacency.dtype == torch.float32
    assert adjacency.layout == torch.sparse_csr
    dense = adjacency.to_dense()
    assert dense[0, 3].item() == pytest.approx(1 / 2)
    assert dense[0, 4].item() == pytest.approx(2**-0.5)
    assert dense[1, 3].item() == pytest.approx(2**-0.5)
    assert torch.equal(dense, dense.T)
    assert (dense[[2, 5]] == 0).all()


def test_rows_are_valid_csr_with_ascending_columns():
    generator = torch.Generator().manual_seed(0)
    users = torch.randint(0, 50, (400,), generator=generator)
    items = torch.randint(0, 60, (400,), generator=generator)
    adjacency = bipartite_adjacency(users, items, 50, 60)
    offsets, columns = adjacency.crow_indices(), adjacency.col_indices()
    torch.sparse_csr_tensor(
        offsets, columns, adjacency.values(), adjacency.shape, check_invariants=True
    )
    inside = torch.ones(len(columns), dtype=torch.bool)
    inside[offsets[:-1][offsets[:-1] < len(columns)]] = False
    assert (columns.diff()[inside[1:]] > 0).all()


def test_heavy_degrees_are_finite():
    # A product of two degrees beyond int32 and beyond float32's exact integers.
    n = 70_000
    users = torch.cat([torch.zeros(n, dtype=torch.long), torch.arange(n)])
    items = torch.cat([torch.arange(n), torch.zeros(n, dtype=torch.long)])
    adjacency = bipartite_adjacency(users, items, n, n)
    assert adjacency.values().isfinite().all()
    assert float(adjacency.values().min()) == pytest.approx(1 / n)


def test_no_interactions_give_an_empty_matrix_without_a_warning():
    nothing = torch.empty(0, dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adjacency = bipartite_adjacency(nothing, nothing, 2, 3)
    assert adjacency.shape == (5, 5)
    assert len(adjacency.values()) == 0
