from __future__ import annotations

import csv
import html
import io
import locale
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from recbole_guider.errors import InputError
from recbole_guider.property_layers import described
from recbole_guider.report.tables import render

LIFTS = {"Base": 0.0, "WBPR": -0.004, "T-CE": 0.001, "GUIDER": 0.02}


@pytest.fixture
def records(cells, make_record) -> list:
    """GUIDER helps LightGCN and harms BM3; T-CE is the best baseline on validation."""
    return [
        make_record(
            cell,
            lift=LIFTS[cell[2]] * (-1 if cell[1] == "BM3" else 1),
            valid=0.2 + (0.01 if cell[2] == "T-CE" else 0.0),
        )
        for cell in cells
    ]


def read(paths: list[Path]) -> tuple[str, list[dict[str, str]]]:
    markdown, table = (path.read_text(encoding="utf-8") for path in paths[:2])
    return markdown, list(csv.DictReader(io.StringIO(table)))


def rows(markdown: str) -> dict[str, list[str]]:
    """The first table's rows; a backbone's methods are named like 'BM3 + GUIDER'."""
    found: dict[str, list[str]] = {}
    lines = iter(markdown.splitlines())
    backbone = ""
    for line in lines:
        if line.startswith("|"):
            label, *values = [cell.strip() for cell in line.strip("|").split("|")]
            if label and not label.startswith(("+", ":")):
                backbone = label
            found[f"{backbone} {label}" if label.startswith("+") else label] = values
        elif found:
            break
    return found


def test_the_table_has_the_papers_shape(tmp_path, grid, cells, records) -> None:
    paths = render(grid, cells, records, {}, tmp_path)
    assert [path.name for path in paths] == ["table2.md", "table2.csv", "table2.tex", "table2.html"]
    table = rows(read(paths)[0])
    assert list(table)[2:] == [
        "LightGCN", "LightGCN + WBPR", "LightGCN + T-CE", "LightGCN + GUIDER",
        "BM3", "BM3 + WBPR", "BM3 + T-CE", "BM3 + GUIDER",
    ]  # fmt: skip
    assert table[""] == [f"ml-100k<br>{metric}" for metric in grid["metrics"]]
    mean = sum(r.per_user["recall@5"].mean() for r in records[:2]) / 2
    assert table["LightGCN"][0] == f"{mean:.4f}"


@pytest.mark.parametrize("grid", [3], indirect=True)
def test_a_planted_gain_is_starred_and_a_planted_harm_marked(
    tmp_path, grid, cells, records
) -> None:
    markdown, numbers = read(render(grid, cells, records, {}, tmp_path))
    table = rows(markdown)
    for value in table["LightGCN + GUIDER"]:
        assert value.startswith("**")
        assert value.endswith("**\\*")
    assert all(value.endswith("†") for value in table["BM3 + GUIDER"])
    assert not any("(" in value for row in table.values() for value in row)
    assert not any(c in v for name in ("BM3", "BM3 + T-CE") for v in table[name] for c in "†\\")
    assert "**GUIDER** against the best baseline: significantly better in 4, worse in 4" in markdown
    assert "over users alone and" not in markdown
    harmed = [r for r in numbers if r["backbone"] == "BM3" and r["method"] == "GUIDER"]
    assert all(float(r["vs_best_high"]) < 0 for r in harmed)


@pytest.mark.parametrize("grid", [2, 3], indirect=True)
def test_a_mark_that_users_alone_support_stands_in_brackets(
    tmp_path, grid, cells, make_record
) -> None:
    """LightGCN + GUIDER gains in every run; BM3 + GUIDER as much, but in its last run alone."""
    last = max(grid["seeds"])
    records = [
        make_record(cell, lift=lift)
        for cell in cells
        for lift in [
            0.0 if cell.method != "GUIDER" else 0.02 if cell.backbone == "LightGCN"
            else 0.02 * len(grid["seeds"]) * (cell.seed == last)
        ]
    ]  # fmt: skip
    markdown, numbers = read(render(grid, cells, records, {}, tmp_path))
    table = rows(markdown)
    enough = last == 2024
    # Two seeds say nothing of the next one, whatever they look like.
    star = "**\\*" if enough else "**(\\*)"
    assert all(value.endswith(star) for value in table["LightGCN + GUIDER"])
    assert all(value.endswith("**(\\*)") for value in table["BM3 + GUIDER"])
    alone = "4 of them over users alone" if enough else "over users alone"
    assert f"significantly better in 8 ({alone}), worse in 0 and undecided in 0 of 8" in markdown
    gains = [line for line in markdown.splitlines() if line.startswith("| BM3 + GUIDER ")]
    assert [line.count(" %(\\*)") for line in gains] == [4, 4]  # best baseline, bare backbone
    for row in (row for row in numbers if row["method"] == "GUIDER"):
        for kind in ("vs_best", "vs_base"):
            raw, adjusted = row[f"{kind}_both_p"], row[f"{kind}_both_p_holm"]
            assert bool(raw) is bool(adjusted) is enough
            if enough:
                assert (float(adjusted) < 0.05) is (row["backbone"] == "LightGCN")
                assert 0 < float(raw) <= float(adjusted) <= 1


