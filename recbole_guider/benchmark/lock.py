"""A lock that dies with the process that holds it, so that no crash leaves one behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: no such lock; two runners on one store may do a cell twice there
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def hold(path: Path) -> Iterator[bool]:
    """Holds the lock file while the block runs; gives False, at once, when another holds it.

    The file is removed on release. A process that opened it just before that would then hold a
    file that nobody else sees, so a lock counts only if its file is still the one at the path.

    Raises:
        OSError: the lock file cannot be made.
    """
    if fcntl is None:
        yield True
        return
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            yield False
            return
        except OSError as error:  # a file system without locks
            os.close(handle)
            raise OSError(error.errno, error.strerror, str(path)) from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                break
        os.close(handle)
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(handle)
