"""A folder that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from recbole_guider.errors import InputError


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Gives a temporary folder beside ``folder``, which takes its place if the block succeeds.

    Where another process was first, its folder stays.

    Raises:
        InputError: the place cannot be written, or holds something already.
    """
    check_free(folder)
    above = folder.parent.is_dir()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})",
            where=folder.parent,
            mend="Choose another folder with --data_path=FOLDER.",
        ) from error
    try:
        yield temporary
        temporary.chmod(0o755)
        try:
            os.replace(temporary, folder)
        except OSError:
            if not (folder.is_dir() and any(folder.iterdir())):  # else another process was first
                raise
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})", where=folder, mend="Free space on its disk."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if not above and not folder.exists():
            with contextlib.suppress(OSError):  # another data set is there by now
                folder.parent.rmdir()


def check_free(folder: Path) -> None:
    """Refuses a place that holds something already.

    Raises:
        InputError: it does.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(
            "exists already", where=folder, mend="Move it away, or choose another --name."
        )
