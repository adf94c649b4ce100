"""A cluster of several Ray nodes, one of them killed; runs of programs of their own; real cells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import fake_grid
import pytest

from recbole_guider.benchmark.cell import Cell
from recbole_guider.benchmark.crews import ray_crew
from recbole_guider.benchmark.store import Store
from recbole_guider.report.tables import render

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
FAST = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500,
        "health_check_timeout_ms": 500, "health_check_failure_threshold": 3}  # fmt: skip


@pytest.fixture
def environment(tmp_path, monkeypatch):
    paths = [str(Path(fake_grid.__file__).parent), str(ROOT)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", tempfile.gettempdir())
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))


@pytest.fixture
def cluster(environment):
    ray_crew._ray()
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": FAST})
    for _ in range(2):
        made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    made.shutdown()


def kill_one(cluster, notes, lost):
    """Kills a node as soon as it has begun a cell: not the head, nor the runner's own."""
    end = time.monotonic() + 60
    while not lost and time.monotonic() < end:
        time.sleep(0.05)
        for path in notes.glob("*.begun"):
            key, pid = path.name.split(".")[:2]
            for node in cluster.worker_nodes:
                own = node.raylet_socket_name == _global_node().raylet_socket_name
                if not own and int(pid) == node.all_processes["raylet"][0].process.pid:
                    cluster.remove_node(node, allow_graceful=False)
                    lost.append(key)
                    return


def _global_node():
    from ray._private import worker

    return worker._global_node


def test_a_killed_node_costs_nothing_but_time(data_path, tmp_path, cluster, caplog):
    selection = fake_grid.selection_of(data_path, seeds=2)
    job = fake_grid.job_of(selection, tmp_path / "r", workers=3)
    notes, lost = data_path / "notes", []
    killer = threading.Thread(target=kill_one, args=(cluster, notes, lost))
    killer.start()
    executor = ray_crew.on_ray(cluster.address)
    failures = job.run(fake_grid.on_node, check=None, preload=fake_grid.LIGHT, executor=executor)
    killer.join()
    assert failures == {}
    assert len(lost) == 1
    assert "it runs again" in caplog.text
    assert {path.name for path in (tmp_path / "r").glob("*.json.gz")} == {
        f"{cell.key}.json.gz" for cell in job.wanted
    }
    begun = [path.name.split(".") for path in notes.glob("*.begun")]
    assert len({pid for _, pid, _ in begun}) == 3
    assert len({pid for key, pid, _ in begun if key == lost[0]}) == 2  # another node took it over
    whole = fake_grid.job_of(selection, tmp_path / "whole")
    assert whole.run(fake_grid.result_of, check=None, preload=fake_grid.LIGHT) == {}
    for name, one in (("a", job), ("b", whole)):
        render(folder=tmp_path / name, **one.board())
    assert tables(tmp_path / "a") == tables(tmp_path / "b")


def tables(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_program_leaves_nothing_at_work(data_path, tmp_path, environment, number):
    folders = [str(data_path), str(tmp_path / "r"), str(tmp_path / "board")]
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys, fake_grid; fake_grid.main(*sys.argv[1:])",
         *folders, "endless", "ray"],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell may ignore it
    )  # fmt: skip
    end = time.monotonic() + 90
    while len(list(data_path.glob("notes/*.started"))) < 2:
        assert time.monotonic() < end, process.communicate(timeout=1)
        time.sleep(0.1)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, errors = process.communicate(timeout=60)  # ends once no process holds its stderr
    assert b"KeyboardInterrupt" in errors
    assert process.returncode not in (0, None)
    store = Store(tmp_path / "r")
    assert not list(store.folder.glob("*.json.gz"))
    for cell in fake_grid.selection_of(data_path).cells:
        with store.lock(cell.key) as free:
            assert free


def test_real_cells_are_the_same_on_ray(here, tmp_path, environment):
    selection = fake_grid.selection_of(here["data_path"], ["Base", "GUIDER"])
    cells = tuple(Cell(cell.name, {**cell.overrides, "epochs": 2}) for cell in selection.cells)
    boards = []
    for name, options in (("ray", {"executor": ray_crew.on_ray()}), ("local", {})):
        job = fake_grid.job_of(selection, tmp_path / name)
        job.wanted = list(cells)
        assert job.run(**options) == {}
        boards.append({path.name: path.read_bytes() for path in (tmp_path / name).glob("*.npz")})
    assert len(boards[0]) == 2
    assert boards[0] == boards[1]
