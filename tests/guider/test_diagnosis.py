from __future__ import annotations

import pytest
import torch

from recbole_guider.data.splits import Interactions
from recbole_guider.guider.calibration import Partition
from recbole_guider.guider.diagnosis import partition_report

PARTITION = Partition(
    reliable=torch.tensor([True, True, False, False, False]),
    clean=torch.tensor([True, True, True, False, False]),
)


def interactions(ratings):
    ids = torch.arange(5)
    return Interactions(ids, ids, None if ratings is None else torch.tensor(ratings))


def test_shares_without_ratings():
    report = partition_report(PARTITION, interactions(None), 2.0)
    assert report == pytest.approx({"spurious": 0.6, "rescued": 0.2, "false": 0.4})


def test_agreement_with_low_ratings():
    # Low: rows 0, 3 and 4 (a rating equal to the limit counts); false: rows 3 and 4.
    report = partition_report(PARTITION, interactions([1.0, 3.0, 5.0, 2.0, 1.0]), 2.0)
    assert report["base_rate"] == pytest.approx(0.6)
    assert report["precision"] == pytest.approx(1.0)
    assert report["recall"] == pytest.approx(2 / 3)


def test_ratings_are_ignored_without_a_limit():
    report = partition_report(PARTITION, interactions([1.0, 3.0, 5.0, 2.0, 1.0]), None)
    assert set(report) == {"spurious", "rescued", "false"}


def test_nothing_flagged_and_nothing_low_give_zeros():
    everything = torch.ones(5, dtype=torch.bool)
    report = partition_report(Partition(everything, everything), interactions([5.0] * 5), 2.0)
    assert set(report.values()) == {0.0}


def test_no_interactions():
    nothing = torch.empty(0, dtype=torch.bool)
    empty = torch.empty(0, dtype=torch.long)
    train = Interactions(empty, empty, torch.empty(0))
    report = partition_report(Partition(nothing, nothing), train, 2.0)
    assert set(report.values()) == {0.0}
