"""ID embeddings and their linear convolution over the user-item graph, as in LightGCN."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recbole_guider.data.splits import Splits
from recbole_guider.kernels.adjacency import bipartite_adjacency
from recbole_guider.kernels.propagation import light_gcn


class IdGraph(nn.Module):
    """User and item embeddings over the graph of the training interactions.

    E^(l+1) = A E^(l),  E = 1/(L+1) sum_l E^(l),  A = D^-1/2 (training interactions) D^-1/2.

    Args:
        splits: the data set's interactions; only those of training make the graph.
        size: width of the embeddings.
    """

    adjacency: Tensor

    def __init__(self, splits: Splits, size: int) -> None:
        super().__init__()
        self.n_users, self.n_items = splits.n_users, splits.n_items
        self.users = nn.Embedding(self.n_users, size)
        self.items = nn.Embedding(self.n_items, size)
        nn.init.xavier_uniform_(self.users.weight)
        nn.init.xavier_uniform_(self.items.weight)
        self.register_buffer("adjacency", None, persistent=False)
        self.use(splits.train.users, splits.train.items)

    def use(self, users: Tensor, items: Tensor) -> None:
        """Makes A of these interactions, int64 [n] each, from now on."""
        graph = bipartite_adjacency(users, items, self.n_users, self.n_items)
        self.adjacency = graph.to(self.users.weight.device)

    def propagate(self, n_layers: int, graph: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Layer means of users [n_users, size] and items [n_items, size].

        Args:
            n_layers: L.
            graph: symmetric, to propagate over instead of A; a pruned one, for instance.
        """
        ego = torch.cat([self.users.weight, self.items.weight])
        mean = light_gcn(self.adjacency if graph is None else graph, ego, n_layers)
        users, items = mean.split([self.n_users, self.n_items])
        return users, items
