"""T-CE (Wang et al., WSDM 2021): drop the interactions of largest loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recbole_guider.data.sampler import Batch
from recbole_guider.model.base import BatchVectors, bpr_loss
from recbole_guider.registry import method
from recbole_guider.trainer.base import MethodTrainer


def drop_rate(progress: float, largest: float, exponent: float = 1.0) -> float:
    """The ramp eps(T) = eps_max * min(T / N, 1)^exponent, with ``progress`` = T / N."""
    return float(largest * min(max(progress, 0.0), 1.0) ** exponent)


def kept_count(n: int, rate: float) -> int:
    """How many of n samples stay at this drop rate: floor((1 - rate) n), at least one."""
    return max(1, math.floor((1.0 - rate) * n + 1e-9))


def smallest(losses: Tensor, count: int) -> Tensor:
    """bool [n], True for the ``count`` smallest values; ties keep the earlier sample."""
    kept = torch.zeros(len(losses), dtype=torch.bool, device=losses.device)
    kept[torch.argsort(losses.detach(), stable=True)[:count]] = True
    return kept


def kept_interactions(losses: Tensor, rate: float, base: str) -> Tensor:
    """bool [b], False for the interactions of largest loss.

    Args:
        losses: float [b], of the positive samples, or of triples.
        rate: drop rate eps(T).
        base: what eps is a share of: ``positive``, these b losses, or ``batch``, all 2b samples of
            positives and negatives, of which only positives are dropped: twice as many.
    """
    total = 2 * len(losses) if base == "batch" else len(losses)
    dropped = min(total - kept_count(total, rate), len(losses))
    return smallest(losses, len(losses) - dropped)


def pointwise_truncated(positive: Tensor, negative: Tensor, kept: Tensor) -> Tensor:
    """Mean binary cross-entropy over the kept positives and all negatives (Eq. 3).

    Args:
        positive, negative: logits [b]; labels are 1 and 0.
        kept: bool [b], which positives count.
    """
    losses = functional.softplus(-positive)[kept], functional.softplus(negative)
    return torch.cat(losses).mean()


@method("T-CE")
class TruncatedCETrainer(MethodTrainer):
    """Samples whose current loss is among the largest eps(T) contribute nothing.

    ``loss_form: pairwise`` truncates BPR triples, the form used on ranking backbones;
    ``pointwise`` is the authors' binary cross-entropy over the positive and its negative. The
    decision is made per batch on the current loss, without gradient, and the mean is taken over
    what is kept. eps grows linearly from 0 to ``drop_rate`` over ``ramp_epochs`` (the authors count
    iterations, which makes the ramp depend on the size of the data). For BM3 the per-interaction
    alignment takes the place of the triple's loss.
    """

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.largest: float = config["drop_rate"]
        self.ramp_epochs: float = config["ramp_epochs"]
        self.exponent: float = config["ramp_exponent"]
        self.loss_form: str = config["loss_form"]
        self.drop_base: str = config["drop_base"]
        self.iteration = 0

    def current_rate(self) -> float:
        """eps of the next batch."""
        assert self.batches is not None
        steps = self.ramp_epochs * len(self.batches)
        progress = self.iteration / steps if steps > 0 else 1.0
        return drop_rate(progress, self.largest, self.exponent)

    def ranking_loss(self, batch: Batch, positive: Tensor, negative: Tensor) -> Tensor:
        """Truncated BPR or truncated binary cross-entropy."""
        if self.loss_form == "pointwise":
            kept = self._keep(batch, functional.softplus(-positive), self.drop_base)
            return pointwise_truncated(positive, negative, kept)
        losses = bpr_loss(positive, negative)
        return losses[self._keep(batch, losses, "positive")].mean()

    def positive_loss(self, batch: Batch, term: Tensor, vectors: BatchVectors) -> Tensor:
        """Truncated mean of the backbone's own per-sample term."""
        return term[self._keep(batch, term, "positive")].mean()

    def _keep(self, batch: Batch, losses: Tensor, base: str) -> Tensor:
        """Which interactions count in this batch; moves the ramp on by one step."""
        kept = kept_interactions(losses, self.current_rate(), base)
        self.iteration += 1
        self.note_suspicion(batch, losses, ~kept)
        return kept

    def method_state(self) -> dict[str, Any]:
        """The ramp's position."""
        return {"iteration": self.iteration}

    def load_method_state(self, state: dict[str, Any]) -> None:
        """Continues the ramp."""
        self.iteration = state["iteration"]
