"""What the trials of a selection have chosen so far, read from the store alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable

from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.choosing.trials import Choice, Kind, Trial, choose
from recbole_guider.benchmark.record import Record
from recbole_guider.benchmark.store import Store


class Tuning:
    """The choices of a selection's trials.

    A choice is a pure function of the trials' records, so that every run on a store, and every
    leaderboard made from it, comes to the same one.

    Args:
        trials: data set, backbone and method -> trials; empty where nothing is searched.
        store: where their records are.
    """

    def __init__(self, trials: Mapping[Kind, tuple[Trial, ...]], store: Store) -> None:
        self.trials = trials
        self.store = store
        self._names = {trial.cell.name for several in trials.values() for trial in several}
        self._settled: dict[Kind, Choice] = {}

    def is_trial(self, name: CellName) -> bool:
        """Says whether a cell of this name is a trial, of the name's kind."""
        return name in self._names

    def choice(self, kind: Kind, failed: Callable[[Cell], bool]) -> Choice | None:
        """Returns what the trials of a kind chose; None while one is still to run.

        Args:
            kind: data set, backbone and method.
            failed: whether a trial without a record counts as failed, and not as still to run.
        """
        if kind not in self._settled:
            trials = self.trials[kind]
            records: list[Record | None] = []
            for trial in trials:
                record = self.store.record(trial.cell)
                if record is None and not failed(trial.cell):
                    return None  # the others need not be read
                records.append(record)
            self._settled[kind] = choose(trials, records)
        return self._settled[kind]

    def resolved(self, cell: Cell, failed: Callable[[Cell], bool]) -> Cell | None:
        """Returns a cell with the values that its trials chose; None where there are none.

        Without a search, and for a trial, that is the cell itself.
        """
        kind = cell.name.kind
        if kind not in self.trials or self.is_trial(cell.name):
            return cell
        choice = self.choice(kind, failed)
        if choice is None or choice.valid is None:
            return None
        return Cell(cell.name, {**choice.values, **cell.overrides})
