"""Text files of other projects, plain or compressed with gzip; what is wrong names its line."""

from __future__ import annotations

import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TextIO, cast

from recbole_guider.errors import InputError


@contextlib.contextmanager
def opened(path: Path, encoding: str = "utf-8-sig", newline: str | None = None) -> Iterator[TextIO]:
    """Opens a text file for reading; a name that ends in ``.gz`` is read through gzip.

    Raises:
        InputError: the file is missing, cut off or damaged, or holds bytes that are not text in
            this encoding; raised inside the block as well, while it reads.
    """
    try:
        with _binary(path) as raw:
            yield io.TextIOWrapper(cast(Any, raw), encoding=encoding, newline=newline)
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding.startswith("utf-8") else encoding
        raise InputError(
            f"is not {name} text", where=f"{path}:{_first_wrong(path, encoding)}",
            mend=f"Save it as {name}.",
        ) from error  # fmt: skip
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"is cut off or damaged ({error})", where=path, mend="Fetch it again."
        ) from error
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror or error})", where=path, mend="Check the path."
        ) from error


def _binary(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _first_wrong(path: Path, encoding: str) -> int:
    """Returns the number of the first line that cannot be decoded."""
    with _binary(path) as raw:
        for number, line in enumerate(raw, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return number
    return 1
