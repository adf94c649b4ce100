"""Comparisons that are too many for the memory are made in parts, with the same numbers."""

from __future__ import annotations

import pytest

from recbole_guider.report import comparison
from recbole_guider.report.comparison import compare_records


@pytest.mark.parametrize("grid", [3], indirect=True)
@pytest.mark.parametrize("values", [1, 1000])
def test_parts_change_no_number(cells, make_record, monkeypatch, values):
    records = [make_record(cell, lift=0.01 * place) for place, cell in enumerate(cells)]
    metrics, baselines = ["Recall@20", "NDCG@20"], ["Base", "WBPR", "T-CE"]
    whole = compare_records(records, metrics, baselines)
    sizes = []
    compare_many = comparison.compare_many

    def counted(ours, theirs):
        sizes.append(len(ours))
        return compare_many(ours, theirs)

    monkeypatch.setattr(comparison, "compare_many", counted)
    monkeypatch.setattr(comparison, "_VALUES", values)
    parts = compare_records(records, metrics, baselines)
    assert len(sizes) > 1
    assert max(sizes) == max(1, values // 200)  # users of a record
    assert parts.vs_best == whole.vs_best
    assert parts.vs_base == whole.vs_base
