"""A grid that varies a property: which cells it has, how they are named, and what they share."""

from __future__ import annotations

import dataclasses

import fake_grid
import pytest

from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.grid import load_grid
from recbole_guider.benchmark.selection import select
from recbole_guider.benchmark.store import Store
from recbole_guider.errors import InputError
from recbole_guider.property_layers import resolve

LAMBDAS = "{ot_regularization: [0.01, 0.1, 1.0]}"
DEFAULT = resolve("BM3", "GUIDER", "tiny")["kd_weight"]


def cells_of(path, here, **chosen) -> list[Cell]:
    return list(select(load_grid(path), command_line=here, **chosen).cells)


def run(job, work=fake_grid.result_of):
    return job.run(work, check=None, preload=fake_grid.LIGHT)


def test_only_methods_that_know_the_property_get_settings(write, here):
    cells = cells_of(write(backbones="[BM3]", vary=LAMBDAS, seeds=2), here)
    assert [str(cell.name) for cell in cells] == [
        f"tiny/BM3/{rest}"
        for seed in (2022, 2023)
        for rest in (
            f"Base/{seed}",
            f"GUIDER/{seed}/ot_regularization=0.01",
            f"GUIDER/{seed}/ot_regularization=0.1",
            f"GUIDER/{seed}/ot_regularization=1",
        )
    ]
    assert [cell.properties.get("ot_regularization") for cell in cells[:4]] == [None, 0.01, 0.1, 1]


def test_a_property_of_all_cells_gives_all_of_them_settings(write, here):
    path = write(backbones="[BM3]", vary="{learning_rate: [0.1, 0.2]}", overrides="{epochs: 3}")
    cells = cells_of(path, here)
    assert [(cell.name.method, cell.name.setting) for cell in cells] == [
        ("Base", "learning_rate=0.1"),
        ("GUIDER", "learning_rate=0.1"),
        ("Base", "learning_rate=0.2"),
        ("GUIDER", "learning_rate=0.2"),
    ]
    assert [cell.properties["learning_rate"] for cell in cells] == [0.1, 0.1, 0.2, 0.2]
    assert {cell.properties["epochs"] for cell in cells} == {3}


def test_values_are_named_as_yaml_writes_them(write, here):
    for values, names in (
        ("[null, 0.3]", ["null", "0.3"]),
        ("[1, 0.5]", ["1", "0.5"]),
        ("[1.0e-7]", ["1e-07"]),
    ):
        path = write(methods="[GUIDER]", backbones="[BM3]", vary=f"{{amsc_threshold: {values}}}")
        found = [cell.name.setting for cell in cells_of(path, here)]
        assert found == [f"amsc_threshold={name}" for name in names]
    path = write(backbones="[BM3]", vary="{fused_optimizer: [true, false]}")
    assert list(load_grid(path).settings.items()) == [
        ("fused_optimizer=true", True), ("fused_optimizer=false", False),
    ]  # fmt: skip
    assert load_grid(write(vary="{dbpr: [mixed, none]}")).settings["dbpr=none"] == "none"


def test_settings_narrow_the_values_in_the_grids_order(write, here):
    path = write(backbones="[BM3]", vary=LAMBDAS)
    selection = select(load_grid(path), command_line=here,
                       settings=["1", "ot_regularization=0.01"])  # fmt: skip
    assert [cell.name.setting for cell in selection.cells] == [
        "", "ot_regularization=0.01", "ot_regularization=1",
    ]  # fmt: skip
    assert selection.grid.name == "mine-selection"
    assert list(selection.grid.settings.values()) == [0.01, 1.0]
    assert selection.notes[0].startswith("Only ot_regularization=0.01, ot_regularization=1 of ")
    whole = select(load_grid(path), command_line=here, settings=["0.1", "1", "0.01"])
    assert whole.grid.name == "mine"


