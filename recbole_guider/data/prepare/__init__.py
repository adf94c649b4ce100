"""Data sets on disk: which are installed, and making the embedded one on first use.

Imports neither torch nor recbole, so that planning a grid can call it.
"""

from __future__ import annotations

from pathlib import Path

from recbole_guider.data.prepare import ml100k
from recbole_guider.errors import InputError, nearest_name
from recbole_guider.property_layers import described, names

_EMBEDDED = {"ml-100k": ml100k.prepare}


def made_on_first_use() -> list[str]:
    """Returns the names of the data sets that the suite makes itself."""
    return list(_EMBEDDED)


def installed(data_path: str | Path) -> list[str]:
    """Returns the sorted names of the data sets with interactions below ``data_path``."""
    root = Path(data_path)
    if not root.is_dir():
        return []
    return sorted(
        folder.name
        for folder in root.iterdir()
        if not folder.name.startswith(".") and has_interactions(folder, folder.name)
    )


def has_interactions(folder: Path, name: str) -> bool:
    """Returns whether a folder holds ``<name>.inter`` or ``<name>.train.inter``."""
    return any((folder / f"{name}{ending}").is_file() for ending in (".inter", ".train.inter"))


def ensure_prepared(name: str, data_path: str | Path) -> Path:
    """Returns the folder of a data set, made now if the suite brings the data itself.

    Args:
        name: the data set's name; its files lie in ``<data_path>/<name>/``.
        data_path: the folder of all data sets.

    Raises:
        InputError: the data set is not installed (the message says where it was looked for and
            how to get it), or its name is unknown, or it cannot be made.
    """
    folder = Path(data_path) / name
    if name in _EMBEDDED:
        _EMBEDDED[name](folder)
        return folder
    if has_interactions(folder, name):
        return folder
    raise not_installed(name, folder)


def not_installed(name: str, folder: Path) -> InputError:
    """Returns the error for a data set without files in ``folder``."""
    present = installed(folder.parent)
    available = f"Installed there: {', '.join(present) if present else 'none'}"
    if name in names("dataset"):
        how = described("dataset", name, "how_to_get")
        advice = f"{how} {available}" if how else available
        return InputError(f"data set '{name}' is not installed", where=folder, mend=advice)
    known = nearest_name(name, {*names("dataset"), *present})
    return InputError(f"unknown data set '{name}'", where=folder, mend=f"{known} {available}")
