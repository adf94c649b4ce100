"""Which of a grid's data sets are here, which are not, and what stands in."""

from __future__ import annotations

from pathlib import Path

from recbole_guider.benchmark.grid import Grid
from recbole_guider.data.prepare import installed, made_on_first_use, not_installed
from recbole_guider.errors import InputError, nearest_name
from recbole_guider.property_layers import described, names


def present_datasets(
    grid: Grid, asked: tuple[str, ...], data_path: Path
) -> tuple[tuple[str, ...], dict[str, str], list[str]]:
    """Returns data sets to run, those of the grid that are absent, and notes for the reader.

    Args:
        grid: the grid.
        asked: data sets that the user asks for by name; the grid's if empty.
        data_path: where data sets lie.

    Returns:
        Data sets to run; absent data set -> how to get it; sentences for the leaderboard.

    Raises:
        InputError: a data set asked for is not here, or none of the grid's and nothing stands in.
    """
    here = {*installed(data_path), *made_on_first_use()}
    known = {*here, *names("dataset")}
    for name in grid.fallback_datasets:
        if name not in known:
            raise InputError(
                f"fallback_datasets names the unknown data set '{name}'",
                where=f"grid {grid.name}",
                mend=nearest_name(name, known),
            )
    fallback = tuple(name for name in grid.fallback_datasets if name in here)
    absent = {
        name: not_installed(name, data_path / name)
        for name in (asked or grid.datasets)
        if name not in here
    }
    if asked and absent:
        raise next(iter(absent.values()))
    present = tuple(name for name in (asked or grid.datasets) if name not in absent)
    notes = []
    if absent:
        unknown = [error for name, error in absent.items() if name not in names("dataset")]
        if unknown:
            raise unknown[0]
        listed = ", ".join(absent)
        if present:
            notes.append(f"Not installed and therefore left out: {listed}.")
        elif fallback:
            present = fallback
            stands = "stands in" if len(fallback) == 1 else "stand in"
            notes.append(
                f"None of this grid's data sets ({listed}) is installed; "
                f"{', '.join(fallback)} {stands}."
            )
        else:
            raise next(iter(absent.values()))
    advice = {name: _how_to_get(name) for name in absent}
    return present, advice, notes


def _how_to_get(dataset: str) -> str:
    """Returns the advice of a data set's property file, nothing where it has none."""
    return str(described("dataset", dataset, "how_to_get") or "")
