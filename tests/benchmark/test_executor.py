"""Processes: failures of every kind stay alone, interrupts and kills leave a store that resumes."""

from __future__ import annotations

import dataclasses
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_grid
import pytest

from recbole_guider.benchmark.crews.crew import Order
from recbole_guider.benchmark.crews.local_crew import LocalCrew, local
from recbole_guider.benchmark.crews.work import BUSY, work
from recbole_guider.benchmark.estimate import Estimates
from recbole_guider.benchmark.executor import AllRefusedError, run_cells
from recbole_guider.benchmark.progress import Progress
from recbole_guider.benchmark.store import Store
from recbole_guider.errors import InputError
from recbole_guider.replacing import TEMPORARY

ROOT = Path(__file__).resolve().parents[2]


def run(job, work, check=None):
    return job.run(work, check=check, preload=fake_grid.LIGHT)


def test_every_cell_runs_once_and_is_then_cached(data_path, tmp_path):
    selection = fake_grid.selection_of(data_path, seeds=2)
    assert run(fake_grid.job_of(selection, tmp_path / "r"), fake_grid.result_of) == {}
    names = sorted(str(cell.name) for cell in selection.cells)
    assert sorted(fake_grid.computed(data_path)) == names
    store = Store(tmp_path / "r")
    record = store.read(selection.cells[0].key)
    assert record.cell == selection.cells[0].name
    assert record.valid_curve == [{"epoch": 0, "loss": None}]
    assert list(record.users) == sorted(record.users)
    assert run(fake_grid.job_of(selection, tmp_path / "r"), fake_grid.endless) == {}
    assert sorted(fake_grid.computed(data_path)) == names


def test_processor_seconds_do_not_grow_while_a_cell_waits(data_path, tmp_path):
    job = fake_grid.job_of(fake_grid.selection_of(data_path, ["Base"]), tmp_path / "r")
    run(job, fake_grid.slow)
    for cell in job.wanted:
        seconds = Store(tmp_path / "r").read(cell.key).seconds
        assert seconds["total"] - seconds["processor"] >= 0.04  # it sleeps for .05 s
        assert seconds["processor"] >= 0


def test_failures_of_every_kind_do_not_stop_the_others(data_path, tmp_path, capfd):
    selection = fake_grid.selection_of(data_path)
    job = fake_grid.job_of(selection, tmp_path / "r")
    failures = {name.method: failure for name, failure in run(job, fake_grid.troubled).items()}
    assert failures["WBPR"].reason == "RuntimeError: the loss is not finite"
    assert "troubled" in failures["WBPR"].traceback
    assert "SIGKILL" in failures["T-CE"].reason
    assert "code 3" in failures["R-CE"].reason
    assert set(failures) == {"WBPR", "T-CE", "R-CE"}
    assert failures["T-CE"].command == "again --only tiny/BM3/T-CE/2022"
    assert "the loss is not finite" in Path(failures["WBPR"].log).read_text()
    board = job.board()
    assert {record.cell.method for record in board["records"]} == {"Base", "GUIDER"}
    assert {name[2] for name in board["failures"]} == {"WBPR", "T-CE", "R-CE"}
    assert "[5/5]" in capfd.readouterr().err
    # A failure is not cached, and is forgotten once its cell has finished.
    assert run(job, fake_grid.result_of) == {}
    assert job.board()["failures"] == {}


def test_a_number_that_is_none_is_a_failure(data_path, tmp_path):
    job = fake_grid.job_of(fake_grid.selection_of(data_path, ["Base", "WBPR"]), tmp_path / "r")
    failures = run(job, fake_grid.unfinished_number)
    assert all("not a finite number" in failure.reason for failure in failures.values())
    assert len(failures) == 2


def test_input_that_no_cell_can_use_is_one_error(data_path, tmp_path):
    job = fake_grid.job_of(fake_grid.selection_of(data_path), tmp_path / "r")
    with pytest.raises(InputError, match=r"^tiny\.itemtext: row 7 holds a NaN\. Remove it\.$"):
        run(job, fake_grid.refused)


def test_input_that_the_missing_cells_cannot_use_is_their_failure(data_path, tmp_path):
    job = fake_grid.job_of(fake_grid.selection_of(data_path, ["Base", "WBPR"]), tmp_path / "r")
    for _ in range(2):  # the second time, all cells that are left stumble
        failures = run(job, fake_grid.partly_refused)
        assert [name.method for name in failures] == ["WBPR"]
        assert failures[job.wanted[1].name].reason.endswith("row 7 holds a NaN. Remove it.")
    alone = fake_grid.job_of(job.selection, tmp_path / "r", only=str(job.wanted[1].name))
    assert len(run(alone, fake_grid.partly_refused)) == 1


