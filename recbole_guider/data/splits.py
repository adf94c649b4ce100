"""Interactions of the three phases and the sparse rows that evaluation reads from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recbole_guider.errors import one_of

PHASES = ("train", "valid", "test")
PROTOCOLS = ("mmrec", "recbole")


class Csr(NamedTuple):
    """Item lists of consecutive rows: row r owns ``items[offsets[r]:offsets[r + 1]]``.

    Attributes:
        offsets: int64 [n_rows + 1], starts at 0 and never falls.
        items: int64 [nnz], ascending and without repetition inside a row.
    """

    offsets: Tensor
    items: Tensor

    @property
    def counts(self) -> Tensor:
        """Number of items of every row, int64 [n_rows]."""
        return self.offsets[1:] - self.offsets[:-1]

    def select(self, rows: Tensor) -> Csr:
        """Returns the given rows, in the given order, as a Csr with ``len(rows)`` rows."""
        counts = self.counts[rows]
        offsets = _offsets(counts)
        shift = torch.repeat_interleave(self.offsets[rows] - offsets[:-1], counts)
        return Csr(offsets, self.items[torch.arange(len(shift)) + shift])


@dataclass(frozen=True)
class Interactions:
    """User-item pairs in file order, as internal ids (0 is padding and never occurs).

    Attributes:
        users, items: int64 [n_interactions].
        ratings: float32 [n_interactions], or None when the data set has no ratings; NaN where an
            injected pair has none.
        injected: bool [n_interactions], True where the pair is injected noise; None without any.
    """

    users: Tensor
    items: Tensor
    ratings: Tensor | None = None
    injected: Tensor | None = None

    def __len__(self) -> int:
        """Number of interactions."""
        return len(self.users)

    def only(self, keep: Tensor) -> Interactions:
        """Returns the interactions where ``keep``, bool [n_interactions], is True."""
        return Interactions(
            self.users[keep],
            self.items[keep],
            None if self.ratings is None else self.ratings[keep],
            None if self.injected is None else self.injected[keep],
        )


@dataclass(frozen=True)
class Splits:
    """The interactions of training, validation and test over one id space.

    Attributes:
        train, valid, test: the phases' interactions.
        n_users, n_items: sizes of the id spaces, padding included.
    """

    train: Interactions
    valid: Interactions
    test: Interactions
    n_users: int
    n_items: int

    def phase(self, name: str) -> Interactions:
        """Returns the interactions of phase ``train``, ``valid`` or ``test``."""
        if name not in PHASES:
            raise ValueError(f"phase {name!r} is not one of {PHASES}")
        interactions: Interactions = getattr(self, name)
        return interactions

    def positives(self, phase: str) -> tuple[Tensor, Csr]:
        """Returns the users to evaluate in a phase and the items to be found for each.

        Returns:
            users: int64 [m], ascending, without repetition.
            items: a Csr with m rows; row k belongs to ``users[k]``.
        """
        rows = self._rows(self.keys(self.phase(phase)))
        users = torch.nonzero(rows.counts).flatten()
        return users, rows.select(users)

    def masked(self, phase: str, protocol: str = "mmrec") -> Csr:
        """Returns what a user has already seen and evaluation must not recommend.

        Args:
            phase: ``valid`` or ``test``.
            protocol: ``mmrec`` masks the training items in both phases. ``recbole`` masks the
                training items in validation and the training and validation items in test,
                except an item that is itself to be found in the phase.

        Returns:
            A Csr with ``n_users`` rows.

        Raises:
            InputError: the protocol is unknown.
        """
        one_of(protocol, PROTOCOLS, "protocol")
        seen = self.keys(self.train)
        if protocol == "recbole":
            if phase == "test":
                seen = torch.cat([seen, self.keys(self.valid)])
            seen = seen[~torch.isin(seen, self.keys(self.phase(phase)))]
        return self._rows(seen)

    def keys(self, interactions: Interactions) -> Tensor:
        """One number for each pair, u * n_items + i; int64 [n_interactions]."""
        return interactions.users * self.n_items + interactions.items

    def _rows(self, keys: Tensor) -> Csr:
        keys = torch.unique(keys)  # sorted, so items ascend inside a user
        users = torch.div(keys, self.n_items, rounding_mode="floor")
        return Csr(_offsets(torch.bincount(users, minlength=self.n_users)), keys % self.n_items)


def first_occurrence(keys: Tensor) -> Tensor:
    """bool [n], True where a key is there for the first time."""
    first = torch.zeros(len(keys), dtype=torch.bool)
    first[torch.as_tensor(np.unique(keys.numpy(), return_index=True)[1])] = True
    return first


def _offsets(counts: Tensor) -> Tensor:
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
