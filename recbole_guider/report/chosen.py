"""What a search chose on validation, among which trials: a table and a CSV of every trial."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Protocol

from recbole_guider.registry import BARE
from recbole_guider.report.board import Board
from recbole_guider.report.markdown import HOLE, table

Kind = tuple[str, str, str]  # data set, backbone, method

_BEYOND = (
    " (lowest), (highest): of the values tried; better ones may lie beyond, and where they are the "
    "bare backbone's, a method's gain over it may be what they would have gained."
)


class Tried(Protocol):
    """What the report reads of a trial."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Property -> its value, for all that the search tries."""

    @property
    def valid(self) -> Optional[float]:  # noqa: UP045 (Python 3.9)
        """The value of the validation metric; None where the trial failed, as the next two."""

    @property
    def best_epoch(self) -> Optional[int]:  # noqa: UP045
        """The epoch that has it, from 0."""

    @property
    def epochs(self) -> Optional[int]:  # noqa: UP045
        """How many epochs ran."""


class Choice(Protocol):
    """What the report reads of a choice; the runner's choices are of this shape."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Property -> chosen value, the backbone's too; empty for the property files' own."""

    @property
    def trial(self) -> int:
        """The chosen trial, from 1; 0 where none finished."""

    @property
    def valid(self) -> Optional[float]:  # noqa: UP045 (Python 3.9)
        """Its value of the validation metric; None where no trial finished."""

    @property
    def asked(self) -> int:
        """How many trials there are."""

    @property
    def finished(self) -> int:
        """How many of them finished."""

    @property
    def tried(self) -> Sequence[Tried]:
        """What came of each of them."""

    @property
    def seed(self) -> int:
        """The seed that they ran with."""

    @property
    def apart(self) -> Mapping[str, Any]:
        """Property -> value that the trials alone had."""

    @property
    def own(self) -> Mapping[str, Any]:
        """Property -> its value in the chosen trial, for all that its search tried."""

    @property
    def ends(self) -> Mapping[str, str]:
        """Property -> ``lowest`` or ``highest``, where the chosen value is that of those tried."""


def chosen_table(board: Board, chosen: Mapping[Kind, Choice]) -> list[str]:
    """Returns a table of the values chosen for each data set, backbone and method, and a caption.

    Args:
        board: gives the reading order.
        chosen: data set, backbone and method -> choice; [] is returned where it is empty.
    """
    order = _in_order(board, chosen)
    if not order:
        return []
    rows = []
    for kind in order:
        choice = chosen[kind]
        rows.append([
            f"{kind[0]}, {kind[1]} + {kind[2]}",
            f"{choice.trial} of {choice.asked}",
            HOLE if choice.valid is None else f"{choice.valid:.4f}",
            HOLE if choice.valid is None else _values(choice),
        ])  # fmt: skip
    seeds = " and ".join(sorted({str(choice.seed) for choice in chosen.values()}))
    bare = [choice for kind, choice in chosen.items() if kind[2] == BARE]
    others = [choice for kind, choice in chosen.items() if kind[2] != BARE]
    budget = f"On each data set the bare backbone had {_budget(bare)}"
    if others:
        budget += f"; with the values of the best, every method had {_budget(others)} of its own"
    return [
        table(["", "trial", "validation", "values"], rows),
        f"{budget}, with seed {seeds}{_alone(chosen)}. The first trial is the property files' "
        "values, the highest value of the validation metric chose, and the test split stayed "
        "unread. Other properties are as the property files have them. "
        f"Every trial: [{board.name}-trials.csv]({board.name}-trials.csv)."
        + (_BEYOND if any(chosen[kind].ends for kind in order) else ""),
    ]


def trials_csv(board: Board, chosen: Mapping[Kind, Choice]) -> str:
    """Returns a row for every trial as CSV, in the table's order; empty text without a search."""
    order = _in_order(board, chosen)
    if not order:
        return ""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([
        "dataset", "backbone", "method", "seed", "trial", "chosen", "valid", "best_epoch", "epochs",
        "values",
    ])  # fmt: skip
    for kind in order:
        choice = chosen[kind]
        for trial, tried in enumerate(choice.tried, start=1):
            measured = (tried.valid, tried.best_epoch, tried.epochs)
            writer.writerow([
                *kind, choice.seed, trial, "yes" if trial == choice.trial else "no",
                *("" if one is None else repr(one) for one in measured),
                json.dumps(dict(tried.values), sort_keys=True),
            ])  # fmt: skip
    return text.getvalue()


def _in_order(board: Board, chosen: Mapping[Kind, Choice]) -> list[Kind]:
    """Returns what was chosen for, in reading order, with what all methods of a backbone have."""
    rows = dict.fromkeys(
        row for backbone, method in board.rows() for row in ((backbone, BARE), (backbone, method))
    )
    kinds = ((dataset, *row) for dataset in board.datasets for row in rows)
    return [kind for kind in kinds if kind in chosen]


def _alone(chosen: Mapping[Kind, Choice]) -> str:
    """Returns which properties trials alone had, and with which backbones if not with all."""
    backbones = {backbone for _, backbone, _ in chosen}
    having: dict[tuple[str, str], dict[str, None]] = {}
    for (_, backbone, _), choice in chosen.items():
        for key, value in choice.apart.items():
            having.setdefault((key, _text(value)), {})[backbone] = None
    return "".join(
        f", `{key}` {value}" + ("" if set(those) == backbones else f" ({', '.join(those)})")
        for (key, value), those in having.items()
    )


def _budget(choices: Sequence[Choice]) -> str:
    asked = [choice.asked for choice in choices]
    most = max(asked)
    text = f"{most} trial{'s' if most > 1 else ''}"
    if min(asked) < most:
        text += f" (from {min(asked)} where there are no more settings to try)"
    failed = sum(choice.asked - choice.finished for choice in choices)
    if failed:
        text += f" ({failed} failed in all)"
    return text


def _values(choice: Choice) -> str:
    parts = [f"`{key}` {_text(value)}{_end(choice, key)}" for key, value in choice.own.items()]
    return ", ".join(parts) or "nothing to search"


def _end(choice: Choice, key: str) -> str:
    return f" ({choice.ends[key]})" if key in choice.ends else ""


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {one}" for key, one in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
