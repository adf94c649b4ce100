"""Two results against each other, outside all families."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recbole_guider.errors import InputError
from recbole_guider.report.between import compare_between
from recbole_guider.report.statistics import compare_users_and_seeds

METRICS = ("Recall@5", "NDCG@20")
OURS, OTHER = "ml-100k/BM3/GUIDER", "ml-100k/DRAGON/Base"


@pytest.fixture
def records(make_record):
    """GUIDER's BM3 with the seeds 1 to 4, a bare DRAGON with 2 to 5, and other results."""
    cells = [("ml-100k", "BM3", "GUIDER", seed) for seed in (1, 2, 3, 4)]
    cells += [("ml-100k", "DRAGON", "Base", seed) for seed in (2, 3, 4, 5)]
    cells += [("ml-100k", "BM3", "GUIDER", seed, "noise_ratio=0.1") for seed in (1, 2, 3)]
    cells += [("ml-100k", "VBPR", "Base", 9), ("baby", "BM3", "Base", 1)]
    return [make_record(cell, lift=0.002 * (cell[2] == "GUIDER")) for cell in cells]


def rows(text):
    """metric -> the cells of its row."""
    table = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in table[2:]}


def values(records, name, metric):
    """[seeds 2 to 4, users]"""
    dataset, backbone, method = name.split("/")
    return np.array([
        record.per_user[metric.lower()]
        for record in records
        if (*record.cell[:3], record.cell.setting) == (dataset, backbone, method, "")
        and record.cell.seed in (2, 3, 4)
    ])  # fmt: skip


@pytest.mark.parametrize("metric", METRICS)
def test_it_is_the_t_test_over_users_and_min_f_over_both(records, metric) -> None:
    text = compare_between(records, (OURS, OTHER), METRICS)
    ours, other = (values(records, name, metric) for name in (OURS, OTHER))
    users = [ours.mean(axis=0), other.mean(axis=0)]
    runs = [ours.mean(axis=1), other.mean(axis=1)]
    p = stats.ttest_rel(*users).pvalue
    both = compare_users_and_seeds(*(one[None] for one in (*users, *runs))).p_value[0]
    gain = 100 * (ours.mean() / other.mean() - 1)
    assert rows(text)[metric] == [
        f"{ours.mean():.4f}",
        f"{other.mean():.4f}",
        f"{gain:+.1f} %",
        f"{p:.4f}",
        f"{both:.4f}",
        f"{(runs[0] > runs[1]).sum()} of 3",
    ]
    assert "(2, 3, 4)" in text
    assert "not corrected" in text


def test_a_setting_is_named_and_two_seeds_are_too_few_for_a_test_over_seeds(records) -> None:
    found = rows(compare_between(records, (f"{OURS}/noise_ratio=0.1", OTHER), METRICS))
    assert list(found) == list(METRICS)
    assert {row[4] for row in found.values()} == {"—"}
    assert all(row[5].endswith(" of 2") for row in found.values())


@pytest.mark.parametrize(
    ("names", "said", "mend"),
    [
        ((OURS, "ml-100k/DRAGON/base"), "'ml-100k/DRAGON/base' has no finished", "DRAGON/Base'"),
        ((OURS, "ml100k/DRAGON/Base"), "'ml100k/DRAGON/Base' has no finished", "ml-100k/DRAGON"),
        ((OURS, ""), "'' has no finished", "Known: baby/BM3/Base, "),
        ((OURS, "baby/BM3/Base"), "are of two data sets", "of one data set"),
        ((OURS, OURS), "both names are one result", "Name two"),
        ((OURS, "ml-100k/VBPR/Base"), "no seed in common", "Finish the seeds"),
    ],
    ids=[
        "an unknown method",
        "an unknown data set",
        "nothing",
        "two data sets",
        "one result",
        "no common seed",
    ],
)
def test_what_cannot_be_compared_is_said_in_a_line(records, names, said, mend) -> None:
    with pytest.raises(InputError) as refused:
        compare_between(records, names, METRICS)
    assert said in str(refused.value)
    assert mend in str(refused.value)
    assert "--between" in str(refused.value)


def test_what_has_no_number_is_said_so(make_record) -> None:
    bare = ("ml-100k", "BM3", "Base", 1)
    nothing = make_record(bare, lift=-9.0, n=1)  # values are clipped at 0
    lone = [nothing, make_record(("ml-100k", "BM3", "GUIDER", 1), n=1)]
    found = rows(compare_between(lone, ("ml-100k/BM3/GUIDER", "ml-100k/BM3/Base"), METRICS))
    assert {tuple(row[2:]) for row in found.values()} == {("baseline is 0", "—", "—", "1 of 1")}


def test_a_tiny_p_is_not_zero(make_record) -> None:
    records = [make_record(("ml-100k", "BM3", "Base", seed)) for seed in (1, 2, 3)]
    records += [make_record(("ml-100k", "BM3", "T-CE", seed), lift=0.1) for seed in (1, 2, 3)]
    found = rows(compare_between(records, ("ml-100k/BM3/T-CE", "ml-100k/BM3/Base"), METRICS))
    assert {row[3] for row in found.values()} == {"< 0.0001"}


def test_before_anything_has_finished_it_says_what_to_do() -> None:
    with pytest.raises(InputError, match="Run its cells first"):
        compare_between([], (OURS, OTHER), METRICS)
