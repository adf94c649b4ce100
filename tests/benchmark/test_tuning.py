"""Trials choose on validation, once; what they choose is then run on the grid's seeds."""

from __future__ import annotations

import re
import shutil

import fake_tuning
import pytest
from fake_grid import LIGHT, computed, job_of, selection_of

from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.choosing.search import Search
from recbole_guider.benchmark.choosing.trials import Trial, choose
from recbole_guider.benchmark.estimate import Cost, Estimates
from recbole_guider.benchmark.grid import Grid
from recbole_guider.benchmark.record import unpacked
from recbole_guider.benchmark.selection import select
from recbole_guider.report.tables import render

RATES = [0.001, 0.002, 0.004, 0.008]


def searching(data_path, methods=("Base", "T-CE"), seeds=2, apart=None, given=None, **entries):
    grid = Grid(
        name="fake", title="Fake", datasets=("tiny",), backbones=("BM3",), methods=tuple(methods),
        baselines=("Base",), metrics=("Recall@20",), seeds=seeds,
        search=Search(4, overrides=apart or {}, everywhere={"learning_rate": RATES},
                      backbones={"BM3": {}},
                      methods={"T-CE": {"drop_rate": [0.0, 0.1, 0.2, 0.3]}}),
        **entries,
    )  # fmt: skip
    place = {"data_path": str(data_path), "checkpoint_dir": str(data_path / "notes")}
    return select(grid, command_line={**place, **(given or {})})


def run(job, how=fake_tuning.tuned):
    return job.run(how, check=None, preload=LIGHT)


def rates(job):
    return {r.cell: r.config["learning_rate"] for r in job.board()["records"]}


def test_the_best_trial_is_run_on_every_seed(data_path, tmp_path):
    job = job_of(searching(data_path), tmp_path / "results")
    assert run(job) == {}
    assert rates(job) == {
        CellName("tiny", "BM3", method, seed): 0.004
        for method in ("Base", "T-CE")
        for seed in (2022, 2023)
    }
    chosen = job.board()["chosen"]["tiny", "BM3", "T-CE"]
    assert chosen.values == {"learning_rate": 0.004, "drop_rate": 0.2}
    assert (chosen.asked, chosen.finished, chosen.seed) == (4, 4, 2022)
    ran = computed(data_path)
    assert len(ran) == len(set(ran)) == 2 * (4 + 2)


def progress_of(capfd):
    """The lines that tell which cells have ended."""
    return [line for line in capfd.readouterr().err.splitlines() if line.startswith("[")]


