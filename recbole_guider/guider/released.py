"""What GUIDER's released code computes, where it is not what the paper describes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from recbole_guider.kernels.hashing import sign_hash


class FixedHashes:
    """Random projections and hashes of users and contents, which nothing ever trains.

    A modality's projection P_m and hash are Gaussian; users are hashed by a map of their own, so
    that a user's bits agree with an item's by chance, about half of them.

    Args:
        features: name -> float [n_items, width]; a missing row is a row of zeros like any other.
        user_size: width of the users' vectors.
        width: of the space that P_m maps to.
        bits: length of a hash.
        generator: draws all of them.

    Attributes:
        disagreement: float [n_items], ||P_m x_m - P_n x_n||, the mean over the pairs of
            modalities; zero with a single one.
    """

    def __init__(
        self,
        features: Mapping[str, Tensor],
        user_size: int,
        width: int,
        bits: int,
        generator: torch.Generator,
    ) -> None:
        contents = [values.detach().cpu().float() for values in features.values()]
        projected = [values @ _gaussian(values.shape[1], width, generator) for values in contents]
        distances = [(left - right).norm(dim=1) for left, right in combinations(projected, 2)]
        nowhere = contents[0].new_zeros(len(contents[0]))
        self.disagreement = torch.stack(distances or [nowhere]).mean(0)
        codes = [
            sign_hash(values, _gaussian(values.shape[1], bits, generator)) for values in contents
        ]
        self.mean_codes = torch.stack(codes).mean(0)
        self.user_map = _gaussian(user_size, bits, generator)

    def to(self, device: torch.device) -> FixedHashes:
        """Moves everything to a device, in place."""
        for name in ("disagreement", "mean_codes", "user_map"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def similarity(self, users: Tensor, items: Tensor) -> Tensor:
        """Share of equal bits of users and items, the mean over the modalities; float [b].

        Args:
            users: vectors, float [b, user_size].
            items: int64 [b].
        """
        code = sign_hash(users.detach(), self.user_map)
        # The product of two signs is 1 where they are equal and -1 elsewhere.
        agreement: Tensor = (code * self.mean_codes[items]).mean(1)
        return (1.0 + agreement) / 2.0


def _gaussian(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A random map that keeps lengths on average."""
    return torch.randn(rows, columns, generator=generator) / math.sqrt(rows)


def scaled_to_unit(values: Tensor) -> Tensor:
    """(x - min) / (max - min), float [b] in 0 ... 1; zeros if all are equal."""
    if len(values) == 0:
        return values
    low, high = values.min(), values.max()
    span = high - low
    return (values - low) / torch.where(span > 0, span, torch.ones_like(span))


def triple_weights(disagreement: Tensor, similarity: Tensor, threshold: float) -> Tensor:
    """Clean triples weigh what the hashes agree, float [b]; those that are not clean weigh 1.

    Clean is whose modalities disagree less than ``threshold``, on the batch's scale of 0 to 1.
    So what counts as noise weighs about twice as much as what counts as clean.

    Args:
        disagreement, similarity: float [b], of the positives, and of users with positives.
        threshold: in 0 ... 1.
    """
    clean = scaled_to_unit(disagreement) < threshold
    return torch.where(clean, similarity, torch.ones_like(similarity))


def loss_weights(
    native: Sequence[Tensor | None],
    distilled: Sequence[Tensor | None],
    edge: float,
    native_floor: float,
    distilled_floor: float,
) -> tuple[Tensor, Tensor]:
    """Weights of the native loss and of the distillation: the released form of MGDA.

    The share g of the first gradient in the shortest convex combination g v_1 + (1 - g) v_2 is
    ``edge`` if v_1 v_2 >= v_1 v_1, 1 - ``edge`` if v_1 v_2 >= v_2 v_2, and otherwise
    (v_2 v_2 - v_1 v_2) / ||v_1 - v_2||^2. The second gradient contains the first: v_1 = n and
    v_2 = n + d, because nothing is zeroed between the two backward passes. With this,

      g = edge if n d >= 0,  1 - edge if -n d >= d d,  else 1 + n d / d d,

    so that distillation weighs next to nothing wherever it agrees with the native loss. The
    weights max(g, ``native_floor``) and max(1 - g, ``distilled_floor``) need not sum to 1.

    Args:
        native, distilled: n and d by parameter; None where a parameter has none.
        edge: in 0.5 ... 1.
    """
    pairs = [(n, d) for n, d in zip(native, distilled) if n is not None and d is not None]
    agreement = torch.stack([(n * d).sum() for n, d in pairs]).sum()
    square = torch.stack([d.square().sum() for d in distilled if d is not None]).sum()
    low, high = torch.full_like(square, 1.0 - edge), torch.full_like(square, edge)
    between = torch.where(-agreement >= square, low, 1.0 + agreement / square)
    share = torch.where(agreement >= 0, high, between)
    return share.clamp(min=native_floor), (1.0 - share).clamp(min=distilled_floor)


class _WithGradients(torch.autograd.Function):
    """A value whose gradients are already known."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Sequence[Tensor], *_: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *(above[0] * gradient for gradient in ctx.gradients))


def with_gradients(
    value: Tensor, parameters: Sequence[Tensor], gradients: Sequence[Tensor]
) -> Tensor:
    """Returns ``value`` as a loss whose gradients in ``parameters`` are ``gradients``."""
    result: Tensor = _WithGradients.apply(  # type: ignore[no-untyped-call]
        value.detach(), tuple(gradients), *parameters
    )
    return result
