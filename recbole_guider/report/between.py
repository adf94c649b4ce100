"""One comparison by itself: any two results of a data set, whatever a page compares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from recbole_guider.errors import InputError, nearest_name
from recbole_guider.report.comparison import Against, compare_alone
from recbole_guider.report.markdown import HOLE, percent, table
from recbole_guider.report.results import Record, Result, ResultKey, average_over_seeds

_OPTION = "--between"


def compare_between(records: Iterable[Record], names: Sequence[str], metrics: Sequence[str]) -> str:
    """Returns what two results say of each other, as a Markdown table and a sentence.

    Args:
        records: finished cells in any order; those of other data sets are left out.
        names: of the two results, ``data set/backbone/method``, and ``/setting`` where a property
            varies; the gain is the first one's over the second.
        metrics: the table's rows.

    Raises:
        InputError: a name is no result, the data sets differ or no seed is common to both.
    """
    datasets = [name.partition("/")[0] for name in names]
    if datasets[0] != datasets[1]:
        raise InputError(
            f"'{names[0]}' and '{names[1]}' have other users",
            where=_OPTION,
            mend="Compare two results of one data set.",
        )
    of_dataset = [record for record in records if record.cell.dataset == datasets[0]]
    results = average_over_seeds(of_dataset, metrics)
    ours, other = (_named(name, results) for name in names)
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


def _named(name: str, results: dict[ResultKey, Result]) -> ResultKey:
    known = {"/".join(filter(None, key)): key for key in results}
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
        f"{percent(against.paired.relative_gain)} %" if against.level > 0 else "baseline is 0",
        f"{against.paired.p_value:.4f}",
        HOLE if math.isnan(against.both_p) else f"{against.both_p:.4f}",
        f"{won} of {len(against.seeds)}",
    ]
