"""What a person sees while a grid runs: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO

from recbole_guider.benchmark.cell import Cell
from recbole_guider.benchmark.estimate import Estimates, say_duration
from recbole_guider.benchmark.record import Record
from recbole_guider.benchmark.store import Failure


class Progress:
    """Cells done, failed and running, and the time left.

    Args:
        total: cells of the grid.
        cached: how many of them had finished before.
        workers: how many run at a time.
        estimates: what finished cells cost; cells that finish now are added.
        stream: where to write.
        later: gives the cells that are to follow others, beside those that wait for a worker.
    """

    def __init__(
        self,
        total: int,
        cached: int,
        workers: int,
        estimates: Estimates,
        stream: TextIO | None = None,
        later: Callable[[], Iterable[Cell]] = tuple,
    ) -> None:
        self.total, self.done, self.failed, self.workers = total, cached, 0, workers
        self.estimates, self.later = estimates, later
        self.stream = stream or sys.stderr
        self.bar: Any = None
        if self.stream.isatty():
            from tqdm import tqdm

            self.bar = tqdm(
                total=total,
                initial=cached,
                file=self.stream,
                dynamic_ncols=True,
                bar_format="{percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} cells{postfix}",
            )

    def finished(
        self, record: Record, waiting: Iterable[Cell], running: Mapping[Cell, float]
    ) -> None:
        """Tells that a cell finished."""
        self.done += 1
        self.estimates.add(record)
        if self.bar is not None:
            self.bar.update()
            self.tick(waiting, running)
            return
        metric = str(record.config.get("valid_metric")).lower()
        value = record.valid.get(metric)
        valid = "" if value is None else f", validation {metric} {value:.4f}"
        took = say_duration(record.seconds["total"])
        self._line(f"{record.cell}: {took}{valid}{self._left(waiting, running)}")

    def cached(self, count: int) -> None:
        """Tells that cells turned out to have finished before."""
        self.done += count
        if self.bar is not None:
            self.bar.update(count)

    def failure(
        self, failure: Failure, waiting: Iterable[Cell], running: Mapping[Cell, float]
    ) -> None:
        """Tells that a cell failed."""
        self.failed += 1
        text = f"{failure.cell}: failed, {failure.reason}"
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
            self.tick(waiting, running)
        else:
            self._line(text + self._left(waiting, running))

    def tick(self, waiting: Iterable[Cell], running: Mapping[Cell, float]) -> None:
        """Brings the live line up to date."""
        if self.bar is not None:
            failed = f"{self.failed} failed, " if self.failed else ""
            text = f"{failed}{len(running)} running{self._left(waiting, running)}"
            self.bar.set_postfix_str(text)

    def close(self) -> None:
        """Leaves the live line as it is."""
        if self.bar is not None:
            self.bar.close()

    def _line(self, text: str) -> None:
        counted = self.done + self.failed
        print(f"[{counted}/{self.total}] {text}", file=self.stream, flush=True)

    def _left(self, waiting: Iterable[Cell], running: Mapping[Cell, float]) -> str:
        waiting = list(waiting)
        if not waiting and not running:  # what was to follow others never will
            return ""
        waiting += self.later()
        guesses = self.estimates.seconds([*waiting, *running])
        if guesses is None:
            return ""
        now = time.monotonic()
        rest = [
            max(guess - (now - started), 0.0)
            for guess, started in zip(guesses[len(waiting) :], running.values())
        ]
        # Workers share the work, but no cell is split.
        # A cluster that has just lost all its hosts has no room for any.
        shared = (sum(guesses[: len(waiting)]) + sum(rest)) / max(self.workers, 1)
        seconds = max([shared, *rest])
        return f", about {say_duration(seconds)} left"
