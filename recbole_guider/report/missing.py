"""What a leaderboard lacks and why: cells that failed or did not run, fewer seeds compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable

from recbole_guider.registry import BARE
from recbole_guider.report.board import Board
from recbole_guider.report.comparison import once
from recbole_guider.report.results import ResultKey, cell_of, result_key

_LONGEST = 200  # characters of a reason


def missing(board: Board) -> list[str]:
    """Returns one line for each result that lacks seeds; whole blocks not run share a line."""
    lines = []
    for dataset in board.datasets:
        keys = list(board.keys(dataset))
        if _untouched(board, keys):
            lines.append(f"- {dataset}: not run ({_count(board, keys)})")
            continue
        for backbone in board.backbones:
            block = [key for key in keys if key.backbone == backbone]
            if len(block) > 1 and _untouched(board, block):
                lines.append(f"- {backbone} on {dataset}: not run ({_count(board, block)})")
                continue
            lines += [_missing_line(board, key) for key in block if _absent(board, key)]
    lines += _waiting(board)
    lines += _fewer_seeds(board)
    absent = {key.method for key in board.asked if not board.finished(key)}
    if lines and absent.intersection(board.baselines) and board.comparison.vs_best:
        lines.append(
            "\nWhere a baseline is missing, the comparison is with the best of those present."
        )
    return lines


def _waiting(board: Board) -> list[str]:
    """Returns one line for each data set and backbone of which nothing has run."""
    cells: dict[str, int] = {}
    for key, seeds in board.waiting.items():
        name = key.backbone if key.dataset in board.datasets else key.dataset
        cells[name] = cells.get(name, 0) + len(seeds)
    return [f"- {name}: not run ({_cells(count)})" for name, count in sorted(cells.items())]


def _fewer_seeds(board: Board) -> list[str]:
    """Returns one line for each set of comparisons made over fewer seeds than asked for."""
    compared = board.comparison
    fewer: dict[tuple[str, str, str, tuple[int, ...]], list[str]] = {}
    made = [
        (place, against.method, against.seeds)
        for family in (compared.vs_best, compared.vs_base)
        for (place, metric), against in once(family).items()
        if metric == board.metrics[0]
    ]
    apart = [(place, other, ()) for place, other in compared.apart]
    for place, other, seeds in (*made, *apart):
        if len(seeds) < len(_asked(board, place)):
            pairs = fewer.setdefault((place.dataset, place.backbone, place.setting, seeds), [])
            pairs.append(f"{place.method} with {other}")
    lines = []
    for (dataset, backbone, setting, seeds), pairs in fewer.items():
        how = f"compared over {_named(seeds)} only" if seeds else "no common seed, not compared"
        where = f"{backbone} on {_place(dataset, setting)}"
        lines.append(f"- {where}, {how}: {', '.join(dict.fromkeys(pairs))}")
    for (dataset, backbone, setting), best in compared.best_baseline.items():
        where = f"{backbone} on {_place(dataset, setting)}"
        if len(best.seeds) < len(_asked(board, ResultKey(dataset, backbone, best.method, setting))):
            lines.append(f"- {where}: best baseline chosen over {_named(best.seeds)}")
        if best.left_out:
            lines.append(
                f"- {where}: {', '.join(best.left_out)} left out of the choice of "
                "the best baseline, for want of a seed in common with the others"
            )
    return lines


def _place(dataset: str, setting: str) -> str:
    return f"{dataset} with {setting}" if setting else dataset


def _asked(board: Board, place: ResultKey) -> tuple[int, ...]:
    """Returns the seeds asked for of the result that stands at a place."""
    key = board.key_at(place)
    return board.asked[key] if key else ()


def _named(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _absent(board: Board, key: ResultKey) -> list[int]:
    return [seed for seed in board.asked[key] if seed not in board.finished(key)]


def _untouched(board: Board, keys: Sequence[ResultKey]) -> bool:
    """Says whether nothing of these results finished or failed."""
    failed = {result_key(cell) for cell in board.failures}
    return not any(board.finished(key) or key in failed for key in keys)


def _count(board: Board, keys: Sequence[ResultKey]) -> str:
    return _cells(sum(len(board.asked[key]) for key in keys))


def _cells(count: int) -> str:
    return f"{count} cell{'s' if count > 1 else ''}"


def why_absent(board: Board, key: ResultKey, shown: Callable[[str], str] = str) -> Iterator[str]:
    """Yields why seeds of a result are missing, ``seeds 1, 2 failed: ...``; equal reasons once.

    Args:
        board: the results.
        key: the result.
        shown: writes a reason, one line of at most 200 characters, in the page's language.
    """
    reasons: dict[str, list[int]] = {}
    for seed in _absent(board, key):
        reason = board.failures.get(cell_of(key, seed))
        text = " ".join((reason or "").split())
        text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
        said = "not run" if reason is None else f"failed: {shown(text)}" if text else "failed"
        reasons.setdefault(said, []).append(seed)
    for said, seeds in reasons.items():
        yield f"{_named(seeds)} {said}"


def _as_code(reason: str) -> str:
    """Returns a reason as code, so that nothing in it is read as Markdown."""
    return f"`{reason.replace('`', chr(39))}`"


def _missing_line(board: Board, key: ResultKey) -> str:
    why = "; ".join(why_absent(board, key, _as_code))
    name = key.backbone if key.method == BARE else f"{key.backbone} + {key.method}"
    done = f"{len(board.finished(key))} of {len(board.asked[key])} seeds"
    return f"- {name} on {_place(key.dataset, key.setting)} ({done}): {why}"
