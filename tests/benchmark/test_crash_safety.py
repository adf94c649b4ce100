"""Kills, full disks and two runners at once: what is finished stays, and nothing is done twice."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import tempfile
import time

import fake_grid
import numpy as np
import pytest
from test_executor import program, tables
from test_store import KEY, files, make_cell, make_result

from recbole_guider.benchmark.store import Store, StoreError

OTHER = KEY[::-1]
CELLS = 10  # of fake_grid's program


def kill(process, whole_group):
    """Kills a runner, with or without the processes it started, and waits until all are gone."""
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate(timeout=60)  # ends once no process of the run is left to hold its stderr


def wait_until_ended(processes, seconds):
    """Returns whether all processes ended within a time."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if all(process.poll() is not None for process in processes):
            return True
        time.sleep(0.01)
    return False


def disturbed(data_path, tmp_path, name, runners, took, generator):
    """Runs the grid to its end with runners that are killed again and again; counts the kills."""
    store = tmp_path / f"{name}-results"
    finished: set[str] = set()
    kills = 0
    running = [program(data_path, tmp_path, name) for _ in range(runners)]
    while not wait_until_ended(running, took * generator.uniform(0.05, 1.0)):
        alive = [place for place in range(runners) if running[place].poll() is None]
        both = generator.random() < 0.5
        for place in alive if both or not alive else [generator.choice(alive)]:
            kill(running[place], whole_group=generator.random() < 0.7)
            kills += 1
            running[place] = program(data_path, tmp_path, name)
        kept = {path.name for path in store.glob("*.json.gz")}
        assert finished <= kept
        finished = kept
    assert [process.wait() for process in running] == [0] * runners
    for process in running:
        process.communicate()
    left = [path.name for path in store.iterdir() if path.is_file()]
    assert {os.path.splitext(one)[1] for one in left} == {".gz", ".npz"}, left
    return kills


@pytest.mark.parametrize(
    ("runners", "least"),
    [
        pytest.param(2, 2, id="two-runners"),
        pytest.param(1, 50, id="one-runner-often", marks=pytest.mark.slow),
        pytest.param(2, 50, id="two-runners-often", marks=pytest.mark.slow),
    ],
)
def test_kills_at_random_moments_change_nothing(data_path, tmp_path, runners, least):
    started = time.monotonic()
    assert program(data_path, tmp_path, "whole").wait() == 0
    took = time.monotonic() - started
    expected = tables(tmp_path, "whole")
    generator = np.random.default_rng(11)
    kills = rounds = 0
    while kills < least:
        rounds += 1
        before = len(fake_grid.computed(data_path))
        killed = disturbed(data_path, tmp_path, f"torn{rounds}", runners, took, generator)
        assert tables(tmp_path, f"torn{rounds}") == expected
        again = len(fake_grid.computed(data_path)) - before
        assert CELLS <= again <= CELLS + 2 * killed  # at most what a killed runner had begun
        kills += killed
        assert rounds < 50 + least, "the runs end before they can be killed"
    print(f"{kills} kills in {rounds} runs")


def test_two_runners_do_no_cell_twice(data_path, tmp_path):
    runners = [program(data_path, tmp_path, "shared") for _ in range(2)]
    assert [runner.wait() for runner in runners] == [0, 0]
    names = fake_grid.computed(data_path)
    assert len(names) == len(set(names)) == CELLS
    assert program(data_path, tmp_path, "whole").wait() == 0
    assert tables(tmp_path, "shared") == tables(tmp_path, "whole")


# Every call by which a record reaches the disk; the third and fourth fsync are of the folder.
POINTS = [(tempfile, "mkstemp", 1), (tempfile, "mkstemp", 2), (os, "fsync", 1), (os, "fsync", 2),
          (os, "replace", 1), (os, "replace", 2)]  # fmt: skip


def full_at(monkeypatch, module, name, turn):
    """Makes the disk full at one call of a function."""
    whole, calls = getattr(module, name), []

    def call(*arguments, **named):
        calls.append(name)
        if len(calls) == turn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(*arguments, **named)

    monkeypatch.setattr(module, name, call)


@pytest.mark.parametrize(("module", "name", "turn"), POINTS)
def test_a_disk_that_is_full_at_any_moment_loses_nothing(tmp_path, monkeypatch, module, name, turn):
    store = Store(tmp_path / "results").open()
    store.write(make_cell(), make_result())
    before = {one: (store.folder / one).read_bytes() for one in files(store)}
    with monkeypatch.context() as patch:
        full_at(patch, module, name, turn)
        with pytest.raises(StoreError, match="No space left on device"):
            store.write(make_cell(OTHER), make_result())
    assert {one: (store.folder / one).read_bytes() for one in before} == before
    assert not [one for one in files(store) if one.endswith(".tmp")]
    store.write(make_cell(OTHER), make_result(0.5))
    assert store.read(OTHER).test == {"recall@20": 0.5}
    assert store.read(KEY).test == {"recall@20": 0.25}


@pytest.mark.parametrize(("module", "name", "turn"), POINTS[:5])
def test_a_record_is_replaced_only_when_there_is_room_for_all_of_the_new_one(
    tmp_path, monkeypatch, module, name, turn
):
    store = Store(tmp_path / "results").open()
    store.write(make_cell(), make_result())
    with monkeypatch.context() as patch:
        full_at(patch, module, name, turn)
        with pytest.raises(StoreError):
            store.write(make_cell(), make_result(0.75))
    assert store.inspect(KEY).test == {"recall@20": 0.25}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs root to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_really_full_disk_is_one_line_and_goes_on_once_there_is_room(small_disk):
    store = Store(small_disk / "results").open()
    store.write(make_cell(), make_result())
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(1 << 20))
    with pytest.raises(StoreError) as caught:
        store.write(make_cell(OTHER), make_result())
    assert "No space left on device" in str(caught.value)
    assert "--results" in str(caught.value)
    assert files(store) == {f"{KEY}.json.gz", f"{KEY}.npz"}
    with pytest.raises(StoreError):  # told before hours are spent
        Store(small_disk / "results").open()
    assert store.read(KEY).test == {"recall@20": 0.25}
    filler.unlink()
    store.write(make_cell(OTHER), make_result())
    assert store.read(OTHER) is not None


def test_a_disk_that_fills_while_cells_run_ends_the_run(small_disk, data_path):
    selection = fake_grid.selection_of(data_path)
    only = fake_grid.job_of(selection, small_disk / "r", only=str(selection.cells[0].name))
    only.run(fake_grid.result_of, check=None, preload=fake_grid.LIGHT)
    (data_path / "notes" / "filler.txt").write_text(str(small_disk / "filler"))
    job = fake_grid.job_of(selection, small_disk / "r", workers=1)
    with pytest.raises(StoreError, match="No space left on device"):
        job.run(fake_grid.filling, check=None, preload=fake_grid.LIGHT)
    assert len(fake_grid.computed(data_path)) == 2  # the next cells are not even begun
    assert [record.cell for record in job.board()["records"]] == [selection.cells[0].name]
    (small_disk / "filler").unlink()
    assert job.run(fake_grid.result_of, check=None, preload=fake_grid.LIGHT) == {}
