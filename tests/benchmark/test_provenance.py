"""A record says what code, versions and hardware made it; records from before still read."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import types

import pytest
from test_store import KEY, make_cell, make_result

from recbole_guider.benchmark import provenance, record
from recbole_guider.benchmark.store import Store


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git checkout of one commit that looks like the suite's."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "checkout"
    (folder / "recbole_guider").mkdir(parents=True)
    (folder / "recbole_guider" / "model.py").write_text("one = 1\n")
    (folder / "pyproject.toml").write_text("")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def git(folder, *arguments):
    named = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *named, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_clean_checkout_tells_its_commit(checkout):
    found = provenance.source_of(checkout)
    assert found == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False}


@pytest.mark.parametrize(
    ("changed", "dirty"),
    [
        ("recbole_guider/model.py", True),
        ("recbole_guider/new.py", True),
        ("properties/model/New.yaml", True),
        ("pyproject.toml", True),
        ("leaderboard/table2.md", False),
        ("README.md", False),
    ],
)
def test_dirty_is_what_could_change_a_number(checkout, changed, dirty):
    path = checkout / changed
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed")
    assert provenance.source_of(checkout)["dirty"] is dirty


def test_another_repository_named_in_the_environment_is_not_asked(checkout, tmp_path, monkeypatch):
    own = provenance.source_of(checkout)
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert provenance.source_of(checkout) == own


def test_without_git_or_a_checkout_or_a_commit_nothing_is_told(checkout, tmp_path, monkeypatch):
    assert provenance.source_of(tmp_path) == {}
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "pyproject.toml").touch()
    git(fresh, "init", "-q")
    assert provenance.source_of(fresh) == {}
    (fresh / ".git" / "HEAD").write_text("nonsense")
    assert provenance.source_of(fresh) == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.source_of(checkout) == {}


def test_the_runner_tells_its_processes_once(monkeypatch):
    told = {"commit": "f" * 40, "dirty": True}
    provenance.source.cache_clear()
    monkeypatch.setenv(provenance.SOURCE_VARIABLE, json.dumps(told))
    try:
        assert provenance.source() == told
        monkeypatch.setattr(provenance, "source_of", lambda _: pytest.fail("git is asked again"))
        assert provenance.source() == told
        for damaged in ("{", "7"):
            provenance.source.cache_clear()
            monkeypatch.setenv(provenance.SOURCE_VARIABLE, damaged)
            assert provenance.source() == {}
    finally:
        provenance.source.cache_clear()


def test_gpu_memory_is_told_only_by_a_process_that_used_one(monkeypatch):
    used = types.SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 2,
        max_memory_allocated=lambda device: (device + 1) * 2**20,
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=used))
    assert provenance.peak_gpu_memory_mb() == 3.0
    used.is_initialized = lambda: False
    assert provenance.peak_gpu_memory_mb() is None
    monkeypatch.delitem(sys.modules, "torch")
    assert provenance.peak_gpu_memory_mb() is None


def test_a_record_holds_what_made_it_and_nothing_of_the_host(tmp_path, monkeypatch):
    made = {"commit": "c" * 40, "dirty": True}
    monkeypatch.setattr(record, "source", lambda: made)
    monkeypatch.setattr(record, "peak_gpu_memory_mb", lambda: 12.5)
    store = Store(tmp_path / "results").open()
    result = make_result()
    home = os.path.expanduser("~")
    result["config"].update(
        data_path=f"{home}/dataset", checkpoint_dir=home, dataset_save_path=home
    )
    store.write(make_cell(), result)
    found = store.read(KEY)
    assert found.config == make_result()["config"]
    assert found.source == made
    assert found.peak_gpu_memory_mb == 12.5
    assert set(found.hardware) == {"machine", "cpu", "cores", "gpu", "threads"}
    assert {"python", "torch", "numpy", "recbole", "results"} <= set(found.versions)
    # Versions stand in published pages, which must not change with every commit.
    assert not {"commit", "dirty", "source"} & set(found.versions)
    text = gzip.decompress((store.folder / f"{KEY}.json.gz").read_bytes()).decode()
    for private in (os.uname().nodename, home):
        assert f'"{private}' not in text


def test_a_record_from_before_these_fields_still_reads(tmp_path):
    store = Store(tmp_path / "results").open()
    store.write(make_cell(), make_result())
    path = store.folder / f"{KEY}.json.gz"
    content = record.unpacked(path.read_bytes())
    for later in ("source", "peak_gpu_memory_mb"):
        del content[later]
    content["checksum"] = record.checksum(content)
    path.write_bytes(record.packed(content))
    found = store.read(KEY)
    assert found.source == {}
    assert found.peak_gpu_memory_mb is None
    assert found.test == {"recall@20": 0.25}


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    assert 1 <= provenance.usable_cores() <= len(os.sched_getaffinity(0))
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # joblib's own limit, beside a container's quota
    assert provenance.usable_cores() == 1