def following(selection, seen, methods=("WBPR", "T-CE")):
    """The first method's end brings the others of its seed, once."""
    cells = {cell.name: cell for cell in selection.cells}

    def follow(cell, outcome):
        seen.append((cell.name, type(outcome).__name__))
        if cell.name.method != "Base":
            return []
        return [cells[cell.name._replace(method=method)] for method in methods]

    return follow


def started(selection, store, work, follow, total, stream=None):
    """Runs the bare backbone's cells alone, one at a time, and what follows them."""
    return run_cells(
        [cell for cell in selection.cells if cell.name.method == "Base"],
        store,
        workers=1,
        repeat=str,
        progress=Progress(total, 0, 1, Estimates(), stream),
        run=work,
        check=None,
        follow=follow,
        preload=fake_grid.LIGHT,
    )


def test_cells_that_follow_run_before_those_that_wait(data_path, tmp_path):
    selection = fake_grid.selection_of(data_path, ["Base", "WBPR", "T-CE"], seeds=2)
    store, seen, stream = Store(tmp_path / "r").open(), [], io.StringIO()
    follow = following(selection, seen)
    assert started(selection, store, fake_grid.result_of, follow, 6, stream) == {}
    wanted = [f"tiny/BM3/{m}/{seed}" for seed in (2022, 2023) for m in ("Base", "WBPR", "T-CE")]
    assert fake_grid.computed(data_path) == wanted
    assert [str(name) for name, _ in seen] == wanted
    assert stream.getvalue().splitlines()[-1].startswith("[6/6]")
    # What has a record already is told as well, as where another runner was faster.
    seen.clear()
    assert started(selection, store, fake_grid.endless, follow, 6, stream) == {}
    assert [(str(name), kind) for name, kind in seen] == [(name, "Record") for name in wanted]


def test_failures_are_followed_and_refusals_of_all_that_ran_are_one_error(data_path, tmp_path):
    selection = fake_grid.selection_of(data_path, ["Base", "WBPR", "T-CE"])
    store, seen = Store(tmp_path / "r").open(), []
    with pytest.raises(AllRefusedError, match="row 7 holds a NaN"):
        started(selection, store, fake_grid.refused, following(selection, seen), 3)
    assert [kind for _, kind in seen] == ["Failure"] * 3
    with pytest.raises(AllRefusedError):  # nothing followed: the first is all that could run
        started(selection, store, fake_grid.refused, lambda *_: [], 3)
    follow = following(selection, [])
    failures = started(selection, store, fake_grid.only_the_first_refused, follow, 3)
    assert [name.method for name in failures] == ["Base"]


def test_progress_shows_a_record_without_a_validation_value(data_path, tmp_path):
    job = fake_grid.job_of(fake_grid.selection_of(data_path, ["Base"]), tmp_path / "r")
    run(job, fake_grid.result_of)
    record = dataclasses.replace(job.store.read(job.wanted[0].key), valid={})
    stream = io.StringIO()
    Progress(1, 0, 1, Estimates(), stream).finished(record, [], {})
    assert stream.getvalue() == "[1/1] tiny/BM3/Base/2022: 0 s\n"


def test_progress_goes_on_while_a_cluster_has_lost_its_hosts(data_path, tmp_path):
    job = fake_grid.job_of(fake_grid.selection_of(data_path, ["Base"]), tmp_path / "r")
    run(job, fake_grid.result_of)
    stream = io.StringIO()
    progress = Progress(2, 0, 1, Estimates(job.store.costs()), stream)
    progress.workers = 0
    progress.finished(job.store.read(job.wanted[0].key), job.wanted, {})
    assert "left" in stream.getvalue()


def test_data_that_cannot_be_used_stops_the_run_before_its_cells(data_path, tmp_path, capfd):
    selection = fake_grid.selection_of(data_path, ["Base", "WBPR"])
    job = fake_grid.job_of(selection, tmp_path / "r")
    with pytest.raises(InputError, match="row 7 holds a NaN"):
        run(job, fake_grid.result_of, check=fake_grid.refused)
    assert fake_grid.computed(data_path) == []
    assert not list((tmp_path / "r").glob("*.json.gz"))
    assert capfd.readouterr().err == ""
    # A check that dies leaves it to the cells to say why.
    assert run(job, fake_grid.result_of, check=fake_grid.dying) == {}


