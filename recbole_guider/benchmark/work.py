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
from pathlib import Path
from typing import Any, Callable

from recbole_guider.benchmark import provenance
from recbole_guider.benchmark.cell import Cell
from recbole_guider.benchmark.record import Failure
from recbole_guider.benchmark.store import Store
from recbole_guider.errors import InputError

Run = Callable[[Cell], Mapping[str, Any]]

FAILED = 1  # the process's exit code when it left a failure in the store
UNREPORTED = 74  # when the store took neither a record nor a failure; sysexits' EX_IOERR


def quick_start(cell: Cell) -> Mapping[str, Any]:
    """Trains and evaluates a cell; imports torch and RecBole."""
    from recbole_guider.quick_start import run

    name = cell.name
    return run(name.backbone, name.dataset, name.method, command_line=cell.given)


def work(cell: Cell, folder: Path, repeat: str, run: Run) -> None:
    """Runs a cell in this process and writes its record, unless another runner just did.

    Args:
        cell: what to run.
        folder: the store's folder.
        repeat: the command that repeats this cell alone, kept with a failure.
        run: computes the result; what it returns is described at ``quick_start.run``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    store = Store(folder)
    log = store.log_path(cell.key)
    _redirect_output(log)
    with store.claim(cell.key):
        if store.read(cell.key) is not None:
            return
        try:
            started = time.perf_counter()
            result = run(cell)
            store.write(*_record(cell, result, time.perf_counter() - started))
            return
        except BaseException as error:
            traceback.print_exc()
            failure = Failure(
                cell=cell.name,
                reason=_reason(error),
                traceback=tuple(traceback.format_exc().splitlines()[-12:]),
                repeat=repeat,
                log=str(log),
                input_error=isinstance(error, InputError),
            )
        try:
            store.write_failure(cell.key, failure)
        except InputError:
            traceback.print_exc()
            os._exit(UNREPORTED)
    sys.exit(FAILED)


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
        with open(log, "wb") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _record(
    cell: Cell, result: Mapping[str, Any], total: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns a cell's JSON content and its arrays, in the order of the user tokens."""
    content = {
        "key": cell.key,
        "cell": cell.name._asdict(),
        "protocol": result["config"]["protocol"],
        "config": result["config"],
        "data": result["data"],
        "versions": provenance.versions(),
        "hardware": provenance.hardware(int(result["config"]["torch_threads"]), _gpu()),
        "seconds": {**result["seconds"], "total": total},
        "peak_memory_mb": provenance.peak_memory_mb(),
        "epochs": result["epochs"],
        "best_epoch": result["best_epoch"],
        "valid_curve": result["valid_curve"],
        "valid": result["best_valid_result"],
        "test": result["test_result"],
        "diagnostics": result["diagnostics"],
    }
    order = result["per_user"]["users"].argsort()
    return content, {name: values[order] for name, values in result["per_user"].items()}


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())
