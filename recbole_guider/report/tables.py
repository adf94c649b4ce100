"""The leaderboard's files: Markdown in the papers' shape, and CSV, from finished cells alone.

The same finished cells give the same bytes: nothing that differs from run to run (seconds, hosts,
dates, the order of the records, the locale) reaches the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_guider.errors import InputError
from recbole_guider.replacing import replacing
from recbole_guider.report import caption
from recbole_guider.report.board import Board, arrange
from recbole_guider.report.chosen import Choice, Kind, chosen_table, trials_csv
from recbole_guider.report.detection import detection_csv, detection_table
from recbole_guider.report.early_ends import early_ends
from recbole_guider.report.figures.drawing import drawing_of, render_svg
from recbole_guider.report.figures.ranks import ranks_svg
from recbole_guider.report.gains_tables import gains_over_bare, gains_over_best
from recbole_guider.report.html.page import render_page
from recbole_guider.report.latex import render_latex
from recbole_guider.report.markdown import SIGNIFICANCE, row_labels, side_by_side, table, value
from recbole_guider.report.missing import missing
from recbole_guider.report.numbers import render_csv
from recbole_guider.report.published.lookup import published_section
from recbole_guider.report.ranks import ranks_section
from recbole_guider.report.results import CellKey, Record, ResultKey
from recbole_guider.report.settings_tables import gains_by_setting, results_by_setting


def render(
    grid: Mapping[str, Any],
    cells: Sequence[CellKey],
    records: Sequence[Record],
    failures: Mapping[CellKey, str],
    folder: Path,
    notes: Sequence[str] = (),
    chosen: Mapping[Kind, Choice] | None = None,
) -> list[Path]:
    """Writes a grid's pages, LaTeX and CSV files and figures into a folder; returns their paths.

    ``<grid>.md``, ``<grid>.html``, ``<grid>.csv`` and ``<grid>.tex`` always; ``<grid>-ranks.svg``
    where the methods can be ranked over several blocks; ``<grid>-detection.csv`` where a record
    tells how well its method found known noise; ``<grid>-trials.csv`` where the grid searched;
    ``<grid>.svg`` where the grid names a kind of figure and a finished cell has something to draw.

    Args:
        grid: a grid file's name, title, datasets, backbones, methods, baselines, metrics, vary,
            settings and figure.
        cells: what the grid asks for: (data set, backbone, method, seed, setting).
        records: finished cells in any order; those that the grid does not ask for are left out.
        failures: cell -> reason, for cells that failed.
        folder: where the files go; made if need be. Each file is replaced whole or not at all.
        notes: sentences that stand above the table, such as which data set stands in.
        chosen: data set, backbone and method -> what the grid's search chose; None without one.

    Raises:
        InputError: the records cannot share a column, or the folder cannot be written.
    """
    board = arrange(grid, cells, records, failures)
    drawing = drawing_of(board)
    texts = {
        f"{board.name}.md": render_markdown(
            board, notes, drawing.caption if drawing else "", chosen or {}
        ),
        f"{board.name}.csv": render_csv(board, chosen),
        f"{board.name}.tex": render_latex(board, notes),
        f"{board.name}-ranks.svg": ranks_svg(board),
        f"{board.name}-detection.csv": detection_csv(board),
        f"{board.name}-trials.csv": trials_csv(board, chosen or {}),
        f"{board.name}.svg": render_svg(drawing) if drawing else "",
    }
    texts[f"{board.name}.html"] = render_page(board, texts)
    written = [_write(Path(folder) / name, text) for name, text in texts.items() if text]
    for name in (name for name, text in texts.items() if not text):
        (Path(folder) / name).unlink(missing_ok=True)  # an earlier run's
    return written


def render_markdown(
    board: Board,
    notes: Sequence[str] = (),
    figure: str = "",
    chosen: Mapping[Kind, Choice] | None = None,
) -> str:
    """Returns the Markdown page: verdicts, figure, results, what is missing, gains, provenance.

    ``figure`` is the caption of ``<grid>.svg``; empty where there is none.
    """
    blocks = [f"# {board.title}"]
    blocks += [f"> {' '.join(note.split())}" for note in notes]
    blocks.append("\n".join(caption.verdicts(board, SIGNIFICANCE)))
    if figure:
        blocks += [f"![{board.title}]({board.name}.svg)", figure]
    if board.vary:
        blocks += results_by_setting(board)
    else:
        blocks += [_results_table(board, datasets) for datasets in side_by_side(board)]
    blocks += [caption.legend(board, SIGNIFICANCE), early_ends(board)]
    holes = missing(board)
    if holes:
        blocks += ["## Missing", "\n".join(holes)]
    if board.comparison.vs_best and not board.vary:
        blocks += [f"## Gain over {board.rival()}", *gains_over_best(board)]
    gains = gains_by_setting(board) if board.vary else gains_over_bare(board)
    if gains:
        blocks += ["## Gain over the bare backbone", *gains]
    ranks = ranks_section(board)
    if ranks:
        blocks += ["## Average ranks", *ranks]
    published = published_section(board)
    if published:
        blocks += ["## Beside the published figures", *published]
    found = detection_table(board)
    if found:
        blocks += ["## How well the methods find the noise", *found]
    values = chosen_table(board, chosen or {})
    if values:
        blocks += ["## Chosen on validation", *values]
    provenance = caption.provenance(board)
    if provenance:
        blocks += ["## How the numbers were made", "\n".join(provenance)]
    blocks.append(
        f"All numbers, with raw and adjusted p values: [{board.name}.csv]({board.name}.csv)."
    )
    return "\n\n".join(block for block in blocks if block) + "\n"


def _results_table(board: Board, datasets: Sequence[str]) -> str:
    headers = [""] + [f"{name}<br>{metric}" for name in datasets for metric in board.metrics]
    rows: list[list[str]] = []
    labels = row_labels(board)
    for backbone, method in board.rows():
        row = [labels[backbone, method]]
        for dataset in datasets:
            key = ResultKey(dataset, backbone, method)
            row += [value(board, key, metric) for metric in board.metrics]
        rows.append(row)
    return table(headers, rows)


def _write(path: Path, text: str) -> Path:
    """Writes a file whole or not at all, and makes its folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as stream:
            stream.write(text.encode("utf-8"))
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})",
            where=path,
            mend="Give a folder that can be written with --leaderboard.",
        ) from error
    return path
