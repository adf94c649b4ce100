"""A small random problem that backbones can be built on without files."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from recbole_guider.data.modality import ItemFeatures
from recbole_guider.data.neighbours import item_neighbours, user_neighbours
from recbole_guider.data.sampler import Batch
from recbole_guider.data.splits import Interactions, Splits

N_USERS, N_ITEMS = 12, 15


@pytest.fixture
def splits() -> Splits:
    """Users 10, 11 and items 13, 14 have no training interaction."""
    generator = torch.Generator().manual_seed(3)
    users = torch.randint(1, 10, (40,), generator=generator)
    items = torch.randint(1, 13, (40,), generator=generator)
    train = Interactions(users, items)
    other = Interactions(torch.tensor([1, 2]), torch.tensor([14, 13]))
    return Splits(train, other, other, N_USERS, N_ITEMS)


@pytest.fixture
def batch(splits: Splits) -> Batch:
    """Every training interaction, with repetitions, and unobserved or isolated negatives."""
    rows = torch.arange(len(splits.train))
    negatives = 1 + (splits.train.items + 5) % (N_ITEMS - 1)
    return Batch(splits.train.users, splits.train.items, negatives, rows)


@pytest.fixture
def build(splits: Splits):
    """Returns a function that builds a backbone in float64 over the given modality widths.

    ``missing`` names items without a modality: {"text": [3, 4]}; ``fill`` stands in their rows.
    """

    def make(cls, widths, missing=None, fill=0.0, **properties):
        generator = torch.Generator().manual_seed(7)
        features = {
            name: torch.randn(N_ITEMS, width, generator=generator, dtype=torch.float64)
            for name, width in widths.items()
        }
        present = {}
        for name, matrix in features.items():
            present[name] = torch.arange(N_ITEMS) > 0
            present[name][(missing or {}).get(name, [])] = False
            matrix[~present[name]] = fill
            matrix[0] = 0
        dataset = SimpleNamespace(
            splits=splits,
            item_features=lambda: features,
            items_with=lambda name: present[name],
            item_neighbours=lambda name, k: item_neighbours(
                ItemFeatures(features[name], present[name]), k
            ),
            user_neighbours=lambda k: user_neighbours(splits, k),
            num=lambda field: {"user_id": N_USERS, "item_id": N_ITEMS}[field],
        )
        config = {
            "USER_ID_FIELD": "user_id",
            "ITEM_ID_FIELD": "item_id",
            "NEG_PREFIX": "neg_",
            "device": torch.device("cpu"),
            "embedding_size": 8,
            "seed": 2022,
            "train_features": False,
            **properties,
        }
        torch.manual_seed(11)
        return cls(config, dataset).double()

    return make
