"""Every problem of a data set's files at once, before anything is trained on them.

Errors are what loading refuses or what would make its numbers meaningless; warnings are what
loading mends or tolerates and a user should know.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from recbole_guider.data.commands.validate_modality import check_modality
from recbole_guider.data.files.feature_table import unused_side_cars
from recbole_guider.data.files.interaction_file import value_problems, width_problems
from recbole_guider.data.files.layout import PHASES, Layout, read_interactions
from recbole_guider.data.fingerprint import file_hash
from recbole_guider.data.modality_choice import choose_modalities, find_modalities, missing_policies
from recbole_guider.errors import InputError

SHOWN = 20  # problems of one kind in one file


class Findings(NamedTuple):
    """What is wrong with a data set; each entry is one line.

    Attributes:
        errors: what must be mended.
        warnings: what should be known.
    """

    errors: list[InputError]
    warnings: list[InputError]


def validate(layout: Layout, shown: int | None = SHOWN) -> Findings:
    """Checks a data set's interaction files, split, modalities, manifest and compiled files.

    Args:
        layout: where the files lie and how they are read.
        shown: bad rows of one kind and file that are told one by one; None for all.

    Returns:
        All problems, in the order of the files. Nothing is written.
    """
    found = Findings([], [])
    items = _check_interactions(layout, found, shown)
    files = find_modalities(layout.folder, layout.name)
    for modality in layout.wanted or ():
        try:
            choose_modalities([modality], files)
        except InputError as error:
            found.errors.append(error)
    policies: dict[str, str] = {}
    try:
        policies = missing_policies(layout.missing, files)
    except InputError as error:
        found.errors.append(error)
    for modality, path in files.items():
        used = layout.wanted is None or modality in layout.wanted
        missing = policies.get(modality, "zero")
        errors, warnings = check_modality(path, items, missing, layout.unknown)
        # What is wrong with a file that is not loaded stops nobody.
        (found.errors if used else found.warnings).extend(_first(errors, shown, path))
        found.warnings.extend(warnings)
        found.warnings.extend(_unused(path))
    _check_manifest(layout, found)
    return found


def check_readable(layout: Layout) -> None:
    """Checks that the interaction files can be read.

    Raises:
        InputError: their first problem.
    """
    for path in layout.inter:
        for problem in layout.header_problems(path):
            raise problem
        for problem in _row_problems(layout, path):
            raise problem


def _check_interactions(layout: Layout, found: Findings, shown: int | None) -> pd.Index | None:
    """Checks interaction files; returns their items, or None if they cannot be read."""
    before = len(found.errors)
    for path in layout.inter:
        headers = layout.header_problems(path)
        found.errors.extend(headers)
        if not headers:
            found.errors.extend(_first(_row_problems(layout, path), shown, path))
    if len(found.errors) > before:
        return None
    table = read_interactions(layout)
    _check_split(layout, table, found)
    return pd.Index(table["item"].unique())


def _row_problems(layout: Layout, path: Path) -> Iterator[InputError]:
    label = layout.label if layout.has_labels() else None
    names = [layout.user, layout.item]
    form = (layout.separator, layout.encoding)
    try:
        yield from width_problems(path, *form)
        yield from value_problems(path, *form, names, label)
    except InputError as error:  # no text from some line on
        yield error


def _check_split(layout: Layout, table: pd.DataFrame, found: Findings) -> None:
    users, _ = pd.factorize(table["user"])
    items, names = pd.factorize(table["item"])
    pairs = users.astype(np.int64) * len(names) + items
    phases = table["phase"].to_numpy()
    in_parts = layout.inter[0].name != f"{layout.name}.inter"
    if in_parts and len(layout.inter) != len(PHASES):
        found.errors.append(
            InputError(
                f"the split has {len(layout.inter)} parts; expected {', '.join(PHASES)}",
                where="benchmark_filename",
                mend="Name a file, or a share, for each",
            )
        )
        return
    if bool((phases == -1).all()):
        _tell_repeated(layout, table, pairs, found)
        return
    known = np.isin(users, users[phases == 0])
    for part, phase in enumerate(PHASES):
        inside = phases == part
        if not (inside & known).any():
            found.errors.append(
                InputError(
                    f"no interaction is left for {phase}",
                    where=layout.inter[min(part, len(layout.inter) - 1)],
                    mend="Check the split; users without a training interaction do not count",
                )
            )
    cold = ~known
    if cold.any():
        place = int(cold.argmax())
        found.warnings.append(
            InputError(
                f"{len(np.unique(users[cold])):,} users have no training interaction, the first is "
                f"'{table['user'][place]}'; loading drops their {int(cold.sum()):,} interactions",
                where=_place(layout, table, place),
                mend="Give them training rows, or remove theirs",
            )
        )
    _tell_repeated(layout, table, pairs * 3 + phases, found)
    _tell_leaks(layout, table, pairs, phases, found)


def _tell_repeated(layout: Layout, table: pd.DataFrame, keys: Any, found: Findings) -> None:
    repeated = pd.Series(keys).duplicated().to_numpy()
    if repeated.any():
        place = int(repeated.argmax())
        found.warnings.append(
            InputError(
                f"{int(repeated.sum()):,} interactions repeat an earlier one of their phase, the "
                f"first is '{table['user'][place]}' with '{table['item'][place]}'; each pair "
                "counts once",
                where=_place(layout, table, place),
                mend="Remove the repetitions",
            )
        )


def _tell_leaks(
    layout: Layout, table: pd.DataFrame, pairs: Any, phases: Any, found: Findings
) -> None:
    for later in (1, 2):
        for earlier in range(later):
            inside = phases == later
            both = inside & np.isin(pairs, pairs[phases == earlier])
            if both.any():
                place = int(both.argmax())
                found.warnings.append(
                    InputError(
                        f"{len(np.unique(pairs[both])):,} pairs of {PHASES[later]} are in "
                        f"{PHASES[earlier]} too, the first is '{table['user'][place]}' with "
                        f"'{table['item'][place]}'",
                        where=_place(layout, table, place),
                        mend="Keep each pair in one phase: what was seen in training is never "
                        "recommended again",
                    )
                )


def _place(layout: Layout, table: pd.DataFrame, row: int) -> str:
    part = int(table["phase"][row]) if len(layout.inter) > 1 else 0
    return f"{layout.inter[part]}:{table['place'][row]}"


def _first(problems: Iterable[InputError], shown: int | None, path: Path) -> list[InputError]:
    """Returns the first problems, and one that counts the rest."""
    some = iter(problems)
    told = list(islice(some, shown))
    rest = sum(1 for _ in some)
    if rest:
        told.append(
            InputError(f"{rest:,} more such problems", where=path, mend="List them with --all")
        )
    return told


def _unused(path: Path) -> list[InputError]:
    return [
        InputError(
            f"{side_car.name} is compiled from other content of the file, or damaged",
            where=path,
            mend="Nothing to do: loading compiles the file again and removes it",
        )
        for side_car in unused_side_cars(path)
    ]


def _check_manifest(layout: Layout, found: Findings) -> None:
    """Compares the files with those that the manifest was written for."""
    path = layout.folder / f"{layout.name}.manifest.json"
    if not path.exists():
        return
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("expected an object")
        listed = [content[key] for key in ("sha256", "files") if key in content]  # ml-100k's first
        hashes = {str(file): str(digest) for one in listed for file, digest in dict(one).items()}
    except (OSError, ValueError, TypeError) as error:
        found.errors.append(
            InputError(f"cannot be read ({error})", where=path, mend="Prepare the data set again")
        )
        return
    for file, digest in hashes.items():
        there = layout.folder / file
        if not there.is_file():
            found.errors.append(
                InputError(
                    "is missing, though the manifest lists it",
                    where=there,
                    mend="Prepare the data set again",
                )
            )
        elif (now := file_hash(there)) != digest:
            found.errors.append(
                InputError(
                    f"has changed since it was prepared: SHA-256 {now[:16]}..., the manifest says "
                    f"{digest[:16]}...",
                    where=there,
                    mend=f"Prepare the data set again, or remove {path.name} if the change is "
                    "meant",
                )
            )
