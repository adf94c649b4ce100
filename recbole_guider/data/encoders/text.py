"""Text features of items: TF-IDF with a truncated SVD, or a sentence encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recbole_guider.data.encoders.local_model import content_hash
from recbole_guider.data.encoders.sentence_model import sentence_folder, sentence_vectors
from recbole_guider.errors import InputError

TFIDF = "tfidf"  # the encoder that needs no model


def tfidf_svd(texts: Sequence[str], width: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns the leading ``width`` directions of the texts' TF-IDF matrix.

    Terms are character 3- to 5-grams inside words: titles are so short that most words occur
    once, and with whole words one title in five would end near the zero vector. Signs are fixed
    (the largest entry of a direction is positive) and values rounded to six decimals, far above
    what libraries for linear algebra differ by, so that other machines get the same numbers.

    Args:
        texts: one text per item.
        width: number of directions, smaller than the number of texts and of terms.
        seed: seed of the randomised SVD.

    Returns:
        float64 [n_texts, width]; a row's length is at most 1.

    Raises:
        InputError: the width is not below the number of texts or terms.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    terms = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), strip_accents="unicode", sublinear_tf=True
    ).fit_transform(texts)
    if not 0 < width < min(terms.shape):
        raise InputError(
            f"text width {width} does not fit {terms.shape[0]} texts with {terms.shape[1]} terms",
            mend=f"Choose a width from 1 to {min(terms.shape) - 1}",
        )
    vectors = TruncatedSVD(width, n_iter=10, random_state=seed).fit_transform(terms)
    largest = np.abs(vectors).argmax(axis=0)
    vectors *= np.where(vectors[largest, np.arange(width)] < 0, -1.0, 1.0)
    rounded: np.ndarray[Any, np.dtype[np.float64]] = np.round(vectors, 6) + 0.0  # no -0
    return rounded


def encode(
    texts: Sequence[str], encoder: str, *, width: int, seed: int, keep: Path | None
) -> tuple[np.ndarray[Any, np.dtype[np.float32]], str]:
    """Returns a vector for each text by ``tfidf``, or by a model for sentence-transformers.

    Args:
        texts: one text per item, none empty.
        encoder: ``tfidf``, a model's folder, or the name of a model that the hub's cache holds.
        width: values in a vector of ``tfidf``; a model has a width of its own.
        seed: of ``tfidf``; a model draws nothing.
        keep: a folder for a model's finished blocks, by which an interrupted run goes on.

    Returns:
        float32 [n_texts, width], and for the manifest what made them: of a model its name, not its
        place, and a hash of its content.

    Raises:
        InputError: the width does not fit, or the model cannot be used.
    """
    if encoder == TFIDF:
        about = f"TF-IDF of character 3-5-grams, truncated SVD, seed {seed}"
        return tfidf_svd(texts, width, seed).astype(np.float32), about
    rows = sentence_embeddings(texts, encoder, keep)
    folder = sentence_folder(encoder)
    name = folder.name if Path(encoder).expanduser().is_dir() else encoder
    return rows, f"{name}, {content_hash(folder)[:16]}"


def sentence_embeddings(
    texts: Sequence[str],
    model_name: str = "sentence-transformers/all-MiniLM-L6-v2",
    keep: Path | None = None,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Returns the vectors of a sentence encoder; see ``sentence_model.sentence_vectors``."""
    return sentence_vectors(texts, model_name, keep)
