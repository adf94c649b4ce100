"""WBPR (Gantner et al., KDD Cup 2011): negatives drawn by popularity."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recbole_guider.data.sampler import Batch
from recbole_guider.errors import InputError
from recbole_guider.model.base import BatchVectors, bpr_loss, logits
from recbole_guider.registry import method
from recbole_guider.trainer.base import MethodTrainer


@method("WBPR")
class WBPRTrainer(MethodTrainer):
    """BPR whose negative item j is drawn with probability proportional to n_j^alpha.

    n_j counts the users with j in the training split only (RecBole's own popularity sampler counts
    validation and test as well). alpha is ``train_neg_sample_args: {alpha}``; the authors' method
    is alpha = 1. A popular item that a user has not chosen is taken as a likelier true negative.

    A backbone without negatives (BM3) gets BPR over these negatives as a further term, weighted by
    ``wbpr_weight``; without it WBPR would leave the backbone unchanged.
    """

    needs_negatives = True

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.weight: float = config["wbpr_weight"]
        distribution = config["train_neg_sample_args"]["distribution"]
        if distribution != "popularity":
            raise InputError(
                f"WBPR draws negatives by popularity, not '{distribution}'",
                where="train_neg_sample_args",
                mend="Leave distribution out, or choose method Base.",
            )

    def positive_loss(self, batch: Batch, term: Tensor, vectors: BatchVectors) -> Tensor:
        """The backbone's own term plus weighted BPR."""
        return term.mean() + self.weight * bpr_loss(*logits(vectors)).mean()
