"""GUIDER's teacher: an ID backbone with its own optimizer, outside the student's parameters."""

from __future__ import annotations

import math
from typing import Any, Callable

import torch
from torch import Tensor

from recbole_guider.data.sampler import Batch, NegativeSampler, TrainingBatches
from recbole_guider.data.splits import Splits
from recbole_guider.errors import InputError
from recbole_guider.guider.dbpr import dbpr_loss
from recbole_guider.model.base import logits
from recbole_guider.model.id_graph import IdGraph
from recbole_guider.registry import backbone_class

PREFIX = "teacher_"


class Teacher:
    """Trains beside the student.

    Properties named ``teacher_<key>`` override the teacher backbone's own ``<key>`` where it has
    one, apart from ``teacher_model`` and ``teacher_learning_rate``.

    Args:
        config: the run's properties.
        dataset: the built training data set.
        generator: order of the teacher's batches and its negatives.
    """

    def __init__(self, config: Any, dataset: Any, generator: torch.Generator) -> None:
        self.config = config
        name = config["teacher_model"]
        backbone = backbone_class(name)
        if backbone.uses_modalities:
            raise InputError(
                f"'{name}' reads item modalities; the teacher must not",
                where="teacher_model",
                mend="Choose LightGCN or BPR.",
            )
        own = {
            key[len(PREFIX) :]: value
            for key, value in config.final_config_dict.items()
            if key.startswith(PREFIX) and key not in ("teacher_model", "teacher_learning_rate")
        }
        self.model = backbone(config.for_model(name, own), dataset)
        self.device = config["device"]
        self.model.to(self.device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=config["teacher_learning_rate"],
            fused=bool(config["fused_optimizer"]),
        )
        splits: Splits = dataset.splits
        sampler = NegativeSampler(
            splits.train,
            splits.n_users,
            splits.n_items,
            candidates=config["negative_candidates"],
        )
        self.batches = TrainingBatches(splits, config["train_batch_size"], sampler, generator)

    def use_graph(self, users: Tensor, items: Tensor) -> None:
        """Propagates from now on over the graph of these interactions, int64 [n] each.

        Raises:
            InputError: the teacher has no graph.
        """
        graph = getattr(self.model, "ids", None)
        if not isinstance(graph, IdGraph):
            raise InputError(
                f"teacher_model {self.config['teacher_model']} has no graph to take noise from",
                where="partition_feeds",
                mend="Choose loss, or teacher_model LightGCN.",
            )
        graph.use(users, items)
        self.model.eval()  # forgets what it cached

    def train_epoch(self, loss_of: Callable[[Batch], Tensor]) -> None:
        """One pass over the training interactions."""
        self.model.train()
        total = torch.zeros((), device=self.device)
        for batch in self.batches:
            self.optimizer.zero_grad()
            loss = loss_of(batch)
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        if not math.isfinite(float(total)):
            raise InputError(
                f"the teacher's training loss became {float(total)}",
                where="teacher_learning_rate",
                mend="Lower it.",
            )
        self.model.eval()

    def loss(
        self, batch: Batch, false: Tensor, has_false: Tensor, weight: float, literal: bool
    ) -> Tensor:
        """DBPR (``guider.dbpr.dbpr_loss``) plus the backbone's own auxiliary loss.

        Args:
            batch: true interactions with an unobserved negative each.
            false: int64 [b], one item of I_false(u) where ``has_false`` [b] says so.
            weight, literal: as in ``dbpr_loss``.
        """
        batch, false = batch.to(self.device), false.to(self.device)
        users, items = self.model.propagate()
        vectors = self.model.batch_vectors(batch, users, items, with_negatives=True)
        positive, negative = logits(vectors)
        if len(positive) == 0:  # no true interaction in this batch
            return positive.sum()
        false_margin = None
        if weight > 0 or literal:
            rows = self.model.item_vectors(items, false)
            false_margin = positive - (vectors.users * rows).sum(-1)
        has_false = has_false.to(self.device)
        loss = dbpr_loss(positive - negative, false_margin, has_false, weight, literal)
        auxiliary: Tensor = self.model.auxiliary_loss(batch, users, items, vectors)
        return loss + auxiliary

    @torch.no_grad()
    def margins(self, batch: Batch) -> Tensor:
        """s_ui - s_uj of a batch, float [b], from the epoch's cached representations."""
        users, items = self.model.representations()
        margins: Tensor = users[batch.users] * (items[batch.positives] - items[batch.negatives])
        return margins.sum(-1)

    @torch.no_grad()
    def candidate_logits(self, users: Tensor, items: Tensor) -> Tensor:
        """s_ui of some users and items, float [b, c], from the epoch's cached representations."""
        all_users, all_items = self.model.representations()
        found: Tensor = all_users[users] @ all_items[items].T
        return found

    def state(self) -> dict[str, Any]:
        """Weights and optimizer."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Puts back what ``state`` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.model.eval()
