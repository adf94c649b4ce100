"""What the store keeps of a cell: a record when it finished, a failure when it did not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_guider.benchmark.cell import CellName


@dataclass(frozen=True)
class Record:
    """A finished cell; its arrays are read on first use.

    Attributes:
        content: the JSON record.
        arrays_path: the array file with user tokens and one value per user and metric.
    """

    content: Mapping[str, Any]
    arrays_path: Path

    @property
    def key(self) -> str:
        """What the record is filed under."""
        return str(self.content["key"])

    @cached_property
    def cell(self) -> CellName:
        """What the record is the result of."""
        return CellName(**self.content["cell"])

    @property
    def protocol(self) -> str:
        """What is masked at test: ``mmrec`` or ``recbole``."""
        return str(self.content["protocol"])

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved properties."""
        return dict(self.content["config"])

    @property
    def data(self) -> Mapping[str, Any]:
        """Content hash, counts and modalities of the data set."""
        return dict(self.content["data"])

    @property
    def versions(self) -> Mapping[str, Any]:
        """Package -> version."""
        return dict(self.content["versions"])

    @property
    def valid(self) -> Mapping[str, float]:
        """Metric -> value on validation."""
        return dict(self.content["valid"])

    @property
    def test(self) -> Mapping[str, float]:
        """Metric -> mean over users at test."""
        return dict(self.content["test"])

    @property
    def seconds(self) -> float:
        """How long the cell took."""
        return float(self.content["seconds"]["total"])

    @property
    def peak_memory_mb(self) -> float:
        """The largest memory of the cell's process in MiB."""
        return float(self.content["peak_memory_mb"])

    @cached_property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        with np.load(self.arrays_path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    @property
    def users(self) -> NDArray[np.str_]:
        """Tokens of the evaluated users, sorted, [n_users]."""
        return self._arrays["users"]

    @property
    def per_user(self) -> Mapping[str, NDArray[np.float64]]:
        """Metric -> value of each user at test, [n_users]."""
        return {name: values for name, values in self._arrays.items() if name != "users"}


@dataclass(frozen=True)
class Failure:
    """Why a cell has no record.

    Attributes:
        cell: the cell.
        reason: one line.
        repeat: the command that runs this cell alone again.
        log: where its process wrote to.
        traceback: the last lines of it, where there was one.
        input_error: whether the reason is something that the user gave.
    """

    cell: CellName
    reason: str
    repeat: str
    log: str
    traceback: tuple[str, ...] = ()
    input_error: bool = False
