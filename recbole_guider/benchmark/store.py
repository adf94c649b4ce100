"""The folder of finished cells: written whole or not at all, checked when read.

``<key>.npz`` and then ``<key>.json.gz`` are written to temporary files beside them, flushed to the
disk and renamed, so a record that has its JSON has everything. ``<key>.failed.json`` says why a
cell failed; it never counts as finished. ``<key>.lock`` is held by the process that computes a cell
and is released by the system when that process dies.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Optional

from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.lock import hold
from recbole_guider.benchmark.record import (
    DamagedError,
    Record,
    content_of,
    packed,
    record_from,
    unpacked,
)
from recbole_guider.errors import InputError
from recbole_guider.replacing import TEMPORARY, flush, flush_folder, replacing

_RECORD = ".json.gz"  # how the name of a finished cell's file ends
_LOCK = ".lock"

_log = logging.getLogger(__name__)


class StoreError(InputError):
    """The results folder cannot be written; what is finished stays as it is."""


@dataclass(frozen=True)
class Failure:
    """Why a cell failed.

    Attributes:
        cell: data set, backbone, method, seed, setting.
        reason: one line.
        traceback: its last lines; empty for a user's mistake or a killed process.
        command: what repeats the cell alone.
        log: the file with the process's output.
        input_error: whether the reason is something that the user gave.
    """

    cell: CellName
    reason: str
    traceback: str
    command: str
    log: str
    input_error: bool = False


class Store:
    """Finished and failed cells in a folder.

    Args:
        folder: the folder; only :meth:`open` makes it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def open(self) -> Store:
        """Makes the folder, tries to write it and clears what killed processes left.

        Raises:
            StoreError: the folder cannot be made or written.
        """
        with _told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "logs").mkdir(exist_ok=True)
            flush_folder(self.folder.parent)
            handle, probe = tempfile.mkstemp(TEMPORARY, ".probe.", self.folder)
            with os.fdopen(handle, "wb") as stream:
                stream.write(b"probe")
                flush(stream)
            Path(probe).unlink(missing_ok=True)  # another runner may have taken it for a leftover
        self.clear()
        return self

    def clear(self) -> None:
        """Removes what killed processes left: unfinished files, and locks that nobody holds.

        Raises:
            StoreError: the folder cannot be written.
        """
        for leftover in self.folder.glob(f".*{TEMPORARY}"):
            with self.lock(leftover.name[1:].split(".")[0]) as free, contextlib.suppress(OSError):
                if free:  # nobody is writing this cell
                    leftover.unlink()
        for lock in self.folder.glob(f"*{_LOCK}"):
            with self.lock(lock.name[: -len(_LOCK)]):
                pass  # a lock that is free goes when it is released

    def record_file(self, key: str) -> Path:
        """Returns where a finished cell's record lies, but for its arrays."""
        return self.folder / f"{key}{_RECORD}"

    def log_file(self, key: str) -> Path:
        """Returns where a cell's process writes its output."""
        return self.folder / "logs" / f"{key}.log"

    @contextlib.contextmanager
    def lock(self, key: str) -> Iterator[bool]:
        """Holds a cell for this process; gives False when another one has it."""
        with contextlib.ExitStack() as stack:
            with _told(self.folder):  # not around the caller's block, whose errors are its own
                held = stack.enter_context(hold(self.folder / f"{key}{_LOCK}"))
            yield held

    def holds(self, key: str) -> bool:
        """Returns whether both files of a record are there; their content is not checked."""
        return self.record_file(key).exists() and self._npz(key).exists()

    def inspect(self, key: str) -> Optional[Record]:  # noqa: UP045 (Python 3.9)
        """Returns a cell's record, None without one; changes nothing.

        Raises:
            DamagedError: there is a record and it cannot be trusted.
        """
        path, arrays = self.record_file(key), self._npz(key)
        try:
            stored = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(
                f"cannot be read ({error.strerror})", where=path, mend="Check its permissions."
            ) from error
        record = record_from(unpacked(stored), key, arrays)
        try:
            digest = hashlib.sha256(arrays.read_bytes()).hexdigest()
        except OSError as error:
            raise DamagedError(f"its arrays cannot be read ({error.strerror})") from error
        if digest != record.arrays:
            raise DamagedError("its arrays do not match their checksum")
        return record

    def read(self, key: str) -> Optional[Record]:  # noqa: UP045
        """Returns a cell's record, None without one; a damaged record is set aside."""
        try:
            return self.inspect(key)
        except DamagedError as damage:
            _log.warning(
                "%s: damaged record (%s); set aside as *.damaged, the cell runs again",
                self.record_file(key),
                damage,
            )
        with _told(self.folder):
            for path in (self.record_file(key), self._npz(key)):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(path, f"{path}.damaged")
        return None

    def record(self, cell: Cell) -> Optional[Record]:  # noqa: UP045
        """Returns what :meth:`read` returns for the cell, under the name that its grid gives it."""
        record = self.read(cell.key)
        if record is None or record.cell == cell.name:
            return record
        return replace(record, cell=cell.name)

    def write(self, cell: Cell, result: Mapping[str, Any]) -> None:
        """Stores what ``quick_start.run`` returned for a cell and forgets an earlier failure.

        Raises:
            StoreError: the folder cannot be written; nothing finished is lost.
            ValueError: a metric is not a finite number.
        """
        self.put(cell.key, *content_of(cell, result))

    def put(self, key: str, content: Mapping[str, Any], arrays: bytes) -> None:
        """Stores what ``record.content_of`` returned and forgets an earlier failure.

        Both files are on the disk under temporary names before either gets its own, so that a disk
        that is full for one of them leaves the record that was there.

        Raises:
            StoreError: the folder cannot be written; nothing finished is lost.
        """
        stored = packed(content)
        with _told(self.folder):
            with replacing(self.record_file(key)) as stream:
                stream.write(stored)
                flush(stream)
                _replace(self._npz(key), arrays)  # named first: the JSON tells that both are there
            with contextlib.suppress(FileNotFoundError):
                self._failed(key).unlink()

    def copy(self, key: str, other: Store) -> None:
        """Puts a whole record into another store as well.

        Raises:
            StoreError: it cannot be read or written.
        """
        with _told(other.folder):
            for path in (self._npz(key), self.record_file(key)):
                _replace(other.folder / path.name, path.read_bytes())

    def write_failure(self, key: str, failure: Failure) -> None:
        """Stores why a cell failed.

        Raises:
            StoreError: the folder cannot be written.
        """
        content = {**asdict(failure), "cell": failure.cell._asdict()}
        with _told(self.folder):
            _replace(self._failed(key), (json.dumps(content, indent=1) + "\n").encode("utf-8"))

    def failure(self, key: str) -> Optional[Failure]:  # noqa: UP045
        """Returns why a cell failed, None if it did not or if that cannot be read."""
        try:
            content = json.loads(self._failed(key).read_bytes())
            return Failure(**{**content, "cell": CellName(**content["cell"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def recorded(self) -> list[str]:
        """Returns the keys of all records in the folder, sorted; their content is not checked.

        Raises:
            StoreError: the folder cannot be read.
        """
        try:
            names = [path.name for path in self.folder.iterdir()]
        except OSError as error:
            raise StoreError(
                f"cannot be read ({error.strerror})",
                where=self.folder,
                mend="Name a folder with results.",
            ) from error
        pattern = rf"([^.]+){re.escape(_RECORD)}"
        return sorted(found[1] for name in names if (found := re.fullmatch(pattern, name)))

    def costs(self) -> Iterator[tuple[CellName, Any, float, float]]:
        """Yields name, limit of epochs, seconds and peak MiB of every record in the folder."""
        for path in sorted(self.folder.glob(f"*{_RECORD}")):
            try:
                content = unpacked(path.read_bytes())
                name, epochs = CellName(**content["cell"]), content["config"]["epochs"]
                seconds, memory = content["seconds"]["total"], content["peak_memory_mb"]
                yield name, epochs, float(seconds), float(memory)
            except (OSError, DamagedError, TypeError, KeyError, ValueError):
                continue

    def _npz(self, key: str) -> Path:
        return self.folder / f"{key}.npz"

    def _failed(self, key: str) -> Path:
        return self.folder / f"{key}.failed.json"


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turns what the system says of a folder into one line for the user."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})",
            where=error.filename or folder,
            mend="Free space or permissions, or choose another folder with --results; "
            "finished cells are kept.",
        ) from error


def _replace(path: Path, content: bytes) -> None:
    with replacing(path) as stream:
        stream.write(content)
