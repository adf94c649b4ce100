"""A cell's key names its number: everything that can change it, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_guider.benchmark import cell as cell_module
from recbole_guider.benchmark.cell import WITHOUT_EFFECT, Cell, CellName, key_of
from recbole_guider.property_layers import resolve

PROPERTIES = resolve("BM3", "GUIDER", "ml-100k")
HASH = "0" * 64
values = st.one_of(
    st.integers(-5, 5), st.booleans(), st.none(), st.floats(-2, 2), st.text(max_size=3),
    st.lists(st.integers(0, 3), max_size=3),
)  # fmt: skip


def same(one, other) -> bool:
    """Equal as a property: 1 and 1.0 are, 1 and true are not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


@given(st.sampled_from(sorted(set(PROPERTIES) - WITHOUT_EFFECT)), values)
def test_every_property_that_counts_changes_the_key(name, value):
    changed = key_of({**PROPERTIES, name: value}, HASH) != key_of(PROPERTIES, HASH)
    assert changed == (not same(value, PROPERTIES[name]))


@given(st.sampled_from(sorted(WITHOUT_EFFECT)), values)
def test_what_is_only_shown_or_placed_does_not(name, value):
    assert key_of({**PROPERTIES, name: value}, HASH) == key_of(PROPERTIES, HASH)


@given(st.randoms(use_true_random=False))
def test_the_order_of_properties_does_not_matter(random):
    shuffled = list(PROPERTIES.items())
    random.shuffle(shuffled)
    assert key_of(dict(shuffled), HASH) == key_of(PROPERTIES, HASH)


def test_data_schema_and_results_version_change_the_key(monkeypatch):
    before = key_of(PROPERTIES, HASH)
    assert len(before) == 40
    assert key_of(PROPERTIES, "1" * 64) != before
    monkeypatch.setattr(cell_module, "RESULTS_VERSION", cell_module.RESULTS_VERSION + 1)
    raised = key_of(PROPERTIES, HASH)
    monkeypatch.setattr(cell_module, "SCHEMA", cell_module.SCHEMA + 1)
    assert len({before, raised, key_of(PROPERTIES, HASH)}) == 3


def test_numbers_have_one_form():
    assert key_of({"a": 1}, HASH) == key_of({"a": 1.0}, HASH) != key_of({"a": True}, HASH)
    assert key_of({"a": float("nan")}, HASH) != key_of({"a": None}, HASH)


def make(folder: Path, method: str = "GUIDER", seed: int = 1, **overrides) -> Cell:
    name = CellName("tiny", "BM3", method, seed)
    return Cell(name, {"data_path": str(folder), **overrides})


def test_a_cell_is_keyed_by_seed_override_method_and_data(tiny_data_path, tmp_path):
    cells = [
        make(tiny_data_path),
        make(tiny_data_path, seed=2),
        make(tiny_data_path, learning_rate=0.5),
        make(tiny_data_path, method="Base"),
    ]
    assert len({cell.key for cell in cells}) == 4
    assert make(tiny_data_path, show_progress=True).key == cells[0].key
    copied = tmp_path / "tiny"
    copied.mkdir()
    for file in (tiny_data_path / "tiny").iterdir():
        if not file.name.startswith(".") and file.is_file():
            (copied / file.name).write_bytes(file.read_bytes())
    assert make(tmp_path).key == cells[0].key  # the same data elsewhere
    with (copied / "tiny.inter").open("a") as stream:
        stream.write("u0\ti0\t5\t0\n")
    assert make(tmp_path).key != cells[0].key


def test_the_teachers_own_layer_counts(tiny_data_path, monkeypatch):
    before = make(tiny_data_path).key
    base = make(tiny_data_path, method="Base").key
    monkeypatch.setattr(cell_module, "model_layer", lambda _: {"n_layers": 9})
    assert make(tiny_data_path).key != before
    assert make(tiny_data_path, method="Base").key == base  # has no teacher


def test_given_properties_hold_the_seed_over_an_override(tmp_path):
    cell = make(tmp_path, seed=7)
    assert cell.given["seed"] == 7
    assert cell.properties["seed"] == 7
    assert str(cell.name) == "tiny/BM3/GUIDER/7"


@pytest.mark.parametrize("module", ["grid", "cell", "store", "record", "provenance"])
def test_planning_imports_neither_torch_nor_recbole(module):
    script = (
        f"import sys, recbole_guider.benchmark.{module}\n"
        "print(sorted({'torch', 'recbole', 'scipy', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout == "[]\n"