def test_no_mark_without_an_effect(tmp_path, grid, cells, make_record) -> None:
    records = [make_record(cell) for cell in cells]
    table = rows(read(render(grid, cells, records, {}, tmp_path))[0])
    guider = [v for name in table if name.endswith("GUIDER") for v in table[name]]
    assert not any("†" in value or "\\*" in value for value in guider)


def test_holes_are_holes_with_their_reason(tmp_path, grid, cells, records) -> None:
    failed = ("ml-100k", "BM3", "GUIDER", 2023)
    gone = [("ml-100k", "LightGCN", "WBPR", 2022), ("ml-100k", "LightGCN", "WBPR", 2023), failed]
    kept = [record for record in records if record.cell[:4] not in gone]
    reasons = {(*failed, ""): "loss is `nan`\nafter 3 epochs", cells[0]: "an earlier attempt"}
    markdown, numbers = read(render(grid, cells, kept, reasons, tmp_path))
    table = rows(markdown)
    assert table["LightGCN + WBPR"] == ["—"] * 4
    assert all(value.endswith("(1/2)") for value in table["BM3 + GUIDER"])
    assert "- LightGCN + WBPR on ml-100k (0 of 2 seeds): seeds 2022, 2023 not run" in markdown
    assert (
        "- BM3 + GUIDER on ml-100k (1 of 2 seeds): seed 2023 failed: `loss is 'nan' after 3 epochs`"
        in markdown
    )
    assert "earlier attempt" not in markdown
    hole = next(r for r in numbers if r["method"] == "WBPR" and r["backbone"] == "LightGCN")
    assert (hole["mean"], hole["seeds_finished"], hole["seeds_asked"]) == ("", "0", "2")


def test_missing_says_which_comparisons_used_fewer_seeds(tmp_path, grid, cells, records) -> None:
    gone = {
        ("ml-100k", "BM3", "GUIDER", 2023),
        ("ml-100k", "LightGCN", "T-CE", 2022),
        ("ml-100k", "LightGCN", "GUIDER", 2022),
        ("ml-100k", "LightGCN", "GUIDER", 2023),
    }
    kept = [record for record in records if record.cell[:4] not in gone]
    markdown, numbers = read(render(grid, cells, kept, {}, tmp_path))
    assert (
        "- BM3 on ml-100k, compared over seed 2022 only: GUIDER with T-CE, GUIDER with Base\n"
        in markdown
    )
    assert "- LightGCN on ml-100k, compared over seed 2023 only: T-CE with Base\n" in markdown
    assert "- LightGCN on ml-100k: best baseline chosen over seed 2023\n" in markdown
    seeds = {(r["backbone"], r["method"]): r["vs_best_seeds"] for r in numbers}
    assert (seeds["BM3", "GUIDER"], seeds["LightGCN", "GUIDER"]) == ("2022", "")


def test_missing_says_which_have_no_seed_in_common(tmp_path, grid, cells, records) -> None:
    gone = {("T-CE", 2022), ("GUIDER", 2023), ("Base", 2023), ("WBPR", 2023)}
    kept = [record for record in records if record.cell[2:4] not in gone]
    markdown, numbers = read(render(grid, cells, kept, {}, tmp_path))
    assert "- BM3 on ml-100k, no common seed, not compared: T-CE with Base\n" in markdown
    assert "- BM3 on ml-100k: T-CE left out of the choice of the best baseline" in markdown
    assert all(r["best_baseline"] == "Base" for r in numbers)


def test_gains_are_relative_to_the_compared_seeds(tmp_path, grid, cells, records) -> None:
    metrics = ("recall@5", "recall@20", "ndcg@5", "ndcg@20")
    lucky = [
        replace(r, per_user={metric: r.per_user[metric] / 2 for metric in metrics})
        if r.cell[2:4] == ("T-CE", 2023)
        else r
        for r in records
        if r.cell[:4] != ("ml-100k", "BM3", "GUIDER", 2023)
    ]
    markdown, numbers = read(render(grid, cells, lucky, {}, tmp_path))
    row = next(r for r in numbers if (r["backbone"], r["method"]) == ("BM3", "GUIDER"))
    theirs = next(r for r in records if r.cell[:4] == ("ml-100k", "BM3", "T-CE", 2022))
    gain = float(row["vs_best_difference"]) / theirs.per_user["recall@5"].mean()
    assert float(row["vs_best_relative_gain"]) == pytest.approx(gain)
    low = float(row["vs_best_gain_low"])
    assert low < gain < float(row["vs_best_gain_high"])
    gains = markdown.split("## Gain")[1]
    line = next(line for line in gains.splitlines() if line.startswith("| BM3 + GUIDER"))
    assert f"[{100 * low:+.1f}, " in line.split("|")[3]


