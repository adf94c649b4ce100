"""The tables of leaderboard/details.md that no page has: they follow from the records."""

from __future__ import annotations

import json
import statistics

import pytest
from published_files import (
    LEADERBOARD,
    NUMBERS,
    PUBLISHED,
    comparison,
    numbers_of,
    printed,
    rows_in,
    rows_with,
    verdict,
    words_of,
)

from recbole_guider.benchmark.record import unpacked
from recbole_guider.report.statistics import holm

METHODS = ["Base", "T-CE", "R-CE", "WBPR", "BOD", "GUIDER-DBPR", "GUIDER-paper", "GUIDER"]
DETAILS = "leaderboard/details.md"


@pytest.fixture(scope="module")
def published():
    """(data set, backbone, method) -> the records of table2's results."""
    found = {}
    backbones = {backbone for _, backbone, *_ in numbers_of("table2")}
    for path in (LEADERBOARD / "results").glob("*.json.gz"):
        record = unpacked(path.read_bytes())
        of = record["cell"]
        if record["test"] and not record["config"]["noise_ratio"] and of["backbone"] in backbones:
            found.setdefault((of["dataset"], of["backbone"], of["method"]), []).append(record)
    return found


@pytest.fixture(scope="module")
def tried():
    """(data set, backbone, method) -> table2's trials: value, whether it was chosen, values."""
    found = {}
    for row in rows_in(PUBLISHED / "table2-trials.csv"):
        trial = (float(row["valid"]), row["chosen"] == "yes", json.loads(row["values"]))
        found.setdefault((row["dataset"], row["backbone"], row["method"]), []).append(trial)
    return found


def rows_of(blocks, *headers):
    """(row, its data set and backbone) of the table with these columns, bold kept as stars.

    It has the data sets and backbones of all ``blocks``.
    """
    rows = rows_with(DETAILS, "data set", "backbone", *headers, marks="")
    found = [(row, (row["data set"], row["backbone"])) for row in rows]
    assert {block for _, block in found} == {block[:2] for block in blocks}
    return found


def curve(record):
    """The validation values of a run, epoch by epoch."""
    return [point["recall@20"] for point in record["valid_curve"]]


def highest(trials):
    """The validation value of the best of some trials, as printed."""
    return printed(max(value for value, *_ in trials))


def cut(values, patience):
    """The validation value of a run that stops so many epochs after its best one."""
    top, waited = values[0], 0
    for value in values[1:]:
        top, waited = (value, 0) if value > top else (top, waited + 1)
        if waited > patience:
            break
    return top


def spread_of(record):
    """The standard deviation of the interactions' weights at the chosen epoch of a run of BOD."""
    points = record["diagnostics"]["weights"]
    return [point for point in points if point["epoch"] <= record["best_epoch"]][-1]["positive_std"]


def certain(family):
    """Table2's verdicts in both tests: (row, whether one Holm family for all metrics keeps it)."""
    rows = [row for row in numbers_of("table2").values() if row[f"{family}_p"]]
    for dataset in sorted({row["dataset"] for row in rows}):
        of = [row for row in rows if row["dataset"] == dataset]
        users, both = (
            holm([float(row[f"{family}_{kind}p"]) for row in of]) for kind in ("", "both_")
        )
        for row, kept in zip(of, (users < 0.05) & (both < 0.05)):
            if verdict(*comparison(row, family)[1:]) == "in both tests":
                yield row, bool(kept)


def test_what_a_correction_across_metrics_would_leave():
    text = words_of(DETAILS)
    best, base = list(certain("vs_best")), list(certain("vs_base"))
    kept, kept_over_base = (sum(kept for _, kept in found) for found in (best, base))
    assert f"{kept} of table2's {len(best)} verdicts in both tests against the best" in text
    assert f"{kept_over_base} of the {len(base)} against the bare backbone." in text
    gains = [one for one in best if comparison(one[0], "vs_best")[0] > 0]
    named = {
        kept: {(row["backbone"], row["method"], row["metric"]) for row, of in gains if of == kept}
        for kept in (True, False)
    }
    assert named == {
        True: {
            ("MGCN", "GUIDER", "NDCG@5"),
            ("MGCN", "GUIDER", "NDCG@20"),
            ("MMGCN", "GUIDER-DBPR", "Recall@20"),
        },
        False: {
            ("MGCN", "GUIDER-DBPR", "NDCG@20"),
            ("MMGCN", "GUIDER-DBPR", "NDCG@20"),
            ("DRAGON", "GUIDER-DBPR", "Recall@20"),
        },
    }


