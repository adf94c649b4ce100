"""Noise with known labels: pairs that nobody observed, added to the training interactions."""

from __future__ import annotations

import torch
from torch import Tensor

from recbole_guider.data.splits import PHASES, Interactions, Splits, first_occurrence
from recbole_guider.errors import InputError


def inject(splits: Splits, ratio: float, seed: int) -> Splits:
    """Adds round(ratio * |E|) random pairs to the |E| training interactions.

    Pairs are drawn uniformly among those of a user and an item that both occur in training and
    that no phase holds, without repetition, as in DA-MRS's and GUIDER's robustness experiments.

    Args:
        splits: the data set's interactions.
        ratio: of added to given training interactions, >= 0.
        seed: of the draw; the run's own seed has no part in it.

    Returns:
        Splits whose training part ends in the added pairs, ``injected`` is True there; their
        ratings are NaN. Validation and test stay as they are.

    Raises:
        InputError: fewer pairs are unobserved than asked for.
    """
    train = splits.train
    wanted = int(ratio * len(train) + 0.5)
    users, items = torch.unique(train.users), torch.unique(train.items)
    observed = torch.unique(torch.cat([splits.keys(splits.phase(name)) for name in PHASES]))
    inside = torch.isin(observed // splits.n_items, users) & torch.isin(
        observed % splits.n_items, items
    )
    free = len(users) * len(items) - int(inside.sum())
    if wanted > free:
        raise InputError(
            f"asks for {wanted} unobserved pairs; the data set has {free}",
            where="noise_ratio",
            mend="Lower it.",
        )
    keys = _draw(users, items, observed, wanted, free, splits.n_items, seed)
    ratings = train.ratings
    if ratings is not None:
        ratings = torch.cat([ratings, ratings.new_full((wanted,), torch.nan)])
    injected = torch.arange(len(train) + wanted) >= len(train)
    noisy = Interactions(
        torch.cat([train.users, keys // splits.n_items]),
        torch.cat([train.items, keys % splits.n_items]),
        ratings,
        injected,
    )
    return Splits(noisy, splits.valid, splits.test, splits.n_users, splits.n_items)


def _draw(
    users: Tensor, items: Tensor, observed: Tensor, wanted: int, free: int, n_items: int, seed: int
) -> Tensor:
    """``wanted`` distinct keys u * n_items + i of unobserved pairs, uniformly, in random order."""
    generator = torch.Generator().manual_seed(seed)
    if 2 * wanted > free:  # rejection would repeat itself; the data set is tiny or full
        every = (users[:, None] * n_items + items).flatten()
        every = every[~torch.isin(every, observed)]
        return every[torch.randperm(len(every), generator=generator)[:wanted]]
    drawn = torch.empty(0, dtype=torch.long)
    while len(drawn) < wanted:
        n = 2 * (wanted - len(drawn)) + 16
        user = users[torch.randint(len(users), (n,), generator=generator)]
        item = items[torch.randint(len(items), (n,), generator=generator)]
        fresh = user * n_items + item
        drawn = torch.cat([drawn, fresh[~torch.isin(fresh, observed)]])
        drawn = drawn[first_occurrence(drawn)]
    return drawn[:wanted]
