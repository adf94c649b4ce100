"""Can this machine run the suite? What is installed, what there is to compute with, what to mend.

Nothing heavy is imported with this module, and nothing that fails stops the examination: it is
meant for machines on which something is broken.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Callable

from recbole_guider.benchmark.lock import hold
from recbole_guider.benchmark.provenance import usable_cores
from recbole_guider.benchmark.requirements import Finding, importable, packages, python_version
from recbole_guider.replacing import flush, replacing

_MEMORY = 1.0  # GiB; a cell on the embedded data set takes about half of it
_DISK = 0.1  # GiB; a record takes less than a thousandth of it
_GIB = 2.0**30


def examine(results: str | Path, data_path: str | Path) -> tuple[str, bool]:
    """Looks at everything that a run needs.

    Args:
        results: the folder that records would go to; it is not made.
        data_path: where data sets lie.

    Returns:
        Lines for a reader (what was found, each problem with its mend, the verdict), and whether
        the suite can run.
    """
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        "Python": lambda: [python_version()],
        "packages": packages,
        "ray": lambda: [_ray()],
        "the suite": lambda: [_suite()],
        "cores": lambda: [Finding("cores", str(usable_cores()))],
        "memory": lambda: [_memory()],
        "GPUs": lambda: [_gpus()],
        "data sets": lambda: [_datasets(data_path)],
        "results folder": lambda: _folder(Path(results)),
    }
    findings = [one for what, check in checks.items() for one in _guarded(what, check)]
    problems = [one for one in findings if one.problem]
    width = max(len(one.what) for one in findings)
    lines = [f"{one.what:<{width}}  {one.found}".rstrip() for one in findings]
    lines += [f"problem: {one.problem}. {one.mend}".rstrip() for one in problems]
    verdict = "This machine can run the suite."
    if problems:
        count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
        verdict = f"This machine cannot run the suite: {count}."
    return "\n".join([*lines, verdict]), not problems


def _guarded(what: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yields what a check finds; one that breaks off is a problem itself."""
    try:
        yield from check()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
        mend = f"Run: pip install {missing}" if missing else ""
        yield Finding(what, "not known", f"{what} could not be examined ({reason})", mend)


def _ray() -> Finding:
    failure = importable("ray")
    return Finding("ray", f"not usable, needed for many machines only ({failure})" if failure else
                   "can be imported")  # fmt: skip


def _suite() -> Finding:
    failure = importable("recbole_guider.quick_start")
    if not failure:
        return Finding("the suite", "can be imported")
    problem = f"recbole_guider.quick_start cannot be imported ({failure})"
    return Finding("the suite", "cannot be imported", problem, "Mend the packages above first.")


def _memory() -> Finding:
    """Looks at the memory that this process may use."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    free = total
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) / 2**20
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        if limit.isdigit():
            total, free = min(total, int(limit) / _GIB), min(free, int(limit) / _GIB)
    except (OSError, ValueError):  # another system, or no limit
        pass
    found = f"{total:.1f} GiB, {free:.1f} GiB free"
    if free < _MEMORY:
        problem = f"only {free:.1f} GiB of memory are free"
        return Finding("memory", found, problem, f"Free {_MEMORY:g} GiB, or run elsewhere.")
    return Finding("memory", found)


def _gpus() -> Finding:
    if importable("torch"):
        return Finding("GPUs", "not known without torch")  # a problem of the package, told there
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        why = f"; torch is made for CUDA {built}, but finds no device" if built else ""
        return Finding("GPUs", f"none, cells run on the CPU{why}")
    devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    found = ", ".join(f"{one.name} ({one.total_memory / _GIB:.0f} GiB)" for one in devices)
    return Finding("GPUs", f"{found}; CUDA {torch.version.cuda}")


def _datasets(data_path: str | Path) -> Finding:
    from recbole_guider.data.prepare import installed, made_on_first_use
    from recbole_guider.property_layers import names

    here = installed(data_path)
    absent = [name for name in names("dataset") if name not in here]
    made = [name for name in absent if name in made_on_first_use()]
    absent = [name for name in absent if name not in made]
    parts = [f"installed in {data_path}: {', '.join(here) or 'none'}"]
    parts += [f"made on first use: {', '.join(made)}"] if made else []
    parts += [f"not installed: {', '.join(absent)}"] if absent else []
    return Finding("data sets", "; ".join(parts))


def _folder(results: Path) -> Iterator[Finding]:
    """Tries to write, flush, rename and lock where records would go; leaves nothing behind."""
    what, mend = "results folder", "Choose another folder with --results."
    standing = next(path for path in (results, *results.resolve().parents) if path.exists())
    if not standing.is_dir():
        yield Finding(what, str(results), f"{standing} is no folder", mend)
        return
    free = shutil.disk_usage(standing).free / _GIB
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor.", dir=standing) as inside:
            with replacing(Path(inside, "probe")) as stream:
                stream.write(b"probe")
                flush(stream)
            with hold(Path(inside, "lock")) as first, hold(Path(inside, "lock")) as second:
                locked = first and not second
    except OSError as error:
        problem = f"{results} cannot be written or locked ({error.strerror})"
        yield Finding(what, str(results), problem, mend)
        return
    locks = "locks work" if locked else "no locks, so use one runner at a time"
    found = f"{results}: can be written, {locks}, {free:.1f} GiB free"
    if free < _DISK:
        yield Finding(what, found, f"only {free * 1024:.0f} MiB are free for {results}", mend)
    else:
        yield Finding(what, found)
