"""What finished cells say when they are compared.

Two questions are asked of each result, each a family of its own for Holm's correction: is it
better than the bare backbone, and is a proposed method better than the best baseline, where *best*
is decided on validation and the difference measured on test. Both sides of a comparison are
averaged over the seeds that both have finished; without such a seed there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recbole_guider.report.results import Record, Result, ResultKey, average_over_seeds
from recbole_guider.report.statistics import PairedComparison, compare_many, holm

BARE = "Base"  # the method that leaves the backbone as it is


class Against(NamedTuple):
    """A comparison of a result with another method's on the same data set and backbone.

    Attributes:
        method: the other method.
        paired: the comparison over users.
        p_holm: its p value after Holm's correction.
        seeds: the seeds that both have finished, over which both sides are averaged.
        level: the other method's mean over these seeds.
    """

    method: str
    paired: PairedComparison
    p_holm: float
    seeds: tuple[int, ...]
    level: float

    def sign(self, level: float) -> int:
        """Returns 1 for significantly better, -1 for significantly worse, 0 for undecided."""
        return int(np.sign(self.paired.difference)) if self.p_holm < level else 0


class Best(NamedTuple):
    """The baseline with the highest validation value on a data set and backbone.

    Attributes:
        method: the baseline.
        valid: its mean on validation over ``seeds``.
        seeds: the seeds that all baselines in the choice have finished.
        left_out: baselines with results, but with no seed in common with those in the choice.
    """

    method: str
    valid: float
    seeds: tuple[int, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """All results and what was compared.

    Attributes:
        results: by data set, backbone and method.
        best_baseline: (data set, backbone) -> the baseline with the highest validation value.
        vs_best: (result, metric) -> proposed methods against that baseline.
        vs_base: (result, metric) -> every method against the bare backbone.
        apart: (result, other method) that could not be compared for want of a common seed.
    """

    results: Mapping[ResultKey, Result]
    best_baseline: Mapping[tuple[str, str], Best]
    vs_best: Mapping[tuple[ResultKey, str], Against]
    vs_base: Mapping[tuple[ResultKey, str], Against]
    apart: tuple[tuple[ResultKey, str], ...]


def compare_records(
    records: Iterable[Record], metrics: Sequence[str], baselines: Sequence[str] = (BARE,)
) -> Comparison:
    """Averages the records over seeds and makes every comparison.

    Methods outside ``baselines`` are the proposed ones. Equal validation values are decided by the
    order of ``baselines``.

    Raises:
        InputError: the records cannot share a column (:func:`average_over_seeds`).
    """
    results = average_over_seeds(records, metrics)
    best = _best_on_validation(results, baselines)
    rivals = {
        key: ResultKey(key.dataset, key.backbone, best[key.dataset, key.backbone].method)
        for key in results
        if key.method not in baselines and (key.dataset, key.backbone) in best
    }
    bare = {
        key: ResultKey(key.dataset, key.backbone, BARE) for key in results if key.method != BARE
    }
    bare = {key: base for key, base in bare.items() if base in results}
    apart = {
        (key, other.method)
        for key, other in (*rivals.items(), *bare.items())
        if not _common([results[key], results[other]])
    }
    return Comparison(
        results,
        best,
        _families(results, rivals, metrics),
        _families(results, bare, metrics),
        tuple(sorted(apart)),
    )


def _common(results: Sequence[Result]) -> tuple[int, ...]:
    """Returns the seeds that all of the results have finished, ascending."""
    return tuple(sorted(set.intersection(*(set(result.seeds) for result in results))))


def _best_on_validation(
    results: Mapping[ResultKey, Result], baselines: Sequence[str]
) -> dict[tuple[str, str], Best]:
    """Returns (data set, backbone) -> its baseline with the highest validation value."""
    best: dict[tuple[str, str], Best] = {}
    for place in sorted({(key.dataset, key.backbone) for key in results}):
        present = [
            results[key] for name in baselines if (key := ResultKey(*place, name)) in results
        ]
        if present:
            best[place] = _best_of(present)
    return best


def _best_of(present: Sequence[Result]) -> Best:
    """Chooses among baselines, in their order, over the seeds that all of them have finished.

    Where no seed is common to all, those with most seeds stay and those apart from them leave.
    """
    kept: list[Result] = []
    for result in sorted(present, key=lambda one: -len(one.seeds)):
        if _common([*kept, result]):
            kept.append(result)
    seeds = _common(kept)
    names = {one.key for one in kept}
    chosen = max(
        (one for one in present if one.key in names), key=lambda one: one.valid_over(seeds)
    )
    left_out = tuple(one.key.method for one in present if one.key not in names)
    return Best(chosen.key.method, chosen.valid_over(seeds), seeds, left_out)


def _families(
    results: Mapping[ResultKey, Result],
    rivals: Mapping[ResultKey, ResultKey],
    metrics: Sequence[str],
) -> dict[tuple[ResultKey, str], Against]:
    """Compares each result with its rival; one Holm family per data set and metric."""
    compared: dict[tuple[ResultKey, str], Against] = {}
    seeds = {key: _common([results[key], results[other]]) for key, other in rivals.items()}
    for dataset in sorted({key.dataset for key in rivals if seeds[key]}):
        family = [key for key in rivals if key.dataset == dataset and seeds[key]]
        pairs = [(key, metric) for metric in metrics for key in family]
        ours = [results[key].per_user(metric, seeds[key]) for key, metric in pairs]
        theirs = [results[rivals[key]].per_user(metric, seeds[key]) for key, metric in pairs]
        # All metrics at once: they share the bootstrap's resampled users.
        paired = dict(zip(pairs, compare_many(np.stack(ours), np.stack(theirs))))
        levels = {pair: float(values.mean()) for pair, values in zip(pairs, theirs)}
        for metric in metrics:
            adjusted = holm([paired[key, metric].p_value for key in family])
            for key, p in zip(family, adjusted):
                pair = (key, metric)
                compared[pair] = Against(
                    rivals[key].method, paired[pair], float(p), seeds[key], levels[pair]
                )
    return compared
