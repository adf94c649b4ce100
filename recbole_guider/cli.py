"""The command line of the benchmark: read the wishes, run what is missing, render the leaderboard.

Nothing heavy is imported before it is needed, so that ``--help`` and ``--plan`` are instant.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_guider.command_line import (
    FAILED,
    INTERRUPTED,
    OK,
    Parser,
    count,
    guarded,
    names_in,
    read_arguments,
    whether_read_or_not,
)
from recbole_guider.errors import InputError

if TYPE_CHECKING:
    from recbole_guider.benchmark.job import Job

_EXAMPLES = """\
examples:
  %(prog)s --grid smoke                       the whole path in under a minute
  %(prog)s --grid table2 --plan               what would run, what is cached, how long
  %(prog)s --grid table2                      run it; the same command goes on after an interrupt
  %(prog)s --grid table2 --backbones BM3 --methods Base,GUIDER --seeds 5 --learning_rate=0.002

  %(prog)s --compare leaderboard/results other/results
  %(prog)s --grid table2 --verify 5            are these records what this machine computes?
  %(prog)s --grid table2 --datasets ml-100k --between ml-100k/BM3/GUIDER ml-100k/BM3/BOD
  %(prog)s --doctor

exit codes: 0 all cells finished, 1 some failed, 2 input that cannot be used, 130 interrupted;
with --compare and --verify 1 if a cell differs significantly, with --doctor 1 if the suite cannot
run here
"""


def parser() -> Parser:
    """Returns the parser of ``run_benchmark.py``."""
    made = Parser(
        prog=_program(),
        description="Runs a grid of (data set, backbone, method, seed) cells and renders its "
        "leaderboard. Finished cells are never repeated.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--grid", help="a file of properties/grid/, or the path of your own YAML")
    made.add_argument("--datasets", action="append", help="data sets instead of the grid's: a,b")
    made.add_argument("--backbones", action="append", help="backbones instead of the grid's: a,b")
    made.add_argument("--methods", action="append", help="methods instead of the grid's: a,b")
    made.add_argument("--seeds", type=count, help="how many seeds, instead of the grid's numbers")
    made.add_argument("--settings", action="append", metavar="VALUES",
                      help="values of the varied property to run, of the grid's: a,b")  # fmt: skip
    made.add_argument("--trials", type=count,
                      help="trials of each method's search; 1 for none")  # fmt: skip
    made.add_argument("--workers", type=count, help="cells at a time (default: as many as fit)")
    made.add_argument("--executor", choices=("local", "ray"), default="local",
                      help="what runs cells: processes here, or a Ray cluster")  # fmt: skip
    made.add_argument("--ray-address", metavar="ADDRESS",
                      help="of the cluster, such as auto; without one Ray runs here")  # fmt: skip
    instead = made.add_mutually_exclusive_group()
    instead.add_argument("--plan", action="store_true", help="say what would run; run nothing")
    instead.add_argument("--report", action="store_true",
                         help="render what has finished; run nothing")  # fmt: skip
    instead.add_argument("--costs", action="store_true",
                         help="say what finished cells have cost; run nothing")  # fmt: skip
    instead.add_argument("--between", nargs=2, metavar="RESULT",
                         help="compare two: data set/backbone/method[/setting]")  # fmt: skip
    instead.add_argument("--verify", nargs="?", type=count, const=3, metavar="N",
                         help="repeat N finished cells, drawn at random, and compare")  # fmt: skip
    made.add_argument(
        "--only", metavar="CELL", help="run this cell: data set/backbone/method/seed[/setting]"
    )
    made.add_argument("--results", metavar="DIR", default="leaderboard/results",
                      help="where records go (default: %(default)s)")  # fmt: skip
    made.add_argument("--leaderboard", metavar="DIR", default="leaderboard",
                      help="where tables go (default: %(default)s)")  # fmt: skip
    made.add_argument("--config_files", action="append", metavar="FILES",
                      help="your YAML files of properties: a.yaml,b.yaml")  # fmt: skip
    made.add_argument("--compare", nargs=2, metavar="DIR",
                      help="say in which cells two folders of records differ")  # fmt: skip
    made.add_argument("--doctor", action="store_true",
                      help="say whether this machine can run the suite")  # fmt: skip
    made.add_argument("--list", action="store_true",
                      help="name data sets, backbones, methods and grids")  # fmt: skip
    made.add_argument("--KEY=VALUE", action="store_true", dest="_",
                      help="a property, for every cell that knows it")  # fmt: skip
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code; a user's mistake is one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return guarded(lambda: _main(given))


def _main(given: list[str]) -> int:
    options, properties = read_arguments(parser(), given)
    if options.list:
        return _list(_data_path("--list", properties))
    if options.doctor:
        return _doctor(options.results, _data_path("--doctor", properties))
    if options.compare:
        _refuse("--compare", properties)
        return _compare(*options.compare)
    if not options.grid:
        from recbole_guider.property_layers import names

        raise InputError("no grid is named", mend=f"Add --grid {' or --grid '.join(names('grid'))}")
    from recbole_guider.benchmark.grid import load_grid
    from recbole_guider.benchmark.selection import select

    selection = select(
        load_grid(options.grid),
        datasets=names_in(options.datasets),
        backbones=names_in(options.backbones),
        methods=names_in(options.methods),
        seeds=options.seeds,
        settings=names_in(options.settings),
        trials=options.trials,
        files=names_in(options.config_files),
        command_line=properties,
    )
    # Those below write no tables, so that the folder need not be one that can be written.
    if not (options.plan or options.costs or options.between or options.verify):
        _require_folder(Path(options.leaderboard), "--leaderboard")
    from recbole_guider.benchmark.job import Job

    job = Job(
        selection,
        only=options.only,
        results=Path(options.results),
        workers=options.workers,
        repeat=lambda name: _repeat(given, str(name)),
    )
    for dataset, advice in selection.absent.items():
        print(f"data set {dataset} is not installed. {advice}")
    for note in selection.notes:
        print(note)
    if options.plan:
        print(job.plan())
        return OK
    if options.costs:
        return _costs(job)
    if options.between:
        return _between(job, options.between)
    how: dict[str, Any] = {}
    if options.executor == "ray":
        from recbole_guider.benchmark.crews.ray_crew import on_ray

        how["executor"] = on_ray(options.ray_address)
    elif options.ray_address:
        raise InputError("is for --executor ray", where="--ray-address", mend="Add --executor ray.")
    if options.report:
        job.prepare_data()
        _show(_render(job, Path(options.leaderboard)))
        return OK
    if options.verify:
        return _verify(job, options.verify, how)
    return _run(job, Path(options.leaderboard), how)


def _costs(job: Job) -> int:
    """Prints what finished cells have cost; returns the exit code."""
    from recbole_guider.report.costs import cost_table

    job.prepare_data()
    board = job.board()
    if not board["records"]:
        print("No cell has finished.")
    else:
        print(cost_table(board["cells"], board["records"]))
    return OK


def _between(job: Job, names: Sequence[str]) -> int:
    """Prints what two finished results say of each other; returns the exit code."""
    from recbole_guider.report.between import compare_between

    job.prepare_data()
    board = job.board()
    print(compare_between(board["records"], names, board["grid"]["metrics"]))
    return OK


def _verify(job: Job, cells: int, how: Mapping[str, Any]) -> int:
    import tempfile

    from recbole_guider.benchmark.store import Store
    from recbole_guider.benchmark.verify import repeat_sample
    from recbole_guider.report.stores.compare import compare_folders

    with tempfile.TemporaryDirectory() as place:
        failures = repeat_sample(job, cells, Path(place), **how)
        for failure in failures.values():
            print(f"failed: {failure.cell}: {failure.reason}")
        if not Store(Path(place) / "repeated").recorded():
            return FAILED
        text, differ = compare_folders(Path(place) / "finished", Path(place) / "repeated")
    print(text)
    return FAILED if failures or differ else OK


def _run(job: Job, leaderboard: Path, how: Mapping[str, Any]) -> int:
    from recbole_guider.benchmark.estimate import say_duration
    from recbole_guider.benchmark.executor import AllRefusedError

    started = time.monotonic()
    try:
        failures = job.run(**how)
    except KeyboardInterrupt:
        _show(_render(job, leaderboard))
        print("Interrupted. Finished cells are kept; the same command goes on from here.")
        return INTERRUPTED
    except (AllRefusedError, BrokenPipeError):  # a closed pipe: nobody reads the progress
        _render(job, leaderboard)
        raise
    took = say_duration(time.monotonic() - started)
    tables = _render(job, leaderboard)
    cells = len(job.wanted)
    with whether_read_or_not():
        print(f"{cells - len(failures)} of {cells} cells have finished; this run took {took}.")
        _show(tables)
        for failure in failures.values():
            print(f"failed: {failure.cell}: {failure.reason}")
            print(f"  log: {failure.log}\n  again: {failure.command}")
    return FAILED if failures else OK


def _render(job: Job, leaderboard: Path) -> list[Path]:
    """Writes the tables of what has finished."""
    from recbole_guider.report.tables import render

    return render(folder=leaderboard, **job.board())


def _show(tables: Sequence[Path]) -> None:
    for path in tables:
        print(f"leaderboard: {path}")


def _require_folder(folder: Path, option: str) -> None:
    """Refuses what can be no folder before hours are spent."""
    standing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK):
        raise InputError(
            "is no folder that can be written",
            where=f"{option} {folder}",
            mend="Name another folder.",
        )


def _data_path(option: str, properties: Mapping[str, Any]) -> str:
    """Returns where data sets are looked for; nothing else has an effect on these options."""
    _refuse(option, [key for key in properties if key != "data_path"])
    return str(properties.get("data_path", "dataset/"))


def _refuse(option: str, properties: Iterable[str]) -> None:
    for key in properties:
        raise InputError(f"has no effect on {option}", where=f"--{key}", mend="Leave it out.")


def _doctor(results: str, data_path: str) -> int:
    from recbole_guider.benchmark.doctor import examine

    text, able = examine(results, data_path)
    print(text)
    return OK if able else FAILED


def _compare(first: str, second: str) -> int:
    from recbole_guider.report.stores.compare import compare_folders

    text, differ = compare_folders(first, second)
    print(text)
    return FAILED if differ else OK


def _list(data_path: str) -> int:
    from recbole_guider.data.prepare import installed
    from recbole_guider.property_layers import names

    here = dict.fromkeys(installed(data_path), "installed")
    kinds = {"data sets": "dataset", "backbones": "model", "methods": "method", "grids": "grid"}
    for title, kind in kinds.items():
        known: Mapping[str, str] = here if kind == "dataset" else {}
        shown = [
            f"{name} ({known[name]})" if name in known else name
            for name in sorted({*names(kind), *known})
        ]
        print(f"{title}: {', '.join(shown)}")
    return OK


def _program() -> str:
    return "run_benchmark.py" if sys.argv[0].endswith("run_benchmark.py") else "recbole-guider"


def _repeat(given: Sequence[str], cell: str) -> str:
    """Returns the command that runs one cell of this command's grid alone."""
    kept, skip = [], False
    for argument in given:
        if skip or argument in ("--plan", "--report", "--costs") or argument.startswith("--only="):
            skip = False
        elif argument == "--only":
            skip = True
        else:
            kept.append(argument)
    program = ["python", sys.argv[0]] if sys.argv[0].endswith(".py") else ["recbole-guider"]
    return shlex.join([*program, *kept, "--only", cell])
