"""The commands of ``python -m recbole_guider.data``: what each is given and what it prints."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from recbole_guider.command_line import BAD_INPUT, OK, Parser, read_arguments
from recbole_guider.data.commands.describe import as_text, describe
from recbole_guider.data.commands.download import fetch_all, plan_of
from recbole_guider.data.commands.encode import add_options, encode
from recbole_guider.data.commands.export import export
from recbole_guider.data.commands.validate import SHOWN, validate
from recbole_guider.data.files.layout import Layout, find_layout
from recbole_guider.data.prepare import sources
from recbole_guider.errors import InputError

_EXAMPLES = """\
examples:
  %(prog)s prepare mmrec --from raw/baby --name baby     atomic files from a toolbox's folder
  %(prog)s prepare csv --interactions a.csv --name shop  the same from tables of one's own
  %(prog)s download ml-1m                                raw files from their place, then prepare
  %(prog)s validate baby                                 every problem of its files at once
  %(prog)s describe baby                                 what it is, in figures
  %(prog)s encode baby text --from titles.csv             a modality from texts or images
  %(prog)s export baby --to toolbox/baby                 back into a toolbox's folder
"""


def run(given: Sequence[str]) -> int:
    """Runs a command line.

    Raises:
        InputError: anything the user gave that cannot be used.
    """
    options, properties = read_arguments(_parser(), given)
    unknown = set(properties) - {"data_path"}
    if unknown and not options.takes_properties:
        raise InputError(
            f"unknown option '--{min(unknown)}='",
            mend="Only --data_path=FOLDER is a property here.",
        )
    options.properties = properties
    options.data_path = Path(str(properties.get("data_path", "dataset/")))
    code: int = options.command(options)
    return code


def _parser() -> Parser:
    made = Parser(
        prog="python -m recbole_guider.data",
        description="Makes and looks after data sets, each a folder of RecBole's atomic files.",
        epilog=_EXAMPLES + "\nData sets lie in dataset/, or where --data_path=FOLDER says.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    prepare = commands.add_parser(
        "prepare", help="write a data set's folder from the files of another project",
        allow_abbrev=False,
    )  # fmt: skip
    kinds = prepare.add_subparsers(title="sources", metavar="SOURCE", required=True)
    for name, source in sources.SOURCES.items():
        one = kinds.add_parser(name, help=source.summary, description=source.summary,
                               allow_abbrev=False)  # fmt: skip
        one.add_argument("--name", required=True, help="the data set's name")
        source.add_options(one)
        one.set_defaults(command=_prepare, source=source, takes_properties=False)
    _add_named(commands)
    return made


def _add_named(commands: Any) -> None:
    """Adds the commands that are given a data set's name."""

    def add(
        name: str, summary: str, command: Callable[[Any], int], takes_properties: bool = True
    ) -> Any:
        one = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        one.add_argument("name", metavar="NAME", help="the data set's name")
        one.set_defaults(command=command, takes_properties=takes_properties)
        return one

    one = add("validate", "tell every problem of a data set's files", _validate)
    one.add_argument("--all", action="store_true", help="every bad row, however many there are")
    one = add("describe", "print a data set's figures", _describe)
    one.add_argument("--json", action="store_true", help="for machines")
    add("download", "fetch raw files from their official place, then prepare them", _download,
        takes_properties=False)  # fmt: skip
    add_options(add("encode", "make a modality of the items' texts or images", _encode))
    one = add("export", "write a data set as a folder of the MMRec toolbox", _export)
    one.add_argument("--to", metavar="DIR", required=True, type=Path, help="the folder to make")
    one.add_argument(
        "--missing",
        default="zero",
        help="what items without a row of features get: zero (default), or list: no row, and a "
        "file that names the others",
    )
    one.add_argument("--keep-ids", action="store_true", help="never number users and items anew")


def _prepare(options: Any) -> int:
    manifest = sources.prepare(options.source, options.name, options.data_path, options)
    counts = manifest["interactions"]
    print(
        f"{manifest['name']}: {manifest['users']:,} users, {manifest['items']:,} items, "
        f"{counts['total']:,} interactions, written to {options.data_path / options.name}"
    )
    for modality, told in manifest["modalities"].items():
        without = told["items without a row"]
        lacking = f"; {without:,} items have none" if without else ""
        print(f"  {modality}: {told['rows']:,} rows of {told['width']} values{lacking}")
    return OK


def _layout(options: Any) -> Layout:
    return find_layout(options.name, options.data_path, options.properties)


def _validate(options: Any) -> int:
    errors, warnings = validate(_layout(options), None if options.all else SHOWN)
    for word, problems in (("error", errors), ("warning", warnings)):
        for problem in problems:
            print(f"{word}: {problem}", file=sys.stderr)
    print(f"{options.name}: {_counted(errors, 'error')}, {_counted(warnings, 'warning')}")
    return BAD_INPUT if errors else OK


def _counted(problems: Sequence[object], word: str) -> str:
    return f"{len(problems):,} {word}{'' if len(problems) == 1 else 's'}"


def _describe(options: Any) -> int:
    told = describe(_layout(options))
    print(json.dumps(told, indent=2, ensure_ascii=False) if options.json else as_text(told))
    return OK


def _download(options: Any) -> int:
    plan = plan_of(options.name)
    source = sources.SOURCES.get(plan.source)
    if source is None:
        raise InputError(f"unknown source '{plan.source}'", where=options.name)
    if (options.data_path / options.name).exists():  # before hours of fetching
        raise InputError(
            "exists already", where=options.data_path / options.name, mend="Move it away."
        )
    raw = fetch_all(plan, options.data_path / ".raw" / options.name)
    given = ["prepare", plan.source, "--from", str(raw), "--name", options.name]
    return run([*given, *plan.arguments(), f"--data_path={options.data_path}"])


def _encode(options: Any) -> int:
    told = encode(_layout(options), options)
    without = told["items without a row"]
    lacking = f"; {without:,} items have none" if without else ""
    rows = f"{told['rows']:,} rows of {told['width']} values"
    print(f"{options.name}: {told['modality']}: {rows}{lacking}")
    return OK


def _export(options: Any) -> int:
    told = export(_layout(options), options.to, options.missing, options.keep_ids)
    print(
        f"{options.name}: {told['users']:,} users, {told['items']:,} items, "
        f"{told['interactions']:,} interactions, features as float32, written to {options.to}"
    )
    if told["renumbered"]:
        print("  users and items are numbered anew; the id maps hold their names")
    for modality, count in told["filled"].items():
        print(f"  {modality}: {count:,} items without a row have zeros")
    return OK
