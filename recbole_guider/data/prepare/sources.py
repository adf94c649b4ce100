"""The sources that data sets are made from, and making one."""

from __future__ import annotations

import re
import shutil
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, NamedTuple

from recbole_guider.data.files.whole_folder import check_free
from recbole_guider.data.prepare import (
    amazon,
    any_table,
    microlens,
    mmrec,
    movielens,
    synthetic,
)
from recbole_guider.data.prepare.steps import filters
from recbole_guider.data.prepare.steps.atomic import write_dataset
from recbole_guider.data.prepare.steps.encoding import with_text
from recbole_guider.data.prepare.steps.raw import RawData
from recbole_guider.data.prepare.steps.split import with_split
from recbole_guider.errors import InputError


class Source(NamedTuple):
    """A kind of raw data.

    Attributes:
        summary: what it reads, in one line.
        add_options: adds its options to a parser.
        read: reads the raw data that the options name.
        add_content: reads what is worth reading for the items that the filters kept only.
    """

    summary: str
    add_options: Callable[[ArgumentParser], None]
    read: Callable[[Any], RawData]
    add_content: Callable[[RawData, Any], RawData] = lambda raw, _: raw


SOURCES: Mapping[str, Source] = {
    "amazon": Source(amazon.SUMMARY, amazon.add_options, amazon.read_given, amazon.add_content),
    **{
        name: Source(module.SUMMARY, module.add_options, module.read_given)
        for name, module in {
            "csv": any_table,
            "microlens": microlens,
            "mmrec": mmrec,
            "movielens": movielens,
            "synthetic": synthetic,
        }.items()
    },
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
    folder = data_path / name
    check_free(folder)
    kind = next(key for key, one in SOURCES.items() if one is source)
    raw, told = _filtered(source.read(options), options)
    raw = source.add_content(raw, options)
    if hasattr(options, "split"):
        raw, told["split"] = with_split(raw, options.split, options.split_seed)
    keep = data_path / f".{name}.encoding"
    if raw.texts:
        raw = with_text(raw, options.text_encoder, options.text_width, options.split_seed, keep)
    manifest = write_dataset(raw, folder, {"source": kind, **told})
    shutil.rmtree(keep, ignore_errors=True)
    return manifest


def _filtered(raw: RawData, options: Any) -> tuple[RawData, dict[str, Any]]:
    """Applies the filters that the source has options for."""
    told: dict[str, Any] = {}
    if getattr(options, "min_rating", None) is not None:
        raw = filters.from_rating(raw, options.min_rating)
        told["least rating"] = options.min_rating
    if hasattr(options, "core"):
        raw = filters.first_of_repeated(raw)
        if options.core > 1:
            raw = filters.core(raw, options.core)
            told["core"] = options.core
    return raw, told
