"""A crew on a Ray cluster: one task a cell, results come home to the runner's store.

Ray is imported when a crew starts, and never by a host's other processes. A host that is lost takes
its tasks with it; their cells are queued again, a bounded number of times.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from recbole_guider.benchmark.cell import Cell
from recbole_guider.benchmark.crews.crew import POLL, Executor, Order, Outcome
from recbole_guider.benchmark.crews.places import fitting, gpu_share
from recbole_guider.benchmark.crews.processes import environment
from recbole_guider.benchmark.crews.ray_task import Parcel, check_here, compute, errand_of
from recbole_guider.benchmark.crews.work import Check
from recbole_guider.benchmark.provenance import usable_cores
from recbole_guider.benchmark.store import Failure
from recbole_guider.errors import InputError

LOSSES = 3  # so many times a cell may be lost with its host or worker before it counts as failed
_PATIENCE = 5  # seconds for a cluster to answer, and for tasks to end when they are cancelled
_STORE = 256 << 20  # bytes of a local Ray's object store; records are small
_log = logging.getLogger(__name__)


def on_ray(address: str | None = None) -> Executor:
    """Returns what starts a crew on Ray, for ``run_cells``.

    Args:
        address: of the cluster, such as ``auto`` for the one that this host belongs to, or
            ``host:6379``; None for the cluster that this process is connected to or that
            RAY_ADDRESS names, else for a Ray of this machine alone that ends with the run.
    """

    @contextlib.contextmanager
    def started(order: Order) -> Iterator[RayCrew]:
        ray = _ray()
        with _connected(ray, address, order.threads):
            crew = RayCrew(order, ray)
            try:
                yield crew
            finally:
                crew.end()

    return started


def _ray() -> Any:
    with warnings.catch_warnings(), _own_sigterm():
        warnings.simplefilter("ignore")  # of pkg_resources, which this Ray imports
        import ray
    return ray


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Leaves SIGTERM to the runner; to import Ray is enough for it to take it."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _connected(ray: Any, address: str | None, threads: int) -> Iterator[None]:
    """Connects to a cluster, unless this process is, and leaves it again.

    Raises:
        InputError: no cluster answers at the address.
    """
    if address is None and ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"address": address, "log_to_driver": False}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options.update(num_cpus=usable_cores(), include_dashboard=False, object_store_memory=_STORE)
    try:
        _ring(address)
        with _own_sigterm(), environment(threads):  # a Ray of this machine hands it on
            ray.init(logging_level=logging.CRITICAL, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"cannot join a Ray cluster ({_line(error)})",
            where=f"--ray-address {address}",
            mend="Start one with 'ray start --head', or leave the option out.",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _ring(address: str) -> None:
    """Raises an OSError when nobody listens at ``host:port``; Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()


class _Task(NamedTuple):
    cell: Cell
    started: float
    lock: contextlib.ExitStack


