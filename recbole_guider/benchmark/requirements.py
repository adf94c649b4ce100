"""What the suite's own metadata require, and whether what is installed satisfies it."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import platform
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_DISTRIBUTION = "recbole_guider"
_PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
# Distributions whose module has another name.
_MODULES = {"scikit-learn": "sklearn", "pyyaml": "yaml"}
# An entry of a TOML file that is a list of texts, which Python reads the same way.
_LIST = re.compile(r"^([\w-]+) = (\[.*?\])\s*(?:#[^\n]*)?$", re.MULTILINE | re.DOTALL)


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        what: its name.
        found: what it is like, in a few words.
        problem: why the suite cannot run like that; empty where it can.
        mend: what to do about the problem.
    """

    what: str
    found: str
    problem: str = ""
    mend: str = ""


def python_version() -> Finding:
    """Compares the running Python with the versions that the suite works with."""
    from packaging.specifiers import SpecifierSet

    needed, found = _needed_python(), platform.python_version()
    fits = not needed or SpecifierSet(needed).contains(found, prereleases=True)
    return Finding(
        "Python",
        _with_need(found, needed),
        "" if fits else f"Python {found} does not satisfy {needed}",
        "" if fits else "Make a virtual environment with a Python in that range.",
    )


def packages(required: Sequence[str] | None = None) -> Iterator[Finding]:
    """Yields a finding for each requirement: is it installed, of a version that fits, importable?

    Args:
        required: requirements; None for the suite's own. Those of extras are optional.
    """
    from packaging.requirements import Requirement

    for text in requirements() if required is None else required:
        one = Requirement(text)
        extra = re.search(r"""extra\s*==\s*["']([^"']+)""", str(one.marker or ""))
        if extra is None and (one.marker is None or one.marker.evaluate()):
            yield _package(one.name, str(one.specifier))
        elif extra is not None and extra.group(1) != "test":
            yield _optional(one.name, extra.group(1))


def requirements() -> list[str]:
    """Returns the suite's requirements, as the metadata of an installed package write them.

    A checkout's own pyproject.toml comes first: metadata made from an earlier one stay as they
    were until the next ``pip install``.
    """
    from_checkout = _from_pyproject()
    if from_checkout:
        return from_checkout
    try:
        return list(importlib.metadata.requires(_DISTRIBUTION) or [])
    except importlib.metadata.PackageNotFoundError:
        return []


def importable(module: str) -> str:
    """Returns why a module cannot be imported, in one line; empty where it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a broken package may raise anything, SystemExit too
        return " ".join(f"{type(error).__name__}: {error}".split())
    return ""


def _package(name: str, needed: str) -> Finding:
    from packaging.specifiers import SpecifierSet

    mend = f'Run: pip install "{name}{needed}"'
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, _with_need("not installed", needed), f"{name} is not installed", mend)
    shown = _with_need(found, needed)
    if not SpecifierSet(needed).contains(found, prereleases=True):
        return Finding(name, shown, f"{name} {found} does not satisfy {needed}", mend)
    failure = importable(_MODULES.get(name.lower(), name.replace("-", "_")))
    if failure:
        mend = f'Run: pip install --force-reinstall "{name}{needed}"'
        return Finding(name, shown, f"{name} {found} cannot be imported ({failure})", mend)
    return Finding(name, shown)


def _optional(name: str, extra: str) -> Finding:
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found = f"not installed; optional: pip install '{_DISTRIBUTION}[{extra}]'"
    return Finding(name, found)


def _with_need(found: str, needed: str) -> str:
    return f"{found} (needs {needed})" if needed else found


def _needed_python() -> str:
    found = re.search(r'^requires-python = "(.+)"$', _pyproject(), re.MULTILINE)
    if found:
        return found.group(1)
    try:
        return str(importlib.metadata.metadata(_DISTRIBUTION)["Requires-Python"] or "")
    except (importlib.metadata.PackageNotFoundError, KeyError):
        return ""


def _from_pyproject() -> list[str]:
    """Reads a checkout's requirements without a TOML reader, which Python has from 3.11 on."""
    own, _, extras = _pyproject().partition("\n[project.optional-dependencies]\n")
    found = [one for name, texts in _LIST.findall(own) if name == "dependencies"
             for one in ast.literal_eval(texts)]  # fmt: skip
    for extra, texts in _LIST.findall(extras.partition("\n[")[0]):
        found += [f'{one}; extra == "{extra}"' for one in ast.literal_eval(texts)]
    return found


def _pyproject() -> str:
    """Returns the text of pyproject.toml beside the package; nothing where it is installed."""
    try:
        return _PYPROJECT.read_text(encoding="utf-8")
    except OSError:
        return ""
