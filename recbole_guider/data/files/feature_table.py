"""A modality's rows, compiled once from its atomic file and memory-mapped from then on."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recbole_guider.data.files.modality_file import count_rows, read_rows
from recbole_guider.data.fingerprint import unchanged_hash
from recbole_guider.errors import InputError
from recbole_guider.replacing import replacing

_logger = logging.getLogger(__name__)


class FeatureTable(NamedTuple):
    """A modality's rows in file order.

    Attributes:
        values: float32 [n_rows, width], usually memory-mapped and read-only.
        tokens: the item of every row.
    """

    values: np.ndarray[Any, np.dtype[np.float32]]
    tokens: list[str]


def load_table(path: Path) -> FeatureTable:
    """Returns a modality file's rows, compiled on first use.

    The compiled form lies beside the file as ``<file>.<hash>.npy`` and ``<file>.<hash>.tokens``,
    named by the file's content, so that a changed file is never read through an old one; old ones
    are removed. Where the folder cannot be written, the rows are held in memory.

    Raises:
        InputError: the file cannot be read, or is not as ``modality_file`` documents.
    """
    try:
        values, tokens = _side_cars(path)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=path, mend="Check the file"
        ) from error
    with contextlib.suppress(OSError, EOFError, ValueError):  # absent or damaged: compiled below
        return _open(values, tokens)
    try:
        _compile(path, values, tokens)
    except OSError as error:
        _logger.warning(
            "%s: cannot be written (%s); %s is read into memory in every run",
            path.parent,
            error.strerror,
            path.name,
        )
        rows = list(read_rows(path))
        return FeatureTable(np.stack([row for _, row in rows]), [token for token, _ in rows])
    _remove_older(path, {values, tokens})
    return _open(values, tokens)


def unused_side_cars(path: Path) -> list[Path]:
    """Returns the compiled files beside a modality file that loading it will not use, sorted.

    They come from other content of the file, or are damaged; loading removes or replaces them.
    """
    here = _all_side_cars(path)
    try:
        values, tokens = _side_cars(path)
    except OSError:  # a file that cannot be read has others' words
        return []
    try:
        _open(values, tokens)
    except (OSError, EOFError, ValueError):
        return here
    return [other for other in here if other not in (values, tokens)]


def keep_table(
    path: Path, tokens: Sequence[str], width: int, blocks: Iterable[NDArray[np.float32]]
) -> None:
    """Writes the compiled form of a modality file that holds just these rows.

    Args:
        path: the modality file, already written.
        tokens: the item of every row.
        width: values in a row.
        blocks: the rows in the same order, [n, width] each.
    """
    values, names = _side_cars(path)
    with replacing(values) as stream:
        _write_header(stream, len(tokens), width)
        for block in blocks:
            stream.write(np.ascontiguousarray(block, dtype="<f4").tobytes())
        with replacing(names) as token_stream:
            token_stream.write("\n".join(tokens).encode("utf-8"))


def _side_cars(path: Path) -> tuple[Path, Path]:
    """Returns where the compiled matrix and its tokens lie."""
    stem = f"{path.name}.{unchanged_hash(path)[:16]}"
    return path.with_name(f"{stem}.npy"), path.with_name(f"{stem}.tokens")


def _write_header(stream: Any, n_rows: int, width: int) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, width)}
    write_header: Any = np.lib.format.write_array_header_1_0  # numpy leaves it untyped
    write_header(stream, header)


def _open(values: Path, tokens: Path) -> FeatureTable:
    matrix = np.load(values, mmap_mode="r", allow_pickle=False)
    names = tokens.read_text(encoding="utf-8").split("\n")
    if matrix.ndim != 2 or matrix.dtype != np.float32 or len(names) != len(matrix):
        raise ValueError(f"{values} is damaged")
    return FeatureTable(matrix, names)


def _compile(path: Path, values: Path, tokens: Path) -> None:
    """Writes the side-cars, the matrix row by row; the tokens come first, the matrix last."""
    names: list[str] = []
    with replacing(values) as stream:
        n_rows = count_rows(path)
        for name, row in read_rows(path):
            if not names:
                _write_header(stream, n_rows, len(row))
            names.append(name)
            stream.write(row.astype("<f4").tobytes())
        with replacing(tokens) as token_stream:
            token_stream.write("\n".join(names).encode("utf-8"))


def _remove_older(path: Path, current: set[Path]) -> None:
    for side_car in _all_side_cars(path):
        if side_car not in current:
            side_car.unlink(missing_ok=True)


def _all_side_cars(path: Path) -> list[Path]:
    pattern = re.compile(re.escape(path.name) + r"\.[0-9a-f]{16}\.(npy|tokens)")
    return sorted(other for other in path.parent.iterdir() if pattern.fullmatch(other.name))
