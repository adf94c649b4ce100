"""Reading item features from ``.npy`` files, checked row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_guider.errors import InputError

_BLOCK = 1 << 22  # values looked at together
_LARGEST = float(np.finfo(np.float32).max)


def load_matrix(path: Path) -> NDArray[Any]:
    """Returns a matrix of finite real numbers, memory-mapped, [n_rows, width].

    Raises:
        InputError: the file is truncated, holds objects, is no real matrix, has a value that is
            not finite in float32, or all its rows are equal.
    """
    try:
        matrix: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror or error})", where=path, mend="Check the file."
        ) from error
    except (ValueError, EOFError) as error:
        holds_objects = "pickle" in str(error).lower() or "object" in str(error).lower()
        raise InputError(
            "holds Python objects, which are never unpickled" if holds_objects else
            f"is damaged or no .npy file ({error})",
            where=path,
            mend="Save a plain array of numbers with numpy.save."
            if holds_objects else "Fetch or save it again.",
        ) from error  # fmt: skip
    if matrix.ndim != 2 or matrix.shape[1] == 0 or matrix.dtype.kind not in "fiu":
        raise InputError(
            f"holds {matrix.dtype} of shape {matrix.shape}; expected real numbers [items, width]",
            where=path,
            mend="Save one row of numbers for each item.",
        )
    _check_values(matrix, path)
    return matrix


def _check_values(matrix: NDArray[Any], path: Path) -> None:
    rows = max(1, _BLOCK // matrix.shape[1])
    constant = len(matrix) > 1
    for start in range(0, len(matrix), rows):
        block = np.asarray(matrix[start : start + rows], dtype=np.float64)
        wrong = ~(np.abs(block) <= _LARGEST)  # also where it is not a number
        if wrong.any():
            row, column = (int(one) for one in np.argwhere(wrong)[0])
            raise InputError(
                f"row {start + row}, column {column} is {block[row, column]}; "
                "expected a finite number",
                where=path,
                mend="Repair the row, or leave the item out of the file.",
            )
        constant = constant and bool((block == np.asarray(matrix[0], np.float64)).all())
    if constant:
        raise InputError(
            f"all {len(matrix)} rows are equal: they tell no item from another",
            where=path,
            mend="Extract the features again, or remove the file.",
        )
