"""What a number was made with: versions, the state of the code, hardware, peak memory."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

# Raise by one when a change of the code changes numbers for unchanged properties and data (a loss,
# a sampler, an initialisation, a metric). It is part of every cell's key: raising it makes every
# cell run again, and old records stay in the store, unread.
RESULTS_VERSION = 2

# What a run's processes are told of the code, so that all its cells name the state it began with.
SOURCE_VARIABLE = "RECBOLE_GUIDER_SOURCE"
_CODE = ("recbole_guider", "properties", "pyproject.toml")  # of a checkout: what makes numbers
_ROOT = Path(__file__).resolve().parents[2]

_PACKAGES = ("recbole", "torch", "numpy", "scipy", "pandas", "scikit-learn")


def versions() -> dict[str, Any]:
    """Returns package -> version of what computes a result; nothing is imported for it."""
    found: dict[str, Any] = {
        "recbole_guider": _version("recbole_guider"),
        "results": RESULTS_VERSION,
        "python": platform.python_version(),
    }
    return {**found, **{name: _version(name) for name in _PACKAGES}}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return _version_of_checkout() if package == "recbole_guider" else "not installed"


def _version_of_checkout() -> str:
    """Returns what pyproject.toml beside the package says, where it runs without installation."""
    try:
        text = (_ROOT / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    found = re.search(r'^version = "(.+)"$', text, re.MULTILINE)
    return found.group(1) if found else "unknown"


@functools.cache
def source() -> dict[str, Any]:
    """Returns ``commit`` (40 hex digits) and ``dirty`` of the checkout that the code runs from.

    ``dirty`` says whether the package, its property files or pyproject.toml differ from that
    commit, new files included; results and tables that lie in the checkout do not count. Empty for
    an installed package, and where git is missing or does not answer. Asked once per process;
    never raises.
    """
    told = os.environ.get(SOURCE_VARIABLE)
    if told is not None:
        try:
            return dict(json.loads(told))
        except (ValueError, TypeError):
            return {}
    return source_of(_ROOT)


def source_of(checkout: Path) -> dict[str, Any]:
    """Returns what :func:`source` returns, for a folder."""
    if not all((checkout / name).exists() for name in (".git", "pyproject.toml")):
        return {}
    asked = ["git", "--no-optional-locks", "-C", str(checkout), "status", "--porcelain=v2"]
    asked += ["--branch", "--untracked-files=normal", "--", *_CODE]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        answer = subprocess.run(
            asked, env=clean, capture_output=True, text=True, timeout=10, check=True
        ).stdout.splitlines()
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    commit = re.compile(r"# branch\.oid ([0-9a-f]{40,})$")
    found = [match.group(1) for line in answer if (match := commit.match(line))]
    if not found:  # no commit yet
        return {}
    return {"commit": found[0], "dirty": any(not line.startswith("#") for line in answer)}


def usable_cores() -> int:
    """Returns how many cores this process may use: its affinity, and its container's quota."""
    from joblib import cpu_count

    return int(cpu_count())


def hardware(threads: int, gpu: str | None) -> dict[str, Any]:
    """Returns machine, processor, cores, GPU and the threads a cell used."""
    return {
        "machine": platform.machine(),
        "cpu": _processor(),
        "cores": usable_cores(),
        "gpu": gpu,
        "threads": threads,
    }


@functools.cache
def _processor() -> str:
    """Returns the processor's model."""
    try:
        if sys.platform == "darwin":
            asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
            answer = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True)
            return answer.stdout.strip() or "unknown"
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.processor() or "unknown"


def peak_memory_mb() -> float:
    """Returns this process's largest resident size so far in MiB; 0 where it is not told."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def peak_gpu_memory_mb() -> float | None:
    """Returns the most GPU memory that this process's tensors held at once, in MiB.

    The sum over the GPUs used; None where the process has not used CUDA. Nothing is imported and
    CUDA is not started for it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    devices = range(torch.cuda.device_count())
    held: int = sum(torch.cuda.max_memory_allocated(one) for one in devices)
    return round(held / 2**20, 1)
