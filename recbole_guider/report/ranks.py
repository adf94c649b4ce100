"""Average ranks of the methods over blocks, and whether they differ (Demsar, JMLR 7, 2006).

A block is a data set with a backbone. Within each the methods are ranked by the board's headline
metric, 1 for the highest, ties sharing the mean of their ranks. Friedman's test asks whether all
methods are alike; Nemenyi's critical difference says from which difference of two average ranks on
they are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from recbole_guider.report.board import Board
from recbole_guider.report.markdown import SIGNIFICANCE, table
from recbole_guider.report.results import Result, ResultKey

FloatArray = NDArray[np.float64]

_FEWEST_METHODS = 3
# Demsar trusts the test's distribution above 10 blocks; up to there its power is small as well.
_FEW_BLOCKS = 10


class Friedman(NamedTuple):
    """Friedman's test with Iman and Davenport's correction.

    Attributes:
        ranks: average rank of each method, [k], 1 for the best.
        chi_square: Friedman's statistic, corrected for ties.
        f: Iman and Davenport's, F-distributed with k - 1 and (k - 1)(n - 1) degrees of freedom.
        p_value: that all methods are alike; 1 where all are tied in every block.
    """

    ranks: FloatArray
    chi_square: float
    f: float
    p_value: float


@dataclass(frozen=True)
class Ranks:
    """The methods of a board by their average rank.

    Attributes:
        metric: what they are ranked by.
        average: method -> average rank, the best first.
        firsts: method -> blocks in which no other method has a better rank.
        blocks: (data set, backbone) that were counted.
        left_out: those that lack a result of some method, or of one of its seeds.
        test: Friedman's test.
        critical: Nemenyi's critical difference at the level of the tables.
        groups: methods that the test does not tell apart, two or more, the best first.
    """

    metric: str
    average: dict[str, float]
    firsts: dict[str, int]
    blocks: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]
    test: Friedman
    critical: float
    groups: tuple[tuple[str, ...], ...]


def friedman(values: FloatArray) -> Friedman:
    """Ranks k methods, 3 or more, in n blocks and tests whether they are alike.

    Args:
        values: [n, k], higher is better.
    """
    n, k = values.shape
    # Averages that differ by rounding alone share a rank.
    ranks = stats.rankdata(-np.round(values, 12), axis=1)
    if (ranks == ranks[:, :1]).all():
        return Friedman(ranks.mean(axis=0), 0.0, 0.0, 1.0)
    chi_square = float(stats.friedmanchisquare(*ranks.T).statistic)
    rest = n * (k - 1) - chi_square
    if rest <= 1e-9 * n * k:  # every block has the same order
        return Friedman(ranks.mean(axis=0), chi_square, math.inf, 0.0)
    f = (n - 1) * chi_square / rest
    return Friedman(
        ranks.mean(axis=0), chi_square, f, float(stats.f.sf(f, k - 1, (k - 1) * (n - 1)))
    )


def critical_difference(methods: int, blocks: int, level: float = SIGNIFICANCE) -> float:
    """Returns Nemenyi's critical difference of two average ranks."""
    q = float(stats.studentized_range.ppf(1.0 - level, methods, np.inf)) / math.sqrt(2.0)
    # Six digits are the same on every machine; the figure's bytes depend on them.
    return round(q * math.sqrt(methods * (methods + 1) / (6.0 * blocks)), 6)


