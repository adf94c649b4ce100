"""Rows of length 1, whose gradient survives a row of zeros, or nearly so."""

from __future__ import annotations

import torch
from torch import Tensor


def unit_rows(matrix: Tensor) -> Tensor:
    """Each row divided by its length, float [n, d]; a row of zeros stays, with a finite gradient.

    So does a row so short that the square of its length is no number of the type: nearly zeros,
    where the gradient would divide by that square. Under a penalty a row that no loss reads gets
    there, such as the padding's. ``functional.normalize`` multiplies the gradient of a row of
    zeros by 1e12.
    """
    length = matrix.norm(dim=1, keepdim=True)
    shortest = torch.finfo(length.dtype).tiny ** 0.5
    return matrix * torch.where(length > shortest, length, torch.ones_like(length)).reciprocal()
