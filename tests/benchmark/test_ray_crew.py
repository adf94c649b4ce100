"""The Ray crew without Ray: what a task asks for, who holds a cell, what is alike elsewhere."""

from __future__ import annotations

import dataclasses
import shutil
import socket
import subprocess
import sys
from types import SimpleNamespace

import fake_grid
import pytest

from recbole_guider.benchmark.cell import Cell
from recbole_guider.benchmark.crews import ray_crew, ray_task
from recbole_guider.benchmark.crews.crew import Order
from recbole_guider.benchmark.crews.ray_crew import RayCrew, _line
from recbole_guider.benchmark.record import content_of
from recbole_guider.benchmark.store import Failure, Store, StoreError
from recbole_guider.errors import InputError


def hosts(*resources, alive=True):
    """Stands in for the module ``ray``, connected to hosts with these resources."""
    nodes = [{"Alive": alive, "Resources": one} for one in resources]
    dead = {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 9.0}}
    return SimpleNamespace(
        nodes=lambda: [*nodes, dead], remote=lambda **_: lambda task: SimpleNamespace(task=task)
    )


def order_of(data_path, tmp_path, workers=None, **properties):
    selection = fake_grid.selection_of(data_path, ["Base", "WBPR"])
    cells = [Cell(cell.name, {**cell.overrides, **properties}) for cell in selection.cells]
    threads = int(cells[0].properties["torch_threads"])
    store = Store(tmp_path / "r").open()
    return Order(cells, store, fake_grid.result_of, str, workers, threads, fake_grid.LIGHT)


def total(result):
    return {**result, "seconds": {**result["seconds"], "total": 1.0}}


def test_places_are_those_of_the_hosts_that_are_there(data_path, tmp_path):
    two = hosts({"CPU": 4.0}, {"CPU": 3.0})
    assert RayCrew(order_of(data_path, tmp_path), two).places == 7
    assert RayCrew(order_of(data_path, tmp_path, workers=5), two).places == 5
    assert RayCrew(order_of(data_path, tmp_path, workers=50), two).places == 7
    # A cell stays on one host.
    assert RayCrew(order_of(data_path, tmp_path, torch_threads=2), two).places == 3
    with pytest.raises(InputError, match="no host of the Ray cluster has 5 cores"):
        RayCrew(order_of(data_path, tmp_path, torch_threads=5), two)
    with pytest.raises(InputError, match="no host"):
        RayCrew(order_of(data_path, tmp_path), hosts())


def test_a_cluster_that_lost_its_hosts_is_told_once(data_path, tmp_path, caplog):
    ray = hosts({"CPU": 4.0})
    crew = RayCrew(order_of(data_path, tmp_path), ray)
    there, told = ray.nodes, []
    for nodes in (list, list, there, list):
        ray.nodes = nodes
        told.append((crew.places, len(caplog.records)))
    assert told == [(0, 1), (0, 1), (4, 1), (0, 2)]
    assert "waiting for one to join" in caplog.text
    caplog.clear()
    with pytest.raises(InputError, match="no host"):
        RayCrew(order_of(data_path, tmp_path), hosts())
    assert not caplog.records


