"""RecBole's trainer writes ./log_tensorboard unasked; here it is a choice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import recbole.trainer.trainer as recbole_trainer


class SilentWriter:
    """Stands in for a tensorboard writer and writes nothing."""

    def add_scalar(self, *args: Any, **kwargs: Any) -> None:
        """Ignores the value."""

    def add_hparams(self, *args: Any, **kwargs: Any) -> None:
        """Ignores the values."""


@contextmanager
def chosen_tensorboard(wanted: bool) -> Iterator[None]:
    """While RecBole's trainer is built, gives it a silent writer unless tensorboard is wanted."""
    original = recbole_trainer.get_tensorboard
    if not wanted:
        recbole_trainer.get_tensorboard = lambda _logger: SilentWriter()
    try:
        yield
    finally:
        recbole_trainer.get_tensorboard = original