class RayCrew:
    """The tasks at work.

    Args:
        order: what to run.
        ray: the module, connected to a cluster.

    Raises:
        InputError: no host has the cores that a cell takes.
    """

    def __init__(self, order: Order, ray: Any) -> None:
        self.order, self.ray = order, ray
        self._tasks: dict[Any, _Task] = {}
        self._held: list[Cell] = []
        self._lost: Counter[str] = Counter()
        self._empty = True  # not worth a line before the cluster has been looked at
        # The cell's own process holds a GPU's memory, so the worker may serve further cells.
        self._compute = ray.remote(max_calls=0, max_retries=0)(compute)
        self._check = ray.remote(max_calls=0, max_retries=0)(check_here)
        hosts = self._hosts()
        # Without a GPU in the whole cluster, cells run on cores, as they do on one such machine.
        self._with_gpus = any(host.get("GPU") for host in hosts)
        if not self.places:
            raise InputError(
                f"no host of the Ray cluster has {order.threads} cores"
                + (" and a GPU" if self._with_gpus else ""),
                where="--executor ray",
                mend="Start one that has, or lower torch_threads.",
            )

    def _hosts(self) -> list[Mapping[str, float]]:
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def _needs(self, cell: Cell) -> dict[str, float]:
        share = gpu_share(cell) if self._with_gpus else 0
        return {"num_cpus": int(cell.properties["torch_threads"]), "num_gpus": share}

    @property
    def places(self) -> int:
        """How many cells fit on the hosts that are there now, at most the workers asked for."""
        share = max(map(gpu_share, self.order.cells)) if self._with_gpus else 0
        room = sum(
            fitting(host.get("CPU", 0), host.get("GPU", 0), self.order.threads, share)
            for host in self._hosts()
        )
        if not room and not self._empty:
            _log.warning("no host of the Ray cluster has room for a cell; waiting for one to join")
        self._empty = not room
        return min(room, self.order.workers or room)

    @property
    def running(self) -> dict[Cell, float]:
        """When each running cell was started."""
        return {task.cell: task.started for task in self._tasks.values()}

    def check(self, cell: Cell, check: Check) -> None:
        """Raises the InputError that ``check`` raises on a host of the cluster, if it does."""
        task = self._check.options(name=f"check {cell.name}", **self._needs(cell))
        error = None
        with contextlib.suppress(self.ray.exceptions.RayError):  # its cells will say why
            error = self.ray.get(task.remote(errand_of(cell, self.order), check))
        if error is not None:
            raise error

    def start(self, cell: Cell) -> None:
        """Submits a cell's task and holds the cell's lock until its result is in the store."""
        lock = contextlib.ExitStack()
        if not lock.enter_context(self.order.store.lock(cell.key)):
            self._held.append(cell)
            return
        task = self._compute.options(name=str(cell.name), **self._needs(cell))
        reference = task.remote(errand_of(cell, self.order), self.order.run)
        self._tasks[reference] = _Task(cell, time.monotonic(), lock)

    def ended(self) -> Iterator[tuple[Cell, Outcome | None]]:
        """Waits a moment and yields the cells whose task ended; None: to be tried later.

        Raises:
            StoreError: the runner's store cannot be written, which ends the run.
        """
        while self._held:
            yield self._held.pop(), None
        if not self._tasks:
            return
        for reference in self.ray.wait(list(self._tasks), timeout=POLL)[0]:
            task = self._tasks[reference]
            with task.lock:
                outcome = self._outcome(task.cell, reference)
            del self._tasks[reference]
            yield task.cell, outcome

    def _outcome(self, cell: Cell, reference: Any) -> Outcome | None:
        errors = self.ray.exceptions
        try:
            parcel = self.ray.get(reference)
        except errors.RayTaskError as error:  # the task itself broke, such as on a missing package
            return self._failed(cell, _line(getattr(error, "cause", error)))
        except errors.RayError as error:
            self._lost[cell.key] += 1
            times = self._lost[cell.key]
            if times < LOSSES:
                _log.warning("%s: lost (%s); it runs again", cell.name, _line(error))
                return None
            return self._failed(cell, f"its worker was lost {times} times: {_line(error)}")
        return self._brought_home(cell, parcel)

    def _brought_home(self, cell: Cell, parcel: Parcel) -> Outcome | None:
        store = self.order.store
        with contextlib.suppress(OSError):  # a full disk: the record may still fit
            store.log_file(cell.key).write_text(parcel.log, encoding="utf-8")
        if parcel.failure is not None:
            found = parcel.failure
            return self._failed(cell, found.reason, found.traceback, found.input_error)
        assert parcel.content is not None
        store.put(cell.key, parcel.content, parcel.arrays)
        return store.record(cell)

    def _failed(self, cell: Cell, reason: str, trace: str = "", refused: bool = False) -> Failure:
        command, log = self.order.repeat(cell.name), str(self.order.store.log_file(cell.key))
        failure = Failure(cell.name, reason, trace, command, log, refused)
        self.order.store.write_failure(cell.key, failure)
        return failure

    def end(self) -> None:
        """Cancels every task that is still at work and lets go of its cell."""
        left = list(self._tasks)
        for force in (False, True):  # asked first, so that hosts can tidy up
            with contextlib.suppress(Exception):  # the cluster may be gone
                for reference in left:
                    self.ray.cancel(reference, force=force)
                if left:
                    left = self.ray.wait(left, num_returns=len(left), timeout=_PATIENCE)[1]
        for task in self._tasks.values():
            task.lock.close()
        self._tasks.clear()


def _line(error: BaseException) -> str:
    """Returns what Ray or a task says of itself, in a line: the last of a traceback, if any."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "Traceback" in str(error):
        return lines[-1]
    sentence = lines[0].split(". ")[0] if lines else ""
    return f"{type(error).__name__}: {sentence}" if sentence else type(error).__name__
