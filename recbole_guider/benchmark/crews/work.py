"""What a cell's own process does: run the cell and leave its record, or the reason why not."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Callable, NoReturn

from recbole_guider.benchmark.cell import Cell
from recbole_guider.benchmark.crews.places import VISIBLE
from recbole_guider.benchmark.store import Failure, Store, StoreError
from recbole_guider.errors import InputError

Run = Callable[[Cell], Mapping[str, Any]]
Check = Callable[[Cell], None]

# Exit codes of a cell's process: with the reason in the store, for a user's mistake, where another
# process has the cell, and where the store cannot be written.
FAILED, REFUSED, BUSY, UNWRITABLE = 81, 82, 83, 84
_TRACEBACK_LINES = 12


def quick_start(cell: Cell) -> Mapping[str, Any]:
    """Trains and evaluates a cell; imports torch and RecBole."""
    from recbole_guider.quick_start import run

    name = cell.name
    return run(name.backbone, name.dataset, name.method, command_line=cell.given)


def work(cell: Cell, folder: Path, repeat: str, run: Run, gpu: str | None) -> None:
    """Runs a cell in this process and writes its record, unless another runner just did.

    Args:
        cell: what to run.
        folder: the store's folder.
        repeat: the command that repeats this cell alone, kept with a failure.
        run: computes the result; what it returns is described at ``quick_start.run``.
        gpu: the GPUs that CUDA shows this process; None for what its parent sees.
    """
    store = Store(folder)
    log = store.log_file(cell.key)
    _settle(log)
    with store.lock(cell.key) as held:
        if not held:
            sys.exit(BUSY)
        with contextlib.suppress(OSError):
            os.truncate(log, 0)  # an earlier attempt's
        if store.read(cell.key) is not None:  # another runner was faster
            return
        try:
            started, used = time.perf_counter(), time.process_time()
            result = run(_on_gpu(cell, gpu))
            if Cell(cell.name, cell.overrides).key != cell.key:
                raise InputError(
                    "a property file or the data changed while the grid ran",
                    where=str(cell.name),
                    mend="Run the grid again.",
                )
            seconds = {
                **result["seconds"],
                "total": time.perf_counter() - started,
                "processor": time.process_time() - used,
            }
            store.write(cell, {**result, "seconds": seconds, "gpu": _gpu()})
        except StoreError:
            _end_unwritten()
        except BaseException as error:
            with contextlib.suppress(OSError):  # the log may lie on a full disk
                traceback.print_exc()
            refused = isinstance(error, InputError)
            lines = [] if refused else traceback.format_exc().splitlines()[-_TRACEBACK_LINES:]
            trace = "\n".join(lines)
            failure = Failure(cell.name, _reason(error), trace, repeat, str(log), refused)
            try:
                store.write_failure(cell.key, failure)
            except StoreError:
                _end_unwritten()
            sys.exit(REFUSED if refused else FAILED)


def build_data(cell: Cell) -> None:
    """Reads a cell's properties and data set as its run will; compiles the modalities."""
    from recbole_guider.config import Config
    from recbole_guider.data.dataset import MultimodalDataset
    from recbole_guider.registration import register

    register()
    name = cell.name
    method = {"method": name.method}
    MultimodalDataset(Config(name.backbone, name.dataset, None, method, cell.given)).build()


def check_input(
    cell: Cell, folder: Path, check: Check, answer: Connection, gpu: str | None
) -> None:
    """Sends the InputError that ``check`` raises for a cell, or None."""
    _settle(Store(folder).log_file(cell.key))
    try:
        check(_on_gpu(cell, gpu))
        answer.send(None)
    except InputError as error:
        answer.send(error)


def _settle(log: Path) -> None:
    """Makes this process quiet, and as long-lived as its runner."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the runner, which ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _redirect_output(log)


def _end_unwritten() -> NoReturn:
    """Ends this process, whose log may be as impossible to write as its record."""
    with contextlib.suppress(OSError):
        traceback.print_exc()
    null = os.open(os.devnull, os.O_WRONLY)  # takes what waits to be flushed
    os.dup2(null, 1)
    os.dup2(null, 2)
    sys.exit(UNWRITABLE)


def _on_gpu(cell: Cell, gpu: str | None) -> Cell:
    """Shows CUDA the GPUs that were given to this process, before it looks for any."""
    if gpu is None:
        return cell
    os.environ[VISIBLE] = gpu
    # A user's gpu_id was heard when this GPU was chosen; RecBole would now look for it again.
    if not gpu or not cell.overrides.get("gpu_id"):
        return cell
    return Cell(cell.name, {k: v for k, v in cell.overrides.items() if k != "gpu_id"})


def _reason(error: BaseException) -> str:
    if isinstance(error, InputError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _end_with_parent() -> None:
    """Ends this process at once when the runner is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(FAILED)


def _redirect_output(log: Path) -> None:
    """Sends everything this process prints or logs into a file."""
    with contextlib.suppress(OSError):  # a full disk: the cell may still finish
        log.parent.mkdir(parents=True, exist_ok=True)
        # At its end: it may be the log of a cell that another runner has at work just now.
        with open(log, "ab") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())
