"""What the stars promise, on simulated users: error rates, power, signs, intervals.

A user has one to five test items and a chance of a hit of his own, so that values are bounded and
sparse like Recall and NDCG at 20; methods share part of their luck, as models of the same data do.
Rates are checked within about three standard errors of the simulation or more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from recbole_guider.report.comparison import compare_records
from recbole_guider.report.statistics import compare_many, compare_users_and_seeds, holm

pytestmark = pytest.mark.slow

USERS = 300
ITEMS = 5
SHARED_LUCK = 0.6  # the share of hits that do not depend on the method


class Metrics(NamedTuple):
    """Values shaped like Recall and NDCG, each [tables, methods, users]."""

    recall: np.ndarray
    ndcg: np.ndarray


class Population:
    """Users of several tables: how many test items they have and how easy they are to serve."""

    def __init__(self, generator: np.random.Generator, tables: int, users: int = USERS) -> None:
        self.generator = generator
        self.shape = (tables, 1, users, 1)
        self.ease = generator.beta(0.5, 4.0, size=self.shape)
        counts = generator.choice(ITEMS, p=[0.4, 0.25, 0.15, 0.1, 0.1], size=self.shape) + 1
        self.relevant = np.arange(ITEMS) < counts
        self.counts = counts[..., 0]

    def metrics(self, gains: list[float]) -> Metrics:
        """Draws a method for each gain; gain 0.1 means a tenth more hits than gain 0."""
        tables, _, users, _ = self.shape
        shape = (tables, len(gains), users, ITEMS)
        draw = self.generator.random
        common = draw((tables, 1, users, ITEMS), dtype=np.float32)
        own, copied = draw(shape, dtype=np.float32), draw(shape, dtype=np.float32) < SHARED_LUCK
        chance = self.ease * (1.0 + np.array(gains)[:, None, None])
        hits = (np.where(copied, common, own) < chance) & self.relevant
        discount = 0.25 + 0.75 * draw(shape, dtype=np.float32)
        return Metrics(hits.sum(-1) / self.counts, (hits * discount).sum(-1) / self.counts)


def rejected(ours: np.ndarray, baseline: np.ndarray, level: float = 0.05) -> np.ndarray:
    """Signs of the differences that are significant before correction, else 0; [k]."""
    return np.array([
        np.sign(result.difference) if result.p_value < level else 0.0
        for result in compare_many(ours, baseline, resamples=1)
    ])  # fmt: skip


def test_the_values_are_shaped_like_recall_and_ndcg() -> None:
    values = Population(np.random.default_rng(1), 50).metrics([0.0, 0.0])
    for one in values:
        assert 0.0 <= one.min() < one.max() <= 1.0
        assert (one == 0).mean() > 0.6
        ours, theirs = one[:, 0].ravel(), one[:, 1].ravel()
        assert 0.4 < np.corrcoef(ours, theirs)[0, 1] < 0.95
    assert (values.ndcg <= values.recall + 1e-12).all()


def test_under_the_null_five_percent_are_rejected_and_families_hold() -> None:
    """24,000 comparisons in 4,000 families of six that share their baseline and their users."""
    generator = np.random.default_rng(11)
    families, size, at_once = 4000, 6, 200
    raw = {"recall": 0, "ndcg": 0}
    starred = {"recall": 0, "ndcg": 0}
    for _ in range(families // at_once):
        drawn = Population(generator, at_once).metrics([0.0] * (size + 1))
        for name, values in drawn._asdict().items():
            ours = values[:, 1:].reshape(-1, USERS)
            baseline = np.repeat(values[:, 0], size, axis=0)
            compared = compare_many(ours, baseline, resamples=1)
            p = np.array([result.p_value for result in compared]).reshape(at_once, size)
            raw[name] += int((p < 0.05).sum())
            starred[name] += sum(bool((holm(family) < 0.05).any()) for family in p)
    for name in raw:
        assert raw[name] / (families * size) == pytest.approx(0.05, abs=0.006)
        # Dependence makes Holm's correction careful, never bold; three standard errors are 0.01.
        assert 0.02 < starred[name] / families <= 0.05 + 0.006


def test_power_grows_with_the_planted_gain() -> None:
    generator = np.random.default_rng(13)
    gains = [0.0, 0.1, 0.2, 0.4, 0.8]
    drawn = Population(generator, 1000).metrics([0.0, *gains])
    for values in drawn:
        found = [rejected(values[:, place + 1], values[:, 0]) for place in range(len(gains))]
        power = [float((signs > 0).mean()) for signs in found]
        assert power == sorted(power)
        assert power[0] < 0.04
        assert power[-1] > 0.9
        assert (found[-1] < 0).mean() == 0.0


def test_choosing_the_baseline_on_validation_does_not_inflate_the_error() -> None:
    """Five equal baselines; choosing the best on the test itself does inflate it."""
    generator = np.random.default_rng(17)
    tables, baselines = 1000, 5
    on_validation, on_test = [], []
    for _ in range(10):
        population = Population(generator, tables)  # the same users: only the luck is another's
        valid = population.metrics([0.0] * baselines).recall.mean(axis=2)
        test = population.metrics([0.0] * (baselines + 1)).recall
        proposed, rivals = test[:, 0], test[:, 1:]
        every = np.arange(tables)
        on_validation.append(rejected(proposed, rivals[every, valid.argmax(axis=1)]))
        on_test.append(rejected(proposed, rivals[every, rivals.mean(axis=2).argmax(axis=1)]))
    honest, biased = np.concatenate(on_validation), np.concatenate(on_test)
    assert (honest != 0).mean() == pytest.approx(0.05, abs=0.0066)
    assert (honest > 0).mean() == pytest.approx(0.025, abs=0.005)
    assert (biased != 0).mean() > 0.08
    assert (biased > 0).mean() < 0.01


@pytest.fixture
def simulated_records(make_record):
    """Records of equal methods, two seeds and a validation value of their own each."""

    def make(generator, names, methods):
        population = Population(generator, len(names))
        tokens = np.array([f"{user:03}" for user in range(USERS)])
        records = []
        for seed in (1, 2):
            valid = population.metrics([0.0] * len(methods)).recall.mean(axis=2)
            test = population.metrics([0.0] * len(methods)).recall
            records += [
                make_record((name, "BM3", method, seed), valid=float(valid[i, j]), users=tokens,
                            per_user={"recall@20": test[i, j]})
                for i, name in enumerate(names)
                for j, method in enumerate(methods)
            ]  # fmt: skip
        return records

    return make


def test_stars_of_whole_tables_keep_the_level(simulated_records) -> None:
    """2,000 data sets from records to stars, with the choice of the baseline; three errors wide."""
    generator = np.random.default_rng(19)
    signs, chosen = [], set()
    for start in range(0, 2000, 100):
        names = [f"d{start + number}" for number in range(100)]
        records = simulated_records(generator, names, ["Base", "T-CE", "R-CE", "GUIDER"])
        compared = compare_records(records, ["Recall@20"], ["Base", "T-CE", "R-CE"])
        signs += [against.sign(0.05) for against in compared.vs_best.values()]
        chosen |= {best.method for best in compared.best_baseline.values()}
    assert len(signs) == 2000
    assert chosen == {"Base", "T-CE", "R-CE"}
    assert np.mean(np.array(signs) != 0) == pytest.approx(0.05, abs=0.015)


def test_swapping_the_methods_flips_every_sign(simulated_records) -> None:
    generator = np.random.default_rng(23)
    names = [f"d{number}" for number in range(100)]
    records = simulated_records(generator, names, ["A", "B"])
    compared = [compare_records(records, ["Recall@20"], [method]) for method in "AB"]
    for ours in [key for key, _ in compared[0].vs_best]:
        one = compared[0].vs_best[ours, "Recall@20"]
        other = compared[1].vs_best[ours._replace(method=one.method), "Recall@20"]
        assert (one.method, other.method) == ("A", "B")
        assert one.paired.difference == -other.paired.difference != 0
        assert one.paired.statistic == -other.paired.statistic
        assert one.paired.interval == pytest.approx(
            tuple(-bound for bound in reversed(other.paired.interval)), abs=1e-15
        )
        assert (one.paired.wins, one.paired.losses) == (other.paired.losses, other.paired.wins)
        for level in (0.05, 0.5, 1.0):
            assert one.sign(level) == -other.sign(level)
    assert any(against.sign(0.5) for against in compared[0].vs_best.values())


@pytest.mark.parametrize("gain", [0.0, 0.1, 0.3, 1.0])
def test_the_interval_of_the_relative_gain_covers(gain: float) -> None:
    generator = np.random.default_rng(29)
    values = Population(generator, 3000, users=400).metrics([0.0, gain]).recall
    covered = []
    for start in range(0, 3000, 500):
        ours, baseline = values[start : start + 500, 1], values[start : start + 500, 0]
        intervals = [r.gain_interval for r in compare_many(ours, baseline, resamples=600)]
        covered += [low <= gain <= high for low, high in intervals]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def trained(
    generator: np.random.Generator, seeds: int, moved: float, taste: float = 0.0, gain: float = 0.0
) -> np.ndarray:
    """Draws 4,000 pairs of methods, [tables, 2, seeds, users]; the first gains ``gain``.

    A run's overall level varies by ``moved``; a method serves some users better by ``taste``, in
    every run; a user's value in a run varies by .05.
    """
    tables = 4000
    values = generator.beta(1.0, 6.0, size=(tables, 1, 1, USERS))
    values = values + 0.05 * generator.standard_normal((tables, 2, seeds, USERS))
    values += moved * generator.standard_normal((tables, 2, seeds, 1))
    values += taste * generator.standard_normal((tables, 2, 1, USERS))
    values[:, 0] += gain
    return values


def rates(values: np.ndarray) -> tuple[float, float, float]:
    """Shares of pairs told apart: over users, over seeds, and over both by Clark's min F'."""
    users = np.moveaxis(values.mean(axis=2), 1, 0)
    seeds = np.moveaxis(values.mean(axis=3), 1, 0)
    both = compare_users_and_seeds(*users, *seeds).p_value < 0.05
    over_users = rejected(*users) != 0
    # Where both are told apart users alone are as well: a mark's level is that of min F'.
    assert (over_users[both]).mean() > 0.99
    return float(over_users.mean()), float((rejected(*seeds) != 0).mean()), float(both.mean())


def test_runs_that_move_as_a_whole_need_the_test_over_users_and_seeds() -> None:
    """Training luck that all users share: users' test rejects too often, min F' does not.

    So a mark in brackets says that these trained models differ, one without asks about the next.
    """
    generator = np.random.default_rng(37)
    for moved, over_users in ((0.0, 0.05), (0.004, 0.25), (0.02, 0.78)):
        users, seeds, both = rates(trained(generator, 5, moved))
        assert users == pytest.approx(over_users, abs=0.02)
        assert seeds == pytest.approx(0.05, abs=0.0105)
        assert both <= 0.05 + 0.0105


def test_methods_with_tastes_of_their_own_need_it_too() -> None:
    """Which users were drawn decides then, and the test over seeds is the one that is blind."""
    generator = np.random.default_rng(41)
    users, seeds, both = rates(trained(generator, 5, 0.0, taste=0.05))
    assert users == pytest.approx(0.05, abs=0.0105)
    assert seeds > 0.25
    assert both <= 0.05 + 0.0105
    users, seeds, both = rates(trained(generator, 5, 0.004, taste=0.05))
    assert min(users, seeds) > 0.07
    assert both <= 0.05 + 0.0105


def test_three_seeds_are_the_fewest_and_a_little_bold() -> None:
    generator = np.random.default_rng(43)
    for moved in (0.0, 0.004, 0.008, 0.02):
        assert rates(trained(generator, 3, moved))[2] < 0.085


def test_a_gain_that_every_run_brings_keeps_its_mark() -> None:
    generator = np.random.default_rng(47)
    found = [rates(trained(generator, 5, 0.004, taste=0.05, gain=gain)) for gain in (0.01, 0.02)]
    assert found[0][0] > found[0][2] > 0.35  # the price of the second sample
    assert found[1][2] > 0.9
