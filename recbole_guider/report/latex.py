"""The results as LaTeX: a booktabs table for a two-column paper, with the page's marks and holes.

The file is input as it stands: ``\\input{table2.tex}`` after ``\\usepackage{booktabs,graphicx}``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from recbole_guider.report import caption
from recbole_guider.report.board import Board
from recbole_guider.report.early_ends import early_ends
from recbole_guider.report.markdown import SIGNIFICANCE, row_labels, value
from recbole_guider.report.missing import missing
from recbole_guider.report.results import ResultKey

# Columns of numbers that stay readable across both columns of a page; more go into a table more.
_COLUMNS = 16
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "†": r"$^{\dagger}$",
    "—": "---",
    "–": "--",
    "’": "'",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
# What the page's own words and numbers contain of Markdown; everything else is plain text.
_MARKDOWN = re.compile(
    r"\*\*(?P<bold>.+?)\*\*(?!\*)|`(?P<code>[^`]*)`|(?P<star>\\\*)|(?P<any>-+|.)"
)


class _Columns(NamedTuple):
    """Columns below a common heading: their names, and what each shows of a row."""

    heading: str
    names: Sequence[str]
    shows: Sequence[tuple[str, str, str]]  # data set, setting, metric


def escape(text: str) -> str:
    """Returns plain text for LaTeX's text mode; line ends become blanks.

    Letters without a place in LaTeX's standard fonts are given by their base letter, or by their
    number in Unicode.
    """
    # Braces keep two hyphens from being set as one dash.
    return "-{}".join(
        "".join(map(_character, part)) for part in re.split("-(?=-)", " ".join(text.split()))
    )


def _character(one: str) -> str:
    if one in _SPECIAL:
        return _SPECIAL[one]
    if one.isascii() and one.isprintable():
        return one
    parts = unicodedata.normalize("NFKD", one)
    if len(parts) > 1 and parts[0].isascii() and parts[0].isalpha():
        return one if "\u00c0" <= one <= "\u00ff" else parts[0]
    return f"U+{ord(one):04X}"


def from_markdown(text: str) -> str:
    """Returns LaTeX for the Markdown of the page's captions and numbers: bold, code and marks."""
    parts = []
    for match in _MARKDOWN.finditer(" ".join(text.split())):
        kind = match.lastgroup or "any"
        inner = match[kind]
        if kind == "bold":
            parts.append(rf"\textbf{{{from_markdown(inner)}}}")
        elif kind == "code":
            parts.append(rf"\texttt{{{escape(inner)}}}")
        elif kind == "star":
            parts.append("$^{*}$")
        else:
            parts.append(" " if inner == " " else escape(inner))
    return "".join(parts)


def render_latex(board: Board, notes: Sequence[str] = ()) -> str:
    """Returns the main results as one or more ``table*`` with caption and ``\\label``.

    The first label is ``tab:<grid>``, a further one ``tab:<grid>-2`` and so on. What is missing and
    how the numbers were made stands in comments.
    """
    groups = list(_groups(board))
    lines = [
        r"% \usepackage{booktabs,graphicx} in the preamble; \input this file.",
        *(f"% {_comment(line)}" for line in caption.provenance(board)),
        *(f"% {_comment(line)}" for line in early_ends(board).splitlines()),
        *(f"% Missing: {_comment(line)}" for line in missing(board)),
    ]
    for number, group in enumerate(groups, start=1):
        lines += ["", *_table(board, group, number, _caption(board, notes, number, len(groups)))]
    return "\n".join(lines) + "\n"


def _comment(line: str) -> str:
    return " ".join(line.lstrip("- ").split())


