"""One comparison by itself: any two results of a data set, whatever a page compares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from recbole_guider.errors import InputError, nearest_name
from recbole_guider.report.comparison import Against, compare_alone
from recbole_guider.report.markdown import HOLE, gained, table
from recbole_guider.report.results import (
    Record,
    Result,
    ResultKey,
    average_over_seeds,
    cell_key,
    result_key,
)

_OPTION = "--between"


def compare_between(records: Iterable[Record], names: Sequence[str], metrics: Sequence[str]) -> str:
    """Returns the difference of two results in each metric, as a Markdown table with a note.

    Args:
        records: finished cells in any order; those of other results are left out.
        names: of the two results, ``data set/backbone/method``, and ``/setting`` where a property
            varies; the gain is the first one's over the second.
        metrics: the table's rows.

    Raises:
        InputError: a name is no result, both are one, the data sets differ or no seed is common.
    """
    keyed = [(result_key(cell_key(record.cell)), record) for record in records]
    known = {"/".join(filter(None, key)): key for key, _ in keyed}
    ours, other = (_named(name, known) for name in names)
    if ours == other:
        raise InputError("both names are one result", where=_OPTION, mend="Name two.")
    if ours.dataset != other.dataset:
        raise InputError(
            f"'{names[0]}' and '{names[1]}' are of two data sets, whose users cannot be paired",
            where=_OPTION,
            mend="Name two results of one data set.",
        )
    results = average_over_seeds([one for key, one in keyed if key in (ours, other)], metrics)
    made = compare_alone(results, ours, other, metrics)
    if not made:
        raise InputError(
            f"'{names[0]}' and '{names[1]}' have no seed in common",
            where=_OPTION,
            mend="Finish the seeds of both first.",
        )
    seeds = next(iter(made.values())).seeds
    rows = [_row(metric, made[metric], results[ours], results[other]) for metric in metrics]
    headers = ["", *names, "gain", "p over users", "p over users and seeds", "seeds won"]
    return (
        table(headers, rows)
        + f"\n\nMeans over the seeds that both have finished ({', '.join(map(str, seeds))}). One "
        "comparison, two-sided, not corrected for the others that could have been made."
    )


def _named(name: str, known: Mapping[str, ResultKey]) -> ResultKey:
    if name not in known:
        raise InputError(
            f"'{name}' has no finished result in this grid",
            where=_OPTION,
            mend=nearest_name(name, known) if known else "Run its cells first.",
        )
    return known[name]


def _row(metric: str, against: Against, ours: Result, other: Result) -> list[str]:
    of_seeds = [
        [result.means_of[metric][seed] for seed in against.seeds] for result in (ours, other)
    ]
    won = sum(first > second for first, second in zip(*of_seeds))
    return [
        metric,
        *(f"{sum(means) / len(means):.4f}" for means in of_seeds),
        gained(against),
        _p(against.paired.p_value),
        _p(against.both_p),
        f"{won} of {len(against.seeds)}",
    ]


def _p(value: float) -> str:
    """Returns a p value, or a hole where there are too few users or seeds for the test."""
    return HOLE if math.isnan(value) else "< 0.0001" if value < 1e-4 else f"{value:.4f}"
