"""What a Ray task does on its host: compute one cell in a process of its own and send it home.

There a cell is computed by a local crew of one on a scratch store, so that a cell that dies, runs
out of memory or refuses its input ends as it does on the runner's own machine. What Ray itself is
told of are workers and hosts that are lost.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from recbole_guider.benchmark.cell import Cell
from recbole_guider.benchmark.crews.crew import Order, Outcome
from recbole_guider.benchmark.crews.local_crew import LocalCrew, local
from recbole_guider.benchmark.crews.work import Check, Run
from recbole_guider.benchmark.provenance import RESULTS_VERSION
from recbole_guider.benchmark.record import unpacked
from recbole_guider.benchmark.store import Failure, Store
from recbole_guider.data.fingerprint import fingerprint
from recbole_guider.data.prepare import ensure_prepared
from recbole_guider.errors import InputError


@dataclass(frozen=True)
class Errand:
    """A cell on its way to another host.

    Attributes:
        cell: what to compute, with the key and the properties that it has on the runner's host.
        data: the content hash of its data set there.
        results: version of the results that the runner's code computes.
        folder: the runner's working directory, where relative paths begin.
        threads: cap of the numerical libraries' threads.
        preload: modules that processes of one host share.
    """

    cell: Cell
    data: str
    results: int
    folder: str
    threads: int
    preload: Sequence[str]


@dataclass(frozen=True)
class Parcel:
    """What a cell left on the host that computed it.

    Attributes:
        log: what its process printed and logged.
        content: the record's JSON content; None for a cell that failed.
        arrays: the record's npz bytes.
        failure: why it failed; its log and command are the runner's to fill in.
    """

    log: str
    content: Optional[Mapping[str, Any]] = None  # noqa: UP045 (Python 3.9)
    arrays: bytes = b""
    failure: Optional[Failure] = None  # noqa: UP045


def errand_of(cell: Cell, order: Order) -> Errand:
    """Returns what another host must know to compute a cell of an order."""
    assert cell.key  # worked out here, it travels with the cell, and the properties with it
    data = fingerprint(cell.data_folder, cell.name.dataset)
    return Errand(cell, data, RESULTS_VERSION, os.getcwd(), order.threads, order.preload)


def compute(errand: Errand, run: Run) -> Parcel:
    """Computes a cell on this host, in a process of its own; called in a Ray worker."""
    cell = errand.cell
    with _crew(errand, functools.partial(run_alike, errand, run)) as crew:
        crew.start(cell)
        outcomes: list[Outcome | None] = []
        while crew.running:
            outcomes += [outcome for _, outcome in crew.ended()]
        outcome = outcomes[0]
        store = crew.order.store
        log = f"on {platform.node()}\n{_text(store.log_file(cell.key))}"
        if isinstance(outcome, Failure):
            return Parcel(log, failure=outcome)
        assert outcome is not None  # nobody else works on the scratch store
        content = unpacked(store.record_file(cell.key).read_bytes())
        return Parcel(log, content, outcome.file.read_bytes())


def check_here(errand: Errand, check: Check) -> InputError | None:
    """Returns the InputError that a check raises for a cell on this host, if it does."""
    with _crew(errand, _never) as crew:
        try:
            crew.check(errand.cell, functools.partial(check_alike, errand, check))
        except InputError as error:
            return error
    return None


def run_alike(errand: Errand, run: Run, cell: Cell) -> Mapping[str, Any]:
    """Runs a cell if it is the same here as on the runner's host."""
    require_alike(errand)
    return run(cell)


def check_alike(errand: Errand, check: Check, cell: Cell) -> None:
    """Checks a cell if it is the same here as on the runner's host."""
    require_alike(errand)
    check(cell)


def require_alike(errand: Errand) -> None:
    """Makes the embedded data set if it is asked for, and compares the cell's key with its home's.

    Raises:
        InputError: the code, the data or the property files of this host give another key, or the
            data set is not here.
    """
    there, here = errand.cell, Cell(errand.cell.name, errand.cell.overrides)
    dataset = here.name.dataset
    ensure_prepared(dataset, here.properties["data_path"])
    if here.key == there.key:
        return
    host = f"host {platform.node()}"
    if errand.results != RESULTS_VERSION:
        raise InputError(
            f"its code computes results of version {RESULTS_VERSION}, not {errand.results}",
            where=host,
            mend="Install the runner's release of recbole_guider there.",
        )
    if fingerprint(here.data_folder, dataset) != errand.data:
        raise InputError(
            f"data set {dataset} is another one in {here.data_folder.resolve()}",
            where=host,
            mend="Copy the runner's files there, or name a shared folder with --data_path.",
        )
    names = {*here.properties, *there.properties}
    other = sorted(n for n in names if here.properties.get(n) != there.properties.get(n))
    if other:
        raise InputError(
            f"its property files differ from the runner's in {', '.join(other)}",
            where=host,
            mend="Install the runner's release of recbole_guider there.",
        )
    raise InputError(
        "the data or the teacher's property file changed after the grid had started",
        where=host,
        mend="Run the grid again.",
    )


@contextlib.contextmanager
def _crew(errand: Errand, run: Run) -> Iterator[LocalCrew]:
    """Gives a crew of one on a scratch store, in the runner's working directory if it is here."""
    with contextlib.suppress(OSError):
        os.chdir(errand.folder)
    with tempfile.TemporaryDirectory(prefix="recbole_guider.") as folder:
        store = Store(folder).open()
        order = Order([errand.cell], store, run, str, 1, errand.threads, errand.preload)
        with local(order) as crew:
            yield crew


def _never(cell: Cell) -> Mapping[str, Any]:
    raise AssertionError(f"{cell.name} is only to be checked")


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
