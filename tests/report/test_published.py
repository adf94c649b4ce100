from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from recbole_guider.property_layers import (
    DESCRIPTIVE_KEYS,
    load_properties,
    names,
    property_file,
    resolve,
)
from recbole_guider.report.published import lookup as published
from recbole_guider.report.published.lookup import Counterpart, Figure, figures, sources
from recbole_guider.report.tables import render

CONFIG = {"valid_metric": "Recall@20", "removed_ratio": 0.0, "content_noise": {"text": 0.0}}


@pytest.fixture
def rendered(grid, make_record, tmp_path):
    """Renders one backbone's methods; returns the page and the CSV's rows by method and metric."""

    def build(dataset="baby", backbone="VBPR", methods=("Base", "T-CE", "GUIDER"), changes=None,
              **more):  # fmt: skip
        wanted = {**grid, "methods": list(methods), "baselines": ["Base", "T-CE"], **more}
        records = [make_record((dataset, backbone, method, 1)) for method in methods]
        records = [replace(record, **(changes or {})) for record in records]
        render(wanted, [record.cell for record in records], records, {}, tmp_path)
        page = (tmp_path / "table2.md").read_text(encoding="utf-8")
        with (tmp_path / "table2.csv").open(encoding="utf-8", newline="") as stream:
            rows = {(row["method"], row["metric"]): row for row in csv.DictReader(stream)}
        return page, rows

    return build


def test_every_figure_can_be_shown_and_is_there_once() -> None:
    with (published._FOLDER / "published.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(figures())
    places = [tuple(row[name] for name in ("backbone", "method")) for row in rows]
    assert {backbone for backbone, _ in places} <= set(names("model"))
    assert {method for _, method in places} <= set(names("method"))
    assert {row["source"] for row in rows} == set(sources())
    order = list(sources())
    assert [order.index(row["source"]) for row in rows] == sorted(
        order.index(row["source"]) for row in rows
    )
    # Shares below 1, and notes in words: nothing of a spreadsheet's accidents.
    assert all(0 < float(row["value"]) < 1 for row in rows)
    assert not any(row["note"] != row["note"].strip() for row in rows)


def test_figures_that_the_papers_print() -> None:
    assert figures()["baby", "VBPR", "GUIDER", "recall@20"][:3] == (0.0763, "0.0763",
                                                                   "guider-table2")  # fmt: skip
    assert figures()["clothing", "FREEDOM", "GUIDER", "ndcg@20"].value == 0.0430
    assert figures()["microlens", "BM3", "Base", "recall@20"].source == "guider-table2"
    assert figures()["baby", "BM3", "GUIDER-no-AMSC", "recall@20"].source == "guider-table3"
    assert figures()["tiktok", "LightGCN", "Base", "recall@20"].source == "damrs-table2"
    assert not any(dataset == "ml-100k" for dataset, *_ in figures())


def test_a_suspected_typo_keeps_its_value_and_has_a_note(rendered) -> None:
    figure = figures()["clothing", "VBPR", "R-CE", "recall@20"]
    assert figure.value == 0.579
    assert "suspected typo" in figure.note
    page, rows = rendered("clothing", methods=("Base", "R-CE", "GUIDER"))
    assert rows["R-CE", "Recall@20"]["published"] == "0.579"
    assert "suspected typo" in rows["R-CE", "Recall@20"]["published_note"]
    line = next(one for one in page.split("## Beside")[1].splitlines() if "VBPR + R-CE" in one)
    assert " / 0.579<br>" in line
    number = line.split("0.579<br>")[1].split("]")[0].split(", ")[-1]
    assert f"\n{number}. Suspected typo: 0.579 is impossible; reads as 0.0579" in page


def test_the_page_sets_ours_beside_theirs(rendered) -> None:
    page, rows = rendered()
    section = page.split("## Beside the published figures")[1].split("\n## ")[0]
    row = rows["GUIDER", "Recall@20"]
    ours = float(row["mean"])
    assert row["published"] == "0.0763"
    assert "Table 2" in row["published_source"]
    gain = 100 * (ours / 0.0763 - 1)
    line = next(one for one in section.splitlines() if one.startswith("| VBPR + GUIDER "))
    assert f" {ours:.4f} / 0.0763<br>{gain:+.1f} % [1]" in line
    assert section.count("\n1. GUIDER (WSDM 2025), Table 2") == 1
    assert "chooses settings by their test value" in section
    assert "| VBPR " in section
    numbers = [int(one.split(".")[0]) for one in section.splitlines() if one[:1].isdigit()]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    "case",
    [
        {"dataset": "ml-100k"},
        {"changes": {"protocol": "recbole"}},
        {"changes": {"data": {"hash": "x", "injected": 5, "train": 100, "valid": 9, "test": 9}}},
        {"changes": {"config": {**CONFIG, "removed_ratio": 0.1}}},
        {"changes": {"config": {**CONFIG, "content_noise": {"text": 0.0, "image": 0.1}}}},
        {"vary": "noise_ratio", "settings": {"noise_ratio=0": 0}},
        {"backbone": "MMGCN", "methods": ("T-CE", "GUIDER")},
    ],
    ids=[
        "no figures",
        "another protocol",
        "injected noise",
        "removed pairs",
        "swapped content",
        "a varied property",
        "no such row",
    ],
)
def test_nothing_is_shown_where_the_numbers_mean_something_else(rendered, case) -> None:
    page, rows = rendered(**case)
    assert "published" not in page
    assert {row["published"] for row in rows.values()} == {""}
    assert {row["published_source"] + row["published_note"] for row in rows.values()} == {""}


def test_properties_that_make_no_noise_hide_nothing(rendered) -> None:
    assert "published figures" in rendered(changes={"config": CONFIG})[0]


def test_reconstructed_features_are_set_beside_the_original_only_with_a_note(rendered) -> None:
    page, rows = rendered("baby-rec")
    assert rows["Base", "NDCG@20"]["published"] == figures()["baby", "VBPR", "Base",
                                                             "ndcg@20"].printed  # fmt: skip
    assert all("reconstructed" in row["published_note"] for row in rows.values())
    assert "baby-rec is set beside baby: " in page
    line = next(one for one in page.split("## Beside")[1].splitlines() if "VBPR + GUIDER" in one)
    assert line.count("[1, 2") == 4


def test_the_papers_own_reading_is_set_beside_its_guider(rendered) -> None:
    page, rows = rendered(methods=("Base", "GUIDER-paper"))
    assert rows["GUIDER-paper", "Recall@20"]["published"] == "0.0763"
    assert "GUIDER-paper is set beside GUIDER: " in page


def test_what_is_set_beside_what_is_configured_and_no_property() -> None:
    assert "published" in DESCRIPTIVE_KEYS
    assert published.counterpart("dataset", "my-own") == Counterpart("my-own", "")
    known = {"dataset": {key[0] for key in figures()}, "method": {key[2] for key in figures()}}
    stated = 0
    for kind in ("dataset", "method"):
        for name in names(kind):
            entry = load_properties(property_file(kind, name)).get("published")
            if entry is not None:
                stated += 1
                assert set(entry) == {"as", "note"}
                assert entry["as"] in known[kind]
    assert stated
    assert "published" not in resolve("BM3", "GUIDER-paper", "baby-rec")


def test_a_figure_without_a_note_bears_its_source_only() -> None:
    figure = figures()["baby", "VBPR", "GUIDER", "ndcg@5"]
    assert figure == Figure(0.0197, "0.0197", "guider-table2", "")
