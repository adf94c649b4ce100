"""Checkpoints without pickled objects: weights, optimizer, random state, epoch, best so far."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recbole_guider.errors import InputError
from recbole_guider.replacing import replacing

FORMAT = 1


def random_state() -> dict[str, Any]:
    """Returns the state of torch's and numpy's global generators as plain tensors."""
    kind, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": {
            "kind": str(kind),
            "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Puts back what ``random_state`` returned."""
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])
    numpy_state = state["numpy"]
    np.random.set_state(
        (
            numpy_state["kind"],
            numpy_state["keys"].cpu().numpy().astype(np.uint32),
            numpy_state["position"],
            numpy_state["has_gauss"],
            numpy_state["cached"],
        )
    )


def save(path: str | Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint, whole or not at all."""
    with replacing(Path(path)) as stream:
        torch.save({"format": FORMAT, **state}, stream)


def load(path: str | Path, device: Any) -> dict[str, Any]:
    """Reads a checkpoint, without running code from it.

    Raises:
        InputError: the file is missing, damaged, or not a checkpoint of this suite.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=path, mend="Check the path."
        ) from error
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(
            "is damaged or no checkpoint of this suite", where=path, mend="Train the model again."
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError(
            "is no checkpoint of this suite", where=path, mend="Train the model again."
        )
    return state


def refuse_other_data(state: dict[str, Any], data_hash: str, path: str | Path) -> None:
    """Another split may hold in its test what the checkpoint was trained on.

    Raises:
        InputError: the checkpoint ``state``, read from ``path``, is of other data.
    """
    if state["data"] != data_hash:
        raise InputError(
            "was trained on other data",
            where=path,
            mend=f"Install the data set {state['config']['dataset']} that it was trained on.",
        )
