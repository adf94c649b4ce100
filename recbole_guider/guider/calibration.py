"""AMSC: splits each user's interactions by loss, then rescues what resembles a reliable item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recbole_guider.guider.similarity import (
    Content,
    SimilarPairs,
    blocks,
    incidence,
    pairs_above,
)

TIE = 1e-8  # losses this little above the user's mean are ties with it and count as reliable


@dataclass(frozen=True)
class Partition:
    """The interactions split into true and false.

    Attributes:
        reliable: bool [n_interactions], loss at most the user's mean (Eq. 2).
        clean: bool [n_interactions], I_true: reliable or rescued (Eq. 3); the rest is I_false.
    """

    reliable: Tensor
    clean: Tensor

    @property
    def spurious(self) -> Tensor:
        """bool [n_interactions], loss above the user's mean."""
        return ~self.reliable

    @property
    def rescued(self) -> Tensor:
        """bool [n_interactions], spurious by loss, true by content."""
        return self.clean & ~self.reliable


def partition_interactions(
    losses: Tensor,
    users: Tensor,
    items: Tensor,
    modalities: Mapping[str, Tensor],
    threshold: float,
    confidence: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Splits interactions once; ``InteractionCalibrator`` does it repeatedly.

    Args:
        losses: float [n_interactions], l(u, i) of each interaction.
        users, items: int64 [n_interactions].
        modalities, confidence: as in ``similarity.Content``.
        threshold: S_thres; the similarity must exceed it strictly, 1 or more rescues nothing.

    Returns:
        ``reliable`` and ``clean``, bool [n_interactions]; see ``Partition``.
    """
    pairs = pairs_above(users, items, Content(modalities, confidence), threshold)
    partition = InteractionCalibrator(users, items, pairs).partition(losses)
    return partition.reliable, partition.clean


class InteractionCalibrator:
    """Partitions the same interactions under changing losses (Eq. 2-5).

    An interaction (u, i) is reliable if its loss is at most the mean of u's losses. A spurious one
    is rescued if some reliable item i' of u has S(i, i') > S_thres. Content does not change, so
    these pairs are found once; a partition is then one sparse product per block of users. Beside
    the pairs its memory is linear in interactions and items, however active a user is.

    Args:
        users, items: int64 [n_interactions].
        pairs: what rescues what (``similarity.pairs_above`` or ``most_similar_pairs``).
    """

    def __init__(self, users: Tensor, items: Tensor, pairs: SimilarPairs) -> None:
        self.users = torch.as_tensor(users).cpu()
        self.items = torch.as_tensor(items).cpu()
        self.order = torch.argsort(self.users, stable=True)
        self.n_items = int(self.items.max()) + 1 if len(self.items) else 0
        # Row i' lists every i that a reliable i' rescues.
        self.rescues = incidence(pairs.rows, pairs.columns, (self.n_items, self.n_items))

    def partition(self, losses: Tensor) -> Partition:
        """Splits the interactions by ``losses``, float [n_interactions], in their order."""
        losses = torch.as_tensor(losses)
        values = losses.detach().cpu().double()
        counts = torch.bincount(self.users).clamp(min=1)
        means = torch.bincount(self.users, weights=values) / counts
        reliable = values <= means[self.users] + TIE
        clean = reliable.clone()
        if self.rescues.nnz:
            clean |= self._rescuable(reliable)
        return Partition(reliable.to(losses.device), clean.to(losses.device))

    def _rescuable(self, reliable: Tensor) -> Tensor:
        """bool [n_interactions]: a reliable item of the same user is similar enough."""
        users, items = self.users[self.order].numpy(), self.items[self.order].numpy()
        trusted = reliable[self.order].numpy()
        n_users = int(users[-1]) + 1
        reliable_items = incidence(users[trusted], items[trusted], (n_users, self.n_items))
        found = np.empty(len(users), dtype=bool)
        for first, last in blocks(n_users, self.n_items):
            reached = (reliable_items[first:last] @ self.rescues).toarray()
            rows = slice(*np.searchsorted(users, [first, last]))
            found[rows] = reached[users[rows] - first, items[rows]]
        result = torch.empty(len(found), dtype=torch.bool)
        result[self.order] = torch.from_numpy(found)
        return result


def distinct_rows(features: Tensor) -> Tensor:
    """Tells which items' feature rows no other item has, bool [n_items].

    Data sets often fill missing content with one mean vector; such items would resemble each other
    perfectly and rescue each other's interactions.
    """
    _, group, count = torch.unique(features, dim=0, return_inverse=True, return_counts=True)
    alone: Tensor = count[group] == 1
    return alone
