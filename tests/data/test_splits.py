from __future__ import annotations

import pytest
import torch

from recbole_guider.data.splits import Interactions, Splits
from recbole_guider.errors import InputError


def interactions(*pairs):
    users, items = zip(*pairs)
    return Interactions(torch.tensor(users), torch.tensor(items))


@pytest.fixture
def splits():
    return Splits(
        train=interactions((1, 3), (1, 1), (2, 2), (1, 3), (4, 4)),
        valid=interactions((1, 2), (4, 1)),
        test=interactions((4, 3), (1, 4), (4, 2), (4, 3), (1, 3)),
        n_users=6,
        n_items=5,
    )


def rows(csr):
    return [
        csr.items[start:end].tolist()
        for start, end in zip(csr.offsets.tolist(), csr.offsets.tolist()[1:])
    ]


def test_positives_are_sorted_unique_and_one_row_per_listed_user(splits):
    users, items = splits.positives("test")
    assert users.tolist() == [1, 4]
    assert rows(items) == [[3, 4], [2, 3]]


def test_mmrec_masks_training_items_only_in_both_phases(splits):
    for phase in ("valid", "test"):
        assert rows(splits.masked(phase, "mmrec")) == [[], [1, 3], [2], [], [4], []]


def test_recbole_masks_validation_items_too_but_never_what_is_to_be_found(splits):
    assert rows(splits.masked("valid", "recbole")) == [[], [1, 3], [2], [], [4], []]
    # (1, 3) is both in training and to be found in test: RecBole leaves it recommendable.
    assert rows(splits.masked("test", "recbole")) == [[], [1, 2], [2], [], [1, 4], []]


def test_select_takes_rows_in_the_given_order(splits):
    masked = splits.masked("test", "mmrec")
    assert rows(masked.select(torch.tensor([4, 0, 1, 1]))) == [[4], [], [1, 3], [1, 3]]


def test_unknown_protocol_names_the_nearest(splits):
    with pytest.raises(InputError, match="Did you mean 'mmrec'"):
        splits.masked("test", "mmrek")


def test_unknown_phase_is_refused(splits):
    with pytest.raises(ValueError, match="phase"):
        splits.positives("n_users")
