"""Vectors of image files by a vision model of timm, from weights that are on this machine."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recbole_guider.data.encoders.blocks import Rows, encode_in_blocks
from recbole_guider.data.encoders.local_model import content_hash, model_folder
from recbole_guider.errors import InputError, nearest_name

_BLOCK = 128  # images kept together
_BATCH = 32  # images that the model sees at a time
_SHOWN = 5  # unreadable images named at a time


class VisionModel(NamedTuple):
    """An architecture and its weights.

    Attributes:
        architecture: its name in timm.
        weights: the file of its weights.
        about: how images are prepared for it, in timm's words; empty for the architecture's own.
        arguments: further arguments of the architecture.
    """

    architecture: str
    weights: Path
    about: Mapping[str, Any] = {}
    arguments: Mapping[str, Any] = {}


def image_vectors(
    files: Sequence[Path], model: VisionModel, keep: Path | None = None, device: str | None = None
) -> tuple[Rows, list[Path]]:
    """Returns the pooled features of images.

    Args:
        files: images of any format that Pillow reads, at least one.
        model: as ``find_model`` returns it.
        keep: a folder for finished blocks, by which an interrupted run goes on.
        device: ``cpu`` or ``cuda``; None takes a GPU if there is one.

    Returns:
        float32 [n_files, width of the model], NaN in the rows of images that cannot be read, and
        these images.

    Raises:
        InputError: the weights do not fit the architecture, or a value is not finite.
    """
    timm, torch = _packages()
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    load = functools.cache(lambda: _load(model, device))

    def compute(block: Sequence[Path]) -> NDArray[Any]:
        network, prepare = load()
        opened = [_open(file) for file in block]
        readable = [place for place, image in enumerate(opened) if image is not None]
        rows = np.full((len(block), network.num_features), np.nan, dtype=np.float32)
        for start in range(0, len(readable), _BATCH):
            places = readable[start : start + _BATCH]
            batch = torch.stack([prepare(opened[place]) for place in places]).to(device)
            with torch.inference_mode():
                found = network(batch).float().cpu().numpy()
            if not np.isfinite(found).all():
                raise InputError(
                    "gives values that are not finite", where=model.weights, mend="Check it."
                )
            rows[places] = found
        return rows

    about = json.dumps([model.architecture, dict(model.about), dict(model.arguments)])
    versions = f"{timm.__version__}, {torch.__version__}, {device}, {_BATCH}"
    identity = f"image, {about}, {content_hash(model.weights)}, {versions}"
    rows = encode_in_blocks(files, compute, identity, Path.read_bytes, keep, _BLOCK, "image")
    return rows, [file for file, lost in zip(files, np.isnan(rows).any(1)) if lost]


def unreadable(files: Sequence[Path]) -> str:
    """Names the images that cannot be read, in one line."""
    shown = ", ".join(file.name for file in files[:_SHOWN])
    more = f" and {len(files) - _SHOWN:,} more" if len(files) > _SHOWN else ""
    return (
        f"{len(files):,} {'image' if len(files) == 1 else 'images'} cannot be read: {shown}{more}"
    )


def find_model(encoder: str, weights: Path | None = None) -> VisionModel:
    """Returns the model that an encoder's name means.

    Args:
        encoder: an architecture's name in timm; or a model's folder with ``config.json``.
        weights: the file of the architecture's weights; None takes those in the hub's cache.

    Raises:
        InputError: the packages are not installed, the name is unknown, or there are no weights on
            this machine.
    """
    timm, _ = _packages()
    if Path(encoder).is_dir():
        return _in_folder(Path(encoder))
    if not timm.is_model(encoder):
        raise InputError(
            f"unknown image encoder '{encoder}': neither an architecture of timm nor a folder",
            where="--encoder",
            mend=nearest_name(encoder, timm.list_models()),
        )
    if weights is not None:
        if not weights.is_file():
            raise InputError("is no file", where=weights, mend="Give the file of the weights.")
        return VisionModel(encoder, weights)
    try:
        given = timm.get_pretrained_cfg(encoder)
        source = given.hf_hub_id if given is not None else None
    except RuntimeError:  # a variant that it does not know
        source = None
    if not source:
        raise InputError(
            f"no weights are known for '{encoder}'",
            where="--encoder",
            mend="Give their file with --weights FILE.",
        )
    return _in_folder(model_folder(source))


def _in_folder(folder: Path) -> VisionModel:
    """The model of a folder as the hub holds timm's models."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        name = config["architecture"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "holds no config.json that names an architecture",
            where=folder,
            mend="Give the architecture's name and --weights FILE.",
        ) from error
    for file in ("model.safetensors", "pytorch_model.bin"):
        if (folder / file).is_file():
            about = config.get("pretrained_cfg") or {}
            return VisionModel(name, folder / file, about, config.get("model_args") or {})
    raise InputError("holds no weights", where=folder, mend="It should hold model.safetensors.")


def _packages() -> tuple[Any, Any]:
    try:
        import PIL  # noqa: F401
        import timm  # type: ignore[import-not-found]
        import torch
    except ImportError as error:
        raise InputError(
            f"image features need the packages timm, torchvision and pillow ({error})",
            mend="Run: pip install recbole_guider[image]",
        ) from error
    except RuntimeError as error:  # a torchvision that was made for another torch
        raise InputError(
            f"timm cannot be imported ({error})",
            mend="Install the release of torchvision that fits torch's.",
        ) from error
    return timm, torch


def _load(model: VisionModel, device: str) -> tuple[Any, Any]:
    """Returns the network without its classifier, and what makes its input of an image."""
    timm, torch = _packages()
    from timm.data import (  # type: ignore[import-not-found]
        create_transform,
        resolve_data_config,
    )

    network = timm.create_model(
        model.architecture, pretrained=False, num_classes=0, **model.arguments
    )
    state = _weights(model.weights)
    own = {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}
    lacking = sorted(own - set(state))
    try:
        network.load_state_dict(state, strict=False)  # the classifier is left over
    except RuntimeError as error:
        raise _unfit(model, str(error).split("\n")[-1].strip()) from error
    if lacking:
        raise _unfit(model, f"{len(lacking):,} are lacking, the first is {lacking[0]}")
    about = resolve_data_config({}, pretrained_cfg=dict(model.about) or network.pretrained_cfg)
    return network.eval().to(torch.device(device)), create_transform(**about, is_training=False)


def _unfit(model: VisionModel, how: str) -> InputError:
    return InputError(
        f"its weights do not fit {model.architecture}: {how}",
        where=model.weights,
        mend="Give the weights of this architecture.",
    )


def _weights(file: Path) -> Mapping[str, Any]:
    """Returns tensors by name; nothing is unpickled but tensors."""
    import torch

    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file  # type: ignore[import-not-found]

            state: Any = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # each library has its own for a damaged file
        raise InputError(
            "cannot be read as weights",
            where=file,
            mend="Give a .safetensors file, or a state dictionary saved by torch.",
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping):
        raise InputError("holds no state dictionary", where=file, mend="Save model.state_dict().")
    return {str(name).removeprefix("module."): value for name, value in state.items()}


def _open(file: Path) -> Any:
    """The image in RGB, or None where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
