"""From a grid file and the user's choices to cells, and every way in which these can be wrong."""

from __future__ import annotations

import pytest

from recbole_guider.benchmark.cell import CellName
from recbole_guider.benchmark.grid import load_grid
from recbole_guider.benchmark.selection import select
from recbole_guider.errors import InputError
from recbole_guider.property_layers import names

SHIPPED = names("grid")


def refused(call, *parts: str) -> str:
    with pytest.raises(InputError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    for part in parts:
        assert part in line
    return line


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_grids_expand(name, tmp_path):
    selection = select(load_grid(name), command_line={"data_path": str(tmp_path)})
    assert selection.cells
    assert len({cell.name for cell in selection.cells}) == len(selection.cells)
    assert set(selection.grid.baselines) <= set(selection.grid.methods)


def test_table2_is_the_papers_and_ml_100k_stands_in(tmp_path):
    selection = select(load_grid("table2"), command_line={"data_path": str(tmp_path)})
    assert selection.grid.backbones == ("VBPR", "MMGCN", "MGCN", "BM3", "DRAGON", "FREEDOM")
    assert len(selection.cells) == 6 * 8 * 5
    assert selection.grid.datasets == ("ml-100k",)
    assert list(selection.absent) == ["baby", "sports", "clothing", "microlens"]
    assert all(selection.absent.values())  # how to get each
    assert any("ml-100k stands in" in note for note in selection.notes)


@pytest.mark.parametrize(
    ("name", "count", "settings"),
    [
        ("table3", 8 * 5, 0),
        ("released", 2 * 5 * 5, 0),
        ("figure3", 2 * 2 * 3, 0),
        ("figure4", 2 * 3, 0),
        ("figure6", 2 * (1 + 5) * 3, 5),  # the bare backbone knows no transport
        ("figure7", 2 * (1 + 9) * 3, 9),
        ("figure8", 2 * 7 * 5 * 3, 5),  # every method knows the noise
    ],
)
def test_the_other_grids(name, count, settings, tmp_path):
    selection = select(load_grid(name), command_line={"data_path": str(tmp_path)})
    assert len(selection.cells) == count
    assert len({cell.name.setting for cell in selection.cells} - {""}) == settings
    assert selection.grid.figure == {
        "table3": "gains", "released": "gains", "figure3": "training", "figure4": "scores",
    }.get(name, "settings")  # fmt: skip


def test_cells_come_as_whole_comparisons(write, here):
    cells = select(load_grid(write(seeds=2)), command_line=here).cells
    assert [cell.name for cell in cells] == [
        CellName("tiny", backbone, method, seed)
        for backbone in ("BM3", "VBPR")
        for seed in (2022, 2023)
        for method in ("Base", "GUIDER")
    ]


def test_a_user_selects_known_names_beyond_the_grid(write, here):
    selection = select(
        load_grid(write()),
        backbones=["LightGCN"],
        methods=["T-CE", "T-CE"],
        seeds=3,
        command_line={**here, "seed": 5},
    )
    assert [cell.name for cell in selection.cells] == [
        CellName("tiny", "LightGCN", "T-CE", seed) for seed in (5, 6, 7)
    ]
    assert selection.grid.backbones == ("LightGCN",)
    assert selection.grid.methods == ("T-CE",)


def test_overrides_reach_the_cells_that_know_them(write, here):
    cells = select(load_grid(write()), command_line={**here, "kd_weight": 0.5}).cells
    assert {cell.name.method: cell.overrides.get("kd_weight") for cell in cells} == {
        "Base": None,
        "GUIDER": 0.5,
    }


def test_what_the_grid_states_for_a_method_that_is_not_chosen_is_let_be(write, here):
    grid = load_grid(write(overrides="{kd_weight: 0.5, epochs: 3}"))
    cells = select(grid, methods=["Base"], command_line=here).cells
    assert {cell.properties["epochs"] for cell in cells} == {3}
    mine = {**here, "kd_weight": 0.5}
    refused(lambda: select(grid, methods=["Base"], command_line=mine), "--kd_weight")


def test_files_win_over_the_grid_and_the_command_line_over_files(write, here, tmp_path):
    grid = load_grid(write(overrides="{epochs: 2, learning_rate: 0.1, stopping_step: 4}"))
    (tmp_path / "a.yaml").write_text("epochs: 3\nlearning_rate: 0.2\n")
    (tmp_path / "b.yaml").write_text("learning_rate: 0.3\n")
    selection = select(
        grid,
        files=[str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")],
        command_line={**here, "epochs": 4},
    )
    properties = selection.cells[0].properties
    assert [properties[key] for key in ("epochs", "learning_rate", "stopping_step")] == [4, 0.3, 4]
    assert selection.notes == (
        "Set for every cell that knows the property: epochs=4, learning_rate=0.3, stopping_step=4.",
    )


def test_a_part_of_the_grid_has_files_and_notes_of_its_own(write, here):
    grid = load_grid(write(datasets="[tiny, baby]", seeds=2))
    for chosen, note in (
        ({"datasets": ["tiny"]}, "Only tiny of tiny, baby."),
        ({"backbones": ["VBPR"]}, "Only VBPR of BM3, VBPR."),
        ({"backbones": ["VBPR", "LightGCN"]}, "VBPR, LightGCN instead of BM3, VBPR."),
        ({"methods": ["Base"]}, "Only Base of Base, GUIDER."),
        ({"seeds": 1}, "1 seed instead of 2."),
        ({"command_line": {**here, "seed": 7}}, "property: seed=7."),
        ({"command_line": {**here, "epochs": 7}}, "property: epochs=7."),
    ):
        selection = select(grid, **{"command_line": here, **chosen})
        assert selection.grid.name == "mine-selection"
        assert any(one.endswith(note) for one in selection.notes)


def test_a_data_set_may_have_another_number_of_seeds(write, here):
    grid = load_grid(write(datasets="[tiny, baby]", seeds=2, seeds_on="{tiny: 3, baby: 1}"))
    plain = select(grid, datasets=["tiny"], command_line=here)
    assert {cell.name.seed for cell in plain.cells} == {2022, 2023, 2024}
    assert not any("seed" in note for note in plain.notes)
    same, fewer = (
        select(grid, datasets=["tiny"], seeds=count, command_line=here) for count in (3, 2)
    )
    assert (same.cells, same.notes) == (plain.cells, plain.notes)
    assert {cell.name.seed for cell in fewer.cells} == {2022, 2023}
    assert any(note.endswith("2 seeds instead of 3.") for note in fewer.notes)
    assert fewer.grid.seeds_of("tiny") == 2


def test_the_whole_grid_however_asked_for_keeps_its_name(write, here, tmp_path):
    grid = load_grid(write(seeds=2, overrides="{epochs: 2}"))
    plain = select(grid, command_line=here)
    assert plain.grid.name == "mine"
    asked = select(grid, backbones=["VBPR", "BM3"], datasets=["tiny"], seeds=2, command_line=here)
    assert (asked.grid, asked.cells, asked.notes) == (plain.grid, plain.cells, plain.notes)
    stands_in = load_grid("table2")
    elsewhere = select(stands_in, command_line={"data_path": str(tmp_path)})
    assert elsewhere.grid.name == "table2"


def test_properties_without_effect_are_no_selection_and_no_note(write, here):
    selection = select(load_grid(write()), command_line={**here, "worker": 2, "gpu_id": "1"})
    assert (selection.grid.name, selection.notes) == ("mine", ())


def test_entries_of_mappings_are_merged_across_layers(write, here, tmp_path):
    (tmp_path / "a.yaml").write_text("eval_args: {order: TO}\n")
    grid = load_grid(write(overrides="{eval_args: {group_by: none}}"))
    cell = select(grid, files=[str(tmp_path / "a.yaml")], command_line=here).cells[0]
    assert cell.overrides["eval_args"] == {"group_by": "none", "order": "TO"}


@pytest.mark.parametrize("value", [3, None, ["a"], ""])
def test_a_data_path_is_a_path(write, value):
    refused(lambda: select(load_grid(write()), command_line={"data_path": value}), "--data_path")


def test_a_fallback_is_a_data_set_that_is_known_or_installed(write, here):
    refused(
        lambda: select(load_grid(write(fallback_datasets="[ml100k]")), command_line=here),
        "fallback_datasets", "'ml100k'", "'ml-100k'",
    )  # fmt: skip
    grid = load_grid(write(datasets="[baby]", fallback_datasets="[baby, tiny]"))
    assert select(grid, command_line=here).grid.datasets == ("tiny",)
    several = load_grid(write(datasets="[baby]", fallback_datasets="[ml-100k, sports, tiny]"))
    selection = select(several, command_line=here)
    assert selection.grid.datasets == ("ml-100k", "tiny")  # those that are here
    assert selection.notes[0].endswith("(baby) is installed; ml-100k, tiny stand in.")


def test_data_sets_that_are_absent_are_left_out_and_named(write, here):
    selection = select(load_grid(write(datasets="[baby, tiny]")), command_line=here)
    assert {cell.name.dataset for cell in selection.cells} == {"tiny"}
    assert list(selection.absent) == ["baby"]
    assert any("baby" in note for note in selection.notes)


def test_a_data_set_that_says_not_where_it_comes_from_may_be_absent_too(
    write, here, copied_properties
):
    (copied_properties / "dataset/shop.yaml").write_text("stopping_step: 3\n")
    selection = select(load_grid(write(datasets="[shop, tiny]")), command_line=here)
    assert {cell.name.dataset for cell in selection.cells} == {"tiny"}
    assert selection.absent == {"shop": ""}


def test_an_absent_data_set_asked_for_by_name_is_refused(write, here):
    grid = load_grid(write())
    refused(
        lambda: select(grid, datasets=["baby", "tiny"], command_line=here), "baby", "not installed"
    )
    refused(lambda: select(grid, datasets=["tyny"], command_line=here), "tyny", "'tiny'")
    missing = load_grid(write(datasets="[baby]"))
    refused(lambda: select(missing, command_line=here), "baby")  # and no fallback


def test_unknown_names_are_refused_with_the_nearest(write, here):
    grid = load_grid(write())
    refused(lambda: load_grid("tabel2"), "tabel2", "'table2'")
    refused(lambda: load_grid("none/such.yaml"), "none/such.yaml")
    refused(lambda: select(grid, backbones=["BM4"], command_line=here), "BM4", "'BM3'")
    refused(lambda: select(grid, methods=["GIUDER"], command_line=here), "GIUDER", "'GUIDER'")
    typo = {**here, "learning_rat": 1}
    refused(lambda: select(grid, command_line=typo), "--learning_rat", "'learning_rate'")


def test_an_unknown_property_in_a_file_or_grid_names_it(write, here, tmp_path):
    file = tmp_path / "mine2.yaml"
    file.write_text("epoch: 3\n")
    grid = load_grid(write())
    refused(lambda: select(grid, files=[str(file)], command_line=here), "mine2.yaml: epoch")
    grid = load_grid(write(overrides="{epoch: 3}"))
    refused(lambda: select(grid, command_line=here), "grid mine: epoch", "'epochs'")


def test_a_property_of_another_method_only_is_refused(write, here):
    grid = load_grid(write())
    refused(
        lambda: select(grid, methods=["Base"], command_line={**here, "kd_weight": 1}), "kd_weight"
    )


@pytest.mark.parametrize(
    ("key", "value"), [("epochs", "many"), ("learning_rate", "[1]"), ("use_gpu", 3)]
)
def test_a_value_that_cannot_be_meant_is_refused_before_anything_runs(write, here, key, value):
    refused(lambda: select(load_grid(write()), command_line={**here, key: value}), key)


@pytest.mark.parametrize("key", ["dataset", "model", "method"])
def test_axes_are_no_properties(write, here, key):
    refused(lambda: select(load_grid(write()), command_line={**here, key: "x"}), f"--{key}", "Use")


@pytest.mark.parametrize("seed", ["x", 1.5, True, None])
def test_a_first_seed_is_a_whole_number(write, here, seed):
    call = {**here, "seed": seed}
    if seed is None:  # nothing given: the properties' seed
        assert select(load_grid(write()), command_line=call).cells[0].name.seed == 2022
    else:
        refused(lambda: select(load_grid(write()), command_line=call), "seed")


def test_columns_must_be_computed(write, here):
    refused(lambda: select(load_grid(write(metrics="[Recall@50]")), command_line=here), "Recall@50")
    grid = load_grid(write(metrics="[Recall@50]"))
    assert select(grid, command_line={**here, "topk": 50, "metrics": "Recall"}).cells


@pytest.mark.parametrize(
    ("entries", "part"),
    [
        ({"backbones": None}, "backbones"),
        ({"methods": "[]"}, "methods"),
        ({"datasets": "tiny"}, "datasets"),
        ({"metrics": "[1, 2]"}, "metrics"),
        ({"seeds": "0"}, "seeds"),
        ({"seeds": "true"}, "seeds"),
        ({"seeds": "[1]"}, "seeds"),
        ({"seeds_on": "3"}, "seeds_on"),
        ({"seeds_on": "{tniy: 3}"}, "'tiny'"),
        ({"seeds_on": "{tiny: 0}"}, "seeds_on.tiny"),
        ({"overrides": "[1]"}, "overrides"),
        ({"backbone": "[BM3]"}, "'backbones'"),
        ({"baselines": "[Bass]"}, "'Base'"),
        ({"metrics": "[Recal@20]"}, "'recall'"),
        ({"metrics": "[Recall]"}, "cut-off"),
        ({"fallback_datasets": "ml-100k"}, "fallback_datasets"),
        ({"title": "[1]"}, "title"),
    ],
)
def test_a_grid_file_that_cannot_be_used_says_what_and_where(write, entries, part):
    refused(lambda: load_grid(write(**entries)), "mine.yaml", part)


def test_a_grid_file_that_is_no_yaml_names_the_line(write):
    refused(lambda: load_grid(write("datasets: [tiny\nmethods: [")), "mine.yaml:")


def test_a_grid_by_path_is_named_after_its_file(write):
    assert load_grid(write(name="special.yml")).name == "special"


def test_a_grids_note_comes_before_all_others(write, here):
    selection = select(load_grid(write(note="Read this.")), methods=["Base"], command_line=here)
    assert selection.notes[0] == "Read this."
    assert len(selection.notes) > 1
