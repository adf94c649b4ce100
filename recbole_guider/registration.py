"""Makes RecBole itself find this suite's backbones, methods, data set and configuration.

This is the one file that reaches into RecBole 1.2.1's modules:

* ``get_model(name)`` looks for ``recbole.model.general_recommender.<name in lower case>``;
* ``get_trainer(type, name)`` looks for ``recbole.trainer.<name>Trainer``;
* ``create_dataset(config)`` looks for ``recbole.data.dataset.<name>Dataset``;
* ``run_recbole`` and ``HyperTuning`` build ``recbole.config.Config``.

A backbone that RecBole has as well (LightGCN) is replaced in ``get_model``, since methods need the
suite's interface; RecBole's own class stays at ``recbole.model.general_recommender.LightGCN``.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

_registered = False


class TrainerOfMethod:
    """What RecBole's ``get_trainer`` finds for a backbone: the trainer of ``config["method"]``."""

    def __new__(cls, config: Any, model: Any) -> Any:
        """Returns the method's trainer, built with RecBole's (config, model)."""
        from recbole_guider.registry import trainer_class

        return trainer_class(config["method"])(config, model)


def register() -> None:
    """Registers every backbone and method with RecBole; later calls do nothing."""
    global _registered
    if _registered:
        return
    _registered = True  # at once: the imports below may lead back here
    try:
        _register()
    except BaseException:
        _registered = False
        raise


def _register() -> None:
    from recbole_guider.config import Config
    from recbole_guider.data.dataset import MultimodalDataset
    from recbole_guider.registry import backbones, methods

    trainers = importlib.import_module("recbole.trainer")
    datasets = importlib.import_module("recbole.data.dataset")
    models = "recbole.model.general_recommender"
    importlib.import_module(models)  # binds RecBole's own classes before a name is replaced
    for name, backbone in backbones().items():
        sys.modules[f"{models}.{name.lower()}"] = sys.modules[backbone.__module__]
        setattr(trainers, f"{name}Trainer", TrainerOfMethod)
        setattr(datasets, f"{name}Dataset", MultimodalDataset)
    for name, trainer in methods().items():
        setattr(trainers, f"{name}Trainer", trainer)
    for module in ("recbole.config", "recbole.config.configurator"):
        importlib.import_module(module).Config = Config  # type: ignore[attr-defined]
    quick_start = sys.modules.get("recbole.quick_start.quick_start")
    if quick_start is not None:  # imported before us: it holds a name of its own
        quick_start.Config = Config  # type: ignore[attr-defined]
