"""What finished cells say when they are compared.

Two questions are asked of each result, each a family of its own for Holm's correction: is it
better than the bare backbone, and is a proposed method better than the best baseline, where *best*
is decided on validation and the difference measured on test.
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
    """A comparison of a result with another method's on the same data set and backbone."""

    method: str
    paired: PairedComparison
    p_holm: float

    def sign(self, level: float) -> int:
        """Returns 1 for significantly better, -1 for significantly worse, 0 for undecided."""
        return int(np.sign(self.paired.difference)) if self.p_holm < level else 0


@dataclass(frozen=True)
class Comparison:
    """All results and what was compared.

    Attributes:
        results: by data set, backbone and method.
        best_baseline: (data set, backbone) -> the baseline with the highest validation value.
        vs_best: (result, metric) -> proposed methods against that baseline.
        vs_base: (result, metric) -> every method against the bare backbone.
    """

    results: Mapping[ResultKey, Result]
    best_baseline: Mapping[tuple[str, str], str]
    vs_best: Mapping[tuple[ResultKey, str], Against]
    vs_base: Mapping[tuple[ResultKey, str], Against]


def compare_records(
    records: Iterable[Record], metrics: Sequence[str], baselines: Sequence[str] = (BARE,)
) -> Comparison:
    """Averages the records over seeds and makes every comparison.

    Methods outside ``baselines`` are the proposed ones. Equal validation values are decided by the
    order of ``baselines``.

    Raises:
        InputError: the records cannot share a column (:func:`average_over_seeds`).
        ValueError: two cells of a data set evaluated different users.
    """
    results = average_over_seeds(records, metrics)
    best = _best_on_validation(results, baselines)
    rivals = {
        key: ResultKey(key.dataset, key.backbone, best[key.dataset, key.backbone])
        for key in results
        if key.method not in baselines and (key.dataset, key.backbone) in best
    }
    bare = {
        key: ResultKey(key.dataset, key.backbone, BARE) for key in results if key.method != BARE
    }
    bare = {key: base for key, base in bare.items() if base in results}
    return Comparison(
        results, best, _families(results, rivals, metrics), _families(results, bare, metrics)
    )


def _best_on_validation(
    results: Mapping[ResultKey, Result], baselines: Sequence[str]
) -> dict[tuple[str, str], str]:
    """Returns (data set, backbone) -> its baseline with the highest validation value."""
    best: dict[tuple[str, str], Result] = {}
    for name in baselines:
        for key, result in results.items():
            place = (key.dataset, key.backbone)
            if key.method == name and (place not in best or result.valid > best[place].valid):
                best[place] = result
    return {place: result.key.method for place, result in best.items()}


def _families(
    results: Mapping[ResultKey, Result],
    rivals: Mapping[ResultKey, ResultKey],
    metrics: Sequence[str],
) -> dict[tuple[ResultKey, str], Against]:
    """Compares each result with its rival; one Holm family per data set and metric."""
    compared: dict[tuple[ResultKey, str], Against] = {}
    for dataset in sorted({key.dataset for key in rivals}):
        family = [key for key in rivals if key.dataset == dataset]
        pairs = [(key, metric) for metric in metrics for key in family]
        # All metrics at once: they share the bootstrap's resampled users.
        paired = compare_many(
            np.stack([results[key].per_user[metric] for key, metric in pairs]),
            np.stack([results[rivals[key]].per_user[metric] for key, metric in pairs]),
        )
        found = dict(zip(pairs, paired))
        for metric in metrics:
            adjusted = holm([found[key, metric].p_value for key in family])
            for key, p in zip(family, adjusted):
                compared[key, metric] = Against(rivals[key].method, found[key, metric], float(p))
    return compared
