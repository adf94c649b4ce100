from __future__ import annotations

import numpy as np
import pytest

from recbole_guider.report.comparison import Against, Best, compare_records
from recbole_guider.report.results import ResultKey
from recbole_guider.report.statistics import compare_paired, compare_users_and_seeds, holm

BASELINES = ("Base", "WBPR", "T-CE")


def key(method: str, backbone: str = "BM3", dataset: str = "ml-100k") -> ResultKey:
    return ResultKey(dataset, backbone, method)


def test_the_best_baseline_is_chosen_on_validation_even_when_test_disagrees(make_record) -> None:
    records = [
        make_record((*key("Base")[:3], 1), lift=0.0, valid=0.25),
        make_record((*key("WBPR")[:3], 1), lift=0.1, valid=0.24),  # the best on test
        make_record((*key("GUIDER")[:3], 1), lift=0.05, valid=0.1),
    ]
    compared = compare_records(records, ["Recall@20"], BASELINES)
    assert compared.best_baseline == {("ml-100k", "BM3", ""): Best("Base", 0.25, (1,), ())}
    against = compared.vs_best[key("GUIDER"), "Recall@20"]
    assert against.method == "Base"
    assert against.paired.difference == pytest.approx(0.05, abs=0.01)
    assert against.sign(0.05) == 1


def test_the_validation_value_is_the_mean_over_seeds_and_ties_follow_the_list(make_record) -> None:
    records = [
        make_record((*key("Base")[:3], seed), valid=value) for seed, value in ((1, 0.3), (2, 0.1))
    ]
    records += [make_record((*key("WBPR")[:3], seed), valid=0.25) for seed in (1, 2)]
    records += [make_record((*key("T-CE")[:3], seed), valid=0.25) for seed in (1, 2)]
    for baselines in (BASELINES, ("T-CE", "WBPR", "Base")):
        best = compare_records(records, ["Recall@20"], baselines).best_baseline
        assert best["ml-100k", "BM3", ""].method == next(
            name for name in baselines if name != "Base"
        )


def test_who_is_compared_with_whom(make_record) -> None:
    records = [
        make_record((*key(name)[:3], 1), valid=0.2) for name in (*BASELINES, "GUIDER", "BOD")
    ]
    compared = compare_records(records, ["Recall@5"], BASELINES)
    assert {place.method for place, _ in compared.vs_best} == {"GUIDER", "BOD"}
    assert {place.method for place, _ in compared.vs_base} == {"WBPR", "T-CE", "GUIDER", "BOD"}
    assert {against.method for against in compared.vs_base.values()} == {"Base"}


def test_without_the_bare_backbone_or_any_baseline_nothing_is_compared(make_record) -> None:
    compared = compare_records([make_record((*key("GUIDER")[:3], 1))], ["Recall@5"], BASELINES)
    assert (compared.best_baseline, compared.vs_best, compared.vs_base) == ({}, {}, {})
    assert len(compared.results) == 1


def test_a_family_is_one_data_set_metric_and_question(make_record) -> None:
    records = [
        make_record((dataset, backbone, method, 1), lift=0.002 * i)
        for dataset in ("baby", "ml-100k")
        for backbone in ("BM3", "VBPR", "LightGCN")
        for i, method in enumerate(("Base", "WBPR", "GUIDER", "BOD"))
    ]
    metrics = ["Recall@5", "NDCG@20"]
    compared = compare_records(records, metrics, BASELINES)
    for found, size in ((compared.vs_best, 6), (compared.vs_base, 9)):
        for dataset in ("baby", "ml-100k"):
            for metric in metrics:
                family = [
                    against
                    for (place, name), against in found.items()
                    if place.dataset == dataset and name == metric
                ]
                assert len(family) == size
                adjusted = holm([against.paired.p_value for against in family])
                assert [against.p_holm for against in family] == pytest.approx(adjusted)


def test_the_numbers_are_those_of_the_paired_comparison(make_record) -> None:
    records = [make_record((*key("Base")[:3], 1)), make_record((*key("GUIDER")[:3], 1), lift=0.003)]
    compared = compare_records(records, ["Recall@5"], ["Base"])
    expected = compare_paired(records[1].per_user["recall@5"], records[0].per_user["recall@5"])
    assert compared.vs_best[key("GUIDER"), "Recall@5"].paired == expected
    against = compared.vs_base[key("GUIDER"), "Recall@5"]
    assert (
        against[:6]
        == Against(
            "Base", expected, expected.p_value, (1,), records[0].per_user["recall@5"].mean()
        )[:6]
    )
    assert np.isnan([against.both_p, against.both_p_holm]).all()


def test_the_test_over_users_and_seeds_is_that_of_the_seeds_that_both_have(make_record) -> None:
    finished = {"Base": (1, 2, 3, 4, 5), "WBPR": (2, 3, 4), "GUIDER": (1, 2, 3, 4, 6), "BOD": (5,)}
    made = {
        (name, seed): make_record((*key(name)[:3], seed), lift=0.001 * (name != "Base"))
        for name, seeds in finished.items()
        for seed in seeds
    }
    found = compare_records(made.values(), ["Recall@5"], ["Base"]).vs_base
    raw = {}
    for name in ("WBPR", "GUIDER", "BOD"):
        against = found[key(name), "Recall@5"]
        sides = [
            np.array([made[side, seed].per_user["recall@5"] for seed in against.seeds])[None]
            for side in (name, "Base")
        ]
        users, seeds = ([side.mean(axis=axis) for side in sides] for axis in (1, 2))
        raw[name] = compare_users_and_seeds(*users, *seeds).p_value[0]
        assert against.both_p == pytest.approx(raw[name], nan_ok=True)
    assert [len(found[key(name), "Recall@5"].seeds) for name in raw] == [3, 4, 1]
    assert np.isnan(raw["BOD"])  # too few seeds: no statement, and no member of the family
    adjusted = [found[key(name), "Recall@5"].both_p_holm for name in raw]
    assert adjusted == pytest.approx(holm(list(raw.values())), nan_ok=True)
    assert adjusted[:2] != pytest.approx(list(raw.values())[:2])


