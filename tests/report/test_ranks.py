from __future__ import annotations

import dataclasses
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from scipy import stats

from recbole_guider.report.board import arrange
from recbole_guider.report.figures.ranks import ranks_svg
from recbole_guider.report.ranks import (
    critical_difference,
    friedman,
    not_told_apart,
    rank_methods,
    ranks_section,
)
from recbole_guider.report.tables import render

# Ranks of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 data sets (Demsar, Statistical Comparisons of
# Classifiers over Multiple Data Sets, JMLR 7, 2006, Table 6).
DEMSAR = np.array([
    [4, 3, 2, 1], [1, 2, 3, 4], [4, 1, 2, 3], [4, 1, 3, 2], [4, 2, 3, 1], [1, 2.5, 4, 2.5],
    [3, 2, 4, 1], [2.5, 2.5, 4, 1], [4, 3, 2, 1], [2.5, 2.5, 2.5, 2.5], [4, 2.5, 1, 2.5],
    [3, 2, 4, 1], [4, 1, 2, 3], [3, 1, 4, 2],
])  # fmt: skip
# Critical values of the Nemenyi test at 5 % for 2 to 10 methods (the same paper, Table 5a).
NEMENYI = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
METHODS = ("Base", "T-CE", "GUIDER")


@pytest.fixture
def ranked(grid, make_record):
    """Builds a board of one seed; values: block -> the method's level in the order of METHODS."""

    def build(levels, gone=(), **changed):
        wanted = {**grid, "methods": list(METHODS), "baselines": ["Base", "T-CE"],
                  "datasets": sorted({d for d, _ in levels}),
                  "backbones": sorted({b for _, b in levels}), **changed}  # fmt: skip
        records = [
            make_record((*block, method, 1), per_user={
                metric: np.full(20, level) for metric in ("recall@5", "recall@20", "ndcg@5",
                                                          "ndcg@20")},
                        users=np.array([f"{user:02}" for user in range(20)]))
            for block, row in levels.items()
            for method, level in zip(METHODS, row)
        ]  # fmt: skip
        kept = [record for record in records if record.cell[:3] not in gone]
        return wanted, [record.cell for record in records], kept

    return build


FOUR = {
    ("a", "BM3"): (0.3, 0.2, 0.1),
    ("a", "VBPR"): (0.3, 0.1, 0.2),
    ("b", "BM3"): (0.2, 0.2, 0.1),
    ("b", "VBPR"): (0.3, 0.2, 0.1),
}


def test_demsars_worked_example() -> None:
    found = friedman(-DEMSAR)
    assert found.ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    # The paper's statistics do not correct for ties: 9.28 and 3.69.
    uncorrected = 12 * 14 / 20 * ((found.ranks**2).sum() - 4 * 25 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.005)
    assert 13 * uncorrected / (14 * 3 - uncorrected) == pytest.approx(3.69, abs=0.005)
    ties = 3 * (2**3 - 2) + (4**3 - 4)
    assert found.chi_square == pytest.approx(uncorrected / (1 - ties / (14 * (4**3 - 4))))
    assert found.f > 3.69
    assert found.p_value < stats.f.sf(3.69, 3, 39)


def test_by_hand() -> None:
    # Rank sums 4.5, 8.5 and 11; one tie of two: chi2 = (12 / 48 * 213.5 - 48) / (1 - 6 / 96).
    found = friedman(np.array(list(FOUR.values())))
    assert found.ranks == pytest.approx([1.125, 2.125, 2.75])
    assert found.chi_square == pytest.approx(5.375 / 0.9375)
    f = 3 * found.chi_square / (8 - found.chi_square)
    assert found.f == pytest.approx(f)
    # With 2 and 6 degrees of freedom the tail of F is (1 + f / 3)^-3.
    assert found.p_value == pytest.approx((1 + f / 3) ** -3)


@pytest.mark.parametrize(("k", "q"), list(enumerate(NEMENYI, start=2)))
def test_critical_values_are_the_published_ones(k: int, q: float) -> None:
    assert critical_difference(k, 10) == pytest.approx(q * math.sqrt(k * (k + 1) / 60), rel=5e-4)


def test_equal_and_perfectly_ordered_methods() -> None:
    tied = friedman(np.full((5, 3), 0.25))
    assert (tied.p_value, tied.f, list(tied.ranks)) == (1.0, 0.0, [2.0, 2.0, 2.0])
    ordered = friedman(np.tile([0.1, 0.3, 0.2], (5, 1)))
    assert (ordered.p_value, ordered.f, list(ordered.ranks)) == (0.0, math.inf, [3.0, 1.0, 2.0])


def test_rounding_is_a_tie() -> None:
    assert list(friedman(np.array([[0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1, 0.0]] * 3)).ranks) == [
        1.5, 1.5, 3.0,
    ]  # fmt: skip


