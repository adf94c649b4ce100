"""From finished cells to one result per method: the average over the seeds that finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional, Protocol

import numpy as np
from numpy.typing import NDArray

from recbole_guider.errors import InputError

FloatArray = NDArray[np.float64]
CellKey = tuple[str, str, str, int]  # data set, backbone, method, seed
_Users = dict[str, tuple[NDArray[np.str_], str]]  # data set -> tokens, the cell that had them


class Cell(Protocol):
    """What names a cell."""

    @property
    def dataset(self) -> str:
        """The data set's name."""

    @property
    def backbone(self) -> str:
        """The backbone's name."""

    @property
    def method(self) -> str:
        """The method's name."""

    @property
    def seed(self) -> int:
        """The seed."""


class Record(Protocol):
    """What a report reads of a finished cell; the store's records are of this shape."""

    @property
    def cell(self) -> Cell:
        """What the record is the result of."""

    @property
    def protocol(self) -> str:
        """What is masked at test: ``mmrec`` or ``recbole``."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved properties."""

    @property
    def data(self) -> Mapping[str, Any]:
        """Content hash, counts and modalities of the data set."""

    @property
    def versions(self) -> Mapping[str, Any]:
        """Package -> version."""

    @property
    def valid(self) -> Mapping[str, float]:
        """Metric -> value on validation."""

    @property
    def users(self) -> NDArray[np.str_]:
        """Tokens of the evaluated users, [n_users]."""

    @property
    def per_user(self) -> Mapping[str, FloatArray]:
        """Metric -> value of each user at test, [n_users]."""


class ResultKey(NamedTuple):
    """Names a result: a cell without its seed."""

    dataset: str
    backbone: str
    method: str


@dataclass(frozen=True)
class Result:
    """One method on one data set with one backbone, over the seeds that finished.

    Attributes:
        key: data set, backbone, method.
        protocol: what is masked at test.
        seeds: the seeds that finished, ascending.
        valid_metric: the metric that chose the epoch, for example ``Recall@20``.
        valid: its mean over seeds on validation.
        per_user: metric -> mean over seeds for each user, [n_users], users in token order.
        mean: metric -> mean over users.
        spread: metric -> standard deviation over seeds of that mean; nan for a single seed.
    """

    key: ResultKey
    protocol: str
    seeds: tuple[int, ...]
    valid_metric: str
    valid: float
    per_user: Mapping[str, FloatArray] = field(repr=False)
    mean: Mapping[str, float]
    spread: Mapping[str, float]


def average_over_seeds(
    records: Iterable[Record], metrics: Sequence[str]
) -> dict[ResultKey, Result]:
    """Averages the records of each method; the order of the records does not matter.

    Raises:
        InputError: a data set's records differ in protocol, data or validation metric, lack a
            metric, or hold one cell twice: such numbers cannot share a column.
        ValueError: two cells of a data set evaluated different users.
    """
    ordered = sorted(records, key=lambda record: cell_key(record.cell))
    _refuse_mixtures(ordered)
    users: _Users = {}
    groups: dict[ResultKey, list[Record]] = {}
    for record in ordered:
        groups.setdefault(ResultKey(*cell_key(record.cell)[:3]), []).append(record)
    return {key: _result(key, group, metrics, users) for key, group in groups.items()}


def cell_key(cell: Cell) -> CellKey:
    """Returns a cell's names as a plain tuple."""
    return (cell.dataset, cell.backbone, cell.method, int(cell.seed))


def describe(cell: CellKey) -> str:
    """Names a cell in a message: ``BM3 + GUIDER on ml-100k, seed 2022``."""
    dataset, backbone, method, seed = cell
    return f"{backbone} + {method} on {dataset}, seed {seed}"


def _refuse_mixtures(ordered: Sequence[Record]) -> None:
    """Refuses records of one data set whose numbers do not mean the same."""
    firsts: dict[str, Record] = {}
    for previous, record in zip([None, *ordered], ordered):
        name = cell_key(record.cell)
        if previous is not None and cell_key(previous.cell) == name:
            raise InputError(
                "has two finished records",
                where=describe(name),
                mend="Render the results of one configuration at a time.",
            )
        first = firsts.setdefault(name[0], record)
        for what, one, other in (
            ("protocol", first.protocol, record.protocol),
            ("data", first.data.get("hash"), record.data.get("hash")),
            ("valid_metric", first.config["valid_metric"], record.config["valid_metric"]),
        ):
            if one != other:
                raise InputError(
                    f"{describe(cell_key(first.cell))} has {what} '{one}', but {describe(name)} has"
                    f" '{other}'; they cannot share a column",
                    where=name[0],
                    mend="Keep the results of each in a folder of its own (--results).",
                )


def _result(
    key: ResultKey,
    group: Sequence[Record],
    metrics: Sequence[str],
    users: _Users,
) -> Result:
    """Averages the records of one method over seeds, users aligned by token."""
    sums: dict[str, FloatArray] = {}
    means: dict[str, list[float]] = {metric: [] for metric in metrics}
    for record in group:
        order = _alignment(record, users)
        values = record.per_user
        for metric in metrics:
            if metric.lower() not in values:
                raise InputError(
                    f"has no metric '{metric}', only {', '.join(sorted(values))}",
                    where=describe(cell_key(record.cell)),
                    mend="Name metrics that were computed, or run with the metrics wanted.",
                )
            one = np.asarray(values[metric.lower()], dtype=np.float64)
            one = one if order is None else one[order]
            sums[metric] = sums[metric] + one if metric in sums else one
            means[metric].append(float(one.mean()))
    per_user = {metric: total / len(group) for metric, total in sums.items()}
    valid_metric = str(group[0].config["valid_metric"])
    return Result(
        key=key,
        protocol=group[0].protocol,
        seeds=tuple(int(record.cell.seed) for record in group),
        valid_metric=valid_metric,
        valid=float(np.mean([record.valid[valid_metric.lower()] for record in group])),
        per_user=per_user,
        mean={metric: float(values.mean()) for metric, values in per_user.items()},
        spread={
            metric: float(np.std(one, ddof=1)) if len(one) > 1 else float("nan")
            for metric, one in means.items()
        },
    )


def _alignment(record: Record, users: _Users) -> Optional[NDArray[np.int64]]:  # noqa: UP045
    """Returns the order that sorts a record's users by token (None: sorted already)."""
    cell = cell_key(record.cell)
    tokens = np.asarray(record.users)
    if cell[0] not in users:
        users[cell[0]] = (np.unique(tokens), describe(cell))
    expected, reference = users[cell[0]]
    if np.array_equal(tokens, expected):
        return None
    order: NDArray[np.int64] = np.argsort(tokens, kind="stable")
    if not np.array_equal(tokens[order], expected):
        raise ValueError(
            f"{describe(cell)} evaluated {len(tokens)} users, {reference} {len(expected)}, and "
            "they are not the same: their values cannot be paired"
        )
    return order
