"""What finished cells say when they are compared.

Two questions are asked of each result, each a family of its own for Holm's correction: is it
better than the bare backbone, and is a proposed method better than the best baseline, where *best*
is decided on validation and the difference measured on test. Both sides of a comparison are
averaged over the seeds that both have finished; without such a seed there is none. Two tests are
made of each: the paired t test over users, which takes the trained models as given, and Clark's
min F', which takes users and seeds as random samples.

Where a property varies, comparisons are made in each of its settings, and the settings belong to
one family. A method that does not know the property has one result, which stands in every setting;
two such results are compared once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recbole_guider.registry import BARE
from recbole_guider.report.results import Record, Result, ResultKey, average_over_seeds
from recbole_guider.report.statistics import (
    PairedComparison,
    compare_many,
    compare_users_and_seeds,
    holm,
)

_VALUES = 1 << 21  # compared at once on either side: 16 MB
_Asked = tuple[tuple[ResultKey, ResultKey], str]  # two results, metric


class Against(NamedTuple):
    """A comparison of a result with another one of the same data set.

    Attributes:
        method: of the other result.
        paired: the comparison over users.
        p_holm: its p value after Holm's correction; nan outside a family (:func:`compare_alone`).
        seeds: the seeds that both have finished, over which both sides are averaged.
        level: the other result's mean over these seeds.
        settings: the settings of the two results, empty for one that stands in every setting.
        both_p: p value over users and seeds; nan for fewer than three common seeds.
        both_p_holm: the same after Holm's correction, in a family of its own.
    """

    method: str
    paired: PairedComparison
    p_holm: float
    seeds: tuple[int, ...]
    level: float
    settings: tuple[str, str] = ("", "")
    both_p: float = math.nan
    both_p_holm: float = math.nan

    def sign(self, level: float) -> int:
        """Returns 1 for significantly better over users, -1 for worse, 0 for undecided."""
        return int(np.sign(self.paired.difference)) if self.p_holm < level else 0

    def over_both(self, level: float) -> bool:
        """Whether the difference is significant over users, and over users and seeds as well."""
        return self.sign(level) != 0 and self.both_p_holm < level


class Best(NamedTuple):
    """The baseline with the highest validation value on a data set and backbone in a setting.

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
        results: by data set, backbone, method and setting.
        best_baseline: (data set, backbone, setting) -> the baseline with the highest validation
            value.
        vs_best: (place, metric) -> proposed methods against that baseline. A place is a result's
            key with the setting in which it is compared, also where the result has none.
        vs_base: (place, metric) -> every method against the bare backbone.
        apart: (place, other method) that could not be compared for want of a common seed.
    """

    results: Mapping[ResultKey, Result]
    best_baseline: Mapping[tuple[str, str, str], Best]
    vs_best: Mapping[tuple[ResultKey, str], Against]
    vs_base: Mapping[tuple[ResultKey, str], Against]
    apart: tuple[tuple[ResultKey, str], ...]


def once(
    family: Mapping[tuple[ResultKey, str], Against],
) -> dict[tuple[ResultKey, str], Against]:
    """Returns comparisons with those that stand in several settings only in their first."""
    kept: dict[tuple[object, ...], tuple[ResultKey, str]] = {}
    for (place, metric), against in family.items():
        kept.setdefault((*place[:3], metric, against.method, against.settings), (place, metric))
    return {pair: family[pair] for pair in kept.values()}


def compare_records(
    records: Iterable[Record],
    metrics: Sequence[str],
    baselines: Sequence[str] = (BARE,),
    settings: Sequence[str] = ("",),
) -> Comparison:
    """Averages the records over seeds and makes every comparison.

    Methods outside ``baselines`` are the proposed ones. Equal validation values are decided by the
    order of ``baselines``. ``settings`` are those in which results are compared, in their order.

    Raises:
        InputError: the records cannot share a column (:func:`average_over_seeds`).
    """
    results = average_over_seeds(records, metrics)
    at = {place: result.key for place, result in _places(results, settings).items()}
    best = _best_on_validation({place: results[key] for place, key in at.items()}, baselines)
    rivals = {
        place: place._replace(method=best[_block(place)].method)
        for place in at
        if place.method not in baselines and _block(place) in best
    }
    bare = {place: place._replace(method=BARE) for place in at if place.method != BARE}
    bare = {place: base for place, base in bare.items() if base in at}
    apart = {
        (place, other.method)
        for place, other in (*rivals.items(), *bare.items())
        if not _common([results[at[place]], results[at[other]]])
    }
    vs_best, vs_base = _families(results, at, [rivals, bare], metrics)
    return Comparison(results, best, vs_best, vs_base, tuple(sorted(apart)))


def compare_alone(
    results: Mapping[ResultKey, Result], ours: ResultKey, other: ResultKey, metrics: Sequence[str]
) -> dict[str, Against]:
    """Compares two results of a data set in each metric, in no family: no p is corrected.

    Empty without a common seed.
    """
    pair = (ours, other)
    seeds = _common([results[key] for key in pair])
    made = _paired(results, {pair: seeds}, metrics) if seeds else {}
    return {metric: against for (_, metric), against in made.items()}


def _places(
    results: Mapping[ResultKey, Result], settings: Sequence[str]
) -> dict[ResultKey, Result]:
    """Returns every result at its place; those without a setting stand in all settings."""
    places: dict[ResultKey, Result] = {}
    for key, result in results.items():
        for setting in [key.setting] if key.setting else settings:
            places[key._replace(setting=setting)] = result
    return places


def _block(place: ResultKey) -> tuple[str, str, str]:
    """Returns what methods are compared on: data set, backbone, setting."""
    return (place.dataset, place.backbone, place.setting)


def _common(results: Sequence[Result]) -> tuple[int, ...]:
    """Returns the seeds that all of the results have finished, ascending."""
    return tuple(sorted(set.intersection(*(set(result.seeds) for result in results))))


def _best_on_validation(
    placed: Mapping[ResultKey, Result], baselines: Sequence[str]
) -> dict[tuple[str, str, str], Best]:
    """Returns (data set, backbone, setting) -> its baseline with the highest validation value."""
    best: dict[tuple[str, str, str], Best] = {}
    for dataset, backbone, setting in sorted({_block(place) for place in placed}):
        present = [
            placed[place]
            for name in baselines
            if (place := ResultKey(dataset, backbone, name, setting)) in placed
        ]
        if present:
            best[dataset, backbone, setting] = _best_of(present)
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
    at: Mapping[ResultKey, ResultKey],
    questions: Sequence[Mapping[ResultKey, ResultKey]],
    metrics: Sequence[str],
) -> list[dict[tuple[ResultKey, str], Against]]:
    """Compares the results at places with their rivals, question by question.

    Each question has one Holm family per data set and metric. Two results that meet in several
    settings are one comparison of the family.
    """
    met = [
        {place: (at[place], at[other]) for place, other in rivals.items()} for rivals in questions
    ]
    seeds = {pair: _common([results[key] for key in pair]) for one in met for pair in one.values()}
    compared: list[dict[tuple[ResultKey, str], Against]] = [{} for _ in met]
    for dataset in sorted({ours.dataset for (ours, _), common in seeds.items() if common}):
        pairs = [pair for pair in seeds if pair[0].dataset == dataset and seeds[pair]]
        made = _paired(results, {pair: seeds[pair] for pair in pairs}, metrics)
        for families, one in zip(compared, met):
            family = [pair for pair in dict.fromkeys(one.values()) if pair in pairs]
            for metric in metrics:
                p_holm = holm([made[pair, metric].paired.p_value for pair in family])
                both_p_holm = holm([made[pair, metric].both_p for pair in family])
                adjusted = {
                    pair: made[pair, metric]._replace(p_holm=float(p), both_p_holm=float(both))
                    for pair, p, both in zip(family, p_holm, both_p_holm)
                }
                families.update({
                    (place, metric): adjusted[pair]
                    for place, pair in one.items()
                    if pair in adjusted
                })  # fmt: skip
    return compared


def _paired(
    results: Mapping[ResultKey, Result],
    seeds: Mapping[tuple[ResultKey, ResultKey], tuple[int, ...]],
    metrics: Sequence[str],
) -> dict[_Asked, Against]:
    """Compares pairs of results of one data set, without correction.

    Questions and metrics go together, because they share the bootstrap's resampled users; in parts
    that fill no memory, one on each core.
    """
    asked = [(pair, metric) for metric in metrics for pair in seeds]
    n_users = len(results[asked[0][0][0]].per_user(metrics[0], seeds[asked[0][0]]))
    size = math.ceil(_VALUES / max(n_users, 1))
    parts = [asked[start : start + size] for start in range(0, len(asked), size)]
    most = max(map(len, seeds.values()))

    def compare(part: list[_Asked]) -> list[Against]:
        users = [
            np.stack([results[pair[side]].per_user(metric, seeds[pair]) for pair, metric in part])
            for side in (0, 1)
        ]
        runs = np.full((2, len(part), most), np.nan)
        for row, (pair, metric) in enumerate(part):
            for side, key in enumerate(pair):
                means = results[key].means_of[metric]
                runs[side, row, : len(seeds[pair])] = [means[seed] for seed in seeds[pair]]
        levels = [float(values.mean()) for values in users[1]]
        both_p = compare_users_and_seeds(*users, *runs).p_value
        return [
            Against(
                pair[1].method,
                paired,
                math.nan,
                seeds[pair],
                level,
                (pair[0].setting, pair[1].setting),
                float(both),
            )
            for (pair, _), paired, level, both in zip(part, compare_many(*users), levels, both_p)
        ]

    with ThreadPoolExecutor() as pool:  # numpy computes without Python's lock
        return {
            one: against
            for part, made in zip(parts, pool.map(compare, parts))
            for one, against in zip(part, made)
        }
