"""The result store: one JSON record and one array file per finished cell, never half of either.

A record counts once its JSON lies in the folder under its final name, and its arrays have the
hash that it states. Both are written to a temporary file, synced and renamed, the arrays first; so
a crash leaves a whole record or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_guider.benchmark.cell import SCHEMA, CellName
from recbole_guider.benchmark.record import Failure, Record
from recbole_guider.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: one runner per store
    fcntl = None  # type: ignore[assignment]


class Store:
    """Records and failures in one flat folder.

    Args:
        folder: where they lie; made by ``open``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def open(self) -> Store:
        """Makes the folder, proves that it can be written and clears what crashes left.

        Raises:
            InputError: the folder cannot be made or written.
        """
        with self._writing():
            for folder in (self.folder, self.folder / "locks", self.folder / "logs"):
                folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".probe.{os.getpid()}.tmp"
            probe.write_bytes(b"x")
            probe.unlink()
        for left in self.folder.glob(".*.tmp"):
            if not self.is_claimed(left.name.split(".")[1]):
                left.unlink(missing_ok=True)
        return self

    def log_path(self, key: str) -> Path:
        """Returns the file that a cell's process writes to."""
        return self.folder / "logs" / f"{key}.log"

    # Records ---------------------------------------------------------------------------------

    def read(self, key: str) -> Record | None:
        """Returns a finished cell's record; None if there is none.

        A damaged record is set aside as ``<name>.damaged``, with a warning, and counts as none.
        """
        path = self._path(key, "json")
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        try:
            return self._checked(key, json.loads(text))
        except (ValueError, KeyError, TypeError, OSError) as error:
            self._set_aside(key, f"{type(error).__name__}: {error}")
            return None

    def _checked(self, key: str, content: Any) -> Record:
        record = Record(content, self._path(key, "npz"))
        if content["schema"] != SCHEMA or record.key != key:
            raise ValueError("it belongs to another cell or another version of the suite")
        if hashlib.sha256(record.arrays_path.read_bytes()).hexdigest() != content["arrays"]:
            raise ValueError("its arrays are not those that were written with it")
        # What reports and plans read must be there.
        _ = record.cell, record.protocol, record.config, record.data, record.versions
        _ = record.valid, record.test, record.seconds, record.peak_memory_mb
        return record

    def write(self, content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Writes a finished cell, arrays first, and removes an earlier failure of it.

        Args:
            content: the JSON record without ``schema`` and ``arrays``.
            arrays: user tokens (``users``) and one float64 array [n_users] per metric.

        Raises:
            InputError: the folder cannot be written or is full; earlier records are untouched.
            ValueError: a metric is not a finite number.
        """
        key = content["key"]
        for name, values in arrays.items():
            if name != "users" and not np.isfinite(values).all():
                raise ValueError(f"{name} of some user is not a finite number")
        buffer = io.BytesIO()
        np.savez(buffer, **dict(arrays))
        packed = buffer.getvalue()
        full = {"schema": SCHEMA, **content, "arrays": hashlib.sha256(packed).hexdigest()}
        text = json.dumps(_plain(full), indent=1, allow_nan=False)
        with self._writing():
            self._replace(self._path(key, "npz"), packed)
            self._replace(self._path(key, "json"), text.encode())
            self._path(key, "failed.json").unlink(missing_ok=True)

    def records(self) -> Iterator[Record]:
        """Yields every record in the folder whose JSON can be read; arrays are not checked."""
        for path in sorted(self.folder.glob("*.json")):
            if path.name.count(".") > 1:
                continue  # a failure
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                record = Record(json.loads(path.read_bytes()), path.with_suffix(".npz"))
                _ = record.cell, record.seconds, record.peak_memory_mb
                yield record

    # Failures --------------------------------------------------------------------------------

    def failure(self, key: str) -> Failure | None:
        """Returns why a cell failed last; None if it did not, or nothing readable is left."""
        try:
            content = json.loads(self._path(key, "failed.json").read_bytes())
            content["cell"] = CellName(**content["cell"])
            content["traceback"] = tuple(content["traceback"])
            return Failure(**content)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_failure(self, key: str, failure: Failure) -> None:
        """Records that a cell failed; this never counts as its result.

        Raises:
            InputError: the folder cannot be written or is full.
        """
        content = {**vars(failure), "cell": failure.cell._asdict()}
        with self._writing():
            self._replace(self._path(key, "failed.json"), json.dumps(content, indent=1).encode())

    def clear_failure(self, key: str) -> None:
        """Forgets a failure, as when the cell is about to run again."""
        with contextlib.suppress(OSError):
            self._path(key, "failed.json").unlink()

    # Two runners on one store ----------------------------------------------------------------

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[None]:
        """Holds a cell while this process works on it; waits while another process does.

        The system lets go of the claim when the process ends, however it ends.
        """
        if fcntl is None:
            yield
            return
        with open(self._lock(key), "ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def is_claimed(self, key: str) -> bool:
        """Returns whether some process works on a cell right now."""
        if fcntl is None:
            return False
        try:
            with open(self._lock(key), "rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    # Files -----------------------------------------------------------------------------------

    def _path(self, key: str, ending: str) -> Path:
        return self.folder / f"{key}.{ending}"

    def _lock(self, key: str) -> Path:
        return self.folder / "locks" / f"{key}.lock"

    def _replace(self, path: Path, content: bytes) -> None:
        """Puts a whole file into place, on the disk before it bears its name."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _set_aside(self, key: str, reason: str) -> None:
        with self._writing():
            for path in (self._path(key, "json"), self._path(key, "npz")):
                if path.exists():
                    os.replace(path, path.with_name(f"{path.name}.damaged"))
        print(
            f"warning: the record {self._path(key, 'json')} is damaged ({reason}); it is set aside "
            "as *.damaged and its cell runs again",
            file=sys.stderr,
        )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"results cannot be written ({error.strerror or error})",
                where=self.folder,
                mend="Name another folder with --results, or make room; finished cells are kept.",
            ) from error

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(
            f"results cannot be read ({error.strerror or error})",
            where=self.folder,
            mend="Name another folder with --results.",
        )


def _plain(value: Any) -> Any:
    """Returns JSON-able values: numbers out of numpy and torch, and null for what is no number.

    A metric that is not finite is an error of the run; elsewhere (a diagnostic that a method could
    not compute) null says so.
    """
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if hasattr(value, "tolist"):  # numpy's and torch's scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
