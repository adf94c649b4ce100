"""The server that a grid's processes are forked from, and what they and the runner share."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

from recbole_guider.benchmark.provenance import SOURCE_VARIABLE, source

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextlib.contextmanager
def process_context(threads: int, preload: Sequence[str]) -> Iterator[Any]:
    """Gives a context of ``multiprocessing`` whose processes have modules and threads set up.

    Args:
        threads: cap of the numerical libraries' threads.
        preload: modules that are imported once for all processes, where the system allows it.
    """
    with environment(threads):
        yield _context(preload)


def _context(preload: Sequence[str]) -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    # Ctrl-C is for the runner, which ends its processes; the server and they inherit the mask.
    # Python starts a resource tracker with the server and then lifts the mask, so it goes first.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


@contextlib.contextmanager
def environment(threads: int) -> Iterator[None]:
    """Caps the threads of numerical libraries, which read these when they are imported.

    The package's folder goes along, so that a checkout that is not installed is found whatever the
    working directory, and so does the state of the code, which all cells of a run name alike.
    """
    own = {name: str(threads) for name in _THREADS}
    own[SOURCE_VARIABLE] = json.dumps(source())
    paths = [str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")]
    own["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Makes SIGTERM end the block the way Ctrl-C does, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