def _groups(board: Board) -> Iterator[list[_Columns]]:
    """Yields what shares a table: as many data sets, or metrics over settings, as fit beside."""
    if board.vary:
        names = [setting[len(board.vary) + 1 :] for setting in board.settings]
        blocks = [
            [
                _Columns(
                    f"{dataset}, {metric}",
                    names,
                    [(dataset, setting, metric) for setting in board.settings],
                )
                for metric in board.metrics
            ]
            for dataset in board.datasets
        ]
    else:
        blocks = [
            [
                _Columns(
                    dataset, board.metrics, [(dataset, "", metric) for metric in board.metrics]
                )
                for dataset in board.datasets
            ]
        ]
    for block in blocks:
        size = max(1, _COLUMNS // len(block[0].names))
        for start in range(0, len(block), size):
            yield block[start : start + size]


def _caption(board: Board, notes: Sequence[str], number: int, count: int) -> str:
    """Returns title, notes, legend and data; tables after the first refer to its caption."""
    # LaTeX numbers the table; the title's number is that of another paper's.
    title = from_markdown(re.sub(r"^(Table|Figure) \d+: ", "", board.title))
    title = title[:1].upper() + title[1:]
    if number > 1:
        return rf"{title} ({number} of {count}). Legend: Table~\ref{{{_label(board, 1)}}}."
    text = [f"{title} ({number} of {count})." if count > 1 else f"{title}."]
    text += [from_markdown(note) for note in notes]
    # The page lists below the table why a result is missing; here the file's head does.
    legend = caption.legend(board, SIGNIFICANCE).replace("no result, see below", "no result")
    text += [from_markdown(legend), _sources(board)]
    return " ".join(filter(None, text))


def _sources(board: Board) -> str:
    """Returns what was evaluated: users, items, protocol, and where all numbers stand."""
    parts = []
    for dataset in board.datasets:
        record = next((one for one in board.records if one.cell.dataset == dataset), None)
        if record:
            counts = [
                f"{record.data[name]:,} {name}"
                for name in ("users", "items")
                if isinstance(record.data.get(name), int)
            ]
            parts.append(f"{dataset}: {', '.join([*counts, f'protocol {record.protocol}'])}")
    named = f"Data: {'; '.join(parts)}. " if parts else ""
    return from_markdown(named + f"All numbers: `{board.name}.csv`.")


def _table(board: Board, group: Sequence[_Columns], number: int, text: str) -> list[str]:
    """Returns one ``table*``; it is scaled down to the text's width where it is wider."""
    widths = [len(columns.names) for columns in group]
    heading = " & ".join(
        rf"\multicolumn{{{width}}}{{c}}{{{escape(columns.heading)}}}"
        for columns, width in zip(group, widths)
    )
    ends = [1 + sum(widths[: place + 1]) for place in range(len(group))]
    rules = " ".join(
        rf"\cmidrule(lr){{{end - width + 1}-{end}}}" for end, width in zip(ends, widths)
    )
    names = " & ".join(escape(name) for columns in group for name in columns.names)
    return [
        r"\begin{table*}[t]",
        r"\centering",
        r"\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{text}}}",
        rf"\label{{{_label(board, number)}}}",
        r"\small",
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        # To the left, so that marks behind a number do not move it: all have as many digits.
        rf"\begin{{tabular}}{{l{'l' * sum(widths)}}}",
        r"\toprule",
        rf" & {heading} \\",
        rules,
        rf"{escape(board.vary or '')} & {names} \\",
        *_rows(board, group),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table*}",
    ]


def _rows(board: Board, group: Sequence[_Columns]) -> Iterator[str]:
    labels = row_labels(board)
    before = None
    for backbone, method in board.rows():
        if backbone != before:
            yield r"\midrule"
        before = backbone
        cells = [
            from_markdown(value(board, ResultKey(dataset, backbone, method, setting), metric))
            for columns in group
            for dataset, setting, metric in columns.shows
        ]
        yield " & ".join([escape(labels[backbone, method]), *cells]) + r" \\"


def _label(board: Board, number: int) -> str:
    """Returns the label of a table; what LaTeX could stumble over is a hyphen."""
    name = re.sub(r"[^A-Za-z0-9.]+", "-", board.name)
    return f"tab:{name}" if number == 1 else f"tab:{name}-{number}"
