"""RecBole's ``Config``, built from property layers instead of ``eval`` and a raw ``sys.argv``."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
from recbole.config import Config as RecBoleConfig
from recbole.utils import ModelType

from recbole_guider import property_layers
from recbole_guider.data.prepare import ensure_prepared
from recbole_guider.errors import InputError, nearest_name, one_of
from recbole_guider.evaluator.metric_names import METRICS, parse_metric
from recbole_guider.registry import backbones


class Config(RecBoleConfig):
    """Properties of one run, with RecBole's interface.

    For a backbone of this suite: property files of the suite between RecBole's defaults and the
    user's values, unknown keys refused with the nearest known name, strings read as YAML. For
    RecBole's own models only the reading of strings differs from RecBole.

    Args:
        model: name of the backbone (or RecBole model), or its class.
        dataset: name of the data set.
        config_file_list: the user's YAML files; later files win.
        config_dict: the user's dictionary; wins over files.
        command_line: already parsed command-line values; win over everything. None reads
            ``--key=value`` from ``sys.argv``, as RecBole does, and leaves alone what belongs to
            another program.

    Attributes:
        resolved: the properties as plain values, before RecBole adds derived ones; building a
            ``Config`` from them again gives the same run.
    """

    def __init__(
        self,
        model: Any = None,
        dataset: str | None = None,
        config_file_list: Sequence[str] | None = None,
        config_dict: Mapping[str, Any] | None = None,
        command_line: Mapping[str, Any] | None = None,
    ) -> None:
        self.given_command_line = command_line
        super().__init__(model, dataset, config_file_list, dict(config_dict or {}))

    @property
    def is_ours(self) -> bool:
        """Whether the model is a backbone of this suite."""
        return self.model_class in backbones().values()

    def for_model(self, model: str, overrides: Mapping[str, Any]) -> Config:
        """Returns these properties with another backbone's own layer (a teacher's) on top.

        Overrides that this backbone has no property for are left out.
        """
        layer = property_layers.model_layer(model)
        own = {key: value for key, value in overrides.items() if key in layer}
        other = copy.copy(self)
        other.final_config_dict = {**self.final_config_dict, **layer, **own, "model": model}
        return other

    def _convert_config_dict(self, config_dict: dict[str, Any]) -> dict[str, Any]:
        return {key: _plain(key, value) for key, value in config_dict.items()}

    def _load_config_files(self, file_list: Sequence[str] | None) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for file in file_list or []:
            property_layers.lay_over(merged, property_layers.load_properties(file))
        return merged

    def _load_cmd_line(self) -> dict[str, Any]:
        if self.given_command_line is not None:
            return dict(self.given_command_line)
        ours = [argument for argument in sys.argv[1:] if _looks_like_override(argument)]
        return property_layers.parse_overrides(ours)

    def _load_internal_config_dict(self, model: str, model_class: Any, dataset: str) -> None:
        self.model_class = model_class
        if not self.is_ours:
            super()._load_internal_config_dict(model, model_class, dataset)
            return
        self.internal_config_dict = {"MODEL_TYPE": ModelType.GENERAL}

    def _get_final_config_dict(self) -> dict[str, Any]:
        if not self.is_ours:
            if self.external_config_dict.get("method") not in (None, "Base"):
                raise InputError(
                    f"{self.model} is RecBole's own model; no method of this suite can train it",
                    where="method",
                    mend=f"Leave it out, or choose one of {', '.join(backbones())}.",
                )
            final: dict[str, Any] = super()._get_final_config_dict()
            return final
        method = str(self.external_config_dict.get("method") or property_layers.default_method())
        if self.given_command_line is None:
            self._drop_foreign_arguments(method)
        own = dict(self.file_config_dict)
        property_layers.lay_over(own, self.variable_config_dict)
        self.resolved = property_layers.resolve(
            self.model,
            method,
            self.dataset,
            overrides=own,
            command_line=self.cmd_config_dict,
        )
        return {**copy.deepcopy(self.resolved), **self.internal_config_dict}

    def _drop_foreign_arguments(self, method: str) -> None:
        """Another program's ``--key=value`` is left alone unless it looks like a slip of ours."""
        known = property_layers.known_keys(self.model, method)
        for key in [key for key in self.cmd_config_dict if key not in known]:
            hint = nearest_name(key, known)
            if hint.startswith("Did you mean"):
                raise InputError("unknown property", where=f"--{key}", mend=hint)
            getLogger().warning("--%s=... is not a property and is left alone", key)
            del self.cmd_config_dict[key]

    def _set_default_parameters(self) -> None:
        if not self.is_ours:
            super()._set_default_parameters()
            return
        final = self.final_config_dict
        self._check_evaluation(final)
        folder = ensure_prepared(self.dataset, Path(final["data_path"]))
        super()._set_default_parameters()
        final["data_path"] = str(folder)  # RecBole always points ml-100k at its own copy

    def _check_evaluation(self, final: dict[str, Any]) -> None:
        metrics = [final["metrics"]] if isinstance(final["metrics"], str) else final["metrics"]
        cutoffs = [final["topk"]] if isinstance(final["topk"], int) else final["topk"]
        for metric in metrics:
            one_of(str(metric).lower(), METRICS, "metrics")
        if not isinstance(cutoffs, list) or not all(
            isinstance(k, int) and not isinstance(k, bool) and k > 0 for k in cutoffs
        ):
            raise InputError(
                f"expected positive whole numbers, found {final['topk']!r}",
                where="topk",
                mend="Write for example topk: [5, 20].",
            )
        parse_metric(final["valid_metric"], where="valid_metric")
        if final["eval_step"] > final["epochs"]:
            raise InputError(
                f"{final['eval_step']} is more than epochs ({final['epochs']}): no epoch would be "
                "evaluated on validation",
                where="eval_step",
                mend="Set it to at most epochs.",
            )
        modes = final["eval_args"].get("mode", "full")
        for mode in modes.values() if isinstance(modes, dict) else [modes]:
            if mode != "full":
                raise InputError(
                    f"expected full, found {mode}", where="eval_args: mode",
                    mend="Every user ranks all items; sampled evaluation is not offered.",
                )  # fmt: skip
        for key in (
            "save_dataset",
            "save_dataloaders",
            "dataset_save_path",
            "dataloaders_save_path",
        ):
            if final[key]:
                raise InputError(
                    "RecBole's pickled data does not know modalities or splits of this suite",
                    where=key,
                    mend="Leave it out: loading is fast.",
                )

    def _init_device(self) -> None:
        """Chooses the device; a scheduler's CUDA_VISIBLE_DEVICES and ``use_gpu: false`` hold."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if not self.final_config_dict.get("use_gpu", True):
            self.final_config_dict["gpu_id"] = ""
        elif visible is not None and "gpu_id" not in self.external_config_dict:
            self.final_config_dict["gpu_id"] = visible
        super()._init_device()
        if visible is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible
        elif not self.final_config_dict["gpu_id"]:
            del os.environ["CUDA_VISIBLE_DEVICES"]


def _plain(key: str, value: Any) -> Any:
    """A dictionary's value as a property file would give it: text read as YAML, no numpy types."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_without_numpy(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _without_numpy(one) for name, one in value.items()}
    if not isinstance(value, str) or not value.strip() or key == "gpu_id":
        return value
    return property_layers.parse_value(value)


def _without_numpy(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _looks_like_override(argument: str) -> bool:
    return argument.startswith("--") and "=" in argument