def test_a_gain_that_one_seed_alone_brings_is_significant_over_users_alone(make_record) -> None:
    def gained(lifts: list[float]) -> Against:
        records = [make_record((*key("Base")[:3], seed)) for seed in range(5)]
        records += [
            make_record((*key("GUIDER")[:3], seed), lift=lift) for seed, lift in enumerate(lifts)
        ]
        return compare_records(records, ["Recall@5"], ["Base"]).vs_best[key("GUIDER"), "Recall@5"]

    lucky, steady = gained([0.1, 0, 0, 0, 0]), gained([0.02] * 5)
    assert lucky.paired.difference == pytest.approx(steady.paired.difference, abs=0.001)
    assert (lucky.sign(0.05), lucky.over_both(0.05)) == (1, False)
    assert (steady.sign(0.05), steady.over_both(0.05)) == (1, True)


def test_a_comparison_uses_the_seeds_that_both_sides_have_finished(make_record) -> None:
    # Seed 1 is lucky for everyone; only the baseline lacks it.
    records = [make_record((*key("Base")[:3], 2)), make_record((*key("Base")[:3], 4))]
    records += [
        make_record((*key("GUIDER")[:3], seed), lift=0.2 * (seed == 1)) for seed in (1, 2, 3)
    ]
    compared = compare_records(records, ["Recall@5"], ["Base"])
    expected = compare_paired(records[3].per_user["recall@5"], records[0].per_user["recall@5"])
    for against in (*compared.vs_best.values(), *compared.vs_base.values()):
        assert against.paired == expected
        assert against.seeds == (2,)
        assert against.level == records[0].per_user["recall@5"].mean()
    assert compared.results[key("GUIDER")].seeds == (1, 2, 3)
    assert compared.results[key("GUIDER")].mean["Recall@5"] == pytest.approx(
        sum(record.per_user["recall@5"].mean() for record in records[2:]) / 3
    )


def test_without_a_common_seed_there_is_no_comparison(make_record) -> None:
    records = [make_record((*key("Base")[:3], 1)), make_record((*key("GUIDER")[:3], 2), lift=0.2)]
    records += [make_record((*key(name, "VBPR")[:3], 1)) for name in ("Base", "GUIDER")]
    compared = compare_records(records, ["Recall@5"], BASELINES)
    assert {place for place, _ in compared.vs_best} == {key("GUIDER", "VBPR")}
    assert {place for place, _ in compared.vs_base} == {key("GUIDER", "VBPR")}
    assert compared.apart == ((key("GUIDER"), "Base"),)


def test_the_best_baseline_is_chosen_over_the_seeds_that_all_of_them_share(make_record) -> None:
    valid = {("Base", 1): 0.9, ("Base", 2): 0.2, ("WBPR", 2): 0.3, ("WBPR", 3): 0.3,
             ("T-CE", 4): 0.8}  # fmt: skip
    records = [make_record((*key(name)[:3], seed), valid=v) for (name, seed), v in valid.items()]
    compared = compare_records(records, ["Recall@5"], BASELINES)
    assert compared.best_baseline["ml-100k", "BM3", ""] == Best("WBPR", 0.3, (2,), ("T-CE",))


def test_swapped_methods_flip_the_sign(make_record) -> None:
    def gain(lift: float) -> Against:
        better, worse = ("GUIDER", "Base") if lift > 0 else ("Base", "GUIDER")
        high = make_record((*key("X")[:3], 1), lift=0.02)
        low = make_record((*key("Y")[:3], 1))
        records = [
            make_record((*key(better)[:3], 1), per_user=high.per_user),
            make_record((*key(worse)[:3], 1), per_user=low.per_user),
        ]
        return compare_records(records, ["NDCG@5"], ["Base"]).vs_best[key("GUIDER"), "NDCG@5"]

    up, down = gain(1.0), gain(-1.0)
    assert (up.sign(0.05), down.sign(0.05)) == (1, -1)
    assert up.paired.difference == -down.paired.difference
    assert up.p_holm == down.p_holm


@pytest.mark.parametrize(
    ("ours", "p_holm", "sign"), [(0.4, 0.06, 0), (0.4, 0.04, 1), (0.2, 0.04, -1), (0.4, None, 0)]
)
def test_a_mark_needs_the_adjusted_p_value(ours: float, p_holm: float | None, sign: int) -> None:
    paired = compare_paired([ours, ours], [0.3, 0.3])
    assert paired.p_value == 0.0
    adjusted = float("nan") if p_holm is None else p_holm
    against = Against("Base", paired, adjusted, (1,), 0.3)
    assert against.sign(0.05) == sign
    for both, wanted in ((0.04, sign != 0), (0.06, False), (float("nan"), False)):
        assert against._replace(both_p_holm=both).over_both(0.05) is wanted
