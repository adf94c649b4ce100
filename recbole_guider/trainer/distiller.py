"""What GUIDER's student is told by its teacher (Eq. 8-14), batch by batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recbole_guider.data.sampler import Batch, NegativeSampler
from recbole_guider.guider.dbpr import FalseItems
from recbole_guider.guider.distillation import (
    Distance,
    candidate_distance,
    margin_distance,
    on_one_scale,
    spread,
)
from recbole_guider.model.base import BatchVectors, MultimodalRecommender
from recbole_guider.trainer.teacher import Teacher


class Distiller:
    """Compares the student's logits with its teacher's.

    Args:
        config: ``distillation`` (``margins`` or ``candidates``) and the properties ``kd_*`` and
            ``ot_*``.
        teacher: gives the logits to follow.
        student: the model in training.
        train_items: int64, every training interaction's item: where candidates are drawn from.
        generator: of all draws, so that the student's own random numbers do not move.
    """

    def __init__(
        self,
        config: Any,
        teacher: Teacher,
        student: MultimodalRecommender,
        train_items: Tensor,
        generator: torch.Generator,
    ) -> None:
        self.on_margins: bool = config["distillation"] == "margins"
        self.kind: str = config["kd_loss"]
        self.scale = config["kd_temperature"], config["kd_standardise"]
        self.sample_size: int = config["kd_sample_size"]
        self.pool_size: int = config["kd_candidates"]
        self.transport = {
            "regularization": config["ot_regularization"],
            "marginals": config["ot_marginals"],
            "max_iterations": config["ot_iterations"],
            "tolerance": config["ot_tolerance"],
            "debiased": config["ot_debiased"],
        }
        self.teacher, self.student, self.generator = teacher, student, generator
        self.candidates = torch.unique(train_items)
        self.log: list[tuple[Distance, Tensor, Tensor]] = []

    def distance(
        self,
        batch: Batch,
        users: Tensor,
        items: Tensor,
        clean: Tensor,
        false_items: FalseItems,
        sampler: NegativeSampler,
    ) -> Tensor:
        """L_KD of a batch, a scalar.

        Args:
            batch: the training batch.
            users, items: the student's propagated representations.
            clean: bool [n_interactions], I_true.
            false_items: I_false(u), drawn from for margins.
            sampler: draws the unobserved items of users without false ones.
        """
        if self.on_margins:
            triples = self.triples(batch, clean, false_items, sampler)
            vectors = self.student.batch_vectors(triples, users, items, with_negatives=True)
            found = self._compare(self.teacher.margins(triples), margins(vectors))
        else:
            chosen = self._some(torch.unique(batch.users.cpu()), self.sample_size)
            pool = self._some(self.candidates, self.pool_size)
            chosen, pool = chosen.to(users.device), pool.to(users.device)
            rows = self.student.user_vectors(users, chosen)
            logits = rows @ self.student.item_vectors(items, pool).T
            found = self._compare(self.teacher.candidate_logits(chosen, pool), logits)
        return found.value

    def triples(
        self, batch: Batch, clean: Tensor, false_items: FalseItems, sampler: NegativeSampler
    ) -> Batch:
        """i in I_true(u), j in I_false(u) where the user has one, else an unobserved item."""
        rows = batch.rows.cpu()
        index = torch.nonzero(clean[rows]).flatten()
        if len(index) > self.sample_size:
            index = self._some(index, self.sample_size)
        users, positives = batch.users.cpu()[index], batch.positives.cpu()[index]
        false, has_false = false_items.draw(users, self.generator)
        unobserved = sampler.sample(users, self.generator)
        negatives = torch.where(has_false, false, unobserved)
        return Batch(users, positives, negatives, rows[index]).to(batch.users.device)

    def report(self) -> dict[str, float] | None:
        """Means of the distance and of both models' spreads since the last report.

        ``marginal_error`` is the worst of the transports. None if nothing was compared.
        """
        if not self.log:
            return None
        distances, *spreads = zip(*self.log)
        self.log = []
        teacher_spread, student_spread = (float(torch.stack(s).mean()) for s in spreads)
        return {
            "distance": float(torch.stack([one.value.detach() for one in distances]).mean()),
            "teacher_spread": teacher_spread,
            "student_spread": student_spread,
            "marginal_error": max(one.marginal_error for one in distances),
        }

    def _compare(self, teacher: Tensor, student: Tensor) -> Distance:
        compare = margin_distance if self.on_margins else candidate_distance
        found = compare(
            on_one_scale(teacher, *self.scale),
            on_one_scale(student, *self.scale),
            self.kind,
            **self.transport,
        )
        kept = found._replace(value=found.value.detach())  # the log must not hold the graph
        self.log.append((kept, spread(teacher), spread(student)))
        return found

    def _some(self, values: Tensor, count: int) -> Tensor:
        """At most ``count`` of the values, drawn without replacement."""
        return values[torch.randperm(len(values), generator=self.generator)[:count]]


def margins(vectors: BatchVectors) -> Tensor:
    """s_ui - s_uj of a batch's triples, float [b]."""
    if vectors.negatives is None:
        raise ValueError("these batch vectors were made without negatives")
    return (vectors.users * (vectors.positives - vectors.negatives)).sum(-1)