def rank_methods(board: Board) -> Ranks | None:
    """Ranks the board's methods; None where a property varies or a diagram could show nothing.

    It needs three methods, and blocks enough for the critical difference to be smaller than the
    largest possible difference of average ranks, k - 1: with fewer no two methods could be told
    apart, whatever the results.
    """
    k = len(board.methods)
    if board.vary or k < _FEWEST_METHODS:
        return None
    asked = dict.fromkeys((key.dataset, key.backbone) for key in board.asked)
    order = [(d, b) for d in board.datasets for b in board.backbones if (d, b) in asked]
    found = {block: _results(board, *block) for block in order}
    whole = {
        block: row
        for block, row in found.items()
        if len(row) == k and len({result.seeds for result in row}) == 1
    }
    if not whole or critical_difference(k, len(whole)) >= k - 1:
        return None
    metric = board.headline
    values = np.array([[result.mean[metric] for result in row] for row in whole.values()])
    test = friedman(values)
    best_first = sorted(range(k), key=lambda place: float(test.ranks[place]))
    average = {board.methods[place]: float(test.ranks[place]) for place in best_first}
    rounded = np.round(values, 12)
    firsts = (rounded == rounded.max(axis=1, keepdims=True)).sum(axis=0)
    critical = critical_difference(k, len(whole))
    # Nemenyi's test follows Friedman's; where that finds nothing, neither does this.
    widest = critical if test.p_value < SIGNIFICANCE else math.inf
    return Ranks(
        metric=metric,
        average=average,
        firsts={board.methods[place]: int(firsts[place]) for place in best_first},
        blocks=tuple(whole),
        left_out=tuple(block for block in order if block not in whole),
        test=test,
        critical=critical,
        groups=not_told_apart(average, widest),
    )


def _results(board: Board, dataset: str, backbone: str) -> list[Result]:
    """Returns a block's results in the order of the methods; those without any are missing."""
    row = [board.result(ResultKey(dataset, backbone, method)) for method in board.methods]
    return [result for result in row if result]


def not_told_apart(average: dict[str, float], critical: float) -> tuple[tuple[str, ...], ...]:
    """Returns the largest runs of methods whose average ranks differ by less than ``critical``."""
    names = list(average)
    groups: list[tuple[str, ...]] = []
    for start, first in enumerate(names):
        group = tuple(name for name in names[start:] if average[name] - average[first] < critical)
        if len(group) > 1 and not (groups and set(group) <= set(groups[-1])):
            groups.append(group)
    return tuple(groups)


def ranks_section(board: Board) -> list[str]:
    """Returns the diagram, ``<grid>-ranks.svg``, a table and what they say; [] without ranks."""
    ranks = rank_methods(board)
    if ranks is None:
        return []
    rows = [
        [method, f"{rank:.2f}", f"{ranks.firsts[method]} of {len(ranks.blocks)}"]
        for method, rank in ranks.average.items()
    ]
    return [
        f"![Average ranks by {ranks.metric}]({board.name}-ranks.svg)",
        table(["", "average rank", "best in"], rows),
        _explained(ranks),
    ]


def _explained(ranks: Ranks) -> str:
    k, n = len(ranks.average), len(ranks.blocks)
    test = ranks.test
    p = "p < 0.001" if test.p_value < 0.001 else f"p {test.p_value:.3f}"
    f = "infinite" if math.isinf(test.f) else f"{test.f:.2f}"
    text = (
        f"Methods ranked by test {ranks.metric} in each of {n} blocks, a data set with a backbone: "
        "1 is best, ties share the mean of their ranks. Friedman's test with Iman and Davenport's "
        f"correction: F({k - 1}, {(k - 1) * (n - 1)}) = {f}, {p}. Nemenyi's critical difference at "
        f"{100 * SIGNIFICANCE:g} %: {ranks.critical:.2f}"
    )
    if test.p_value >= SIGNIFICANCE:
        text += "; Friedman's test does not reject that all methods are alike, so none differ. "
    elif ranks.groups:
        groups = "; ".join(", ".join(group) for group in ranks.groups)
        text += f". Not told apart (joined by a bar): {groups}. "
    else:
        text += "; all methods differ. "
    if n <= _FEW_BLOCKS:
        text += (
            f"{n} blocks give the test little power: methods that it does not tell apart need not "
            "be alike. "
        )
    if _repeats(ranks.blocks):
        text += (
            "Blocks with a data set or a backbone in common are not independent, as the test "
            "supposes, which makes its p too small: read the ranks as a summary, the comparisons "
            "over users above as the evidence. "
        )
    if ranks.left_out:
        left = ", ".join(f"{backbone} on {dataset}" for dataset, backbone in ranks.left_out)
        text += f"Left out, because not all methods have finished there: {left}. "
    return text.rstrip()


def _repeats(blocks: Sequence[tuple[str, str]]) -> bool:
    """Says whether two blocks share a data set or a backbone."""
    return any(len(set(names)) < len(blocks) for names in zip(*blocks))
