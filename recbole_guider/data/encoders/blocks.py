"""Encoding many inputs block by block, so that what is finished survives an interruption."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, TypeVar

import numpy as np
from numpy.typing import NDArray

from recbole_guider.errors import InputError
from recbole_guider.replacing import replacing

Rows = NDArray[np.float32]
Input = TypeVar("Input")


def encode_in_blocks(
    inputs: Sequence[Input],
    compute: Callable[[Sequence[Input]], NDArray[Any]],
    identity: str,
    content: Callable[[Input], bytes],
    keep: Path | None,
    size: int,
    unit: str,
) -> Rows:
    """Returns the rows of all inputs, float32 [n, width].

    A block is a function of its inputs alone, whichever run computes it: an interrupted run that
    is begun again ends in the same bytes.

    Args:
        inputs: at least one.
        compute: gives one row for each input of a block, [n, width].
        identity: of the model, with everything that decides on its numbers.
        content: the bytes that an input stands for.
        keep: a folder for finished blocks, made if need be; None keeps nothing.
        size: inputs in a block.
        unit: what the progress bar counts.

    Raises:
        InputError: the folder cannot be written.
    """
    from tqdm import tqdm

    rows = []
    with tqdm(total=len(inputs), unit=unit, disable=None) as bar:  # nothing where nobody looks
        for start in range(0, len(inputs), size):
            block = inputs[start : start + size]
            file = None if keep is None else keep / f"{_key(block, identity, content)}.npy"
            found = _read(file, len(block))
            if found is None:
                found = np.ascontiguousarray(compute(block), dtype=np.float32)
                _write(file, found)
            rows.append(found)
            bar.update(len(block))
    return np.concatenate(rows)


def _key(block: Sequence[Input], identity: str, content: Callable[[Input], bytes]) -> str:
    digest = hashlib.sha256(identity.encode())
    for one in block:
        digest.update(hashlib.sha256(content(one)).digest())
    return digest.hexdigest()[:40]


def _read(file: Path | None, n_rows: int) -> Rows | None:
    if file is None:
        return None
    try:
        rows: Rows = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # absent or damaged
        return None
    return rows if rows.ndim == 2 and len(rows) == n_rows and rows.dtype == np.float32 else None


def _write(file: Path | None, rows: Rows) -> None:
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as stream:
            np.save(stream, rows)
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})",
            where=file.parent,
            mend="Free space on its disk, or choose another folder.",
        ) from error
