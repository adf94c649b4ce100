"""The one exception that a user's mistake raises: one line, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something the user gave cannot be used; the command line prints it as one line.

    Args:
        what: what is wrong, with the value found and the value expected.
        where: the file (with line or row), option or property concerned.
        mend: what to do about it, as an instruction.
    """

    def __init__(self, what: str, *, where: object = "", mend: str = "") -> None:
        self.what = what
        self.where = str(where)
        self.mend = mend
        parts = [part for part in (self.where, what) if part]
        line = ": ".join(parts) + (f". {mend}" if mend else "")
        super().__init__(" ".join(line.split()))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the three parts, so that the error crosses process borders unchanged."""
        return (_rebuild, (self.what, self.where, self.mend))


def _rebuild(what: str, where: str, mend: str) -> InputError:
    return InputError(what, where=where, mend=mend)


def nearest_name(name: object, known: Iterable[str]) -> str:
    """Returns ``Did you mean 'x'?`` for the closest known name, or the list of known names."""
    names = sorted(known)
    lowered = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(str(name).lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{lowered[close[0]]}'?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"Known: {shown}"


def one_of(value: object, known: Iterable[str], where: str) -> str:
    """Returns ``value`` if it is one of the known words; InputError names the nearest otherwise."""
    words = list(known)
    if value not in words:
        raise InputError(
            f"unknown value '{value}'", where=where, mend=nearest_name(str(value), words)
        )
    return str(value)
