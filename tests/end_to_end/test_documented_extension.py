"""docs/extending.md: its files, put where it says, make a backbone and a method."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The package and its properties beside the page's files."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("recbole_guider", "properties"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    files = dict(BLOCK.findall((ROOT / "docs" / "extending.md").read_text(encoding="utf-8")))
    assert len(files) == 4
    for path, content in files.items():
        assert not (folder / path).exists(), path
        (folder / path).write_text(content, encoding="utf-8")
    return folder


def python(folder, *arguments):
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("backbone", "method"), [("ContentMF", "Capped"), ("BM3", "Capped"), ("ContentMF", "GUIDER")]
)
def test_the_documented_files_train(backbone, method, checkout, tiny_data_path):
    ended = python(
        checkout,
        "recbole_guider",
        f"--model={backbone}",
        "--dataset=tiny",
        f"--method={method}",
        f"--data_path={tiny_data_path}",
        "--epochs=2",
        *(["--warmup_epochs=1"] if method == "GUIDER" else []),
    )
    assert ended.returncode == 0, ended.stderr
    assert "recall@20" in ended.stdout.lower() + ended.stderr.lower()


def test_a_value_outside_the_documented_rule_is_refused(checkout, tiny_data_path):
    named = ["--model=ContentMF", "--dataset=tiny", "--method=Capped"]
    where = f"--data_path={tiny_data_path}"
    ended = python(checkout, "recbole_guider", *named, where, "--largest_loss=0")
    assert ended.returncode == 2
    assert "largest_loss" in ended.stderr


def test_the_documented_files_pass_the_linter(checkout):
    """They are what users start from."""
    paths = [path for path, _ in BLOCK.findall((ROOT / "docs" / "extending.md").read_text())]
    sources = [path for path in paths if path.endswith(".py")]
    settings = f"--config={ROOT / 'pyproject.toml'}"
    ended = python(checkout, "ruff", "check", settings, *sources)
    assert ended.returncode == 0, ended.stdout
    ended = python(checkout, "ruff", "format", "--check", settings, *sources)
    assert ended.returncode == 0, ended.stdout
