"""Made data whose truth is known: planted tastes, content that tells them, labelled noise.

User u has a share theta[u, f] in each of a few tastes, taste f chooses item i with probability
phi[f, i], and a true interaction of u is drawn from sum_f theta[u, f] phi[f, i]. Popularity is in
phi: item k in order of popularity weighs (k + 1) ** -popularity. A modality's row is

    sqrt(degree) * z[i] Q + sqrt(1 - degree) * noise,

with z[i] the item's planted factors (mean 0, variance 1), Q an isometry (the identity where the
width is the number of factors) and noise of the same variance as z Q.
"""

from __future__ import annotations

import zlib
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_guider.command_line import count
from recbole_guider.data.prepare.steps import options as shared
from recbole_guider.data.prepare.steps.raw import ItemRows, RawData
from recbole_guider.data.prepare.synthetic_pairs import draw_pairs
from recbole_guider.errors import InputError

SUMMARY = "made data with planted tastes, content of a chosen worth and labelled noise"

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """What is to be made.

    Attributes:
        users, items, interactions: numbers of them.
        factors: number of tastes.
        modalities: name -> (degree, width): how much the content says of the factors, from 0 (only
            noise) to 1 (the factors themselves), and the values in a row.
        noise: share of the interactions that are drawn uniformly, whatever the user's taste.
        content_noise: share of the items of each modality that carry another item's row.
        popularity: exponent of the power law, 0 for equally popular items.
        seed: draws everything; equal plans give equal bytes.
    """

    users: int = 1000
    items: int = 500
    interactions: int = 20000
    factors: int = 8
    modalities: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    noise: float = 0.0
    content_noise: float = 0.0
    popularity: float = 0.8
    seed: int = 2022


def add_options(parser: ArgumentParser) -> None:
    """Adds the options of this source."""
    plan = Plan()
    for name, what in (("users", "users"), ("items", "items"), ("interactions", "interactions"),
                       ("factors", "planted factors (tastes)")):  # fmt: skip
        default = getattr(plan, name)
        parser.add_argument(f"--{name}", type=count, default=default, metavar="N",
                            help=f"number of {what} (default {default})")  # fmt: skip
    parser.add_argument("--modality", metavar="NAME=DEGREE[:WIDTH]", action="append",
                        help="item content; degree 0 is noise, 1 the planted factors; can be "
                             "repeated (default text=0.7 image=0.3)")  # fmt: skip
    for name, what in (
        ("noise", "of interactions drawn at random, with label noise=1"),
        ("content-noise", "of each modality's items that carry another's row"),
    ):
        parser.add_argument(f"--{name}", type=float, default=0.0, metavar="SHARE",
                            help=f"share {what} (default 0)")  # fmt: skip
    parser.add_argument("--popularity", type=float, default=plan.popularity, metavar="A",
                        help="exponent of the items' power law (default %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=plan.seed,
                        help="draws everything (default %(default)s)")  # fmt: skip
    shared.add_split(parser)


def read_given(options: Any) -> RawData:
    """Makes what the options ask for."""
    given = options.modality or ["text=0.7", "image=0.3"]
    modalities = _modalities(given, options.factors)
    return make(
        Plan(
            users=options.users,
            items=options.items,
            interactions=options.interactions,
            factors=options.factors,
            modalities=modalities,
            noise=options.noise,
            content_noise=options.content_noise,
            popularity=options.popularity,
            seed=options.seed,
        )
    )