@pytest.mark.parametrize(
    ("vary", "parts"),
    [
        ("{dbpr: [none], epochs: [1, 2]}", ["vary holds 2 properties", "expected one property"]),
        ("[1, 2]", ["vary holds [1, 2]", "noise_ratio"]),
        ("{}", ["vary holds 0 properties"]),
        ("{epochs: []}", ["vary epochs: has no values"]),
        ("{epochs: }", ["vary epochs: has no values"]),
        ("{epochs: 3}", ["vary epochs: has 3, expected a list"]),
        ("{epochs: [1, 2, 1]}", ["vary epochs: has the value 1 twice. Keep one."]),
        ("{epochs: [1, 1.0]}", ["has the value 1 twice"]),
        ("{hash: [cca, [random]]}", ["has the value ['random'], expected a number, a word"]),
        ("{hash: ['']}", ["has the value ''"]),
        ("{dropout: [.nan]}", ["has the value nan"]),
        ("{method: [Base]}", ["is an axis of the grid", "List them in methods."]),
        ("{seed: [1]}", ["is an axis of the grid", "seeds says how many."]),
        ("{data_path: [a, b]}", ["cannot change a number"]),
        ("{protocol: [mmrec, recbole]}", ["says what the numbers mean"]),
        ("{read_test: [true, false]}", ["says what the numbers mean"]),
        ("{3: [1]}", ["vary names 3"]),
    ],
)
def test_a_vary_that_cannot_be_used_says_what_and_where(write, vary, parts):
    with pytest.raises(InputError) as caught:
        load_grid(write(vary=vary))
    line = str(caught.value)
    assert line.startswith(str(write(vary=vary)))
    assert all(part in line for part in parts), line


def test_an_unknown_or_impossible_value_is_refused_before_anything_runs(write, here):
    for vary, message in (
        ("{ot_regularisation: [1]}", "mine: vary ot_regularisation: .* 'ot_regularization'"),
        ("{ot_regularization: [-1]}", "ot_regularization: expected a number, > 0; found -1"),
        ("{learning_rate: [fast]}", "learning_rate: expected a number"),
    ):
        with pytest.raises(InputError, match=message):
            cells_of(write(vary=vary), here)


def test_the_chosen_methods_know_what_varies(write, here):
    with pytest.raises(InputError, match=r"knows ot_regularization.* Choose GUIDER too\."):
        cells_of(write(vary=LAMBDAS), here, methods=["Base"])


def test_the_varied_property_cannot_be_set(write, here, tmp_path):
    path = write(vary=LAMBDAS)
    with pytest.raises(InputError, match=r"^--ot_regularization: is what .* Use --settings"):
        cells_of(path, {**here, "ot_regularization": 0.1})
    (tmp_path / "a.yaml").write_text("ot_regularization: 1\n")
    with pytest.raises(InputError, match=r"a\.yaml: ot_regularization: is what"):
        cells_of(path, here, files=[str(tmp_path / "a.yaml")])
    both = write(vary=LAMBDAS, overrides="{ot_regularization: 1}")
    with pytest.raises(InputError, match="Keep it under vary alone"):
        cells_of(both, here)


def test_settings_that_the_grid_lacks_are_refused(write, here):
    with pytest.raises(InputError, match=r"'0\.2' is no value .* It has 0\.01, 0\.1, 1\.$"):
        cells_of(write(vary=LAMBDAS), here, settings=["0.2"])
    with pytest.raises(InputError, match="varies no property"):
        cells_of(write(), here, settings=["0.2"])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"figure": "bars"}, "figure: unknown value 'bars'"),
        ({"figure": "[training]"}, "figure: unknown value"),
        ({"figure": "settings"}, "no property varies"),
        ({"figure": "gains", "vary": "{kd_weight: [0.1, 1]}"}, "no place for the values of vary"),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_refused(write, entries, message):
    with pytest.raises(InputError, match=message):
        load_grid(write(**entries))


def test_figures_are_named_by_kind(write):
    assert load_grid(write()).figure is None
    assert load_grid(write(figure="none")).figure is None
    assert load_grid(write(figure="training")).figure == "training"
    assert load_grid(write(figure="settings", vary=LAMBDAS)).figure == "settings"


def varied(data_path, **chosen):
    grid = dataclasses.replace(
        fake_grid.selection_of(data_path, ["Base", "GUIDER"]).grid,
        vary="kd_weight",
        settings={f"kd_weight={DEFAULT:g}": DEFAULT, "kd_weight=0.5": 0.5},
    )
    properties = {"data_path": str(data_path), "checkpoint_dir": str(data_path / "notes")}
    return select(grid, command_line=properties, **chosen)


