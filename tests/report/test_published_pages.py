"""What leaderboard/ publishes: prose agrees with pages, pages with records."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from recbole_guider import cli
from recbole_guider.benchmark import cell, job

ROOT = Path(__file__).parents[2]
LEADERBOARD = ROOT / "leaderboard"
SHOWN = "Recall@20"  # in the tables of the READMEs
KEYS = ("dataset", "backbone", "method", "metric")


def numbers(path):
    """(data set, backbone, method, metric) -> a row of a page's CSV."""
    with path.open(newline="") as stream:
        return {tuple(row[key] for key in KEYS): row for row in csv.DictReader(stream)}


def tables(page):
    """Every table of a Markdown page as rows, each a mapping of its header's words."""
    header = None
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            header = None
            continue
        cells = [cell.strip().replace("*", "").replace("†", "") for cell in line[1:-1].split("|")]
        if header is None:
            header = cells
        elif set("".join(cells)) - set(":-"):
            yield dict(zip(header, cells))


@pytest.mark.parametrize("page", ["README.md", "leaderboard/README.md"])
def test_every_number_beside_a_backbone_is_a_published_one(page):
    published = numbers(LEADERBOARD / "published" / "table2.csv")
    methods = {method for _, _, method, _ in published}
    checked = 0
    for row in tables(ROOT / page):
        if not {"data set", "backbone"} <= set(row):
            continue
        of = (row["data set"], row["backbone"])
        for method in methods & set(row):
            mean = float(published[(*of, method, SHOWN)]["mean"])
            assert row[method] == f"{mean:.4f}".lstrip("0"), (of, method)
            checked += 1
        for header, text in row.items():
            found = re.fullmatch(r"(\S+) over the (best baseline|bare backbone)", header)
            if found:
                family = "vs_best" if found[2] == "best baseline" else "vs_base"
                against = published[(*of, found[1], SHOWN)]
                gain = 100 * float(against[f"{family}_relative_gain"])
                p = float(against[f"{family}_p_holm"])
                shown = "p < .001" if p < 0.001 else f"p {p:.3f}".replace("0.", ".")
                assert text == f"{gain:+.1f} % ({shown})".replace("-", "−"), (of, header)
                checked += 1
    assert checked > 0


def test_the_published_pages_follow_from_the_published_records(tmp_path, monkeypatch):
    """The data sets need not be here: records are found by the content hashes published beside."""
    published = numbers(LEADERBOARD / "published" / "table2.csv")
    datasets = dict.fromkeys(dataset for dataset, *_ in published)
    hashes = {}
    for name in datasets:
        described = json.loads((LEADERBOARD / "data" / f"{name}.json").read_text())
        hashes[name] = described["content hash"]
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.inter").touch()
    monkeypatch.setattr(cell, "fingerprint", lambda _, name: hashes[name])
    monkeypatch.setattr(job, "ensure_prepared", lambda *_: None)
    given = ["--grid", "table2", "--datasets", ",".join(datasets), f"--data_path={tmp_path}"]
    folders = ["--results", str(LEADERBOARD / "results"), "--leaderboard", str(tmp_path / "board")]
    assert cli.main([*given, *folders, "--report"]) == 0
    found = numbers(next((tmp_path / "board").glob("table2*.csv")))
    assert set(found) == set(published)
    for key, row in published.items():
        for name, text in row.items():
            try:
                assert float(found[key][name]) == pytest.approx(float(text), rel=1e-9, abs=1e-12)
            except ValueError:
                assert found[key][name] == text, (key, name)