def test_verdicts_that_turned_are_what_the_pages_say_now():
    for row in rows_with(DETAILS, "rival", "p then", "p now"):
        backbone, _, share = row["backbone"].partition(" at noise ")
        setting = f"noise_ratio={share}" if share else ""
        place = (row["data set"], backbone, row["method"], setting, row["metric"])
        of = numbers_of(row["grid"])[place]
        family = "vs_base" if row["rival"] == "Base" else "vs_best"
        assert family == "vs_base" or of["best_baseline"] == row["rival"], place
        gain, users, both = comparison(of, family)
        assert row["gain"] == f"{gain:+.1f} %".replace("-", "−"), place
        p = users if row["test over"] == "users" else both
        assert row["p now"] == printed(p), place
        assert float(row["p then"]) < 0.05 <= p, place
        left = "undecided" if row["test over"] == "users" else "over users alone"
        assert verdict(users, both) == left, place


def test_what_patience_changes(published):
    leads = {}
    for row, block in rows_of(published, "patience"):
        means = {
            method: statistics.fmean(
                cut(curve(record), int(row["patience"])) for record in published[(*block, method)]
            )
            for method in METHODS
        }
        chosen = max(METHODS[:5], key=means.__getitem__)  # The best of the baselines.
        leads.setdefault(block, set()).add(chosen)
        for method, mean in means.items():
            shown = f"**{printed(mean)}**" if method == chosen else printed(mean)
            assert row[method] == shown, (block, row["patience"], method)
    turned = sum(len(chosen) == 2 for chosen in leads.values())
    words = f"another one in {NUMBERS[turned]} of these {NUMBERS[len(leads)]} rows"
    assert words in words_of(DETAILS)


def test_what_each_weight_of_the_distillation_had(published, tried):
    for row, block in rows_of(published, "method", "Base", "3"):
        method = row["method"]
        assert row["Base"] == highest(tried[(*block, "Base")])
        by_weight = {}
        for trial in tried[(*block, method)]:
            by_weight.setdefault(trial[2]["kd_weight"], []).append(trial)
        for weight, shown in list(row.items())[4:]:
            trials = by_weight.pop(float(weight), [])
            expected = highest(trials) if trials else ""
            if any(chosen for _, chosen, _ in trials):
                expected = f"**{expected}**"
            assert shown == expected, (block, method, weight)
        assert not by_weight, (block, method)


def test_what_bod_was_tried_with_and_its_weights(published, tried):
    for row, block in rows_of(published, "spread"):
        assert row["Base"] == highest(tried[(*block, "Base")])
        for weight in (0.01, 0.1, 1.0):
            trials = sorted(tried[(*block, "BOD")], key=lambda trial: -trial[0])
            shown = ", ".join(
                f"**{printed(value)}**" if chosen else printed(value)
                for value, chosen, values in trials
                if values["alignment_weight"] == weight
            )
            assert row[f"{weight:g}".lstrip("0")] == shown, (block, weight)
        (best,) = (values for _, chosen, values in tried[(*block, "BOD")] if chosen)
        assert float(row["`uniformity_ratio`"]) == best["uniformity_ratio"]
        assert float(row["`weight_prior`"]) == best["weight_prior"]
        spread = statistics.fmean(map(spread_of, published[(*block, "BOD")]))
        assert row["spread"] == printed(spread, 2), block


def test_how_methods_judge_low_ratings():
    """At the chosen epochs, means over the seeds."""
    judged = {}
    for row in rows_in(PUBLISHED / "table2-detection.csv"):
        if row["dataset"] == "ml-100k" and row["chosen"] == "yes":
            judged.setdefault((row["backbone"], row["method"]), []).append(row)
    verbs = {"T-CE": "drops", "GUIDER-paper": "condemns", "GUIDER": "condemns"}
    ranking = ("T-CE", "R-CE", "BOD", "GUIDER-paper", "GUIDER")
    rows = rows_with(DETAILS, "ml-100k", "AUC of T-CE")
    assert {row["ml-100k"] for row in rows} == {of for of, _ in judged}
    for row in rows:
        mean = {
            (method, what): statistics.fmean(
                float(seed[what]) for seed in judged[row["ml-100k"], method]
            )
            for method, what in [
                *((method, what) for method in verbs for what in ("flagged", "precision")),
                *((method, "auc") for method in ranking),
            ]
        }
        for method, verb in verbs.items():
            flagged, low = (100 * mean[method, what] for what in ("flagged", "precision"))
            assert row[f"{method} {verb}, %"] == f"{flagged:.1f}", (row, method)
            assert row[f"low of {method}'s, %"] == f"{low:.1f}", (row, method)
        for method in ranking:
            assert row[f"AUC of {method}"] == printed(mean[method, "auc"], 2), (row, method)
