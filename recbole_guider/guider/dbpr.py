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


def eq7_loss(false_margin: Tensor) -> Tensor:
    """Mean of -log sigma(s_ui - s_uj), i in I_true(u), j in I_false(u) (Eq. 7); of nothing, 0.

    Args:
        false_margin: float [b], s_ui - s_uj, one drawn j for each i.
    """
    return functional.softplus(-false_margin).sum() / max(1, len(false_margin))


def dbpr_loss(
    unobserved_margin: Tensor,
    false_margin: Tensor | None,
    has_false: Tensor,
    weight: float,
    literal: bool = False,
) -> Tensor:
    """Mean softplus(-(s_ui - s_uj)) over unobserved j, plus ``weight`` times that over false j.

    The second mean is Eq. 7, -log sigma(s_ui - s_uj) with i in I_true(u) and j in I_false(u), over
    one drawn j for each i. Alone it gives unobserved items no gradient, so plain BPR goes with it.

    Args:
        unobserved_margin: float [b], s_ui - s_uj of true interactions and unobserved items.
        false_margin: float [b], s_ui - s_uj with j of I_false(u); None needs ``weight`` 0.
        has_false: bool [b], where ``false_margin`` counts.
        weight: of the second mean, >= 0.
        literal: returns the second mean alone, at weight 1.

    Returns:
        Scalar; 0, still differentiable, where a mean has nothing to average.
    """
    bpr = functional.softplus(-unobserved_margin).sum() / max(1, len(unobserved_margin))
    if weight == 0 and not literal:
        return bpr
    if false_margin is None:
        raise ValueError("false_margin is needed when weight > 0 or literal")
    # Masked before the softplus: an excluded margin may be anything, its gradient is exactly 0.
    terms = functional.softplus(-torch.where(has_false, false_margin, 0.0)) * has_false
    eq7 = terms.sum() / has_false.sum().clamp(min=1)
    return eq7 if literal else bpr + weight * eq7
