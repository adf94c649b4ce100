"""Denoised BPR (DBPR): a user's true interactions rank above the false and the unobserved ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


class FalseItems:
    """I_false(u) of every user, ready for random draws.

    Args:
        users, items: int64 [n_interactions], the training interactions.
        clean: bool [n_interactions], True where the interaction is in I_true.
        n_users: size of the user id space.
    """

    def __init__(self, users: Tensor, items: Tensor, clean: Tensor, n_users: int) -> None:
        false_users, false_items = users[~clean], items[~clean]
        self.items = false_items[torch.argsort(false_users, stable=True)]
        self.counts = torch.bincount(false_users, minlength=n_users)
        self.starts = self.counts.cumsum(0) - self.counts

    def draw(self, users: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws one item of I_false(u), uniformly, for each entry of ``users`` [b].

        Returns:
            int64 [b] items and bool [b] that says where the user has a false item; elsewhere the
            item is 0, padding. Consumes b random numbers whatever the partition.
        """
        counts = self.counts[users]
        has_false = counts > 0
        uniform = torch.rand(len(users), generator=generator, dtype=torch.float64)
        rank = torch.minimum((uniform * counts).long(), (counts - 1).clamp(min=0))
        drawn = torch.zeros_like(users)
        drawn[has_false] = self.items[(self.starts[users] + rank)[has_false]]
        return drawn, has_false


def mean_over_true(losses: Tensor, clean: Tensor, false_weight: float = 0.0) -> Tensor:
    """Mean of the losses of true interactions, those of false ones counted ``false_weight`` times.

    Args:
        losses: float [b], of each interaction against an unobserved item.
        clean: bool [b], the interaction is in I_true.
        false_weight: 0 leaves I_false out, 1 keeps it: then only Eq. 7 tells the two apart.

    Returns:
        Scalar; 0, still differentiable, where nothing counts.
    """
    weights = clean.to(losses.dtype).clamp(min=false_weight)
    # Masked first: what does not count may be anything, its gradient is exactly 0.
    total = (torch.where(weights > 0, losses, 0.0) * weights).sum()
    return total / weights.sum().clamp(min=torch.finfo(losses.dtype).tiny)


def eq7_loss(false_margin: Tensor, counts: Tensor) -> Tensor:
    """Mean of -log sigma(s_ui - s_uj), i in I_true(u), j in I_false(u) (Eq. 7).

    Alone it gives unobserved items no gradient and cannot rank; BPR goes with it.

    Args:
        false_margin: float [b], s_ui - s_uj, one drawn j for each i.
        counts: bool [b], where i is true and j false.

    Returns:
        Scalar; 0, still differentiable, where nothing counts.
    """
    terms = functional.softplus(-torch.where(counts, false_margin, 0.0)) * counts
    return terms.sum() / counts.sum().clamp(min=1)
