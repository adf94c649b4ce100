"""GUIDER as its released code runs it, which is not what the paper describes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recbole_guider.data.sampler import Batch
from recbole_guider.data.splits import Splits
from recbole_guider.guider.distillation import candidate_distance
from recbole_guider.guider.released import (
    FixedHashes,
    loss_weights,
    triple_weights,
    with_gradients,
)
from recbole_guider.model.base import MultimodalRecommender, bpr_loss, logits
from recbole_guider.registry import method
from recbole_guider.trainer.base import MethodTrainer
from recbole_guider.trainer.teacher import Teacher


@method("GUIDER-released")
class GuiderReleasedTrainer(MethodTrainer):
    """Teacher and student train in turns, an epoch each.

    Teacher: a multi-modal model (FREEDOM with its values, without the contents' BPR terms) with
    per-triple weights on BPR, mean w softplus(-(s_ui - s_uj)), j uniform. d_i = ||P x_text -
    P x_image|| under fixed random projections, scaled to 0 ... 1 within the batch; below
    ``clean_threshold`` a triple is clean and weighs the mean share of bits that fixed random hashes
    of the user's vector and of the item's text and image have in common; the others weigh 1. There
    is no partition, no rescue and no false item.

    Student: a L_native + b KL(teacher || student), the KL between softmaxes over all items, without
    temperature and with training positives; a and b as ``guider.released.loss_weights`` says. They
    need the gradients of both losses: two backward passes a batch, and no third.

    What differs from the released code:
      * the KL is taken over the distinct users of a batch's first ``kd_users`` rows, instead of
        all rows: its scores are [users, all items];
      * any number of modalities: d is the mean over their pairs, the bits' share the mean over
        them. With one modality d is 0: every triple is clean and weighs about 1/2;
      * an item without a modality has a row of zeros for it, not the mean of the others;
      * projections and hashes have no bias, and the seed of the run draws them;
      * unused there and left out: reg_weight, lambda_coeff, the transport it comments out;
      * its stopping rule never stops and its epoch is the best on test: here as for every method.
    """

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.teacher_seed = self.seed_apart(0x2E1EA5ED)
        self.teacher_generator = torch.Generator().manual_seed(self.teacher_seed)

    def on_fit_start(self, splits: Splits, dataset: Any) -> None:
        """Builds the teacher."""
        with torch.random.fork_rng():
            torch.manual_seed(self.teacher_seed)
            self.teacher = ReleasedTeacher(self.config, dataset, self.teacher_generator)

    def on_epoch_start(self, epoch: int) -> None:
        """The teacher's epoch."""
        self.teacher.train_epoch(self.teacher.weighted_loss, epoch)
        train = self.teacher.batches.train
        everything = Batch(train.users, train.items, train.items, torch.arange(len(train)))
        self.note_suspicion(everything, self.teacher.hashes.disagreement.cpu()[train.items])

    def batch_loss(self, batch: Batch) -> Tensor:
        """Both losses' sum, with the gradients of the weighted sum.

        The weights change from batch to batch, so that a weighted sum could not be compared.
        """
        config, model = self.config, self.model
        users, items = model.propagate()
        native = self.native_loss(batch, users, items)
        distilled = self.distillation(batch, users, items)
        parameters = [p for p in model.parameters() if p.requires_grad]
        first = torch.autograd.grad(native, parameters, retain_graph=True, allow_unused=True)
        second = torch.autograd.grad(distilled, parameters, allow_unused=True)
        a, b = loss_weights(
            first, second, config["mgda_edge"], config["native_floor"], config["kd_floor"]
        )
        sums = [_weighted(a, n, b, d, p) for n, d, p in zip(first, second, parameters)]
        return with_gradients(native + distilled, parameters, sums)

    def native_loss(self, batch: Batch, users: Tensor, items: Tensor) -> Tensor:
        """The student's own loss, from what it propagated."""
        model: MultimodalRecommender = self.model
        vectors = model.batch_vectors(batch, users, items, with_negatives=self._draws_negatives)
        if model.has_ranking_term:
            term = bpr_loss(*logits(vectors))
        else:
            term = model.positive_term(batch, users, items, vectors)
        return term.mean() + model.auxiliary_loss(batch, users, items, vectors)

    def distillation(self, batch: Batch, users: Tensor, items: Tensor) -> Tensor:
        """KL(teacher || student) over all items but padding, the mean over some users."""
        index = torch.unique(batch.users[: self.config["kd_users"]])
        everything = torch.arange(1, len(items), device=items.device)
        student = (
            self.model.user_vectors(users, index) @ self.model.item_vectors(items, everything).T
        )
        return candidate_distance(self.teacher.scores(index), student, "kl").value

    def method_state(self) -> dict[str, Any]:
        """The teacher and its random state; the hashes follow from the seed."""
        return {
            "teacher": self.teacher.state(),
            "generator": self.teacher_generator.get_state(),
        }

    def load_method_state(self, state: dict[str, Any]) -> None:
        """Continues with the saved teacher."""
        self.teacher.load_state(state["teacher"])
        self.teacher_generator.set_state(state["generator"].cpu())


def _weighted(a: Tensor, n: Tensor | None, b: Tensor, d: Tensor | None, like: Tensor) -> Tensor:
    """a n + b d, where None is a gradient of zero."""
    total = torch.zeros_like(like)
    for weight, gradient in ((a, n), (b, d)):
        if gradient is not None:
            total = total + weight * gradient
    return total


class ReleasedTeacher(Teacher):
    """The multi-modal teacher with fixed random hashes, drawn by the teacher's generator."""

    multimodal = True

    def __init__(self, config: Any, dataset: Any, generator: torch.Generator) -> None:
        super().__init__(config, dataset, generator)
        self.threshold: float = config["clean_threshold"]
        size = self.model.vector_width()
        width, bits = config["projection_width"], config["hash_bits"]
        hashes = FixedHashes(dataset.item_features(), size, width, bits, generator)
        self.hashes = hashes.to(self.device)

    def weighted_loss(self, batch: Batch) -> Tensor:
        """Weighted BPR plus the teacher backbone's auxiliary loss."""
        batch = batch.to(self.device)
        users, items = self.model.propagate()
        vectors = self.model.batch_vectors(batch, users, items, with_negatives=True)
        disagreement = self.hashes.disagreement[batch.positives]
        similarity = self.hashes.similarity(vectors.users, batch.positives)
        weights = triple_weights(disagreement, similarity, self.threshold)
        loss = (weights * bpr_loss(*logits(vectors))).mean()
        return loss + self.model.auxiliary_loss(batch, users, items, vectors)

    @torch.no_grad()
    def scores(self, users: Tensor) -> Tensor:
        """s_ui of some users and all items but padding, float [b, n_items - 1]."""
        all_users, all_items = self.model.representations()
        return all_users[users] @ all_items[1:].T
