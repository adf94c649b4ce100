"""The sources that data sets are made from, and making one."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, NamedTuple

from recbole_guider.data.prepare import mmrec
from recbole_guider.data.prepare.atomic import write_dataset
from recbole_guider.data.prepare.raw import RawData
from recbole_guider.errors import InputError


class Source(NamedTuple):
    """A kind of raw data.

    Attributes:
        summary: what it reads, in one line.
        add_options: adds its options to a parser.
        read: reads the raw data that the options name.
    """

    summary: str
    add_options: Callable[[ArgumentParser], None]
    read: Callable[[Any], RawData]


def _mmrec_options(parser: ArgumentParser) -> None:
    _folder_option(parser)
    parser.add_argument("--original-ids", action="store_true",
                        help="name users and items as the id maps do")  # fmt: skip


def _folder_option(parser: ArgumentParser) -> None:
    parser.add_argument("--from", dest="folder", metavar="DIR", required=True, type=Path,
                        help="the folder of the raw files")  # fmt: skip


SOURCES: Mapping[str, Source] = {
    "mmrec": Source(
        "a folder of the MMRec toolbox: <name>.inter with x_label, <modality>_feat.npy",
        _mmrec_options,
        lambda options: mmrec.read(options.folder, options.original_ids),
    ),
}


def prepare(source: Source, name: str, data_path: Path, options: Any) -> dict[str, Any]:
    """Reads a source and writes the data set's folder; returns the manifest.

    Raises:
        InputError: the name, the raw files or the place cannot be used; nothing is written then.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise InputError(
            f"'{name}' cannot name a data set",
            where="--name",
            mend="Use letters, digits, - and _ only.",
        )
    kind = next(key for key, one in SOURCES.items() if one is source)
    return write_dataset(source.read(options), data_path / name, {"source": kind})
