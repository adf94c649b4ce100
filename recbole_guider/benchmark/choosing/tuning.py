"""What the trials of a selection have chosen so far, read from the store alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable

from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.choosing.trials import Choice, Kind, Trial, choose
from recbole_guider.benchmark.record import Record
from recbole_guider.benchmark.store import Store
from recbole_guider.registry import BARE


class Tuning:
    """The choices of a selection's trials.

    A choice is a pure function of the trials' records, so that every run on a store, and every
    leaderboard made from it, comes to the same one.

    Args:
        trials: data set, backbone and method -> trials, the bare backbone's for every method's;
            empty where nothing is searched.
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
            bare = None if kind[2] == BARE else self.choice((*kind[:2], BARE), failed)
            if bare is None and kind[2] != BARE:
                return None
            records: list[Record | None] = []
            for trial in self.trials[kind]:
                cell = trial.cell if bare is None else _with(bare, trial.cell)
                record = None if cell is None else self.store.record(cell)
                if record is None and cell is not None and not failed(cell):
                    return None  # the others need not be read
                records.append(record)
            chosen = {} if bare is None else bare.values
            self._settled[kind] = choose(self.trials[kind], records, chosen)
        return self._settled[kind]

    def resolved(self, cell: Cell, failed: Callable[[Cell], bool]) -> Cell | None:
        """Returns a cell with the values that trials chose for it; None where there are none.

        For a trial that is what the bare backbone's trials chose, and for one of those, as for any
        cell without a search, the cell itself.
        """
        kind = cell.name.kind
        if kind not in self.trials:
            return cell
        if self.is_trial(cell.name):
            if kind[2] == BARE:
                return cell
            kind = (*kind[:2], BARE)
        choice = self.choice(kind, failed)
        return None if choice is None else _with(choice, cell)


def _with(choice: Choice, cell: Cell) -> Cell | None:
    """Returns a cell with chosen values beneath what was set for it; None where none were found."""
    if choice.valid is None:
        return None
    return Cell(cell.name, {**choice.values, **cell.overrides})
