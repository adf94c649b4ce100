"""What finished cells have cost, by method."""

from __future__ import annotations

from typing import Any, NamedTuple

from recbole_guider.benchmark.cell import CellName
from recbole_guider.report.costs import cost_table


class Cost(NamedTuple):
    cell: CellName
    seconds: dict[str, float]
    epochs: int
    peak_memory_mb: float = 100.0


def rows(text: str) -> list[dict[str, str]]:
    header, _, *body = [
        [cell.strip() for cell in line[1:-1].split("|")] for line in text.splitlines()
    ]
    return [dict(zip(header, cells)) for cells in body]


def cost(method: str, seed: int, processor: float, epochs: int, **cell: Any) -> Cost:
    name = {"dataset": "baby", "backbone": "BM3", "method": method, "seed": seed, **cell}
    return Cost(CellName(**name), {"total": 9e9, "processor": processor}, epochs)


def test_medians_over_seeds_stand_in_the_order_of_the_grid():
    records = [
        cost("GUIDER", 1, 90.0, 30), cost("Base", 3, 7.0, 7), cost("Base", 2, 1000.0, 10),
        cost("Base", 1, 20.0, 40), cost("T-CE", 1, 1.0, 1),
    ]  # fmt: skip
    asked = [
        ("baby", "BM3", method, seed, "") for method in ("Base", "GUIDER") for seed in (1, 2, 3)
    ]
    table = rows(cost_table(asked, records))
    assert [row["median of a run"] for row in table] == [
        "seconds", "epochs", "seconds per epoch", "memory, MiB",
    ]  # fmt: skip
    assert list(table[0])[-2:] == ["Base", "GUIDER"]  # T-CE was not asked for
    assert [row["Base"] for row in table] == ["20", "10", "1.00", "100"]
    assert [row["GUIDER"] for row in table] == ["90", "30", "3.00", "100"]


def test_settings_have_rows_of_their_own_and_what_is_unknown_is_a_hole():
    records = [
        Cost(CellName("baby", "BM3", "Base", 1), {"total": 5.0}, 4),  # of an early version
        cost("T-CE", 1, 8.0, 2, setting="drop_rate=0.1"),
    ]
    table = rows(cost_table([tuple(record.cell) for record in records], records))
    assert [(row["setting"], row["Base"], row["T-CE"]) for row in table] == [
        ("any", "—", "—"), ("any", "4", "—"), ("any", "—", "—"), ("any", "100", "—"),
        ("drop_rate=0.1", "—", "8"), ("drop_rate=0.1", "—", "2"),
        ("drop_rate=0.1", "—", "4.00"), ("drop_rate=0.1", "—", "100"),
    ]  # fmt: skip
