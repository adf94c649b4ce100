"""The binary image features of Amazon's 2014 release.

A record is the item's 10 bytes of ASCII and 4096 float32, little endian; there is no header.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_guider.data.prepare.steps.raw import ItemRows
from recbole_guider.errors import InputError

WIDTH = 4096
_RECORD = np.dtype([("item", "S10"), ("values", "<f4", (WIDTH,))])
_BLOCK = 256  # records read together


def read_images(path: Path, known: set[str]) -> ItemRows:
    """Returns the rows of the known items; the first of an item's records counts.

    A plain file stays on the disk until its rows are written; of a ``.gz`` file the known items'
    rows are held in memory.

    Raises:
        InputError: the file cannot be read, is cut off, or an item is no ASCII.
    """
    try:
        if path.suffix == ".gz":
            return _compressed(path, known)
        size = path.stat().st_size
        if size == 0 or size % _RECORD.itemsize:
            raise _cut_off(path, size)
        given = np.memmap(path, dtype=_RECORD, mode="r")
        items = [_name(one, path, k) for k, one in enumerate(given["item"])]
        first = {item: k for k, item in reversed(list(enumerate(items))) if item in known}
        place = np.array(sorted(first.values()), dtype=np.int64)
        values: Any = _Rows(given["values"], place)
        return ItemRows([items[k] for k in place], values, path)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot be read ({error})", where=path,
                         mend="Check the path, or fetch it again.") from error  # fmt: skip


class _Rows:
    """Some rows of a matrix on the disk, read when they are asked for."""

    def __init__(self, values: Any, place: NDArray[np.int64]) -> None:
        self._values, self._place = values, place
        self.shape = (len(place), WIDTH)

    def __getitem__(self, rows: Any) -> Any:
        """Returns the chosen rows."""
        return self._values[self._place[rows]]


def _compressed(path: Path, known: set[str]) -> ItemRows:
    found: dict[str, Any] = {}
    k = 0
    with gzip.open(path) as stream:
        while block := stream.read(_BLOCK * _RECORD.itemsize):
            if len(block) % _RECORD.itemsize:
                raise _cut_off(path, k * _RECORD.itemsize + len(block))
            for record in np.frombuffer(block, dtype=_RECORD):
                item = _name(record["item"], path, k)
                if item in known:
                    found.setdefault(item, record["values"].copy())
                k += 1
    if k == 0:
        raise _cut_off(path, 0)
    values = np.stack(list(found.values())) if found else np.zeros((0, WIDTH), np.float32)
    return ItemRows(list(found), values, path)


def _name(given: bytes, path: Path, k: int) -> str:
    try:
        return bytes(given).decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise InputError(
            f"record {k} begins with {bytes(given)!r}; expected an item's 10 characters",
            where=path,
            mend="Check that it is the file of image features, and fetch it again.",
        ) from error


def _cut_off(path: Path, size: int) -> InputError:
    return InputError(
        f"has {size:,} bytes; expected a multiple of {_RECORD.itemsize:,}, as a record has 10 + "
        f"4 x {WIDTH} bytes (it ends in record {size // _RECORD.itemsize:,})",
        where=path,
        mend="Fetch it again.",
    )
