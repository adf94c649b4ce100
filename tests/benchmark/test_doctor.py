"""The doctor tells what is wrong with a machine, in one line each, and raises nothing."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import shutil
import sys
import types

import pytest

from recbole_guider.benchmark import doctor, requirements
from recbole_guider.benchmark.doctor import examine
from recbole_guider.benchmark.requirements import Finding, importable, packages


def line(text, start):
    found = [one for one in text.splitlines() if one.startswith(start)]
    assert len(found) == 1, text
    return found[0]


@pytest.fixture
def healthy(monkeypatch):
    """Spares the tests of other things the look at every package."""
    monkeypatch.setattr(doctor, "packages", lambda: [Finding("torch", "9.9")])
    monkeypatch.setattr(doctor, "importable", lambda _: "")


def test_the_machine_that_runs_the_tests_can_run_the_suite(tmp_path):
    text, fine = examine(tmp_path / "results", tmp_path / "data")
    assert fine, text
    assert text.splitlines()[-1] == "This machine can run the suite."
    for pin in ("recbole", "torch", "numpy", "scipy", "pandas", "setuptools"):
        assert f"{importlib.metadata.version(pin)} (needs " in line(text, f"{pin} ")
    assert "locks work" in line(text, "results folder ")
    assert list(tmp_path.iterdir()) == []  # nothing stays behind


def test_the_requirements_are_the_projects_own(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["of an earlier install"])
    own = requirements.requirements()
    assert "recbole==1.2.1" in own
    assert any(one.startswith("numpy") and "<2" in one for one in own)
    assert any(one.startswith("sentence-transformers") and 'extra == "text"' in one for one in own)
    monkeypatch.setattr(requirements, "_PYPROJECT", tmp_path / "absent")
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["numpy<2"])
    assert requirements.requirements() == ["numpy<2"]

    def not_installed(_):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "requires", not_installed)
    assert requirements.requirements() == []


def test_a_package_of_another_version_is_a_problem_with_its_mend(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "2.1.0")
    (found,) = packages(["numpy>=1.22,<2"])
    assert found.problem == "numpy 2.1.0 does not satisfy <2,>=1.22"
    assert found.mend == 'Run: pip install "numpy<2,>=1.22"'


def test_a_missing_package_is_a_problem_unless_it_is_optional():
    needed, optional = packages(["no-such-package>=3", 'none-such>=1; extra == "text"'])
    assert needed.problem == "no-such-package is not installed"
    assert (optional.problem, optional.mend) == ("", "")
    assert "not installed; optional: pip install 'recbole_guider[text]'" in optional.found
    assert list(packages(['none-such; extra == "test"', 'x; python_version < "3"'])) == []


@pytest.mark.parametrize("raised", ["ImportError('a\\nb')", "SystemExit(3)", "AttributeError()"])
def test_what_cannot_be_imported_is_one_line(monkeypatch, tmp_path, raised):
    (tmp_path / "broken_package.py").write_text(f"raise {raised}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "1.0")
    (found,) = packages(["broken-package"])
    assert found.problem.startswith(f"broken-package 1.0 cannot be imported ({raised[:9]}")
    assert "\n" not in found.problem
    assert importable("json") == ""


def test_another_python_is_a_problem(monkeypatch):
    monkeypatch.setattr(requirements.platform, "python_version", lambda: "3.14.0")
    assert "does not satisfy" in requirements.python_version().problem


def test_a_problem_is_told_with_the_verdict(monkeypatch, tmp_path, healthy):
    broken = Finding("numpy", "2.0 (needs <2)", "numpy 2.0 does not satisfy <2", "Run: pip")
    monkeypatch.setattr(doctor, "packages", lambda: [broken])
    text, fine = examine(tmp_path, tmp_path)
    assert not fine
    assert text.splitlines()[-2:] == [
        "problem: numpy 2.0 does not satisfy <2. Run: pip",
        "This machine cannot run the suite: 1 problem.",
    ]


def test_a_check_that_breaks_off_does_not_stop_the_others(monkeypatch, tmp_path, healthy):
    def fail():
        raise ModuleNotFoundError("No module named 'packaging'", name="packaging")

    monkeypatch.setattr(doctor, "packages", fail)
    text, fine = examine(tmp_path, tmp_path)
    assert not fine
    assert "ModuleNotFoundError: No module named 'packaging'). Run: pip install packaging" in text
    assert line(text, "results folder ")


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOSPC, errno.EROFS])
def test_a_folder_that_cannot_be_written_is_a_problem(monkeypatch, tmp_path, healthy, code):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    text, fine = examine(tmp_path / "results", tmp_path)
    assert not fine
    assert f"results cannot be written or locked ({os.strerror(code)}). Choose another" in text
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_a_problem(tmp_path, healthy):
    (tmp_path / "results").write_text("mine")
    text, fine = examine(tmp_path / "results" / "inner", tmp_path)
    assert not fine
    assert f"problem: {tmp_path / 'results'} is no folder. Choose another" in text


def test_a_nearly_full_disk_and_little_memory_are_problems(monkeypatch, tmp_path, healthy):
    usage = types.SimpleNamespace(free=5 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(doctor, "_MEMORY", 1e9)
    text, fine = examine(tmp_path / "results", tmp_path)
    assert not fine
    assert f"problem: only 5 MiB are free for {tmp_path / 'results'}. Choose" in text
    assert "GiB of memory are free. Free 1e+09 GiB" in text
    assert text.endswith("2 problems.")


def test_without_locks_one_runner_at_a_time_is_advised(monkeypatch, tmp_path, healthy):
    monkeypatch.setattr("recbole_guider.benchmark.lock.fcntl", None)
    text, fine = examine(tmp_path / "results", tmp_path)
    assert fine
    assert "no locks, so use one runner at a time" in line(text, "results folder ")


def test_gpus_are_named_with_their_memory(monkeypatch, tmp_path, healthy):
    device = types.SimpleNamespace(name="A GPU", total_memory=80 * 2**30)
    cuda = types.SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 2, get_device_properties=lambda _: device
    )
    torch = types.SimpleNamespace(cuda=cuda, version=types.SimpleNamespace(cuda="12.4"))
    monkeypatch.setitem(sys.modules, "torch", torch)
    text, _ = examine(tmp_path, tmp_path)
    assert line(text, "GPUs ").endswith("A GPU (80 GiB), A GPU (80 GiB); CUDA 12.4")
    cuda.is_available = lambda: False
    text, fine = examine(tmp_path, tmp_path)
    assert fine
    assert "torch is made for CUDA 12.4, but finds no device" in line(text, "GPUs ")


def test_data_sets_are_told_by_what_must_be_done_for_them(tmp_path, healthy):
    folder = tmp_path / "data" / "own"
    folder.mkdir(parents=True)
    (folder / "own.inter").touch()
    found = line(examine(tmp_path, tmp_path / "data")[0], "data sets ")
    assert f"installed in {tmp_path / 'data'}: own; made on first use: ml-100k; not" in found
    assert "baby" in found.split("not installed: ")[1]
