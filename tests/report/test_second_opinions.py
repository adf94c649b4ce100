"""The CSV's tests that give no stars: signed ranks over users, and the t test over seeds."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from scipy import stats

from recbole_guider.report.board import arrange
from recbole_guider.report.numbers import render_csv


@pytest.fixture
def rows(grid, make_record):
    """Renders Base and GUIDER on one backbone; returns GUIDER's rows by metric, and the records."""

    def build(ours: tuple[int, ...], theirs: tuple[int, ...]):
        wanted = {**grid, "methods": ["Base", "GUIDER"], "baselines": ["Base"]}
        records = [make_record(("ml-100k", "BM3", "GUIDER", seed), lift=0.001) for seed in ours]
        records += [make_record(("ml-100k", "BM3", "Base", seed)) for seed in theirs]
        text = render_csv(arrange(wanted, [record.cell for record in records], records, {}))
        found = {(row["method"], row["metric"]): row for row in csv.DictReader(io.StringIO(text))}
        return found, records

    return build


def values(records, method: str, seeds: tuple[int, ...]) -> np.ndarray:
    return np.array([
        next(r for r in records if r.cell.method == method and r.cell.seed == seed)
        .per_user["ndcg@20"] for seed in seeds
    ])  # fmt: skip


def test_they_are_scipys_on_the_seeds_that_both_have(rows) -> None:
    found, records = rows((1, 2, 3, 4), (2, 3, 4, 5))
    row = found["GUIDER", "NDCG@20"]
    assert row["vs_best_seeds"] == "2 3 4"
    ours, theirs = (values(records, name, (2, 3, 4)) for name in ("GUIDER", "Base"))
    ranks = stats.wilcoxon(ours.mean(axis=0) - theirs.mean(axis=0), method="approx")
    assert float(row["vs_best_wilcoxon_p"]) == pytest.approx(ranks.pvalue, rel=1e-6)
    over_seeds = stats.ttest_rel(ours.mean(axis=1), theirs.mean(axis=1))
    assert float(row["vs_best_seed_p"]) == pytest.approx(over_seeds.pvalue)
    assert float(row["vs_best_p"]) not in (pytest.approx(over_seeds.pvalue), 0.0)


def test_two_seeds_are_too_few_for_a_test_over_seeds(rows) -> None:
    row = rows((1, 2), (1, 2, 3))[0]["GUIDER", "NDCG@20"]
    assert row["vs_best_seed_p"] == ""
    assert 0 < float(row["vs_best_wilcoxon_p"]) <= 1


def test_without_a_comparison_they_are_empty(rows) -> None:
    found, _ = rows((1, 2, 3), (1, 2, 3))
    names = [name for name in found["Base", "NDCG@20"] if name.startswith("vs_best_")]
    assert {"vs_best_wilcoxon_p", "vs_best_seed_p", "vs_best_gain_low"} <= set(names)
    assert {found["Base", "NDCG@20"][name] for name in names} == {""}


def test_the_gains_interval_is_around_the_gain(rows) -> None:
    for key, row in rows((1, 2), (1, 2))[0].items():
        if key[0] == "GUIDER":
            low, gain, high = (
                float(row[f"vs_best_{name}"]) for name in ("gain_low", "relative_gain", "gain_high")
            )
            assert low < gain < high
