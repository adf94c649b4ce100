"""What every case of the catalogue of bad input is held to."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from toy_sets import Spoil, snapshot

from recbole_guider.data.__main__ import main


class Case(NamedTuple):
    """One way to be wrong.

    Attributes:
        what: the mistake.
        spoil: makes it.
        where: how the place in the message ends: a file, with its line where there is one.
        says: words of the message: what was found, what is expected, how to mend it.
        options: further arguments.
    """

    what: str
    spoil: Spoil
    where: str
    says: tuple[str, ...]
    options: tuple[str, ...] = ()


def one_line(captured: str) -> str:
    """Returns the one line that begins with ``error:``."""
    assert "Traceback" not in captured
    lines = [line for line in captured.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, captured
    return lines[0]


def check(line: str, case: Case) -> None:
    where = line.removeprefix("error: ")
    if case.where:
        assert f"{case.where}: " in where.split(" ", 1)[0] + " ", line
    for words in case.says:
        assert words in line
    told = ". " in line or "; expected" in line
    assert told, f"no word on how to mend it: {line}"


def refused(arguments: list[str], place: Path, capsys, command=main) -> str:
    """Runs a command that must fail; returns its one line."""
    before = snapshot(place)
    assert command(arguments) == 2
    assert snapshot(place) == before
    return one_line(capsys.readouterr().err)
