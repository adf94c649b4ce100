"""Options that several sources share."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_guider.command_line import count
from recbole_guider.data.prepare.steps.split import RULES
from recbole_guider.errors import InputError

_ROLES = ("user", "item", "rating", "time", "label", "title")


def add_folder(parser: ArgumentParser) -> None:
    """Adds ``--from``."""
    parser.add_argument("--from", dest="folder", metavar="DIR", required=True, type=Path,
                        help="the folder of the raw files")  # fmt: skip


def add_columns(parser: ArgumentParser, *roles: str) -> None:
    """Adds ``--user-column`` and so on; columns with usual names need none of them."""
    for role in roles:
        parser.add_argument(f"--{role}-column", metavar="NAME",
                            help=f"the column of the {role}, if not of a usual name")  # fmt: skip


def named_columns(options: Any) -> Mapping[str, str | None]:
    """Returns role -> the column that the user named, or None."""
    return {role: getattr(options, f"{role}_column", None) for role in _ROLES}


def add_filters(parser: ArgumentParser, core: int = 0, ratings: bool = True) -> None:
    """Adds ``--min-rating`` and ``--core``, the latter with a default of its own."""
    if ratings:
        parser.add_argument("--min-rating", type=float, metavar="R",
                            help="leave out ratings below R; default: none")  # fmt: skip
    parser.add_argument("--core", type=whole, default=core, metavar="K",
                        help="keep users and items with K interactions or more, repeated until "
                             f"all have them; 0 keeps all (default {core})")  # fmt: skip


def add_split(parser: ArgumentParser) -> None:
    """Adds ``--split`` and ``--split-seed``."""
    parser.add_argument("--split", choices=RULES,
                        help="random: about 8:1:1 of each user's interactions; time: each user's "
                             "last are held out; none: RecBole's eval_args splits at run time "
                             "(default: the source's own split, or random)")  # fmt: skip
    parser.add_argument("--split-seed", type=whole, default=2022, metavar="SEED",
                        help="draws the random split (default 2022)")  # fmt: skip


def add_text(parser: ArgumentParser) -> None:
    """Adds ``--text-encoder`` and ``--text-width``."""
    parser.add_argument("--text-encoder", default="tfidf", metavar="NAME",
                        help="what makes vectors of text: tfidf (default), or a model for "
                             "sentence-transformers")  # fmt: skip
    parser.add_argument("--text-width", type=count, default=64, metavar="N",
                        help="width of the tfidf vectors (default 64)")  # fmt: skip


def pairs(given: Sequence[str] | None, option: str) -> dict[str, Path]:
    """Reads ``["image=a.npy"]`` into ``{"image": Path("a.npy")}``.

    Raises:
        InputError: an entry has another form, or a modality occurs twice.
    """
    found: dict[str, Path] = {}
    for entry in given or ():
        name, equals, path = entry.partition("=")
        if not equals or not path or not name.isidentifier() or name in found:
            problem = "names a modality twice" if name in found else "is not MODALITY=FILE"
            raise InputError(f"'{entry}' {problem}", where=option,
                             mend=f"Write for example {option} image=image.npy.")  # fmt: skip
        found[name] = Path(path)
    return found


def whole(text: str) -> int:
    """Reads a seed or another whole number from 0 on, as a type of argparse."""
    if not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, found '{text}'")
    return int(text)
