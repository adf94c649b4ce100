"""Which modalities a data set has, which are used, what stands for absent rows; no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from recbole_guider.errors import InputError, nearest_name, one_of

MISSING_POLICIES = ("zero", "mean", "error")


def find_modalities(folder: Path, name: str) -> dict[str, Path]:
    """Returns the files ``<name>.item<modality>`` of a data set by modality, sorted."""
    pattern = re.compile(re.escape(name) + r"\.item(\w+)")
    matches = ((pattern.fullmatch(path.name), path) for path in sorted(folder.iterdir()))
    return {match.group(1): path for match, path in matches if match}


def choose_modalities(
    wanted: str | Iterable[str] | None, found: dict[str, Path]
) -> dict[str, Path]:
    """Returns the files of the wanted modalities in the wanted order, or all found if None.

    Raises:
        InputError: a wanted modality has no file.
    """
    if wanted is None:
        return found
    chosen = [wanted] if isinstance(wanted, str) else list(wanted)
    for modality in chosen:
        if modality not in found:
            raise InputError(
                f"unknown modality '{modality}': the data set has no file .item{modality}",
                where="modalities",
                mend=nearest_name(str(modality), found) if found else "It has no modality at all",
            )
    return {modality: found[modality] for modality in chosen}


def missing_policies(given: str | Mapping[str, str] | None, found: Iterable[str]) -> dict[str, str]:
    """Returns what an item without a row gets, for each modality that a data set has.

    Args:
        given: one policy for all, or a mapping; a modality that it does not name has ``zero``.
        found: the modalities of the data set.

    Raises:
        InputError: a word is no policy, or the mapping names a modality that there is not.
    """
    where, known = "missing_modality", list(found)
    if not isinstance(given, Mapping):
        return dict.fromkeys(known, one_of(given or "zero", MISSING_POLICIES, where))
    for name, policy in given.items():
        if name not in known:
            raise InputError(
                f"unknown modality '{name}'", where=where, mend=nearest_name(str(name), known)
            )
        one_of(policy, MISSING_POLICIES, f"{where}[{name}]")
    return {name: given.get(name, "zero") for name in known}
