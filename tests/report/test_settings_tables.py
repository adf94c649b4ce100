"""Tables of a grid that varies a property, and that other grids' pages did not change for it."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import pytest

from recbole_guider.report.board import arrange
from recbole_guider.report.comparison import compare_records, once
from recbole_guider.report.results import ResultKey
from recbole_guider.report.statistics import compare_paired, holm
from recbole_guider.report.tables import render

GOLDEN = Path(__file__).parent / "golden"
LIFTS = {"Base": 0.0, "WBPR": -0.004, "T-CE": 0.001, "GUIDER": 0.02}
SETTINGS = {"noise_ratio=0": 0, "noise_ratio=0.1": 0.1, "noise_ratio=0.2": 0.2}


@pytest.fixture
def noisy(grid) -> dict:
    """A grid that varies the noise, which all its methods know."""
    methods = {"methods": ["Base", "T-CE", "GUIDER"], "baselines": ["Base", "T-CE"]}
    return {**grid, "name": "figure8", **methods, "vary": "noise_ratio", "settings": SETTINGS}


@pytest.fixture
def noisy_records(noisy, make_record) -> list:
    """GUIDER gains .01 at a noise ratio of .1 and .02 at .2, nothing without noise."""
    return [
        make_record(
            ("ml-100k", "BM3", method, seed, setting),
            lift={"Base": -0.5, "T-CE": -0.4, "GUIDER": -0.3}[method] * value,
            valid=0.2 + (0.01 if method == ("T-CE" if value else "Base") else 0.0),
        )
        for method in noisy["methods"]
        for seed in noisy["seeds"]
        for setting, value in SETTINGS.items()
    ]


@pytest.fixture
def lambdas(grid, make_record):
    """Base does not know the property; GUIDER is better with a larger one."""
    settings = {f"ot_regularization={value}": value for value in (0.01, 0.1, 1)}
    wanted = {**grid, "name": "figure6", "methods": ["Base", "GUIDER"], "baselines": ["Base"],
              "vary": "ot_regularization", "settings": settings}  # fmt: skip
    records = [make_record(("ml-100k", "BM3", "Base", seed)) for seed in grid["seeds"]]
    records += [
        make_record(("ml-100k", "BM3", "GUIDER", seed, name), lift=0.02 * value)
        for seed in grid["seeds"]
        for name, value in settings.items()
    ]
    return wanted, records


def names(records) -> list:
    return [record.cell for record in records]


def pages(folder: Path) -> tuple[str, list[dict[str, str]]]:
    markdown = next(folder.glob("*.md")).read_text()
    return markdown, list(csv.DictReader(io.StringIO(next(folder.glob("*.csv")).read_text())))


def table(markdown: str, corner: str) -> dict[str, list[str]]:
    """The rows of the table whose first column is headed by ``corner``."""
    lines = markdown.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {corner} "))
    found = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        label, *values = [cell.strip() for cell in line.strip("|").split("|")]
        found[label] = values
    return found


def test_a_grid_that_varies_nothing_renders_as_before(tmp_path, grid, cells, make_record) -> None:
    gone = [("ml-100k", "LightGCN", "WBPR", 2022), ("ml-100k", "BM3", "GUIDER", 2023)]
    records = [
        make_record(
            cell,
            lift=LIFTS[cell.method] * (-1 if cell.backbone == "BM3" else 1),
            valid=0.2 + (0.01 if cell.method == "T-CE" else 0),
        )
        for cell in cells
        if cell[:4] not in gone
    ]
    asked = [*cells, *(cell._replace(dataset="baby") for cell in cells)]
    failures = {(*gone[1], ""): "loss is `nan`\nafter 3"}
    render(grid, asked, records, failures, tmp_path, ["ml-100k\nstands in."])
    names = ["table2.csv", "table2.html", "table2.md", "table2.tex"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in ("table2.md", "table2.csv"):  # the CSV was written before grids could vary
        wanted, found = (folder / name for folder in (GOLDEN, tmp_path))
        if name.endswith(".md"):
            assert found.read_bytes() == wanted.read_bytes()
            continue
        for one, other in zip(wanted.read_text().splitlines(), found.read_text().splitlines()):
            for field, same in zip(one.split(","), other.split(",")):
                try:  # the last bits are the processor's
                    assert float(same) == pytest.approx(float(field), rel=1e-9, abs=1e-15)
                except ValueError:
                    assert same == field
        assert found.read_text().count("\n") == wanted.read_text().count("\n")


def test_a_column_for_each_value_and_a_table_for_each_metric(tmp_path, noisy, noisy_records):
    render(noisy, names(noisy_records), noisy_records, {}, tmp_path)
    markdown, _ = pages(tmp_path)
    for metric in noisy["metrics"]:
        found = table(markdown, f"ml-100k, {metric}")
        assert found[f"ml-100k, {metric}"] == ["noise_ratio<br>0", "0.1", "0.2"]
        assert list(found)[2:] == ["BM3", "+ T-CE", "+ GUIDER"]
    base = [r for r in noisy_records if r.cell.method == "Base" and "0.1" in r.cell.setting]
    mean = sum(record.per_user["recall@5"].mean() for record in base) / 2
    assert table(markdown, "ml-100k, Recall@5")["BM3"][1] == f"{mean:.4f}"


@pytest.mark.parametrize("grid", [3], indirect=True)
def test_marks_are_against_the_best_baseline_of_the_same_setting(tmp_path, noisy, noisy_records):
    render(noisy, names(noisy_records), noisy_records, {}, tmp_path)
    markdown, numbers = pages(tmp_path)
    row = table(markdown, "ml-100k, Recall@20")["+ GUIDER"]
    assert [value.endswith("\\*") for value in row] == [False, True, True]
    assert row[2].startswith("**")
    best = {r["setting"]: r["best_baseline"] for r in numbers}
    assert best == {"noise_ratio=0": "Base", "noise_ratio=0.1": "T-CE", "noise_ratio=0.2": "T-CE"}
    at = {
        (r.cell.method, r.cell.setting): r.per_user["recall@5"]
        for r in noisy_records
        if r.cell.seed == 2022
    }
    one = [r for r in noisy_records if r.cell.seed == 2022]
    compared = compare_records(one, ["Recall@5"], noisy["baselines"], list(SETTINGS))
    for setting, rival in best.items():
        place = (ResultKey("ml-100k", "BM3", "GUIDER", setting), "Recall@5")
        expected = compare_paired(at["GUIDER", setting], at[rival, setting])
        assert compared.vs_best[place].paired == expected


def test_all_settings_share_a_family(noisy_records, noisy) -> None:
    compared = compare_records(noisy_records, ["Recall@5"], ["Base", "T-CE"], list(SETTINGS))
    for family, size in ((compared.vs_best, 3), (compared.vs_base, 6)):
        assert len(family) == len(once(family)) == size
        adjusted = holm([against.paired.p_value for against in family.values()])
        assert [against.p_holm for against in family.values()] == pytest.approx(adjusted)


def test_the_caption_names_the_family(tmp_path, noisy, noisy_records) -> None:
    render(noisy, names(noisy_records), noisy_records, {}, tmp_path)
    markdown, _ = pages(tmp_path)
    assert "within each data set and metric, all settings together (3 comparisons each)" in markdown
    assert "best baseline of the same backbone in the same setting, whichever of" in markdown
    assert "unknown to" not in markdown


@pytest.mark.parametrize("grid", [3], indirect=True)
def test_gains_over_the_bare_backbone_in_each_setting(tmp_path, noisy, noisy_records) -> None:
    render(noisy, names(noisy_records), noisy_records, {}, tmp_path)
    markdown, numbers = pages(tmp_path)
    gains = table(markdown.split("## Gain over the bare backbone")[1], "ml-100k, Recall@5")
    assert list(gains)[2:] == ["BM3 + T-CE", "BM3 + GUIDER"]
    row = next(
        r
        for r in numbers
        if (r["method"], r["setting"], r["metric"]) == ("GUIDER", "noise_ratio=0.2", "Recall@5")
    )
    gain = 100 * float(row["vs_base_relative_gain"])
    assert gains["BM3 + GUIDER"][2] == f"{gain:+.1f} %\\*<br>p < 0.001"
    assert "## Gain over the best baseline" not in markdown


@pytest.mark.parametrize("grid", [3], indirect=True)
def test_a_method_that_does_not_know_the_property_stands_in_every_column(tmp_path, lambdas):
    grid, records = lambdas
    render(grid, names(records), records, {}, tmp_path)
    markdown, numbers = pages(tmp_path)
    rows = table(markdown, "ml-100k, Recall@20")
    assert len(set(rows["BM3"])) == 1
    assert rows["BM3"][0] != "—"
    assert [value.endswith("\\*") for value in rows["+ GUIDER"]] == [False, False, True]
    assert "`ot_regularization` is unknown to Base: one result stands in every column." in markdown
    assert "(3 comparisons each)" in markdown
    base = [r for r in numbers if r["method"] == "Base" and r["metric"] == "Recall@5"]
    assert [(r["setting"], r["shared"]) for r in base] == [
        (setting, "yes") for setting in grid["settings"]
    ]
    assert len({r["mean"] for r in base}) == 1
    assert {r["shared"] for r in numbers if r["method"] == "GUIDER"} == {"no"}
    for row in numbers:
        if row["method"] == "GUIDER":
            assert row["best_baseline"] == "Base"
            assert row["vs_best_p"] == row["vs_base_p"] != ""


def test_two_results_that_meet_in_every_setting_are_one_comparison(make_record) -> None:
    settings = ["drop_rate=0.1", "drop_rate=0.2"]
    records = [make_record(("ml-100k", "BM3", name, 1), valid=0.3) for name in ("Base", "GUIDER")]
    records += [
        make_record(("ml-100k", "BM3", "T-CE", 1, setting), valid=valid)
        for setting, valid in zip(settings, (0.2, 0.4))
    ]
    compared = compare_records(records, ["Recall@5"], ["Base", "T-CE"], settings)
    places = [ResultKey("ml-100k", "BM3", "GUIDER", setting) for setting in settings]
    # Against the bare backbone GUIDER is compared once, against the best baseline in each setting.
    assert [compared.vs_best[place, "Recall@5"].method for place in places] == ["Base", "T-CE"]
    against = [compared.vs_base[place, "Recall@5"] for place in places]
    assert against[0] == against[1]
    assert len(once(compared.vs_best)) == 2
    assert len(once(compared.vs_base)) == 3  # T-CE in two settings, GUIDER once
    raw = [one.paired.p_value for one in once(compared.vs_base).values()]
    assert [one.p_holm for one in once(compared.vs_base).values()] == pytest.approx(holm(raw))


def test_holes_name_their_setting(tmp_path, noisy, noisy_records) -> None:
    gone = [
        ("ml-100k", "BM3", "GUIDER", 2022, "noise_ratio=0.1"),
        ("ml-100k", "BM3", "GUIDER", 2023, "noise_ratio=0.1"),
        ("ml-100k", "BM3", "T-CE", 2023, "noise_ratio=0.2"),
    ]
    kept = [record for record in noisy_records if record.cell not in gone]
    render(noisy, names(noisy_records), kept, {gone[0]: "no luck"}, tmp_path)
    markdown, numbers = pages(tmp_path)
    rows = table(markdown, "ml-100k, Recall@20")
    assert rows["+ GUIDER"][1] == "—"
    assert rows["+ T-CE"][2].endswith("(1/2)")
    assert (
        "- BM3 + GUIDER on ml-100k with noise_ratio=0.1 (0 of 2 seeds): seed 2022 failed: "
        "`no luck`; seed 2023 not run\n" in markdown
    )
    assert (
        "- BM3 on ml-100k with noise_ratio=0.2, compared over seed 2022 only: GUIDER with T-CE, "
        "T-CE with Base\n" in markdown
    )
    assert "- BM3 on ml-100k with noise_ratio=0.2: best baseline chosen over seed 2022" in markdown
    hole = next(r for r in numbers if r["setting"] == "noise_ratio=0.1" and r["method"] == "GUIDER")
    assert (hole["mean"], hole["seeds_finished"], hole["seeds_asked"]) == ("", "0", "2")


def test_the_shared_setting_alone_shows_no_data_set(tmp_path, noisy, noisy_records, make_record):
    here = names(noisy_records)
    there = [("tiktok", *cell[1:]) for cell in here]
    shared = [make_record(cell) for cell in there if cell[4] == "noise_ratio=0"]
    render(noisy, here, noisy_records, {}, tmp_path / "alone")
    render(noisy, [*here, *there], [*noisy_records, *shared], {}, tmp_path / "beside")
    markdown, numbers = pages(tmp_path / "beside")
    assert numbers == pages(tmp_path / "alone")[1]
    assert f"- tiktok: not run ({len(there) - len(shared)} cells)\n" in markdown
    # Where no data set has more, it is what there is.
    assert arrange(noisy, [*here, *there], shared, {}).datasets == ("tiktok",)


def test_nothing_finished_is_all_holes(tmp_path, noisy, noisy_records) -> None:
    render(noisy, names(noisy_records), [], {}, tmp_path)
    markdown, numbers = pages(tmp_path)
    assert table(markdown, "ml-100k, Recall@20")["+ GUIDER"] == ["—"] * 3
    assert "- ml-100k: not run (18 cells)" in markdown
    assert len(numbers) == 3 * 3 * 4


def test_the_order_of_the_records_changes_nothing(tmp_path, noisy, noisy_records) -> None:
    asked = names(noisy_records)
    render(noisy, asked, noisy_records, {}, tmp_path / "one")
    render(noisy, asked[::-1], noisy_records[::-1], {}, tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_injected_pairs_are_told_apart_from_the_data_sets_own(noisy, noisy_records, tmp_path):
    counts = {"noise_ratio=0": 0, "noise_ratio=0.1": 8000, "noise_ratio=0.2": 16000}
    records = [
        dataclasses.replace(r, data={**r.data, "train": 80000 + counts[r.cell.setting],
                                     "injected": counts[r.cell.setting]})
        for r in noisy_records
    ]  # fmt: skip
    render(noisy, names(records), records, {}, tmp_path)
    markdown, _ = pages(tmp_path)
    assert "80,000 / 9,900 / 10,100 training" in markdown
    assert "; and 0 / 8,000 / 16,000 training pairs injected as noise;" in markdown
    noisy_only = [record for record in records if record.cell.setting != "noise_ratio=0"]
    render(noisy, names(noisy_only), noisy_only, {}, tmp_path)
    markdown, _ = pages(tmp_path)
    assert "80,000 / 9,900 / 10,100 training" in markdown
    assert "; and 8,000 / 16,000 training pairs injected as noise;" in markdown


def test_settings_stand_in_the_grids_order(noisy, noisy_records) -> None:
    board = arrange(noisy, names(noisy_records), noisy_records, {})
    assert board.settings == tuple(SETTINGS)
    backwards = {**noisy, "settings": dict(reversed(SETTINGS.items()))}
    assert arrange(backwards, names(noisy_records), noisy_records, {}).settings == tuple(
        reversed(SETTINGS)
    )
    plain = arrange({**noisy, "vary": None, "settings": {}}, [], [], {})
    assert (plain.settings, plain.values) == (("",), {})
