from __future__ import annotations

import os
import tempfile

import pytest

from recbole_guider.data import fingerprint as module
from recbole_guider.data.fingerprint import file_hash, fingerprint, unchanged_hash
from recbole_guider.errors import InputError
from recbole_guider.replacing import replacing


@pytest.fixture
def folder(tmp_path):
    for name in ("toy.inter", "toy.itemtext", "toy.itemimage"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize("name", ["toy.inter", "toy.itemtext", "toy.itemimage"])
def test_every_byte_counts(folder, name):
    before = fingerprint(folder, "toy")
    (folder / name).write_text(name + "x")
    assert fingerprint(folder, "toy") != before


@pytest.mark.parametrize("name", ["toy.itemaudio", "toy.train.inter", "toy.item", "toy.user"])
def test_a_new_data_file_counts(folder, name):
    before = fingerprint(folder, "toy")
    (folder / name).write_text("")
    assert fingerprint(folder, "toy") != before


@pytest.mark.parametrize(
    "name", ["toy.itemtext.0123.npy", "toy.manifest.json", "other.inter", "toys.inter"]
)
def test_side_cars_and_foreign_files_do_not_count(folder, name):
    before = fingerprint(folder, "toy")
    (folder / name).write_text("")
    assert fingerprint(folder, "toy") == before


def test_another_name_is_another_data_set(folder):
    before = fingerprint(folder, "toy")
    (folder / "toy.itemtext").rename(folder / "toy.itemwords")
    assert fingerprint(folder, "toy") != before


def test_the_folder_and_the_times_do_not_count(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    os.utime(other / "toy.inter", (1, 1))
    assert fingerprint(other, "toy") == fingerprint(folder, "toy")


def test_unchanged_files_are_not_read_again(folder, monkeypatch):
    before = fingerprint(folder, "toy")
    monkeypatch.setattr(module, "file_hash", lambda path: pytest.fail(f"{path} was read"))
    assert fingerprint(folder, "toy") == before


@pytest.mark.parametrize("content", ["{", "[]", '{"toy.inter": 3}', '{"toy.inter": [1]}'])
def test_a_damaged_cache_is_made_again(folder, content):
    before = fingerprint(folder, "toy")
    (folder / ".toy.hashes.json").write_text(content)
    assert fingerprint(folder, "toy") == before


def test_a_read_only_folder_is_hashed_without_a_cache(folder, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    expected = fingerprint(folder, "toy")
    (folder / ".toy.hashes.json").unlink()
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    assert fingerprint(folder, "toy") == expected
    assert not (folder / ".toy.hashes.json").exists()


def test_replacing_keeps_the_old_file_when_the_block_fails(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(TypeError), replacing(path) as stream:
        stream.write("text into a binary stream")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with replacing(path) as stream:
        stream.write(b"new")
    assert path.read_text() == "new"


def test_file_hash_is_sha256(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert file_hash(path).startswith("ba7816bf8f01cfea414140de5dae2223")


def test_any_part_and_any_additional_file_count(tmp_path):
    for name in ("hy.train-a.inter", "hy.userfeat", "hy.item"):
        (tmp_path / name).write_text("a")
        before = fingerprint(tmp_path, "hy")
        (tmp_path / name).write_text("b")
        assert fingerprint(tmp_path, "hy") != before, name


def test_a_copy_that_keeps_the_times_is_noticed(tmp_path):
    import os

    path = tmp_path / "hy.inter"
    path.write_text("a")
    before, stamp = fingerprint(tmp_path, "hy"), path.stat()
    path.write_text("b")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert fingerprint(tmp_path, "hy") != before


def test_an_unreadable_folder_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        fingerprint(tmp_path / "nowhere", "hy")


def test_a_kept_hash_is_read_for_an_unchanged_file_only(folder, monkeypatch):
    path = folder / "toy.itemtext"
    assert unchanged_hash(path) == file_hash(path)
    assert not (folder / ".toy.hashes.json").exists()  # only fingerprint keeps hashes
    fingerprint(folder, "toy")
    expected = file_hash(path)
    with monkeypatch.context() as patched:
        patched.setattr(module, "file_hash", lambda path: pytest.fail(f"{path} was read"))
        assert unchanged_hash(path) == expected
    path.write_text("other")
    assert unchanged_hash(path) == file_hash(path)
