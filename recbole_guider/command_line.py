"""What all command lines of the suite share: parsing, properties, one-line errors, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Callable, NoReturn

from recbole_guider.errors import InputError, nearest_name

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


class Parser(argparse.ArgumentParser):
    """Argument parser whose complaints are one line, like every other input error."""

    def error(self, message: str) -> NoReturn:
        """Raises an InputError instead of printing the usage."""
        raise InputError(message, mend=f"See {self.prog} --help.")


def guarded(action: Callable[[], int]) -> int:
    """Calls ``action`` and turns an InputError into its line and exit code 2, Ctrl-C into 130."""
    try:
        return action()
    except KeyboardInterrupt:
        return INTERRUPTED
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        _hush()
        return OK


@contextlib.contextmanager
def whether_read_or_not() -> Iterator[None]:
    """Lets the block print although the reader of our output, such as ``head``, may have gone."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _hush()


def _hush() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def read_arguments(
    made: argparse.ArgumentParser, given: Sequence[str]
) -> tuple[argparse.Namespace, dict[str, object]]:
    """Returns the options, and the ``--key=value`` properties among the rest.

    Raises:
        InputError: something is neither.
    """
    options, rest = made.parse_known_args(list(given))
    from recbole_guider.property_layers import parse_overrides  # not for --help, which ends above

    flags = [flag for action in made._actions for flag in action.option_strings]
    for argument in rest:
        if argument.startswith("--") and "=" not in argument:
            hint = nearest_name(argument, flags)
            raise InputError(
                f"unknown option '{argument}'",
                mend=f"{hint if hint.startswith('Did') else f'See {made.prog} --help.'} "
                "Properties are written --key=value.",
            )
    return options, parse_overrides(rest)


def names_in(values: Sequence[str] | None) -> list[str]:
    """Splits ``["a,b", "c d"]`` into ``["a", "b", "c", "d"]``."""
    return [name for value in values or () for name in re.split(r"[,\s]+", value) if name]


def count(text: str) -> int:
    """Reads a count of at least 1, as a type of argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a count of at least 1, found '{text}'")
    return int(text)
