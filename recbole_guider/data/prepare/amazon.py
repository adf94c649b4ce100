"""Amazon reviews (McAuley et al., 2015; Ni et al., 2019; Hou et al., 2024) with their metadata.

Reviews and metadata are a JSON object a line, plain or ``.gz``; the metadata of 2014 are Python
literals. An item is a ``parent_asin`` in the release of 2023, an ``asin`` before.
"""

from __future__ import annotations

from argparse import ArgumentParser
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from recbole_guider.data.names import why_unreadable
from recbole_guider.data.prepare.amazon_images import read_images
from recbole_guider.data.prepare.amazon_text import read_texts
from recbole_guider.data.prepare.reading.json_lines import field, records
from recbole_guider.data.prepare.steps import options as shared
from recbole_guider.data.prepare.steps.raw import ItemTexts, RawData
from recbole_guider.errors import InputError

SUMMARY = "Amazon reviews of 2014, 2018 or 2023, with metadata and the image features of 2014"

USER = ("user_id", "reviewerID")
ITEM = ("parent_asin", "asin")
_RATING = ("rating", "overall")
_TIME = ("timestamp", "unixReviewTime")
_KINDS = ("reviews", "metadata", "images")


def add_options(parser: ArgumentParser) -> None:
    """Adds the options of this source."""
    parser.add_argument("--from", dest="folder", metavar="DIR", type=Path,
                        help="a folder with one file of reviews, meta_* and image_features_*; or "
                             "name the files:")  # fmt: skip
    for option, what in (("reviews", "JSON lines"), ("metadata", "JSON lines"),
                         ("images", "binary image features of 2014")):  # fmt: skip
        parser.add_argument(f"--{option}", metavar="FILE", type=Path, help=what)
    shared.add_filters(parser, core=5)
    shared.add_split(parser)
    shared.add_text(parser)


def read_given(options: Any) -> RawData:
    """Reads the interactions that the options name; the content follows in ``add_content``.

    Raises:
        InputError: a file is missing or cannot be used; the message says which line.
    """
    path = _files(options)["reviews"]
    if path is None:
        raise InputError("no file of reviews is given", where="--reviews",
                         mend="Name it, or its folder with --from.")  # fmt: skip
    return read_reviews(path)


def add_content(raw: RawData, options: Any) -> RawData:
    """Adds texts and images of the items whose interactions were kept.

    Raises:
        InputError: a file is missing or cannot be used; the message says which line or record.
    """
    files = _files(options)
    known = set(raw.items.tolist())
    texts, notes, rows = {}, list(raw.notes), {}
    if files["metadata"] is not None:
        of_item, told = read_texts(files["metadata"], known)
        texts["text"] = ItemTexts(of_item, files["metadata"])
        notes += told
    if files["images"] is not None:
        rows["image"] = read_images(files["images"], known)
    sources = [file for file in files.values() if file is not None]
    return RawData(raw.users, raw.items, raw.columns, rows, texts, sources, notes)


def read_reviews(path: Path) -> RawData:
    """Reads the interactions of a file of reviews, ratings and times with them.

    Raises:
        InputError: the file cannot be read, or a line lacks user, item, rating or time.
    """
    codes: tuple[dict[str, int], dict[str, int]] = ({}, {})
    pairs = (array("q"), array("q"))
    values = (array("d"), array("d"))
    for line, record in records(path):
        for kind, names in enumerate((USER, ITEM)):
            token = field(record, names, str, path, line).strip()
            if token not in codes[kind]:
                if why := why_unreadable(token):
                    raise InputError(f"'{token}' {why}; expected a name", where=f"{path}:{line}",
                                     mend="Remove the line.")  # fmt: skip
                codes[kind][token] = len(codes[kind])
            pairs[kind].append(codes[kind][token])
        for kind, names in enumerate((_RATING, _TIME)):
            values[kind].append(field(record, names, float, path, line))
    if not codes[0]:
        raise InputError("holds no review", where=path, mend="Check the file.")
    users, items = (
        np.array(list(code), dtype=object)[np.frombuffer(pair, dtype=np.int64)]
        for code, pair in zip(codes, pairs)
    )
    rating, time = (np.array(one, dtype=np.float64) for one in values)
    return RawData(users, items, {"rating": rating, "timestamp": time}, sources=[path])


def _files(options: Any) -> dict[str, Path | None]:
    """Returns kind -> the file that the options name or their folder holds."""
    found = _found(options.folder) if options.folder else {}
    return {kind: getattr(options, kind) or found.get(kind) for kind in _KINDS}


def _found(folder: Path) -> dict[str, Path]:
    """Returns the files of a folder by what they hold.

    Raises:
        InputError: there is no such folder, or several files could be meant.
    """
    if not folder.is_dir():
        raise InputError("is no folder", where=folder, mend="Give the folder of the raw files.")
    kinds: dict[str, list[Path]] = {key: [] for key in _KINDS}
    for file in sorted(folder.iterdir()):
        name = file.name.lower().removesuffix(".gz")
        if name.startswith("image_features") and name.endswith(".b"):
            kinds["images"].append(file)
        elif name.endswith((".json", ".jsonl")):
            kinds["metadata" if name.startswith("meta") else "reviews"].append(file)
    for key, files in kinds.items():
        if len(files) > 1:
            raise InputError(f"holds several files of {key}: {', '.join(f.name for f in files)}",
                             where=folder, mend=f"Name one with --{key}.")  # fmt: skip
    return {key: files[0] for key, files in kinds.items() if files}
