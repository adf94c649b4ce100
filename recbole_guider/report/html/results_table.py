"""The HTML page's tables: results, and every comparison behind their marks.

Each row bears ``data-k``: its place in the lists of data sets, settings (where a property varies),
backbones, methods and metrics, ``-`` where it belongs to all of them. The page's script filters by
it, finds a number's comparisons by ``data-of`` and shows them beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from recbole_guider.report.board import Board
from recbole_guider.report.comparison import Against
from recbole_guider.report.html.markup import Html, element, join
from recbole_guider.report.html.words import box
from recbole_guider.report.markdown import HOLE, SIGNIFICANCE, mark, percent, value
from recbole_guider.report.missing import why_absent
from recbole_guider.report.results import ResultKey

_SAID = {1: "significantly better", -1: "significantly worse", 0: "undecided"}
_USERS = " (users alone)"
_COMPARED = (
    "difference", "95 % interval", "relative gain", "95 % of the gain", "wins / ties / losses",
    "t", "p", "p after Holm", "p of both", "both after Holm", "seeds",
)  # fmt: skip


def facets(board: Board) -> dict[str, tuple[str, ...]]:
    """Returns what rows can be filtered by: name -> values, in the order of ``data-k``."""
    varied = {str(board.vary): tuple(map(_bare_setting, board.settings))} if board.vary else {}
    return {
        "Data set": board.datasets,
        **varied,
        "Backbone": board.backbones,
        "Method": board.methods,
        "Metric": board.metrics,
    }


def results_table(board: Board, caption: str) -> Html:
    """Returns a row for each data set, setting, backbone and method, a column for each metric."""
    names = [name for name in facets(board) if name != "Metric"]
    heads = [_head(name, class_="who" if name == "Method" else "wide") for name in names]
    heads += [
        _head(metric, class_="num", data_metric=str(place))
        for place, metric in enumerate(board.metrics)
    ]
    rows = []
    block: tuple[str, ...] = ()
    for number, place in enumerate(_places(board)):
        first = (place.dataset, place.setting, place.backbone) != block
        block = (place.dataset, place.setting, place.backbone)
        rows.append(
            element(
                "tr",
                *_names(board, place),
                *(_value(board, place, metric) for metric in board.metrics),
                data_k=_key(board, place),
                data_of=str(number),
                data_about=_about(board, place),
                class_="first" if first else "",
            )
        )
    return box(_table(caption, heads, rows, "results"), "Results")


def comparisons_table(board: Board, caption: str) -> Html:
    """Returns a row for each comparison; empty text where nothing was compared."""
    rows = [
        element(
            "tr",
            *_names(board, place)[:-1],
            element("th", place.method, scope="row"),
            element("td", metric),
            element("td", against.method, f" ({kind})"),
            element("td", _verdict(against)),
            *(element("td", text) for text in _compared(against)),
            data_k=_key(board, place, metric),
            data_of=f"{number} {board.metrics.index(metric)}",
        )
        for number, place in enumerate(_places(board))
        for metric in board.metrics
        for kind, against in _made(board, place, metric)
    ]
    if not rows:
        return Html("")
    heads = [
        *(_head(name, class_="who" if name == "Method" else "") for name in facets(board)),
        _head("against"),
        _head("verdict"),
        *(_head(name, class_="num") for name in _COMPARED),
    ]
    return box(_table(caption, heads, rows, "comparisons"), "Comparisons")


def _places(board: Board) -> Iterator[ResultKey]:
    for dataset in board.datasets:
        yield from board.places(dataset)


def _bare_setting(setting: str) -> str:
    """Returns the value in a setting's name: 0.1 of ``noise_ratio=0.1``."""
    return setting.partition("=")[2]


def _table(caption: str, heads: list[Html], rows: list[Html], name: str) -> Html:
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *(join("\n", row) for row in rows)),
        id=name,
    )


def _head(name: str, **attributes: str) -> Html:
    return element("th", element("button", name, type="button"), scope="col", **attributes)