def make(plan: Plan) -> RawData:
    """Returns the data of a plan; true factors and swapped items are in ``planted``.

    ``planted`` holds ``user_tastes`` (theta above) [users, factors], ``taste_items`` (phi)
    [factors, items], so that their product is what each user likes, ``item_factors`` (z)
    [items, factors], and for each modality ``row_of_<modality>`` int64 [items]: the item whose row
    item k carries, which is k itself where nothing was swapped.

    Raises:
        InputError: a number or share is out of range, or more interactions are asked for than a
            quarter of all pairs.
    """
    _check(plan)
    theta = _stream(plan, "users").dirichlet(np.full(plan.factors, 0.2), plan.users)
    loadings = _stream(plan, "items").gamma(0.2, size=(plan.items, plan.factors)) + 1e-3
    loadings /= loadings.sum(axis=1, keepdims=True)
    rank = _stream(plan, "popularity").permutation(plan.items)
    weight = (rank + 1.0) ** -plan.popularity
    phi = loadings * weight[:, None]
    phi /= phi.sum(axis=0)
    user, item, noise = draw_pairs(
        theta, phi, plan.interactions, plan.noise, _stream(plan, "pairs")
    )
    z = np.log(loadings)
    z = (z - z.mean(axis=0)) / np.maximum(z.std(axis=0), 1e-12)
    planted: dict[str, NDArray[Any]] = {
        "user_tastes": theta,
        "taste_items": phi.T,
        "item_factors": z,
    }
    names = _names("i", plan.items)
    rows = {}
    for modality, (degree, width) in plan.modalities.items():
        values = _content(z, degree, width, _stream(plan, f"content of {modality}"))
        taken = _swapped(plan, modality)
        planted[f"row_of_{modality}"] = taken
        rows[modality] = ItemRows(
            names.tolist(), values[taken].astype(np.float32), Path("synthetic"),
            f"planted factors to degree {degree:g}; {plan.content_noise:g} of the rows swapped",
        )  # fmt: skip
    columns = {"noise": noise.astype(np.float64)}
    told = ", ".join(f"{key}={value!r}" for key, value in vars(plan).items())
    return RawData(
        _names("u", plan.users)[user], names[item], columns, rows,
        notes=[f"made with {told}"], planted=planted,
    )  # fmt: skip


def _stream(plan: Plan, what: str) -> np.random.Generator:
    """Returns a generator of its own for each part, so that none moves another."""
    return np.random.default_rng([plan.seed, zlib.crc32(what.encode())])


def _names(prefix: str, n: int) -> NDArray[Any]:
    return np.array([f"{prefix}{k}" for k in range(n)], dtype=object)


def _content(z: Matrix, degree: float, width: int, random: np.random.Generator) -> Matrix:
    factors = z.shape[1]
    carried = z
    if width != factors:
        basis, _ = np.linalg.qr(random.normal(size=(width, factors)))
        carried = z @ basis.T
    spread = np.sqrt(factors / width)  # so that signal and noise have rows of one length
    noise = random.normal(size=(len(z), width)) * spread
    mixed: Matrix = np.sqrt(degree) * carried + np.sqrt(1 - degree) * noise
    return mixed


def _swapped(plan: Plan, modality: str) -> NDArray[np.int64]:
    """Returns the item whose row each item carries: another's for a share of the items."""
    random = _stream(plan, f"swaps of {modality}")
    taken = np.arange(plan.items)
    chosen = random.permutation(plan.items)[: int(plan.content_noise * plan.items + 0.5)]
    other = random.integers(plan.items - 1, size=len(chosen)) if plan.items > 1 else chosen * 0
    taken[chosen] = other + (other >= chosen) if plan.items > 1 else chosen
    return taken


def _check(plan: Plan) -> None:
    wrong = [
        (not 0 <= plan.noise <= 1, "--noise", "a share from 0 to 1", plan.noise),
        (not 0 <= plan.content_noise <= 1, "--content-noise", "a share from 0 to 1",
         plan.content_noise),
        (not 0 <= plan.popularity <= 10, "--popularity", "a number from 0 to 10", plan.popularity),
        (plan.seed < 0, "--seed", "a whole number from 0 on", plan.seed),
        (4 * plan.interactions > plan.users * plan.items, "--interactions",
         f"at most a quarter of all pairs, {plan.users * plan.items // 4:,}", plan.interactions),
        (plan.interactions < plan.users, "--interactions",
         f"one for each user at least, {plan.users:,}", plan.interactions),
    ]  # fmt: skip
    for bad, option, expected, found in wrong:
        if bad:
            raise InputError(f"found {found}; expected {expected}", where=option)


def _modalities(given: Sequence[str], factors: int) -> dict[str, tuple[float, int]]:
    """Reads ``text=0.7:64``; without a width, rows have as many values as there are factors."""
    found: dict[str, tuple[float, int]] = {}
    for entry in given:
        name, _, said = entry.partition("=")
        degree, _, width = said.partition(":")
        try:
            found[name] = (float(degree), int(width or factors))
        except ValueError:
            found[name] = (-1.0, 0)
        if not name.isidentifier() or not 0 <= found[name][0] <= 1 or found[name][1] < factors:
            raise InputError(
                f"'{entry}' is not NAME=DEGREE[:WIDTH] with a degree from 0 to 1 and a width of "
                f"{factors} (the factors) or more",
                where="--modality",
                mend="Write for example --modality text=0.7:64.",
            )
    return found
