"""The text of Amazon items: title, brand, categories and description of their metadata."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from recbole_guider.data.prepare.reading.json_lines import field, records

# The names of the releases of 2014, 2018 and 2023; the first that a record has is taken.
_PARTS = (
    ("title",),
    ("brand", "store"),
    ("categories", "category"),
    ("description",),
)
_ITEM = ("parent_asin", "asin")
_NAMED = re.compile(r"""["'](?:parent_)?asin["']\s*:\s*["']([^"']*)["']""")


def read_texts(path: Path, known: set[str]) -> tuple[dict[str, str], list[str]]:
    """Returns item -> text of the known items, and notes for the manifest.

    The first of an item's records counts; its text may be empty.

    Raises:
        InputError: the file cannot be read, or the line of a known item holds no record.
    """

    def wanted(line: str) -> bool:
        named = _NAMED.findall(line)
        return not named or any(name in known for name in named)

    texts: dict[str, str] = {}
    repeated = 0
    for line, record in records(path, wanted):
        item = field(record, _ITEM, str, path, line)
        if item not in known:
            continue
        repeated += item in texts
        texts.setdefault(item, " ".join(filter(None, (_part(record, one) for one in _PARTS))))
    notes = [f"{len(known) - len(texts):,} of {len(known):,} items have no metadata"]
    if repeated:
        notes.append(f"{repeated:,} further metadata records of items left out")
    return texts, notes


def _part(record: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        text = " ".join(_strings(record.get(name)))
        text = re.sub(r"<[^>]*>", " ", html.unescape(text))
        text = " ".join(text.split())
        if text:
            return text
    return ""


def _strings(value: Any) -> list[str]:
    """Returns the texts in a text or in lists of texts, each once."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, (list, tuple)):
        return list(dict.fromkeys(text for one in value for text in _strings(one)))
    return []
