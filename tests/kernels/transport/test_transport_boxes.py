"""The kernel by boxes: it is the Gaussian, its boxes are small, and it leaves out what is faint."""

from __future__ import annotations

import pytest
import torch
from plain_transport import squares
from torch.nn.functional import logsigmoid

from recbole_guider.kernels.transport import boxed_kernel, line_plan
from recbole_guider.kernels.transport.boxed_kernel import AREA, BoxedKernel
from recbole_guider.kernels.transport.boxed_points import SLOTS, BoxedSide
from recbole_guider.kernels.transport.staircase import monotone

# number of points, scale of the margins, lambda: one box, some boxes, and pairs of boxes
CASES = [(700, 0.1, 10.0), (700, 3.0, 1.0), (900, 3.0, 1e-3), (600, 50.0, 1e-3), (800, 50.0, 0.1)]


def case(n, scale, regularization, marginals="uniform", m=None):
    generator = torch.Generator().manual_seed(0)
    x, y = (
        logsigmoid(torch.randn(k, generator=generator, dtype=torch.float64) * spread + 0.5)
        for k, spread in ((n, scale), (m or n - 50, scale / 2))
    )
    masses = (torch.softmax(z if marginals == "softmax" else 0 * z, 0) for z in (x, y))
    x, y = x.clamp(min=-30), y.clamp(min=-30)
    return x, y, *masses, regularization


def gaussian(rows, columns):
    exponents = rows.potentials[:, None] + columns.potentials - squares(rows.points, columns.points)
    return exponents, exponents.exp()


@pytest.mark.parametrize("marginals", ["uniform", "softmax"])
@pytest.mark.parametrize(("n", "scale", "regularization"), CASES)
def test_potentials_of_the_monotone_plan_keep_the_kernel_below_one(
    n, scale, regularization, marginals
):
    x, y, a, b, regularization = case(n, scale, regularization, marginals)
    rows, columns = monotone(x, y, a, b, regularization)
    exponents, _ = gaussian(rows, columns)
    rounding = 1e-12 * float(squares(rows.points, columns.points).max())
    assert exponents.max() < rounding + 1e-9
    # 0 for every pair that the monotone plan gives mass to.
    starts = torch.cat([a.new_zeros(1), rows.masses.cumsum(0)])
    ends = torch.cat([b.new_zeros(1), columns.masses.cumsum(0)])
    shared = torch.minimum(starts[1:, None], ends[1:]) - torch.maximum(starts[:-1, None], ends[:-1])
    assert exponents[shared > 1e-9].abs().max() < rounding + 1e-9
    # The scaled kernel is that of the points: the exponents differ by a row's and a column's term.
    plain = -squares(x[rows.order], y[columns.order]) / regularization
    rest = exponents - plain
    rest = rest - rest[:1] - rest[:, :1] + rest[0, 0]
    assert rest.abs().max() < 1e-9 * (1 + float(plain.abs().max()))


@pytest.mark.parametrize("marginals", ["uniform", "softmax"])
@pytest.mark.parametrize(("n", "scale", "regularization"), CASES)
def test_products_are_those_of_the_gaussian(n, scale, regularization, marginals):
    rows, columns = monotone(*case(n, scale, regularization, marginals))
    kernel = BoxedKernel(rows, columns)
    assert not kernel.exact
    _, matrix = gaussian(rows, columns)
    left, right = kernel.rows, kernel.columns
    weights = torch.linspace(0.5, 1.5, len(columns.points), dtype=torch.float64) * columns.masses
    padded = (weights[right.layout] * (right.masses > 0)) * right.offsets.exp()
    found = (left.offsets.exp() * kernel.times(padded))[left.places]
    torch.testing.assert_close(found, matrix @ weights, rtol=1e-7, atol=1e-13)
    weights = torch.linspace(0.5, 1.5, len(rows.points), dtype=torch.float64) * rows.masses
    padded = (weights[left.layout] * (left.masses > 0)) * left.offsets.exp()
    found = (right.offsets.exp() * kernel.transposed_times(padded))[right.places]
    torch.testing.assert_close(found, matrix.T @ weights, rtol=1e-7, atol=1e-13)


