"""A data set's figures against counting by hand, and the mean similarity against all pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_sets import INTER, content, replace, write_atomic, write_raw

from recbole_guider.data.__main__ import main
from recbole_guider.data.commands import describe as module
from recbole_guider.data.commands.describe import mean_similarity
from recbole_guider.data.fingerprint import fingerprint


@pytest.fixture
def told(tmp_path, capsys):
    def told(*options):
        capsys.readouterr()
        assert main(["describe", "toy", f"--data_path={tmp_path}", *options]) == 0
        return capsys.readouterr().out

    return told


@given(
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 3, 1 << 22]),
)
def test_mean_similarity_is_the_mean_of_all_cosines(n_rows, width, seed, block):
    values = np.random.default_rng(seed).normal(size=(n_rows, width)).astype(np.float32)
    values[0] = 0  # no direction
    lengths = np.linalg.norm(values.astype(float), axis=1, keepdims=True)
    unit = values / np.where(lengths > 0, lengths, 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_BLOCK", block)
        assert mean_similarity(values) == pytest.approx((unit @ unit.T).mean(), abs=1e-12)


def test_mean_similarity_of_known_rows():
    assert mean_similarity(np.eye(4, dtype=np.float32)) == pytest.approx(1 / 4)
    assert mean_similarity(np.array([[1.0, 0], [3, 0]])) == pytest.approx(1)
    assert mean_similarity(np.array([[1.0, 0], [-3, 0]])) == pytest.approx(0)


def test_the_content_hash_is_the_one_that_records_bear(tmp_path, told):
    toy = write_atomic(tmp_path / "toy")
    first = json.loads(told("--json"))["content hash"]
    assert first == fingerprint(toy, "toy")
    assert f"content hash {first}" in told()
    content("toy.inter", INTER + "u0\ti3\t1\t0\n")(toy)
    assert json.loads(told("--json"))["content hash"] != first


def test_figures_are_what_counting_gives(tmp_path, told):
    toy = write_atomic(tmp_path / "toy")
    content("toy.inter", INTER + "u0\ti3\t1\t0\nu0\ti1\t1\t0\n")(toy)
    found = json.loads(told("--json"))
    assert (found["users"], found["items"], found["interactions"]) == (3, 4, 7)
    assert found["sparsity"] == pytest.approx(1 - 7 / 12)
    assert found["split"] == {
        "train": {"interactions": 5, "users": 3},
        "valid": {"interactions": 1, "users": 1},
        "test": {"interactions": 1, "users": 1},
    }
    assert found["interactions per user"]["0 %"] == 1
    assert found["interactions per user"]["50 %"] == 2
    assert found["interactions per user"]["100 %"] == 4
    assert found["interactions per user"]["mean"] == pytest.approx(7 / 3)
    image = found["modalities"]["image"]
    assert (image["width"], image["rows"], image["coverage"]) == (3, 3, 0.75)
    rows = np.array([[1, 2, 3], [-4, 0.5, 6], [7, 8, 10]])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert image["mean similarity"] == pytest.approx((unit @ unit.T).mean(), abs=1e-6)
    assert found["manifest"] is None


def test_the_text_holds_the_papers_line_and_is_the_same_every_time(tmp_path, told):
    write_atomic(tmp_path / "toy")
    text = told()
    assert ["toy", "3", "3", "5", "44.444", "%"] in [line.split() for line in text.splitlines()]
    assert "image (not loaded)" in told("--modalities=[text]")
    assert told() == text


def test_a_split_drawn_at_run_time_is_said(tmp_path, told):
    toy = write_atomic(tmp_path / "toy")
    content("toy.inter", "user_id:token\titem_id:token\nu0\ti0\nu0\ti1\nu1\ti2\n")(toy)
    assert json.loads(told("--json"))["split"] == {}
    assert "draw it at run time" in told()


def test_the_manifest_is_told(tmp_path, told):
    raw = write_raw(tmp_path / "raw")
    given = ["prepare", "mmrec", "--from", str(raw), "--name", "toy", f"--data_path={tmp_path}"]
    assert main(given) == 0
    assert json.loads(told("--json"))["manifest"]["source"] == "mmrec"
    text = told()
    assert "source: mmrec" in text
    assert "features:\n    image: as given\n    text: as given\n" in text


def test_the_first_problem_stops_it(tmp_path, capsys):
    toy = write_atomic(tmp_path / "toy")
    replace("toy.inter", "u1\ti2\t1\t2", "u1\ti2\t1\t3")(toy)
    assert main(["describe", "toy", f"--data_path={tmp_path}"]) == 2
    assert "toy.inter:5: '3' in column 'x_label'" in capsys.readouterr().err
