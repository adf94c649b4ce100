"""Content similarity of the item pairs that share a user (GUIDER, Eq. 4-5), kept sparse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn import functional

BLOCK = 1 << 22  # entries of the largest dense block; bounds memory, changes no result
LEVELS = 1 << 20  # resolution of a threshold chosen by share; a power of two, so scaling is exact
Array = NDArray[Any]


@dataclass(frozen=True)
class SimilarPairs:
    """Ordered pairs of items (i', i), i' != i, that share a user and resemble each other.

    Attributes:
        rows: int [n_pairs], i'.
        columns: int [n_pairs], i with S(i, i') > ``threshold``: a reliable i' rescues it.
        threshold: S_thres.
    """

    rows: Array
    columns: Array
    threshold: float


@dataclass(frozen=True)
class Content:
    """What says how alike two items are.

    S(i, i') = max(0, conf_i) * max(0, max_m cos_m(i, i')), at most 1.

    Attributes:
        modalities: name -> float [n_items, width]; a row of zeros resembles nothing. Cosines have
            the features' own precision.
        confidence: float [n_items], conf_i (Eq. 6); None counts as 1.
        present: name -> bool [n_items], False where the row is imputed: it resembles nothing.
    """

    modalities: Mapping[str, Tensor]
    confidence: Tensor | None = None
    present: Mapping[str, Tensor] | None = None

    def unit_rows(self) -> list[Tensor]:
        """Each modality's rows at length 1, or 0 where the item has no features."""
        rows = []
        for name, values in self.modalities.items():
            values = torch.as_tensor(values).detach().cpu()
            unit = functional.normalize(values if values.is_floating_point() else values.float())
            known = None if self.present is None else self.present[name].cpu()
            rows.append(unit if known is None else unit * known[:, None])
        return rows

    def weight(self, n_items: int) -> Array:
        """max(0, conf_i), at most 1, float [n_items]."""
        if self.confidence is None:
            return np.ones(n_items, dtype=np.float32)
        weight: Array = torch.as_tensor(self.confidence).cpu().clamp(0.0, 1.0).numpy()
        return weight


def pairs_above(users: Tensor, items: Tensor, content: Content, threshold: float) -> SimilarPairs:
    """Finds the pairs with S > ``threshold``.

    Args:
        users, items: int64 [n_interactions].
        content: of the items.
        threshold: S must exceed it strictly; 1 or more leaves no pair.
    """
    kept = [(np.empty(0, dtype=np.int64),) * 2]
    if threshold < 1.0:
        for rows, columns, similarity in _co_consumed(users, items, content):
            above = similarity > threshold
            kept.append((rows[above], columns[above]))
    rows, columns = (np.concatenate(part) for part in zip(*kept))
    return SimilarPairs(rows, columns, threshold)


def most_similar_pairs(
    users: Tensor, items: Tensor, content: Content, share: float
) -> SimilarPairs:
    """Finds the pairs above the lowest threshold that at most ``share`` of the pairs exceed.

    Absolute thresholds mean nothing without the scale of features and confidence; a share does.
    Pairs are ordered, because S is asymmetric, distinct, and count once however many users they
    share. No more than a multiple of the share is held at a time.

    Args:
        users, items, content: as for ``pairs_above``.
        share: between 0 and 1.

    Returns:
        The pairs; their threshold is rounded up to a multiple of 2^-20.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    allowed = int(share * _count_pairs(users, items))
    best: list[Array] = [np.empty(0, dtype=np.int64)] * 2 + [np.empty(0, dtype=np.float32)]
    for block in _co_consumed(users, items, content):
        best = [np.concatenate(parts) for parts in zip(best, block)]
        if len(best[2]) > 2 * allowed + BLOCK:
            best = _largest(best, allowed + 1)
    best = _largest(best, allowed + 1)
    threshold = 0.0
    if len(best[2]) > allowed:
        threshold = float(np.ceil(best[2].min() * LEVELS)) / LEVELS
    above = best[2] > threshold
    return SimilarPairs(best[0][above], best[1][above], threshold)


def incidence(rows: Array, columns: Array, shape: tuple[int, int]) -> csr_matrix:
    """bool CSR of this shape, True at (row, column)."""
    return csr_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape)


def blocks(n_rows: int, width: int) -> Iterator[tuple[int, int]]:
    """Yields [first, last) over the rows, at most ``BLOCK`` entries each."""
    size = max(1, BLOCK // max(1, width))
    return ((first, min(first + size, n_rows)) for first in range(0, n_rows, size))


def _largest(pairs: list[Array], count: int) -> list[Array]:
    """The ``count`` pairs of largest similarity, in any order."""
    if len(pairs[2]) <= count:
        return pairs
    kept = np.argpartition(-pairs[2], count - 1)[:count]
    return [part[kept] for part in pairs]


def _co_consumption(users: Tensor, items: Tensor) -> Iterator[tuple[int, int, Array, Array]]:
    """Yields blocks [first, last) of items and their pairs i < k that share a user, once each."""
    if not len(users):
        return
    n_items = int(items.max()) + 1
    shape = (int(users.max()) + 1, n_items)
    consumed = incidence(users.cpu().numpy(), items.cpu().numpy(), shape)
    by_item = consumed.T.tocsr()
    for first, last in blocks(n_items, n_items):
        pairs = (by_item[first:last] @ consumed).tocoo()
        upper = pairs.col > pairs.row + first
        yield first, last, pairs.row[upper] + first, pairs.col[upper]


def _count_pairs(users: Tensor, items: Tensor) -> int:
    """How many ordered pairs of different items share a user."""
    return 2 * sum(len(rows) for _, _, rows, _ in _co_consumption(users, items))


def _co_consumed(
    users: Tensor, items: Tensor, content: Content
) -> Iterator[tuple[Array, Array, Array]]:
    """Yields (i', i, S(i, i')) of all ordered pairs that share a user, block by block.

    The cosine is symmetric: only the blocks on and above the diagonal are computed.
    """
    features = content.unit_rows()
    if not features:
        return
    weight = content.weight(len(features[0]))
    for first, last, rows, columns in _co_consumption(users, items):
        cosine = torch.zeros(last - first, len(features[0]) - first, dtype=features[0].dtype)
        for values in features:
            cosine = torch.maximum(cosine, values[first:last] @ values[first:].T)
        alike = cosine.clamp_(max=1.0).numpy()[rows - first, columns - first]
        one = alike * weight[columns].astype(alike.dtype)
        other = alike * weight[rows].astype(alike.dtype)
        yield (
            np.concatenate([rows, columns]),
            np.concatenate([columns, rows]),
            np.concatenate([one, other]),
        )