def test_groups_are_the_longest_runs() -> None:
    average = {"a": 1.0, "b": 1.5, "c": 2.2, "d": 4.0, "e": 4.5}
    assert not_told_apart(average, 1.0) == (("a", "b"), ("b", "c"), ("d", "e"))
    assert not_told_apart(average, 1.3) == (("a", "b", "c"), ("d", "e"))
    assert not_told_apart(average, 0.1) == ()
    assert not_told_apart(average, math.inf) == (tuple(average),)


def test_only_blocks_with_all_methods_count(ranked) -> None:
    levels = {**FOUR, ("c", "BM3"): (0.1, 0.2, 0.3)}
    board = arrange(*ranked(levels, gone={("c", "BM3", "T-CE")}), {})
    ranks = rank_methods(board)
    assert ranks.blocks == tuple(FOUR)
    assert ranks.left_out == (("c", "BM3"),)
    assert list(ranks.average) == ["Base", "T-CE", "GUIDER"]
    assert ranks.firsts == {"Base": 4, "T-CE": 1, "GUIDER": 0}
    text = "\n".join(ranks_section(board))
    assert "Left out, because not all methods have finished there: BM3 on c." in text
    assert "| Base   |           1.12 |    4 of 4 |" in text
    assert "F(2, 6) = 7.59, p 0.023." in text
    assert "4 blocks give the test little power" in text
    assert "are not independent" in text


def test_only_blocks_of_which_all_seeds_have_finished_count(ranked, make_record) -> None:
    grid, cells, records = ranked(FOUR)
    first = next(one for one in records if one.cell[:3] == ("a", "BM3", "GUIDER"))
    second = dataclasses.replace(first, cell=first.cell._replace(seed=2))
    board = arrange(grid, [*cells, second.cell], [*records, second], {})
    assert rank_methods(board).left_out == (("a", "BM3"),)


def test_without_friedmans_rejection_no_methods_differ(ranked) -> None:
    board = arrange(*ranked({**FOUR, ("c", "BM3"): (0.1, 0.2, 0.3)}), {})
    ranks = rank_methods(board)
    assert ranks.test.p_value > 0.05
    assert ranks.groups == (("Base", "T-CE", "GUIDER"),)
    assert "does not reject" in ranks_section(board)[-1]


def test_nemenyi_has_no_say_where_friedman_finds_nothing(ranked, monkeypatch) -> None:
    monkeypatch.setattr("recbole_guider.report.ranks.critical_difference", lambda *_: 0.01)
    board = arrange(*ranked({**FOUR, ("c", "BM3"): (0.1, 0.2, 0.3)}), {})
    assert rank_methods(board).groups == (("Base", "T-CE", "GUIDER"),)
    assert rank_methods(arrange(*ranked(FOUR), {})).groups == ()


def test_too_few_blocks_or_methods_or_a_varied_property_show_nothing(ranked) -> None:
    two = {block: FOUR[block] for block in list(FOUR)[:2]}
    wanted, cells, records = ranked(FOUR)
    pair = [cell for cell in cells if cell.method != "T-CE"]
    for board in (
        arrange(*ranked(two), {}),
        arrange(wanted, pair, records, {}),
        arrange({**wanted, "vary": "x", "settings": {"x=1": 1}}, cells, records, {}),
        arrange(wanted, cells, [], {}),
    ):
        assert rank_methods(board) is None
        assert ranks_section(board) == []
        assert ranks_svg(board) == ""


def test_three_blocks_are_the_fewest_that_could_show_something() -> None:
    for k in range(3, 16):
        assert critical_difference(k, 2) > k - 1 > critical_difference(k, 3)


def test_the_page_shows_the_diagram_and_it_is_stable(ranked, tmp_path) -> None:
    wanted, cells, records = ranked(FOUR)
    first = render(wanted, cells, records, {}, tmp_path / "one")
    second = render(wanted, cells[::-1], records[::-1], {}, tmp_path / "two")
    page, diagram = (tmp_path / "one" / name for name in ("table2.md", "table2-ranks.svg"))
    assert "](table2-ranks.svg)" in page.read_text(encoding="utf-8")
    assert diagram.read_bytes() == (tmp_path / "two" / "table2-ranks.svg").read_bytes()
    assert {path.name for path in first} == {path.name for path in second}
    texts = [
        "".join(node.itertext()).strip()
        for node in ElementTree.parse(diagram).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert "Average rank by Recall@20, 4 blocks (1 is best)" in texts
    assert "critical difference 1.66" in texts
    assert {"Base  1.12", "T-CE  2.12", "2.75  GUIDER"} <= set(texts)
    # Fewer results than before: an earlier run's diagram does not stay.
    render(wanted, cells, records[:1], {}, tmp_path / "one")
    assert not diagram.exists()