def test_a_setting_that_is_the_default_shares_the_record_of_other_grids(data_path, tmp_path):
    plain = fake_grid.selection_of(data_path, ["Base", "GUIDER"])
    run(fake_grid.job_of(plain, tmp_path / "r"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "r").glob("*.json.gz")}
    selection = varied(data_path)
    assert [str(cell.name) for cell in selection.cells] == [
        "tiny/BM3/Base/2022",
        f"tiny/BM3/GUIDER/2022/kd_weight={DEFAULT:g}",
        "tiny/BM3/GUIDER/2022/kd_weight=0.5",
    ]
    assert [cell.key for cell in selection.cells[:2]] == [cell.key for cell in plain.cells]
    job = fake_grid.job_of(selection, tmp_path / "r")
    assert "3 cells, 1 to run" in job.plan()
    assert run(job) == {}
    assert fake_grid.computed(data_path)[2:] == ["tiny/BM3/GUIDER/2022/kd_weight=0.5"]
    shown = [record.cell for record in job.board()["records"]]
    assert shown == [cell.name for cell in selection.cells]
    # The other grid still sees its own names, and its files did not change.
    names = [r.cell for r in fake_grid.job_of(plain, tmp_path / "r").board()["records"]]
    assert names == [cell.name for cell in plain.cells]
    after = {path.name: path.read_bytes() for path in (tmp_path / "r").glob("*.json.gz")}
    assert before.items() <= after.items()


def test_the_store_does_not_depend_on_which_grid_came_first(data_path, tmp_path):
    plain = fake_grid.selection_of(data_path, ["GUIDER"]).cells[0]
    twin = varied(data_path).cells[1]
    results = {"seconds": {"total": 1.0}}
    texts = []
    for place, cell in enumerate((plain, twin)):
        store = Store(tmp_path / str(place)).open()
        store.write(cell, {**fake_grid.result_of(plain), **results})
        content = store.read(cell.key)
        texts.append((content.key, content.cell, content.config))
        assert store.record(plain).cell == plain.name
        assert store.record(twin).cell == twin.name
        assert list(store.record(twin).users) == list(content.users)
    assert texts[0] == texts[1]


def same_work(data_path):
    """Two settings of one cell that come to the same properties."""
    selection = varied(data_path)
    base, first, second = selection.cells
    return dataclasses.replace(selection, cells=(base, first, Cell(second.name, first.overrides)))


def test_two_settings_with_the_same_properties_run_once(data_path, tmp_path):
    selection = same_work(data_path)
    job = fake_grid.job_of(selection, tmp_path / "r")
    assert "3 cells, 2 to run" in job.plan()
    assert run(job) == {}
    assert sorted(fake_grid.computed(data_path)) == [
        "tiny/BM3/Base/2022", f"tiny/BM3/GUIDER/2022/kd_weight={DEFAULT:g}",
    ]  # fmt: skip
    shown = [record.cell for record in job.board()["records"]]
    assert shown == [cell.name for cell in selection.cells]


def test_a_failure_serves_both_names_each_with_its_command(data_path, tmp_path):
    selection = same_work(data_path)
    job = fake_grid.job_of(selection, tmp_path / "r")
    failures = run(job, fake_grid.guider_fails)
    assert len(fake_grid.computed(data_path)) == 2  # the bare backbone, and GUIDER once
    assert [str(name) for name in failures] == [str(cell.name) for cell in selection.cells[1:]]
    for name, failure in failures.items():
        assert failure.cell == name
        assert failure.command == f"again --only {name}"
        assert failure.reason == "RuntimeError: no luck"
    assert list(job.board()["failures"]) == [cell.name for cell in selection.cells[1:]]


def test_only_names_a_setting(data_path, tmp_path):
    name = "tiny/BM3/GUIDER/2022/kd_weight=0.5"
    run(fake_grid.job_of(varied(data_path), tmp_path / "r", only=name))
    assert fake_grid.computed(data_path) == [name]
    with pytest.raises(InputError, match=r"Did you mean 'tiny/BM3/GUIDER/2022/kd_weight=0\.5'"):
        fake_grid.job_of(varied(data_path), tmp_path, only="tiny/BM3/GUIDER/2022/kd_weight=.5")


def test_a_plan_shows_the_settings(data_path, tmp_path):
    plan = fake_grid.job_of(varied(data_path), tmp_path / "r").plan()
    header = plan.splitlines()[0].split("  ")
    assert [part.strip() for part in header if part][3] == "setting"
    assert "kd_weight=0.5" in plan
    plain = fake_grid.job_of(fake_grid.selection_of(data_path), tmp_path / "r").plan()
    assert "setting" not in plain


def test_a_cell_without_a_setting_is_named_and_keyed_as_before(tiny_data_path):
    name = CellName("tiny", "BM3", "GUIDER", 1)
    assert str(name) == "tiny/BM3/GUIDER/1"
    overrides = {"data_path": str(tiny_data_path)}
    setting = CellName("tiny", "BM3", "GUIDER", 1, f"kd_weight={DEFAULT:g}")
    same = Cell(setting, {**overrides, "kd_weight": DEFAULT})
    assert same.key == Cell(name, overrides).key
    assert Cell(setting, {**overrides, "kd_weight": 0.5}).key != same.key
