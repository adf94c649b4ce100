"""AMSC asks only those items for their content that have it, whatever stands in for it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from recbole_guider.data.splits import Interactions
from recbole_guider.guider.content import content_calibrator
from recbole_guider.guider.similarity import Content, pairs_above
from recbole_guider.property_layers import resolve

MISSING = {"text": [3, 4, 5], "image": [4, 5, 6]}


def dataset(fill, n_items=20):
    generator = torch.Generator().manual_seed(1)
    users = torch.randint(1, 8, (60,), generator=generator)
    items = torch.randint(1, n_items, (60,), generator=generator)
    features = {
        name: torch.randn(n_items, 4, generator=generator).abs() for name in ("text", "image")
    }
    present = {}
    for name, values in features.items():
        values[MISSING[name]] = fill
        values[0] = 0
        # An item that has just what stands in for the others is still its own.
        values[7] = 0.5
        present[name] = torch.arange(n_items) > 0
        present[name][MISSING[name]] = False
    train = Interactions(users, items)
    return SimpleNamespace(
        splits=SimpleNamespace(train=train),
        item_features=lambda: features,
        items_with=lambda name: present[name],
    )


@pytest.mark.parametrize("duplicates", ["keep", "ignore"])
@pytest.mark.parametrize("mode", ["none", "cca"])
def test_what_is_imputed_changes_no_decision(duplicates, mode):
    config = {**resolve("FREEDOM", "GUIDER", "ml-100k"), "hash": mode, "amsc_threshold": None,
              "duplicate_features": duplicates, "amsc_quantile": 0.3}  # fmt: skip
    found = [content_calibrator(config, dataset(fill)) for fill in (0.0, 0.5, 3.0)]
    losses = torch.rand(60, generator=torch.Generator().manual_seed(2))
    first, threshold = found[0]
    assert first.rescues.nnz > 0
    for calibrator, other in found[1:]:
        assert other == threshold
        assert (calibrator.rescues != first.rescues).nnz == 0
        assert torch.equal(calibrator.partition(losses).clean, first.partition(losses).clean)


@pytest.mark.parametrize("fill", [0.0, 3.0])
def test_twins_without_content_do_not_rescue_each_other(fill):
    given = dataset(fill)
    features = {"text": given.item_features()["text"]}
    content = Content(features, None, {"text": given.items_with("text")})
    users = torch.ones(20, dtype=torch.int64)  # everyone shares this user
    pairs = pairs_above(users, torch.arange(20), content, 0.0)
    touched = set(pairs.rows.tolist()) | set(pairs.columns.tolist())
    assert touched == set(range(1, 20)) - set(MISSING["text"])
