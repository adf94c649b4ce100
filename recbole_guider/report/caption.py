"""The words around a leaderboard: what its numbers are, how they were made, what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recbole_guider.property_layers import described
from recbole_guider.registry import BARE
from recbole_guider.report.board import Board
from recbole_guider.report.comparison import once
from recbole_guider.report.statistics import FEWEST_SEEDS

_HASH_SHOWN = 16  # of 64 digits
_MASKS = {
    "mmrec": "only training items are masked at test, as in the multi-modal papers",
    "recbole": "training and validation items are masked at test",
}
# "results" counts the changes of the code after which the same properties give other numbers.
_PACKAGES = {"recbole_guider": "recbole_guider", "results": "results version",
             "recbole": "RecBole", "torch": "torch", "numpy": "numpy",
             "python": "Python"}  # fmt: skip


def verdicts(board: Board, level: float) -> list[str]:
    """Returns one line for each proposed method: how often it beats what it is compared with."""
    lines = []
    for method in board.proposed():
        found = [
            (against.sign(level), against.over_both(level))
            for (place, _), against in once(board.comparison.vs_best).items()
            if place.method == method
        ]
        if found:
            better, worse = (
                _counted(found.count((sign, True)), found.count((sign, False))) for sign in (1, -1)
            )
            lines.append(
                f"- **{method}** against {board.rival()}: significantly better in {better}, worse "
                f"in {worse} and undecided in {found.count((0, False))} of {len(found)} comparisons"
            )
    return lines


def _counted(both: int, users: int) -> str:
    """Returns how often tests reject: ``3 (1 of them over users alone)``."""
    alone = "over users alone" if users == both + users else f"{users} of them over users alone"
    return f"{both + users} ({alone})" if users else str(both)


def legend(board: Board, level: float) -> str:
    """Returns the caption of the main table: averages, bold, marks and the test behind them."""
    text = (
        f"Means over users and {_seeds(board)}. **Bold**: the best of its backbone in the column. "
    )
    shared = [method for method in board.methods if _shared(board, method)]
    if shared:
        text += f"`{board.vary}` is unknown to {_and(shared)}: one result stands in every column. "
    if board.comparison.vs_best:
        metrics = sorted({r.valid_metric for r in board.comparison.results.values()})
        in_setting, together = (
            (" in the same setting", ", all settings together") if board.vary else ("", "")
        )
        several = board.has_choice()
        which = f", whichever of {_shown(board)} has the highest validation {' or '.join(metrics)}"
        text += (
            "Comparisons average both sides over the seeds that both have finished. "
            f"**\\*** / **†**: significantly better / worse than {board.rival()} "
            f"{'of' if several else 'with'} the same backbone{in_setting}"
            f"{which if several else ''}, in both tests. **(\\*)** / **(†)**: in the first alone: "
            "these trained models differ for users like these, but another training may turn it. "
            f"Tests, two-sided, p < {level:g} after Holm's correction within each data set and "
            f"metric{together} ({_family_sizes(board)}): paired t over users; Clark's min F' over "
            f"users and seeds ({FEWEST_SEEDS} common seeds or more). "
        )
    if any(0 < len(board.finished(key)) < len(seeds) for key, seeds in board.asked.items()):
        text += "(finished/asked): not all seeds have finished. "
    if any(not board.finished(key) for key in board.asked):
        text += "—: no result, see below. "
    for dataset in board.datasets:
        about = described("dataset", dataset, "about")
        text += f"{dataset}: {' '.join(about.split())}. " if about else ""
    return text.rstrip()


def _shown(board: Board) -> str:
    names = [f"{name} (the bare backbone)" if name == BARE else name for name in board.rivals()]
    return _and(names)


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _shared(board: Board, method: str) -> bool:
    """Says whether something varies and the method has results without a setting."""
    return board.vary is not None and any(
        key.method == method and not key.setting for key in board.asked
    )


def _seeds(board: Board) -> str:
    """Says which seeds are asked for: those of most data sets, then those of the others."""
    of_dataset = {key.dataset: seeds for key, seeds in board.asked.items()}
    axes = {dataset: of_dataset[dataset] for dataset in board.datasets}
    if not axes:
        return "seeds"
    usual = max(axes.values(), key=list(axes.values()).count)
    others = [
        f"on {dataset} {_counted_seeds(seeds)}" for dataset, seeds in axes.items() if seeds != usual
    ]
    return ", ".join([_counted_seeds(usual), *others])


def _counted_seeds(seeds: Sequence[int]) -> str:
    named = ", ".join(map(str, seeds))
    return f"{len(seeds)} seeds ({named})" if len(seeds) > 1 else f"one seed ({named})"


def _family_sizes(board: Board) -> str:
    sizes = {
        dataset: sum(
            key.dataset == dataset and metric == board.metrics[0] and not np.isnan(against.p_holm)
            for (key, metric), against in once(board.comparison.vs_best).items()
        )
        for dataset in board.datasets
    }
    sizes = {dataset: size for dataset, size in sizes.items() if size}
    if len(set(sizes.values())) == 1:
        size = next(iter(sizes.values()))
        return f"{size} comparison{'s' if size > 1 else ''} each"
    return "; ".join(f"{size} on {dataset}" for dataset, size in sizes.items())


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
    injected = [int(record.data.get("injected") or 0) for record in records]
    parts = [
        f"{data[name]:,} {name}" for name in ("users", "items") if isinstance(data.get(name), int)
    ]
    counted = [data.get(name) for name in ("train", "valid", "test")]
    split = [part for part in counted if isinstance(part, int)]
    if len(split) == 3:
        split[0] -= injected[0]
        total = sum(split) or 1
        counts = " / ".join(f"{part:,}" for part in split)
        shares = " / ".join(f"{100 * part / total:.1f}" for part in split)
        parts.append(f"{counts} training / validation / test interactions ({shares} %)")
    if any(injected):
        counts = " / ".join(f"{count:,}" for count in sorted(set(injected)))
        parts.append(f"and {counts} training pairs injected as noise")
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
    if data.get("hash"):
        parts.append(f"content hash `{str(data['hash'])[:_HASH_SHOWN]}`")
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
