"""VBPR (He and McAuley, AAAI 2016), in the multi-modal form of the MMRec toolbox."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_guider.data.sampler import Batch
from recbole_guider.model.base import BatchVectors, MultimodalRecommender, embedding_norm
from recbole_guider.registry import backbone


@backbone
class VBPR(MultimodalRecommender):
    """Matrix factorisation with a second half of each item that its content determines.

    item_i = [q_i ; W f_i + b],  s_ui = p_u . item_i with p_u twice as wide,
    loss = BPR + reg_weight * ||p_u, item_i, item_j||.

    f_i concatenates all modalities in their configured order, text first in the papers. The
    original model is image-only and has bias terms and one regulariser per group; this is the form
    behind the numbers that GUIDER and DA-MRS report.

    An item without a modality has the imputed row for f_i there, since one map reads all modalities
    together: zeros take nothing from that modality, the mean makes the item an average one.
    """

    reads_imputed = True
    costly_rows = True

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.reg_weight: float = config["reg_weight"]
        self.user_embedding = nn.Embedding(self.n_users, 2 * self.embedding_size)
        self.item_embedding = nn.Embedding(self.n_items, self.embedding_size)
        width = sum(self.feature(name).shape[1] for name in self.modalities)
        self.projection = nn.Linear(width, self.embedding_size)
        nn.init.xavier_uniform_(self.user_embedding.weight)
        nn.init.xavier_uniform_(self.item_embedding.weight)
        nn.init.xavier_normal_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def propagate(self) -> tuple[Tensor, Tensor]:
        """ID embeddings; VBPR has no graph."""
        return self.user_embedding.weight, self.item_embedding.weight

    def item_vectors(self, items: Tensor, index: Tensor) -> Tensor:
        """[q_i ; W f_i + b] for the items in ``index``."""
        content = torch.cat(
            [functional.embedding(index, self.feature(name)) for name in self.modalities], dim=1
        )
        return torch.cat([functional.embedding(index, items), self.projection(content)], dim=1)

    def auxiliary_loss(
        self, batch: Batch, users: Tensor, items: Tensor, vectors: BatchVectors
    ) -> Tensor:
        """L2 on the scoring vectors of the batch."""
        rows = [part for part in vectors if part is not None]
        return self.reg_weight * embedding_norm(*rows)
