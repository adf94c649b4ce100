"""What AMSC knows of the items' contents: similarity, and confidence where modalities agree."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recbole_guider.guider.calibration import (
    InteractionCalibrator,
    distinct_rows,
    threshold_at_quantile,
)
from recbole_guider.kernels.hashing import cross_modal_hash, hash_confidence


def content_calibrator(config: Any, dataset: Any) -> tuple[InteractionCalibrator, float]:
    """Builds the calibrator of a data set's training interactions (Eq. 4-6).

    Args:
        config: the properties ``hash*``, ``amsc_*`` and ``duplicate_features``.
        dataset: the built training data set.

    Returns:
        The calibrator and its threshold S_thres.
    """
    train = dataset.splits.train
    features = dataset.item_features()
    present = {name: dataset.items_with(name) for name in features}
    if config["duplicate_features"] == "ignore":
        present = {name: present[name] & distinct_rows(features[name]) for name in features}
    confidence = _confidence(config, features, present)
    threshold = config["amsc_threshold"]
    if threshold is None:
        share = config["amsc_quantile"]
        threshold = threshold_at_quantile(
            train.users, train.items, features, confidence, share, present
        )
    calibrator = InteractionCalibrator(
        train.users, train.items, features, threshold, confidence, present
    )
    return calibrator, threshold


def _confidence(
    config: Any, features: dict[str, Tensor], present: dict[str, Tensor]
) -> Tensor | None:
    """conf_i of Eq. 6, float [n_items]; None leaves the factor out of Eq. 4."""
    if config["hash"] == "none" or not features:
        return None
    training = {
        "temperature": config["hash_temperature"],
        "learning_rate": config["hash_learning_rate"],
        "max_epochs": config["hash_epochs"],
    }
    codes = cross_modal_hash(
        features,
        bits=config["hash_bits"],
        seed=config["hash_seed"],
        mode=config["hash"],
        common_width=config["hash_width"],
        present=present,
        **(training if config["hash"] == "learned" else {}),
    )
    return hash_confidence(codes, present)
