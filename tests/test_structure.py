"""The layout's promises: direction of imports, packages listed, light modules stay light."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "recbole_guider"

# Data flows one way; a part may import itself and what stands before it.
ORDER = [
    {"allocator", "errors", "replacing"},
    {"property_rules", "kernels"},
    {"property_layers"},
    {"registry", "command_line"},
    {"data"},
    {"evaluator", "guider"},
    {"config"},
    {"model", "trainer"},
    {"registration"},
    {"quick_start"},
    {"benchmark"},
    {"report"},
    {"cli", "__main__"},
]
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}


def imports(path: Path) -> list[tuple[str, bool]]:
    """Absolute modules that a file imports, and whether at import time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) not in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, id(node) not in inside))
    return found


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(path for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_earlier_imports_what_comes_later(path):
    part = part_of(path)
    if part == "__init__":
        return
    for module, at_import in imports(path):
        target = re.match(r"recbole_guider\.(\w+)", module)
        if target and at_import:
            assert RANK[target.group(1)] <= RANK[part], f"{part} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_kernels_are_plain_torch_and_reports_know_neither_torch_nor_recbole(path):
    names = {module.split(".")[0] for module, _ in imports(path)}
    if part_of(path) == "kernels":
        assert not names & {"recbole", "pandas"}
    if part_of(path) == "report":
        assert not names & {"recbole", "torch"}


def test_every_package_is_installed():
    listed = set(re.findall(r'"(recbole_guider[\w.]*)",', (ROOT / "pyproject.toml").read_text()))
    here = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")
    } | {"recbole_guider.properties"}
    assert here <= listed


def test_no_file_outgrows_a_few_screens():
    long = {str(path): n for path in FILES if (n := len(path.read_text().splitlines())) > 360}
    assert not long


def test_no_catch_all_module():
    names = {path.stem for path in FILES}
    assert not names & {"utils", "helpers", "common", "misc"}


def test_the_rooms_of_data_know_only_what_they_build_on():
    """Commands stand last; encoders and readers of raw files know no data set's folder."""
    rooms = {"encoders": ("files", "prepare", "commands"), "prepare": ("commands", "dataset"),
             "prepare/reading": ("files", "encoders", "commands"), "files": ("commands", "dataset"),
             "": ("commands",)}  # fmt: skip
    for room, strangers in rooms.items():
        for path in (PACKAGE / "data" / room).glob("*.py"):
            for module, _ in imports(path):
                known = re.match(r"recbole_guider\.data\.(\w+)", module)
                if known and path.name != "__main__.py":
                    assert known.group(1) not in strangers, f"{path} imports {module}"
