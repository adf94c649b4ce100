from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from recbole_guider.errors import InputError
from recbole_guider.report.results import ResultKey, average_over_seeds

CELL = ("ml-100k", "BM3", "GUIDER", 2022)
KEY = ResultKey("ml-100k", "BM3", "GUIDER")


def test_users_are_averaged_over_the_seeds_that_finished(make_record) -> None:
    records = [make_record((*CELL[:3], seed), valid=seed / 10000) for seed in (2024, 2022, 2023)]
    result = average_over_seeds(records, ["Recall@20", "NDCG@5"])[KEY]
    stacked = np.stack([record.per_user["recall@20"] for record in records])
    assert result.seeds == (2022, 2023, 2024)
    whole = result.per_user("Recall@20", result.seeds)
    assert whole == pytest.approx(stacked.mean(axis=0), abs=1e-15)
    some = result.per_user("Recall@20", [2022, 2024])
    assert some == pytest.approx(stacked[:2].mean(axis=0), abs=1e-15)
    assert result.valid_over([2022, 2024]) == pytest.approx(0.2023)
    assert result.valid_over([2022]) == 0.2022
    assert result.mean["Recall@20"] == pytest.approx(stacked.mean(), abs=1e-15)
    assert result.spread["Recall@20"] == pytest.approx(stacked.mean(axis=1).std(ddof=1), abs=1e-15)
    assert result.valid == pytest.approx(0.2023)


def test_one_seed_has_no_spread(make_record) -> None:
    assert np.isnan(average_over_seeds([make_record(CELL)], ["NDCG@5"])[KEY].spread["NDCG@5"])


def test_users_are_aligned_by_token(make_record) -> None:
    first, second = make_record(CELL), make_record((*CELL[:3], 2023))
    order = np.random.default_rng(0).permutation(len(second.users))
    shuffled = dataclasses.replace(
        second,
        users=second.users[order],
        per_user={metric: values[order] for metric, values in second.per_user.items()},
    )
    plain = average_over_seeds([first, second], ["Recall@5"])[KEY]
    aligned = average_over_seeds([first, shuffled], ["Recall@5"])[KEY]
    for seed in plain.seeds:
        assert np.array_equal(plain.users_of["Recall@5"][seed], aligned.users_of["Recall@5"][seed])


def test_other_users_are_refused_with_both_cells_named(make_record) -> None:
    first, second = make_record(CELL), make_record((*CELL[:3], 2023))
    tokens = second.users.copy()
    tokens[0] = "someone"
    match = r"^ml-100k: .*seed 2023 evaluated 200 users, .*seed 2022 200.* Fix the split"
    with pytest.raises(InputError, match=match):
        average_over_seeds([first, dataclasses.replace(second, users=tokens)], ["Recall@5"])


def test_other_data_sets_may_have_other_users_and_protocols(make_record) -> None:
    records = [make_record(CELL), make_record(("baby", *CELL[1:]), n=50, protocol="recbole")]
    assert len(average_over_seeds(records, ["Recall@5"])) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"protocol": "recbole"}, "has protocol 'mmrec', but .* has 'recbole'"),
        ({"data": {"hash": "beef"}}, "has data 'f00d', but .* has 'beef'"),
        ({"config": {"valid_metric": "NDCG@20"}}, "has valid_metric 'Recall@20'"),
    ],
)
def test_numbers_that_mean_different_things_never_share_a_column(
    make_record, changed, message: str
) -> None:
    records = [make_record(CELL), make_record(("ml-100k", "VBPR", "Base", 1), **changed)]
    for order in (records, records[::-1]):
        with pytest.raises(InputError, match=message):
            average_over_seeds(order, ["Recall@5"])


def test_a_cell_twice_and_an_unknown_metric_are_refused(make_record) -> None:
    with pytest.raises(InputError, match=r"BM3 \+ GUIDER on ml-100k, seed 2022: has two finished"):
        average_over_seeds([make_record(CELL), make_record(CELL)], ["Recall@5"])
    with pytest.raises(InputError, match="has no metric 'Recall@50', only ndcg@20"):
        average_over_seeds([make_record(CELL)], ["Recall@50"])


def test_the_order_of_the_records_does_not_matter(make_record) -> None:
    records = [make_record((*CELL[:3], seed)) for seed in range(6)]
    shuffled = random.Random(4).sample(records, len(records))
    one, other = (average_over_seeds(some, ["NDCG@20"])[KEY] for some in (records, shuffled))
    assert np.array_equal(
        one.per_user("NDCG@20", one.seeds), other.per_user("NDCG@20", other.seeds)
    )
    assert one.mean == other.mean
