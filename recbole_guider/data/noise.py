"""Noise with known labels: pairs added to training, pairs taken away, content of other items."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from recbole_guider.data.modality import ItemFeatures
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


def removed_rows(splits: Splits, ratio: float, seed: int) -> Tensor:
    """Chooses round(ratio * |E|) of the |E| given training interactions to be taken away.

    Uniformly, but each user keeps one, so that the users to evaluate stay the same. Injected pairs
    do not count and are never chosen. A larger ratio takes away the same and more.

    Args:
        splits: the data set's interactions, with or without injected ones.
        ratio: of removed to given training interactions, from 0 to less than 1.
        seed: of the draw; the run's own seed has no part in it.

    Returns:
        bool [n_train], True where the interaction is to be removed.

    Raises:
        InputError: the users would not keep one each.
    """
    train = splits.train
    given = torch.arange(len(train))
    if train.injected is not None:
        given = given[~train.injected]
    wanted = int(ratio * len(given) + 0.5)
    given = given[torch.randperm(len(given), generator=_generator(seed, "removed"))]
    free = given[~first_occurrence(train.users[given])]
    if wanted > len(free):
        raise InputError(
            f"asks for {wanted} of {len(given)} training interactions; {len(free)} can go if each "
            "user keeps one",
            where="removed_ratio",
            mend="Lower it.",
        )
    removed = torch.zeros(len(train), dtype=torch.bool)
    removed[free[:wanted]] = True
    return removed


def swap_content(
    features: ItemFeatures, share: float, seed: int, modality: str
) -> tuple[ItemFeatures, Tensor]:
    """Gives round(share * n) of a modality's n items with a row the row of another, as DA-MRS does.

    Items and whose rows they get are drawn uniformly, for each modality apart; a larger share
    swaps the same and more. The other item keeps its row.

    Args:
        features: the modality as the data set brings it.
        share: of the items, from 0 to 1.
        seed: of the draw; the run's own seed has no part in it.
        modality: its name.

    Returns:
        The features, and bool [n_items], True where an item carries another's row.
    """
    items = torch.nonzero(features.present).flatten()
    n = len(items)
    wanted = int(share * n + 0.5) if n > 1 else 0
    generator = _generator(seed, f"content of {modality}")
    chosen = torch.randperm(n, generator=generator)[:wanted]
    other = torch.randint(max(n - 1, 1), (n,), generator=generator)[:wanted]
    other = other + (other >= chosen).long()  # never the item itself
    values = features.values.clone()
    values[items[chosen]] = features.values[items[other]]
    swapped = torch.zeros(len(features.present), dtype=torch.bool)
    swapped[items[chosen]] = True
    return ItemFeatures(values, features.present), swapped


def _generator(seed: int, purpose: str) -> torch.Generator:
    """Returns a generator for one purpose, so that one kind of noise does not move another."""
    digest = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


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
