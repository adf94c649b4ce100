"""Entropic optimal transport: between logits on a line, its debiased form, and between vectors.

``entropic`` holds what is called. Between points on a line, ``line_plan`` starts from the sorted
plan (``staircase``), multiplies with the kernel box by box (``boxed_points``, ``boxed_kernel``) and
scales it (``sinkhorn``, with ``anderson`` and ``mass_flow`` for speed); between vectors the kernel
is a matrix (``dense_kernel``).
"""

from recbole_guider.kernels.transport.entropic import (
    MARGINALS,
    Transport,
    debiased_ot,
    entropic_ot,
    vector_ot,
)

__all__ = ["MARGINALS", "Transport", "debiased_ot", "entropic_ot", "vector_ot"]
