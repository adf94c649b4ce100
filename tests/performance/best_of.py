"""The time of what is repeated: its best run, which other work on the machine disturbs least."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from torch import Tensor
from torch.autograd import grad

Result = TypeVar("Result")


def best_of(repeats: int, function: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds of the fastest call, and what the last one returned."""
    best = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return best, result


def best_step(repeats: int, loss: Callable[[], Tensor], leaf: Tensor) -> tuple[float, Tensor]:
    """``best_of`` of a loss, forward and backward, and its gradient in ``leaf``."""
    return best_of(repeats, lambda: grad(loss(), leaf)[0])