def test_the_time_left_counts_cells_to_come(data_path, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(Estimates, "cost", lambda *_: Cost(seconds=60.0, memory_mb=1.0))
    job = job_of(searching(data_path), tmp_path / "results", workers=1)
    assert run(job) == {}
    told = [re.search(r"about (.+?) left$", line).group(1) for line in progress_of(capfd)[:-1]]
    minutes = range(len(job.wanted) - 1, 0, -1)
    assert told == [f"{left} min" if left > 1 else "60 s" for left in minutes]


def test_no_time_is_left_for_cells_without_a_choice(data_path, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(Estimates, "cost", lambda *_: Cost(seconds=60.0, memory_mb=1.0))
    job = job_of(searching(data_path), tmp_path / "results", workers=1)
    assert run(job, fake_tuning.trials_fail)
    *earlier, last = progress_of(capfd)
    assert all(line.endswith("left") for line in earlier)
    assert not last.endswith("left")


def patience(job):
    """The patience of all trials, and that of all results, as their records tell."""
    told = [unpacked(path.read_bytes()) for path in job.store.folder.glob("*.json.gz")]
    of = {True: set(), False: set()}
    for record in told:
        of[record["config"]["read_test"]].add(record["config"]["stopping_step"])
    return of[False], of[True]


@pytest.mark.parametrize(
    ("given", "found"), [({}, ({3}, {20})), ({"stopping_step": 5}, ({5}, {5}))]
)
def test_trials_may_be_shorter_than_results_unless_a_user_sets_both(
    data_path, tmp_path, given, found
):
    job = job_of(searching(data_path, apart={"stopping_step": 3}, given=given), tmp_path / "r")
    assert run(job) == {}
    assert patience(job) == found
    told = job.board()["chosen"]["tiny", "BM3", "T-CE"].apart
    assert told == ({} if given else {"stopping_step": 3})


def test_a_second_run_repeats_nothing_and_says_the_same(data_path, tmp_path):
    first = job_of(searching(data_path), tmp_path / "results")
    run(first)
    before = computed(data_path)
    second = job_of(searching(data_path), tmp_path / "results", workers=1)
    assert run(second) == {}
    assert computed(data_path) == before
    assert first.board()["chosen"] == second.board()["chosen"]
    pages = []
    for name, job in (("a", first), ("b", second)):
        render(folder=tmp_path / name, **job.board())
        pages.append((tmp_path / name / "fake.md").read_text())
    assert pages[0] == pages[1]
    assert "## Chosen on validation" in pages[0]
    assert "`learning_rate` 0.004" in pages[0]


def test_the_plan_lists_trials_and_cells(data_path, tmp_path):
    job = job_of(searching(data_path), tmp_path / "results")
    assert "12 cells, 12 to run" in job.plan()
    assert "1 2 3 4" in job.plan()
    run(job)
    again = job_of(searching(data_path), tmp_path / "results").plan()
    assert "12 cells, 0 to run" in again


def test_a_failed_trial_leaves_the_choice_to_the_others(data_path, tmp_path):
    job = job_of(searching(data_path), tmp_path / "results")
    failures = run(job, fake_tuning.best_value_fails)
    assert {(name.method, name.setting[:6]) for name in failures} == {
        ("Base", "trial="), ("T-CE", "trial="),
    }  # fmt: skip
    assert set(rates(job).values()) == {0.002}
    assert job.board()["chosen"]["tiny", "BM3", "Base"].finished == 3
    render(folder=tmp_path / "page", **job.board())
    assert "failed" in (tmp_path / "page" / "fake.md").read_text()


def test_without_a_finished_trial_nothing_runs_and_the_hole_says_why(data_path, tmp_path):
    job = job_of(searching(data_path), tmp_path / "results")
    failures = run(job, fake_tuning.trials_fail)
    assert len(failures) == 2 * (4 + 2)
    untried = failures[CellName("tiny", "BM3", "T-CE", 2023)]
    assert untried.reason == "none of the trials that choose its values finished"
    assert untried.command == "again --only tiny/BM3/T-CE/2023"
    board = job.board()
    assert board["records"] == []
    assert set(board["failures"].values()) == {untried.reason}
    render(folder=tmp_path / "page", **board)
    assert untried.reason in (tmp_path / "page" / "fake.md").read_text()


def test_a_trial_that_succeeds_later_may_change_the_choice(data_path, tmp_path):
    run(job_of(searching(data_path), tmp_path / "results"), fake_tuning.best_value_fails)
    job = job_of(searching(data_path), tmp_path / "results")
    assert run(job) == {}
    assert set(rates(job).values()) == {0.004}


def copy_trials(source, target):
    """Does what another runner on the store ``target`` would do: ends all trials."""
    for path in source.glob("*.json.gz"):
        if not unpacked(path.read_bytes())["config"]["read_test"]:
            shutil.copy(source / path.name.replace(".json.gz", ".npz"), target)
            shutil.copy(path, target)


@pytest.fixture
def other(data_path, tmp_path):
    """Records that another runner has made."""
    run(job_of(searching(data_path), tmp_path / "other"))
    return tmp_path / "other"


def test_trials_that_another_runner_ends_release_their_cells_once(
    data_path, tmp_path, other, capsys
):
    job = job_of(searching(data_path), tmp_path / "results", workers=1)
    whole, calls = job.tuning.choice, []

    def choice(kind, failed):
        calls.append(kind)
        # What a run asks before anything runs: T-CE's trials what the bare backbone's chose, two
        # cells of each method what theirs did, which for T-CE asks for the former too.
        if len(calls) > 4 + 2 * 1 + 2 * 2:
            copy_trials(other, tmp_path / "results")
        return whole(kind, failed)

    job.tuning.choice = choice
    capsys.readouterr()
    assert run(job) == {}
    assert len(job.board()["records"]) == 4
    counted = [line.split("]")[0] for line in capsys.readouterr().err.splitlines()]
    # T-CE's four trials are there when the bare backbone's release them.
    assert counted == [f"[{number}/12" for number in range(5, 13)]


@pytest.mark.parametrize("asked", [1, 2, 4])
def test_trials_that_end_while_a_run_looks_for_them_release_their_cells(
    data_path, tmp_path, other, asked
):
    job = job_of(searching(data_path), tmp_path / "results")
    whole, calls = job.tuning.choice, []

    def choice(kind, failed):
        calls.append(kind)
        found = whole(kind, failed)
        if len(calls) == asked:
            copy_trials(other, tmp_path / "results")
        return found

    job.tuning.choice = choice
    assert run(job) == {}
    assert len(job.board()["records"]) == 4


def test_one_cell_alone_runs_after_its_trials(data_path, tmp_path):
    job = job_of(searching(data_path), tmp_path / "results", only="tiny/BM3/T-CE/2023")
    assert run(job) == {}
    assert len(computed(data_path)) == 4 + 4 + 1
    assert sum("T-CE" in name for name in computed(data_path)) == 4 + 1


def test_one_trial_runs_alone(data_path, tmp_path):
    job = job_of(searching(data_path), tmp_path / "results", only="tiny/BM3/T-CE/2022/trial=2")
    assert run(job) == {}
    ran = computed(data_path)  # after those that choose what all methods share
    assert len(ran) == 4 + 1
    assert ran[-1] == "tiny/BM3/T-CE/2022/trial=2"
    assert job.board()["records"] == []


def test_settings_share_what_their_trials_chose(data_path, tmp_path):
    varied = searching(data_path, vary="n_layers",
                       settings={"n_layers=1": 1, "n_layers=2": 2})  # fmt: skip
    job = job_of(varied, tmp_path / "results")
    assert run(job) == {}
    assert set(rates(job).values()) == {0.004}
    assert {r.config["n_layers"] for r in job.board()["records"]} == {1, 2}
    assert len(computed(data_path)) == 2 * (4 + 2 * 2)


def test_input_that_every_trial_refuses_is_the_runs_error(data_path, tmp_path):
    job = job_of(searching(data_path), tmp_path / "results")
    with pytest.raises(Exception, match="row 7 holds a NaN"):
        run(job, fake_tuning.refused)


def test_a_grid_without_a_search_has_no_choices(data_path, tmp_path):
    job = job_of(selection_of(data_path, methods=["Base"]), tmp_path / "results")
    assert run(job, fake_tuning.tuned) == {}
    assert job.board()["chosen"] == {}


class Finished:
    best_epoch, epochs = 3, 9

    def __init__(self, value):
        self.valid, self.config = {"recall@20": value}, {"valid_metric": "Recall@20"}


def test_equal_trials_go_to_the_earlier_one():
    cell = Cell(CellName("tiny", "BM3", "Base", 7))
    trials = [Trial(cell, {"learning_rate": rate}) for rate in RATES]
    chosen = choose(trials, [Finished(0.1), None, Finished(0.3), Finished(0.3)], {"dropout": 0.5})
    assert (chosen.trial, chosen.values) == (3, {"dropout": 0.5, "learning_rate": 0.004})
    assert (chosen.valid, chosen.asked, chosen.finished, chosen.seed) == (0.3, 4, 3, 7)
    assert chosen.tried[0] == ({"learning_rate": 0.001}, 0.1, 3, 9)
    assert chosen.tried[1] == ({"learning_rate": 0.001}, None, None, None)
    nothing = choose(trials, [None] * 4, {})
    assert (nothing.trial, nothing.values, nothing.valid) == (0, {}, None)
    assert (nothing.finished, nothing.own, nothing.ends) == (0, {}, {})


@pytest.mark.parametrize(
    ("best", "ends"),
    [
        (0, {}),  # the property files' rate, 0.001, which lies between the others
        (1, {"learning_rate": "lowest"}),
        (3, {"learning_rate": "highest"}),
    ],
)
def test_a_choice_at_the_end_of_what_was_tried_says_so(best, ends):
    tried = [
        {}, {"learning_rate": 0.0001, "n_layers": 1},
        {"learning_rate": 0.002, "n_layers": 2}, {"learning_rate": 0.01, "n_layers": 2},
    ]  # fmt: skip
    trials = [Trial(Cell(CellName("tiny", "BM3", "Base", 7), values), values) for values in tried]
    assert trials[0].cell.properties["learning_rate"] == 0.001
    records = [Finished(0.3 if place == best else 0.1) for place in range(4)]
    # n_layers has two values in all, so that each of them is an end.
    found = choose(trials, records, {})
    assert found.ends == ends
    assert found.own["learning_rate"] == trials[best].cell.properties["learning_rate"]


def test_the_only_entry_of_a_mapping_has_ends_and_failed_trials_are_none():
    tried = [{}, *({"train_neg_sample_args": {"alpha": alpha}} for alpha in (0.05, 0.5, 0.01))]
    trials = [Trial(Cell(CellName("tiny", "BM3", "WBPR", 7), values), values) for values in tried]
    chosen = choose(trials, [Finished(0.1), Finished(0.3), Finished(0.1), None], {})
    assert chosen.ends == {"train_neg_sample_args": "lowest"}
    assert chosen.own == {"train_neg_sample_args": {"alpha": 0.05}}


def test_a_choice_tells_what_it_is_made_of_but_not_the_entries_that_nothing_tried():
    tried = [{}, {"train_neg_sample_args": {"alpha": 0.5}}]
    trials = [Trial(Cell(CellName("tiny", "BM3", "WBPR", 7), values), values) for values in tried]
    found = choose(trials, [Finished(0.3), Finished(0.1)], {"dropout": 0.5})
    assert (found.values, found.own) == (
        {"dropout": 0.5},
        {"train_neg_sample_args": {"alpha": 1.0}},
    )
