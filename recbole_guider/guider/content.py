"""What AMSC knows of the items' contents: similarity, and confidence where modalities agree."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recbole_guider.guider.calibration import InteractionCalibrator, distinct_rows
from recbole_guider.guider.similarity import Content, most_similar_pairs, pairs_above
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
        # Whatever stands in for missing rows must not make an item that equals it a duplicate.
        own = {name: values * present[name][:, None] for name, values in features.items()}
        present = {name: present[name] & distinct_rows(own[name]) for name in features}
    content = Content(features, _confidence(config, features, present), present)
    if config["amsc_threshold"] is None:
        pairs = most_similar_pairs(train.users, train.items, content, config["amsc_quantile"])
    else:
        pairs = pairs_above(train.users, train.items, content, config["amsc_threshold"])
    return InteractionCalibrator(train.users, train.items, pairs), pairs.threshold


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
