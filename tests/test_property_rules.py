"""Rules of property files: what passes, what is refused, and that shipped rules can be read."""

from __future__ import annotations

import pytest

from recbole_guider import property_layers as layers
from recbole_guider.errors import InputError
from recbole_guider.property_rules import check_kind, checked


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (3, "whole, >= 1"),
        (3.0, "whole, >= 1"),
        (0.5, "number, > 0, < 1"),
        (None, "number or null, > 0"),
        ("b", "one of a, b"),
    ],
)
def test_values_within_a_rule_pass(value, rule):
    assert checked(value, rule, "key") == value


def test_whole_numbers_become_int():
    assert isinstance(checked(100.0, "whole, >= 1", "key"), int)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (0, "whole, >= 1"),
        (1.5, "whole, >= 1"),
        (True, "whole, >= 0"),
        ("3", "number"),
        (None, "number, > 0"),
        (float("nan"), "number"),
        (float("inf"), "number, > 0"),
        (1.0, "number, >= 0, < 1"),
        ([1], "number"),
        ("c", "one of a, b"),
    ],
)
def test_values_outside_a_rule_are_one_line(value, rule):
    with pytest.raises(InputError, match=r"^--key: ") as caught:
        checked(value, rule, "--key")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rule", ["each one of a, b", "each number, >= 0"])
def test_each_allows_one_value_or_a_mapping(rule):
    good, bad = ("a", "c") if "one of" in rule else (0.5, -1)
    assert checked(good, rule, "key") == good
    assert checked({"text": good}, rule, "key") == {"text": good}
    for value, where in ((bad, "key"), ({"text": good, "image": bad}, "key[image]")):
        with pytest.raises(InputError) as caught:
            checked(value, rule, where[:3])
        assert caught.value.where == where


@pytest.mark.parametrize("rule", ["integer, > 1", "number, = 1", "number, > x"])
def test_a_rule_that_cannot_be_read_is_a_programming_error(rule):
    with pytest.raises(ValueError, match=r"read|convert"):
        checked(3, rule, "key")


def test_kinds_of_properties_without_a_rule():
    check_kind(3, 2.5, "key")
    check_kind("0,1", 0, "gpu_id")
    for value, default in (("x", 1), (True, 1), (1, False), ("full", {})):
        with pytest.raises(InputError):
            check_kind(value, default, "key")


@pytest.mark.parametrize("model", layers.names("model"))
@pytest.mark.parametrize("method", layers.names("method"))
def test_every_shipped_default_satisfies_its_rule(model, method):
    resolved = layers.resolve(model, method, "ml-100k")
    rules = {}
    for kind, name in (("overall", ""), ("model", model), ("method", method)):
        rules.update(layers._cached_rules(kind, name))
    assert set(rules) <= set(resolved)
    for key, rule in rules.items():
        checked(resolved[key], rule, key)
