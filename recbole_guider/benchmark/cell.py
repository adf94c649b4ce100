"""A cell, the unit of work, of caching and of failure, and the key that names its result."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from recbole_guider.benchmark.provenance import RESULTS_VERSION
from recbole_guider.data.fingerprint import fingerprint
from recbole_guider.property_layers import model_layer, resolve

SCHEMA = 1  # of the stored record; raise when a reader of the old form would misread the new one

# Properties that say where something lies or what is shown on the way, and so cannot change a
# number. Where the data lies and how it was prepared does not matter since its content is part of
# the key; which of several equal GPUs is used does not either, but use_gpu stays in.
WITHOUT_EFFECT = frozenset({
    "data_path", "checkpoint_dir", "save_dataset", "dataset_save_path", "save_dataloaders",
    "dataloaders_save_path", "config_files", "state", "show_progress", "tensorboard", "log_wandb",
    "wandb_project", "gpu_id", "worker", "preparation", "keep_freed_memory",
    "gpus_per_cell",
})  # fmt: skip

# Properties that joined after records had been made, with the value at which every number is as it
# was before: with that value they stay out of the key, so that those records keep theirs.
JOINED_LATER: Mapping[str, Any] = {"read_test": True, "removed_ratio": 0, "content_noise": 0}


class CellName(NamedTuple):
    """Names a cell among those of a grid; shown as ``ml-100k/BM3/GUIDER/2022``.

    The setting, such as ``noise_ratio=0.1``, is the value of the property that the grid varies;
    empty, and not shown, where nothing varies or the combination does not know the property.
    """

    dataset: str
    backbone: str
    method: str
    seed: int
    setting: str = ""

    def __str__(self) -> str:
        """Returns the parts joined by slashes, as ``--only`` reads them."""
        return "/".join(map(str, self if self.setting else self[:4]))

    @property
    def kind(self) -> tuple[str, str, str]:
        """Data set, backbone and method: cells of a kind cost about the same."""
        return self[:3]


@dataclass(frozen=True)
class Cell:
    """One data set, backbone, method and seed, with the properties that a user set.

    Args:
        name: data set, backbone, method, seed and setting.
        overrides: properties set by the grid, its setting or the user, all known to this
            combination.
    """

    name: CellName
    overrides: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @functools.cached_property
    def properties(self) -> dict[str, Any]:
        """The resolved properties of the run.

        Raises:
            InputError: an override is unknown or of a type that cannot be meant.
        """
        dataset, backbone, method = self.name.kind
        return resolve(backbone, method, dataset, overrides=self.given)

    @property
    def given(self) -> dict[str, Any]:
        """The overrides and the seed: what the run gets on top of the property files."""
        return {**self.overrides, "seed": self.name.seed}

    @property
    def data_folder(self) -> Path:
        """Where the data set's files lie."""
        return Path(self.properties["data_path"]) / self.name.dataset

    @functools.cached_property
    def key(self) -> str:
        """40 hex digits over everything that determines the number; the data must be there."""
        properties = dict(self.properties)
        teacher = properties.get("teacher_model")
        if teacher:  # its own layer is read when the run builds it, beneath the teacher_ properties
            properties["teacher's layer"] = model_layer(str(teacher))
        return key_of(properties, fingerprint(self.data_folder, self.name.dataset))


def key_of(properties: Mapping[str, Any], data_hash: str) -> str:
    """Returns the key of resolved properties on data of a given content.

    The order of the properties does not matter, and 1 and 1.0 are the same.
    """
    content = {
        "schema": SCHEMA,
        "results": RESULTS_VERSION,
        "data": data_hash,
        "properties": {k: v for k, v in properties.items() if not _unheard(k, v)},
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:40]


def _unheard(key: str, value: Any) -> bool:
    """Says whether a property has no part in the key."""
    if key in JOINED_LATER:
        return canonical_json(value) == canonical_json(JOINED_LATER[key])
    return key in WITHOUT_EFFECT


def canonical_json(value: Any) -> str:
    """Returns JSON that is the same for the same content: sorted keys, one form per number."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), default=str)


def _plain(value: Any) -> Any:
    if value is None or type(value) in (str, bool, int):  # most values; the checks below are slow
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
