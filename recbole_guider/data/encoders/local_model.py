"""Finding a model's weights on this machine; nothing is fetched."""

from __future__ import annotations

import hashlib
from pathlib import Path

from recbole_guider.data.fingerprint import file_hash
from recbole_guider.errors import InputError


def model_folder(name: str) -> Path:
    """Returns the folder of a model: a folder given by its path, or a cached copy from the hub.

    Args:
        name: a path, or a name such as ``sentence-transformers/all-MiniLM-L6-v2``.

    Raises:
        InputError: there is neither; the message says how to fetch it.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise InputError(
            "is a file; expected a model's folder", where=name, mend="Give the folder it lies in."
        )
    try:
        from huggingface_hub import snapshot_download  # type: ignore[import-not-found]

        return Path(snapshot_download(name, local_files_only=True))
    except (ImportError, OSError, ValueError) as error:  # not cached, or no name of the hub's
        raise InputError(
            f"the weights of '{name}' are not on this machine, and nothing is fetched unasked",
            mend=f"Run: hf download {name}, or give a model's folder.",
        ) from error


def content_hash(place: Path) -> str:
    """Returns a hash over a file, or over a folder's files with their names; hidden ones aside."""
    if place.is_file():
        return file_hash(place)
    digest = hashlib.sha256()
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            digest.update(f"{name.as_posix()}\0{file_hash(path)}\n".encode())
    return digest.hexdigest()
