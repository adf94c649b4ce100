"""What every source of data is read into before it is written as atomic files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[Any]  # of str, as numpy's own kind or as objects


@dataclass(frozen=True)
class ItemRows:
    """One modality: a row of numbers for each item that has it.

    Attributes:
        tokens: the item of every row, [n_rows]; none twice.
        values: numbers of any real type, [n_rows, width]; may be memory-mapped.
        source: the file, for messages.
        extractor: what made the numbers, in words.
        listed: the file that names the items of the rows, where that is another one.
    """

    tokens: Sequence[str]
    values: NDArray[Any]
    source: Path
    extractor: str = "as given"
    listed: Path | None = None


class ItemTexts(NamedTuple):
    """Texts that become a modality.

    Attributes:
        of_item: item -> its text, which may be empty.
        source: the file, for messages.
    """

    of_item: Mapping[str, str]
    source: Path


@dataclass(frozen=True)
class RawData:
    """Interactions and item modalities as a source holds them.

    Attributes:
        users: the user of every interaction, [n].
        items: its item, [n].
        columns: further numbers of every interaction, [n] each: ``rating``, ``timestamp``,
            ``x_label`` (0 training, 1 validation, 2 test) where the source brings the split, and
            ``noise`` (1 where the pair is known to be noise, else 0).
        modalities: name -> rows.
        texts: name -> texts, to be made a modality by an encoder.
        sources: the files that were read, for the manifest.
        notes: what a reader of the manifest should know.
        planted: arrays of ground truth, kept in ``planted.npz`` beside the atomic files.
    """

    users: Tokens
    items: Tokens
    columns: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    modalities: Mapping[str, ItemRows] = field(default_factory=dict)
    texts: Mapping[str, ItemTexts] = field(default_factory=dict)
    sources: Sequence[Path] = ()
    notes: Sequence[str] = ()
    planted: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def only(self, keep: NDArray[np.bool_], note: str = "") -> RawData:
        """Returns the data with the interactions where ``keep``, bool [n], is True."""
        return replace(
            self,
            users=self.users[keep],
            items=self.items[keep],
            columns={name: values[keep] for name, values in self.columns.items()},
            notes=[*self.notes, note] if note else self.notes,
        )
