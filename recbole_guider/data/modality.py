"""Item features, aligned to the data set's item ids by token."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recbole_guider.data.feature_table import FeatureTable
from recbole_guider.errors import InputError, nearest_name, one_of

MISSING_POLICIES = ("zero", "mean", "error")
UNKNOWN_POLICIES = ("error", "ignore")

_logger = logging.getLogger(__name__)


class ItemFeatures(NamedTuple):
    """A modality aligned to internal item ids.

    Attributes:
        values: float32 [n_items, width]; row 0 (padding) is zero.
        present: bool [n_items]; False for padding and for items without a row in the file.
    """

    values: Tensor
    present: Tensor


def find_modalities(folder: Path, name: str) -> dict[str, Path]:
    """Returns the files ``<name>.item<modality>`` of a data set by modality, sorted."""
    pattern = re.compile(re.escape(name) + r"\.item(\w+)")
    matches = ((pattern.fullmatch(path.name), path) for path in sorted(folder.iterdir()))
    return {match.group(1): path for match, path in matches if match}


def choose_modalities(
    wanted: str | Iterable[str] | None, found: dict[str, Path]
) -> dict[str, Path]:
    """Returns the files of the wanted modalities in the wanted order, or all found if None.

    Raises:
        InputError: a wanted modality has no file.
    """
    if wanted is None:
        return found
    chosen = [wanted] if isinstance(wanted, str) else list(wanted)
    for modality in chosen:
        if modality not in found:
            raise InputError(
                f"unknown modality '{modality}': the data set has no file .item{modality}",
                where="modalities",
                mend=nearest_name(str(modality), found) if found else "It has no modality at all",
            )
    return {modality: found[modality] for modality in chosen}


def missing_policies(given: str | Mapping[str, str] | None, found: Iterable[str]) -> dict[str, str]:
    """Returns what an item without a row gets, for each modality that a data set has.

    Args:
        given: one policy for all, or a mapping; a modality that it does not name has ``zero``.
        found: the modalities of the data set.

    Raises:
        InputError: a word is no policy, or the mapping names a modality that there is not.
    """
    where, known = "missing_modality", list(found)
    if not isinstance(given, Mapping):
        return dict.fromkeys(known, one_of(given or "zero", MISSING_POLICIES, where))
    for name, policy in given.items():
        if name not in known:
            raise InputError(
                f"unknown modality '{name}'", where=where, mend=nearest_name(str(name), known)
            )
        one_of(policy, MISSING_POLICIES, f"{where}[{name}]")
    return {name: given.get(name, "zero") for name in known}


def align(
    table: FeatureTable,
    items: Sequence[str],
    source: Path,
    missing: str = "zero",
    unknown: str = "error",
) -> ItemFeatures:
    """Puts a table's rows at the internal ids of their items.

    Args:
        table: the rows, in any order.
        items: token of every internal id; id 0 is padding.
        source: the modality file, for messages.
        missing: what an item without a row gets: ``zero``, ``mean`` of the items that have one,
            or ``error``.
        unknown: ``error`` or ``ignore`` for a row whose item is not among ``items``.

    Raises:
        InputError: a policy asks for it, or is not the name of a policy.
    """
    one_of(missing, MISSING_POLICIES, "missing_modality")
    one_of(unknown, UNKNOWN_POLICIES, "unknown_item")
    ids = pd.Index(items[1:]).get_indexer(pd.Index(table.tokens)) + 1
    strangers = np.flatnonzero(ids == 0)
    if len(strangers) and unknown == "error":
        raise InputError(
            f"unknown item '{table.tokens[strangers[0]]}': no interaction has it "
            f"({len(strangers)} such rows)",
            where=f"{source}:{strangers[0] + 2}",
            mend="Remove these rows, or set unknown_item: ignore",
        )
    values = torch.zeros(len(items), table.values.shape[1])
    present = torch.zeros(len(items), dtype=torch.bool)
    rows = np.flatnonzero(ids)
    values.numpy()[ids[rows]] = table.values if len(rows) == len(ids) else table.values[rows]
    present[ids[rows]] = True
    _fill_missing(values, present, items, source, missing)
    return ItemFeatures(values, present)


def _fill_missing(
    values: Tensor, present: Tensor, items: Sequence[str], source: Path, policy: str
) -> None:
    absent = torch.nonzero(~present[1:]).flatten() + 1
    if len(absent) == 0:
        return
    count = f"{len(absent)} of {len(items) - 1} items"
    if policy == "error" or len(absent) == len(items) - 1:
        raise InputError(
            f"{count} have no row, the first is '{items[int(absent[0])]}'",
            where=source,
            mend="Add their rows, or set missing_modality: zero or mean",
        )
    if policy == "mean":
        values[absent] = values[present].double().mean(0).float()
    covered = 1 - len(absent) / (len(items) - 1)
    _logger.warning(
        "%s: %s have no row (coverage %.1f %%); they get the %s vector",
        source, count, 100 * covered, policy,
    )  # fmt: skip
