"""The leaderboard as CSV: a row for each number of the tables, whole and with its comparisons."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

from recbole_guider.report.board import Board
from recbole_guider.report.comparison import Against
from recbole_guider.report.results import ResultKey

_RESULT = [
    "dataset", "protocol", "backbone", "method", "metric", "mean", "std_over_seeds",
    "seeds_finished", "seeds_asked", "seeds", "users", "valid_metric", "valid_mean",
    "best_baseline",
]  # fmt: skip
# After the method, where a property varies. A method that does not know it has one result, which
# stands in every setting: such a row is "shared".
_SETTING = ["setting", "shared"]
_AGAINST = [
    "difference", "relative_gain", "low", "high", "t", "p", "p_holm", "wins", "ties", "losses",
    "seeds",
]  # fmt: skip


def render_csv(board: Board) -> str:
    """Returns the CSV text; what does not exist (a hole, no comparison) is an empty field.

    ``vs_best_*`` compares with the column ``best_baseline``, ``vs_base_*`` with the bare backbone:
    difference of the means, relative gain (a fraction), 95 % bootstrap interval of the difference,
    t and p of the paired t test, p after Holm's correction, users won, tied and lost, and the
    seeds that both sides have finished, over which both are averaged.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(_RESULT)
    if board.vary:
        columns[4:4] = _SETTING
    writer.writerow(
        columns + [f"{kind}_{name}" for kind in ("vs_best", "vs_base") for name in _AGAINST]
    )
    writer.writerows(_rows(board))
    return text.getvalue()


def _rows(board: Board) -> Iterator[list[str]]:
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
            for metric in board.metrics:
                yield [
                    dataset, protocol, place.backbone, place.method, *setting, metric,
                    *_result(board, place, metric),
                    best.method if best else "",
                    *_against(compared.vs_best.get((place, metric))),
                    *_against(compared.vs_base.get((place, metric))),
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


def _against(against: Against | None) -> list[str]:
    if against is None:
        return [""] * len(_AGAINST)
    paired = against.paired
    numbers = [paired.difference, paired.relative_gain, *paired.interval, paired.statistic]
    numbers += [paired.p_value, against.p_holm]
    counts = [paired.wins, paired.ties, paired.losses]
    texts = [_number(one) for one in numbers] + [str(count) for count in counts]
    return [*texts, " ".join(map(str, against.seeds))]


def _number(value: float) -> str:
    """Returns the shortest text that reads back as the same double; nan is an empty field."""
    return "" if math.isnan(value) else repr(float(value))
