"""A small sound data set in both forms, and ways to spoil its files."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np

Spoil = Callable[[Path], None]

INTER = (
    "user_id:token\titem_id:token\trating:float\tx_label:float\n"
    "u0\ti0\t5\t0\nu0\ti2\t3\t1\nu1\ti1\t4\t0\nu1\ti2\t1\t2\nu2\ti0\t2\t0\n"
)
IMAGE = "item_id:token\timage:float_seq\ni0\t1 2 3\ni1\t-4 5e-1 6\ni2\t7 8 10\n"
TEXT = "item_id:token\ttext:float_seq\ni2\t1 0\ni0\t0 1\ni1\t1 1\n"
RAW_INTER = "userID\titemID\tx_label\n0\t0\t0\n0\t2\t1\n1\t1\t0\n1\t2\t2\n2\t0\t0\n"


def write_atomic(folder: Path) -> Path:
    """Writes the atomic files of ``toy`` into a folder."""
    folder.mkdir(parents=True)
    for name, text in (("inter", INTER), ("itemimage", IMAGE), ("itemtext", TEXT)):
        (folder / f"toy.{name}").write_text(text)
    return folder


def write_raw(folder: Path) -> Path:
    """Writes ``toy`` as a folder of the MMRec toolbox."""
    folder.mkdir(parents=True)
    (folder / "toy.inter").write_text(RAW_INTER)
    np.save(folder / "image_feat.npy", np.arange(12, dtype=np.float32).reshape(3, 4))
    np.save(folder / "text_feat.npy", np.eye(3, dtype=np.float16))
    return folder


def replace(file: str, old: str, new: str, encoding: str = "utf-8") -> Spoil:
    """Changes the first occurrence of a text in a file."""

    def spoil(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_bytes(text.replace(old, new, 1).encode(encoding))

    return spoil


def content(file: str, text: str | bytes) -> Spoil:
    """Gives a file other content, or makes it."""
    data = text if isinstance(text, bytes) else text.encode()
    return lambda folder: (folder / file).write_bytes(data) and None


def gone(file: str) -> Spoil:
    """Removes a file."""
    return lambda folder: (folder / file).unlink()


def as_folder(file: str) -> Spoil:
    """Puts an empty folder in the place of a file."""

    def spoil(folder: Path) -> None:
        (folder / file).unlink()
        (folder / file).mkdir()

    return spoil


def array(file: str, values: np.ndarray) -> Spoil:
    """Saves an array, of objects too."""
    return lambda folder: np.save(folder / file, values, allow_pickle=values.dtype == object)


def cut(file: str, length: int) -> Spoil:
    """Keeps the first bytes of a file."""
    return lambda folder: (
        (folder / file).write_bytes((folder / file).read_bytes()[:length]) and None
    )


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder with its content; hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }
