"""Normalised user-item graphs as sparse matrices."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor


def bipartite_adjacency(users: Tensor, items: Tensor, n_users: int, n_items: int) -> Tensor:
    """Returns A = D^-1/2 R D^-1/2 of the undirected user-item graph.

    Args:
        users, items: int64 [n_interactions]; a repeated pair counts once.
        n_users, n_items: sizes of the id spaces; users are nodes 0 ... n_users - 1, items follow.

    Returns:
        Sparse CSR float32 [n_users + n_items, n_users + n_items], symmetric; a node without
        interactions has an empty row.
    """
    keys = torch.unique(users * n_items + items)
    users, items = torch.div(keys, n_items, rounding_mode="floor"), keys % n_items
    user_degree = torch.bincount(users, minlength=n_users).double()
    item_degree = torch.bincount(items, minlength=n_items).double()
    values = (user_degree[users] * item_degree[items]).rsqrt().float()
    n_nodes = n_users + n_items
    # Item rows need their users in ascending order: a stable sort by item keeps it.
    by_item = torch.argsort(items, stable=True)
    columns = torch.cat([items + n_users, users[by_item]])
    degree = torch.cat([user_degree, item_degree]).long()
    offsets = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        # Valid by construction; saying so also silences torch's remark that nothing is checked.
        return torch.sparse_csr_tensor(
            offsets,
            columns,
            torch.cat([values, values[by_item]]),
            (n_nodes, n_nodes),
            check_invariants=False,
        )
