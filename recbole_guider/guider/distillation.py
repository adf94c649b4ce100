"""Distillation by transport: the student's margins move towards the teacher's (GUIDER)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from recbole_guider.kernels.transport import entropic_ot


def margin_logits(margin: Tensor, temperature: float = 1.0) -> Tensor:
    """Returns z = log sigma(margin / temperature), float [b], the points of Eq. 10.

    Args:
        margin: float [b], s_ui - s_uj of one model.
        temperature: > 0; brings margins of models with different scales together.
    """
    return functional.logsigmoid(margin / temperature)


def transport_distillation(
    teacher_margin: Tensor,
    student_margin: Tensor,
    regularization: float,
    marginals: str,
    temperature: float,
    max_iterations: int,
    tolerance: float,
) -> Tensor:
    """Entropic transport cost between both models' margins on the same triples (Eq. 9-14).

    The cost compares the two distributions of margins, not the margins triple by triple: it does
    not change when the student's margins swap triples.

    Args:
        teacher_margin, student_margin: float [b], s_ui - s_uj; the teacher gets no gradient.
        regularization, marginals, max_iterations, tolerance: as in ``entropic_ot``.
        temperature: as in ``margin_logits``, for both models.

    Returns:
        A scalar of the student's type; without triples zero, with a gradient of zero. Margins that
        are no longer finite give a sum that is not, so that the training loop can say so.
    """
    if len(student_margin) == 0 or not torch.isfinite(student_margin).all():
        return student_margin.sum()
    return entropic_ot(
        margin_logits(teacher_margin, temperature),
        margin_logits(student_margin, temperature),
        regularization,
        marginals,
        max_iterations=max_iterations,
        tolerance=tolerance,
    ).cost