def _key(board: Board, place: ResultKey, metric: str = "") -> str:
    parts = [str(board.datasets.index(place.dataset))]
    if board.vary:
        parts.append(str(board.settings.index(place.setting)))
    parts += [
        str(board.backbones.index(place.backbone)),
        str(board.methods.index(place.method)),
        str(board.metrics.index(metric)) if metric else "-",
    ]
    return " ".join(parts)


def _names(board: Board, place: ResultKey) -> list[Html]:
    """Returns a row's names; where the screen is narrow, the method's cell says all of them."""
    wide = [place.dataset, *([_bare_setting(place.setting)] if board.vary else []), place.backbone]
    on = ", ".join([place.dataset, *([place.setting] if board.vary else []), place.backbone])
    cells = [element("td", text) for text in wide]
    method = element("th", element("span", f"{on} ", class_="on"), place.method, scope="row",
                     class_="who")  # fmt: skip
    return [*cells, method]


def _value(board: Board, place: ResultKey, metric: str) -> Html:
    """Returns one number with its marks, as the Markdown page has it, and its spread."""
    text = value(board, place, metric)
    if text == HOLE:
        return element("td", HOLE, class_="num hole")
    number, _, seeds = text.partition(" ")
    plain = number.strip("*\\†()")
    parts: list[str] = [element("strong", plain) if number.startswith("**") else plain]
    against = board.comparison.vs_best.get((place, metric))
    parts.append(_mark(against) if against else "")
    result = board.result(place)
    if result and not math.isnan(result.spread[metric]):
        parts.append(element("small", f" ±{result.spread[metric]:.4f}"))
    parts.append(element("span", f" {seeds}", class_="part") if seeds else "")
    return element("td", *parts, class_="num")


def _mark(against: Against) -> Html:
    sign = against.sign(SIGNIFICANCE)
    kind = "better" if sign > 0 else "worse"
    return element("sup", mark(against).replace("\\", ""), class_=kind) if sign else Html("")


def _verdict(against: Against) -> str:
    sign = against.sign(SIGNIFICANCE)
    return _SAID[sign] + (_USERS if sign and not against.over_both(SIGNIFICANCE) else "")


def _made(board: Board, place: ResultKey, metric: str) -> Iterator[tuple[str, Against]]:
    """Yields what a number was compared with."""
    best = board.comparison.vs_best.get((place, metric))
    bare = board.comparison.vs_base.get((place, metric))
    if best:
        yield "best baseline" if board.has_choice() else "reference", best
    if bare:
        yield "bare backbone", bare


def _compared(against: Against) -> list[str]:
    paired = against.paired
    return [
        _number(paired.difference, "+.4f"),
        _interval([_number(bound, "+.4f") for bound in paired.interval]),
        _percent(paired.relative_gain),
        _interval([_percent(bound) for bound in paired.gain_interval]),
        f"{paired.wins} / {paired.ties} / {paired.losses}",
        _number(paired.statistic, ".2f"),
        _number(paired.p_value, ".3g"),
        _number(against.p_holm, ".3g"),
        _number(against.both_p, ".3g"),
        _number(against.both_p_holm, ".3g"),
        " ".join(map(str, against.seeds)),
    ]


def _number(value: float, form: str) -> str:
    """Returns a number as text; what does not exist is empty."""
    return "" if math.isnan(value) else format(value, form)


def _percent(fraction: float) -> str:
    return "" if math.isnan(fraction) else f"{percent(fraction)} %"


def _interval(bounds: Sequence[str]) -> str:
    return " to ".join(bounds) if all(bounds) else ""


def _about(board: Board, place: ResultKey) -> str:
    """Says over which seeds and users a row's numbers are, and what is missing and why."""
    key = board.key_at(place)
    result = board.result(place)
    if key is None:
        return ""
    said = []
    if result:
        users = len(next(iter(result.users_of.values()))[result.seeds[0]])
        seeds = ", ".join(map(str, result.seeds))
        said.append(f"{users:,} users; seed{'s' if len(result.seeds) > 1 else ''} {seeds}")
        said.append(f"validation {result.valid_metric} {result.valid:.4f}")
    if key != place:
        said.append(f"does not know {board.vary}: one result in every setting")
    return "; ".join([*said, *why_absent(board, key)])
