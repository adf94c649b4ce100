"""How well methods find known noise: the table at the chosen epoch, and the CSV of every epoch."""

from __future__ import annotations

import csv
import io

import pytest

from recbole_guider.report.tables import render


def entry(epoch: int, label: str = "injected", **changed) -> dict:
    return {"epoch": epoch, "label": label, "base_rate": 0.1, "auc": 0.5 + epoch / 100,
            "flagged": None, "precision": None, "recall": None, **changed}  # fmt: skip


@pytest.fixture
def told(grid, make_record):
    """T-CE drops and tells every epoch, R-CE weighs, GUIDER tells two labels from epoch 2 on."""
    wanted = {**grid, "name": "figure8", "methods": ["Base", "T-CE", "R-CE", "GUIDER"]}
    dropped = {"flagged": 0.05, "precision": 1 / 3, "recall": 0.25}
    entries = {
        "Base": [],
        "T-CE": [entry(epoch, **dropped) for epoch in (3, 0, 1, 2)],
        "R-CE": [entry(epoch, auc=None if epoch == 2 else 0.7) for epoch in range(4)],
        "GUIDER": [entry(epoch, label) for epoch in (2, 5) for label in ("low_rating", "injected")],
    }
    records = [
        make_record(
            ("ml-100k", "BM3", method, seed),
            best_epoch=seed,
            diagnostics={"detection": found} if found else {},
        )
        for method, found in entries.items()
        for seed in (2, 3)
    ]
    return wanted, [record.cell for record in records], records


def read(folder) -> tuple[dict[str, list[str]], list[dict[str, str]]]:
    page = (folder / "figure8.md").read_text()
    section = page.split("## How well the methods find the noise")[1].split("\n\n")[1]
    rows = [[one.strip() for one in line.strip("|").split("|")] for line in section.splitlines()]
    table = (folder / "figure8-detection.csv").read_text()
    return {" ".join(row[:2]): row[2:] for row in rows}, list(csv.DictReader(io.StringIO(table)))


def test_the_table_is_of_the_epoch_that_validation_chose(tmp_path, told) -> None:
    render(*told, {}, tmp_path)
    table, _ = read(tmp_path)
    assert table["ml-100k label"] == ["noise", "AUC", "flagged", "precision", "recall"]
    # Best epochs 2 and 3: AUC .52 and .53.
    assert table["BM3 + T-CE injected pairs"] == ["0.100", "0.525", "0.050", "0.333", "0.250"]
    # What is not told in one seed is averaged over the others.
    assert table["BM3 + R-CE injected pairs"] == ["0.100", "0.700", "—", "—", "—"]
    # The last epoch at or before the best one; later ones do not count.
    assert table["BM3 + GUIDER injected pairs"][1] == "0.520"
    assert table["BM3 + GUIDER low ratings"][1] == "0.520"
    assert not [name for name in table if "Base" in name]


def test_the_csv_holds_every_epoch_and_marks_the_chosen(tmp_path, told) -> None:
    render(*told, {}, tmp_path)
    _, rows = read(tmp_path)
    ours = [row for row in rows if row["method"] == "T-CE"]
    assert [(row["seed"], row["epoch"], row["chosen"]) for row in ours] == [
        (seed, str(epoch), "yes" if str(epoch) == seed else "no")
        for seed in ("2", "3")
        for epoch in range(4)
    ]
    assert ours[0]["precision"] == "0.333333"
    assert {row["flagged"] for row in rows if row["method"] == "R-CE"} == {""}
    assert len(rows) == 2 * (4 + 4 + 4)


def test_settings_have_rows_of_their_own(tmp_path, told) -> None:
    wanted, _, records = told
    settings = {"noise_ratio=0": 0, "noise_ratio=0.1": 0.1}
    records = [
        type(r)(**{**vars(r), "cell": r.cell._replace(setting=setting)})
        for r in records
        for setting in settings
    ]
    wanted = {**wanted, "vary": "noise_ratio", "settings": settings}
    render(wanted, [record.cell for record in records], records, {}, tmp_path)
    page = (tmp_path / "figure8.md").read_text()
    assert page.count("| BM3 + T-CE ") >= 2
    assert "noise_ratio=0.1 |" in page.split("## How well")[1]
    with open(tmp_path / "figure8-detection.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["setting"] for row in rows} == set(settings)


def test_without_labels_there_is_neither_table_nor_file(tmp_path, told) -> None:
    wanted, cells, records = told
    render(wanted, cells, records, {}, tmp_path)
    silent = [record for record in records if record.cell.method == "Base"]
    render(wanted, cells, silent, {}, tmp_path)
    assert "find the noise" not in (tmp_path / "figure8.md").read_text()
    assert not (tmp_path / "figure8-detection.csv").exists()


def test_the_order_of_records_and_entries_changes_nothing(tmp_path, told) -> None:
    wanted, cells, records = told
    render(wanted, cells, records, {}, tmp_path / "one")
    turned = [
        type(r)(**{**vars(r), "diagnostics": {k: v[::-1] for k, v in r.diagnostics.items()}})
        for r in records[::-1]
    ]
    render(wanted, cells, turned, {}, tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
