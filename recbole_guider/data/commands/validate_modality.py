"""Every problem of one modality's atomic file, read as a stream."""

from __future__ import annotations

import hashlib
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_guider.data.files.modality_file import scan
from recbole_guider.errors import InputError

_SAME = 1e-4  # relative: printed means are rounded


def check_modality(
    path: Path, items: pd.Index | None, missing: str = "zero", unknown: str = "error"
) -> tuple[list[InputError], list[InputError]]:
    """Returns the errors and the warnings of a modality's file; rows are held one at a time.

    Args:
        path: the atomic file.
        items: the items of the interactions, or None if they are not known.
        missing: the property ``missing_modality``: ``error`` makes absent items an error.
        unknown: the property ``unknown_item``: ``ignore`` makes unknown items a warning.
    """
    errors: list[InputError] = []
    warnings: list[InputError] = []
    rows = _Rows()
    try:
        for found in scan(path):
            if isinstance(found, InputError):
                errors.append(found)
            else:
                rows.add(found.line, found.token, found.values)
    except OSError as error:
        return [
            InputError(f"cannot be read ({error.strerror})", where=path, mend="Check the file")
        ], []
    if not rows.tokens:
        return errors, warnings
    if rows.constant and len(rows.tokens) > 1 and not errors:
        errors.append(
            InputError(
                f"all {len(rows.tokens):,} rows are equal: they tell no item from another",
                where=path,
                mend="Extract the features again, or remove the file.",
            )
        )
    elif (twins := rows.twins(path)) is not None:
        warnings.append(twins)
    if rows.zeros:
        line, token = rows.zeros[0]
        warnings.append(
            InputError(
                f"{len(rows.zeros):,} rows hold zeros only, the first is item '{token}'; they have "
                "no direction and no nearest items",
                where=f"{path}:{line}",
                mend="Leave such items out of the file: missing_modality says what they get",
            )
        )
    if items is not None:
        _compare(path, rows, items, missing, unknown, errors, warnings)
    return errors, warnings


class _Rows:
    """What is kept of the rows while they pass: names, lines and hashes, not values."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.lines: list[int] = []
        self.zeros: list[tuple[int, str]] = []
        self.constant = True
        self._hashes: list[bytes] = []
        self._first: NDArray[np.float32] | None = None
        self._total: Any = 0.0

    def add(self, line: int, token: str, values: NDArray[np.float32]) -> None:
        digest = hashlib.blake2b(values.tobytes(), digest_size=16).digest()
        self.tokens.append(token)
        self.lines.append(line)
        self._hashes.append(digest)
        if not values.any():
            self.zeros.append((line, token))
        self._first = values if self._first is None else self._first
        self.constant = self.constant and bool((values == self._first).all())
        self._total = self._total + values.astype(np.float64)

    def twins(self, path: Path) -> InputError | None:
        """Returns the warning about rows shared by several items, zeros apart."""
        codes, _ = pd.factorize(pd.Series(self._hashes, dtype=object))
        counts = np.bincount(codes)
        if self.zeros:  # told as zeros
            counts[codes[self.tokens.index(self.zeros[0][1])]] = 1
        shared = counts > 1
        if not shared.any():
            return None
        largest = int(counts.argmax())
        place, count = int((codes == largest).argmax()), int(counts[largest])
        mean = self._is_mean_of_others(_row_at(path, self.lines[place]), count)
        return InputError(
            f"{int(counts[shared].sum()):,} items share their row with others, in "
            f"{int(shared.sum()):,} groups; the largest has {count:,} items, the first is "
            f"'{self.tokens[place]}'" + (", and is the mean of the other rows" if mean else ""),
            where=f"{path}:{self.lines[place]}",
            mend="Leave out of the file what was filled in, so that missing_modality decides"
            if mean
            else "Nothing to do if their content is the same",
        )

    def _is_mean_of_others(self, row: NDArray[np.float64], count: int) -> bool:
        others = len(self.tokens) - count
        mean = (self._total - count * row) / max(others, 1)
        return others > 0 and bool(np.abs(mean - row).max() <= _SAME * np.abs(mean).max())


def _row_at(path: Path, line: int) -> NDArray[np.float64]:
    """Reads the values of one good line again."""
    with path.open("rb") as stream:
        text = next(islice(stream, line - 1, None)).split(b"\t")[1]
    values: NDArray[np.float64] = np.array(text.split(), dtype=np.float32).astype(np.float64)
    return values


def _compare(
    path: Path, rows: _Rows, items: pd.Index, missing: str, unknown: str,
    errors: list[InputError], warnings: list[InputError],
) -> None:  # fmt: skip
    """Compares the file's items with those of the interactions."""
    places = items.get_indexer(pd.Index(rows.tokens))
    strangers = np.flatnonzero(places < 0)
    if len(strangers):
        first = int(strangers[0])
        problem = InputError(
            f"unknown item '{rows.tokens[first]}': no interaction has it "
            f"({len(strangers):,} such rows)",
            where=f"{path}:{rows.lines[first]}",
            mend="Remove these rows, or set unknown_item: ignore",
        )
        (warnings if unknown == "ignore" else errors).append(problem)
    absent = np.setdiff1d(np.arange(len(items)), places)
    if len(absent):
        problem = InputError(
            f"{len(absent):,} of {len(items):,} items have no row, the first is "
            f"'{items[int(absent[0])]}'",
            where=path,
            mend="Add their rows, or set missing_modality: zero or mean",
        )
        refused = missing == "error" or len(absent) == len(items)
        (errors if refused else warnings).append(problem)
