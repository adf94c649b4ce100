"""BM3 (Zhou et al., WWW 2023): bootstrapped multi-modal recommendation without negatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_guider.data.sampler import Batch
from recbole_guider.model.base import BatchVectors, MultimodalRecommender, embedding_norm
from recbole_guider.model.id_graph import IdGraph
from recbole_guider.registry import backbone


def alignment(online: Tensor, target: Tensor) -> Tensor:
    """1 - cosine of matching rows, float [b] in [0, 2]."""
    return 1.0 - functional.cosine_similarity(online, target, dim=-1)


@backbone
class BM3(MultimodalRecommender):
    """Aligns a predictor's view of one side with a dropped-out, detached view of the other.

    h_u, h_i = LightGCN(ids), h_i += id_i;  o = predictor(h), t = dropout(h) without gradient:

    * user-item term, per interaction:  [1 - cos(o_u, t_i)] + [1 - cos(o_i, t_u)]
    * per modality m with x_m = W_m f:  [1 - cos(predictor(x_m), t_i)] + [1 - cos(predictor(x_m),
      dropout(x_m))], weighted by ``cl_weight``
    * ``reg_weight`` * (||h_users|| + ||h_items||) / n_items

    s_ui = predictor(h_u) . predictor(h_i). There is no ranking term: the user-item term is the
    per-sample term that methods drop or reweight. The paper has no ``cl_weight`` and squares the
    norms; the toolbox form is kept because published numbers use it. The toolbox trains the raw
    feature table too (``train_features: true``), which no paper describes.

    Every row of the batch draws masks of its own, and the modalities' terms others, where the
    toolbox draws one for a whole table.

    An interaction whose item lacks modality m has no term for m: x_m would align the item with what
    was imputed. Representations do not read contents, so that what is imputed changes nothing.
    """

    has_ranking_term = False
    costly_rows = True

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.n_layers: int = config["n_layers"]
        self.reg_weight: float = config["reg_weight"]
        self.cl_weight: float = config["cl_weight"]
        self.dropout: float = config["dropout"]
        size = self.embedding_size
        self.ids = IdGraph(self.splits, size)
        self.predictor = nn.Linear(size, size)
        nn.init.xavier_normal_(self.predictor.weight)
        self.projections = nn.ModuleDict()
        for name in self.modalities:
            projection = nn.Linear(self.feature(name).shape[1], size)
            nn.init.xavier_normal_(projection.weight)
            self.projections[name] = projection

    def propagate(self) -> tuple[Tensor, Tensor]:
        """h_u and h_i: layer means, with the item's own embedding added once more."""
        users, items = self.ids.propagate(self.n_layers)
        return users, items + self.ids.items.weight

    def user_vectors(self, users: Tensor, index: Tensor) -> Tensor:
        """predictor(h_u)."""
        return self.predictor(functional.embedding(index, users))  # type: ignore[no-any-return]

    def item_vectors(self, items: Tensor, index: Tensor) -> Tensor:
        """predictor(h_i)."""
        return self.predictor(functional.embedding(index, items))  # type: ignore[no-any-return]

    def target(self, rows: Tensor) -> Tensor:
        """The detached, dropped-out view that the online side is aligned with."""
        rows = rows.detach()
        if not self.training or self.dropout == 0.0:
            return rows
        kept = torch.rand_like(rows) >= self.dropout  # three times faster than Bernoulli draws
        return rows * kept / (1.0 - self.dropout)

    def positive_term(
        self, batch: Batch, users: Tensor, items: Tensor, vectors: BatchVectors
    ) -> Tensor:
        """User-item alignment of each interaction, float [b] in [0, 4]."""
        user_target = self.target(users[batch.users])
        item_target = self.target(items[batch.positives])
        return alignment(vectors.users, item_target) + alignment(vectors.positives, user_target)

    def auxiliary_loss(
        self, batch: Batch, users: Tensor, items: Tensor, vectors: BatchVectors
    ) -> Tensor:
        """Inter- and intra-modality alignment, and the norm of all representations.

        Both are means over the batch's interactions, taken over its distinct items weighted by
        how often each occurs.
        """
        distinct, count = torch.unique(batch.positives, return_counts=True)
        weight = self.cl_weight * count / len(batch.positives)
        item_target = self.target(items[distinct])
        loss = self.reg_weight * embedding_norm(users, items)
        for name in self.modalities:
            rows, share, target = distinct, weight, item_target
            present = self.present(name)
            if present is not None:
                having = present[distinct]
                rows, share, target = rows[having], share[having], target[having]
            content = self.projections[name](functional.embedding(rows, self.feature(name)))
            online = self.predictor(content)
            between = alignment(online, target)
            within = alignment(online, self.target(content))
            loss = loss + (share * (between + within)).sum()
        return loss
