"""Distillation: what of the teacher's logits the student is drawn to, and by which distance."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from recbole_guider.kernels.transport import debiased_ot, entropic_ot, vector_ot


class Distance(NamedTuple):
    """A distance and how well it was computed.

    Attributes:
        value: a scalar, differentiable in the student's logits.
        marginal_error: of the transport plan, L1; 0 for distances without one.
    """

    value: Tensor
    marginal_error: float = 0.0


def margin_logits(margin: Tensor) -> Tensor:
    """Returns z = log sigma(margin), float [b], the points of Eq. 10."""
    return functional.logsigmoid(margin)


def spread(logits: Tensor) -> Tensor:
    """Root mean square of margins [b], or of candidates' logits [b, c] around each user's mean.

    A scalar without gradient.
    """
    logits = logits.detach()
    centred = logits if logits.dim() == 1 else logits - logits.mean(1, keepdim=True)
    return centred.square().mean().sqrt()


def on_one_scale(logits: Tensor, temperature: float, standardise: bool) -> Tensor:
    """Brings the logits of models with different scales together.

    Args:
        logits: float [b] margins, or [b, c] logits of a user's candidates.
        temperature: > 0, divides them.
        standardise: divide them also by their ``spread``.
    """
    if standardise:
        logits = logits / spread(logits).clamp(min=torch.finfo(logits.dtype).tiny)
    return logits if temperature == 1 else logits / temperature


def margin_distance(teacher: Tensor, student: Tensor, kind: str, **transport: Any) -> Distance:
    """Distance between both models' margins on the same triples (Eq. 9-14), z = log sigma.

    * ``ot``: entropic transport between the two sets of points. It compares their distributions:
      it does not change when the student's margins swap triples.
    * ``kl``: KL(softmax z^t || softmax z^s) over the batch, triple by triple.
    * ``mse``: mean (z^t - z^s)^2, triple by triple.

    Args:
        teacher, student: float [b], s_ui - s_uj on one scale; the teacher gets no gradient.
        kind: ``ot``, ``kl`` or ``mse``.
        transport: of ``ot``, as ``transport_cost`` takes them.

    Returns:
        Of the student's type; without triples zero, with a gradient of zero. Margins that are no
        longer finite give a sum that is not, so that the training loop can say so.
    """
    if len(student) == 0 or not torch.isfinite(student).all():
        return Distance(student.sum())
    z_teacher, z_student = margin_logits(teacher.detach()), margin_logits(student)
    if kind == "mse":
        return Distance(functional.mse_loss(z_student, z_teacher))
    if kind == "kl":
        return Distance(_kl(z_teacher[None], z_student[None]))
    return transport_cost(z_teacher, z_student, **transport)


def candidate_distance(teacher: Tensor, student: Tensor, kind: str, **transport: Any) -> Distance:
    """Distance between both models' logits of the same candidate items, user by user.

    * ``kl``: mean over users of KL(softmax s^t_u || softmax s^s_u) over the candidates.
    * ``mse``: mean squared difference of the logits, each user's mean taken off.
    * ``ot``: entropic transport between users as points in the space of these centred logits, at
      mean squared distance and with uniform marginals.

    Args:
        teacher, student: float [b, c] on one scale; the teacher gets no gradient.
        kind: ``kl``, ``mse`` or ``ot``.
        transport: of ``ot``, as ``transport_cost`` takes them; ``marginals`` has no effect.

    Returns:
        As ``margin_distance``.
    """
    teacher = teacher.detach()
    if len(student) == 0:
        return Distance(student.sum())
    if kind == "kl":
        return Distance(_kl(teacher, student))
    if not torch.isfinite(student).all():
        return Distance(student.sum())
    teacher = teacher - teacher.mean(1, keepdim=True)
    student = student - student.mean(1, keepdim=True)
    if kind == "mse":
        return Distance(functional.mse_loss(student, teacher))
    settings = {key: transport[key] for key in ("regularization", "max_iterations", "tolerance")}
    found = vector_ot(teacher, student, **settings)
    return Distance(found.cost, found.marginal_error)


def transport_cost(
    z_teacher: Tensor,
    z_student: Tensor,
    regularization: float,
    marginals: str,
    max_iterations: int,
    tolerance: float,
    debiased: bool = False,
) -> Distance:
    """<P, D> of the entropic plan (Eq. 11-14), or its debiased form, the Sinkhorn divergence."""
    solve = debiased_ot if debiased else entropic_ot
    found = solve(
        z_teacher,
        z_student,
        regularization,
        marginals,
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    return Distance(found.cost, found.marginal_error)


def _kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean over rows of KL(softmax teacher || softmax student)."""
    return functional.kl_div(
        torch.log_softmax(student, 1), torch.log_softmax(teacher, 1), reduction="batchmean",
        log_target=True,
    )  # fmt: skip
