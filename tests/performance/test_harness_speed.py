"""What the harness costs beside the training: help, plan, report, comparison, a cell's overhead.

Prints seconds. Nothing but a generous bound is asserted, since machines differ.
"""

from __future__ import annotations

import contextlib
import io
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import synthetic_store

from recbole_guider.benchmark.job import Job
from recbole_guider.report.board import arrange
from recbole_guider.report.stores.compare import compare_folders
from recbole_guider.report.tables import render

pytestmark = pytest.mark.performance
ROOT = Path(__file__).resolve().parents[2]
BOUND = 120  # seconds, of each


class Clock:
    """Prints how long each step took, and how much of the processor."""

    def __init__(self):
        self.before = time.perf_counter(), time.process_time()

    def __call__(self, what):
        now = time.perf_counter(), time.process_time()
        seconds, busy = (one - other for one, other in zip(now, self.before))
        print(f"{what}: {seconds:.2f} s ({busy:.2f} s of processor)")
        assert seconds < BOUND
        self.before = time.perf_counter(), time.process_time()


def command_line(*arguments):
    """Returns the shortest of three times of a command, and what it prints."""
    command, times = [sys.executable, str(ROOT / "run_benchmark.py"), *map(str, arguments)], []
    for _ in range(3):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        times.append((time.perf_counter() - start, busy))
    seconds, busy = (min(column) for column in zip(*times))
    assert seconds < BOUND
    return f"{seconds:.2f} s ({busy:.2f} s of processor)", done.stdout


def test_help():
    seconds, text = command_line("--help")
    assert "--plan" in text
    print(f"\n--help: {seconds}")


def test_plan_of_table2_with_ten_seeds(tmp_path):
    data = synthetic_store.stand_ins(tmp_path / "data")
    seconds, text = command_line(
        "--grid", "table2", "--seeds", 10, "--plan", f"--data_path={data}",
        "--results", tmp_path / "results",
    )  # fmt: skip
    last = text.splitlines()[-1]
    print(f"\n--plan: {seconds}; {last}")
    assert not (tmp_path / "results").exists()


def test_report_of_a_thousand_cells_with_20000_users(tmp_path, monkeypatch):
    selection = synthetic_store.whole_table(synthetic_store.stand_ins(tmp_path / "data"), seeds=6)
    with monkeypatch.context() as patch:
        synthetic_store.fill(selection, tmp_path / "results", 20_000, patch)
    cells = len(selection.cells)
    assert cells > 1000
    print(f"\n{cells} cells of 20,000 users")
    clock = Clock()
    job = Job(selection, only=None, results=tmp_path / "results", workers=1, repeat=str)
    job.plan()
    clock("plan, all finished")
    told = job.board()
    assert len(told["records"]) == cells
    clock("records read and checked")
    for record in told["records"]:
        assert len(record.users) == 20_000
    clock("arrays read")
    board = arrange(*(told[name] for name in ("grid", "cells", "records", "failures")))
    clock("comparisons")
    monkeypatch.setattr("recbole_guider.report.tables.arrange", lambda *_: board)
    paths = render(folder=tmp_path / "board", **told)
    clock(f"pages ({', '.join(path.name for path in paths)})")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    values = cells * 20_000 * 4 * 8 / 2**30
    print(f"peak memory of this process {peak:.2f} GiB, of which the values are {values:.2f} GiB")
    compare_folders(tmp_path / "results", tmp_path / "results")
    clock("the store compared with itself")


def test_a_cells_overhead(tmp_path):
    whole = synthetic_store.whole_table(synthetic_store.stand_ins(tmp_path / "data"), seeds=1)
    took = {}
    for count in (5, 45):
        part = replace(whole, cells=whole.cells[:count])
        job = Job(part, only=None, results=tmp_path / str(count), workers=1, repeat=str)
        start = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):  # its progress
            assert job.run(synthetic_store.instant, check=None) == {}
        took[count] = time.perf_counter() - start
    each = (took[45] - took[5]) / 40
    print(f"\na run of cells that take no time: {took[5]:.1f} s for 5, {each:.2f} s for one more")
    assert each < BOUND
