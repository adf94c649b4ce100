"""How many cells a host has room for, and which GPU a cell's process sees.

Nothing here imports torch: what a cell needs stands in its properties, what a host has is told by
the system.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from recbole_guider.benchmark.cell import Cell
from recbole_guider.benchmark.provenance import usable_cores

VISIBLE = "CUDA_VISIBLE_DEVICES"
_DRIVER = Path("/proc/driver/nvidia/gpus")


def threads_of(cells: Iterable[Cell]) -> int:
    """Returns the most threads that one of the cells computes with."""
    return max(int(cell.properties["torch_threads"]) for cell in cells)


def gpu_share(cell: Cell) -> float:
    """Returns the part of a GPU that a cell takes where there are GPUs; 0 for a cell on the CPU."""
    return float(cell.properties["gpus_per_cell"]) if cell.properties["use_gpu"] else 0.0


def fitting(cores: float, gpus: float, threads: int, share: float) -> int:
    """Returns how many cells fit on a host at a time.

    A cell stays on one GPU: of two GPUs and a share of 0.4, four cells can be served.

    Args:
        cores: cores of the host.
        gpus: its GPUs.
        threads: cores that a cell takes.
        share: part of a GPU that a cell takes, at most 1; 0 where it needs none.
    """
    by_cores = int(cores // max(threads, 1))
    return by_cores if share <= 0 else min(by_cores, int(gpus) * per_gpu(share))


def per_gpu(share: float) -> int:
    """Returns how many cells with this share fit on one GPU."""
    return math.floor(1 / share + 1e-9)


def free_gpu(gpus: Sequence[str], in_use: Iterable[str | None]) -> str | None:
    """Returns the GPU with the fewest cells, the first of equals; None where there is none."""
    taken = list(in_use)
    return min(gpus, key=taken.count, default=None)


def gpus_here(cells: Sequence[Cell], environment: Mapping[str, str] = os.environ) -> list[str]:
    """Returns the GPUs that cells may use on this machine, as CUDA names them.

    Those of ``CUDA_VISIBLE_DEVICES``, else of the property ``gpu_id`` where a user set it, else
    all that the driver lists. None for cells on the CPU, an empty ``gpu_id``, or a torch that was
    built without CUDA.
    """
    wanting = [cell for cell in cells if gpu_share(cell)]
    if not wanting or importlib.metadata.version("torch").endswith("+cpu"):
        return []
    asked = wanting[0].overrides.get("gpu_id")
    named = environment.get(VISIBLE, asked) if asked != "" else asked
    if named is None:
        return [str(number) for number in range(_listed_gpus())]
    return [part.strip() for part in str(named).split(",") if part.strip()]


def _listed_gpus() -> int:
    try:
        return sum(1 for _ in _DRIVER.iterdir())
    except OSError:
        return 0


def default_workers(cells: Sequence[Cell]) -> int:
    """Returns how many of the cells this machine should run at a time."""
    gpus = gpus_here(cells)
    share = max(map(gpu_share, cells)) if gpus else 0.0
    return max(1, fitting(usable_cores(), len(gpus), threads_of(cells), share))
