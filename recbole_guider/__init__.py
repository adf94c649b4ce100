"""recbole_guider: one benchmark suite of denoising multi-modal recommenders on RecBole.

Importing it costs nothing: registration with RecBole happens when RecBole itself is imported,
before or after.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

__all__ = ["register"]


def register() -> None:
    """Makes RecBole find this suite's backbones and methods (see ``registration``)."""
    from recbole_guider.registration import register as register_with_recbole

    register_with_recbole()


class _RegisterWithRecBole(importlib.abc.MetaPathFinder):
    """Registers as soon as a module of RecBole is complete and no other is half imported."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Finds RecBole's modules as usual, and looks at the time once each is complete."""
        if not fullname.startswith("recbole."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_then_register(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path and not _half_imported(besides=fullname):
                sys.meta_path.remove(self)
                register()

        spec.loader.exec_module = execute_then_register  # type: ignore[method-assign]
        return spec


def _half_imported(besides: str = "") -> bool:
    """Whether a module of RecBole or of this suite is being imported right now."""
    return any(
        getattr(getattr(module, "__spec__", None), "_initializing", False)
        for name, module in list(sys.modules.items())
        if name.startswith(("recbole.", "recbole_guider.")) and name != besides
    )


if any(name.startswith("recbole.") for name in sys.modules) and not _half_imported():
    register()
else:
    sys.meta_path.insert(0, _RegisterWithRecBole())
