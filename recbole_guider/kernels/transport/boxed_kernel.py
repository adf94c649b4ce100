"""The Gaussian kernel on a line by boxes: never stored, stable however small lambda is."""

from __future__ import annotations

import torch
from torch import Tensor

from recbole_guider.kernels.transport.boxed_points import SLOTS, BoxedSide
from recbole_guider.kernels.transport.mass_flow import MassFlow
from recbole_guider.kernels.transport.sinkhorn import log_masses
from recbole_guider.kernels.transport.staircase import Side

AREA = 4.3  # see BoxedSide: 16 nodes interpolate to 1e-13
_FAINT = -80.0  # exponents from here on are left out
_DENSE = 2**20  # entries up to which all pairs of nodes are stored
_POINTWISE = 2**18  # pairs of points up to which the points are their own nodes
_LARGEST = 30.0  # exponent; more is rounding, where points differ by millions
_TINY = 1e-100  # sums below this are as good as none, and their inverse is still finite
_BUILT_AT_ONCE = 2**13  # pairs of boxes


class BoxedKernel:
    """exp(f_m + g_n - (s_m - t_n)^2), known by its products in O((n + m) ``SLOTS``).

    Args:
        rows, columns: the sides from ``staircase.monotone``.
        area: of the boxes; smaller is more exact and slower.
    """

    def __init__(self, rows: Side, columns: Side, area: float = AREA) -> None:
        self.exact = len(rows.points) * len(columns.points) <= _POINTWISE
        self.rows = BoxedSide(rows, None if self.exact else area)
        self.columns = BoxedSide(columns, None if self.exact else area)
        self.row_masses, self.column_masses = self.rows.masses, self.columns.masses
        self.start = log_masses(self.row_masses) + self.rows.offsets
        self.points = rows.points
        left, right = self.rows, self.columns
        self.dense = self.exact or left.nodes.numel() * right.nodes.numel() <= _DENSE
        if self.dense:
            core = (left.nodes.reshape(-1, 1) - right.nodes.flatten()).square_().neg_()
            core += left.potentials.reshape(-1, 1)
            core += right.potentials.flatten()
            self.core = core.clamp_(max=_LARGEST).exp_()
        else:
            self._pair(rows, columns)

    def _pair(self, rows: Side, columns: Side) -> None:
        """Stores the kernel between nodes of those boxes that are not too far from the plan."""
        first, last = _reach(rows, columns, self.rows, self.columns)
        self.row_lengths = last - first + 1
        self.row_box = torch.repeat_interleave(self.row_lengths)
        start = (self.row_lengths.cumsum(0) - self.row_lengths - first)[self.row_box]
        self.column_box = torch.arange(len(start), device=start.device) - start
        self.by_column = self.column_box.argsort(stable=True)
        self.column_lengths = torch.bincount(self.column_box, minlength=len(self.columns.nodes))
        self.core = self.rows.nodes.new_empty(len(self.row_box), SLOTS, SLOTS)
        for begin in range(0, len(self.core), _BUILT_AT_ONCE):
            part = slice(begin, begin + _BUILT_AT_ONCE)
            i, j = self.row_box[part], self.column_box[part]
            block = self.rows.nodes[i][:, :, None] - self.columns.nodes[j][:, None]
            block = block.square_().neg_().add_(self.rows.potentials[i][:, :, None])
            block += self.columns.potentials[j][:, None]
            self.core[part] = block.clamp_(max=_LARGEST).exp_()

    def times(self, v: Tensor) -> Tensor:
        """K v, between padded vectors."""
        nodes = self.columns.collect(v)
        if self.dense:
            return self.rows.spread(self.core.mv(nodes.flatten()).view(self.rows.nodes.shape))
        sums = torch.bmm(self.core, nodes[self.column_box].unsqueeze(2)).squeeze(2)
        return self.rows.spread(torch.segment_reduce(sums, "sum", lengths=self.row_lengths, axis=0))

    def transposed_times(self, u: Tensor) -> Tensor:
        """K^T u, between padded vectors."""
        nodes = self.rows.collect(u)
        if self.dense:
            sums = self.core.T.mv(nodes.flatten())
            return self.columns.spread(sums.view(self.columns.nodes.shape))
        sums = torch.bmm(nodes[self.row_box].unsqueeze(1), self.core).squeeze(1)
        return self.columns.spread(
            torch.segment_reduce(sums[self.by_column], "sum", lengths=self.column_lengths, axis=0)
        )

    def log_row_sums(self, g: Tensor) -> Tensor:
        """log K e^g, padded."""
        return self.times(g.exp()).clamp_min(_TINY).log()

    def log_column_sums(self, f: Tensor) -> Tensor:
        """log K^T e^f, padded."""
        return self.transposed_times(f.exp()).clamp_min(_TINY).log()

    def flow(self, f: Tensor, g: Tensor) -> BoxedFlow:
        """The flow between neighbours at these scalings."""
        return BoxedFlow(self, f.exp(), g.exp())


class BoxedFlow:
    """``MassFlow`` between padded vectors.

    Args:
        kernel, u, v: of the plan diag(u) K diag(v), padded.
    """

    def __init__(self, kernel: BoxedKernel, u: Tensor, v: Tensor) -> None:
        self.side = kernel.rows
        points = kernel.points[self.side.layout]
        sums = v * kernel.transposed_times(u)
        means = v * kernel.transposed_times(u * points) / sums.clamp_min(_TINY)
        net = u * (kernel.times(v) * points - kernel.times(v * means))
        spread = float(kernel.row_masses @ points.abs())
        self.line = MassFlow(kernel.points, net[self.side.places], spread)

    def potentials(self, missing: Tensor) -> Tensor:
        """What to add to f where ``missing`` is a - P 1, both padded."""
        return self.line.potentials(missing[self.side.places])[self.side.layout]


def _reach(rows: Side, columns: Side, left: BoxedSide, right: BoxedSide) -> tuple[Tensor, Tensor]:
    """First and last column box that each row box reaches, int64 [boxes of the rows].

    Away from the plan the exponent falls, so its greatest value between two boxes that share no
    partners is at the corners which face each other.
    """
    t, boxes = columns.points, len(right.first)

    def exponent(i: Tensor, j: Tensor) -> Tensor:
        gap = rows.points[i] - t[j]
        return rows.potentials[i] + columns.potentials[j] - gap.square()

    def search(i: Tensor, near: Tensor, corner: Tensor, direction: int) -> Tensor:
        """The last box from ``near`` on whose corner is not faint."""
        limit = boxes - 1 if direction > 0 else 0
        reached, unreached = near, torch.full_like(near, limit + direction)
        for _ in range(boxes.bit_length() + 1):
            middle = (reached + unreached) // 2 if direction > 0 else -((-reached - unreached) // 2)
            known = middle.clamp(0, boxes - 1)
            ok = (exponent(i, corner[known]) > _FAINT) | (middle == reached)
            ok &= middle != unreached
            reached = torch.where(ok, middle, reached)
            unreached = torch.where(ok, unreached, middle)
        return reached

    upper = torch.searchsorted(t[right.first], rows.high[left.last], right=True) - 1
    lower = torch.searchsorted(t[right.last], rows.low[left.first])
    last = search(left.last, upper.clamp(0, boxes - 1), right.first, 1)
    first = search(left.first, lower.clamp(0, boxes - 1), right.last, -1)
    return first, last
