"""The content hash of a data set: what a number was computed from."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from recbole_guider.errors import InputError
from recbole_guider.replacing import replacing

_BLOCK = 1 << 20
_MADE = (".npy", ".tokens", ".manifest.json")  # what the suite itself puts beside atomic files


def fingerprint(folder: str | Path, name: str) -> str:
    """Returns a hash over everything in a data set's folder that can change a result.

    Covers every atomic file, ``<name>.<anything>``; neither side-cars nor manifests. Hashes of
    files are kept in a hidden file beside them and reused while the file has not changed.

    Args:
        folder: the data set's own folder.
        name: the data set's name.

    Returns:
        64 hex digits; it depends on the files' names and bytes only.

    Raises:
        InputError: the folder or a file cannot be read.
    """
    try:
        files = sorted(
            path
            for path in Path(folder).iterdir()
            if path.name.startswith(f"{name}.") and not path.name.endswith(_MADE) and path.is_file()
        )
        digests = _file_hashes(files, Path(folder) / f".{name}.hashes.json")
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})",
            where=error.filename or folder,
            mend="Check its permissions.",
        ) from error
    whole = hashlib.sha256()
    for path, digest in zip(files, digests):
        whole.update(f"{path.name}\0{digest}\n".encode())
    return whole.hexdigest()


def file_hash(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(_BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


def unchanged_hash(path: Path) -> str:
    """Returns ``file_hash`` of an atomic file, from its data set's kept hashes if it is unchanged.

    Only ``fingerprint``, which every loading begins with, keeps hashes; nothing is written here.
    """
    known = _read_cache(path.with_name(f".{path.stem}.hashes.json"))
    return _kept_hash(known, path.name, _stamp(path)) or file_hash(path)


def _stamp(path: Path) -> list[int]:
    state = path.stat()
    # A copy that keeps the times still has an inode and a change time of its own.
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


def _kept_hash(known: dict[str, Any], name: str, stamp: list[int]) -> str | None:
    entry = known.get(name)
    unchanged = isinstance(entry, list) and entry[:-1] == stamp and isinstance(entry[-1], str)
    return str(entry[-1]) if isinstance(entry, list) and unchanged else None


def _file_hashes(files: list[Path], cache: Path) -> list[str]:
    known = _read_cache(cache)
    current: dict[str, list[Any]] = {}
    for path in files:
        stamp = _stamp(path)  # before the bytes are read: a change meanwhile is seen next time
        digest = _kept_hash(known, path.name, stamp) or file_hash(path)
        current[path.name] = [*stamp, digest]
    if current != known:
        with contextlib.suppress(OSError), replacing(cache) as stream:  # a read-only folder
            stream.write(json.dumps(current, indent=1).encode())
    return [str(current[path.name][-1]) for path in files]


def _read_cache(cache: Path) -> dict[str, Any]:
    try:
        content = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
