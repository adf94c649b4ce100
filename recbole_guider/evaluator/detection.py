"""How well a method tells noisy training interactions from clean ones, where labels are known."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from recbole_guider.data.splits import Interactions

BINS = 40  # of the score distributions


class Labels(NamedTuple):
    """What is known of the training interactions.

    Attributes:
        noisy: bool [n_interactions], known or likely to be noise.
        known: bool [n_interactions], False where nothing is known: these do not count.
    """

    noisy: Tensor
    known: Tensor


def noise_labels(
    train: Interactions, likely_false_rating: float | None = None
) -> dict[str, Labels]:
    """Which training interactions are known, or likely, to be noise.

    Args:
        train: the training interactions.
        likely_false_rating: ratings up to this value mark likely false positives; injected pairs
            have no rating and are unknown here.

    Returns:
        Labels ``injected`` and ``low_rating``, where the data set has them and they divide the
        interactions.
    """
    labels = {}
    if train.injected is not None:
        labels["injected"] = Labels(train.injected, torch.ones_like(train.injected))
    if train.ratings is not None and likely_false_rating is not None:
        known = ~torch.isnan(train.ratings)
        labels["low_rating"] = Labels(train.ratings <= likely_false_rating, known)
    return {name: one for name, one in labels.items() if one.noisy[one.known].unique().numel() == 2}


class DetectionLog:
    """Collects one epoch's suspicions and compares them with the labels.

    Args:
        labels: as ``noise_labels`` returns them.
        n_interactions: number of training interactions.
    """

    def __init__(self, labels: dict[str, Labels], n_interactions: int) -> None:
        self.labels = labels
        self.suspicion = torch.full((n_interactions,), torch.nan)
        self.flagged: Tensor | None = None

    def note(self, rows: Tensor, suspicion: Tensor, flagged: Tensor | None = None) -> None:
        """Keeps what a method thinks of some interactions.

        Args:
            rows: int64 [b], indices into the training interactions.
            suspicion: float [b]; the larger, the likelier noise. Only its order counts.
            flagged: bool [b], what is dropped or condemned; None for methods that only weigh.
        """
        rows = rows.cpu()
        self.suspicion[rows] = suspicion.detach().float().cpu()
        if flagged is not None:
            if self.flagged is None:
                self.flagged = torch.zeros(len(self.suspicion), dtype=torch.bool)
            self.flagged[rows] = flagged.cpu()

    def close(self, epoch: int) -> list[dict[str, Any]]:
        """Returns one entry for each label, and forgets the epoch.

        ``auc`` is the chance that a noisy interaction looks more suspicious than a clean one;
        ``precision`` and ``recall`` are of what was flagged, and None where nothing can be.
        Interactions that the epoch did not see do not count.
        """
        seen = ~torch.isnan(self.suspicion)
        entries = []
        if bool(seen.any()):
            entries = [self._entry(epoch, name, seen) for name in self.labels]
        self.suspicion.fill_(torch.nan)
        self.flagged = None
        return entries

    def _entry(self, epoch: int, name: str, seen: Tensor) -> dict[str, Any]:
        label = self.labels[name]
        seen = seen & label.known
        noisy = label.noisy[seen]
        n_noisy = int(noisy.sum())
        entry: dict[str, Any] = {
            "epoch": epoch,
            "label": name,
            "base_rate": n_noisy / max(1, len(noisy)),
            "auc": area_under_curve(self.suspicion[seen], noisy),
            "flagged": None,
            "precision": None,
            "recall": None,
        }
        if self.flagged is not None:
            flagged = self.flagged[seen]
            n_flagged, both = int(flagged.sum()), int((flagged & noisy).sum())
            entry["flagged"] = n_flagged / max(1, len(noisy))
            entry["precision"] = both / n_flagged if n_flagged else None
            entry["recall"] = both / n_noisy if n_noisy else None
        return entry


def area_under_curve(suspicion: Tensor, noisy: Tensor) -> float | None:
    """The area under the ROC curve, ties counted half; None without both kinds.

    Args:
        suspicion: float [n].
        noisy: bool [n].
    """
    if not noisy.any() or noisy.all() or not torch.isfinite(suspicion).all():
        return None
    return float(roc_auc_score(noisy.numpy(), suspicion.numpy()))


def score_distribution(scores: Tensor, labels: dict[str, Labels]) -> list[dict[str, Any]]:
    """Histograms of the scores s_ui of clean and of noisy training interactions.

    Args:
        scores: float [n_interactions].
        labels: as ``noise_labels`` returns them.

    Returns:
        For each label: ``label``, ``edges`` (of ``BINS`` bins over all scores), the counts
        ``clean`` and ``noisy``, and ``auc`` of low scores as a sign of noise.
    """
    scores = scores.detach().double().cpu()
    low, high = float(scores.min()), float(scores.max())
    edges = torch.linspace(low, high if high > low else low + 1.0, BINS + 1, dtype=torch.float64)
    return [
        {
            "label": name,
            "edges": edges.tolist(),
            "clean": _counts(scores[known & ~noisy], edges),
            "noisy": _counts(scores[known & noisy], edges),
            "auc": area_under_curve(-scores[known], noisy[known]),
        }
        for name, (noisy, known) in labels.items()
    ]


def _counts(scores: Tensor, edges: Tensor) -> list[int]:
    counts = torch.histogram(scores, edges).hist
    return [int(count) for count in counts]
