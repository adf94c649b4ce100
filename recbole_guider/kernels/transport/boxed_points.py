"""Sorted points in boxes, each with few nodes that stand for all of its points."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from recbole_guider.kernels.transport.staircase import Side

SLOTS = 16  # nodes of a box
_CHUNKS = (16, 256)  # least and greatest number of points that are interpolated together
_HALVINGS = 64  # of the range of the points, at most


class BoxedSide:
    """One side's points in boxes, each with at most ``SLOTS`` nodes.

    A box of few points has them as its nodes; any other has Chebyshev nodes, and polynomials
    carry values between points and nodes. What they interpolate is the kernel less the affine part
    of the potentials, which is exp(2 (s - c) (t - T(c))) between a box at c, whose partners are at
    T(c), and a point t. So a box is cut until its width times the range of its partners is at most
    ``area``. One width more on each side counts as well: where the partners jump, boxes shrink
    towards the jump, and a t within it is as good as none for the boxes beyond.

    Vectors of the points are in chunks, padded with points of no mass: float64 [length].

    Args:
        side: sorted points.
        area: see above; ``None`` makes every point its own node, in a single box.
    """

    def __init__(self, side: Side, area: float | None) -> None:
        n, device = len(side.points), side.points.device
        self.identical = area is None
        starts = torch.zeros(1, dtype=torch.long, device=device)
        if area is not None:
            starts = _cut(side, area)
        ends = torch.cat([starts[1:], starts.new_full((1,), n)])
        self.first, self.last = starts, ends - 1
        counts = ends - starts
        if area is None:
            self.places = self.layout = torch.arange(n, device=device)
            self.nodes, self.potentials = side.points[None], side.potentials[None]
            self.offsets = torch.zeros_like(side.points)
            self.masses = side.masses
            return
        size = min(max(n // len(starts), _CHUNKS[0]), _CHUNKS[1])
        self.lengths = (counts + size - 1) // size
        self.box = torch.repeat_interleave(self.lengths)
        within = torch.arange(len(self.box), device=device)
        within -= (self.lengths.cumsum(0) - self.lengths)[self.box]
        start = (starts[self.box] + size * within)[:, None]
        layout = start + torch.arange(size, device=device)
        real = layout < ends[self.box][:, None]
        self.layout = torch.where(real, layout, start).flatten()
        self.places = real.flatten().nonzero().squeeze(1)
        self.masses = side.masses[self.layout] * real.flatten()
        self._interpolate(side, counts, size)

    def _interpolate(self, side: Side, counts: Tensor, size: int) -> None:
        """Sets nodes, their potentials, and the weights that carry them to the points."""
        s, f = side.points, side.potentials
        low, high, f_low = s[self.first], s[self.last], f[self.first]
        width = high - low
        slope = torch.where(width > 0, (f[self.last] - f_low) / width, 0.0)
        half = (width / 2.0).clamp_min(1e-100)

        def affine(points: Tensor, box: Tensor) -> Tensor:
            # The chord of f - s^2 plus s^2, without the digits that s^2 would cost.
            return f_low[box] + (points - low[box]) * (slope[box] - (high[box] - points))

        degrees = torch.arange(SLOTS, dtype=s.dtype, device=s.device)
        angles = (degrees + 0.5) * (math.pi / SLOTS)
        boxes = torch.arange(len(counts), device=s.device)[:, None]
        nodes = low[:, None] + half[:, None] * (1.0 + angles.cos())
        potentials = affine(nodes, boxes)
        # Chebyshev polynomials at the points, times their discrete orthogonality at the nodes.
        box = self.box.repeat_interleave(size)
        points = s[self.layout]
        along = ((points - low[box]) / half[box] - 1.0).clamp(-1.0, 1.0)
        polynomials = [torch.ones_like(along), along]
        while len(polynomials) < SLOTS:
            polynomials.append(2.0 * along * polynomials[-1] - polynomials[-2])
        at_nodes = (degrees[:, None] * angles).cos() * (2.0 / SLOTS)
        at_nodes[0] /= 2.0
        weights = torch.stack(polynomials, 1) @ at_nodes
        offsets = f[self.layout] - affine(points, box)
        # Few points are their own nodes; slots without one are never reached.
        few = counts <= SLOTS
        slot = torch.arange(SLOTS, device=s.device)
        own = (self.first[:, None] + slot).clamp(max=len(s) - 1)
        self.nodes = torch.where(few[:, None], s[own], nodes)
        held = torch.where(slot < counts[:, None], f[own], -math.inf)
        self.potentials = torch.where(few[:, None], held, potentials)
        at_slot = (self.layout - self.first[box])[:, None] == slot
        weights = torch.where(few[box][:, None], at_slot.to(s.dtype), weights)
        self.weights = weights.view(-1, size, SLOTS)
        self.offsets = torch.where(few[box], 0.0, offsets)

    def collect(self, values: Tensor) -> Tensor:
        """From points to nodes: float64 [length] to [boxes, slots]."""
        if self.identical:
            return values[None]
        chunks, size, _ = self.weights.shape
        sums = torch.bmm(values.view(chunks, 1, size), self.weights).squeeze(1)
        if len(sums) == len(self.lengths):
            return sums
        return torch.segment_reduce(sums, "sum", lengths=self.lengths, axis=0)

    def spread(self, values: Tensor) -> Tensor:
        """From nodes to points: float64 [boxes, slots] to [length]."""
        if self.identical:
            return values[0]
        return torch.bmm(self.weights, values[self.box].unsqueeze(2)).flatten()


def _cut(side: Side, area: float) -> Tensor:
    """First points of the boxes, int64, ascending: halves until each is small enough."""
    s = side.points
    starts = torch.zeros(1, dtype=torch.long, device=s.device)
    for _ in range(_HALVINGS):
        ends = torch.cat([starts[1:], starts.new_full((1,), len(s))])
        low, high = s[starts], s[ends - 1]
        width = high - low
        before = torch.searchsorted(s, low - width)
        after = torch.searchsorted(s, high + width, right=True) - 1
        large = (width * (side.high[after] - side.low[before]) > area) & (ends - starts > SLOTS)
        if not bool(large.any()):
            break
        middle = ((low + high) / 2.0)[large]
        cuts = torch.minimum(torch.searchsorted(s, middle, right=True), ends[large] - 1)
        starts = torch.cat([starts, cuts]).sort().values
    return starts
