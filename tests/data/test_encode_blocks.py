"""Blocks of encoded inputs: what is finished is not computed again, and nothing else is used."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from recbole_guider.data.encoders.blocks import encode_in_blocks
from recbole_guider.data.encoders.local_model import content_hash, model_folder
from recbole_guider.errors import InputError

TEXTS = [f"text {n}" for n in range(10)]


class Model:
    """Two numbers a text; stops like a killed run after ``limit`` blocks."""

    def __init__(self, limit=100):
        self.blocks, self.limit = [], limit

    def __call__(self, block):
        if len(self.blocks) == self.limit:
            raise KeyboardInterrupt
        self.blocks.append(list(block))
        return np.array([[len(text), sum(map(ord, text)) / 7] for text in block])


def run(model, keep, texts=TEXTS, identity="model 1"):
    return encode_in_blocks(texts, model, identity, str.encode, keep, 4, "text")


def test_rows_are_the_models_in_order_with_and_without_a_folder(tmp_path):
    expected = Model()(TEXTS).astype(np.float32)
    for keep in (None, tmp_path / "kept"):
        rows = run(Model(), keep)
        assert rows.dtype == np.float32
        assert np.array_equal(rows, expected)
    assert len(list((tmp_path / "kept").iterdir())) == 3


def test_an_interrupted_run_goes_on_and_ends_in_the_same_bytes(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Model(limit=2), tmp_path / "kept")
    second = Model()
    rows = run(second, tmp_path / "kept")
    assert second.blocks == [TEXTS[8:]]
    assert rows.tobytes() == run(Model(), None).tobytes()


def test_another_model_or_another_text_is_computed_anew(tmp_path):
    run(Model(), tmp_path)
    other, changed, same = Model(), Model(), Model()
    run(other, tmp_path, identity="model 2")
    assert len(other.blocks) == 3
    run(changed, tmp_path, texts=[*TEXTS[:5], "new", *TEXTS[6:]])
    assert changed.blocks == [["text 4", "new", "text 6", "text 7"]]
    run(same, tmp_path)
    assert not same.blocks


def test_where_one_text_ends_and_the_next_begins_matters(tmp_path):
    run(Model(), tmp_path, texts=["ab", "c"])
    other = Model()
    run(other, tmp_path, texts=["a", "bc"])
    assert other.blocks


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY cut", None])
def test_a_damaged_block_is_computed_again(tmp_path, damage):
    expected = run(Model(), tmp_path)
    file = sorted(tmp_path.iterdir())[0]
    if damage is None:
        np.save(file, np.zeros((1, 2), dtype=np.float32))  # of another size
    else:
        file.write_bytes(damage)
    model = Model()
    assert np.array_equal(run(model, tmp_path), expected)
    assert len(model.blocks) == 1


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        run(Model(), tmp_path / "file" / "kept")


# Models on this machine


def test_a_model_that_is_not_here_is_not_fetched(tmp_path):
    assert model_folder(str(tmp_path)) == tmp_path
    with pytest.raises(InputError, match=r"not on this machine.*hf download no-one/nothing-here"):
        model_folder("no-one/nothing-here")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; expected a model's folder"):
        model_folder(str(tmp_path / "file"))


def test_the_hub_is_asked_for_its_cache_only(tmp_path, monkeypatch):
    hub, asked = ModuleType("huggingface_hub"), []
    hub.snapshot_download = lambda name, **how: asked.append((name, how)) or str(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert model_folder("someone/model") == tmp_path
    assert asked == [("someone/model", {"local_files_only": True})]


def test_a_models_hash_is_of_its_names_and_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "part").mkdir(parents=True)
        (tmp_path / name / "part" / "weights").write_text("1")
        (tmp_path / name / ".cache").write_text(name)
    first = content_hash(tmp_path / "a")
    assert content_hash(tmp_path / "b") == first
    (tmp_path / "b" / "part" / "weights").write_text("2")
    assert content_hash(tmp_path / "b") != first
    (tmp_path / "a" / "part" / "weights").rename(tmp_path / "a" / "part" / "other")
    assert content_hash(tmp_path / "a") != first
