"""Method Base: the backbone as its authors train it."""

from __future__ import annotations

from recbole_guider.registry import method
from recbole_guider.trainer.base import MethodTrainer


@method("Base")
class BaseTrainer(MethodTrainer):
    """No denoising: mean BPR, or the backbone's own positive term."""
