"""The words around a leaderboard: what its numbers are, how they were made, what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recbole_guider.report.board import Board
from recbole_guider.report.comparison import BARE
from recbole_guider.report.results import ResultKey

_MASKS = {
    "mmrec": "only training items are masked at test, as in the multi-modal papers",
    "recbole": "training and validation items are masked at test",
}
# "results" counts the changes of the code after which the same properties give other numbers.
_PACKAGES = {"recbole_guider": "recbole_guider", "results": "results version",
             "recbole": "RecBole", "torch": "torch", "numpy": "numpy",
             "python": "Python"}  # fmt: skip


def verdicts(board: Board, level: float) -> list[str]:
    """Returns one line for each proposed method: how often it beats the best baseline."""
    lines = []
    for method in board.proposed():
        signs = [
            against.sign(level)
            for (key, _), against in board.comparison.vs_best.items()
            if key.method == method
        ]
        if signs:
            lines.append(
                f"- **{method}** against the best baseline: significantly better in "
                f"{signs.count(1)}, worse in {signs.count(-1)} and undecided in {signs.count(0)} "
                f"of {len(signs)} comparisons"
            )
    return lines


def legend(board: Board, level: float) -> str:
    """Returns the caption of the main table: averages, bold, marks and the test behind them."""
    text = (
        f"Means over users and {_seeds(board)}. **Bold**: the best of its backbone in the column. "
    )
    if board.comparison.vs_best:
        metrics = sorted({r.valid_metric for r in board.comparison.results.values()})
        text += (
            "Comparisons average both sides over the seeds that both have finished. "
            "**\\*** / **†**: significantly better / worse than the best baseline of the same "
            f"backbone, whichever of {_shown(board)} has the highest validation "
            f"{' or '.join(metrics)}. Two-sided paired t test over users, p < {level:g} after "
            "Holm's correction within each data set and metric "
            f"({_family_sizes(board)}). "
        )
    if any(0 < len(board.finished(key)) < len(seeds) for key, seeds in board.asked.items()):
        text += "(finished/asked): not all seeds have finished. "
    if any(not board.finished(key) for key in board.asked):
        text += "—: no result, see below. "
    return text.rstrip()


def _shown(board: Board) -> str:
    names = [
        f"{name} (the bare backbone)" if name == BARE else name
        for name in board.baselines
        if name in board.methods
    ]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _seeds(board: Board) -> str:
    axes = set(board.asked.values())
    if len(axes) != 1:
        return "seeds"
    seeds = next(iter(axes))
    named = ", ".join(map(str, seeds))
    return f"{len(seeds)} seeds ({named})" if len(seeds) > 1 else f"one seed ({named})"


def _family_sizes(board: Board) -> str:
    sizes = {
        dataset: sum(
            key.dataset == dataset and metric == board.metrics[0] and not np.isnan(against.p_holm)
            for (key, metric), against in board.comparison.vs_best.items()
        )
        for dataset in board.datasets
    }
    sizes = {dataset: size for dataset, size in sizes.items() if size}
    if len(set(sizes.values())) == 1:
        size = next(iter(sizes.values()))
        return f"{size} comparison{'s' if size > 1 else ''} each"
    return "; ".join(f"{size} on {dataset}" for dataset, size in sizes.items())


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
    lines += _fewer_seeds(board)
    absent = {key.method for key in board.asked if not board.finished(key)}
    if lines and absent.intersection(board.baselines) and board.comparison.vs_best:
        lines.append(
            "\nWhere a baseline is missing, the comparison is with the best of those present."
        )
    return lines


def _fewer_seeds(board: Board) -> list[str]:
    """Returns one line for each set of comparisons made over fewer seeds than asked for."""
    compared = board.comparison
    fewer: dict[tuple[str, str, tuple[int, ...]], list[str]] = {}
    made = [
        (key, against.method, against.seeds)
        for family in (compared.vs_best, compared.vs_base)
        for (key, metric), against in family.items()
        if metric == board.metrics[0]
    ]
    for key, other, seeds in (*made, *((key, other, ()) for key, other in compared.apart)):
        if len(seeds) < len(board.asked[key]):
            pairs = fewer.setdefault((key.dataset, key.backbone, seeds), [])
            pairs.append(f"{key.method} with {other}")
    lines = []
    for (dataset, backbone, seeds), pairs in fewer.items():
        how = f"compared over {_named(seeds)} only" if seeds else "no common seed, not compared"
        lines.append(f"- {backbone} on {dataset}, {how}: {', '.join(dict.fromkeys(pairs))}")
    for (dataset, backbone), best in compared.best_baseline.items():
        if len(best.seeds) < len(board.asked[ResultKey(dataset, backbone, best.method)]):
            lines.append(
                f"- {backbone} on {dataset}: best baseline chosen over {_named(best.seeds)}"
            )
        if best.left_out:
            lines.append(
                f"- {backbone} on {dataset}: {', '.join(best.left_out)} left out of the choice of "
                "the best baseline, for want of a seed in common with the others"
            )
    return lines


def _named(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _absent(board: Board, key: ResultKey) -> list[int]:
    return [seed for seed in board.asked[key] if seed not in board.finished(key)]


def _untouched(board: Board, keys: Sequence[ResultKey]) -> bool:
    """Says whether nothing of these results finished or failed."""
    failed = {cell[:3] for cell in board.failures}
    return not any(board.finished(key) or tuple(key) in failed for key in keys)


def _count(board: Board, keys: Sequence[ResultKey]) -> str:
    cells = sum(len(board.asked[key]) for key in keys)
    return f"{cells} cell{'s' if cells > 1 else ''}"


def _missing_line(board: Board, key: ResultKey) -> str:
    reasons: dict[str, list[str]] = {}
    for seed in _absent(board, key):
        reason = board.failures.get((*key, seed))
        # As code, so that nothing in a message is read as Markdown.
        shown = " ".join(reason.replace("`", "'").split()) if reason is not None else ""
        shown = shown if len(shown) <= 200 else shown[:197] + "..."
        said = "not run" if reason is None else f"failed: `{shown}`" if shown else "failed"
        reasons.setdefault(said, []).append(str(seed))
    why = "; ".join(
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)} {said}"
        for said, seeds in reasons.items()
    )
    name = key.backbone if key.method == BARE else f"{key.backbone} + {key.method}"
    done = f"{len(board.finished(key))} of {len(board.asked[key])} seeds"
    return f"- {name} on {key.dataset} ({done}): {why}"


def provenance(board: Board) -> list[str]:
    """Returns lines on data, protocol, seeds' spread and software."""
    if not board.records:
        return []
    lines = [_data_line(board, dataset) for dataset in board.datasets]
    lines = [line for line in lines if line]
    spreads = [
        value for result in board.comparison.results.values() for value in result.spread.values()
    ]
    known = [value for value in spreads if not np.isnan(value)]
    if known:
        lines.append(
            "- Spread over seeds (standard deviation of a method's mean): "
            f"{float(np.median(known)):.4f} in the median, {max(known):.4f} at most"
        )
    threads = sorted({str(record.config.get("torch_threads", "?")) for record in board.records})
    lines.append(f"- Software: {_versions(board)}; torch threads per cell: {' or '.join(threads)}")
    return lines


