"""The file of a record's arrays is an ordinary npz, read without numpy.load's detours."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from recbole_guider.benchmark.arrays import pack, unpack


@pytest.fixture
def content():
    users = np.array([f"u{place}é" for place in range(1000)])
    values = np.random.default_rng(0).random(1000)
    return pack({"users": users, "recall@20": values, "ndcg@20": values / 3})


def test_reads_what_numpy_reads(content):
    found = unpack(content)
    with np.load(io.BytesIO(content), allow_pickle=False) as expected:
        assert list(found) == expected.files
        for name in expected.files:
            assert found[name].dtype == expected[name].dtype
            assert np.array_equal(found[name], expected[name])


def test_reads_what_has_no_users():
    found = unpack(pack({}))
    assert list(found) == ["users"]
    assert len(found["users"]) == 0


def test_equal_tokens_share_memory_and_values_do_not(content):
    other = pack({**unpack(content), "recall@20": np.zeros(1000)})
    first, second = unpack(content), unpack(other)
    assert np.shares_memory(first["users"], second["users"])
    assert not np.shares_memory(first["ndcg@20"], second["ndcg@20"])
    assert second["recall@20"].max() == 0
    assert unpack(pack({"users": np.array(["b", "a"])}))["users"].tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="read-only"):
        first["users"][0] = "x"


@pytest.mark.parametrize("damage", ["cut", "flip", "object"])
def test_what_is_no_such_file_is_a_value_error(content, damage):
    if damage == "cut":
        content = content[:-30]
    elif damage == "flip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            start = archive.getinfo("recall@20.npy").header_offset + 60
        content = content[:start] + bytes(200) + content[start + 200 :]
    else:
        stream = io.BytesIO()
        np.savez_compressed(stream, users=np.array([{}], dtype=object))
        content = stream.getvalue()
    with pytest.raises(ValueError, match=r"npz|decompressed|pickle"):
        unpack(content)
