"""GUIDER (Wang et al., WSDM 2025): a denoised ID teacher guides a multi-modal student."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recbole_guider.data.sampler import Batch
from recbole_guider.data.splits import Interactions, Splits
from recbole_guider.guider.calibration import (
    InteractionCalibrator,
    distinct_rows,
    threshold_at_quantile,
)
from recbole_guider.guider.dbpr import FalseItems
from recbole_guider.guider.diagnosis import partition_report
from recbole_guider.guider.distillation import transport_distillation
from recbole_guider.kernels.hashing import cross_modal_hash, hash_confidence
from recbole_guider.registry import method
from recbole_guider.trainer.base import MethodTrainer
from recbole_guider.trainer.teacher import Teacher


@method("GUIDER")
@method("GUIDER-DBPR")
class GuiderTrainer(MethodTrainer):
    """Teacher and student train in sync, epoch by epoch (Algorithm 1).

    1. The teacher, an ID model (LightGCN), trains one epoch with DBPR over the current partition.
    2. Its losses split every user's interactions at the user's mean (Eq. 2), AMSC rescues spurious
       ones whose content resembles a reliable one (Eq. 3-6): I_true and I_false.
    3. The student, any backbone, trains one epoch with its complete native loss on all training
       interactions plus kappa times the entropic optimal-transport distance between teacher's and
       student's margins on I_true against I_false, else unobserved items (Eq. 8-14).

    Where the paper's equations cannot be run as printed, the reading is a property of
    properties/method/GUIDER.yaml. ``dbpr: none`` is the variant GUIDER-DBPR: a plain BPR teacher,
    no partition, distillation on ordinary triples. Only the student is used for inference.
    """

    needs_negatives = False

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.dbpr: str = config["dbpr"]
        self.warmup_epochs: int = config["warmup_epochs"]
        self.kd_weight: float = config["kd_weight"]
        # A seed of its own, far from those of a grid's next cells: the teacher is no other cell's
        # student, and kd_weight 0 leaves the student's own random numbers untouched.
        self.teacher_seed = (int(config["seed"]) * 0x9E3779B1 + 0x7EAC4E5) % 2**32
        self.teacher_generator = torch.Generator().manual_seed(self.teacher_seed)
        self.partitioned = False

    def on_fit_start(self, splits: Splits, dataset: Any) -> None:
        """Builds the teacher, the content similarity and the first partition: all is true."""
        with torch.random.fork_rng():
            torch.manual_seed(self.teacher_seed)
            self.teacher = Teacher(self.config, dataset, self.teacher_generator)
        self.train_interactions: Interactions = splits.train
        self.n_users = splits.n_users
        self.calibrator = None if self.dbpr == "none" else self._build_calibrator(dataset)
        self._use_partition(torch.ones(len(splits.train), dtype=torch.bool))

    def _build_calibrator(self, dataset: Any) -> InteractionCalibrator:
        """Content similarity of co-consumed items, confident where the modalities agree."""
        config, train = self.config, self.train_interactions
        features = dataset.item_features()
        present = {name: dataset.items_with(name) for name in features}
        if config["duplicate_features"] == "ignore":
            present = {name: present[name] & distinct_rows(features[name]) for name in features}
        confidence = None
        if config["hash"] != "none" and features:
            training = {
                "temperature": config["hash_temperature"],
                "learning_rate": config["hash_learning_rate"],
                "max_epochs": config["hash_epochs"],
            }
            codes = cross_modal_hash(
                features,
                bits=config["hash_bits"],
                seed=config["hash_seed"],
                mode=config["hash"],
                common_width=config["hash_width"],
                present=present,
                **(training if config["hash"] == "learned" else {}),
            )
            confidence = hash_confidence(codes, present)
        threshold = config["amsc_threshold"]
        if threshold is None:
            share = config["amsc_quantile"]
            threshold = threshold_at_quantile(
                train.users, train.items, features, confidence, share, present
            )
        self.diagnostics["amsc_threshold"] = threshold
        return InteractionCalibrator(
            train.users, train.items, features, threshold, confidence, present
        )

    def _use_partition(self, clean: Tensor) -> None:
        train = self.train_interactions
        self.clean = clean
        self.false_items = FalseItems(train.users, train.items, clean, self.n_users)

    def on_epoch_start(self, epoch: int) -> None:
        """The teacher's epoch, then the partition that the student's epoch (and the next) uses."""
        self.teacher.train_epoch(self._teacher_loss)
        if self.calibrator is None or epoch + 1 < self.warmup_epochs:
            return
        losses = self.teacher.interaction_losses(self.train_interactions)
        partition = self.calibrator.partition(losses)
        self._use_partition(partition.clean)
        self.partitioned = True
        report = partition_report(
            partition, self.train_interactions, self.config["likely_false_rating"]
        )
        self.diagnostics.setdefault("partition", []).append({"epoch": epoch, **report})

    def _teacher_loss(self, batch: Batch) -> Tensor:
        """DBPR on the batch's true interactions (Eq. 7 and plain BPR; see ``Teacher.loss``)."""
        batch = batch.select(self.clean[batch.rows])
        false, has_false = self.false_items.draw(batch.users, self.teacher_generator)
        weight = 0.0 if self.dbpr == "none" else float(self.config["dbpr_weight"])
        literal = self.dbpr == "literal" and self.partitioned  # before, plain BPR
        return self.teacher.loss(batch, false, has_false, weight, literal)

    def current_kd_weight(self) -> float:
        """kappa, growing linearly during the warm-up."""
        return self.kd_weight * min(1.0, (self.epoch + 1) / max(1, self.warmup_epochs))

    def extra_loss(self, batch: Batch, users: Tensor, items: Tensor) -> Tensor:
        """kappa * OT between the margins of teacher and student on the batch's true triples."""
        weight = self.current_kd_weight()
        if weight == 0.0:
            return super().extra_loss(batch, users, items)
        triples = self._distillation_triples(batch)
        vectors = self.model.batch_vectors(triples, users, items, with_negatives=True)
        student = (vectors.users * (vectors.positives - vectors.negatives)).sum(-1)
        config = self.config
        distance = transport_distillation(
            self.teacher.margins(triples),
            student,
            regularization=config["ot_regularization"],
            marginals=config["ot_marginals"],
            temperature=config["kd_temperature"],
            max_iterations=config["ot_iterations"],
            tolerance=config["ot_tolerance"],
        )
        return weight * distance

    def _distillation_triples(self, batch: Batch) -> Batch:
        """i in I_true(u), j in I_false(u) where the user has one, else the unobserved item."""
        rows = batch.rows.cpu()
        index = torch.nonzero(self.clean[rows]).flatten()
        size = self.config["ot_sample_size"]
        if len(index) > size:
            order = torch.randperm(len(index), generator=self.teacher_generator)
            index = index[order[:size]]
        users, positives = batch.users.cpu()[index], batch.positives.cpu()[index]
        false, has_false = self.false_items.draw(users, self.teacher_generator)
        unobserved = self.teacher.batches.sampler.sample(users, self.teacher_generator)
        negatives = torch.where(has_false, false, unobserved)
        return Batch(users, positives, negatives, rows[index]).to(self.device)

    def method_state(self) -> dict[str, Any]:
        """Teacher, partition and the teacher's random state."""
        return {
            "teacher": self.teacher.state(),
            "clean": self.clean,
            "partitioned": self.partitioned,
            "generator": self.teacher_generator.get_state(),
        }

    def load_method_state(self, state: dict[str, Any]) -> None:
        """Continues with the saved teacher and partition."""
        self.teacher.load_state(state["teacher"])
        self._use_partition(state["clean"].cpu())
        self.partitioned = state["partitioned"]
        self.teacher_generator.set_state(state["generator"].cpu())
