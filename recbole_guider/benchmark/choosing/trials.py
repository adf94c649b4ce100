"""The trials of a search as cells, and the choice among those that have finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional

from recbole_guider.benchmark.cell import Cell, CellName, key_of
from recbole_guider.benchmark.choosing.search import Search, space_of, trials_of
from recbole_guider.benchmark.record import Record
from recbole_guider.errors import InputError, nearest_name

Kind = tuple[str, str, str]  # data set, backbone, method

_FEWEST = 3  # of two numbers tried the chosen one is always an end, which says nothing


class Trial(NamedTuple):
    """One setting that is tried: its cell, which leaves the test split unread, and its values.

    A method's cell lacks what the bare backbone's trials will choose. ``apart`` are properties that
    trials alone have.
    """

    cell: Cell
    values: Mapping[str, Any]
    apart: Mapping[str, Any] = {}


class Tried(NamedTuple):
    """What came of a trial.

    Attributes:
        values: property -> its value, for all that the search tries, also where that is the
            property files' own; of a mapping, only the entries that some trial states.
        valid: the value of the validation metric; None where the trial failed, as below.
        best_epoch: the epoch that has it, from 0.
        epochs: how many epochs ran.
    """

    values: Mapping[str, Any]
    valid: Optional[float] = None  # noqa: UP045 (Python 3.9)
    best_epoch: Optional[int] = None  # noqa: UP045
    epochs: Optional[int] = None  # noqa: UP045


@dataclass(frozen=True)
class Choice:
    """What validation chose among the trials of a data set, backbone and method.

    Attributes:
        values: property -> value, the bare backbone's choice among them; empty where the property
            files' own values are best.
        trial: the chosen trial, from 1; 0 where none finished.
        tried: what came of each trial.
        seed: the seed that they ran with.
        apart: property -> value that they alone had.
        ends: property -> ``lowest`` or ``highest`` where the number in ``own`` is that of all
            finished trials, so that a better one may lie beyond.
    """

    values: Mapping[str, Any]
    trial: int
    tried: tuple[Tried, ...]
    seed: int
    apart: Mapping[str, Any] = field(default_factory=dict)
    ends: Mapping[str, str] = field(default_factory=dict)

    @property
    def valid(self) -> Optional[float]:  # noqa: UP045 (Python 3.9)
        """The chosen trial's value of the validation metric; None where no trial finished."""
        return self.tried[self.trial - 1].valid if self.trial else None

    @property
    def asked(self) -> int:
        """How many trials there are."""
        return len(self.tried)

    @property
    def finished(self) -> int:
        """How many of them finished; the others failed."""
        return sum(one.valid is not None for one in self.tried)

    @property
    def own(self) -> Mapping[str, Any]:
        """The chosen trial's values of all that is searched; empty where no trial finished."""
        return self.tried[self.trial - 1].values if self.trial else {}


def trial_cells(
    search: Search,
    kind: Kind,
    seed: int,
    overrides: Mapping[str, Any],
    known: frozenset[str],
    varied: str | None,
) -> tuple[Trial, ...]:
    """Returns the trials of a data set, backbone and method: as many as asked for, all different.

    What the user or the grid has set is not searched, nor is the property that the grid varies.
    Draws differ between data sets and backbones, so that no chance pairing repeats in all of them.

    Args:
        search: what is searched.
        kind: data set, backbone and method.
        seed: of the runs.
        overrides: properties set for all cells of the kind.
        known: properties that the combination knows.
        varied: the property that the grid varies, None for none.

    Raises:
        InputError: a space names a property that the combination does not know, or a value that it
            cannot have.
    """
    space, alone = space_of(search, kind[1], kind[2]), search.apart(kind[1])
    for key in (*space, *alone):
        if key not in known and key not in search.everywhere:
            raise InputError(
                f"{kind[1]} with {kind[2]} does not know the property",
                where=f"search: {key}",
                mend=nearest_name(key, known),
            )
    free = known.difference(overrides, {varied})
    space = {key: values for key, values in space.items() if key in free}
    count = search.count(kind[2])
    apart = {key: value for key, value in alone.items() if key in free}
    defaults = Cell(CellName(*kind, seed), overrides).properties
    found: dict[str, Trial] = {}
    draw_seed = f"{search.draw_seed} {kind[0]} {kind[1]}"
    for values in trials_of(space, count, defaults, draw_seed):
        name = CellName(*kind, seed, f"trial={len(found) + 1}")
        cell = Cell(name, {**overrides, **apart, **values, "read_test": False})
        found.setdefault(key_of(cell.properties, ""), Trial(cell, values, apart))
        if len(found) == count:
            break
    return tuple(found.values())


def choose(
    trials: Sequence[Trial], records: Sequence[Record | None], backbone: Mapping[str, Any]
) -> Choice:
    """Returns the trial with the highest validation metric, the earlier of equal ones.

    Args:
        trials: all trials of a kind.
        records: their records in the same order; None for one that failed.
        backbone: the values that the bare backbone's trials chose; empty for these trials.
    """
    tried = tuple(map(_result, _searched(trials), records))
    scores = {place: one.valid for place, one in enumerate(tried) if one.valid is not None}
    best = max(scores, key=lambda place: (scores[place], -place), default=-1)
    return Choice(
        values={**backbone, **trials[best].values} if scores else {},
        trial=best + 1,
        tried=tried,
        seed=trials[0].cell.name.seed,
        apart=trials[0].apart,
        ends=_ends([tried[place].values for place in scores], tried[best].values),
    )


def _searched(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Returns each trial's value of every property that some trial sets.

    Of a mapping, only the entries that some trial states.
    """
    found: list[dict[str, Any]] = [{} for _ in trials]
    for key in dict.fromkeys(key for trial in trials for key in trial.values):
        stated = [trial.values[key] for trial in trials if key in trial.values]
        entries = {entry for one in stated if isinstance(one, Mapping) for entry in one}
        for own, trial in zip(found, trials):
            value = trial.cell.properties.get(key)
            if isinstance(value, Mapping) and entries:
                value = {name: value[name] for name in value if name in entries}
            own[key] = value
    return found


def _result(values: Mapping[str, Any], record: Record | None) -> Tried:
    if record is None:
        return Tried(values)
    valid = record.valid[str(record.config["valid_metric"]).lower()]
    return Tried(values, valid, record.best_epoch, record.epochs)


def _ends(finished: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> dict[str, str]:
    """Returns which numbers of the best trial are the lowest or highest of those tried."""
    found = {}
    for key, value in best.items():
        numbers = {one for one in (_number(values[key]) for values in finished) if one is not None}
        chosen = _number(value)
        if len(numbers) >= _FEWEST and chosen in (lowest := min(numbers), max(numbers)):
            found[key] = "lowest" if chosen == lowest else "highest"
    return found


def _number(value: Any) -> float | None:
    """Returns a number, also where it is the only entry of a mapping; None for anything else."""
    if isinstance(value, Mapping) and len(value) == 1:
        (value,) = value.values()
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number else None
