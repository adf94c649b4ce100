"""How a partition compares with what is known about the noise."""

from __future__ import annotations

from torch import Tensor

from recbole_guider.data.splits import Interactions
from recbole_guider.guider.calibration import Partition


def partition_report(
    partition: Partition, train: Interactions, likely_false_rating: float | None
) -> dict[str, float]:
    """Shares of a partition, and its agreement with low ratings where the data set has them.

    Args:
        partition: I_true and I_false of the training interactions.
        train: the training interactions, with ratings if known.
        likely_false_rating: ratings up to this value mark likely false positives.

    Returns:
        ``spurious`` (loss above the user's mean), ``rescued`` and ``false`` as shares of all
        interactions; with ratings also ``precision`` and ``recall`` of I_false against low ratings
        and their ``base_rate``.
    """
    false = ~partition.clean
    report = {
        "spurious": _share(partition.spurious),
        "rescued": _share(partition.rescued),
        "false": _share(false),
    }
    if train.ratings is not None and likely_false_rating is not None:
        low = train.ratings <= likely_false_rating
        both = float((false & low).sum())
        report["base_rate"] = _share(low)
        report["precision"] = both / max(1.0, float(false.sum()))
        report["recall"] = both / max(1.0, float(low.sum()))
    return report


def _share(mask: Tensor) -> float:
    return float(mask.double().mean()) if len(mask) else 0.0
