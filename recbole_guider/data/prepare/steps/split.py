"""Splits of interactions into training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_guider.data.prepare.steps.raw import RawData
from recbole_guider.errors import InputError

RULES = ("random", "time", "none")
_HELD = (
    "of n < 10 interactions of a user one is for validation and one for test (none of n <= 2); "
    "else floor(0.2 n) are held out, the smaller half for validation"
)


def with_split(raw: RawData, rule: str | None, seed: int) -> tuple[RawData, dict[str, Any]]:
    """Adds ``x_label`` to data that has none, and tells the rule for the manifest.

    Interactions that are known to be noise stay in training, as those that ``noise_ratio`` adds.

    Args:
        raw: the data.
        rule: ``random`` (drawn per user by ``seed``), ``time`` (each user's last ones held out),
            ``none`` (RecBole splits at run time, by ``eval_args``), or None: the split that the
            source brings, and ``random`` where it brings none.
        seed: of the random rule.

    Raises:
        InputError: the time rule meets data without timestamps.
    """
    if rule is None and "x_label" in raw.columns:
        return raw, {"rule": "as the source brings it"}
    columns = {name: values for name, values in raw.columns.items() if name != "x_label"}
    if rule == "none":
        return replace(raw, columns=columns), {"rule": "none; eval_args applies at run time"}
    true = columns.get("noise", np.zeros(len(raw.users))) == 0
    if rule == "time":
        if "timestamp" not in columns:
            raise InputError(
                "the source has no timestamps", where="--split time",
                mend="Choose --split random, or name the column with --time-column.",
            )  # fmt: skip
        labels = split_by_time(raw.users[true], columns["timestamp"][true])
        told: dict[str, Any] = {"rule": f"per user, by time, the last for test: {_HELD}"}
    else:
        labels = split_per_user(raw.users[true], seed)
        told = {"rule": f"per user, shuffled: {_HELD}", "seed": seed}
    columns["x_label"] = np.zeros(len(raw.users))
    columns["x_label"][true] = labels
    return replace(raw, columns=columns), told


def split_per_user(users: Sequence[str] | NDArray[Any], seed: int) -> NDArray[np.int64]:
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
    user = _codes(users)
    return _hold_out_last(user, np.random.RandomState(seed).permutation(len(user)))


def split_by_time(
    users: Sequence[str] | NDArray[Any], times: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Assigns as ``split_per_user`` does, but each user's last interactions are held out.

    The very last are for test, those before them for validation; at equal times the file's order
    decides.

    Args:
        users: the user of every interaction.
        times: its time in any unit, [n_interactions].

    Returns:
        int64 [n_interactions].
    """
    return _hold_out_last(_codes(users), np.argsort(times, kind="stable"))


def _codes(users: Sequence[str] | NDArray[Any]) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = pd.factorize(np.asarray(users, dtype=object))[0].astype(np.int64)
    return codes


def _hold_out_last(user: NDArray[np.int64], sequence: NDArray[np.int64]) -> NDArray[np.int64]:
    """Holds out the last of each user's interactions in the order of ``sequence``."""
    order = sequence[np.argsort(user[sequence], kind="stable")]
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
