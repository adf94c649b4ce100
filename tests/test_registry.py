"""Which methods exist: trainers by their decorator, variants by their property file alone."""

from __future__ import annotations

import pytest

from recbole_guider import property_layers
from recbole_guider.errors import InputError
from recbole_guider.registry import methods, trainer_class


@pytest.fixture
def own_variant(copied_properties):
    """The suite's properties with a method more, which states only what differs."""
    (copied_properties / "method/GUIDER-mine.yaml").write_text(
        "extends: GUIDER-DBPR\nkd_weight: 0.25\n"
    )
    return "GUIDER-mine"


def test_a_variant_needs_a_property_file_only(own_variant):
    assert trainer_class(own_variant) is trainer_class("GUIDER-DBPR") is trainer_class("GUIDER")
    assert own_variant in methods()
    assert property_layers.resolve("BM3", own_variant, "ml-100k")["kd_weight"] == 0.25


def test_another_method_has_its_own_trainer():
    assert trainer_class("GUIDER-released") is not trainer_class("GUIDER")
    with pytest.raises(InputError, match="unknown method 'GUIDER-mine'"):
        trainer_class("GUIDER-mine")
