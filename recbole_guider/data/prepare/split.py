"""Splits of interactions into training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def split_per_user(users: Sequence[str], seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Assigns every interaction to training (0), validation (1) or test (2), about 8:1:1.

    The rule of the MMRec toolbox: a user's n interactions are shuffled; of fewer than ten, one
    goes to validation and one to test; otherwise h = floor(0.2 n) are held out, floor(h / 2) of
    them for validation. A user with one or two interactions keeps them in training.

    Args:
        users: the user of every interaction.
        seed: seed of the shuffle.

    Returns:
        int64 [n_interactions].
    """
    _, user = np.unique(np.asarray(users), return_inverse=True)
    shuffled = np.random.RandomState(seed).permutation(len(user))
    order = shuffled[np.argsort(user[shuffled], kind="stable")]
    n = np.bincount(user)
    held = np.where(n < 10, 2, n // 5)  # n // 5 = floor(0.2 n) without rounding of 0.2
    held[n <= 2] = 0
    start = np.cumsum(n) - n
    place = np.arange(len(user)) - start[user[order]]
    first_held = (n - held)[user[order]]
    label = (place >= first_held).astype(np.int64) + (
        place >= first_held + (held // 2)[user[order]]
    )
    labels = np.empty(len(user), dtype=np.int64)
    labels[order] = label
    return labels
