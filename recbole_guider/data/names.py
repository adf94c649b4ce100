"""Which names of users and items come out of RecBole's reader as they went in."""

from __future__ import annotations

# What RecBole's reader, pandas, takes for a missing value, also in a column of names.
NO_VALUE = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
     "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
)  # fmt: skip
QUOTE = '"'  # in front of a cell: pandas then reads on to the next one, across tabs and lines


def why_unreadable(name: str) -> str:
    """Returns why RecBole would read another name, to follow ``'NAME' ...``; empty if it would not.

    Example:
        >>> why_unreadable("NA")
        'is read as no value'
    """
    if name in NO_VALUE:
        return "is read as no value" if name else "is empty"
    if name != name.strip() or any(mark in name for mark in "\t\r\n\0"):
        return "has blanks at its ends, a tab or a line break"
    if name.startswith(QUOTE):
        return "begins with a quotation mark, which is read as quoting"
    return ""
