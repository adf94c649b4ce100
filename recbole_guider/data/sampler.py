"""Negative items and training batches, drawn vectorised once per epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_guider.data.splits import Interactions, Splits
from recbole_guider.errors import InputError, one_of

DISTRIBUTIONS = ("uniform", "popularity")
CANDIDATES = ("train", "all")

# Rejection halves the open draws of a user who has seen half of the items; after these many
# rounds only users who have seen nearly everything are left, and they are drawn exactly.
_REJECTION_ROUNDS = 16
_EXACT_BLOCK = 1 << 22  # entries of the weight rows that one exact block holds in memory


@dataclass
class Batch:
    """Training triples.

    Attributes:
        users, positives, negatives: int64 [b], internal ids.
        rows: int64 [b], the interaction's index into ``splits.train``.
    """

    users: Tensor
    positives: Tensor
    negatives: Tensor
    rows: Tensor

    def to(self, device: torch.device) -> Batch:
        """Returns the batch on another device."""
        return Batch(
            self.users.to(device),
            self.positives.to(device),
            self.negatives.to(device),
            self.rows.to(device),
        )

    def select(self, rows: Tensor) -> Batch:
        """Returns the given rows (an index or a bool mask) of the batch."""
        return Batch(self.users[rows], self.positives[rows], self.negatives[rows], self.rows[rows])


class NegativeSampler:
    """Draws for each user an item that is not among the user's training items.

    ``uniform`` draws every candidate with equal probability. ``popularity`` draws item j with
    probability proportional to n_j^alpha, n_j the number of users with j in training (WBPR with
    alpha = 1). Both are renormalised over the candidates that are not the user's own: an
    own item is rejected and drawn again.

    Args:
        train: the training interactions; a repeated pair counts once. Validation and test
            interactions have no influence.
        n_users, n_items: sizes of the id spaces, padding included.
        distribution: ``uniform`` or ``popularity``.
        alpha: exponent of the popularity, >= 0; unused by ``uniform``.
        candidates: ``train`` draws from the items that occur in training, ``all`` from every
            item but padding (with ``popularity`` and alpha > 0 an item without a training
            interaction still has probability zero).

    Raises:
        InputError: an unknown distribution or candidate set, a negative alpha, or users who
            have every candidate among their training items.
    """

    def __init__(
        self,
        train: Interactions,
        n_users: int,
        n_items: int,
        distribution: str = "uniform",
        alpha: float = 1.0,
        candidates: str = "train",
    ) -> None:
        one_of(distribution, DISTRIBUTIONS, "train_neg_sample_args")
        one_of(candidates, CANDIDATES, "negative_candidates")
        if not (math.isfinite(alpha) and alpha >= 0):
            raise InputError(f"the popularity exponent is {alpha}; expected a number >= 0")
        self.n_items = n_items
        self._keys = torch.unique(train.users * n_items + train.items)
        counts = torch.bincount(self._keys % n_items, minlength=n_items)
        weights = torch.ones(n_items, dtype=torch.float64)
        if distribution == "popularity":
            weights = counts.double() ** alpha
        if candidates == "train":
            weights[counts == 0] = 0
        weights[0] = 0  # padding
        self._weights = weights
        self._candidates = torch.nonzero(weights).flatten()
        self._uniform = distribution == "uniform"
        self._cumulative = weights[self._candidates].cumsum(0)
        self._refuse_exhausted_users(n_users)

    def _refuse_exhausted_users(self, n_users: int) -> None:
        users = torch.div(self._keys, self.n_items, rounding_mode="floor")
        own = torch.bincount(users, self._weights[self._keys % self.n_items] > 0, n_users)
        exhausted = int((own >= len(self._candidates)).sum())
        if exhausted:
            raise InputError(
                f"{exhausted} of the users have all {len(self._candidates)} candidate items "
                "among their training items, so no negative item is left for them",
                mend="Draw negatives from all items, or remove these users",
            )

    def sample(self, users: Tensor, generator: torch.Generator) -> Tensor:
        """Draws one negative item per entry of ``users``.

        Args:
            users: int64 [n], repetitions allowed.
            generator: CPU generator; the same state gives the same items.

        Returns:
            int64 [n], item ids >= 1, none of them a training item of its user.
        """
        items = self._draw(len(users), generator)
        open_ = torch.nonzero(self._is_own(users, items)).flatten()
        for _ in range(_REJECTION_ROUNDS):
            if len(open_) == 0:
                return items
            items[open_] = self._draw(len(open_), generator)
            open_ = open_[self._is_own(users[open_], items[open_])]
        rows = max(1, _EXACT_BLOCK // self.n_items)
        for block in torch.split(open_, rows):
            items[block] = self._draw_exactly(users[block], generator)
        return items

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        if self._uniform:
            index = torch.randint(len(self._candidates), (n,), generator=generator)
        else:
            mass = torch.rand(n, dtype=torch.float64, generator=generator) * self._cumulative[-1]
            index = torch.searchsorted(self._cumulative, mass, right=True)
            index.clamp_(max=len(self._candidates) - 1)  # rounding can reach the total
        return self._candidates[index]

    def _is_own(self, users: Tensor, items: Tensor) -> Tensor:
        keys = users * self.n_items + items
        place = torch.searchsorted(self._keys, keys).clamp_(max=len(self._keys) - 1)
        own: Tensor = self._keys[place] == keys
        return own

    def _draw_exactly(self, users: Tensor, generator: torch.Generator) -> Tensor:
        weights = self._weights.repeat(len(users), 1)
        row = torch.arange(len(users)).repeat_interleave(self.n_items)
        item = torch.arange(self.n_items).repeat(len(users))
        own = self._is_own(users[row], item).view(len(users), self.n_items)
        weights[own] = 0
        return torch.multinomial(weights, 1, generator=generator).flatten()


class TrainingBatches:
    """Every training interaction once per pass, in a fresh order and with fresh negatives.

    Args:
        splits: the data set's splits.
        batch_size: interactions per batch; the last batch may be shorter.
        sampler: draws the negatives.
        generator: CPU generator of the order and of the negatives.
    """

    def __init__(
        self,
        splits: Splits,
        batch_size: int,
        sampler: NegativeSampler,
        generator: torch.Generator,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"train_batch_size is {batch_size}; expected at least 1")
        self.train = splits.train
        self.batch_size = batch_size
        self.sampler = sampler
        self.generator = generator

    def __len__(self) -> int:
        """Number of batches of a pass."""
        return math.ceil(len(self.train) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Draws order and negatives of the whole pass, then yields its batches."""
        rows = torch.randperm(len(self.train), generator=self.generator)
        users, positives = self.train.users[rows], self.train.items[rows]
        negatives = self.sampler.sample(users, self.generator)
        parts = (torch.split(part, self.batch_size) for part in (users, positives, negatives, rows))
        return (Batch(*part) for part in zip(*parts))
