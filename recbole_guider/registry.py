"""Which backbones and methods exist: each registers beside its class, under a unique name.

The file is found by its place (``model/`` or ``trainer/``), the class by its decorator, so adding
one touches no list anywhere else.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import Any, Callable, TypeVar

from recbole_guider.errors import InputError, nearest_name
from recbole_guider.property_layers import lineage, names

BARE = "Base"  # the method that leaves a backbone as it is
Class = TypeVar("Class", bound=type)

_BACKBONES: dict[str, type[Any]] = {}
_METHODS: dict[str, type[Any]] = {}


def _register(table: dict[str, type[Any]], kind: str, name: str, cls: Class) -> Class:
    other = table.get(name)
    if other is not None and f"{other.__module__}.{other.__qualname__}" != (
        f"{cls.__module__}.{cls.__qualname__}"
    ):
        raise ValueError(f"two {kind}s are called {name}: {other} and {cls}")
    table[name] = cls
    return cls


def backbone(cls: Class) -> Class:
    """Class decorator: registers a backbone under its class name."""
    return _register(_BACKBONES, "backbone", cls.__name__, cls)


def method(name: str) -> Callable[[Class], Class]:
    """Class decorator: registers a trainer as the method ``name`` (as the papers write it)."""
    return lambda cls: _register(_METHODS, "method", name, cls)


@functools.cache
def _import_all(package: str) -> None:
    folder = importlib.import_module(package)
    for module in pkgutil.iter_modules(folder.__path__, prefix=f"{package}."):
        importlib.import_module(module.name)


def backbones() -> dict[str, type[Any]]:
    """Returns every registered backbone by name."""
    _import_all("recbole_guider.model")
    return dict(sorted(_BACKBONES.items()))


def methods() -> dict[str, type[Any]]:
    """Returns every method's trainer class by name; a variant has that of what it extends."""
    _import_all("recbole_guider.trainer")
    found = dict(_METHODS)
    for name in names("method"):
        trainers = [_METHODS[one] for one in lineage("method", name) if one in _METHODS]
        if trainers:
            found[name] = trainers[-1]
    return dict(sorted(found.items()))


def _named(table: dict[str, type[Any]], kind: str, name: str) -> type[Any]:
    if name not in table:
        raise InputError(f"unknown {kind} '{name}'", mend=nearest_name(name, table))
    return table[name]


def backbone_class(name: str) -> type[Any]:
    """Returns the backbone of this name; InputError names the nearest known one."""
    return _named(backbones(), "backbone", name)


def trainer_class(name: str) -> type[Any]:
    """Returns the trainer of this method; InputError names the nearest known one."""
    return _named(methods(), "method", name)
