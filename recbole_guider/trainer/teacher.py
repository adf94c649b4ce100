"""GUIDER's teacher: an ID backbone with its own optimizer, outside the student's parameters."""

from __future__ import annotations

import math
from typing import Any, Callable

import torch
from torch import Tensor

from recbole_guider.data.sampler import Batch, NegativeSampler, TrainingBatches
from recbole_guider.data.splits import Splits
from recbole_guider.errors import InputError
from recbole_guider.guider.dbpr import eq7_loss, mean_over_true
from recbole_guider.model.base import MultimodalRecommender, bpr_loss, logits
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

    Attributes:
        multimodal: whether the teacher may read item modalities.
    """

    multimodal = False

    def __init__(self, config: Any, dataset: Any, generator: torch.Generator) -> None:
        self.config = config
        name = config["teacher_model"]
        backbone = backbone_class(name)
        if backbone.uses_modalities and not self.multimodal:
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
        self.model: MultimodalRecommender = backbone(config.for_model(name, own), dataset)
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

    def train_epoch(self, loss_of: Callable[[Batch], Tensor], epoch: int) -> None:
        """One pass over the training interactions."""
        self.model.on_epoch_start(epoch)
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
        self,
        batch: Batch,
        clean: Tensor,
        false: Tensor,
        counts: Tensor,
        weights: tuple[float, float],
        literal: bool,
    ) -> Tensor:
        """DBPR plus the backbone's own auxiliary loss.

        Args:
            batch: interactions with an unobserved negative each.
            clean: bool [b], which are in I_true.
            false: int64 [b], one item of I_false(u) where ``counts``, bool [b], says so.
            weights: of I_false in the mean over interactions, and mu of Eq. 7.
            literal: Eq. 7 alone.
        """
        batch, false = batch.to(self.device), false.to(self.device)
        users, items = self.model.propagate()
        vectors = self.model.batch_vectors(batch, users, items, with_negatives=True)
        positive, negative = logits(vectors)
        false_weight, mu = weights
        loss = mean_over_true(bpr_loss(positive, negative), clean.to(self.device), false_weight)
        if literal or mu > 0:
            margin = positive - (vectors.users * self.model.item_vectors(items, false)).sum(-1)
            eq7 = eq7_loss(margin, counts.to(self.device))
            loss = eq7 if literal else loss + mu * eq7
        if len(positive) == 0:  # the auxiliary loss may divide by the number of rows
            return loss
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
