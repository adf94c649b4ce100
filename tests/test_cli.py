"""The command line: light, one line for a user's mistake, nothing written by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recbole_guider import cli
from recbole_guider.__main__ import main as run_one
from recbole_guider.benchmark import job
from recbole_guider.benchmark.cell import CellName
from recbole_guider.benchmark.executor import AllRefusedError
from recbole_guider.benchmark.job import Job
from recbole_guider.benchmark.store import Failure, Store

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def left(tmp_path):
    return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "no grid is named. Add --grid"),
        ("--grid tabel2", "unknown grid 'tabel2'. Did you mean 'table2'?"),
        ("--grid smoke --datasets ml100k", "Did you mean 'ml-100k'?"),
        ("--grid smoke --datasets baby", "'baby' is not installed"),
        ("--grid smoke --backbones BM3,VBRP", "unknown backbone 'VBRP'. Did you mean 'VBPR'?"),
        ("--grid smoke --methods TCE", "unknown method 'TCE'. Did you mean 'T-CE'?"),
        ("--grid smoke --learnig_rate=1", "Did you mean 'learning_rate'?"),
        ("--grid smoke --learning_rate=fast", "expected a number"),
        ("--grid smoke --learning_rate 0.1", "written --key=value"),
        ("--grid smoke --method=GUIDER", "Use --methods GUIDER"),
        ("--grid smoke --seeds 0", "expected a count of at least 1"),
        ("--grid smoke --seeds=many", "expected a count of at least 1"),
        ("--grid smoke --worker 2", "Did you mean '--workers'?"),
        ("--grid smoke --config_files no.yaml", "no.yaml: cannot be read"),
        ("--grid no.yaml", "no.yaml: cannot be read"),
        ("--grid smoke --only ml-100k/BM3/Bass/2022", "Did you mean 'ml-100k/BM3/Base/2022'?"),
        ("--grid smoke --settings 0.1", "this grid varies no property"),
        ("--grid smoke --read_test=false", "would leave the tables without a number"),
        ("--grid smoke extra", "cannot use the argument 'extra'"),
        ("--grid", "expected one argument"),
        ("--grid smoke --costs --verify 3", "not allowed with argument --costs"),
        ("--list --learning_rate=0.1", "--learning_rate: has no effect on --list"),
        ("--doctor --data_path=. --epochs=1", "--epochs: has no effect on --doctor"),
        ("--compare a b --data_path=.", "--data_path: has no effect on --compare"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, capsys, arguments, message):
    assert cli.main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert left(tmp_path) == []


@pytest.mark.parametrize("option", ["--results", "--leaderboard"])
def test_a_file_where_a_folder_should_be(tmp_path, capsys, option):
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below"):
        assert cli.main(["--grid", "smoke", option, place]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1
    assert left(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_plan_lists_cells_and_writes_nothing(tmp_path, capsys):
    assert (
        cli.main(
            [
                "--grid",
                "table2",
                "--plan",
                "--seeds",
                "2",
                "--methods",
                "Base GUIDER",
                "--trials",
                "3",
            ]
        )
        == 0
    )
    text = capsys.readouterr().out
    assert "None of this grid's data sets" in text
    assert "how" not in text or "data set baby is not installed." in text
    assert "60 cells, 60 to run" in text
    assert "Not made yet: ml-100k." in text
    assert "2022 2023" in text
    assert left(tmp_path) == []


def test_a_plan_needs_no_place_for_tables(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert cli.main(["--grid", "smoke", "--plan", "--leaderboard", "file"]) == 0
    assert "to run" in capsys.readouterr().out


def test_costs_of_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(job, "ensure_prepared", lambda *_: None)
    assert cli.main(["--grid", "smoke", "--costs", "--leaderboard", "nowhere"]) == 0
    assert capsys.readouterr().out.endswith("No cell has finished.\n")
    assert left(tmp_path) == []


def test_two_results_are_compared_once_they_are_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(job, "ensure_prepared", lambda *_: None)
    results = ["ml-100k/BM3/GUIDER", "ml-100k/BM3/Base"]
    assert cli.main(["--grid", "smoke", "--between", *results, "--leaderboard", "nowhere"]) == 2
    assert "'ml-100k/BM3/GUIDER' has no finished result" in capsys.readouterr().err
    monkeypatch.setattr(
        "recbole_guider.report.between.compare_between",
        lambda _, names, metrics: f"{' over '.join(names)} in {', '.join(metrics)}",
    )
    assert cli.main(["--grid", "smoke", "--between", *results, "--leaderboard", "nowhere"]) == 0
    shown = "ml-100k/BM3/GUIDER over ml-100k/BM3/Base in Recall@5, Recall@20"
    assert shown in capsys.readouterr().out
    assert left(tmp_path) == []


def test_one_model_refuses_before_it_imports_anything(tmp_path, capsys):
    for arguments, message in (
        (["--model", "BM4"], "Did you mean 'BM3'?"),
        (["--model=BM3", "--method=GUIDR"], "Did you mean 'GUIDER'?"),
        (["--model=BM3", "--kd_weight=1"], "unknown property for BM3 with method Base"),
        ([], "--model"),
    ):
        assert run_one(arguments) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1
    assert left(tmp_path) == []


@pytest.fixture
def no_cells(monkeypatch):
    """Lets the command line run everything but cells; returns what stands in for their run."""
    outcome = {"failures": {}, "error": None}

    def run(self):
        self.store.open()
        if outcome["error"] is not None:
            raise outcome["error"]
        return outcome["failures"]

    monkeypatch.setattr(Job, "run", run)
    return outcome


def test_failed_cells_come_with_the_command_that_repeats_them(no_cells, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run_benchmark.py"])
    given = ["--grid", "smoke", "--plan", "--only=x", "--learning_rate=0.1 ", "--only", "y"]
    again = cli._repeat(given, "ml-100k/BM3/Base/2022")
    assert again == (
        "python run_benchmark.py --grid smoke '--learning_rate=0.1 ' --only ml-100k/BM3/Base/2022"
    )
    name = CellName("ml-100k", "BM3", "Base", 2022)
    no_cells["failures"] = {name: Failure(name, "out of luck", "", again, "the.log")}
    assert cli.main(["--grid", "smoke"]) == 1
    text = capsys.readouterr().out
    assert "5 of 6 cells have finished" in text
    assert f"failed: {name}: out of luck" in text
    assert again in text


def test_an_interrupt_says_how_to_go_on(no_cells, capsys, tmp_path):
    no_cells["error"] = KeyboardInterrupt()
    assert cli.main(["--grid", "smoke"]) == 130
    assert "the same command goes on" in capsys.readouterr().out
    assert (tmp_path / "leaderboard" / "smoke.md").exists()  # holes are shown


@pytest.mark.parametrize(
    ("error", "code"), [(BrokenPipeError(), 0), (AllRefusedError("row 7 holds a NaN"), 2)]
)
def test_tables_are_written_however_a_run_ends(no_cells, tmp_path, monkeypatch, error, code):
    monkeypatch.setattr(cli.os, "dup2", lambda *_: None)
    no_cells["error"] = error
    assert cli.main(["--grid", "smoke"]) == code
    assert (tmp_path / "leaderboard" / "smoke.md").exists()


def test_a_closed_pipe_does_not_cost_the_tables(no_cells, tmp_path, monkeypatch):
    def closed(*words, **_):
        if "finished" in words[0]:
            raise BrokenPipeError

    monkeypatch.setattr("builtins.print", closed)
    monkeypatch.setattr(cli.os, "dup2", lambda *_: None)
    assert cli.main(["--grid", "smoke"]) == 0
    assert (tmp_path / "leaderboard" / "smoke.md").exists()


def test_a_part_of_a_grid_leaves_the_tables_of_the_whole(no_cells, tmp_path, capsys):
    assert cli.main(["--grid", "smoke", "--backbones", "BM3"]) == 0
    assert "leaderboard: leaderboard/smoke-selection.md" in capsys.readouterr().out
    written = [path.name for path in (tmp_path / "leaderboard").glob("smoke*")]
    assert written
    assert all(name.startswith("smoke-selection.") for name in written)
    page = (tmp_path / "leaderboard" / "smoke-selection.md").read_text()
    assert "> Only BM3 of BM3, LightGCN." in page


@pytest.mark.parametrize("asked", ["1", "3"])
def test_verifying_where_every_cell_fails_now_is_told_as_that(capsys, monkeypatch, asked):
    name = CellName("ml-100k", "BM3", "Base", 2022)

    def repeat_sample(job, cells, folder):  # fewer have finished than were asked for
        for part in ("finished", "repeated"):
            Store(folder / part).open()
        return {name: Failure(name, "out of luck", "", "again", "the.log")}

    monkeypatch.setattr("recbole_guider.benchmark.verify.repeat_sample", repeat_sample)
    assert cli.main(["--grid", "smoke", "--verify", asked]) == 1
    captured = capsys.readouterr()
    assert f"failed: {name}: out of luck" in captured.out
    assert captured.err == ""


def test_a_doctor_looks_and_leaves_nothing(tmp_path, capsys):
    assert cli.main(["--doctor", f"--data_path={tmp_path}"]) == 0
    assert "This machine can run the suite." in capsys.readouterr().out
    assert left(tmp_path) == []


def test_folders_without_records_are_not_compared(tmp_path, capsys):
    assert cli.main(["--compare", str(tmp_path), str(tmp_path / "other")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_lists_split_at_commas_and_blanks():
    assert cli.names_in(["BM3, VBPR", "LightGCN"]) == ["BM3", "VBPR", "LightGCN"]


def test_help_shows_an_example_and_imports_nothing_heavy():
    command = [sys.executable, "-X", "importtime", str(ROOT / "run_benchmark.py"), "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--grid table2" in run.stdout
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert not imported & {"torch", "recbole", "numpy", "scipy", "pandas", "yaml"}


def test_a_plan_imports_nothing_heavy():
    code = (
        "import sys; from recbole_guider import cli; "
        "code = cli.main(['--grid', 'table2', '--plan', '--seeds', '10']); "
        "sys.exit(code or bool({'torch', 'recbole', 'pandas'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
