"""What a data set is, in the figures that papers print and some that they leave out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_guider.data.commands.validate import check_readable
from recbole_guider.data.files.feature_table import load_table
from recbole_guider.data.files.layout import PHASES, Layout, read_interactions
from recbole_guider.data.fingerprint import fingerprint
from recbole_guider.data.modality_choice import choose_modalities, find_modalities
from recbole_guider.errors import InputError

_QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
_BLOCK = 1 << 22  # values looked at together


def describe(layout: Layout) -> dict[str, Any]:
    """Returns a data set's figures, ready for JSON.

    Returns:
        ``users``, ``items``, ``interactions`` and ``sparsity`` as in the papers' tables of data
        sets, counted in the files before loading drops anything; ``split``;
        ``interactions per user`` and ``per item``; ``modalities``; ``manifest``, or None;
        ``content hash``, which the records of runs on these files bear.

    Raises:
        InputError: a file cannot be read; the first problem.
    """
    check_readable(layout)
    table = read_interactions(layout)
    users, items = table["user"].nunique(), table["item"].nunique()
    found = find_modalities(layout.folder, layout.name)
    chosen = choose_modalities(layout.wanted, found)
    return {
        "name": layout.name,
        "users": users,
        "items": items,
        "interactions": len(table),
        "sparsity": 1 - len(table) / (users * items),
        "split": _split(table),
        "interactions per user": _quantiles(table["user"]),
        "interactions per item": _quantiles(table["item"]),
        "modalities": {
            name: {**_modality(path, pd.Index(table["item"].unique())), "loaded": name in chosen}
            for name, path in found.items()
        },
        "manifest": _manifest(layout),
        "content hash": fingerprint(layout.folder, layout.name),  # last: files were told of by name
    }


def mean_similarity(values: NDArray[Any]) -> float:
    """Returns the mean cosine over all ordered pairs of rows, each row with itself included.

    The average similarity of a modality in DA-MRS, Table 1. With unit rows x_k it is
    |sum_k x_k|^2 / n^2, so no pair is ever formed; a row of zeros has cosine 0 with every row.

    Args:
        values: real [n_rows, width].
    """
    total = np.zeros(values.shape[1])
    step = max(1, _BLOCK // values.shape[1])
    for start in range(0, len(values), step):
        block = np.asarray(values[start : start + step], dtype=np.float64)
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        total += (block / np.where(lengths > 0, lengths, 1)).sum(axis=0)
    return float(total @ total) / len(values) ** 2


def as_text(told: dict[str, Any]) -> str:
    """Returns the figures as tables of plain text."""
    from tabulate import tabulate

    def table(rows: list[list[Any]], headers: list[str]) -> str:
        left = ("left", *("right",) * (len(headers) - 1))
        return str(tabulate(rows, headers, colalign=left, disable_numparse=True))

    counts = [f"{told[key]:,}" for key in ("users", "items", "interactions")]
    parts = [
        table(
            [[told["name"], *counts, f"{100 * told['sparsity']:.3f} %"]],
            ["data set", "users", "items", "interactions", "sparsity"],
        )
    ]
    if told["modalities"]:
        rows = [
            [
                name if one["loaded"] else f"{name} (not loaded)",
                f"{one['width']:,}",
                f"{one['rows']:,}",
                f"{100 * one['coverage']:.1f} %",
                f"{one['mean similarity']:.3f}",
            ]
            for name, one in told["modalities"].items()
        ]
        parts.append(table(rows, ["modality", "width", "rows", "items with a row",
                                  "mean similarity"]))  # fmt: skip
    if told["split"]:
        parts.append(
            table(
                [
                    [phase, *(f"{n:,}" for n in one.values())]
                    for phase, one in told["split"].items()
                ],
                ["phase", "interactions", "users"],
            )
        )
    else:
        parts.append("The files bring no split: eval_args and split_seed draw it at run time.")
    heads = list(told["interactions per user"])
    rows = [
        [f"per {one}", *(f"{n:,.4g}" for n in told[f"interactions per {one}"].values())]
        for one in ("user", "item")
    ]
    parts.append(table(rows, ["interactions", *heads]))
    parts.append(f"content hash {told['content hash']}")
    parts.append(_manifest_text(told["manifest"]))
    return "\n\n".join(parts)


def _split(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    if (table["phase"] == -1).all():
        return {}
    return {
        phase: {
            "interactions": int((table["phase"] == part).sum()),
            "users": int(table["user"][table["phase"] == part].nunique()),
        }
        for part, phase in enumerate(PHASES)
    }


def _quantiles(names: pd.Series) -> dict[str, float]:
    counts = names.value_counts()
    told = {f"{100 * q:g} %": float(counts.quantile(q)) for q in _QUANTILES}
    return {**told, "mean": float(counts.mean())}


def _modality(path: Any, items: pd.Index) -> dict[str, Any]:
    matrix, tokens = load_table(path)
    rows = int(items.isin(tokens).sum())
    return {
        "width": int(matrix.shape[1]),
        "rows": len(matrix),
        "coverage": rows / len(items),
        "mean similarity": mean_similarity(matrix),
    }


def _manifest(layout: Layout) -> Any:
    path = layout.folder / f"{layout.name}.manifest.json"
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read ({error})", where=path, mend="Prepare the data set again"
        ) from error


def _manifest_text(manifest: Any) -> str:
    if not isinstance(manifest, dict):
        return "No manifest: the data set was not prepared by python -m recbole_guider.data."
    shown = {
        key: value
        for key, value in manifest.items()
        if key not in ("users", "items", "interactions", "modalities", "files", "name", "sha256")
    }
    features = manifest.get("modalities")
    if isinstance(features, dict):
        shown["features"] = {name: one.get("extractor", "") for name, one in features.items()}
    lines = ["manifest:"]
    for key, value in shown.items():
        if isinstance(value, dict):
            lines += [f"  {key}:", *(f"    {name}: {one}" for name, one in value.items())]
        elif isinstance(value, list):
            lines += [f"  {key}: {one}" for one in value]
        else:
            lines.append(f"  {key}: {value}")
    return "\n".join(lines)
