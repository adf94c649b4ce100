"""What the student learns from the teacher: optimal transport between their margins."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from recbole_guider.kernels.transport import entropic_ot


def margin_logits(margins: Tensor, temperature: float = 1.0) -> Tensor:
    """z = log sigmoid((s_ui - s_uj) / temperature) of each triple, float [n], never above 0."""
    return functional.logsigmoid(margins / temperature)


def transport_distillation(
    teacher_margins: Tensor,
    student_margins: Tensor,
    regularization: float,
    marginals: str,
    temperature: float,
    max_iterations: int,
    tolerance: float,
) -> Tensor:
    """Entropic transport cost between two models' margins on the same triples (Eq. 9-14).

    The points lie on a line, so the cost does not change when the student's triples are permuted:
    it compares the distribution of margins in the batch, not triple by triple.

    Args:
        teacher_margins, student_margins: s_ui - s_uj of the triples, float [n]; the teacher's get
            no gradient.
        regularization, marginals, max_iterations, tolerance: see ``entropic_ot``.
        temperature: divides the margins.

    Returns:
        A scalar; 0 and still part of the student's graph when there is no triple.
    """
    if len(student_margins) == 0:
        return student_margins.sum()
    return entropic_ot(
        margin_logits(teacher_margins.detach(), temperature),
        margin_logits(student_margins, temperature),
        regularization,
        marginals,
        max_iterations=max_iterations,
        tolerance=tolerance,
    ).cost
