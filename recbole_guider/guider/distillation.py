"""Distillation: what of the teacher's logits the student is drawn to, and by which distance."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recbole_guider.kernels.transport import entropic_ot


def margin_logits(margin: Tensor) -> Tensor:
    """Returns z = log sigma(margin), float [b], the points of Eq. 10."""
    return functional.logsigmoid(margin)


def on_one_scale(logits: Tensor, temperature: float, standardise: bool) -> Tensor:
    """Brings the logits of models with different scales together.

    Args:
        logits: float [b] margins, or [b, c] logits of a user's candidates.
        temperature: > 0, divides them.
        standardise: divide them also by their standard deviation, of margins around 0, of
            candidates around each user's mean; it passes no gradient.
    """
    if standardise:
        centred = logits if logits.dim() == 1 else logits - logits.mean(1, keepdim=True)
        scale = centred.detach().square().mean().sqrt()
        logits = logits / scale.clamp(min=torch.finfo(logits.dtype).tiny)
    return logits / temperature


def margin_distance(teacher: Tensor, student: Tensor, kind: str, **transport: Any) -> Tensor:
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
        A scalar of the student's type; without triples zero, with a gradient of zero. Margins that
        are no longer finite give a sum that is not, so that the training loop can say so.
    """
    if len(student) == 0 or not torch.isfinite(student).all():
        return student.sum()
    z_teacher, z_student = margin_logits(teacher.detach()), margin_logits(student)
    if kind == "mse":
        return functional.mse_loss(z_student, z_teacher)
    if kind == "kl":
        return _kl(z_teacher[None], z_student[None])
    return transport_cost(z_teacher, z_student, **transport)


def candidate_distance(teacher: Tensor, student: Tensor, kind: str, **transport: Any) -> Tensor:
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
        A scalar, as ``margin_distance``.
    """
    teacher = teacher.detach()
    if len(student) == 0 or not torch.isfinite(student).all():
        return student.sum()
    if kind == "kl":
        return _kl(teacher, student)
    teacher = teacher - teacher.mean(1, keepdim=True)
    student = student - student.mean(1, keepdim=True)
    if kind == "mse":
        return functional.mse_loss(student, teacher)
    from recbole_guider.kernels.transport import vector_ot

    settings = {key: transport[key] for key in ("regularization", "max_iterations", "tolerance")}
    return vector_ot(teacher, student, **settings).cost


def transport_cost(
    z_teacher: Tensor,
    z_student: Tensor,
    regularization: float,
    marginals: str,
    max_iterations: int,
    tolerance: float,
    debiased: bool = False,
) -> Tensor:
    """<P, D> of the entropic plan (Eq. 11-14), or its debiased form, the Sinkhorn divergence."""
    solve = entropic_ot
    if debiased:
        from recbole_guider.kernels.transport import debiased_ot

        solve = debiased_ot
    return solve(
        z_teacher,
        z_student,
        regularization,
        marginals,
        max_iterations=max_iterations,
        tolerance=tolerance,
    ).cost


def _kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean over rows of KL(softmax teacher || softmax student)."""
    return functional.kl_div(
        torch.log_softmax(student, 1), torch.log_softmax(teacher, 1), reduction="batchmean",
        log_target=True,
    )  # fmt: skip
