"""The prose of leaderboard/ and of the front page: its gains and verdicts are the pages' own.

Families of comparisons grow as backbones join, so that a new row may change the verdict of an old
one. `published_claims.yaml` says which comparison each sentence means.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from published_files import KEYS, comparison, numbers_of, verdict, words_of

CLAIMS = yaml.safe_load(Path(__file__).with_name("published_claims.yaml").read_text("utf-8"))
FORM = re.compile(
    r"(?P<grid>\S+) (?P<dataset>\S+) (?P<backbone>[^@ ]+)(@(?P<setting>\S+))? (?P<method>\S+)"
    r" over (?P<rival>[^@ :]+)(@(?P<before>\S+))?( (?P<metric>[A-Z*]\S*))?:"
    r"( (?P<gain>[+-][\d.]+))?( (?P<verdict>[a-z ]+))?"
)
SENTENCES = [(text, said, told) for text, of in CLAIMS.items() for said, told in of.items()]


def rows_of(grid, wanted):
    """The rows of a grid's page that have a mean and these values of KEYS; `*` is any."""
    keys = [wanted[key] for key in KEYS]
    return [
        row
        for found, row in numbers_of(grid).items()
        if row["mean"] and all(one in ("*", value) for one, value in zip(keys, found))
    ]


def verdict_of(row, rival):
    """(gain over the rival in per cent, what the two tests say of it); no verdict: no test."""
    family = "vs_base" if rival == "Base" and row["vs_base_p_holm"] else "vs_best"
    assert family == "vs_base" or row["best_baseline"] == rival, f"no test against {rival}"
    gain, *p_values = comparison(row, family)
    return gain, verdict(*p_values)


def check(claim, said):
    """Holds one comparison of the YAML file to its page and to the words it stands under."""
    form = FORM.fullmatch(claim)
    assert form, "not of the form at the head of published_claims.yaml"
    of = {key: value or "" for key, value in form.groupdict().items()}
    of["metric"] = of["metric"] or "Recall@20"
    rows = rows_of(of["grid"], of)
    assert rows, "no such row"
    if "where" in of["verdict"]:
        found = [verdict_of(row, of["rival"]) for row in rows if row["method"] != of["rival"]]
        certain = [gain for gain, told in found if told == "in both tests"]
        assert found
        if of["verdict"] == "everywhere undecided":
            assert {told for _, told in found} == {"undecided"}
        elif of["verdict"] == "nowhere different":
            assert not certain
        else:
            assert of["verdict"] == "nowhere better"
            assert not [gain for gain in certain if gain > 0]
        return
    (row,) = rows
    if of["verdict"]:
        gain, told = verdict_of(row, of["rival"])
        assert told == of["verdict"]
    else:
        backbone, _, method = of["rival"].rpartition("/")
        beside = {"backbone": backbone or of["backbone"], "method": method}
        beside["setting"] = of["before"] or of["setting"]
        (rival,) = rows_of(of["grid"], {**of, **beside})
        gain = 100 * (float(row["mean"]) / float(rival["mean"]) - 1)
    if of["gain"]:
        decimals = len(of["gain"].partition(".")[2])
        assert f"{gain:+.{decimals}f}" == of["gain"]
        shown = re.escape(of["gain"][1:])
        assert re.search(rf"(?<![\d.]){shown}(?!\.?\d)", said), "not in the words"


@pytest.mark.parametrize(
    ("text", "said", "told"), SENTENCES, ids=[said[:50] for _, said, _ in SENTENCES]
)
def test_a_sentence_says_what_the_page_does(text, said, told):
    assert said in words_of(text), "the sentence has changed: change its claims with it"
    for claim in told:
        try:
            check(claim, said)
        except AssertionError as error:
            raise AssertionError(f"{claim}: {error}") from error
