"""Property layers: order, inheritance, values, and no code execution; plain YAML throughout."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_guider import property_layers as layers
from recbole_guider.errors import InputError


@pytest.fixture
def own_folder(tmp_path, use_properties):
    """A properties folder with one file of each kind."""
    files = {
        "overall": "a: 1\nb: 1\nc: 1\nd: 1\nepochs: 5\nmethod: M",
        "model/X": "b: 2\nc: 2\nd: 2\nsearch: {b: [1, 2]}",
        "model/Y": "b: 9",
        "method/M": "c: 3\nd: 3",
        "method/N": "extends: M\nd: 33",
        "dataset/S": "d: 4\nfor_model: {X: {b: 20}, Y: {b: 99}}\nfor_method: {N: {c: 30}}",
    }
    for name, text in files.items():
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return use_properties(tmp_path)


def letters(properties):
    return [properties[key] for key in "abcd"]


def test_order_of_the_suites_layers(own_folder):
    assert letters(layers.resolve("X", "M", "unknown")) == [1, 2, 3, 3]
    assert letters(layers.resolve("X", "M", "S")) == [1, 20, 3, 4]


def test_a_variant_inherits_and_a_data_set_knows_its_methods(own_folder):
    assert letters(layers.resolve("X", "N", "unknown")) == [1, 2, 3, 33]
    assert letters(layers.resolve("X", "N", "S")) == [1, 20, 30, 4]


def test_a_variant_takes_over_what_was_chosen_for_its_parent_but_not_what_it_states(own_folder):
    (own_folder / "dataset/T.yaml").write_text("for_method: {M: {b: 40, c: 40, d: 40}, N: {b: 50}}")
    assert letters(layers.resolve("X", "M", "T")) == [1, 40, 40, 40]
    assert letters(layers.resolve("X", "N", "T")) == [1, 50, 40, 33]


def test_users_layers_win_in_order(own_folder, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("a: 10\nb: 10\nc: 10\n")
    result = layers.resolve(
        "X", "M", "S", files=[file], overrides={"b": 11, "c": 11}, command_line={"c": 12}
    )
    assert letters(result) == [10, 11, 12, 4]


def test_mappings_of_recboles_are_merged(own_folder):
    (own_folder / "overall.yaml").write_text(
        "train_neg_sample_args: {distribution: popularity, alpha: 1.0}\nb: {x: 1}\n"
    )
    layers._cached_layer.cache_clear()
    own = {"train_neg_sample_args": {"alpha": 0.5}}
    result = layers.resolve("X", "M", "S", overrides=own)["train_neg_sample_args"]
    assert (result["distribution"], result["alpha"]) == ("popularity", 0.5)


def test_one_modalitys_weight_can_be_set_alone():
    own = {"modality_weights": {"image": 0}}
    weights = layers.resolve("FREEDOM", "Base", "ml-100k", overrides=own)["modality_weights"]
    assert weights == {"text": 0.9, "image": 0}
    own = {"modality_weights": None}
    assert layers.resolve("FREEDOM", "Base", "ml-100k", overrides=own)["modality_weights"] is None


def test_rules_come_from_the_property_files(own_folder):
    (own_folder / "method/M.yaml").write_text("c: 3\nd: 3\nvalid: {c: 'whole, >= 1'}\n")
    assert layers.resolve("X", "N", "S", overrides={"c": 2.0})["c"] == 2
    with pytest.raises(InputError, match=r"--c: expected a whole number, >= 1; found 0"):
        layers.resolve("X", "N", "S", command_line={"c": 0})


def test_descriptive_keys_are_no_properties(own_folder):
    assert "search" not in layers.resolve("X", "M", "S")
    with pytest.raises(InputError, match="unknown property"):
        layers.resolve("X", "M", "S", overrides={"search": 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", r"T\.yaml: epoch: .*Did you mean 'epochs'"),
        ("epochs: [3]", r"T\.yaml: epochs: expected"),
        ("c: 0", r"T\.yaml: c: expected a whole number, >= 1; found 0"),
        ("for_model: {X: {bb: 3}}", r"T\.yaml: bb: unknown property for X"),
        ("for_method: {M: {c: -1}}", r"T\.yaml: c: expected a whole number, >= 1; found -1"),
        ("for_model: {Z: {b: 3}}", r"T\.yaml: for_model: unknown backbone 'Z'"),
        ("for_model: [X]", r"T\.yaml: for_model: does not hold values by name. Write .*X: "),
        ("for_model: {X: 3}", r"T\.yaml: for_model: does not hold values by name"),
        ("for_method: {MM: {b: 3}}", r"T\.yaml: for_method: unknown method 'MM'.*'M'"),
    ],
)
def test_a_data_sets_file_is_checked_as_a_users_is(own_folder, text, message):
    (own_folder / "method/M.yaml").write_text("c: 3\nd: 3\nvalid: {c: 'whole, >= 1'}\n")
    (own_folder / "dataset/T.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        layers.resolve("X", "M", "T")


def test_a_wrong_key_in_a_file_names_the_file(own_folder, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("epoch: 3\n")
    with pytest.raises(InputError, match=r"mine\.yaml: epoch.*Did you mean 'epochs'"):
        layers.resolve("X", "M", "S", files=[file])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.5E+2", 150.0),
        ("-.5", -0.5),
        ("7", 7),
        ("true", True),
        ("[5, 20]", [5, 20]),
        ("{RS: [1, 2]}", {"RS": [1, 2]}),
        ("", None),
        ("list.txt", "list.txt"),
        ("a=b", "a=b"),
        ("1.2.3", "1.2.3"),
        ("[1", "[1"),
        ("__import__('os')", "__import__('os')"),
    ],
)
def test_values_are_yaml(text, value):
    assert layers.parse_overrides([f"--key={text}"]) == {"key": value}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_survives_the_command_line(number):
    assert layers.parse_value(repr(number)) == number


@pytest.mark.parametrize("argument", ["--key", "key=1", "-k=1", "--=1", "--1a=2"])
def test_arguments_of_another_form_are_refused(argument):
    with pytest.raises(InputError, match="--key=value"):
        layers.parse_overrides([argument])


def test_a_key_with_two_values_is_refused():
    with pytest.raises(InputError, match="given twice"):
        layers.parse_overrides(["--a=1", "--a=2"])
    assert layers.parse_overrides(["--a=1", "--a=1"]) == {"a": 1}


def test_every_shipped_combination_resolves_to_plain_values():
    for model in layers.names("model"):
        for method in layers.names("method"):
            for dataset in layers.names("dataset"):
                json.dumps(layers.resolve(model, method, dataset))


def test_what_a_data_set_chose_is_known_to_model_or_method():
    for dataset in layers.names("dataset"):
        file = layers.load_properties(layers.property_file("dataset", dataset))
        for model, values in file.get("for_model", {}).items():
            plain = layers.known_keys(model, "Base")
            assert set(values) <= plain, (dataset, model)
        for method, values in file.get("for_method", {}).items():
            assert set(values) <= layers.known_keys("LightGCN", method), (dataset, method)
