"""AMSC: splits each user's interactions by loss, then rescues what resembles a reliable item."""

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

TIE = 1e-8  # losses this little above the user's mean are ties with it and count as reliable
BLOCK = 1 << 22  # entries of the largest dense block; bounds memory, changes no result
LEVELS = 1 << 20  # resolution of threshold_at_quantile; a power of two, so that scaling is exact
Array = NDArray[Any]


@dataclass(frozen=True)
class Partition:
    """The interactions split into true and false.

    Attributes:
        reliable: bool [n_interactions], loss at most the user's mean (Eq. 2).
        clean: bool [n_interactions], I_true: reliable or rescued (Eq. 3); the rest is I_false.
    """

    reliable: Tensor
    clean: Tensor

    @property
    def spurious(self) -> Tensor:
        """bool [n_interactions], loss above the user's mean."""
        return ~self.reliable

    @property
    def rescued(self) -> Tensor:
        """bool [n_interactions], spurious by loss, true by content."""
        return self.clean & ~self.reliable


def partition_interactions(
    losses: Tensor,
    users: Tensor,
    items: Tensor,
    modalities: Mapping[str, Tensor],
    threshold: float,
    confidence: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Splits interactions once; ``InteractionCalibrator`` does it repeatedly.

    Args:
        losses: float [n_interactions], l(u, i) of each interaction.

    Returns:
        ``reliable`` and ``clean``, bool [n_interactions]; see ``Partition``.
    """
    calibrator = InteractionCalibrator(users, items, modalities, threshold, confidence)
    partition = calibrator.partition(losses)
    return partition.reliable, partition.clean


class InteractionCalibrator:
    """Partitions the same interactions under changing losses (Eq. 2-5).

    An interaction (u, i) is reliable if its loss is at most the mean of u's losses. A spurious one
    is rescued if some reliable item i' of u has S(i, i') > threshold, where
    S(i, i') = max(0, conf_i) * max(0, max_m cos_m(i, i')): content does not change, so the pairs
    above the threshold are found once, among the items that share a user, and kept sparse. A
    partition is then one sparse product per block of users; beside the kept pairs its memory is
    linear in interactions and items, however active a user is.

    Args:
        users, items: int64 [n_interactions].
        modalities: name -> float [n_items, width]; a row of zeros resembles nothing. Cosines have
            the features' own precision.
        threshold: S must exceed it strictly; 1 or more rescues nothing.
        confidence: float [n_items], conf_i (Eq. 6); None counts as 1.
        present: name -> bool [n_items], False where the row is imputed: it resembles nothing.
    """

    def __init__(
        self,
        users: Tensor,
        items: Tensor,
        modalities: Mapping[str, Tensor],
        threshold: float,
        confidence: Tensor | None = None,
        present: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.users = torch.as_tensor(users).cpu()
        self.items = torch.as_tensor(items).cpu()
        self.order = torch.argsort(self.users, stable=True)
        self.n_items = _n_items(modalities, self.items)
        nothing = np.empty(0, dtype=np.int64)
        rows, columns = [nothing], [nothing]
        if threshold < 1.0:
            for pair_rows, pair_columns, similarity in _co_consumed(
                self.users, self.items, modalities, confidence, present
            ):
                above = similarity > threshold
                rows.append(pair_rows[above])
                columns.append(pair_columns[above])
        # Row i' lists every i that a reliable i' rescues.
        self.rescues = _incidence(
            np.concatenate(rows), np.concatenate(columns), (self.n_items, self.n_items)
        )

    def partition(self, losses: Tensor) -> Partition:
        """Splits the interactions by ``losses``, float [n_interactions], in their order."""
        losses = torch.as_tensor(losses)
        values = losses.detach().cpu().double()
        counts = torch.bincount(self.users).clamp(min=1)
        means = torch.bincount(self.users, weights=values) / counts
        reliable = values <= means[self.users] + TIE
        clean = reliable.clone()
        if self.rescues.nnz:
            clean |= self._rescuable(reliable)
        return Partition(reliable.to(losses.device), clean.to(losses.device))

    def _rescuable(self, reliable: Tensor) -> Tensor:
        """bool [n_interactions]: a reliable item of the same user is similar enough."""
        users, items = self.users[self.order].numpy(), self.items[self.order].numpy()
        trusted = reliable[self.order].numpy()
        n_users = int(users[-1]) + 1
        reliable_items = _incidence(users[trusted], items[trusted], (n_users, self.n_items))
        found = np.empty(len(users), dtype=bool)
        for first, last in _blocks(n_users, self.n_items):
            reached = (reliable_items[first:last] @ self.rescues).toarray()
            rows = slice(*np.searchsorted(users, [first, last]))
            found[rows] = reached[users[rows] - first, items[rows]]
        result = torch.empty(len(found), dtype=torch.bool)
        result[self.order] = torch.from_numpy(found)
        return result


def threshold_at_quantile(
    users: Tensor,
    items: Tensor,
    modalities: Mapping[str, Tensor],
    confidence: Tensor | None,
    share: float,
    present: Mapping[str, Tensor] | None = None,
) -> float:
    """Returns the lowest threshold that at most ``share`` of the co-consumed pairs exceed.

    Absolute thresholds mean nothing without the scale of features and confidence; a share does.
    Pairs (i, i') are ordered, because S is asymmetric, distinct, and count once however many users
    they share.

    Args:
        share: between 0 and 1.
        users, items, modalities, confidence, present: as for ``InteractionCalibrator``.

    Returns:
        The threshold, rounded up to a multiple of 2^-20.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    counts = np.zeros(LEVELS + 1, dtype=np.int64)
    for rows, columns, similarity in _co_consumed(users, items, modalities, confidence, present):
        levels = np.ceil(similarity[rows != columns] * LEVELS).astype(np.int64)
        counts += np.bincount(levels, minlength=LEVELS + 1)
    exceeding = counts.sum() - counts.cumsum()
    return float(np.argmax(exceeding <= share * counts.sum())) / LEVELS


def _co_consumed(
    users: Tensor,
    items: Tensor,
    modalities: Mapping[str, Tensor],
    confidence: Tensor | None,
    present: Mapping[str, Tensor] | None,
) -> Iterator[tuple[Array, Array, Array]]:
    """Yields (i', i, S(i, i')) of the pairs of items that share a user, in blocks of i'."""
    features = [
        _unit_rows(values, None if present is None else present[name])
        for name, values in modalities.items()
    ]
    if not features or not len(users):
        return
    n_users, n_items = int(users.max()) + 1, _n_items(modalities, items)
    consumed = _incidence(users.cpu().numpy(), items.cpu().numpy(), (n_users, n_items))
    by_item = consumed.T.tocsr()
    weight = torch.ones(n_items) if confidence is None else torch.as_tensor(confidence).cpu()
    weight = weight.clamp(0.0, 1.0)
    for first, last in _blocks(n_items, n_items):
        pairs = (by_item[first:last] @ consumed).tocoo()
        cosine = torch.zeros(last - first, n_items, dtype=features[0].dtype)
        for values in features:
            cosine = torch.maximum(cosine, values[first:last] @ values.T)
        similarity = cosine.clamp_(max=1.0) * weight.to(cosine.dtype)
        yield pairs.row + first, pairs.col, similarity.numpy()[pairs.row, pairs.col]


def _unit_rows(features: Tensor, present: Tensor | None) -> Tensor:
    """Rows of length 1, or 0 where the item has no features."""
    features = torch.as_tensor(features).detach().cpu()
    rows = functional.normalize(features if features.is_floating_point() else features.float())
    return rows if present is None else rows * present.cpu()[:, None]


def _incidence(rows: Array, columns: Array, shape: tuple[int, int]) -> csr_matrix:
    """bool CSR of this shape, True at (row, column)."""
    return csr_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape)


def _blocks(n_rows: int, width: int) -> Iterator[tuple[int, int]]:
    """Yields [first, last) over the rows, at most ``BLOCK`` entries each."""
    size = max(1, BLOCK // max(1, width))
    return ((first, min(first + size, n_rows)) for first in range(0, n_rows, size))


def _n_items(modalities: Mapping[str, Tensor], items: Tensor) -> int:
    """Size of the item id space: the features' rows; without features, what the items need."""
    for values in modalities.values():
        return len(values)
    return int(items.max()) + 1 if len(items) else 0


def distinct_rows(features: Tensor) -> Tensor:
    """Tells which items' feature rows no other item has, bool [n_items].

    Data sets often fill missing content with one mean vector; such items would resemble each other
    perfectly and rescue each other's interactions.
    """
    _, group, count = torch.unique(features, dim=0, return_inverse=True, return_counts=True)
    alone: Tensor = count[group] == 1
    return alone
