"""The commands of ``python -m recbole_guider.data``: what each is given and what it prints."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recbole_guider.command_line import OK, Parser, read_arguments
from recbole_guider.data.prepare import sources
from recbole_guider.errors import InputError

_EXAMPLES = """\
examples:
  %(prog)s prepare mmrec --from raw/baby --name baby     atomic files from a toolbox's folder
"""


def run(given: Sequence[str]) -> int:
    """Runs a command line.

    Raises:
        InputError: anything the user gave that cannot be used.
    """
    options, properties = read_arguments(_parser(), given)
    unknown = set(properties) - {"data_path"}
    if unknown:
        raise InputError(
            f"unknown option '--{min(unknown)}='",
            mend="Only --data_path=FOLDER is a property here.",
        )
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
        one.set_defaults(command=_prepare, source=source)
    return made


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
