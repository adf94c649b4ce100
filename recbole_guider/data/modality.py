"""Item features, aligned to the data set's item ids by token."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recbole_guider.data.files.feature_table import FeatureTable
from recbole_guider.data.modality_choice import MISSING_POLICIES
from recbole_guider.errors import InputError, one_of

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