@pytest.mark.parametrize(("n", "scale", "regularization"), CASES)
def test_boxes_are_small_and_hold_every_point_once(n, scale, regularization):
    rows, _ = monotone(*case(n, scale, regularization))
    boxed = BoxedSide(rows, AREA)
    assert torch.equal(boxed.layout[boxed.places], torch.arange(n))
    assert float(boxed.masses.sum()) == pytest.approx(1.0)
    width = rows.points[boxed.last] - rows.points[boxed.first]
    partners = rows.high[boxed.last] - rows.low[boxed.first]
    many = boxed.last - boxed.first >= SLOTS
    assert not bool(((width * partners)[many] > AREA).any())
    assert boxed.nodes.shape == (len(boxed.first), SLOTS)


def test_pairs_of_boxes_leave_out_only_what_is_faint(monkeypatch):
    rows, columns = monotone(*case(900, 3.0, 1e-3, m=3000))
    pairs = BoxedKernel(rows, columns)
    assert not pairs.dense
    monkeypatch.setattr(boxed_kernel, "_DENSE", 2**40)
    whole = BoxedKernel(rows, columns)
    assert pairs.core.numel() < whole.core.numel() / 3
    v, u = whole.column_masses, whole.row_masses
    torch.testing.assert_close(pairs.times(v), whole.times(v), rtol=1e-12, atol=1e-25)
    torch.testing.assert_close(
        pairs.transposed_times(u), whole.transposed_times(u), rtol=1e-12, atol=1e-25
    )


@pytest.mark.parametrize("marginals", ["uniform", "softmax"])
def test_work_grows_with_the_number_of_points_and_not_with_its_square(marginals):
    sizes = []
    for n in (4096, 16384):
        kernel = BoxedKernel(*monotone(*case(n, 3.0, 1e-3, marginals)))
        sizes.append(kernel.core.numel() + kernel.rows.weights.numel())
        # Far below the n^2 entries of the plan.
        assert sizes[-1] < n * 450
    assert sizes[1] < 3 * sizes[0]


def test_a_kernel_that_is_too_coarse_is_noticed_and_made_finer(monkeypatch):
    x, y, a, b, regularization = case(900, 3.0, 0.01)
    exact = line_plan.solve(x, y, a, b, regularization, 200, 1e-9)
    used, boxed = [], line_plan.BoxedKernel
    monkeypatch.setattr(
        line_plan, "BoxedKernel", lambda r, c, area: used.append(area) or boxed(r, c, area)
    )
    monkeypatch.setattr(line_plan, "_AREAS", (60.0, AREA))
    found = line_plan.solve(x, y, a, b, regularization, 200, 1e-9)
    assert used == [60.0, AREA]
    torch.testing.assert_close(found.transposed_times(x), exact.transposed_times(x))
    # Where no finer one is left, the error that it makes is reported.
    monkeypatch.setattr(line_plan, "_AREAS", (60.0,))
    coarse = line_plan.solve(x, y, a, b, regularization, 200, 1e-9)
    matrix = coarse.logarithms(torch.arange(len(x))).exp()
    error = float((matrix.sum(1) - coarse.rows.masses).abs().sum())
    assert coarse.marginal_error > error / 3 > 1e-9


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("n", "scale", "regularization"), CASES)
def test_cuda_agrees_with_the_cpu(n, scale, regularization):
    x, y, a, b, regularization = case(n, scale, regularization)
    here = line_plan.solve(x, y, a, b, regularization, 200, 1e-10)
    there = line_plan.solve(*(z.cuda() for z in (x, y, a, b)), regularization, 200, 1e-10)
    moved = there.transposed_times(x.cuda()).cpu()
    torch.testing.assert_close(moved, here.transposed_times(x), atol=1e-8, rtol=0)
