"""MGCN (Yu et al., ACM MM 2023): contents purified by behaviour, then propagated view by view."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_guider.data.sampler import Batch
from recbole_guider.kernels.adjacency import interaction_matrix, transpose
from recbole_guider.kernels.contrast import info_nce
from recbole_guider.kernels.propagation import propagate
from recbole_guider.model.base import BatchVectors, MultimodalRecommender
from recbole_guider.model.id_graph import IdGraph
from recbole_guider.model.item_graph import ItemGraph, weighted_item_graph
from recbole_guider.registry import backbone


@backbone
class MGCN(MultimodalRecommender):
    """Purifies contents by behaviour, propagates each in its own view, fuses by behaviour.

    With f_mi the features of item i in modality m of M, and e the ID embeddings:

    * Purifier: m_i = e_i * sigmoid(G_m (W_m f_mi + b_m) + g_m).
    * Item view: m <- S_m^L m over the ``knn_k`` nearest items, weighted by their cosine;
      users take over what they bought, m_u = R m, with R the user-item block of A.
    * User-item view: content c = LightGCN(e), ``n_ui_layers`` layers.
    * Fuser, for users and items alike: shared = sum_m a_m m with a = softmax_m q . tanh(Q m + p);
      own_m = (m - shared) * sigmoid(P_m c + p_m);
      side = (shared + sum_m own_m) / (M + 1);  h = c + side;  s_ui = h_u . h_i.
    * Loss: BPR + ``cl_weight`` * ( NCE(side_i, c_i) + NCE(side_u, c_u) ) over the batch's users
      and positives + ``reg_weight`` * 1/2 (||h_u||^2 + ||h_i||^2 + ||h_j||^2) / batch size.

    Where paper and toolbox differ:

    * The paper adds the mean of the modalities' own parts to the shared one, shared +
      sum_m own_m / M; the toolbox, whose form published numbers use, takes the mean of all M + 1.
      ``fusion: shared_plus_mean`` is the paper's form, ``mean`` the toolbox's. They differ in
      scale and in how much the shared part counts.
    * The toolbox divides the L2 term by the configured batch size in the short last batch too;
      here it is a mean over the batch's real rows.
    * The toolbox trains the raw features (``train_features: true``); the paper does not.
    * A negative cosine, from which the toolbox may make a NaN, is no edge.

    With one modality shared = m and own = 0, so that the fuser has nothing to weigh and Q, q and P
    are left out: the model is c + m / 2 (c + m in the paper's form), with the purifier, both views
    and all losses.

    An item without modality m has neither neighbours nor a view there: its m is zero. The fuser
    weighs the views that a user or an item has, and M is their number; a zero vector would take
    attention, and its own part would be the shared one taken away. A user has the view if one of
    the user's items has it. Without any view h = c. So what is imputed changes nothing.
    """

    costly_rows = True

    user_item: Tensor
    item_user: Tensor
    user_views: Tensor | None
    item_views: Tensor | None

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.n_ui_layers: int = config["n_ui_layers"]
        self.n_mm_layers: int = config["n_mm_layers"]
        self.cl_weight: float = config["cl_weight"]
        self.temperature: float = config["temperature"]
        self.reg_weight: float = config["reg_weight"]
        self.fusion: str = config["fusion"]
        size, names = self.embedding_size, self.modalities
        self.ids = IdGraph(self.splits, size)
        k: int = config["knn_k"]
        self.item_graphs = nn.ModuleDict(
            {name: weighted_item_graph(dataset.item_neighbours(name, k)) for name in names}
        )
        train = self.splits.train
        bought = interaction_matrix(train.users, train.items, self.n_users, self.n_items)
        self.register_buffer("user_item", bought, persistent=False)
        self.register_buffer("item_user", transpose(bought), persistent=False)
        self.projections = nn.ModuleDict(
            {name: nn.Linear(self.feature(name).shape[1], size) for name in names}
        )
        self.gates = nn.ModuleDict({name: nn.Linear(size, size) for name in names})
        of_users, of_items = self._views()
        self.register_buffer("user_views", of_users, persistent=False)
        self.register_buffer("item_views", of_items, persistent=False)
        if len(names) > 1:
            self.query = nn.Sequential(
                nn.Linear(size, size), nn.Tanh(), nn.Linear(size, 1, bias=False)
            )
            self.preference = nn.Linear(size, len(names) * size)  # P_m of all modalities

    def _views(self) -> tuple[Tensor | None, Tensor | None]:
        """Which views users and items have, bool [n, M] each; None where nobody lacks one."""
        masks = [self.present(name) for name in self.modalities]
        if all(mask is None for mask in masks):
            return None, None
        everything = torch.ones(self.n_items, dtype=torch.bool)
        items = torch.stack([everything if mask is None else mask for mask in masks], dim=1)
        users = torch.zeros(self.n_users, len(masks), dtype=torch.bool)
        train = self.splits.train
        for place in range(len(masks)):
            users[train.users[items[train.items, place]], place] = True
        # Who has none at all has zeros for all of them, and any weights do.
        return users | ~users.any(1, keepdim=True), items | ~items.any(1, keepdim=True)

    def propagate(self) -> tuple[Tensor, Tensor]:
        """[c ; m_1 ; ... ; m_M] of all users and items, float [n, (1 + M) d]."""
        user_content, item_content = self.ids.propagate(self.n_ui_layers)
        item_views = torch.cat([self.item_view(name) for name in self.modalities], dim=1)
        user_views = propagate(self.user_item, item_views, self.item_user)
        users = torch.cat([user_content, user_views], dim=1)
        return users, torch.cat([item_content, item_views], dim=1)

    def item_view(self, name: str) -> Tensor:
        """The items' purified contents in one modality, smoothed over items that are alike."""
        content = self.projections[name](self.feature(name))
        purified = self.ids.items.weight * torch.sigmoid(self.gates[name](content))
        purified = self.content_or_zero(name, purified)
        graph = self.item_graphs[name]
        assert isinstance(graph, ItemGraph)
        return graph.propagate(purified, self.n_mm_layers)

    def user_vectors(self, users: Tensor, index: Tensor) -> Tensor:
        """h_u."""
        return self._fuse(functional.embedding(index, users), self.user_views, index)

    def item_vectors(self, items: Tensor, index: Tensor) -> Tensor:
        """h_i."""
        return self._fuse(functional.embedding(index, items), self.item_views, index)

    def _fuse(self, rows: Tensor, views_of: Tensor | None, index: Tensor) -> Tensor:
        """h = c + side, float [b, d], from rows of [c ; m_1 ; ... ; m_M]."""
        n_modalities = len(self.modalities)
        parts = rows.view(len(rows), 1 + n_modalities, self.embedding_size)
        content, views = parts[:, 0], parts[:, 1:]
        mean = self.fusion == "mean"
        if n_modalities == 1:
            return content + views[:, 0] / (2 if mean else 1)
        scores = self.query(views)
        number: Tensor | int = n_modalities
        if views_of is not None:
            there = functional.embedding(index, views_of)[:, :, None]
            scores = scores.masked_fill(~there, -torch.inf)
            number = there.sum(1)
        shared = (torch.softmax(scores, dim=1) * views).sum(1)
        preference = torch.sigmoid(self.preference(content)).view_as(views)
        own = (views - shared[:, None]) * preference
        own = (own if views_of is None else own * there).sum(1)
        if mean:
            return content + (shared + own) / (number + 1)
        return content + (shared + own / number)

    def auxiliary_loss(
        self, batch: Batch, users: Tensor, items: Tensor, vectors: BatchVectors
    ) -> Tensor:
        """Contrast of side and content on users and positives, and L2 on the scoring vectors."""
        squares = [part.square().sum() for part in vectors if part is not None]
        loss = self.reg_weight * 0.5 * torch.stack(squares).sum() / len(batch.users)
        if self.cl_weight == 0.0:
            return loss
        return loss + self.cl_weight * (
            self.contrast(users, batch.users, vectors.users)
            + self.contrast(items, batch.positives, vectors.positives)
        )

    def contrast(self, propagated: Tensor, index: Tensor, fused: Tensor) -> Tensor:
        """NCE(side, c) of the rows in ``index``, each once and counted, with side = h - c."""
        distinct, place, counts = torch.unique(index, return_inverse=True, return_counts=True)
        first = torch.empty_like(distinct).scatter_reduce_(
            0, place, torch.arange(len(index), device=index.device), "amin", include_self=False
        )
        content = functional.embedding(distinct, propagated[:, : self.embedding_size])
        return info_nce(fused[first] - content, content, self.temperature, counts)
