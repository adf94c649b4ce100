"""MMGCN (Wei et al., ACM MM 2019): one graph convolution network per modality."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_guider.data.sampler import Batch
from recbole_guider.data.splits import Interactions
from recbole_guider.kernels.adjacency import interaction_matrix, row_means, transpose
from recbole_guider.kernels.propagation import propagate
from recbole_guider.kernels.unit_rows import unit_rows
from recbole_guider.model.base import BatchVectors, MultimodalRecommender
from recbole_guider.registry import backbone


@backbone
class MMGCN(MultimodalRecommender):
    """Learns what users prefer in each modality by messages over the user-item graph.

    For each modality m, with A the mean over a node's neighbours (zero where it has none) and id
    an embedding of every node that the modalities share:

    * x = [p_m; f_m] with rows of norm 1: the users' preferences and the items' features.
    * ``n_layers`` times:
      aggregation  h = LeakyReLU(A x W_1);  own view  o = LeakyReLU(W_2 x) + id;
      combination  x = LeakyReLU(W_3 [h ; o]),  or LeakyReLU(W_3 h + o) with ``combine: add``.
    * h_u, h_i = mean over the modalities of the last x;  s_ui = h_u . h_i.
    * Loss: BPR + ``reg_weight`` * (mean of the squared ids of the batch's users, positives and
      negatives + sum_m mean of p_m^2). Means are over coordinates; positives and negatives
      together weigh what the users weigh.

    Where paper and MMRec toolbox differ, or either from this class:

    * Toolbox and authors' code hold p_m and id in plain tensors: they stay random, and
      ``reg_weight`` does nothing. Here they are trained, as the paper means;
      ``train_preferences: false`` leaves them constant.
    * The toolbox sets the additive combination by the text 'False', which is true: it
      concatenates. So does ``combine: concat``, the default; the paper has both forms.
    * The toolbox maps images (4,096 wide) to 256 before all else and takes text (384) as it is;
      the paper maps neither. Here the width decides: a modality wider than
      ``project_wider_than`` is mapped to ``projected_width``; null maps none.
    * The paper sums the modalities; the toolbox takes their mean, as here.
    * The toolbox's penalty has the preferences for images only; here those of every modality.
      The paper's is the norm of all parameters (``weight_decay``).
    * The toolbox always has three layers, and evaluates what the last training batch propagated;
      here there are ``n_layers``, and evaluation uses the current parameters.

    An item without modality m starts from x = 0, and the users' first mean is over their items that
    have m: zeros would shorten it, and the map of anything imputed would be one learned direction
    that all such items share. From the second layer on its x is what its users and its id bring.
    So what is imputed changes nothing.
    """

    costly_rows = True
    ids: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.reg_weight: float = config["reg_weight"]
        self.train_preferences: bool = config["train_preferences"]
        limit: int | None = config["project_wider_than"]
        n_layers, concatenates = config["n_layers"], config["combine"] == "concat"
        size = self.embedding_size
        self.means = NeighbourMeans(self.splits.train, self.n_users, self.n_items)
        self._add_table("ids", self.n_users + self.n_items, size)
        self.projections, self.networks = nn.ModuleDict(), nn.ModuleDict()
        for name in self.modalities:
            width = self.feature(name).shape[1]
            if limit is not None and width > limit:
                self.projections[name] = nn.Linear(width, config["projected_width"])
                width = config["projected_width"]
            self._add_table(f"preference_{name}", self.n_users, width)
            self.register_buffer(f"stretch_{name}", self._stretch(name), persistent=False)
            self.networks[name] = nn.ModuleList(
                Convolution(size if layer else width, size, concatenates, first=layer == 0)
                for layer in range(n_layers)
            )

    def _add_table(self, name: str, rows: int, width: int) -> None:
        """A parameter, or a constant that checkpoints hold too."""
        table = nn.init.xavier_normal_(torch.empty(rows, width))
        if self.train_preferences:
            self.register_parameter(name, nn.Parameter(table))
        else:
            self.register_buffer(name, table)

    def _stretch(self, modality: str) -> Tensor | None:
        """Makes a mean over all items one over those that have the modality, [n_users, 1]."""
        present = self.present(modality)
        if present is None:
            return None
        share = self.means.for_users(present[:, None].float())
        return torch.where(share > 0, share.reciprocal(), 0.0)

    def preference(self, modality: str) -> Tensor:
        """p_m, float [n_users, width]."""
        return cast(Tensor, getattr(self, f"preference_{modality}"))

    def content(self, modality: str) -> Tensor:
        """f_m, float [n_items, width]: the features, mapped to fewer dimensions where wide."""
        features = self.feature(modality)
        return self.projections[modality](features) if modality in self.projections else features

    def layers(self, modality: str) -> list[Convolution]:
        """The modality's network, first layer first."""
        return list(cast("list[Convolution]", self.networks[modality]))

    def propagate(self) -> tuple[Tensor, Tensor]:
        """[h_m ; x_m] of all modalities side by side, as the last layer combines them row by row.

        Users [n_users, M * 2 width] and items [n_items, M * 2 width], width being that of the
        last layer's x.
        """
        user_ids, item_ids = self.ids.split([self.n_users, self.n_items])
        user_parts, item_parts = [], []
        for name in self.modalities:
            users = unit_rows(self.preference(name))
            items = self.content_or_zero(name, unit_rows(self.content(name)))
            stretch: Tensor | None = getattr(self, f"stretch_{name}")
            *earlier, last = self.layers(name)
            for layer in earlier:
                h_u, h_i = layer.aggregate(self.means, users, items, stretch)
                users = layer.combine(h_u, users, user_ids)
                items = layer.combine(h_i, items, item_ids)
                stretch = None
            h_u, h_i = last.aggregate(self.means, users, items, stretch)
            user_parts += [h_u, users]
            item_parts += [h_i, items]
        return torch.cat(user_parts, dim=1), torch.cat(item_parts, dim=1)

    def user_vectors(self, users: Tensor, index: Tensor) -> Tensor:
        """h_u."""
        return self._combine_last(users, index, index)

    def item_vectors(self, items: Tensor, index: Tensor) -> Tensor:
        """h_i."""
        return self._combine_last(items, index, index + self.n_users)

    def _combine_last(self, parts: Tensor, index: Tensor, nodes: Tensor) -> Tensor:
        """Mean over the modalities of the last x, for some rows of what ``propagate`` gave."""
        lasts = [self.layers(name)[-1] for name in self.modalities]
        rows = functional.embedding(index, parts)
        ids = functional.embedding(nodes, self.ids)
        outputs = []
        for last, part in zip(lasts, rows.split([2 * last.width for last in lasts], dim=1)):
            h, x = part.chunk(2, dim=1)
            outputs.append(last.combine(h, x, ids))
        return torch.stack(outputs).mean(0)

    def auxiliary_loss(
        self, batch: Batch, users: Tensor, items: Tensor, vectors: BatchVectors
    ) -> Tensor:
        """Penalty on the ids of the batch and on all preferences."""
        if self.reg_weight == 0.0:  # all preferences would be read for a gradient of zero
            return users.new_zeros(())
        items_of_batch = self.n_users + torch.cat([batch.positives, batch.negatives])
        penalty = functional.embedding(batch.users, self.ids).square().mean()
        penalty = penalty + functional.embedding(items_of_batch, self.ids).square().mean()
        for name in self.modalities:
            table = self.preference(name)
            # The mean square; squaring the table entry by entry would take two copies of it.
            penalty = penalty + table.norm().square() / table.numel()
        return self.reg_weight * penalty