def test_a_cell_asks_for_its_part_of_a_gpu_where_there_are_gpus(data_path, tmp_path):
    def asked(ray, **properties):
        order = order_of(data_path, tmp_path, **properties)
        crew = RayCrew(order, ray)
        return crew._needs(order.cells[0]), crew.places

    mixed = hosts({"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0})
    assert asked(mixed) == ({"num_cpus": 1, "num_gpus": 1.0}, 2)
    assert asked(mixed, gpus_per_cell=0.25) == ({"num_cpus": 1, "num_gpus": 0.25}, 8)
    assert asked(mixed, use_gpu=False) == ({"num_cpus": 1, "num_gpus": 0}, 16)
    assert asked(hosts({"CPU": 8.0})) == ({"num_cpus": 1, "num_gpus": 0}, 8)
    threaded = asked(mixed, gpus_per_cell=0.25, torch_threads=4)
    assert threaded == ({"num_cpus": 4, "num_gpus": 0.25}, 2)


def test_a_cell_that_another_runner_holds_is_not_submitted(data_path, tmp_path):
    order = order_of(data_path, tmp_path)
    crew, cell = RayCrew(order, hosts({"CPU": 1.0})), order.cells[0]
    with order.store.lock(cell.key) as held:
        assert held
        crew.start(cell)  # the stand-in could not submit it
    assert crew.running == {}
    assert list(crew.ended()) == [(cell, None)]
    assert list(crew.ended()) == []


@pytest.mark.parametrize("failed", [False, True])
def test_a_store_that_cannot_be_written_ends_the_run(data_path, tmp_path, failed):
    order = order_of(data_path, tmp_path)
    cell, ray = order.cells[0], hosts({"CPU": 1.0})
    failure = Failure(cell.name, "no luck", "", "", "") if failed else None
    parcel = ray_task.Parcel("log", *content_of(cell, total(fake_grid.result_of(cell))), failure)
    ray.get, ray.exceptions = lambda _: parcel, SimpleNamespace(RayTaskError=(), RayError=())
    crew = RayCrew(order, ray)
    outcome = crew._outcome(cell, None)
    assert isinstance(outcome, Failure) is failed
    shutil.rmtree(order.store.folder)
    with pytest.raises(StoreError):
        crew._outcome(cell, None)


def test_what_differs_on_another_host_is_told(data_path, tmp_path, monkeypatch):
    order = order_of(data_path, tmp_path)
    errand = ray_task.errand_of(order.cells[0], order)
    ray_task.require_alike(errand)
    older = dataclasses.replace(errand, results=errand.results - 1)
    ray_task.require_alike(older)  # the same key, whatever else is told

    stated = dict(errand.cell.properties)
    other = Cell(errand.cell.name, {**errand.cell.overrides, "learning_rate": 0.5})
    assert other.key != errand.cell.key
    here = Cell(errand.cell.name, errand.cell.overrides)
    vars(here).update(key=other.key, properties={**stated, "learning_rate": 0.5})
    with pytest.raises(InputError, match=r"property files differ .* in learning_rate\."):
        ray_task.require_alike(dataclasses.replace(errand, cell=here))

    (data_path / "tiny" / "tiny.inter").write_text("user_id:token\titem_id:token\na\tc\n")
    with pytest.raises(InputError, match="data set tiny is another one in "):
        ray_task.require_alike(errand)
    with pytest.raises(InputError, match="computes results of version"):
        ray_task.require_alike(older)
    with pytest.raises(InputError, match="changed after the grid had started"):
        ray_task.require_alike(ray_task.errand_of(errand.cell, order))
    (data_path / "tiny" / "tiny.inter").unlink()
    with pytest.raises(InputError, match="tiny"):
        ray_task.require_alike(errand)


def test_errors_of_ray_become_a_line():
    class WorkerCrashedError(Exception):
        pass

    text = "The worker died unexpectedly. Check logs.\nTo troubleshoot, look\n"
    assert _line(WorkerCrashedError(text)) == "WorkerCrashedError: The worker died unexpectedly"
    text = 'System error: x\nTraceback (most recent call last):\n  File "a"\nKeyError: 1\n'
    assert _line(WorkerCrashedError(text)) == "KeyError: 1"
    assert _line(WorkerCrashedError()) == "WorkerCrashedError"


def test_an_address_where_nobody_listens_is_one_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        joined = ray_crew._connected(None, address, threads=1)
        with (
            pytest.raises(InputError, match=f"^--ray-address {address}: cannot join a Ray"),
            joined,
        ):
            pass


def test_ray_is_imported_only_by_a_crew_that_starts():
    code = (
        "import sys, recbole_guider.cli, recbole_guider.benchmark.job\n"
        "import recbole_guider.benchmark.crews.ray_crew as crew\n"
        "crew.on_ray('auto')\n"
        "assert not {'ray', 'torch', 'recbole'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
