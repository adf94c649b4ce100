"""The record of a finished cell: what is written, and what is read back."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from recbole_guider.benchmark.arrays import pack, unpack
from recbole_guider.benchmark.cell import SCHEMA, WITHOUT_EFFECT, Cell, CellName, canonical_json
from recbole_guider.benchmark.provenance import (
    hardware,
    peak_gpu_memory_mb,
    peak_memory_mb,
    source,
    versions,
)

_FIELDS = (
    "protocol", "config", "data", "versions", "hardware", "seconds", "peak_memory_mb", "epochs",
    "best_epoch", "valid_curve", "valid", "test", "diagnostics", "arrays",
)  # fmt: skip
# What joined after records had been made: they read as having the default.
_LATER = ("source", "peak_gpu_memory_mb")


class DamagedError(Exception):
    """A stored record cannot be trusted; the text says why."""


@dataclass(frozen=True)
class Record:
    """A finished cell as the store holds it; arrays are read when they are first asked for.

    Attributes:
        key: the cell's key.
        cell: data set, backbone, method, seed; its setting is known to the grid that asks for it.
        protocol: what is masked at test.
        config: the resolved properties of the run; those that cannot change a number, some of which
            name folders of the machine, are left out.
        data: content hash, counts and modality widths of the data set.
        versions: package -> version.
        hardware: machine, processor, cores, GPU, threads.
        seconds: ``total``, ``train``, ``evaluation``, and ``processor``: what the process computed,
            on all cores, which does not grow when cells have to share them.
        peak_memory_mb: largest resident size of the cell's process in MiB.
        epochs: how many were trained.
        best_epoch: the one that validation chose, from 0.
        valid_curve: loss and validation metrics by epoch.
        valid: metric -> value on validation at that epoch.
        test: metric -> value on test, mean over users.
        diagnostics: what the method reports about itself.
        arrays: SHA-256 of the file of arrays.
        file: that file.
        source: ``commit`` and ``dirty`` of the checkout that the code ran from; empty if none.
        peak_gpu_memory_mb: the most that the cell's tensors held on GPUs, in MiB; None without one.
    """

    key: str
    cell: CellName
    protocol: str
    config: Mapping[str, Any] = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)
    versions: Mapping[str, Any] = field(repr=False)
    hardware: Mapping[str, Any] = field(repr=False)
    seconds: Mapping[str, float]
    peak_memory_mb: float
    epochs: int
    best_epoch: int
    valid_curve: list[Mapping[str, Any]] = field(repr=False)
    valid: Mapping[str, float]
    test: Mapping[str, float]
    diagnostics: Mapping[str, Any] = field(repr=False)
    arrays: str = field(repr=False)
    file: Path = field(repr=False)
    source: Mapping[str, Any] = field(default_factory=dict, repr=False)
    peak_gpu_memory_mb: Optional[float] = None  # noqa: UP045 (Python 3.9)

    @functools.cached_property
    def _loaded(self) -> dict[str, NDArray[Any]]:
        return self.load()

    def load(self) -> dict[str, NDArray[Any]]:
        """Reads ``users`` and the arrays of :attr:`per_user` without keeping them.

        Raises:
            OSError: their file is gone.
            DamagedError: it was changed since the record was read.
        """
        content = self.file.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.arrays:
            raise DamagedError("its arrays do not match their checksum")
        return unpack(content)

    @property
    def users(self) -> NDArray[np.str_]:
        """Tokens of the evaluated users, [n_users], sorted."""
        return self._loaded["users"]

    @property
    def per_user(self) -> dict[str, NDArray[np.float64]]:
        """Metric -> value of each user at test, [n_users]."""
        return {name: array for name, array in self._loaded.items() if name != "users"}


def content_of(cell: Cell, result: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Returns what is stored of a result of ``quick_start.run``: JSON-able content, npz bytes.

    Called in the process that computed the result, whose peak memory and versions it notes.

    Raises:
        ValueError: a metric is not a finite number.
    """
    metrics = {
        "valid": _finite(result["best_valid_result"]),
        "test": _finite(result["test_result"]),
    }
    if any(value is None for part in metrics.values() for value in part.values()):
        raise ValueError(f"a metric is not a finite number: {result['test_result']}")
    config = _finite(result["config"])
    arrays = pack(result["per_user"])
    content = {
        "schema": SCHEMA,
        "key": cell.key,
        "cell": _named(cell.name),
        "protocol": config["protocol"],
        "config": {key: value for key, value in config.items() if key not in WITHOUT_EFFECT},
        "data": _finite(result["data"]),
        "versions": versions(),
        "hardware": hardware(int(config["torch_threads"]), result.get("gpu")),
        "seconds": _finite(result["seconds"]),
        "source": source(),
        "peak_memory_mb": peak_memory_mb(),
        "peak_gpu_memory_mb": peak_gpu_memory_mb(),
        "epochs": int(result["epochs"]),
        "best_epoch": int(result["best_epoch"]),
        "valid_curve": _finite(result["valid_curve"]),
        **metrics,
        "diagnostics": _finite(result["diagnostics"]),
        "arrays": hashlib.sha256(arrays).hexdigest(),
    }
    return {**content, "checksum": checksum(content)}, arrays


def _named(name: CellName) -> dict[str, Any]:
    """Returns a cell's name without its setting, so that no record depends on who asked first.

    Grids that vary different properties, or none, share the record of cells whose resolved
    properties, which hold the setting's value, agree.
    """
    return {key: value for key, value in name._asdict().items() if key != "setting"}


def record_from(content: Any, key: str, file: Path) -> Record:
    """Returns the record of stored JSON.

    Raises:
        DamagedError: the content is no record of this key, or was changed after it was written.
    """
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise DamagedError("not a record of this schema")
    if content.get("key") != key:
        raise DamagedError(f"it bears the key {content.get('key')}")
    if content.get("checksum") != checksum(content):
        raise DamagedError("its content does not match its checksum")
    try:
        cell = CellName(**content["cell"])
        values = {name: content[name] for name in _FIELDS}
        values.update({name: content[name] for name in _LATER if name in content})
        return Record(key=key, cell=cell, file=file, **values)
    except (KeyError, TypeError) as error:
        raise DamagedError(f"it lacks {error}") from error


def packed(content: Mapping[str, Any]) -> bytes:
    """Returns a record as it is stored: compressed JSON with one line for each entry.

    Curves by epoch make most of it, a fifth of their size when compressed. The same content gives
    the same bytes.

    Raises:
        ValueError: a number is not finite.
    """
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, allow_nan=False, separators=(',', ':'))}"
        for key, value in content.items()
    ]
    return gzip.compress(("{" + ",\n ".join(lines) + "}\n").encode("utf-8"), mtime=0)


def unpacked(stored: bytes) -> Any:
    """Returns what :func:`packed` was given.

    Raises:
        DamagedError: it is not whole.
    """
    try:
        return json.loads(gzip.decompress(stored))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DamagedError("it is not whole compressed JSON") from error


def checksum(content: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of a record's content, whatever the layout of its JSON."""
    kept = {key: value for key, value in content.items() if key != "checksum"}
    return hashlib.sha256(canonical_json(kept).encode()).hexdigest()


def _finite(value: Any) -> Any:
    """Returns a JSON-able copy: arrays' scalars as numbers, what is not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return str(value)
