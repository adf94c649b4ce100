"""From finished cells to one result per method: the average over the seeds that finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional, Protocol

import numpy as np
from numpy.typing import NDArray

from recbole_guider.errors import InputError

FloatArray = NDArray[np.float64]
CellKey = tuple[str, str, str, int, str]  # data set, backbone, method, seed, setting
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

    @property
    def setting(self) -> str:
        """The value of the varied property, such as ``noise_ratio=0.1``; empty without one."""


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
    def valid_curve(self) -> Sequence[Mapping[str, Any]]:
        """Epoch, loss and, where it was computed, validation metrics in lower case."""

    @property
    def best_epoch(self) -> int:
        """The epoch that validation chose, from 0."""

    @property
    def diagnostics(self) -> Mapping[str, Any]:
        """What the method reports about itself."""

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
    setting: str = ""


@dataclass(frozen=True)
class Result:
    """One method on one data set with one backbone in one setting, over the seeds that finished.

    Attributes:
        key: data set, backbone, method, setting.
        protocol: what is masked at test.
        seeds: the seeds that finished, ascending.
        valid_metric: the metric that chose the epoch, for example ``Recall@20``.
        valid: its mean over seeds on validation.
        valid_of: seed -> value on validation.
        users_of: metric -> seed -> value of each user, [n_users], users in token order.
        means_of: metric -> seed -> mean over users.
        mean: metric -> mean over users.
        spread: metric -> standard deviation over seeds of that mean; nan for a single seed.
    """

    key: ResultKey
    protocol: str
    seeds: tuple[int, ...]
    valid_metric: str
    valid: float
    valid_of: Mapping[int, float]
    users_of: Mapping[str, Mapping[int, FloatArray]] = field(repr=False)
    means_of: Mapping[str, Mapping[int, float]]
    mean: Mapping[str, float]
    spread: Mapping[str, float]

    def per_user(self, metric: str, seeds: Sequence[int]) -> FloatArray:
        """Returns the mean over some of the seeds that finished for each user, [n_users]."""
        return _mean([self.users_of[metric][seed] for seed in seeds])

    def valid_over(self, seeds: Sequence[int]) -> float:
        """Returns the mean on validation over some of the seeds that finished."""
        return float(np.mean([self.valid_of[seed] for seed in seeds]))


def average_over_seeds(
    records: Iterable[Record], metrics: Sequence[str]
) -> dict[ResultKey, Result]:
    """Averages the records of each method; the order of the records does not matter.

    Raises:
        InputError: a data set's records differ in protocol, data or validation metric, lack a
            metric, hold one cell twice or evaluated different users: such numbers cannot share a
            column.
    """
    ordered = sorted(records, key=lambda record: cell_key(record.cell))
    _refuse_mixtures(ordered)
    users: _Users = {}
    groups: dict[ResultKey, list[Record]] = {}
    for record in ordered:
        groups.setdefault(result_key(cell_key(record.cell)), []).append(record)
    return {key: _result(key, group, metrics, users) for key, group in groups.items()}


def cell_key(cell: Cell) -> CellKey:
    """Returns a cell's names as a plain tuple."""
    return (cell.dataset, cell.backbone, cell.method, int(cell.seed), cell.setting)


def result_key(cell: CellKey) -> ResultKey:
    """Returns the result that a cell is part of."""
    return ResultKey(*cell[:3], cell[4])


def cell_of(key: ResultKey, seed: int) -> CellKey:
    """Returns the cell of a result with a seed."""
    return (key.dataset, key.backbone, key.method, seed, key.setting)


def describe(cell: CellKey) -> str:
    """Names a cell in a message: ``BM3 + GUIDER on ml-100k, seed 2022, noise_ratio=0.1``."""
    dataset, backbone, method, seed, setting = cell
    return f"{backbone} + {method} on {dataset}, seed {seed}" + (f", {setting}" if setting else "")


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
    users_of: dict[str, dict[int, FloatArray]] = {metric: {} for metric in metrics}
    valid_of: dict[int, float] = {}
    valid_metric = str(group[0].config["valid_metric"])
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
            users_of[metric][int(record.cell.seed)] = one if order is None else one[order]
        valid_of[int(record.cell.seed)] = record.valid[valid_metric.lower()]
    means_of = {
        metric: {seed: float(one.mean()) for seed, one in values.items()}
        for metric, values in users_of.items()
    }
    return Result(
        key=key,
        protocol=group[0].protocol,
        seeds=tuple(valid_of),
        valid_metric=valid_metric,
        valid=float(np.mean(list(valid_of.values()))),
        valid_of=valid_of,
        users_of=users_of,
        means_of=means_of,
        mean={
            metric: float(_mean(list(values.values())).mean())
            for metric, values in users_of.items()
        },
        spread={metric: _spread(list(means.values())) for metric, means in means_of.items()},
    )


def _mean(values: Sequence[FloatArray]) -> FloatArray:
    """Returns the mean of one or more arrays, summed in their order."""
    total = values[0]
    for one in values[1:]:
        total = total + one
    return total / len(values)


def _spread(means: Sequence[float]) -> float:
    """Returns the standard deviation of the seeds' means; nan for a single one."""
    return float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")


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
        raise InputError(
            f"{describe(cell)} evaluated {len(tokens)} users, {reference} {len(expected)}, and "
            "they are not the same: their values cannot be paired",
            where=cell[0],
            mend="Fix the split, so that every seed tests the same users: a ready split, or one "
            "seed for it.",
        )
    return order
