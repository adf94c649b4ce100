from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from recbole_guider.data.prepare.text import sentence_embeddings, tfidf_svd
from recbole_guider.errors import InputError

TEXTS = ["red shoes", "red shoe", "blue hat", "hat, blue", "café crème", "cafe creme", "umbrella"]


def test_similar_texts_get_similar_vectors_accents_aside():
    vectors = tfidf_svd(TEXTS, width=4, seed=0)
    assert vectors.shape == (7, 4)
    assert np.allclose(vectors[4], vectors[5])
    similarity = vectors @ vectors.T
    assert similarity[0, 1] > 5 * abs(similarity[0, 2])
    assert np.linalg.norm(vectors, axis=1).max() <= 1 + 1e-5


def test_signs_and_rounding_are_fixed():
    vectors = tfidf_svd(TEXTS, width=4, seed=0)
    largest = np.abs(vectors).argmax(axis=0)
    assert (vectors[largest, range(4)] > 0).all()
    assert np.array_equal(vectors, np.round(vectors, 6))
    assert not np.signbit(vectors[vectors == 0]).any()
    assert np.array_equal(vectors, tfidf_svd(TEXTS, width=4, seed=0))


def test_signs_do_not_depend_on_the_library(monkeypatch):
    from sklearn.decomposition import TruncatedSVD

    expected = tfidf_svd(TEXTS, width=4, seed=0)
    original = TruncatedSVD.fit_transform
    monkeypatch.setattr(TruncatedSVD, "fit_transform", lambda self, terms: -original(self, terms))
    assert np.array_equal(tfidf_svd(TEXTS, width=4, seed=0), expected)


@pytest.mark.parametrize("width", [0, 7, 1000])
def test_a_width_that_does_not_fit_is_refused(width):
    with pytest.raises(InputError, match="Choose a width from 1 to 6"):
        tfidf_svd(TEXTS, width=width, seed=0)


def test_sentence_embeddings_use_the_named_model(monkeypatch):
    fake = ModuleType("sentence_transformers")

    class SentenceTransformer:
        def __init__(self, name):
            self.name = name

        def encode(self, texts, convert_to_numpy):
            return np.array([[len(text), len(self.name)] for text in texts], dtype=np.float64)

    fake.SentenceTransformer = SentenceTransformer
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)
    vectors = sentence_embeddings(("a", "bcd"), "mini")
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1, 4], [3, 4]]


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match=r"pip install recbole_guider\[text\]"):
        sentence_embeddings(["a"])
