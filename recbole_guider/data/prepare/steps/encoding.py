"""Raw text of items becomes a modality."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from recbole_guider.data.encoders.text import encode
from recbole_guider.data.prepare.steps.raw import ItemRows, RawData
from recbole_guider.errors import InputError


def with_text(raw: RawData, encoder: str, width: int, seed: int, keep: Path) -> RawData:
    """Encodes the texts of the items with interactions; an item with an empty text has no row.

    Args:
        raw: the data.
        encoder: ``tfidf``, or a model for sentence-transformers.
        width: values in a row of ``tfidf``; a model has a width of its own.
        seed: of ``tfidf``.
        keep: a folder in which a model leaves what it has done, for a run that is begun again.

    Returns:
        The data with a modality for each of its texts.

    Raises:
        InputError: no text belongs to an item, the encoder cannot be used, or the width does not
            fit.
    """
    modalities = dict(raw.modalities)
    items = pd.unique(raw.items)
    for name, (of_item, source) in raw.texts.items():
        named = [item for item in items if of_item.get(item, "").strip()]
        if not named:
            raise InputError(
                f"none of its {len(of_item):,} items has interactions and a text",
                where=source,
                mend="Name items as the interactions do, or leave the file out.",
            )
        texts = [of_item[item] for item in named]
        values, extractor = encode(texts, encoder, width=width, seed=seed, keep=keep)
        modalities[name] = ItemRows(named, values, source, extractor)
    return replace(raw, modalities=modalities, texts={})
