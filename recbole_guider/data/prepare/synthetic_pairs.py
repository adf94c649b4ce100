"""Drawing distinct pairs of users and items from planted tastes, in memory linear in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Ints = NDArray[np.int64]

_ROUNDS = 12  # of drawing anew what was drawn before
_BLOCK = 1 << 22  # scores held together when the rest is drawn exactly


def draw_pairs(
    theta: Matrix, phi: Matrix, n: int, noise: float, random: np.random.Generator
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Draws n distinct pairs, sorted by user; round(noise * n) of them ignore the tastes.

    Every user has one pair at least; how many more follows a log-normal distribution. A pair that
    was drawn before is drawn again, so a user's items are drawn without replacement.

    Args:
        theta: each user's share in each taste, [users, factors]; rows sum to 1.
        phi: probability of each item in each taste, [items, factors], > 0; columns sum to 1.
        n: number of pairs, between the number of users and a quarter of all pairs.
        noise: share of pairs whose item is drawn uniformly.
        random: the generator.

    Returns:
        user [n], item [n], and whether the pair is noise, bool [n].
    """
    n_users, n_items = len(theta), len(phi)
    user = np.repeat(np.arange(n_users), _activity(n_users, n_items, n, random))
    noisy = np.zeros(n, dtype=bool)
    noisy[random.permutation(n)[: int(noise * n + 0.5)]] = True
    item = np.full(n, -1)
    held = np.empty(0, dtype=np.int64)  # sorted keys of the pairs found so far
    tables = np.cumsum(phi, axis=0)
    shares = np.cumsum(theta, axis=1)
    left = np.arange(n)
    for _ in range(_ROUNDS):
        drawn = _draw(shares, tables, user[left], noisy[left], random)
        keys = user[left] * n_items + drawn
        place = np.minimum(np.searchsorted(held, keys), max(len(held) - 1, 0))
        fresh = held[place] != keys if len(held) else np.ones(len(keys), dtype=bool)
        first = np.zeros(len(keys), dtype=bool)
        first[np.unique(keys, return_index=True)[1]] = True
        good = fresh & first
        item[left[good]] = drawn[good]
        held = np.sort(np.concatenate([held, keys[good]]))
        left = left[~good]
        if len(left) == 0:
            break
    _draw_rest(theta, phi, user, item, noisy, left, random)
    return user, item, noisy


def _activity(n_users: int, n_items: int, n: int, random: np.random.Generator) -> Ints:
    """Returns how many pairs each user has: 1 or more, half of the items at most, n in all."""
    weight = random.lognormal(sigma=0.8, size=n_users)
    most = max(1, n_items // 2)
    counts = np.ones(n_users, dtype=np.int64)
    while (lacking := n - int(counts.sum())) > 0:
        open_ = np.flatnonzero(counts < most)
        share = weight[open_] / weight[open_].sum()
        more = np.floor(lacking * share).astype(np.int64)
        rest = random.choice(len(open_), lacking - int(more.sum()), p=share)
        more += np.bincount(rest, minlength=len(open_))
        counts[open_] = np.minimum(counts[open_] + more, most)
    return counts


def _draw(
    shares: Matrix,
    tables: Matrix,
    user: Ints,
    noisy: NDArray[np.bool_],
    random: np.random.Generator,
) -> Ints:
    """Draws an item for each of some users: a taste by its share, then an item of the taste."""
    n_items, factors = tables.shape
    first, second = random.random(len(user)), random.random(len(user))
    taste = np.zeros(len(user), dtype=np.int64)
    for f in range(factors - 1):
        taste += first > shares[user, f]
    item = np.empty(len(user), dtype=np.int64)
    for f in range(factors):
        rows = np.flatnonzero(taste == f)
        item[rows] = np.searchsorted(tables[:, f], second[rows])
    item[noisy] = (second[noisy] * n_items).astype(np.int64)
    return np.minimum(item, n_items - 1)  # a sum of shares may end below 1


def _draw_rest(
    theta: Matrix, phi: Matrix, user: Ints, item: Ints, noisy: NDArray[np.bool_], left: Ints,
    random: np.random.Generator,
) -> None:  # fmt: skip
    """Draws what rejection left over, of few users that hold most of what they like.

    The largest of log-probability plus Gumbel noise are a draw without replacement.
    """
    n_items = len(phi)
    chosen = np.unique(user[left])
    size = max(1, _BLOCK // n_items)
    for start in range(0, len(chosen), size):
        of_block = chosen[start : start + size]
        own = np.flatnonzero(np.isin(user, of_block) & (item >= 0))
        gumbel = random.gumbel(size=(len(of_block), n_items))
        taken = np.zeros((len(of_block), n_items), dtype=bool)
        taken[np.searchsorted(of_block, user[own]), item[own]] = True
        for flag in (False, True):
            slots = left[np.isin(user[left], of_block) & (noisy[left] == flag)]
            liked = np.zeros(1) if flag else np.log(theta[of_block] @ phi.T)
            scores = np.where(taken, -np.inf, gumbel + liked)
            ranked = np.argsort(-scores, axis=1)
            row = np.searchsorted(of_block, user[slots])
            begin = np.searchsorted(row, row)  # slots are sorted by user
            item[slots] = ranked[row, np.arange(len(slots)) - begin]
            taken[row, item[slots]] = True
