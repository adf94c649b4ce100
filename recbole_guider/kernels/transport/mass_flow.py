"""Where mass has to move along a line, and what difference of potentials moves it."""

from __future__ import annotations

import torch
from torch import Tensor

_FAINTEST = 1e-17  # conductance, in mass times the points' spread, below which it is rounding
_LARGEST_STEP = 5.0  # between two neighbours' logarithmic potentials


class MassFlow:
    """One Newton step of the scaling, as if mass flowed from each point to its neighbours only.

    Sinkhorn's updates move mass by one width of the kernel at a time, so a lack of mass far away
    takes them many iterations. The derivative of the row sums in the potentials f is the Laplacian
    of a graph, W_jk = sum_n P_jn P_kn / b_n, and W f = missing has a solution in O(n) if f is taken
    as smooth: the flow across the cut after point i is the mass missing before it, and the
    conductance there is sum of W_jk (s_k - s_j) over j <= i < k. One product with W, that with
    the points themselves, gives the conductances of all cuts.

    Args:
        points: s, ascending, float64 [n].
        net: (W s), where W has zero row sums, float64 [n].
        scale: sum over m of a_m |s_m|.
    """

    def __init__(self, points: Tensor, net: Tensor, scale: float) -> None:
        conductance = net.cumsum(0)[:-1].neg()
        self.resistance = points.diff() / conductance.clamp_min(max(_FAINTEST * scale, 1e-300))

    def potentials(self, missing: Tensor) -> Tensor:
        """What to add to f, float64 [n], where ``missing`` is a - P 1, float64 [n]."""
        steps = missing.cumsum(0)[:-1] * -self.resistance
        steps = steps.clamp(-_LARGEST_STEP, _LARGEST_STEP)
        return torch.cat([missing.new_zeros(1), steps.cumsum(0)])
