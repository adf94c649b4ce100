"""FREEDOM (Zhou and Shen, ACM MM 2023): a frozen item graph and a denoised user-item graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_guider.data.sampler import Batch
from recbole_guider.kernels.adjacency import bipartite_adjacency, sample_edges
from recbole_guider.model.base import BatchVectors, MultimodalRecommender, bpr_loss
from recbole_guider.model.id_graph import IdGraph
from recbole_guider.model.item_graph import frozen_item_graph, modality_weights
from recbole_guider.registry import backbone


@backbone
class FREEDOM(MultimodalRecommender):
    """Freezes the item-item graph of the contents and prunes the user-item graph.

    * Item graph (Eq. 1-3): S = sum_m w_m S_m, where S_m has 1 / ``knn_k`` at each of the
      ``knn_k`` items whose features are nearest by cosine, the item itself among them; made once,
      never learned.
    * User-item graph (Eq. 4-5): each epoch keeps a share 1 - ``dropout`` of the training
      interactions, drawn with probability proportional to 1 / sqrt(d_u d_i), and normalises what
      is left; evaluation sees all of them.
    * Representations (Eq. 6-8): h_u, h_i = LightGCN(ids);  h_i += S^L id_i;  s_ui = h_u . h_i.
    * Loss (Eq. 10-11): BPR + ``reg_weight`` * sum_m BPR(h_u . c_mi, h_u . c_mj), with the
      projected contents c_mi = W_m f_mi + b_m.

    What differs from the authors' code: raw features are frozen (``train_features: true`` trains
    them, as there; the graph is made of the initial features in both). The code knows no missing
    modality: here an item without one has no neighbours in it, and the weights w_m are divided
    among those that the item has; and a triple of which an item lacks m has no term for m in
    Eq. 11. So what is imputed changes nothing. The paper's L2 term is left out, as in the code.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.n_ui_layers: int = config["n_ui_layers"]
        self.n_mm_layers: int = config["n_mm_layers"]
        self.reg_weight: float = config["reg_weight"]
        self.dropout: float = config["dropout"]
        self.seed: int = config["seed"]
        size = self.embedding_size
        self.ids = IdGraph(self.splits, size)
        weights = modality_weights(config["modality_weights"], self.modalities)
        k: int = config["knn_k"]
        self.item_graph = frozen_item_graph(
            {name: dataset.item_neighbours(name, k) for name in self.modalities}, weights
        )
        self.projections = nn.ModuleDict(
            {name: nn.Linear(self.feature(name).shape[1], size) for name in self.modalities}
        )
        self.register_buffer("pruned", None, persistent=False)

    def on_epoch_start(self, epoch: int) -> None:
        """Draws the epoch's edges; a function of seed and epoch, so that a resumed run agrees."""
        if self.dropout == 0.0:
            return
        train = self.splits.train
        pairs = torch.unique(train.users * self.n_items + train.items)
        users, items = torch.div(pairs, self.n_items, rounding_mode="floor"), pairs % self.n_items
        sizes = self.n_users, self.n_items
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        kept = sample_edges(users, items, *sizes, 1.0 - self.dropout, generator)
        graph = bipartite_adjacency(users[kept], items[kept], *sizes)
        self.pruned = graph.to(self.ids.adjacency)

    def propagate(self) -> tuple[Tensor, Tensor]:
        """h_u over the user-item graph and h_i over both graphs."""
        graph = self.pruned if self.training and self.pruned is not None else None
        users, items = self.ids.propagate(self.n_ui_layers, graph)
        return users, items + self.item_graph.propagate(self.ids.items.weight, self.n_mm_layers)

    def auxiliary_loss(
        self, batch: Batch, users: Tensor, items: Tensor, vectors: BatchVectors
    ) -> Tensor:
        """BPR of the users' representations with the items' projected contents."""
        loss = users.new_zeros(())
        if self.reg_weight == 0.0:  # the projections would be computed for a gradient of zero
            return loss
        index = torch.cat([batch.positives, batch.negatives])
        distinct, place = torch.unique(index, return_inverse=True)
        for name, projection in self.projections.items():
            content = projection(functional.embedding(distinct, self.feature(name)))
            positive, negative = content[place].view(2, len(batch.users), -1)
            term = bpr_loss((vectors.users * positive).sum(-1), (vectors.users * negative).sum(-1))
            present = self.present(name)
            if present is not None:
                term = term * (present[batch.positives] & present[batch.negatives])
            loss = loss + term.mean()
        return self.reg_weight * loss
