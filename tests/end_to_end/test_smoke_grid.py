"""The whole path on real interactions: fresh folder, one command, a leaderboard; then again."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ("--grid", "smoke")


def benchmark(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run_benchmark.py"), *arguments],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )


def written_at(board):
    return {path: path.stat().st_mtime_ns for path in (board / "results").glob("*.json.gz")}


def test_smoke_grid_from_nothing_to_a_leaderboard(tmp_path):
    first = benchmark(tmp_path, *SMOKE)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "6 of 6 cells have finished" in first.stdout
    assert first.stderr.count("\n") == 6, first.stderr  # one line a cell, and nothing else
    board = tmp_path / "leaderboard"
    page, table = (board / "smoke.md").read_bytes(), (board / "smoke.csv").read_bytes()
    rows = list(csv.DictReader(table.decode().splitlines()))
    recall = {
        (row["backbone"], row["method"]): float(row["mean"])
        for row in rows
        if row["metric"] == "Recall@20"
    }
    assert len(recall) == 6
    assert recall["LightGCN", "Base"] > 0.1  # most popular items first reach about 0.1
    # The same command again runs nothing and writes the same bytes.
    records = written_at(board)
    second = benchmark(tmp_path, *SMOKE)
    assert second.returncode == 0
    assert second.stderr == ""
    assert written_at(board) == records
    assert ((board / "smoke.md").read_bytes(), (board / "smoke.csv").read_bytes()) == (page, table)
    # One record lost: its cell alone runs again, to the same number.
    next(iter(records)).unlink()
    third = benchmark(tmp_path, *SMOKE, "--workers", "1")
    assert third.stderr.startswith("[6/6]")
    assert ((board / "smoke.md").read_bytes(), (board / "smoke.csv").read_bytes()) == (page, table)


def test_a_grid_that_varies_a_property_ends_in_tables_figure_and_detection(
    tmp_path, tiny_data_path
):
    grid = tmp_path / "robust.yaml"
    grid.write_text(
        "datasets: [tiny]\nbackbones: [BPR]\nmethods: [Base, T-CE]\nbaselines: [Base]\n"
        "metrics: [Recall@20]\nfigure: settings\nvary: {noise_ratio: [0, 0.3]}\n"
        "overrides: {epochs: 2, ramp_epochs: 0, drop_rate: 0.2}\n"
    )
    given = ("--grid", str(grid), f"--data_path={tiny_data_path}")
    first = benchmark(tmp_path, *given)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "4 of 4 cells have finished" in first.stdout
    board = tmp_path / "leaderboard"
    kinds = ("robust.md", "robust.csv", "robust-detection.csv", "robust.svg")
    written = {name: (board / name).read_bytes() for name in kinds}
    rows = list(csv.DictReader(written["robust.csv"].decode().splitlines()))
    mean = {(row["method"], row["setting"]): float(row["mean"]) for row in rows}
    assert len(mean) == 4
    assert mean["Base", "noise_ratio=0"] != mean["Base", "noise_ratio=0.3"]
    found = list(csv.DictReader(written["robust-detection.csv"].decode().splitlines()))
    assert {row["setting"] for row in found if row["label"] == "injected"} == {"noise_ratio=0.3"}
    # The same command runs nothing and writes the same bytes; a value alone is found in the store.
    again = benchmark(tmp_path, *given)
    assert again.stderr == ""
    assert {name: (board / name).read_bytes() for name in kinds} == written
    plain = benchmark(tmp_path, *given, "--settings", "0", "--plan")
    assert "2 cells, 0 to run" in plain.stdout
    # So does a report, which runs nothing where something is missing.
    for name in kinds:
        (board / name).unlink()
    assert benchmark(tmp_path, *given, "--report").returncode == 0
    assert {name: (board / name).read_bytes() for name in kinds} == written
    more = benchmark(tmp_path, *given, "--seeds", "2", "--report")
    assert more.returncode == 0, more.stderr
    assert "(1/2)" in (board / "robust-selection.md").read_text()
    assert len(list((board / "results").glob("*.npz"))) == 4


def test_data_that_cannot_be_used_is_one_line(tmp_path, tiny_data_path):
    shutil.copytree(tiny_data_path, tmp_path / "dataset")
    file = tmp_path / "dataset" / "tiny" / "tiny.itemtext"
    header, row, rest = file.read_text().split("\n", 2)
    file.write_text("\n".join([header, row.rsplit(" ", 1)[0] + " nan", rest]))
    outcome = benchmark(tmp_path, *SMOKE, "--datasets", "tiny")
    assert outcome.returncode == 2
    assert outcome.stderr.startswith("error: ")
    assert "tiny.itemtext:2" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not list((tmp_path / "leaderboard").rglob("*.json.gz"))
    assert not list((tmp_path / "leaderboard").rglob("*.md"))
