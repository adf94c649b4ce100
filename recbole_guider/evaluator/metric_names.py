"""Names of the ranking metrics, apart from torch so that reading properties stays light."""

from __future__ import annotations

from recbole_guider.errors import InputError, nearest_name

METRICS = ("recall", "ndcg", "precision", "hit", "map", "mrr")


def parse_metric(name: str, where: str = "metrics") -> tuple[str, int]:
    """Splits ``"Recall@20"`` into ``("recall", 20)``.

    Raises:
        InputError: an unknown metric, or no positive cut-off after ``@``.
    """
    metric, _, cutoff = str(name).lower().partition("@")
    if metric not in METRICS:
        raise InputError(
            f"unknown metric '{name}'", where=where, mend=nearest_name(metric, METRICS)
        )
    if not cutoff.isdigit() or int(cutoff) < 1:
        raise InputError(
            f"'{name}' has no cut-off", where=where, mend=f"Write for example {metric}@20."
        )
    return metric, int(cutoff)
