"""The training loop of every method: one propagation per step, early stopping, checkpoints."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import Any, Callable

import torch
from torch import Tensor

from recbole_guider.data.sampler import Batch, NegativeSampler, TrainingBatches
from recbole_guider.data.splits import Splits
from recbole_guider.errors import InputError
from recbole_guider.evaluator.detection import DetectionLog, noise_labels, score_distribution
from recbole_guider.evaluator.ranking import PerUser, evaluate_embeddings
from recbole_guider.model.base import BatchVectors, MultimodalRecommender, bpr_loss, logits
from recbole_guider.trainer import checkpoint
from recbole_guider.trainer.checkpointed import CheckpointedTrainer
from recbole_guider.trainer.tensorboard import chosen_tensorboard


class MethodTrainer(CheckpointedTrainer):
    """Base of all methods, and RecBole's ``Trainer`` interface around them.

    A method overrides ``ranking_loss`` (per-sample logits to a scalar), ``positive_loss`` for
    backbones without a ranking term (BM3), and ``on_epoch_start``. Nothing here asks which
    backbone is trained.

    Attributes:
        needs_negatives: the method draws on negatives even where the backbone has no use for them.
        valid_curve: per epoch the loss, and the validation metrics where they were computed.
        diagnostics: what a method wants kept with the result.
        per_user: evaluated users and metric values of the last evaluation.
    """

    needs_negatives = False

    def __init__(self, config: Any, model: MultimodalRecommender) -> None:
        if not isinstance(model, MultimodalRecommender):
            raise InputError(
                f"method {config['method']} cannot train {type(model).__name__}",
                where="method",
                mend="Choose a backbone of this suite, or leave method out.",
            )
        self.fused = bool(config["fused_optimizer"])
        with chosen_tensorboard(bool(config["tensorboard"])):
            super().__init__(config, model)
        self.metric_names = [
            f"{metric.lower()}@{k}" for metric in config["metrics"] for k in config["topk"]
        ]
        if self.valid_metric not in self.metric_names:
            self.metric_names.append(self.valid_metric)
        self.batches: TrainingBatches | None = None
        self.detection: DetectionLog | None = None
        self.generator = torch.Generator().manual_seed(int(config["seed"]))
        self.valid_curve: list[dict[str, float]] = []
        self.diagnostics: dict[str, Any] = {}
        self.per_user: tuple[Tensor, PerUser] | None = None
        self.best_epoch = -1
        self.best_weights: dict[str, Tensor] = {}
        self.seconds = {"train": 0.0, "evaluation": 0.0}
        self.epoch = 0
        self.best_valid_score = -math.inf
        self.name_checkpoint()

    # What a method defines -------------------------------------------------------------------

    def ranking_loss(self, batch: Batch, positive: Tensor, negative: Tensor) -> Tensor:
        """The ranking term from logits s_ui, s_uj [b]; a scalar. Default: mean BPR."""
        return bpr_loss(positive, negative).mean()

    def positive_loss(self, batch: Batch, term: Tensor, vectors: BatchVectors) -> Tensor:
        """The term of a backbone without negatives, from its per-sample loss [b]; a scalar."""
        return term.mean()

    def extra_loss(self, batch: Batch, users: Tensor, items: Tensor) -> Tensor:
        """What the method adds on top of the backbone's loss, from propagated tensors."""
        return users.new_zeros(())

    def on_fit_start(self, splits: Splits, dataset: Any) -> None:
        """Called once before the first epoch."""

    def on_epoch_start(self, epoch: int) -> None:
        """Called before each epoch, ahead of the backbone's own ``on_epoch_start``."""

    def on_epoch_end(self, epoch: int) -> None:
        """Called after each epoch's last step, before validation."""

    def seed_apart(self, offset: int) -> int:
        """A seed of a method's own parts, far from those of a grid's next cells.

        So such a part is no other cell's student, and the student's own random numbers stay those
        of method Base.
        """
        return (int(self.config["seed"]) * 0x9E3779B1 + offset) % 2**32

    def note_suspicion(
        self, batch: Batch, suspicion: Tensor, dropped: Tensor | None = None
    ) -> None:
        """Tells how noisy each of a batch's interactions looks, for the report on known noise.

        Free where the data set has no labels. Each epoch ends in ``diagnostics["detection"]``.

        Args:
            batch: the interactions.
            suspicion: float [b]; the larger, the likelier noise.
            dropped: bool [b], what the method leaves out; None if it only weighs.
        """
        if self.detection is not None:
            self.detection.note(batch.rows, suspicion, dropped)

    # Training --------------------------------------------------------------------------------

    def batch_loss(self, batch: Batch) -> Tensor:
        """Loss of one batch: the method's ranking term plus the backbone's auxiliary loss."""
        model: MultimodalRecommender = self.model
        users, items = model.propagate()
        vectors = model.batch_vectors(batch, users, items, with_negatives=self._draws_negatives)
        if model.has_ranking_term:
            loss = self.ranking_loss(batch, *logits(vectors))
        else:
            term = model.positive_term(batch, users, items, vectors)
            loss = self.positive_loss(batch, term, vectors)
        loss = loss + model.auxiliary_loss(batch, users, items, vectors)
        return loss + self.extra_loss(batch, users, items)

    @property
    def _draws_negatives(self) -> bool:
        return self.needs_negatives or self.model.has_ranking_term

    def _train_epoch(
        self,
        train_data: Any,
        epoch_idx: int,
        loss_func: Callable[[Batch], Tensor] | None = None,
        show_progress: bool = False,
    ) -> float:
        """Trains the backbone for one epoch and returns the mean loss per batch."""
        self._prepare(train_data)
        self.epoch = epoch_idx
        self.on_epoch_start(epoch_idx)
        self.model.on_epoch_start(epoch_idx)
        self.model.train()
        loss = self._run_batches(loss_func or self.batch_loss)
        self.on_epoch_end(epoch_idx)
        if self.detection is not None:
            found = self.detection.close(epoch_idx)
            if found:
                self.diagnostics.setdefault("detection", []).extend(found)
        return loss

    def _run_batches(self, loss_of: Callable[[Batch], Tensor]) -> float:
        """One pass over the training interactions; returns the mean loss per batch."""
        assert self.batches is not None
        total = torch.zeros((), device=self.device)
        for batch in self.batches:
            self.optimizer.zero_grad()
            loss = loss_of(batch.to(self.device))
            loss.backward()
            if self.clip_grad_norm:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), **self.clip_grad_norm)
            self.optimizer.step()
            total += loss.detach()
        mean = float(total) / len(self.batches)  # one synchronisation an epoch, not one a batch
        if not math.isfinite(mean):
            raise InputError(
                f"the training loss became {mean} in epoch {self.epoch}",
                where=f"{self.config['model']} with {self.config['method']}",
                mend="Lower learning_rate.",
            )
        return mean

    def _prepare(self, train_data: Any) -> None:
        """Builds sampler and batches from the data set behind RecBole's loader, once."""
        if self.batches is not None:
            return
        dataset = getattr(train_data, "_dataset", train_data)
        splits: Splits = dataset.splits
        negatives = self.config["train_neg_sample_args"]
        if negatives["sample_num"] != 1 or negatives["dynamic"]:
            raise InputError(
                "only one static negative item per interaction is supported",
                where="train_neg_sample_args",
                mend="Set sample_num: 1 and dynamic: false.",
            )
        sampler = NegativeSampler(
            splits.train,
            splits.n_users,
            splits.n_items,
            negatives["distribution"],
            float(negatives["alpha"]),
            self.config["negative_candidates"],
        )
        size = self.config["train_batch_size"]
        self.batches = TrainingBatches(splits, size, sampler, self.generator)
        self.data_hash = dataset.data_hash
        labels = noise_labels(splits.train, self.config["likely_false_rating"])
        if labels:
            self.detection = DetectionLog(labels, len(splits.train))
        self.on_fit_start(splits, dataset)
        self._finish_resuming()

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        """RecBole's optimizer; Adam and AdamW in their fused form (same update, one kernel)."""
        learner = str(kwargs.get("learner", self.learner)).lower()
        if not self.fused or learner not in ("adam", "adamw"):
            optimizer: torch.optim.Optimizer = super()._build_optimizer(**kwargs)
            return optimizer
        build: type[torch.optim.Optimizer] = (
            torch.optim.Adam if learner == "adam" else torch.optim.AdamW
        )
        return build(  # type: ignore[call-arg]
            kwargs.get("params", self.model.parameters()),
            lr=kwargs.get("learning_rate", self.learning_rate),
            weight_decay=kwargs.get("weight_decay", self.weight_decay),
            fused=True,
        )

    def fit(
        self,
        train_data: Any,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, dict[str, float] | None]:
        """Trains until validation stops improving; ties keep the earlier epoch.

        Returns:
            The best validation score and all validation metrics of that epoch; -inf and None
            without validation data.
        """
        self._prepare(train_data)
        for epoch in range(self.start_epoch, self.epochs):
            if self.cur_step > self.stopping_step:  # resumed after it had stopped
                break
            started = time.perf_counter()
            loss = self._train_epoch(train_data, epoch, show_progress=show_progress)
            self.train_loss_dict[epoch] = loss
            self.tensorboard.add_scalar("Loss/Train", loss, epoch)
            self.seconds["train"] += time.perf_counter() - started
            point: dict[str, float] = {"epoch": epoch, "loss": loss}
            stop = False
            if valid_data is not None and self.eval_step > 0 and (epoch + 1) % self.eval_step == 0:
                score, result = self._valid_epoch(valid_data)
                point.update(result)
                self.tensorboard.add_scalar("Valid_score", score, epoch)
                stop = self._note_validation(epoch, score, result)
                if callback_fn:
                    callback_fn(epoch, score)
            self.valid_curve.append(point)
            if verbose:
                shown = "  ".join(f"{k}: {v:.6g}" for k, v in point.items() if k != "epoch")
                self.logger.info("epoch %d  %s", epoch, shown)
            if saved:
                self._save_checkpoint(epoch, verbose=False)
            if stop:
                break
        return self.best_valid_score, self.best_valid_result

    def _note_validation(self, epoch: int, score: float, result: dict[str, float]) -> bool:
        """Keeps the best weights; returns whether training should stop."""
        if score > self.best_valid_score:
            self.best_valid_score, self.best_valid_result = score, result
            self.best_epoch, self.cur_step = epoch, 0
            self.best_weights = _copy(self.model.state_dict())
            return False
        self.cur_step += 1
        return bool(self.cur_step > self.stopping_step)

    # Evaluation ------------------------------------------------------------------------------

    def _valid_epoch(
        self, valid_data: Any, show_progress: bool = False
    ) -> tuple[float, dict[str, float]]:
        result = self.evaluate(valid_data, load_best_model=False)
        return result[self.valid_metric], dict(result)

    @torch.no_grad()
    def evaluate(
        self,
        eval_data: Any,
        load_best_model: bool = True,
        model_file: str | None = None,
        show_progress: bool = False,
    ) -> OrderedDict[str, float]:
        """Ranks all items for every user of the phase that ``eval_data`` holds.

        Args:
            eval_data: RecBole's loader of the phase, or the built data set itself.
            load_best_model: evaluate the weights of the best validation epoch.
            model_file: a checkpoint to take these weights from.

        Returns:
            Means over users, keyed ``recall@20`` and so on; ``per_user`` keeps the values.
        """
        started = time.perf_counter()
        if model_file is not None:
            state = checkpoint.load(model_file, self.device)
            self.model.load_state_dict(state["best_state_dict"] or state["state_dict"])
        elif load_best_model and self.best_weights:
            self.model.load_state_dict(self.best_weights)
        self.model.eval()
        dataset = getattr(eval_data, "_dataset", eval_data)
        users, items = self.model.representations()
        if not (torch.isfinite(users).all() and torch.isfinite(items).all()):
            raise InputError(
                "the representations are no longer finite",
                where=f"{self.config['model']} with {self.config['method']}",
                mend="Lower learning_rate.",
            )
        self.per_user = evaluate_embeddings(
            users,
            items,
            dataset.splits,
            dataset.phase,
            self.config["protocol"],
            self.metric_names,
            int(self.config["eval_batch_size"]),
        )
        self.seconds["evaluation"] += time.perf_counter() - started
        values = self.per_user[1]
        return OrderedDict((name, float(values[name].mean())) for name in self.metric_names)

    @torch.no_grad()
    def note_scores(self) -> None:
        """Keeps how the model now scores clean and noisy training interactions, where known."""
        if self.detection is None or self.batches is None:
            return
        self.model.eval()
        train = self.batches.train
        scores = self.model.score_pairs(train.users, train.items)
        self.diagnostics["score_distribution"] = score_distribution(scores, self.detection.labels)


def _copy(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}