def test_nothing_finished_is_all_holes(tmp_path, grid, cells) -> None:
    more = [*cells, *(("baby", *cell[1:]) for cell in cells)]
    markdown, numbers = read(render(grid, more, [], {cells[0]: ""}, tmp_path))
    assert {value for name, row in rows(markdown).items() for value in row if "<br>" not in value
            and "--" not in value} == {"—"}  # fmt: skip
    assert "- LightGCN on ml-100k (0 of 2 seeds): seed 2022 failed; seed 2023 not run" in markdown
    assert len(numbers) == 4 * 4
    # What nothing has run of takes no room.
    assert "- BM3: not run (8 cells)\n- baby: not run (16 cells)" in markdown
    assert "BM3" not in rows(markdown)


def test_a_grid_before_its_first_cell_shows_all_that_it_asks_for(tmp_path, grid, cells) -> None:
    more = [*cells, *(("baby", *cell[1:]) for cell in cells)]
    markdown, numbers = read(render(grid, more, [], {}, tmp_path))
    assert len(numbers) == 2 * 2 * 4 * 4
    assert "- baby: not run (16 cells)" in markdown
    assert "- ml-100k: not run (16 cells)" in markdown


def test_same_store_same_bytes_in_any_order(tmp_path, grid, cells, records, make_record) -> None:
    first = render(grid, cells, records, {}, tmp_path / "one")
    stray = make_record(("ml-100k", "VBPR", "Base", 2022))  # not asked for by the grid
    mixed = random.Random(3).sample([*records, stray], len(records) + 1)
    second = render(grid, cells[::-1], mixed, {}, tmp_path / "two")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert b"\r" not in first[1].read_bytes()
    names = ["table2.csv", "table2.html", "table2.md", "table2.tex"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names


def test_the_locale_changes_nothing(tmp_path, grid, cells, records) -> None:
    plain = render(grid, cells, records, {}, tmp_path / "plain")
    before = locale.setlocale(locale.LC_ALL)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8", "C"):
        try:
            locale.setlocale(locale.LC_ALL, name)
        except locale.Error:
            continue
        try:
            other = render(grid, cells, records, {}, tmp_path / "other")
        finally:
            locale.setlocale(locale.LC_ALL, before)
        assert [path.read_bytes() for path in plain] == [path.read_bytes() for path in other]


def test_csv_holds_full_precision(tmp_path, grid, cells, records) -> None:
    numbers = read(render(grid, cells, records, {}, tmp_path))[1]
    row = next(r for r in numbers if (r["backbone"], r["method"]) == ("LightGCN", "GUIDER"))
    both = [r.per_user["recall@5"] for r in records if r.cell[1:3] == ("LightGCN", "GUIDER")]
    assert float(row["mean"]) == float(((both[0] + both[1]) / 2).mean())
    assert row["best_baseline"] == "T-CE"
    assert row["seeds"] == "2022 2023"
    assert int(row["vs_best_wins"]) + int(row["vs_best_ties"]) + int(row["vs_best_losses"]) == 200
    assert float(row["vs_best_low"]) < float(row["vs_best_difference"]) < float(row["vs_best_high"])
    assert float(row["vs_best_p"]) <= float(row["vs_best_p_holm"])
    base = next(r for r in numbers if r["method"] == "Base")
    assert base["vs_base_p"] == base["vs_best_p"] == ""


@pytest.mark.parametrize("dataset", ["tiktok", "baby-rec", "microlens50k"])
def test_a_caption_says_what_is_to_be_known_of_a_data_set(tmp_path, grid, make_record, dataset):
    """Features that are reconstructed or not the papers' must not pass for the papers'."""
    cells = [(dataset, "BM3", "Base", 2022, ""), (dataset, "BM3", "GUIDER", 2022, "")]
    paths = render(grid, cells, [make_record(cell) for cell in cells], {}, tmp_path)
    about = " ".join(described("dataset", dataset, "about").split())
    assert re.search(r"reconstructed|the papers had text", about)
    legend = next(
        line
        for line in paths[0].read_text(encoding="utf-8").splitlines()
        if line.startswith("Means over users")
    )
    assert legend.endswith(f" {dataset}: {about}.")
    assert about in html.unescape(paths[-1].read_text(encoding="utf-8"))


def test_the_caption_names_the_seeds_of_data_sets_that_have_others(tmp_path, grid, make_record):
    seeds = {"ml-100k": (2022, 2023), "tiktok": (2022, 2023), "baby-rec": (2022,)}
    for shown, said in (
        (["ml-100k", "tiktok", "baby-rec"],
         "users and 2 seeds (2022, 2023), on baby-rec one seed (2022). "),
        (["ml-100k", "tiktok"], "users and 2 seeds (2022, 2023). "),
        (["ml-100k", "baby-rec"],
         "users and 2 seeds (2022, 2023), on baby-rec one seed (2022). "),
    ):  # fmt: skip
        cells = [
            (dataset, "BM3", method, seed, "")
            for dataset in shown for method in ("Base", "GUIDER") for seed in seeds[dataset]
        ]  # fmt: skip
        several = {**grid, "datasets": shown}
        records = [make_record(cell) for cell in cells]
        assert said in read(render(several, cells, records, {}, tmp_path))[0]


def test_the_caption_says_how_the_numbers_were_made(tmp_path, grid, cells, records) -> None:
    markdown = read(render(grid, cells, records, {}, tmp_path, ["ml-100k\nstands in."]))[0]
    for said in (
        "> ml-100k stands in.",
        "2 seeds (2022, 2023)",
        "whichever of Base (the bare backbone), WBPR and T-CE has the highest validation Recall@20",
        "Tests, two-sided, p < 0.05 after Holm's correction within each data set and metric "
        "(2 comparisons each): paired t over users; Clark's min F' over users and seeds (3 common",
        "**(\\*)** / **(†)**: in the first alone: these trained models differ",
        "80,000 / 9,900 / 10,100 training / validation / test interactions (80.0 / 9.9 / 10.1 %)",
        "modalities attributes (20 values), text (64 values)",
        "protocol `mmrec` (only training items are masked",
        "recbole_guider 0.1.0, results version 1",
        "RecBole 1.2.1, torch 2.13.0+cpu, numpy 1.26.4, Python 3.11.7; torch threads per cell: 1",
        "relative to the baseline's mean, and the 95 % bootstrap interval of this gain over users",
        "[table2.csv](table2.csv)",
    ):
        assert said in markdown


def test_data_sets_stand_side_by_side_while_they_fit(tmp_path, grid, cells, records) -> None:
    more = [(name, *cell[1:]) for name in ("baby", "ml-100k", "tiktok") for cell in cells]
    failed = {cell: "bad luck" for cell in more if cell[1] == "BM3" and cell[0] != "ml-100k"}
    markdown = read(render(grid, more, records, failed, tmp_path))[0]
    assert len(rows(markdown)["BM3"]) == 8
    results = markdown.split("## Gain")[0]
    heads = [line for line in results.splitlines() if "<br>Recall@5" in line]
    assert ["tiktok" in line for line in heads] == [False, True]
    assert "\n- LightGCN on tiktok: not run (8 cells)" in markdown


@pytest.mark.parametrize(
    ("reference", "named"), [("GUIDER", "GUIDER"), ("Base", "the bare backbone")]
)
def test_a_single_baseline_is_called_by_its_name(
    reference, named, tmp_path, grid, cells, records
) -> None:
    markdown = read(render({**grid, "baselines": [reference]}, cells, records, {}, tmp_path))[0]
    assert f"- **T-CE** against {named}: significantly" in markdown
    assert f"significantly better / worse than {named} with the same backbone, in both" in markdown
    assert markdown.count(f"## Gain over {named}") == 1
    assert "best baseline" not in markdown


def test_a_block_without_the_bare_backbone_still_names_it(tmp_path, grid, cells, records) -> None:
    only = [cell for cell in cells if cell[2] == "GUIDER"]
    markdown = read(render(grid, only, records, {}, tmp_path))[0]
    assert "| BM3 + GUIDER " in markdown
    assert "best baseline" not in markdown


def test_an_unwritable_folder_is_one_line_and_changes_nothing(
    tmp_path, grid, cells, records
) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match=r"cannot be written .*--leaderboard") as error:
        render(grid, cells, records, {}, tmp_path / "file")
    assert "\n" not in str(error.value)
    assert (tmp_path / "file").read_text() == "kept"


def test_the_report_imports_neither_torch_nor_recbole() -> None:
    program = (
        "import sys, recbole_guider.report.tables\n"
        "print([name for name in ('torch', 'recbole') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
