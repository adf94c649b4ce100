"""Data sets from the command line: ``python -m recbole_guider.data prepare mmrec ...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from recbole_guider.command_line import guarded
from recbole_guider.data.commands.parser import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code; a user's mistake is one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return guarded(lambda: run(given))


if __name__ == "__main__":
    sys.exit(main())
