"""The leaderboard as CSV: a row for each number of the tables, whole and with its comparisons."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping

from recbole_guider.report.board import Board
from recbole_guider.report.chosen import Choice, Kind
from recbole_guider.report.comparison import Against
from recbole_guider.report.published.lookup import figure_at, notes_on, sources
from recbole_guider.report.results import ResultKey
from recbole_guider.report.signed_ranks import wilcoxon_paired
from recbole_guider.report.statistics import FEWEST_SEEDS, compare_paired

_RESULT = [
    "dataset", "protocol", "backbone", "method", "metric", "mean", "std_over_seeds",
    "seeds_finished", "seeds_asked", "seeds", "users", "valid_metric", "valid_mean",
    "best_baseline",
]  # fmt: skip
# After the method, where a property varies. A method that does not know it has one result, which
# stands in every setting: such a row is "shared".
_SETTING = ["setting", "shared"]
# After the result, where the grid searched.
_CHOSEN = ["trial", "trials", "chosen"]
_AGAINST = [
    "difference", "relative_gain", "low", "high", "t", "p", "p_holm", "wins", "ties", "losses",
    "seeds",
]  # fmt: skip
# More on the comparison with the best baseline: the interval of the relative gain, and second
# opinions, uncorrected, which give no stars.
_MORE = ["vs_best_gain_low", "vs_best_gain_high", "vs_best_wilcoxon_p", "vs_best_seed_p"]
# Over users and seeds: the test without which a mark stands in brackets.
_BOTH = ["vs_best_both_p", "vs_best_both_p_holm", "vs_base_both_p", "vs_base_both_p_holm"]
_PUBLISHED = ["published", "published_source", "published_note"]


def render_csv(board: Board, chosen: Mapping[Kind, Choice] | None = None) -> str:
    """Returns the CSV text; what does not exist (a hole, no comparison) is an empty field.

    ``vs_best_*`` compares with the column ``best_baseline``, ``vs_base_*`` with the bare backbone:
    difference of the means, relative gain (a fraction), 95 % bootstrap interval of the difference,
    t and p of the paired t test over users, p after Holm's correction, users won, tied and lost,
    and the seeds that both sides have finished, over which both are averaged. ``both_p`` and
    ``both_p_holm`` are those of Clark's min F' over users and seeds, where three are in common.

    ``vs_best_gain_low`` and ``_high`` are the 95 % bootstrap interval of the relative gain.

    Two second opinions on the comparison with ``best_baseline``, without correction:
    ``vs_best_wilcoxon_p`` of Wilcoxon's signed-rank test over users, and ``vs_best_seed_p`` of the
    paired t test over the seeds' means, where both sides have three seeds in common.

    Where a grid searched, ``trial`` is the one of ``trials`` that validation chose, and ``chosen``
    its values as JSON: ``{}`` for the property files' own.

    ``published`` is what a paper prints for the same place, with its source and notes.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(_RESULT)
    if board.vary:
        columns[4:4] = _SETTING
    columns += _CHOSEN if chosen else []
    against = [f"{kind}_{name}" for kind in ("vs_best", "vs_base") for name in _AGAINST]
    writer.writerow([*columns, *against, *_MORE, *_BOTH, *_PUBLISHED])
    writer.writerows(_rows(board, chosen or {}))
    return text.getvalue()


def _rows(board: Board, chosen: Mapping[Kind, Choice]) -> Iterator[list[str]]:
    compared = board.comparison
    for dataset in board.datasets:
        protocols = [
            result.protocol for key, result in compared.results.items() if key.dataset == dataset
        ]
        protocol = protocols[0] if protocols else ""
        for place in board.places(dataset):
            best = compared.best_baseline.get((dataset, place.backbone, place.setting))
            key = board.key_at(place)
            setting = [place.setting, "no" if key == place else "yes"] if board.vary else []
            searched = _searched(chosen.get(place[:3])) if chosen else []
            for metric in board.metrics:
                yield [
                    dataset, protocol, place.backbone, place.method, *setting, metric,
                    *_result(board, place, metric),
                    best.method if best else "",
                    *searched,
                    *_against(compared.vs_best.get((place, metric))),
                    *_against(compared.vs_base.get((place, metric))),
                    *_more(board, place, metric),
                    *_both(compared.vs_best.get((place, metric))),
                    *_both(compared.vs_base.get((place, metric))),
                    *_published(board, place, metric),
                ]  # fmt: skip


def _result(board: Board, place: ResultKey, metric: str) -> list[str]:
    key = board.key_at(place)
    asked = len(board.asked[key]) if key else 0
    result = board.result(place)
    if result is None:
        return ["", "", "0", str(asked), "", "", "", ""]
    return [
        _number(result.mean[metric]),
        _number(result.spread[metric]),
        str(len(result.seeds)),
        str(asked),
        " ".join(map(str, result.seeds)),
        str(len(result.users_of[metric][result.seeds[0]])),
        result.valid_metric,
        _number(result.valid),
    ]


def _searched(choice: Choice | None) -> list[str]:
    """Returns what was chosen; empty where no trial has, or none was asked for."""
    if choice is None or choice.valid is None:
        return [""] * len(_CHOSEN)
    values = json.dumps(dict(choice.values), sort_keys=True)
    return [str(choice.trial), str(choice.asked), values]


def _against(against: Against | None) -> list[str]:
    if against is None:
        return [""] * len(_AGAINST)
    paired = against.paired
    numbers = [paired.difference, paired.relative_gain, *paired.interval, paired.statistic]
    numbers += [paired.p_value, against.p_holm]
    counts = [paired.wins, paired.ties, paired.losses]
    texts = [_number(one) for one in numbers] + [str(count) for count in counts]
    return [*texts, " ".join(map(str, against.seeds))]


def _both(against: Against | None) -> list[str]:
    return [_number(against.both_p), _number(against.both_p_holm)] if against else ["", ""]


def _more(board: Board, place: ResultKey, metric: str) -> list[str]:
    """Returns the gain's interval and p of the tests without stars; empty for no comparison."""
    against = board.comparison.vs_best.get((place, metric))
    if against is None:
        return [""] * len(_MORE)
    sides = [board.result(place), board.result(place._replace(method=against.method))]
    ours, theirs = (side for side in sides if side)  # both exist: they were compared
    seeds = against.seeds
    users = wilcoxon_paired(ours.per_user(metric, seeds), theirs.per_user(metric, seeds))
    p_values = [users.p_value, float("nan")]
    if len(seeds) >= FEWEST_SEEDS:
        means = [[side.means_of[metric][seed] for seed in seeds] for side in (ours, theirs)]
        p_values[1] = compare_paired(*means, resamples=1).p_value
    return [_number(one) for one in (*against.paired.gain_interval, *p_values)]


def _published(board: Board, place: ResultKey, metric: str) -> list[str]:
    figure = figure_at(board, place, metric)
    if figure is None:
        return [""] * len(_PUBLISHED)
    return [figure.printed, sources()[figure.source].title, notes_on(place, figure)]


def _number(value: float) -> str:
    """Returns the shortest text that reads back as the same double; nan is an empty field."""
    return "" if math.isnan(value) else repr(float(value))
