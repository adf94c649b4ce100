"""The prose of leaderboard/ and of the front page: its gains and verdicts are the pages' own.

Families of comparisons grow as backbones join, so that a new row may change the verdict of an old
one. `published_claims.yaml` says which comparison each sentence means.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CLAIMS = yaml.safe_load(Path(__file__).with_name("published_claims.yaml").read_text("utf-8"))
FORM = re.compile(
    r"(?P<grid>\S+) (?P<dataset>\S+) (?P<backbone>[^@ ]+)(@(?P<setting>\S+))? (?P<method>\S+)"
    r" over (?P<rival>[^@ :]+)(@(?P<before>\S+))?( (?P<metric>[A-Z*]\S*))?:"
    r"( (?P<gain>[+-][\d.]+))?( (?P<verdict>[a-z ]+))?"
)
SENTENCES = [(text, words, told) for text, of in CLAIMS.items() for words, told in of.items()]


@cache
def page(grid):
    with (ROOT / "leaderboard" / "published" / f"{grid}.csv").open(newline="") as stream:
        return [row for row in csv.DictReader(stream) if row["mean"]]


@cache
def plain(text):
    return " ".join((ROOT / text).read_text(encoding="utf-8").split())


def chosen(rows, **wanted):
    """The rows with these values; `*` is any."""
    return [
        row
        for row in rows
        if all(value in ("*", row.get(key) or "") for key, value in wanted.items())
    ]


def verdict_of(row, rival):
    """(gain over the rival in per cent, what the two tests say of it); no verdict: no test."""
    family = "vs_base" if rival == "Base" and row["vs_base_p_holm"] else "vs_best"
    assert family == "vs_base" or row["best_baseline"] == rival, f"no test against {rival}"
    users, both = (float(row[f"{family}_{kind}p_holm"]) for kind in ("", "both_"))
    gain = 100 * float(row[f"{family}_relative_gain"])
    if users >= 0.05:
        return gain, "undecided"
    return gain, "in both tests" if both < 0.05 else "over users alone"


def check(claim, words):
    """Holds one comparison of the YAML file to its page and to the words it stands under."""
    form = FORM.fullmatch(claim)
    assert form, "not of the form at the head of published_claims.yaml"
    of = {key: value or "" for key, value in form.groupdict().items()}
    of["metric"] = of["metric"] or "Recall@20"
    keys = ("dataset", "backbone", "setting", "method", "metric")
    rows = chosen(page(of["grid"]), **{key: of[key] for key in keys})
    assert rows, "no such row"
    if of["verdict"].startswith("nowhere"):
        found = [verdict_of(row, of["rival"]) for row in rows if row["method"] != of["rival"]]
        certain = [gain for gain, verdict in found if verdict == "in both tests"]
        assert found
        assert of["verdict"] in ("nowhere better", "nowhere different")
        assert not [gain for gain in certain if gain > 0 or of["verdict"] == "nowhere different"]
        return
    (row,) = rows
    if of["verdict"]:
        gain, verdict = verdict_of(row, of["rival"])
        assert verdict == of["verdict"]
    else:
        backbone, _, method = of["rival"].rpartition("/")
        beside = {"backbone": backbone or of["backbone"], "method": method}
        beside["setting"] = of["before"] or of["setting"]
        (rival,) = chosen(page(of["grid"]), **{**{key: of[key] for key in keys}, **beside})
        gain = 100 * (float(row["mean"]) / float(rival["mean"]) - 1)
    if of["gain"]:
        decimals = len(of["gain"].partition(".")[2])
        assert f"{gain:+.{decimals}f}" == of["gain"]
        shown = re.escape(of["gain"][1:])
        assert re.search(rf"(?<![\d.]){shown}(?!\.?\d)", words), "not in the words"


@pytest.mark.parametrize(
    ("text", "words", "told"), SENTENCES, ids=[words[:50] for _, words, _ in SENTENCES]
)
def test_a_sentence_says_what_the_page_does(text, words, told):
    assert words in plain(text), "the sentence has changed: change its claims with it"
    for claim in told:
        try:
            check(claim, words)
        except AssertionError as error:
            raise AssertionError(f"{claim}: {error}") from error
