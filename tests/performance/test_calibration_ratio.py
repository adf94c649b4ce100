"""Speed of a calibration pass against a loop over users, and of the one-time preparation."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from baby_sized import peak_memory
from torch.nn import functional

from recbole_guider.guider.calibration import InteractionCalibrator
from recbole_guider.guider.similarity import Content, most_similar_pairs, pairs_above

pytestmark = pytest.mark.performance

THRESHOLD = 0.45


def baby_sized():
    """19,445 users, 7,050 items, about 120,000 interactions with popular items and heavy users."""
    generator = torch.Generator().manual_seed(0)
    n_users, n_items, n = 19_445, 7_050, 140_000
    users = (torch.rand(n, generator=generator) ** 2 * n_users).long()
    items = (torch.rand(n, generator=generator) ** 2 * n_items).long()
    keys = torch.unique(users * n_items + items)
    users, items = torch.div(keys, n_items, rounding_mode="floor"), keys % n_items
    topic = torch.randint(0, 300, (n_items,), generator=generator)
    modalities = {}
    for name, width in (("text", 384), ("image", 512)):
        centres = torch.randn(300, width, generator=generator)
        modalities[name] = centres[topic] + torch.randn(n_items, width, generator=generator)
    return torch.rand(len(users), generator=generator), users, items, modalities


def one_heavy_user(n_items: int, seed: int = 0):
    """2,000 users with 10 items each, and one with ``n_items``."""
    generator = torch.Generator().manual_seed(seed)
    users = torch.cat([torch.arange(2000).repeat_interleave(10), torch.full((n_items,), 2000)])
    others = torch.randint(0, n_items, (20_000,), generator=generator)
    items = torch.cat([others, torch.arange(n_items)])
    keys = torch.unique(users * n_items + items)
    users, items = torch.div(keys, n_items, rounding_mode="floor"), keys % n_items
    features = {"text": torch.randn(n_items, 64, generator=generator)}
    return torch.rand(len(users), generator=generator), users, items, features


def measure_heavy_user(n_items: int) -> tuple[int, int, float, float, float]:
    """Interactions, kept pairs, seconds to prepare, seconds of a pass, growth of memory in MiB."""
    losses, users, items, features = one_heavy_user(n_items)
    before, start = peak_memory(), time.perf_counter()
    pairs = most_similar_pairs(users, items, Content(features), 20 * len(users) / n_items**2)
    calibrator = InteractionCalibrator(users, items, pairs)
    prepared = time.perf_counter()
    calibrator.partition(losses)
    passed = time.perf_counter()
    grown = 1024 * (peak_memory() - before)
    return len(users), len(pairs.rows), prepared - start, passed - prepared, grown


def test_memory_with_a_user_of_thousands_of_interactions():
    """All pairs of that user's items share a user; what is kept follows the interactions."""
    context = multiprocessing.get_context("spawn")
    for n_items in (2000, 4000, 8000, 16000):
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            found = pool.submit(measure_heavy_user, n_items).result()
        print(
            "\none user with {} of {} interactions: {} pairs kept, prepare once {:.2f} s, "
            "pass {:.3f} s, {:.0f} MiB more".format(n_items, *found)
        )


def loop_over_users(losses, users, items, unit):
    """Eq. 2-5 for one user at a time, with that user's small dense similarity matrix."""
    clean = torch.zeros(len(users), dtype=torch.bool)
    order = torch.argsort(users, stable=True)
    for rows in order.split(torch.bincount(users).tolist()):
        good = losses[rows] <= losses[rows].double().mean() + 1e-8
        best = torch.zeros(len(rows), len(rows))
        for values in unit.values():
            own = values[items[rows]]
            best = torch.maximum(best, own @ own.T)
        clean[rows] = good | (best[:, good] > THRESHOLD).any(1)
    return clean


def test_pass_against_a_loop_over_users():
    losses, users, items, modalities = baby_sized()
    start = time.perf_counter()
    pairs = pairs_above(users, items, Content(modalities), THRESHOLD)
    calibrator = InteractionCalibrator(users, items, pairs)
    prepared = time.perf_counter()
    ours = calibrator.partition(losses).clean
    passed = time.perf_counter()
    unit = {name: functional.normalize(values) for name, values in modalities.items()}
    looped_from = time.perf_counter()
    theirs = loop_over_users(losses, users, items, unit)
    looped = time.perf_counter() - looped_from
    print(
        f"\n{len(users)} interactions, {calibrator.rescues.nnz} similar pairs: "
        f"prepare once {prepared - start:.2f} s, pass {passed - prepared:.3f} s, "
        f"loop over users {looped:.2f} s, ratio {looped / (passed - prepared):.0f}"
    )
    # Cosines at the threshold itself may round differently in matrices of another shape.
    assert (ours != theirs).float().mean() < 1e-4
