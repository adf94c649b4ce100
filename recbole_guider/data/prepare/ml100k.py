"""MovieLens-100K as implicit feedback, from the copy that RecBole's own package carries."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recbole_guider.data.encoders.text import sentence_embeddings, tfidf_svd
from recbole_guider.data.files.whole_folder import whole_folder
from recbole_guider.data.fingerprint import file_hash
from recbole_guider.errors import InputError
from recbole_guider.property_layers import load_properties, property_file

NAME = "ml-100k"
_PARTS = ("train", "valid", "test")
_FILES = (*(f"{NAME}.{part}.inter" for part in _PARTS), f"{NAME}.itemtext", f"{NAME}.itemattribute")


def prepare(folder: Path) -> None:
    """Makes the data set's folder unless it is there.

    Every rating is an interaction and the rating stays beside it; the split is ``split_per_user``
    with the seed of the data set's property file. Text is a TF-IDF of the titles, attributes are
    genres and decade. The folder appears whole or not at all, also when two processes make it.

    Args:
        folder: ``<data_path>/ml-100k``.

    Raises:
        InputError: the folder holds something else, cannot be written, or RecBole's copy of the
            data is missing.
    """
    if _complete(folder):
        return
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise InputError(
            f"exists but lacks {', '.join(f for f in _FILES if not (folder / f).is_file())}",
            where=folder,
            mend="Move it away, and it is made again on the next run",
        )
    source = _source()
    with whole_folder(folder) as place:
        _write(source, place)
    if not _complete(folder):
        raise InputError("cannot be written", where=folder, mend="Check the folder's permissions")


def attributes(
    genres: Sequence[str], years: Sequence[str]
) -> tuple[list[str], np.ndarray[Any, np.dtype[np.float64]]]:
    """Returns the names of the columns and the 0/1 matrix of genres and release decades.

    Args:
        genres: blank-separated genres of every item; ``unknown`` stands for none.
        years: four digits, or anything else where the year is not known (no decade then).
    """
    item_genres = [set(text.split()) - {"unknown"} for text in genres]
    item_decade = [f"{year[:3]}0s" if re.fullmatch(r"\d{4}", year) else "" for year in years]
    columns = sorted(set().union(*item_genres)) + sorted(set(item_decade) - {""})
    place = {name: index for index, name in enumerate(columns)}
    matrix = np.zeros((len(item_genres), len(columns)))
    for row, (names, decade) in enumerate(zip(item_genres, item_decade)):
        matrix[row, [place[name] for name in names]] = 1
        if decade:
            matrix[row, place[decade]] = 1
    return columns, matrix


def _complete(folder: Path) -> bool:
    return all((folder / file).is_file() for file in _FILES)


def _source() -> Path:
    spec = importlib.util.find_spec("recbole")
    origin = spec.origin if spec else None
    source = Path(origin or "").parent / "dataset_example" / NAME
    if origin is None or not (source / f"{NAME}.inter").is_file():
        raise InputError(
            "RecBole's copy of ml-100k is missing",
            where=source,
            mend="Run: pip install --force-reinstall recbole==1.2.1",
        )
    return source


def _read(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield line.rstrip("\n").split("\t")


def _write(source: Path, folder: Path) -> None:
    from recbole_guider.data.prepare.steps.split import (
        split_per_user,  # brings pandas, planning does not
    )

    settings = load_properties(property_file("dataset", NAME))["preparation"]
    seed, width = settings["split_seed"], settings["text_width"]
    header, *rows = _read(source / f"{NAME}.inter")
    labels = split_per_user([row[0] for row in rows], seed)
    for part, name in enumerate(_PARTS):
        chosen = [rows[index] for index in np.flatnonzero(labels == part)]
        _write_rows(folder / f"{NAME}.{name}.inter", [header, *chosen])

    _, *items = _read(source / f"{NAME}.item")
    occurring = {row[1] for row in rows}
    items = [item for item in items if item[0] in occurring]
    tokens, titles, years, genres = (list(column) for column in zip(*items))
    encoder = settings["text_encoder"]
    own = encoder == "tfidf"
    text = tfidf_svd(titles, width, seed) if own else sentence_embeddings(titles, encoder)
    _write_modality(folder, "text", tokens, text)
    columns, matrix = attributes(genres, years)
    _write_modality(folder, "attribute", tokens, matrix)
    _write_manifest(folder, settings, columns, np.bincount(labels, minlength=3).tolist())


def _write_rows(path: Path, rows: Sequence[Sequence[str]]) -> None:
    lines = "".join("\t".join(row) + "\n" for row in rows)
    path.write_bytes(lines.encode("utf-8"))  # bytes: no line ends of the platform


def _write_modality(
    folder: Path,
    modality: str,
    tokens: Sequence[str],
    matrix: np.ndarray[Any, np.dtype[Any]],
) -> None:
    rows = [["item_id:token", f"{modality}:float_seq"]]
    rows += [[token, " ".join(f"{x:.6g}" for x in row)] for token, row in zip(tokens, matrix)]
    _write_rows(folder / f"{NAME}.item{modality}", rows)


def _write_manifest(
    folder: Path, settings: dict[str, Any], columns: list[str], counts: list[int]
) -> None:
    import sklearn

    manifest = {
        "source": "MovieLens-100K as shipped in recbole/dataset_example/ml-100k",
        "feedback": "every rating is an interaction; the rating column is kept",
        "interactions": dict(zip(_PARTS, counts)),
        "split": {
            "rule": "per user, shuffled; n < 10: one validation, one test; "
            "else floor(0.2 n) held out, the smaller half for validation",
            "seed": settings["split_seed"],
        },
        "text": {
            "extractor": "TF-IDF of the titles' character 3-5-grams, truncated SVD"
            if settings["text_encoder"] == "tfidf"
            else settings["text_encoder"],
            "width": settings["text_width"],
            "seed": settings["split_seed"],
        },
        "attribute": {"extractor": "0/1 of genre and release decade", "columns": columns},
        "versions": {
            "numpy": np.__version__,
            "python": platform.python_version(),
            "scikit-learn": sklearn.__version__,
        },
        "sha256": {file: file_hash(folder / file) for file in _FILES},
    }
    text = json.dumps(manifest, indent=2) + "\n"
    (folder / f"{NAME}.manifest.json").write_text(text, encoding="utf-8")
