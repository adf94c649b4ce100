"""Vectors of texts by a sentence encoder."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_guider.data.encoders.blocks import Rows, encode_in_blocks
from recbole_guider.data.encoders.local_model import content_hash, model_folder
from recbole_guider.errors import InputError

_BLOCK = 256  # texts kept together
_BATCH = 32  # texts that the model sees at a time
_ORGANISATION = "sentence-transformers"  # whose models may be named without it


def sentence_vectors(
    texts: Sequence[str], model_name: str, keep: Path | None = None, device: str | None = None
) -> Rows:
    """Returns the vectors of a model that sentence-transformers can load.

    Args:
        texts: one text per item, at least one.
        model_name: a model's folder, or the name of one that the hub's cache holds.
        keep: a folder for finished blocks, by which an interrupted run goes on.
        device: ``cpu`` or ``cuda``; None takes a GPU if there is one.

    Returns:
        float32 [n_texts, width of the model].

    Raises:
        InputError: sentence-transformers is not installed, the model is not on this machine or
            cannot be loaded, or gives a value that is not finite.
    """
    try:
        import sentence_transformers
        import torch
    except ImportError as error:
        raise InputError(
            "sentence embeddings need the package sentence-transformers",
            mend="Run: pip install recbole_guider[text]",
        ) from error
    folder = sentence_folder(model_name)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    load = functools.cache(lambda: _load(folder, device))

    def compute(block: Sequence[str]) -> NDArray[Any]:
        vectors = load().encode(
            list(block), batch_size=_BATCH, convert_to_numpy=True, show_progress_bar=False
        )
        if not np.isfinite(vectors).all():
            raise InputError(
                "gives values that are not finite", where=folder, mend="Check its weights."
            )
        return np.asarray(vectors, dtype=np.float32)

    versions = f"{sentence_transformers.__version__}, {torch.__version__}"
    identity = f"text, {content_hash(folder)}, {versions}, {device}, {_BATCH}"
    return encode_in_blocks(texts, compute, identity, str.encode, keep, _BLOCK, "text")


def sentence_folder(model_name: str) -> Path:
    """Returns the folder of a model; the organisation of sentence-transformers may be left out.

    Raises:
        InputError: the model is not on this machine.
    """
    plain = "/" not in model_name and not Path(model_name).exists()
    return model_folder(f"{_ORGANISATION}/{model_name}" if plain else model_name)


def _load(folder: Path, device: str) -> Any:
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(str(folder), device=device)
    except Exception as error:  # whatever a damaged or foreign folder makes the library raise
        raise InputError(
            f"cannot be loaded by sentence-transformers ({error})",
            where=folder,
            mend="Give the folder of a sentence encoder, whole.",
        ) from error
