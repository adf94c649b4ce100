"""Cells on a real Ray of this machine: what it leaves in the store is what processes leave."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import fake_grid
import pytest

from recbole_guider.benchmark.crews import ray_crew
from recbole_guider.benchmark.executor import AllRefusedError
from recbole_guider.benchmark.progress import Progress
from recbole_guider.benchmark.record import unpacked
from recbole_guider.benchmark.store import Store
from recbole_guider.errors import InputError
from recbole_guider.report.tables import render

# What differs between two runs of a cell.
OWN = {"seconds", "hardware", "peak_memory_mb", "checksum", "source"}  # a commit may land meanwhile


@pytest.fixture(scope="module")
def connected(tmp_path_factory):
    """A Ray of this machine, whose workers find the tests' modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(fake_grid.__file__).parent), prepend=os.pathsep)
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_TMPDIR", tempfile.gettempdir())  # the paths of its sockets must be short
        patch.setenv(
            "TMPDIR", str(tmp_path_factory.mktemp("scratch"))
        )  # for what lost workers leave
        patch.setattr(ray_crew, "usable_cores", lambda: 2)
        with ray_crew._connected(ray_crew._ray(), None, threads=1):
            yield


@pytest.fixture
def on_ray(connected):
    def run(job, work, check=None, **options):
        executor = ray_crew.on_ray()
        return job.run(work, check=check, preload=fake_grid.LIGHT, executor=executor, **options)

    return run


def local(job, work, check=None):
    return job.run(work, check=check, preload=fake_grid.LIGHT)


def stored(folder):
    """Name -> content of the records and failures of a store."""
    files = {}
    for path in folder.iterdir():
        if path.suffix == ".npz":
            files[path.name] = path.read_bytes()
        elif path.suffix in (".gz", ".json"):
            text = path.read_bytes()
            content = unpacked(text) if path.suffix == ".gz" else json.loads(text)
            files[path.name] = {k: v for k, v in content.items() if k not in OWN | {"log"}}
    return files


def test_a_grid_on_ray_leaves_what_processes_leave(data_path, tmp_path, on_ray, capfd):
    selection = fake_grid.selection_of(data_path)
    jobs = [fake_grid.job_of(selection, tmp_path / name) for name in ("ray", "local")]
    failures = on_ray(jobs[0], fake_grid.troubled)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("[") for line in lines)
    expected = local(jobs[1], fake_grid.troubled)
    assert {failure.reason for failure in failures.values()} == {
        failure.reason for failure in expected.values()
    }
    assert len(failures) == 3
    for name, failure in failures.items():
        assert failure.command == f"again --only {name}"
        assert failure.log == str(jobs[0].store.log_file(expected_key(jobs[0], name)))
    unlucky = failures[next(name for name in failures if name.method == "WBPR")]
    assert "the loss is not finite" in Path(unlucky.log).read_text()
    assert unlucky.traceback.splitlines()[-1] == "RuntimeError: the loss is not finite"
    # Failures run again, what has finished does not, and nothing tells the two stores apart.
    computed = fake_grid.computed(data_path)
    for job, run in zip(jobs, (on_ray, local)):
        assert run(job, fake_grid.result_of) == {}
    assert len(fake_grid.computed(data_path)) == len(computed) + 6
    assert stored(tmp_path / "ray") == stored(tmp_path / "local")
    boards = []
    for job, name in zip(jobs, ("a", "b")):
        render(folder=tmp_path / name, **job.board())
        boards.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert boards[0] == boards[1]
    leftovers = [
        p for p in (tmp_path / "ray").iterdir() if p.suffix not in (".gz", ".json", ".npz", "")
    ]
    assert not leftovers


def expected_key(job, name):
    return next(cell.key for cell in job.wanted if cell.name == name)


def test_refused_input_and_data_that_changed(data_path, tmp_path, on_ray):
    job = fake_grid.job_of(fake_grid.selection_of(data_path, ["Base", "WBPR"]), tmp_path / "r")
    with pytest.raises(InputError, match="row 7 holds a NaN") as caught:
        on_ray(job, fake_grid.result_of, check=fake_grid.refused)
    assert not isinstance(caught.value, AllRefusedError)
    assert fake_grid.computed(data_path) == []
    with pytest.raises(AllRefusedError, match=r"^tiny\.itemtext: row 7 holds a NaN\. Remove it\.$"):
        on_ray(job, fake_grid.refused)
    assert all(cell.key for cell in job.wanted)  # the keys of these data, which they keep
    (data_path / "tiny" / "tiny.inter").write_text("user_id:token\titem_id:token\na\tc\n")
    with pytest.raises(AllRefusedError, match="changed after the grid had started"):
        on_ray(job, fake_grid.result_of)
    assert not Store(tmp_path / "r").recorded()


def test_a_lost_worker_costs_nothing_but_time(data_path, tmp_path, on_ray, caplog):
    job = fake_grid.job_of(fake_grid.selection_of(data_path, ["Base"]), tmp_path / "r")
    assert on_ray(job, fake_grid.lost_once) == {}
    assert len(Store(tmp_path / "r").recorded()) == 1
    assert fake_grid.computed(data_path) == ["tiny/BM3/Base/2022"]
    assert caplog.text.count("it runs again") == 1


def test_a_cell_that_is_always_lost_is_a_failure(data_path, tmp_path, on_ray, monkeypatch):
    monkeypatch.setattr(ray_crew, "LOSSES", 2)
    job = fake_grid.job_of(fake_grid.selection_of(data_path, ["Base"]), tmp_path / "r")
    (failure,) = on_ray(job, fake_grid.lost_always).values()
    assert failure.reason.startswith("its worker was lost 2 times: ")
    assert len(failure.reason) < 200


def test_an_interrupt_ends_the_tasks_and_leaves_the_store_whole(
    data_path, tmp_path, on_ray, monkeypatch
):
    job = fake_grid.job_of(fake_grid.selection_of(data_path, ["Base", "WBPR", "T-CE"]), tmp_path)

    def interrupt(*_):
        raise KeyboardInterrupt

    for told in ("finished", "failure"):
        monkeypatch.setattr(Progress, told, interrupt)
    with pytest.raises(KeyboardInterrupt):
        on_ray(job, fake_grid.base_ends)
    assert Store(tmp_path).recorded() == [job.wanted[0].key]
    for cell in job.wanted:
        with job.store.lock(cell.key) as free:
            assert free
    end = time.monotonic() + 20
    while ray_crew._ray().available_resources().get("CPU") != 2:  # no task is left at work
        assert time.monotonic() < end
        time.sleep(0.1)
