"""One run of a grid: which cells are missing, running them, and what the leaderboard is made of."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Callable

from recbole_guider.benchmark.cell import Cell, CellName, key_of
from recbole_guider.benchmark.estimate import Estimates, say_duration
from recbole_guider.benchmark.executor import run_cells
from recbole_guider.benchmark.progress import Progress
from recbole_guider.benchmark.provenance import usable_cores
from recbole_guider.benchmark.record import Record
from recbole_guider.benchmark.selection import Selection
from recbole_guider.benchmark.store import Failure, Store
from recbole_guider.benchmark.work import Run, quick_start
from recbole_guider.data.prepare import ensure_prepared, has_interactions
from recbole_guider.errors import InputError, nearest_name


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
        self.wanted = self._only(only) if only else list(selection.cells)
        self.store = Store(results)
        threads = max(int(cell.properties["torch_threads"]) for cell in self.wanted)
        self.workers = workers or max(1, usable_cores() // max(threads, 1))
        self.repeat = repeat

    def _only(self, only: str) -> list[Cell]:
        cells = {str(cell.name): cell for cell in self.selection.cells}
        if only not in cells:
            raise InputError(
                f"'{only}' is no cell of this grid", where="--only", mend=nearest_name(only, cells)
            )
        return [cells[only]]

    def run(self, run: Run = quick_start, **options: Any) -> dict[CellName, Failure]:
        """Runs what is missing and returns the cells that failed.

        Cells with one key, such as two settings that come to the same properties, run once.

        Args:
            run: computes one cell in its process.
            options: passed on to ``run_cells``.

        Raises:
            InputError: data or the store cannot be used, or all cells stumble over the same input.
            KeyboardInterrupt: after Ctrl-C or SIGTERM; the store is whole.
        """
        self.store.open()
        for dataset, data_path in sorted(
            {(cell.name.dataset, cell.properties["data_path"]) for cell in self.wanted}
        ):
            ensure_prepared(dataset, data_path)
        different = {cell.key: cell for cell in reversed(self.wanted)}
        missing = [
            cell
            for cell in self.wanted
            if different[cell.key] is cell and self.store.read(cell.key) is None
        ]
        cached = len(different) - len(missing)
        estimates = Estimates(self.store.costs())
        progress = Progress(len(different), cached, self.workers, estimates)
        failures = run_cells(
            missing,
            self.store,
            workers=self.workers,
            repeat=self.repeat,
            progress=progress,
            fresh=all(self._state(cell) for cell in self.selection.cells),
            run=run,
            **options,
        )
        failed = {cell.key: failures[cell.name] for cell in missing if cell.name in failures}
        return {
            cell.name: self._named(failed[cell.key], cell)
            for cell in self.wanted
            if cell.key in failed
        }

    def _named(self, failure: Failure, cell: Cell) -> Failure:
        """Returns the failure under a cell's own name, with the command that repeats this cell."""
        if failure.cell == cell.name:
            return failure
        return replace(failure, cell=cell.name, command=self.repeat(cell.name))

    def plan(self) -> str:
        """Returns a table of the cells, which have finished, and what the others may cost."""
        from tabulate import tabulate

        estimates = Estimates(self.store.costs())
        settings = [cell.name.setting for cell in self.wanted]
        rows: dict[tuple[str, ...], list[Any]] = {}
        missing: dict[str, Cell] = {}
        for cell in self.wanted:
            own = (cell.name.setting,) if any(settings) else ()
            row = rows.setdefault((*cell.name.kind, *own), [[], [], [], "unknown", "unknown"])
            state = self._state(cell)
            row[state].append(cell.name.seed)
            if state:
                missing.setdefault(key_of(cell.properties, ""), cell)
            cost = estimates.cost(cell)
            if cost is not None:
                row[3:] = [say_duration(cost.seconds), f"{cost.memory_mb:.0f} MiB"]
        table = tabulate(
            [[*key, *(" ".join(map(str, seeds)) for seeds in row[:3]), *row[3:]]
             for key, row in rows.items()],
            headers=["data set", "backbone", "method", *(["setting"] if any(settings) else []),
                     "finished", "to run", "failed before",
                     "time per cell", "memory"],
            disable_numparse=True,
        )  # fmt: skip
        return f"{table}\n\n{self._total(list(missing.values()), estimates)}"

    def _state(self, cell: Cell) -> int:
        """Returns 0 for finished, 1 for to run, 2 for to run again after a failure."""
        if not has_interactions(cell.data_folder, cell.name.dataset):
            return 1  # made on first use; a key needs its content
        if self.store.holds(cell.key):
            return 0
        return 2 if self.store.failure(cell.key) else 1

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
        cells = self.selection.cells
        records: dict[CellName, Record] = {}
        failures: dict[CellName, str] = {}
        for cell in cells:
            if not has_interactions(cell.data_folder, cell.name.dataset):
                continue
            record, failure = self.store.record(cell), self.store.failure(cell.key)
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
        }
