"""Cross-modal hashing: binary codes that agree where an item's modalities say the same."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from recbole_guider.errors import InputError, one_of
from recbole_guider.kernels.alignment import align_learned, align_linear

MODES = ("learned", "cca", "random")


def cross_modal_hash(
    features: Mapping[str, Tensor],
    bits: int,
    seed: int,
    mode: str = "learned",
    common_width: int = 64,
    present: Mapping[str, Tensor] | None = None,
    **training: Any,
) -> dict[str, Tensor]:
    """Hashes every modality of every item into ``bits`` signs (Eq. 6).

    Eq. 6 has one W for modalities of different widths. ``learned`` and ``cca`` first map each
    modality linearly into one common space, fitted on items that have both, then apply one shared
    Gaussian W. ``random`` is the control: an independent Gaussian W per modality, whose codes
    agree by chance only.

    Args:
        features: name -> float [n_items, width].
        bits: length b of a code.
        seed: of W and of the learned maps; torch's global random state is left alone.
        mode: ``learned`` (``alignment.align_learned``), ``cca`` (``alignment.align_linear``) or
            ``random``.
        common_width: dimensions of the common space.
        present: name -> bool [n_items], False where the row is missing or imputed; None takes a
            row of zeros for missing.
        training: settings of the alignment, under its own names.

    Returns:
        name -> float [n_items, bits] of -1 and +1; a missing row hashes to +1 throughout.

    Raises:
        InputError: no modality, or an unknown mode.
    """
    one_of(mode, MODES, "hash")
    if not features:
        raise InputError(
            "a cross-modal hash needs item features, the data set has none",
            where="hash",
            mend="Add a modality file or set hash: none",
        )
    generator = torch.Generator().manual_seed(seed)
    masks = {
        name: (values != 0).any(1) if present is None else present[name].cpu()
        for name, values in features.items()
    }
    standard = {name: _standardise(values, masks[name]) for name, values in features.items()}
    # One modality has nothing to be aligned with.
    if mode == "random" or len(features) == 1:
        return {
            name: sign_hash(values, _gaussian(values.shape[1], bits, generator))
            for name, values in standard.items()
        }
    if mode == "cca":
        maps = align_linear(standard, masks, common_width, **training)
    else:
        maps = align_learned(standard, masks, common_width, generator, **training)
    W = _gaussian(common_width, bits, generator)
    return {name: sign_hash(values @ maps[name], W) for name, values in standard.items()}


def sign_hash(projected: Tensor, W: Tensor, b: Tensor | float = 0.0) -> Tensor:
    """Returns sign(x W + b) as -1 and +1, float [n, bits], with sign(0) = +1.

    Args:
        projected: float [n, width].
        W: float [width, bits].
        b: float [bits].
    """
    return (projected @ W + b >= 0).to(W.dtype) * 2 - 1


def hash_confidence(
    codes: Mapping[str, Tensor], present: Mapping[str, Tensor] | None = None
) -> Tensor:
    """Returns the agreement of each item's codes, float [n_items] in -1 ... 1 (Eq. 6).

    The cosine of two codes of +-1 is the share of equal bits minus that of unequal ones; with
    more than two modalities the mean over the pairs that the item has. An item without a pair has
    confidence 0, but 1 if the data set has one modality only: then nothing can disagree.

    Args:
        codes: name -> float [n_items, bits] of -1 and +1.
        present: name -> bool [n_items], False where the item lacks the modality; None: nowhere.
    """
    names = list(codes)
    first = codes[names[0]]
    if len(names) == 1:
        return first.new_ones(len(first))
    total, pairs = first.new_zeros(len(first)), first.new_zeros(len(first))
    for left, right in combinations(names, 2):
        agreement = (codes[left] * codes[right]).mean(1)
        both = torch.ones_like(agreement)
        if present is not None:
            both = (present[left] & present[right]).to(agreement)
        total += agreement * both
        pairs += both
    return total / pairs.clamp(min=1)


def _gaussian(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    return torch.randn(rows, columns, generator=generator)


def _standardise(values: Tensor, present: Tensor) -> Tensor:
    """Columns of mean 0 and variance 1 over the present items; the other rows become 0."""
    values, rows = values.detach().cpu().float(), present.nonzero().flatten()
    mean, scale = values.new_zeros(values.shape[1]), values.new_ones(values.shape[1])
    if len(rows):
        scale, mean = torch.std_mean(values[rows], dim=0, unbiased=False)
    # A constant column carries nothing: it becomes 0 instead of amplified rounding errors.
    constant = scale <= 1e-6 * mean.abs().clamp(min=1e-6)
    return (values - mean) / scale.masked_fill(constant, torch.inf) * present[:, None]