def _data_line(board: Board, dataset: str) -> str:
    records = [record for record in board.records if record.cell.dataset == dataset]
    if not records:
        return ""
    data = records[0].data
    parts = [
        f"{data[name]:,} {name}" for name in ("users", "items") if isinstance(data.get(name), int)
    ]
    counted = [data.get(name) for name in ("train", "valid", "test")]
    split = [part for part in counted if isinstance(part, int)]
    if len(split) == 3:
        total = sum(split) or 1
        counts = " / ".join(f"{part:,}" for part in split)
        shares = " / ".join(f"{100 * part / total:.1f}" for part in split)
        parts.append(f"{counts} training / validation / test interactions ({shares} %)")
    modalities: dict[str, object] = {}
    for record in records:
        modalities.update(record.data.get("modalities") or {})
    if modalities:
        widths = ", ".join(f"{name} ({modalities[name]} values)" for name in sorted(modalities))
        parts.append(f"modalities {widths}")
    protocol = records[0].protocol
    parts.append(
        f"protocol `{protocol}`" + (f" ({_MASKS[protocol]})" if protocol in _MASKS else "")
    )
    parts.append(f"{len(records[0].users):,} users with test items compared")
    return f"- Data, {dataset}: {'; '.join(parts)}"


def _versions(board: Board) -> str:
    found: dict[str, set[str]] = {}
    for record in board.records:
        for package, version in record.versions.items():
            found.setdefault(package, set()).add(str(version))
    order = [name for name in _PACKAGES if name in found]
    order += sorted(set(found).difference(order))
    return ", ".join(
        f"{_PACKAGES.get(name, name)} {' and '.join(sorted(found[name]))}" for name in order
    )
