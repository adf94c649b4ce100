"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

TEMPORARY = ".tmp"  # how the name of an unfinished file ends; it begins with a dot and the file's


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file beside ``path`` that takes its place when the block ends well.

    Temporary file, flush to the disk, rename, flush the folder: readers see the old file or the
    whole new one, also while two processes write at once or one of them is killed.

    Raises:
        OSError: the folder cannot be written; the old file stands.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    try:
        with os.fdopen(handle, "w+b") as stream:
            yield stream
            flush(stream)
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would shut other users of the folder out
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    flush_folder(path.parent)


def flush(stream: IO[bytes]) -> None:
    """Brings what was written so far onto the disk.

    Raises:
        OSError: the disk is full or gone.
    """
    stream.flush()
    os.fsync(stream.fileno())


def flush_folder(path: Path) -> None:
    """Brings a folder's names onto the disk, where the file system lets a folder be flushed."""
    with contextlib.suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
