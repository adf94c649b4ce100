"""What a grid's ``search`` may say, and the trials that it comes to."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_guider.benchmark.cell import key_of
from recbole_guider.benchmark.choosing.search import (
    Range,
    Search,
    read_search,
    space_of,
    trials_of,
)
from recbole_guider.benchmark.grid import load_grid
from recbole_guider.benchmark.selection import select
from recbole_guider.errors import InputError
from recbole_guider.property_layers import names, search_of

BUDGET = "{trials: 4, everywhere: {learning_rate: [0.1, 0.2, 0.3, 0.4, 0.5]}, %s}"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("5", "expected entries"),
        ({"trials": 1}, ">= 2"),
        ({"trials": True}, "whole number"),
        ({}, "trials"),
        ({"trials": 2, "backbone_trials": 1}, ">= 2"),
        ({"trials": 2, "trails": 3}, "unknown entry 'trails'"),
        ({"trials": 2, "draw_seed": -1}, "draw_seed"),
        ({"trials": 2, "run_seed": 0.5}, "run_seed"),
        ({"trials": 2, "everywhere": [1]}, "expected properties"),
        ({"trials": 2, "everywhere": {"learning_rate": 0.1}}, "list of values or a range"),
        ({"trials": 2, "everywhere": {"learning_rate": []}}, "list of values or a range"),
        ({"trials": 2, "everywhere": {"learning_rate": {"low": 1}}}, "list of values or a range"),
        ({"trials": 2, "everywhere": {"a": {"low": 2, "high": 1}}}, "the lower first"),
        ({"trials": 2, "everywhere": {"a": {"low": 0, "high": 1, "scale": "log"}}}, "above 0"),
        ({"trials": 2, "everywhere": {"a": {"low": 1, "high": 2, "scale": "lag"}}}, "'log'"),
        ({"trials": 2, "everywhere": {"a": {"low": "x", "high": 1}}}, "two numbers"),
        ({"trials": 2, "everywhere": {"seed": [1, 2]}}, "cannot be searched"),
        ({"trials": 2, "everywhere": {"read_test": [True, False]}}, "cannot be searched"),
        ({"trials": 2, "everywhere": {"valid_metric": ["NDCG@5"]}}, "cannot be searched"),
        ({"trials": 2, "backbones": {"FREEDM": {}}}, "Did you mean 'FREEDOM'"),
        ({"trials": 2, "methods": {"GUIDERS": {}}}, "Did you mean 'GUIDER'"),
        ({"trials": 2, "methods": ["T-CE"]}, "expected names"),
        ({"trials": 2, "overrides": [20]}, "expected properties"),
        ({"trials": 2, "overrides": {"seed": 1}}, "cannot be searched"),
        ({"trials": 2, "overrides": {"for_model": {"BM": {}}}}, "Did you mean 'BM3'"),
        ({"trials": 2, "overrides": {"for_model": {"BM3": 20}}}, "expected properties"),
        ({"trials": 2, "overrides": {"for_model": {"BM3": {"seed": 1}}}}, "cannot be searched"),
    ],
)
def test_a_search_that_cannot_be_meant_is_refused(content, part):
    with pytest.raises(InputError) as caught:
        read_search(content, "mine.yaml")
    assert part in str(caught.value)
    assert "mine.yaml: search" in str(caught.value).replace(
        "mine.yaml: search is", "mine.yaml: search"
    )


def test_the_spaces_of_the_property_files_can_be_tried(tmp_path):
    """All trials are resolved on the way, so that every value keeps its rule."""
    selection = select(
        load_grid("table2"),
        backbones=names("model"),
        methods=names("method"),
        trials=8,
        command_line={"data_path": str(tmp_path)},
    )
    assert len(selection.trials) == len(names("model")) * len(names("method"))
    for trials in selection.trials.values():
        assert 1 <= len(trials) <= 8  # one where a method has nothing of its own to try
        assert len({key_of(trial.cell.properties, "") for trial in trials}) == len(trials)


def test_every_method_of_table2_has_the_same_number_of_trials(tmp_path):
    selection = select(load_grid("table2"), command_line={"data_path": str(tmp_path)})
    search = selection.grid.search
    for (_, _, method), several in selection.trials.items():
        assert len(several) == (search.backbone_trials if method == "Base" else search.trials)
    assert len(selection.trials) == 6 * 8


def test_the_seed_of_table2s_trials_is_not_among_its_results(tmp_path):
    selection = select(load_grid("table2"), command_line={"data_path": str(tmp_path)})
    tried = {trial.cell.name.seed for several in selection.trials.values() for trial in several}
    assert not tried & {cell.name.seed for cell in selection.cells}


@pytest.mark.parametrize("name", ["table3", "figure8", "released"])
def test_grids_share_the_trials_of_table2(name, tmp_path):
    place = {"data_path": str(tmp_path)}
    whole = select(load_grid("table2"), command_line=place).trials
    part = select(load_grid(name), command_line=place).trials
    shared = part.keys() & whole.keys()
    assert shared
    for kind in shared:
        keys = [[key_of(t.cell.properties, "") for t in one[kind]] for one in (part, whole)]
        assert keys[0] == keys[1]


def test_a_grid_may_search_as_another_one(write):
    assert load_grid(write(search="table2")).search == load_grid("table2").search


@pytest.mark.parametrize(("named", "part"), [("tabel2", "'table2'"), ("figure3", "has none")])
def test_a_grid_whose_search_cannot_be_had_is_refused(named, part, write):
    with pytest.raises(InputError, match=part) as caught:
        load_grid(write(search=named))
    assert "search" in str(caught.value)


def trials(write, here, search, **chosen):
    return select(load_grid(write(search=search)), command_line=here, **chosen).trials


def test_the_first_trial_is_what_the_property_files_say(write, here):
    for several in trials(write, here, BUDGET % "").values():
        assert several[0].values == {}
        assert all(trial.values for trial in several[1:])


def test_trials_leave_the_test_split_unread_and_cells_read_it(write, here):
    selection = select(load_grid(write(search=BUDGET % "")), command_line=here)
    tried = [trial.cell for several in selection.trials.values() for trial in several]
    assert not any(cell.properties["read_test"] for cell in tried)
    assert all(cell.properties["read_test"] for cell in selection.cells)
    assert {cell.name.seed for cell in tried} == {2022}


def test_the_bare_backbone_tries_what_is_shared_and_a_method_what_it_brings(write, here):
    found = trials(write, here, BUDGET % "methods: {GUIDER: {kd_weight: [0.5, 0.6, 0.7]}}")
    tried = {
        method: {key for trial in found["tiny", "BM3", method] for key in trial.values}
        for method in ("Base", "GUIDER")
    }
    assert "learning_rate" in tried["Base"]
    assert tried["GUIDER"] == {"kd_weight"}
    rates = [trial.values.get("learning_rate") for trial in found["tiny", "BM3", "Base"]]
    assert len(set(rates)) == 4  # few draws meet many values


def test_the_bare_backbone_is_tuned_for_methods_that_run_without_it(write, here):
    found = trials(write, here, BUDGET % "backbone_trials: 3", methods=["GUIDER"])
    sizes = {kind[1:]: len(several) for kind, several in found.items()}
    assert sizes == {(b, m): n for b in ("BM3", "VBPR") for m, n in (("Base", 3), ("GUIDER", 4))}


def test_methods_that_share_a_property_try_it_in_the_same_order(write, here):
    space = "{kd_weight: [0.5, 0.6, 0.7, 1.0]}"
    both = "{kd_weight: [0.5, 0.6, 0.7, 1.0], false_weight: [0.0, 1.0]}"
    found = trials(
        write, here, BUDGET % f"methods: {{GUIDER-DBPR: {space}, GUIDER: {both}}}",
        methods=["GUIDER-DBPR", "GUIDER"],
    )  # fmt: skip
    order = [
        [trial.cell.properties["kd_weight"] for trial in found["tiny", "BM3", method]]
        for method in ("GUIDER-DBPR", "GUIDER")
    ]
    assert order[0] == order[1]
    assert sorted(order[0]) == [0.5, 0.6, 0.7, 1.0]  # each once, the property file's first
    assert order[0][0] == 1.0


def test_blocks_do_not_repeat_each_others_pairings(write, here):
    """Else a lucky pairing of two values would be lucky everywhere."""
    wide = "{trials: 12, everywhere: {learning_rate: [1, 2, 3, 4]}, %s}"
    same = "backbones: {BM3: {reg_weight: [1, 2, 3, 4]}, VBPR: {reg_weight: [1, 2, 3, 4]}}"
    found = trials(write, here, wide % same, methods=["Base"])
    first, second = (
        [tuple(sorted(trial.values.items())) for trial in several] for several in found.values()
    )
    assert first != second


def test_what_is_set_is_not_searched(write, here):
    grid = load_grid(
        write(search=BUDGET % "", overrides="{reg_weight: 0.5}", vary="{dropout: [0.1, 0.2]}",
              backbones="[BM3]")
    )  # fmt: skip
    selection = select(grid, command_line={**here, "learning_rate": 0.9})
    searched = {key for t in selection.trials["tiny", "BM3", "Base"] for key in t.values}
    assert searched == {"n_layers"}  # of BM3's layers, dropout and reg_weight
    cell = selection.trials["tiny", "BM3", "Base"][-1].cell
    assert (cell.properties["learning_rate"], cell.properties["reg_weight"]) == (0.9, 0.5)


def test_a_small_space_is_used_up_and_the_reader_told(write, here):
    grid = load_grid(
        write(search="{trials: 9, backbones: {BM3: {n_layers: [1, 2]}}}", backbones="[BM3]")
    )
    selection = select(grid, methods=["Base"], command_line=here)
    assert len(selection.trials["tiny", "BM3", "Base"]) == 2
    assert any("has 2 settings to try, not 9" in note for note in selection.notes)
    grid = load_grid(write(search="{trials: 2, backbones: {BM3: {}}}", backbones="[BM3]"))
    notes = select(grid, methods=["Base"], command_line=here).notes
    assert "BM3 + Base on tiny has 1 setting to try, not 2." in notes


def test_a_user_may_ask_for_trials_of_any_grid(write, here):
    selection = select(load_grid(write()), trials=3, command_line=here)
    assert {len(several) for several in selection.trials.values()} == {3}
    assert selection.grid.name == "mine-selection"
    assert any("3 trials for each backbone, and for each" in note for note in selection.notes)


def test_one_trial_is_no_search(write, here):
    selection = select(load_grid(write(search=BUDGET % "")), trials=1, command_line=here)
    assert selection.trials == {}
    assert any("the property files' values" in note for note in selection.notes)


def test_an_unknown_property_is_named(write, here):
    with pytest.raises(InputError, match="does not know"):
        trials(write, here, "{trials: 2, methods: {GUIDER: {drop_rte: [1]}}}")
    with pytest.raises(InputError, match="stopping_step"):
        trials(write, here, "{trials: 2, overrides: {stoping_step: 3}}")
    with pytest.raises(InputError, match="stopping_step"):
        trials(write, here, "{trials: 2, overrides: {for_model: {BM3: {stoping_step: 3}}}}")
    with pytest.raises(InputError, match="dropout"):  # its rule
        trials(write, here, "{trials: 9, backbones: {BM3: {dropout: [0.5, 7]}}}")


def test_a_variant_is_searched_as_its_parent_but_for_what_it_states():
    assert search_of("method", "GUIDER-paper") != search_of("method", "GUIDER")
    assert "wbpr_weight" in search_of("method", "WBPR", "BM3")
    assert "wbpr_weight" not in search_of("method", "WBPR", "FREEDOM")
    assert "for_model" not in search_of("method", "WBPR", "FREEDOM")


def test_a_backbones_space_has_what_is_searched_everywhere():
    search = Search(3, everywhere={"learning_rate": [1.0]}, backbones={"BM3": {"dropout": [0.1]}},
                    methods={"T-CE": {"learning_rate": [2.0]}})  # fmt: skip
    assert space_of(search, "BM3", "Base") == {"learning_rate": [1.0], "dropout": [0.1]}
    assert space_of(search, "BM3", "T-CE") == {"learning_rate": [2.0]}


def test_one_backbones_trials_may_differ_from_the_others():
    said = {"a": 1, "b": 2, "for_model": {"BM3": {"a": 3, "c": 4}}}
    search = read_search({"trials": 2, "overrides": said}, "mine.yaml")
    assert search.apart("BM3") == {"a": 3, "b": 2, "c": 4}
    assert search.apart("FREEDOM") == {"a": 1, "b": 2}


@settings(deadline=None)  # the first example imports scipy
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 5))
def test_every_pair_of_a_small_space_comes_up_once(a, b, seed):
    space = {"a": list(range(a)), "b": list(range(b))}
    found = list(trials_of(space, 50, {}, seed))
    assert found[0] == {}
    pairs = [(one["a"], one["b"]) for one in found[1:]]
    assert sorted(pairs) == [(i, j) for i in range(a) for j in range(b)]


@settings(deadline=None)
@given(st.integers(2, 12), st.integers(1, 5), st.integers(0, 9))
def test_every_value_comes_up_about_equally_often(count, size, seed):
    values = list(range(size))
    ways = size * 7  # so many that no row repeats
    space = {"a": values, "b": list(range(ways))}
    found = [{"a": 0}, *itertools.islice(trials_of(space, count, {"a": 0}, seed), 1, count)]
    often = [sum(one["a"] == value for one in found) for value in values]
    assert max(often) - min(often) <= 1


@settings(deadline=None)
@given(st.integers(1, 6), st.floats(1e-6, 1.0), st.floats(1.5, 1e4), st.integers(0, 9))
def test_draws_stay_in_their_range_and_are_short(count, low, factor, seed):
    space = {"a": Range(low, low * factor, "log"), "n": Range(2, 5)}
    found = list(itertools.islice(trials_of(space, count, {}, seed), 1, count + 1))
    assert found == list(itertools.islice(trials_of(space, count, {}, seed), 1, count + 1))
    assert found
    for one in found:
        assert low <= one["a"] <= low * factor
        assert one["a"] in (low, low * factor) or one["a"] == float(f"{one['a']:.3g}")
        assert one["n"] in (2, 3, 4, 5)
