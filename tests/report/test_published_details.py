"""The tables of leaderboard/details.md that no page has: they follow from the records."""

from __future__ import annotations

import csv
import statistics

import pytest
from published_files import LEADERBOARD, PUBLISHED, rows_with, words_of

from recbole_guider.benchmark.record import unpacked

METHODS = ["Base", "T-CE", "R-CE", "WBPR", "BOD", "GUIDER-DBPR", "GUIDER-paper", "GUIDER"]
DETAILS = "leaderboard/details.md"
NUMBERS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@pytest.fixture(scope="module")
def published():
    """(data set, backbone, method, whether a trial) -> table2's records, without noise."""
    found = {}
    for path in (LEADERBOARD / "results").glob("*.json.gz"):
        record = unpacked(path.read_bytes())
        if record["config"]["noise_ratio"] == 0:
            of = record["cell"]
            key = (of["dataset"], of["backbone"], of["method"], not record["test"])
            found.setdefault(key, []).append(record)
    return found


def rows_of(published, *headers):
    """(row, its data set and backbone) of the table with these columns, bold kept as stars.

    It has every data set and backbone that are published.
    """
    rows = rows_with(DETAILS, "data set", "backbone", *headers, marks="")
    found = [(row, (row["data set"], row["backbone"])) for row in rows]
    complete = {(dataset, of) for dataset, of, _, trial in published if not trial}
    assert {block for _, block in found} == complete
    return found


def told(value, digits=4):
    """A number as the texts print it."""
    return f"{value:.{digits}f}".lstrip("0")


def curve(record):
    """The validation values of a run, epoch by epoch."""
    return [point["recall@20"] for point in record["valid_curve"]]


def best(record):
    return max(curve(record))


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


def test_what_patience_changes(published):
    leads = {}
    for row, block in rows_of(published, "patience"):
        means = {
            method: statistics.fmean(
                cut(curve(record), int(row["patience"]))
                for record in published[(*block, method, False)]
            )
            for method in METHODS
        }
        chosen = max(METHODS[:5], key=means.__getitem__)  # The best of the baselines.
        leads.setdefault(block, set()).add(chosen)
        for method, mean in means.items():
            shown = f"**{told(mean)}**" if method == chosen else told(mean)
            assert row[method] == shown, (block, row["patience"], method)
    turned = sum(len(chosen) == 2 for chosen in leads.values())
    words = f"another one in {NUMBERS[turned]} of these {NUMBERS[len(leads)]} rows"
    assert words in words_of(DETAILS)


def test_what_each_weight_of_the_distillation_had(published):
    for row, block in rows_of(published, "method", "Base", "3"):
        assert row.pop("Base") == told(max(map(best, published[(*block, "Base", True)])))
        method = row.pop("method")
        chosen = {record["config"]["kd_weight"] for record in published[(*block, method, False)]}
        by_weight = {}
        for record in published[(*block, method, True)]:
            weight = record["config"]["kd_weight"]
            by_weight[weight] = max(best(record), by_weight.get(weight, 0.0))
        for weight, shown in list(row.items())[2:]:
            value = by_weight.pop(float(weight), None)
            expected = "" if value is None else told(value)
            if float(weight) in chosen:
                expected = f"**{expected}**"
            assert shown == expected, (row, weight)
        assert not by_weight, (block, method)


def test_what_bod_was_tried_with_and_its_weights(published):
    for row, block in rows_of(published, "spread"):
        assert row["Base"] == told(max(map(best, published[(*block, "Base", True)])))
        results = published[(*block, "BOD", False)]
        chosen = results[0]["config"]
        by_weight = {0.01: [], 0.1: [], 1.0: []}
        for record in published[(*block, "BOD", True)]:
            config = record["config"]
            names = ("alignment_weight", "uniformity_ratio", "weight_prior")
            star = "**" if all(config[name] == chosen[name] for name in names) else ""
            by_weight[config["alignment_weight"]].append((best(record), star))
        for weight, trials in by_weight.items():
            shown = ", ".join(star + told(value) + star for value, star in sorted(trials)[::-1])
            assert row[f"{weight:g}".lstrip("0")] == shown, (block, weight)
        assert float(row["`uniformity_ratio`"]) == chosen["uniformity_ratio"]
        assert float(row["`weight_prior`"]) == chosen["weight_prior"]
        spread = statistics.fmean(map(spread_of, results))
        assert row["spread"] == told(spread, 2), block


def test_how_methods_judge_low_ratings():
    """At the chosen epochs, means over the seeds."""
    judged = {}
    with (PUBLISHED / "table2-detection.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["dataset"] == "ml-100k" and row["chosen"] == "yes":
                judged.setdefault((row["backbone"], row["method"]), []).append(row)
    verbs = {"T-CE": "drops", "GUIDER-paper": "condemns", "GUIDER": "condemns"}
    rows = rows_with(DETAILS, "ml-100k", "AUC of T-CE")
    assert {row["ml-100k"] for row in rows} == {of for of, _ in judged}
    for row in rows:
        mean = {
            (method, what): statistics.fmean(
                float(seed[what]) for seed in judged[row["ml-100k"], method]
            )
            for method, what in [
                *((method, what) for method in verbs for what in ("flagged", "precision")),
                *((method, "auc") for method in ("T-CE", "R-CE", "BOD", "GUIDER")),
            ]
        }
        for method, verb in verbs.items():
            assert row[f"{method} {verb}, %"] == f"{100 * mean[method, 'flagged']:.1f}", (
                row,
                method,
            )
            low = f"{100 * mean[method, 'precision']:.1f}"
            assert row[f"low of {method}'s, %"] == low, (row, method)
        for method in ("T-CE", "R-CE", "BOD", "GUIDER"):
            assert row[f"AUC of {method}"] == told(mean[method, "auc"], 2), (row, method)