class Convolution(nn.Module):
    """One layer of one modality's network.

    Args:
        width: of x.
        size: of the ids and of the next x.
        concatenates: whether h and the own view are joined side by side, or added.
        first: in its network. There W_3 too starts by Xavier's normal rule, as W_1 and W_2 always
            do; elsewhere by torch's own, as in the authors' code.
    """

    def __init__(self, width: int, size: int, concatenates: bool, first: bool) -> None:
        super().__init__()
        self.width = width
        self.concatenates = concatenates
        self.message = nn.Linear(width, width, bias=False)
        self.own = nn.Linear(width, size)
        self.joint = nn.Linear(width + size if concatenates else width, size)
        for layer in [self.message, self.own] + [self.joint] * first:
            nn.init.xavier_normal_(layer.weight)

    def aggregate(
        self, means: NeighbourMeans, users: Tensor, items: Tensor, stretch: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """h of all users [n_users, width] and of all items [n_items, width], from their x.

        ``stretch`` [n_users, 1] multiplies the users' means.
        """
        # A (x W) = (A x) W: either way W maps the rows of one side only. That should be the
        # smaller side: on Amazon's Baby this halves the largest products of the first layer.
        if len(items) < len(users):
            h_u, h_i = means.for_users(self.message(items)), self.message(means.for_items(users))
        else:
            h_u, h_i = self.message(means.for_users(items)), means.for_items(self.message(users))
        h_u = h_u if stretch is None else h_u * stretch
        return functional.leaky_relu(h_u), functional.leaky_relu(h_i)

    def combine(self, h: Tensor, x: Tensor, ids: Tensor) -> Tensor:
        """The next x of nodes [n, size], from their h, x and ids; row by row."""
        own = functional.leaky_relu(self.own(x)) + ids
        if self.concatenates:  # W_3 [h ; o], without writing down [h ; o]
            for_h, for_own = self.joint.weight.split([self.width, own.shape[1]], dim=1)
            joint = functional.linear(own, for_own, self.joint.bias) + functional.linear(h, for_h)
        else:
            joint = self.joint(h) + own
        return functional.leaky_relu(joint)


class NeighbourMeans(nn.Module):
    """A, the mean over a node's neighbours: of users over items, and of items over users.

    A node without neighbours gets zeros.
    """

    users: Tensor
    users_transposed: Tensor
    items: Tensor
    items_transposed: Tensor

    def __init__(self, train: Interactions, n_users: int, n_items: int) -> None:
        super().__init__()
        pairs = interaction_matrix(train.users, train.items, n_users, n_items)
        for name, graph in (("users", row_means(pairs)), ("items", row_means(transpose(pairs)))):
            self.register_buffer(name, graph, persistent=False)
            self.register_buffer(f"{name}_transposed", transpose(graph), persistent=False)

    def for_users(self, items: Tensor) -> Tensor:
        """Each user's mean over the items, float [n_users, d]."""
        return propagate(self.users, items, self.users_transposed)

    def for_items(self, users: Tensor) -> Tensor:
        """Each item's mean over the users, float [n_items, d]."""
        return propagate(self.items, users, self.items_transposed)
