"""One run of a grid: which cells are missing, running them, and what the leaderboard is made of."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Callable

from recbole_guider.benchmark.cell import Cell, CellName, key_of
from recbole_guider.benchmark.choosing.trials import Choice, Kind
from recbole_guider.benchmark.choosing.tuning import Tuning
from recbole_guider.benchmark.crews.places import default_workers
from recbole_guider.benchmark.crews.work import Run, quick_start
from recbole_guider.benchmark.estimate import Estimates, say_duration
from recbole_guider.benchmark.executor import run_cells
from recbole_guider.benchmark.progress import Progress
from recbole_guider.benchmark.record import Record
from recbole_guider.benchmark.selection import Selection
from recbole_guider.benchmark.store import Failure, Store
from recbole_guider.data.prepare import ensure_prepared, has_interactions
from recbole_guider.errors import InputError, nearest_name
from recbole_guider.registry import BARE

_UNTRIED = "none of the trials that choose its values finished"


class Job:
    """Runs the cells of a selection that have no record.

    Args:
        selection: the cells, and what a reader must know about them.
        only: run this cell alone, written as ``data set/backbone/method/seed``, and ``/setting``
            where it has one.
        results: the store's folder.
        workers: cells at a time; None for as many as the cores allow.
        repeat: returns the command that runs a cell alone again.
    """

    def __init__(
        self,
        selection: Selection,
        *,
        only: str | None,
        results: Path,
        workers: int | None,
        repeat: Callable[[CellName], str],
    ) -> None:
        self.selection = selection
        self.cells = _with_trials(selection, selection.cells)
        self.wanted = self._only(only) if only else self.cells
        self.store = Store(results)
        self.tuning = Tuning(selection.trials, self.store)
        self.asked_workers = workers
        self.workers = workers or default_workers(self.wanted)
        self.repeat = repeat

    def _only(self, only: str) -> list[Cell]:
        """Returns the cell of this name, after the trials that choose its values if it has any."""
        cells = {str(cell.name): cell for cell in self.cells}
        if only not in cells:
            raise InputError(
                f"'{only}' is no cell of this grid", where="--only", mend=nearest_name(only, cells)
            )
        one = cells[only]
        if one in self.selection.cells:
            return _with_trials(self.selection, [one])
        bare = self.selection.trials[(*one.name[:2], BARE)]
        return [one] if one.name.method == BARE else [*(trial.cell for trial in bare), one]

    def run(self, run: Run = quick_start, **options: Any) -> dict[CellName, Failure]:
        """Runs what is missing and returns the cells that failed.

        Where the grid searches, a method's trials run as soon as the last of the bare backbone's
        has settled what they share, and its cells as soon as the last of its own has settled the
        rest.

        Args:
            run: computes one cell in its process.
            options: passed on to ``run_cells``.

        Raises:
            InputError: data or the store cannot be used, or all cells stumble over the same input.
            KeyboardInterrupt: after Ctrl-C or SIGTERM; the store is whole.
        """
        self.store.open()
        self.prepare_data()
        failed: dict[CellName, Failure] = {}
        waiting = [{cell.name: cell for cell in stage} for stage in self._stages()]

        def release(block: tuple[str, ...] | None = None) -> tuple[list[Cell], int]:
            """Takes out of ``waiting`` the cells whose values are known, of a block or of all.

            What others wait for is looked for first: a trial that another runner ends right after
            is then waited for here all the same, and releases its cells.

            Returns:
                Those without a record, and how many others there are.
            """
            missing: list[Cell] = []
            cached = 0
            for stage in waiting:
                asked = [cell for name, cell in stage.items() if block in (None, name[:2])]
                known = [self._resolved(cell, failed) for cell in asked]
                settled = [cell for cell in known if cell is not None]
                for cell in settled:
                    del stage[cell.name]
                lacking, there = self._missing(settled)
                missing += lacking
                cached += there
            return missing, cached

        missing, cached = release()
        place = {cell.name: number for number, cell in enumerate(self.wanted)}
        missing.sort(key=lambda cell: place[cell.name])
        progress = Progress(
            len(missing) + cached + sum(map(len, waiting)), cached, self.workers,
            Estimates(self.store.costs()),
            later=lambda: [cell for stage in waiting for cell in stage.values()],
        )  # fmt: skip
        ran = list(missing)

        def follow(cell: Cell, outcome: Record | Failure) -> list[Cell]:
            """Returns the cells that wait for what a kind's last trial has settled, once."""
            if isinstance(outcome, Failure):
                failed[cell.name] = outcome
            if not self.tuning.is_trial(cell.name):
                return []
            following, there = release(cell.name[:2])
            progress.cached(there)
            ran.extend(following)
            return following

        failures = run_cells(
            missing,
            self.store,
            workers=self.asked_workers,
            repeat=self.repeat,
            progress=progress,
            fresh=all(self._state(cell) for cell in self.cells),
            run=run,
            follow=follow,
            **options,
        )
        self.store.clear()  # a cell's process may have been killed between its record and its lock
        keys = {cell.key: failures[cell.name] for cell in ran if cell.name in failures}
        found: dict[CellName, Failure] = {}
        for one in self.wanted:
            cell = self._resolved(one, failures)
            if cell is None:
                found[one.name] = self._untried(one)
            elif cell.key in keys:
                found[one.name] = self._named(keys[cell.key], cell)
        return found

    def _stages(self) -> list[list[Cell]]:
        """Returns the wanted cells in three parts, each of which waits for the one before it."""
        stages: list[list[Cell]] = [[], [], []]
        for cell in self.wanted:
            trial, bare = self.tuning.is_trial(cell.name), cell.name.method == BARE
            stages[2 if not trial else 0 if bare else 1].append(cell)
        return stages

    def prepare_data(self) -> None:
        """Makes the data sets that the suite brings; raises InputError for one that is not here."""
        for dataset, data_path in sorted(
            {(cell.name.dataset, cell.properties["data_path"]) for cell in self.wanted}
        ):
            ensure_prepared(dataset, data_path)

    def finished(self) -> list[Cell]:
        """Returns the wanted cells that have a whole record, with the values that trials chose.

        The trials themselves are left out.
        """
        known = (
            self.tuning.resolved(cell, self._has_failed)
            for cell in self.wanted
            if not self.tuning.is_trial(cell.name)
        )
        return [cell for cell in known if cell is not None and self.store.read(cell.key)]

    def _resolved(self, cell: Cell, failed: Container[CellName]) -> Cell | None:
        """Returns the cell with the values that its trials chose; None while they are to run."""
        return self.tuning.resolved(cell, lambda trial: trial.name in failed)

    def _missing(self, cells: Iterable[Cell]) -> tuple[list[Cell], int]:
        """Returns the cells without a record, one for each key, and how many other keys there are.

        Cells with one key, such as two settings that come to the same properties, run once.
        """
        different: dict[str, Cell] = {}
        for cell in cells:
            different.setdefault(cell.key, cell)
        missing = [cell for key, cell in different.items() if self.store.read(key) is None]
        return missing, len(different) - len(missing)

    def _named(self, failure: Failure, cell: Cell) -> Failure:
        """Returns the failure under a cell's own name, with the command that repeats this cell."""
        if failure.cell == cell.name:
            return failure
        return replace(failure, cell=cell.name, command=self.repeat(cell.name))

    def _untried(self, cell: Cell) -> Failure:
        """Returns why a cell could not run: trials left no values to run it with."""
        trials = self.selection.trials
        own = self._resolved(trials[cell.name.kind][0].cell, ())
        first = own or trials[(*cell.name[:2], BARE)][0].cell
        log = str(self.store.log_file(first.key))
        return Failure(cell.name, _UNTRIED, "", self.repeat(cell.name), log)

    def plan(self) -> str:
        """Returns a table of the cells, which have finished, and what the others may cost."""
        from tabulate import tabulate

        estimates = Estimates(self.store.costs())
        parts = any(cell.name.setting for cell in self.wanted)
        rows: dict[tuple[str, ...], list[Any]] = {}
        missing: dict[str, Cell] = {}
        for cell in self.wanted:
            trial = self.tuning.is_trial(cell.name)
            own = ("trials" if trial else cell.name.setting,) if parts else ()
            row = rows.setdefault((*cell.name.kind, *own), [[], [], [], "unknown", "unknown"])
            state = self._state(cell)
            row[state].append(cell.name.setting.split("=")[-1] if trial else cell.name.seed)
            if state:
                missing.setdefault(key_of(cell.properties, ""), cell)
            cost = estimates.cost(cell)
            if cost is not None:
                row[3:] = [say_duration(cost.seconds), f"{cost.memory_mb:.0f} MiB"]
        table = tabulate(
            [[*key, *(" ".join(map(str, seeds)) for seeds in row[:3]), *row[3:]]
             for key, row in rows.items()],
            headers=["data set", "backbone", "method", *(["setting"] if parts else []),
                     "finished", "to run", "failed before",
                     "time per cell", "memory"],
            disable_numparse=True,
        )  # fmt: skip
        return f"{table}\n\n{self._unmade()}{self._total(list(missing.values()), estimates)}"

    def _unmade(self) -> str:
        """Says which data sets are made by the first run, so that no key can be known before."""
        places = dict.fromkeys((cell.name.dataset, cell.data_folder) for cell in self.wanted)
        unmade = [name for name, folder in places if not has_interactions(folder, name)]
        if not unmade:
            return ""
        return (
            f"Not made yet: {', '.join(unmade)}. Which cells have finished is known once a run or "
            "--report has made it.\n"
        )

    def _state(self, cell: Cell) -> int:
        """Returns 0 for finished, 1 for to run, 2 for to run again after a failure."""
        if not has_interactions(cell.data_folder, cell.name.dataset):
            return 1  # made on first use; a key needs its content
        known = self._resolved(cell, ())
        if known is None:
            return 1
        if self.store.holds(known.key):
            return 0
        return 2 if self.store.failure(known.key) else 1

    def _total(self, missing: list[Cell], estimates: Estimates) -> str:
        counted = f"{len(self.wanted)} cells, {len(missing)} to run, {self.workers} at a time"
        if not missing:
            return f"{counted}."
        guesses = estimates.seconds(missing)
        if guesses is None:
            return f"{counted}; time and memory unknown until the first cell has finished."
        memory = [cost.memory_mb for cost in map(estimates.cost, missing) if cost is not None]
        text = f"{counted}; about {say_duration(sum(guesses) / self.workers)}"
        if memory:
            highest = sum(sorted(memory)[-self.workers :])
            text += f" and up to {highest:.0f} MiB of memory"
        blind = sum(estimates.cost(cell) is None for cell in missing)
        return text + (f" ({blind} cells without a similar finished one)." if blind else ".")

    def board(self) -> dict[str, Any]:
        """Returns what ``report.tables.render`` needs, read from the store alone."""
        cells, chosen = self.selection.cells, self._chosen()
        records: dict[CellName, Record] = {}
        failures: dict[CellName, str] = {}
        for cell in cells:
            if not has_interactions(cell.data_folder, cell.name.dataset):
                continue
            known = self.tuning.resolved(cell, self._has_failed)
            if known is None:
                if cell.name.kind in chosen:
                    failures[cell.name] = _UNTRIED
                continue
            record, failure = self.store.record(known), self.store.failure(known.key)
            if record is not None:
                records[cell.name] = record
            elif failure is not None:
                failures[cell.name] = failure.reason
        return {
            "grid": asdict(self.selection.grid),
            "cells": [cell.name for cell in cells],
            "records": list(records.values()),
            "failures": failures,
            "notes": self.selection.notes,
            "chosen": chosen,
        }

    def _chosen(self) -> dict[Kind, Choice]:
        """Returns the choices that all trials of a kind have settled."""
        choices = {
            kind: self.tuning.choice(kind, self._has_failed)
            for kind, trials in self.selection.trials.items()
            if has_interactions(trials[0].cell.data_folder, kind[0])
        }
        return {kind: choice for kind, choice in choices.items() if choice is not None}

    def _has_failed(self, cell: Cell) -> bool:
        return self.store.failure(cell.key) is not None


def _with_trials(selection: Selection, cells: Sequence[Cell]) -> list[Cell]:
    """Returns cells, those of a data set and backbone after all trials that they wait for."""
    blocks = dict.fromkeys(cell.name[:2] for cell in cells)
    ordered: list[Cell] = []
    for block in blocks:
        own = [cell for cell in cells if cell.name[:2] == block]
        for method in dict.fromkeys([BARE, *(cell.name.method for cell in own)]):
            ordered += [trial.cell for trial in selection.trials.get((*block, method), ())]
        ordered += own
    return ordered
