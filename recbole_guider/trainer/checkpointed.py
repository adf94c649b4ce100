"""Saving a training run and going on with it as if it had not stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from recbole.trainer import Trainer
from recbole.utils import get_local_time

from recbole_guider.errors import InputError
from recbole_guider.trainer import checkpoint


class CheckpointedTrainer(Trainer):
    """RecBole's trainer with checkpoints that hold no pickled objects and the last epoch too."""

    data_hash = ""
    _resumed: dict[str, Any] | None = None

    def __init__(self, config: Any, model: Any) -> None:
        # RecBole looks first and makes the folder then, which fails when two cells start together.
        os.makedirs(config["checkpoint_dir"], exist_ok=True)
        super().__init__(config, model)

    def method_state(self) -> dict[str, Any]:
        """What a checkpoint must hold besides model and optimizer; tensors and plain values."""
        return {}

    def load_method_state(self, state: dict[str, Any]) -> None:
        """Puts back what ``method_state`` returned."""

    def name_checkpoint(self) -> None:
        """Gives the checkpoint a name that no other run has."""
        parts = [self.config[key] for key in ("model", "dataset", "method", "seed")]
        name = "-".join(map(str, [*parts, get_local_time(), os.getpid()]))
        self.saved_model_file = os.path.join(self.checkpoint_dir, f"{name}.pth")

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        path = Path(kwargs.pop("saved_model_file", self.saved_model_file))
        state = {
            "config": self.config.resolved,
            "epoch": epoch,
            "cur_step": self.cur_step,
            "best_epoch": self.best_epoch,
            "best_valid_score": self.best_valid_score,
            "best_valid_result": self.best_valid_result,
            "valid_curve": self.valid_curve,
            "train_loss": self.train_loss_dict,
            "seconds": self.seconds,
            "diagnostics": self.diagnostics,
            "data": self.data_hash,
            "state_dict": self.model.state_dict(),
            "best_state_dict": self.best_weights,
            "optimizer": self.optimizer.state_dict(),
            "random": checkpoint.random_state(),
            "generator": self.generator.get_state(),
            "method_state": self.method_state(),
        }
        checkpoint.save(path, state)
        if verbose:
            self.logger.info("Saving current: %s", path)

    def resume_checkpoint(self, resume_file: str) -> None:
        """Continues after the last epoch of a checkpoint, as if training had not stopped."""
        state = checkpoint.load(resume_file, self.device)
        for key in ("model", "method"):
            if state["config"][key] != self.config[key]:
                raise InputError(
                    f"holds {key} {state['config'][key]}, not {self.config[key]}",
                    where=resume_file,
                    mend=f"Choose the checkpoint of this {key}.",
                )
        self.saved_model_file = str(resume_file)
        self.start_epoch = state["epoch"] + 1
        self.cur_step = state["cur_step"]
        self.best_epoch = state["best_epoch"]
        self.best_valid_score = state["best_valid_score"]
        self.best_valid_result = state["best_valid_result"]
        self.valid_curve = state["valid_curve"]
        self.train_loss_dict = state["train_loss"]
        self.seconds, self.diagnostics = state["seconds"], state["diagnostics"]
        try:
            self.model.load_state_dict(state["state_dict"])
        except RuntimeError as error:
            raise InputError(
                "holds weights of another shape",
                where=resume_file,
                mend="Resume with the data set and properties it was trained with.",
            ) from error
        self.best_weights = state["best_state_dict"]
        self.optimizer.load_state_dict(state["optimizer"])
        self._resumed = state  # the method's own state goes back once fit has built its parts
        self.logger.info("Checkpoint loaded. Resume training from epoch %d", self.start_epoch)

    def _finish_resuming(self) -> None:
        """Puts back random states and what the method keeps, once its parts are built."""
        if self._resumed is None:
            return
        checkpoint.refuse_other_data(self._resumed, self.data_hash, self.saved_model_file)
        self.load_method_state(self._resumed["method_state"])
        self.generator.set_state(self._resumed["generator"].cpu())
        checkpoint.restore_random_state(self._resumed["random"])
        self._resumed = None
