"""Which interactions of a source are kept: ratings from a threshold, first pairs, a k-core."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from recbole_guider.data.prepare.steps.raw import RawData
from recbole_guider.errors import InputError


def from_rating(raw: RawData, least: float) -> RawData:
    """Returns the interactions with a rating of ``least`` or more.

    Raises:
        InputError: the source has no ratings.
    """
    if "rating" not in raw.columns:
        raise InputError(
            "the source has no ratings", where="--min-rating",
            mend="Leave it out, or name the column with --rating-column.",
        )  # fmt: skip
    keep = raw.columns["rating"] >= least
    return raw.only(keep, f"{int((~keep).sum()):,} ratings below {least:g} left out")


def first_of_repeated(raw: RawData) -> RawData:
    """Returns the data with the first of each user's interactions with an item, in file order."""
    user, item = _codes(raw)
    again = pd.Series(user * (int(item.max(initial=0)) + 1) + item).duplicated().to_numpy()
    if not again.any():
        return raw
    return raw.only(~again, f"{int(again.sum()):,} repeated pairs left out, the first of each kept")


def core(raw: RawData, k: int) -> RawData:
    """Returns the largest part in which every user and every item has k interactions or more."""
    user, item = _codes(raw)
    keep = np.ones(len(user), dtype=bool)
    while True:
        of_user = np.bincount(user[keep], minlength=len(user))
        of_item = np.bincount(item[keep], minlength=len(item))
        good = keep & (of_user[user] >= k) & (of_item[item] >= k)
        if good.sum() == keep.sum():
            break
        keep = good
    if not keep.any():
        raise InputError(
            f"no user and item with {k} interactions or more is left of {len(keep):,} interactions",
            where="--core",
            mend="Lower it.",
        )
    return raw.only(keep, f"{k}-core: {int(keep.sum()):,} of {len(keep):,} interactions")


def _codes(raw: RawData) -> tuple[np.ndarray[Any, np.dtype[np.int64]], ...]:
    return tuple(pd.factorize(names)[0].astype(np.int64) for names in (raw.users, raw.items))
