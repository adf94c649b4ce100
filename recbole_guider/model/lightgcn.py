"""LightGCN (He et al., SIGIR 2020)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recbole_guider.data.sampler import Batch
from recbole_guider.model.base import BatchVectors, MultimodalRecommender, embedding_norm
from recbole_guider.model.id_graph import IdGraph
from recbole_guider.registry import backbone


@backbone
class LightGCN(MultimodalRecommender):
    """Mean of the layers of a linear graph convolution over ID embeddings.

    E^(l+1) = A E^(l),  E = 1/(L+1) sum_l E^(l),  A = D^-1/2 (training interactions) D^-1/2,
    s_ui = e_u . e_i,  loss = BPR + reg_weight * ||ego rows of u, i, j||.

    It reads no modality: it is the ID-only reference and GUIDER's default teacher. As in RecBole
    and the MMRec toolbox the regulariser sums un-squared norms and divides by the batch size; the
    paper halves the squared norms, so values of ``reg_weight`` do not carry over from it.
    """

    uses_modalities = False

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.n_layers: int = config["n_layers"]
        self.reg_weight: float = config["reg_weight"]
        self.ids = IdGraph(self.splits, self.embedding_size)

    def propagate(self) -> tuple[Tensor, Tensor]:
        """Layer means of users and items (Eq. 3-4 of the paper with alpha_l = 1/(L+1))."""
        return self.ids.propagate(self.n_layers)

    def auxiliary_loss(
        self, batch: Batch, users: Tensor, items: Tensor, vectors: BatchVectors
    ) -> Tensor:
        """L2 on the ego embeddings of the batch."""
        ego = self.ids.items(batch.positives), self.ids.items(batch.negatives)
        return self.reg_weight * embedding_norm(self.ids.users(batch.users), *ego)
