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
    """Registers as soon as RecBole is there and none of our modules is half imported."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Watches imports of RecBole's modules; finds nothing itself."""
        recbole = sys.modules.get("recbole")
        if fullname.startswith("recbole.") and recbole is not None and not _half_imported():
            sys.meta_path.remove(self)
            register()
        return None


def _half_imported() -> bool:
    """Whether a module of RecBole or of this suite is being imported right now."""
    own = ("recbole_guider", "recbole")
    return any(
        getattr(module.__spec__, "_initializing", False)
        for name, module in list(sys.modules.items())
        if name.split(".")[0] in own and name not in own and hasattr(module, "__spec__")
    )


if any(name.startswith("recbole.") for name in sys.modules) and not _half_imported():
    register()
else:
    sys.meta_path.insert(0, _RegisterWithRecBole())
