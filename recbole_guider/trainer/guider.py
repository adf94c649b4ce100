"""GUIDER (Wang et al., WSDM 2025): a denoised ID teacher guides a multi-modal student."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recbole_guider.data.sampler import Batch
from recbole_guider.data.splits import Interactions, Splits
from recbole_guider.errors import InputError
from recbole_guider.guider.calibration import Partition
from recbole_guider.guider.content import content_calibrator
from recbole_guider.guider.dbpr import FalseItems, eq7_loss, mean_over_true
from recbole_guider.model.base import BatchVectors, MultimodalRecommender, bpr_loss
from recbole_guider.registry import method
from recbole_guider.trainer.base import MethodTrainer
from recbole_guider.trainer.distiller import Distiller, margins
from recbole_guider.trainer.teacher import Teacher


@method("GUIDER")
class GuiderTrainer(MethodTrainer):
    """Teacher and student train in sync, epoch by epoch (Algorithm 1).

    1. The teacher, an ID model (LightGCN), trains one epoch with DBPR over the current partition.
    2. Its losses split every user's interactions at the user's mean (Eq. 2), AMSC rescues spurious
       ones whose content resembles a reliable one (Eq. 3-6): I_true and I_false.
    3. The student, any backbone, trains one epoch with its complete native loss on all training
       interactions plus kappa times a distance between the teacher's logits and its own (Eq. 8-14).

    Where the paper's equations cannot be run as printed, or can be read in several ways, the
    reading is a property of properties/method/GUIDER.yaml; the presets and ablations are files
    beside it that state what they change:

    * ``distillation``: ``margins`` s_ui - s_uj of the batch's triples with i in I_true(u) and j in
      I_false(u), else unobserved (the paper's); or ``candidates``, a user's logits over a pool of
      items that the batch shares; or ``none``. ``kd_loss`` is the distance.
    * ``dbpr: none`` leaves the partition out: a plain BPR teacher, ordinary triples.
    * ``partition_from: student`` splits by the student's own losses, as an ablation without a
      teacher must; ``student_loss: dbpr`` lets the partition into the student's ranking term.
    * ``partition_feeds``: whether I_false leaves the teacher's loss, its graph, or both.

    Only the student is used for inference.
    """

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.dbpr: str = config["dbpr"]
        self.dbpr_weight: float = config["dbpr_weight"]
        self.false_weight: float = config["false_weight"]
        self.warmup_epochs: int = config["warmup_epochs"]
        self.kd_weight: float = config["kd_weight"]
        self.student_is_denoised: bool = config["student_loss"] == "dbpr"
        self.feeds: str = config["partition_feeds"]
        self.teacher_seed = self.seed_apart(0x7EAC4E5)
        self.teacher_generator = torch.Generator().manual_seed(self.teacher_seed)
        self.partitioned = False
        self.teacher: Teacher | None = None
        self.distiller: Distiller | None = None

    def on_fit_start(self, splits: Splits, dataset: Any) -> None:
        """Builds the teacher, the content similarity and the first partition: all is true."""
        self.train_interactions: Interactions = splits.train
        self.n_users = splits.n_users
        by_student = self.config["partition_from"] == "student"
        distils = self.config["distillation"] != "none"
        if distils or not by_student:
            with torch.random.fork_rng():
                torch.manual_seed(self.teacher_seed)
                self.teacher = Teacher(self.config, dataset, self.teacher_generator)
            if distils:
                self.distiller = Distiller(
                    self.config, self.teacher, self.model, splits.train.items,
                    self.teacher_generator,
                )  # fmt: skip
        if by_student and self.feeds != "loss":
            raise InputError(
                "only a teacher's graph can be denoised, and the partition is the student's",
                where="partition_feeds",
                mend="Set partition_feeds: loss, or partition_from: teacher.",
            )
        self.judge: MultimodalRecommender = self.model
        if self.teacher is not None and not by_student:
            self.judge = self.teacher.model
        self.calibrator = None
        if self.dbpr != "none":
            self.calibrator, threshold = content_calibrator(self.config, dataset)
            self.diagnostics["amsc_threshold"] = threshold
        self._use_partition(torch.ones(len(splits.train), dtype=torch.bool))

    # The partition ---------------------------------------------------------------------------

    def on_epoch_start(self, epoch: int) -> None:
        """The teacher's epoch, then the partition that the student's epoch (and the next) uses."""
        if self.teacher is not None:
            self.teacher.train_epoch(self._teacher_loss, epoch)
        trained = epoch if self.judge is self.model else epoch + 1  # the student's is to come
        if self.calibrator is None or trained < max(self.warmup_epochs, 1):
            return
        train = self.train_interactions
        self.judge.eval()
        losses = functional.softplus(-self.judge.score_pairs(train.users, train.items))
        partition = self.calibrator.partition(losses)
        self._use_partition(partition.clean)
        self.partitioned = True
        self._denoise_graph()
        self._report(epoch, partition, losses)

    def _use_partition(self, clean: Tensor) -> None:
        train = self.train_interactions
        self.clean = clean
        self.false_items = FalseItems(train.users, train.items, clean, self.n_users)

    def _denoise_graph(self) -> None:
        """Takes I_false out of the teacher's graph where the partition feeds it."""
        if self.teacher is not None and self.feeds != "loss" and self.partitioned:
            train = self.train_interactions
            self.teacher.use_graph(train.users[self.clean], train.items[self.clean])

    def _report(self, epoch: int, partition: Partition, losses: Tensor) -> None:
        shares = {
            "spurious": float(partition.spurious.double().mean()),
            "rescued": float(partition.rescued.double().mean()),
            "false": float((~partition.clean).double().mean()),
        }
        self.diagnostics.setdefault("partition", []).append({"epoch": epoch, **shares})
        if self.detection is not None:
            rows = torch.arange(len(losses))
            users = self.train_interactions.users
            means = torch.bincount(users, losses) / torch.bincount(users).clamp(min=1)
            self.detection.note(rows, losses - means[users], ~partition.clean)

    # DBPR (Eq. 7) ----------------------------------------------------------------------------

    def _teacher_loss(self, batch: Batch) -> Tensor:
        """DBPR on the batch; plain BPR without a partition or where only the graph is denoised."""
        assert self.teacher is not None
        plain = self.dbpr == "none" or self.feeds == "graph"
        weights = (1.0, 0.0) if plain else (self.false_weight, self.dbpr_weight)
        if weights[0] == 0.0:
            batch = batch.select(self.clean[batch.rows])
        clean = self.clean[batch.rows]
        false, has_false = self.false_items.draw(batch.users, self.teacher_generator)
        literal = self.dbpr == "literal" and self.partitioned and not plain  # before, plain BPR
        return self.teacher.loss(batch, clean, false, clean & has_false, weights, literal)

    def ranking_loss(self, batch: Batch, positive: Tensor, negative: Tensor) -> Tensor:
        """Mean BPR, over the true interactions if the student is denoised too."""
        return self._over_true(batch, bpr_loss(positive, negative))

    def positive_loss(self, batch: Batch, term: Tensor, vectors: BatchVectors) -> Tensor:
        """The backbone's own term, over the true interactions if the student is denoised too."""
        return self._over_true(batch, term)

    def _over_true(self, batch: Batch, losses: Tensor) -> Tensor:
        if not self.student_is_denoised:
            return losses.mean()
        clean = self.clean[batch.rows.cpu()].to(losses.device)
        return mean_over_true(losses, clean, self.false_weight)

    def _student_eq7(self, batch: Batch, users: Tensor, items: Tensor) -> Tensor:
        """mu times Eq. 7 for the student, on the batch's true interactions."""
        rows = batch.rows.cpu()
        drawn, has_false = self.false_items.draw(batch.users.cpu(), self.teacher_generator)
        triples = Batch(batch.users, batch.positives, drawn.to(self.device), batch.rows)
        vectors = self.model.batch_vectors(triples, users, items, with_negatives=True)
        counts = (self.clean[rows] & has_false).to(self.device)
        return self.dbpr_weight * eq7_loss(margins(vectors), counts)

    # Distillation (Eq. 8-14) -----------------------------------------------------------------

    def extra_loss(self, batch: Batch, users: Tensor, items: Tensor) -> Tensor:
        """kappa * distance of the student's logits from the teacher's, and Eq. 7 if it is due."""
        loss = super().extra_loss(batch, users, items)
        if self.student_is_denoised and self.dbpr_weight > 0 and self.partitioned:
            loss = loss + self._student_eq7(batch, users, items)
        weight = self.current_kd_weight()
        if self.distiller is None or weight == 0:
            return loss
        assert self.batches is not None
        return loss + weight * self.distiller.distance(
            batch, users, items, self.clean, self.false_items, self.batches.sampler
        )

    def current_kd_weight(self) -> float:
        """kappa, growing linearly during the warm-up."""
        return self.kd_weight * min(1.0, (self.epoch + 1) / max(1, self.warmup_epochs))

    def on_epoch_end(self, epoch: int) -> None:
        """Keeps what the epoch's distillation looked like."""
        report = self.distiller.report() if self.distiller is not None else None
        if report is not None:
            self.diagnostics.setdefault("distillation", []).append({"epoch": epoch, **report})

    # Checkpoints -----------------------------------------------------------------------------

    def method_state(self) -> dict[str, Any]:
        """Teacher, partition and the teacher's random state."""
        return {
            "teacher": self.teacher.state() if self.teacher is not None else None,
            "clean": self.clean,
            "partitioned": self.partitioned,
            "generator": self.teacher_generator.get_state(),
        }

    def load_method_state(self, state: dict[str, Any]) -> None:
        """Continues with the saved teacher and partition."""
        self._use_partition(state["clean"].cpu())
        self.partitioned = state["partitioned"]
        self.teacher_generator.set_state(state["generator"].cpu())
        if self.teacher is not None:
            self.teacher.load_state(state["teacher"])
            self._denoise_graph()