def test_a_log_is_its_cells_own(data_path, tmp_path):
    job = fake_grid.job_of(fake_grid.selection_of(data_path, ["WBPR"]), tmp_path / "r")
    log = Path(next(iter(run(job, fake_grid.troubled).values())).log)
    first = log.read_text()
    assert first.count("RuntimeError: the loss is not finite") == 1
    run(job, fake_grid.troubled)
    assert log.read_text() == first  # of the last attempt alone
    # A check may meet a cell that another runner has at work.
    order = Order(job.wanted, job.store, fake_grid.result_of, str, 1, 1, fake_grid.LIGHT)
    with local(order) as crew:
        crew.check(job.wanted[0], fake_grid.result_of)
    assert log.read_text().startswith(first)


def test_only_runs_one_cell(data_path, tmp_path):
    selection = fake_grid.selection_of(data_path)
    run(fake_grid.job_of(selection, tmp_path, only="tiny/BM3/GUIDER/2022"), fake_grid.result_of)
    assert fake_grid.computed(data_path) == ["tiny/BM3/GUIDER/2022"]
    with pytest.raises(InputError, match="Did you mean 'tiny/BM3/GUIDER/2022'"):
        fake_grid.job_of(selection, tmp_path, only="tiny/BM3/GUIDR/2022")


def test_a_damaged_record_runs_again(data_path, tmp_path):
    selection = fake_grid.selection_of(data_path, ["Base", "WBPR"])
    run(fake_grid.job_of(selection, tmp_path / "r"), fake_grid.result_of)
    damaged = tmp_path / "r" / f"{selection.cells[0].key}.npz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    run(fake_grid.job_of(selection, tmp_path / "r"), fake_grid.result_of)
    assert fake_grid.computed(data_path).count(str(selection.cells[0].name)) == 2
    assert fake_grid.computed(data_path).count(str(selection.cells[1].name)) == 1


def program(data_path, tmp_path, name, work="slow"):
    folders = [str(tmp_path / f"{name}-results"), str(tmp_path / f"{name}-board")]
    command = [sys.executable, str(Path(fake_grid.__file__)), str(data_path), *folders, work]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        preexec_fn=heed_interrupts,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def heed_interrupts():
    """Undoes what a shell does to the programs that it runs in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def tables(tmp_path, name):
    """Name -> content of a leaderboard's files; not those that a killed runner left unfinished."""
    return {
        path.name: path.read_bytes()
        for path in (tmp_path / f"{name}-board").iterdir()
        if not path.name.endswith(TEMPORARY)
    }


def test_a_killed_runner_leaves_no_process_behind(data_path, tmp_path):
    process = program(data_path, tmp_path, "left", "endless")
    wait_for(lambda: len(list(data_path.glob("notes/*.started"))) == 2)
    process.kill()
    process.communicate(timeout=30)  # ends once no process holds its stderr
    store = Store(tmp_path / "left-results")
    wait_for(lambda: all(free(store, cell) for cell in fake_grid.selection_of(data_path).cells))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_processes(data_path, tmp_path, number):
    process = program(data_path, tmp_path, "left", "endless")
    wait_for(lambda: len(list(data_path.glob("notes/*.started"))) == 2)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in errors  # the command line turns it into exit code 130
    store = Store(tmp_path / "left-results")
    assert all(free(store, cell) for cell in fake_grid.selection_of(data_path).cells)
    assert not list(store.folder.glob("*.json.gz"))


def test_a_cell_that_another_runner_holds_is_tried_later(data_path, tmp_path):
    cell = fake_grid.selection_of(data_path).cells[0]
    store = Store(tmp_path).open()
    with store.lock(cell.key) as held:
        assert held
        arguments = (cell, store.folder, "again", fake_grid.result_of, None)
        process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
        process.start()
        process.join()
    assert process.exitcode == BUSY
    order = Order([cell], store, fake_grid.result_of, str, workers=1, threads=1, preload=())
    assert LocalCrew(order, None).outcome(cell, BUSY) is None
    assert store.failure(cell.key) is None
    assert fake_grid.computed(data_path) == []


def free(store, cell):
    with store.lock(cell.key) as held:
        return held


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
