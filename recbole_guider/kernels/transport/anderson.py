"""Anderson's mixing: a fixed point from its last approximations."""

from __future__ import annotations

import torch
from torch import Tensor

_MEMORY = 30  # steps looked back
_RIDGE = 1e-14  # of the normalised least squares
_TINY = 1e-300


class Mixing:
    """Combines the last steps so that what they left over cancels in the least squares.

    Args:
        weights: of each entry in the least squares, [length].
    """

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights
        # Only the rows in use are ever touched.
        self.values, self.residuals = weights.new_empty(2, _MEMORY, len(weights))
        # A small system, on the CPU wherever the entries are.
        self.products = torch.zeros(_MEMORY, _MEMORY, dtype=weights.dtype)
        self.steps = 0
        self.previous: tuple[Tensor, Tensor] | None = None

    def mix(self, current: Tensor, step: Tensor) -> Tensor:
        """The next approximation, where plain iteration would go to ``current + step``.

        Args:
            current, step: the present approximation and its way to its image, [length].
        """
        value, residual = current + step, step * self.weights
        if self.previous is not None:
            place = self.steps % _MEMORY
            self.values[place] = value - self.previous[0]
            self.residuals[place] = residual - self.previous[1]
            self.steps += 1
            known = min(self.steps, _MEMORY)
            row = self.residuals[:known].mv(self.residuals[place]).cpu()
            self.products[place, :known], self.products[:known, place] = row, row
        self.previous = value, residual
        known = min(self.steps, _MEMORY)
        if known == 0:
            return value
        products = self.products[:known, :known]
        right = self.residuals[:known].mv(residual).cpu()
        scale = products.diagonal().sqrt().clamp_min(_TINY)
        system = products / scale / scale[:, None]
        system.diagonal().add_(_RIDGE)
        factors, failed = torch.linalg.solve_ex(system, right / scale)
        if int(failed) != 0:
            return value
        mixed: Tensor = value - self.values[:known].T.mv((factors / scale).to(value.device))
        return mixed
