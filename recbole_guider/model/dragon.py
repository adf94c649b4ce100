"""DRAGON (Zhou et al., ECAI 2023): dyadic relations and homogeneous graphs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_guider.data.sampler import Batch
from recbole_guider.kernels.adjacency import bipartite_adjacency
from recbole_guider.kernels.propagation import neighbour_sum, propagate
from recbole_guider.kernels.unit_rows import unit_rows
from recbole_guider.model.base import BatchVectors, MultimodalRecommender
from recbole_guider.model.item_graph import frozen_item_graph, modality_weights
from recbole_guider.registry import backbone


@backbone
class DRAGON(MultimodalRecommender):
    """Learns from the user-item graph of each modality, then from users alike and items alike.

    * Dyadic relations: per modality m, x_m has a user's preference p_um or an item's content
      MLP_m(f_im) in each row, scaled to length 1, and r_m = x_m + A x_m + ... + A^L x_m with A the
      normalised user-item graph and L = ``n_layers``.
    * Attentive concatenation: h_u = [w_u1 r_u1; w_u2 r_u2; ...], h_i = [r_i1; r_i2; ...]. The
      weights w_u start as a softmax over the modalities and are free afterwards.
    * Homogeneous graphs: h_u += sum_v s_uv h_v over the ``user_k`` users who share most training
      items with u, with s_u the softmax of how many they share; h_i += S^n h_i over FREEDOM's
      graph of the ``knn_k`` nearest items by content, with n = ``n_mm_layers``.
    * s_ui = h_u . h_i. No item has an id embedding.
    * Loss: BPR + ``reg_weight`` * (sum_m mean(p_um^2) over the batch's users + mean(w^2)).

    What differs from the toolbox:

    * It takes log2 in BPR, here as in the paper the natural logarithm: divide its ``reg_weight``
      by 1.4427 (= 1 / ln 2) to get the same balance. Its learning rate needs no change, because
      Adam does not see the loss' scale.
    * A user with fewer than ``user_k`` neighbours has the softmax over those there are. The
      toolbox fills the missing places anew each epoch with repetitions, which are weighted again:
      ``repeat_neighbours: true``. With ``user_aggregation: mean`` all neighbours weigh alike.
    * With a single modality the toolbox does not use the weights w; here one number scales a user.
    * It scores validation and test with the last batch's forward pass, so one step late, and the
      ids of its batches are shifted in place; neither is kept. Nor is what it declares and never
      uses: weight_i, MLP_v, MLP_t, MLP_user, image_trs, text_trs, trainable feature tables and
      the graphs with dropped edges.

    An item without modality m starts from x_m = 0, and gets what its users bring: MLP_m of anything
    imputed would be one learned direction that all such items share. It has no neighbours in m.
    So what is imputed changes nothing.
    """

    adjacency: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.n_layers: int = config["n_layers"]
        self.n_mm_layers: int = config["n_mm_layers"]
        self.reg_weight: float = config["reg_weight"]
        size, hidden = self.embedding_size, config["hidden_size"]
        self.preferences, self.contents = nn.ParameterDict(), nn.ModuleDict()
        for name in self.modalities:
            self.preferences[name] = nn.init.xavier_normal_(torch.empty(self.n_users, size))
            self.contents[name] = nn.Sequential(
                nn.Linear(self.feature(name).shape[1], hidden),
                nn.LeakyReLU(),
                nn.Linear(hidden, size),
            )
        weights = nn.init.xavier_normal_(torch.empty(self.n_users, len(self.modalities)))
        self.weight_u = nn.Parameter(weights.softmax(1))
        train = self.splits.train
        graph = bipartite_adjacency(train.users, train.items, self.n_users, self.n_items)
        self.register_buffer("adjacency", graph, persistent=False)
        k: int = config["knn_k"]
        self.item_graph = frozen_item_graph(
            {name: dataset.item_neighbours(name, k) for name in self.modalities},
            modality_weights(config["modality_weights"], self.modalities),
        )
        closest, shared = dataset.user_neighbours(config["user_k"])
        seed = config["seed"] if config["repeat_neighbours"] else None
        self.user_graph = UserGraph(closest, shared, config["user_aggregation"], seed)

    def on_epoch_start(self, epoch: int) -> None:
        """Draws the epoch's repetitions of neighbours, where they are asked for."""
        self.user_graph.repeat_neighbours(epoch)

    def propagate(self) -> tuple[Tensor, Tensor]:
        """h_u before and h_i after the homogeneous graphs, each [n, M * d]."""
        # All modalities stand side by side, so that each layer is one sparse product.
        users = [unit_rows(table) for table in self.preferences.values()]
        items = [
            self.content_or_zero(name, unit_rows(content(self.feature(name))))
            for name, content in self.contents.items()
        ]
        total = layer = torch.cat([torch.cat(users, dim=1), torch.cat(items, dim=1)])
        for _ in range(self.n_layers):
            layer = propagate(self.adjacency, layer)
            total = total + layer
        user_rows, item_rows = total.split([self.n_users, self.n_items])
        parts = user_rows.unflatten(1, (len(self.modalities), -1))
        weighted = (self.weight_u[:, :, None] * parts).flatten(1)
        return weighted, item_rows + self.item_graph.propagate(item_rows, self.n_mm_layers)

    def user_vectors(self, users: Tensor, index: Tensor) -> Tensor:
        """h_u after the user graph, of the users in ``index``."""
        return functional.embedding(index, users) + self.user_graph.aggregate(users, index)

    def auxiliary_loss(
        self, batch: Batch, users: Tensor, items: Tensor, vectors: BatchVectors
    ) -> Tensor:
        """Mean squares of the batch's preferences, per modality, and of all users' weights."""
        squares = self.weight_u.square().mean()
        for table in self.preferences.values():
            squares = squares + functional.embedding(batch.users, table).square().mean()
        return self.reg_weight * squares


class UserGraph(nn.Module):
    """The users who share most items with each user, and how much each of them counts.

    Args:
        closest: int64 [n_users, k], the neighbours of each user, strongest first.
        shared: int64 [n_users, k], how many items each shares; 0 where there is no neighbour.
        aggregation: ``softmax`` of the numbers of shared items, or ``mean``.
        seed: None leaves missing places empty; otherwise ``repeat_neighbours`` fills them.
    """

    closest: Tensor
    shared: Tensor
    neighbours: Tensor
    weights: Tensor

    def __init__(self, closest: Tensor, shared: Tensor, aggregation: str, seed: int | None) -> None:
        super().__init__()
        self.aggregation, self.seed, self.epoch = aggregation, seed, -1
        self.register_buffer("closest", closest, persistent=False)
        self.register_buffer("shared", shared, persistent=False)
        self.register_buffer("neighbours", closest, persistent=False)
        self.register_buffer("weights", neighbour_weights(shared, aggregation), persistent=False)

    def aggregate(self, users: Tensor, index: Tensor) -> Tensor:
        """Returns sum_v s_uv h_v of the users u in ``index``, [b, d], from all users' h."""
        return neighbour_sum(self.neighbours[index], self.weights[index], users)

    def repeat_neighbours(self, epoch: int) -> None:
        """Fills missing places with neighbours drawn for this epoch; -1 leaves them empty.

        As in the toolbox, each place in turn repeats one drawn from all before it, repetitions
        included; what comes up early is likely to come up again. The draw is a function of seed
        and epoch, so that a resumed run agrees.
        """
        if self.seed is None:
            return
        self.epoch = epoch
        n_users, k = self.shared.shape
        place = torch.arange(k).repeat(n_users, 1)
        if epoch >= 0:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            draws = torch.rand(n_users, k, dtype=torch.double, generator=generator)
            drawn = (draws * torch.arange(k)).long()
            present = (self.shared > 0).cpu()
            for column in range(1, k):
                earlier = place.gather(1, drawn[:, column, None])[:, 0]
                place[:, column] = torch.where(present[:, column], place[:, column], earlier)
        place = place.to(self.closest.device)
        self.neighbours = self.closest.gather(1, place)
        weights = neighbour_weights(self.shared.gather(1, place), self.aggregation)
        self.weights = weights.to(self.weights)

    def get_extra_state(self) -> Tensor:
        """The epoch whose draw is in use: weights are evaluated with the draw of their epoch."""
        return torch.tensor(self.epoch)

    def set_extra_state(self, state: Tensor) -> None:
        """Draws again what was in use when the weights were saved."""
        self.repeat_neighbours(int(state))


def neighbour_weights(shared: Tensor, aggregation: str) -> Tensor:
    """Returns the weights of each user's neighbours; they sum to 1, or to 0 where there are none.

    Args:
        shared: int64 [n_users, k], how many items each neighbour shares; 0 where there is none.
        aggregation: ``softmax`` of these numbers, or ``mean``: all neighbours weigh alike.
    """
    present = shared > 0
    scores = shared.double() if aggregation == "softmax" else torch.zeros_like(shared).double()
    # A row without neighbours is all -inf, whose softmax is undefined.
    weights = scores.masked_fill(~present, -torch.inf).softmax(1)
    return weights.masked_fill(~present, 0.0).float()
