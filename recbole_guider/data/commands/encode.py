"""``encode``: a modality of an installed data set from its items' texts or images."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_guider.command_line import count
from recbole_guider.data.commands.validate import check_readable
from recbole_guider.data.encoders.image_model import find_model, image_vectors, unreadable
from recbole_guider.data.encoders.text import TFIDF
from recbole_guider.data.encoders.text import encode as encode_texts
from recbole_guider.data.files.feature_table import load_table
from recbole_guider.data.files.layout import Layout, read_interactions
from recbole_guider.data.fingerprint import file_hash
from recbole_guider.data.prepare.any_table import read_texts
from recbole_guider.data.prepare.steps.atomic import write_modality
from recbole_guider.data.prepare.steps.options import whole
from recbole_guider.data.prepare.steps.raw import ItemRows
from recbole_guider.errors import InputError
from recbole_guider.replacing import replacing

KINDS = ("text", "image")
_KEPT = ".encoding"  # finished blocks, below the data set's folder
_IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def add_options(parser: ArgumentParser) -> None:
    """Adds the command's options to its parser."""
    parser.add_argument("kind", metavar="KIND", choices=KINDS, help="text or image")
    parser.add_argument("--from", dest="source", metavar="PATH", required=True, type=Path,
                        help="a table with a column of items; or a folder of images named by item, "
                        "such as i42.jpg")  # fmt: skip
    parser.add_argument("--column", help="the column of texts (default: all but the items')")
    parser.add_argument("--encoder", help="text: tfidf (default), or a model's folder or name; "
                        "image: an architecture of timm, or a model's folder")  # fmt: skip
    parser.add_argument("--weights", metavar="FILE", type=Path,
                        help="of an image encoder that is named by its architecture")  # fmt: skip
    parser.add_argument("--width", type=count, default=64, help="of tfidf (default: 64)")
    parser.add_argument("--seed", type=whole, default=2022, help="of tfidf (default: 2022)")
    parser.add_argument("--modality", metavar="NAME", help="its name (default: the kind)")
    parser.add_argument("--unreadable", choices=("error", "skip"), default="error",
                        help="images that cannot be read: refuse (default), or leave their items "
                        "without a row")  # fmt: skip
    parser.add_argument("--replace", action="store_true", help="overwrite the modality")


def encode(layout: Layout, options: Any) -> dict[str, Any]:
    """Writes ``<name>.item<modality>`` and its entry of the manifest.

    Finished blocks are kept in the data set's folder until the file is written, so that a killed
    run goes on where it was. Items without a text or an image have no row.

    Returns:
        The entry, and the modality's name as ``modality``.

    Raises:
        InputError: the modality exists, or interactions, source or encoder cannot be used; nothing
            but finished blocks is written then.
    """
    modality = options.modality or options.kind
    if not modality.isidentifier():
        raise InputError(
            f"'{modality}' cannot name a modality",
            where="--modality",
            mend="Use letters, digits and _.",
        )
    target = layout.folder / f"{layout.name}.item{modality}"
    if target.exists() and not options.replace:
        raise InputError(
            "exists already", where=target, mend="Add --replace, or name another --modality."
        )
    check_readable(layout)
    manifest = _manifest(layout)
    items = pd.unique(read_interactions(layout)["item"])
    keep = layout.folder / _KEPT / modality  # other modalities may be under way
    rows = (_text if options.kind == "text" else _image)(items, options, keep)
    entry = _put(rows, modality, pd.Index(items), target)
    _note(manifest, modality, entry, target)
    shutil.rmtree(keep, ignore_errors=True)
    with contextlib.suppress(OSError):  # absent, or others' blocks are there
        keep.parent.rmdir()
    return {"modality": modality, **entry}


def _text(items: Sequence[str], options: Any, keep: Path) -> ItemRows:
    _refuse(options, "weights")
    texts = read_texts(options.source, options.column, mend="Call it item.")
    named = [item for item in items if texts.get(item, "").strip()]
    _refuse_strangers(named, len(texts), options.source)
    encoder = options.encoder or TFIDF
    vectors, about = encode_texts(
        [texts[item] for item in named], encoder, width=options.width, seed=options.seed, keep=keep
    )
    return ItemRows(named, vectors, options.source, about)


def _image(items: Sequence[str], options: Any, keep: Path) -> ItemRows:
    _refuse(options, "column")
    if options.encoder is None:
        raise InputError(
            "an image encoder is needed",
            where="--encoder",
            mend="Name an architecture of timm, such as resnet50, or a model's folder.",
        )
    found = _image_files(options.source)
    named = [item for item in items if item in found]
    _refuse_strangers(named, len(found), options.source)
    model = find_model(options.encoder, options.weights)
    vectors, lost = image_vectors([found[item] for item in named], model, keep)
    if lost and (options.unreadable == "error" or len(lost) == len(named)):
        raise InputError(
            unreadable(lost),
            where=options.source,
            mend="Repair or remove them, or add --unreadable skip.",
        )
    if lost:
        print(f"{options.source}: {unreadable(lost)}; their items have no row", file=sys.stderr)
    gone = {file.stem for file in lost}
    kept = [place for place, item in enumerate(named) if item not in gone]
    about = f"{model.architecture}, pooled, weights {file_hash(model.weights)[:16]}"
    return ItemRows([named[place] for place in kept], vectors[kept], options.source, about)


def _image_files(folder: Path) -> dict[str, Path]:
    """Returns item -> image; the file's name without its ending is the item."""
    if not folder.is_dir():
        raise InputError("is no folder of images", where=folder, mend="Check the path.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in _IMAGES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise InputError(
                f"two images of item '{path.stem}': {found[path.stem].name} and {path.name}",
                where=folder,
                mend="Keep one image for each item.",
            )
        found[path.stem] = path
    return found


def _refuse(options: Any, name: str) -> None:
    if getattr(options, name) is not None:
        raise InputError(f"is not for {options.kind}", where=f"--{name}", mend="Leave it out.")


def _refuse_strangers(named: Sequence[str], given: int, source: Path) -> None:
    if not named:
        raise InputError(
            f"none of its {given:,} items has interactions",
            where=source,
            mend="Name items as the interaction file does.",
        )


def _put(rows: ItemRows, modality: str, items: pd.Index, target: Path) -> dict[str, Any]:
    """Writes the file beside its place and moves it there whole; then compiles it."""
    try:
        place = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise _unwritable(target.parent, error) from error
    try:
        entry = write_modality(rows, modality, items, place / target.name)
        os.replace(place / target.name, target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
    load_table(target)
    return entry


def _manifest(layout: Layout) -> dict[str, Any]:
    path = layout.folder / f"{layout.name}.manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if not isinstance(manifest, dict):
            raise ValueError("expected an object")
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read as a manifest ({error})", where=path, mend="Move it away."
        ) from error
    return {"name": layout.name, **manifest}


def _note(manifest: dict[str, Any], modality: str, entry: dict[str, Any], target: Path) -> None:
    """Puts the modality into the manifest, which is made if there is none."""
    if "sha256" in manifest:  # ml-100k's, which tells of its own modalities in its own way
        manifest["sha256"].pop(target.name, None)
        if target.name not in manifest.get("files", {}):
            manifest.pop(modality, None)
    manifest.setdefault("modalities", {})[modality] = entry
    manifest.setdefault("files", {})[target.name] = file_hash(target)
    path = target.with_suffix(".manifest.json")
    try:
        with replacing(path) as stream:
            stream.write((json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(place: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot be written ({error.strerror})", where=place, mend="Check space and permissions."
    )
