"""R-CE (Wang et al., WSDM 2021): reweight interactions by the model's own confidence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recbole_guider.data.sampler import Batch
from recbole_guider.model.base import BatchVectors, bpr_loss
from recbole_guider.registry import method
from recbole_guider.trainer.base import MethodTrainer


def confidence_weights(confidence_logits: Tensor, beta: float) -> Tensor:
    """w = sigmoid(logit)^beta without gradient, float [b]; it falls as the loss rises."""
    return torch.exp(beta * functional.logsigmoid(confidence_logits.detach()))


def reweighted(losses: Tensor, weights: Tensor, normalise: bool) -> Tensor:
    """mean(w * loss) as the authors do, or the weighted mean when ``normalise``."""
    total = (weights * losses).mean()
    return total / weights.mean() if normalise else total


@method("R-CE")
class ReweightedCETrainer(MethodTrainer):
    """Every sample's loss is multiplied by how confident the model already is in it.

    Pairwise (default): w = sigmoid(s_ui - s_uj)^beta on BPR triples. Pointwise: sigmoid(s)^beta on
    positives and (1 - sigmoid(s))^beta on negatives, as the authors do. For BM3 the weight
    sigmoid(s_ui)^beta multiplies the interaction's alignment. Weights carry no gradient.
    """

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.beta: float = config["beta"]
        self.normalise: bool = config["normalise_weights"]
        self.loss_form: str = config["loss_form"]

    def ranking_loss(self, batch: Batch, positive: Tensor, negative: Tensor) -> Tensor:
        """Reweighted BPR or reweighted binary cross-entropy."""
        if self.loss_form == "pairwise":
            margin, losses = positive - negative, bpr_loss(positive, negative)
        else:
            margin = torch.cat([positive, -negative])
            losses = functional.softplus(-margin)
        weights = confidence_weights(margin, self.beta)
        # Suspicion by the logit: in its order the weights fall, and they may all round to 0.
        self.note_suspicion(batch, -margin[: len(positive)])
        return reweighted(losses, weights, self.normalise)

    def positive_loss(self, batch: Batch, term: Tensor, vectors: BatchVectors) -> Tensor:
        """Reweighted mean of the backbone's own per-sample term."""
        score = (vectors.users * vectors.positives).sum(-1)
        self.note_suspicion(batch, -score)
        return reweighted(term, confidence_weights(score, self.beta), self.normalise)
