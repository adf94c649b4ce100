"""Time and memory of a modality as large as Clothing's images: 23,033 items of 4,096 floats."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.performance

N_ITEMS, WIDTH = 23_033, 4_096

MEASURE = """
import json, resource, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
from recbole_guider.data.files.feature_table import load_table
from recbole_guider.data.fingerprint import fingerprint
from recbole_guider.data.commands.validate_modality import check_modality
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
before, told = peak(), {}
start = time.perf_counter()
if sys.argv[2] == "fingerprint":
    fingerprint(folder, "large")
elif sys.argv[2] == "validate":
    print(check_modality(folder / "large.itemimage", None), file=sys.stderr)
else:
    table = load_table(folder / "large.itemimage")
    told["shape"] = list(table.values.shape)
told.update(seconds=time.perf_counter() - start, peak=peak(), imports=before)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one modality file as text, about a gigabyte, without its compiled form."""
    made = tmp_path_factory.mktemp("large")
    generator = np.random.default_rng(0)
    texts = np.array([f"{value:.6g}" for value in generator.normal(size=100_000)])
    with (made / "large.itemimage").open("w") as stream:
        stream.write("item_id:token\timage:float_seq\n")
        for item in range(N_ITEMS):
            start = int(generator.integers(len(texts) - WIDTH))
            stream.write(f"i{item}\t{' '.join(texts[start : start + WIDTH])}\n")
    yield made
    (made / "large.itemimage").unlink()


def measured(folder, what: str) -> dict:
    import json

    command = [sys.executable, "-c", MEASURE, str(folder), what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_text_is_compiled_as_a_stream_and_loaded_from_then_on(folder):
    steps = {}
    for name, what in (
        ("validate the text", "validate"),
        ("hash the file, once", "fingerprint"),
        ("compile the text, once", "load"),
        ("hash again", "fingerprint"),
        ("load", "load"),
    ):
        steps[name] = measured(folder, what)
    size = (folder / "large.itemimage").stat().st_size / 2**30
    print(f"\n{N_ITEMS:,} items of {WIDTH:,} values, {size:.2f} GiB of text")
    for name, told in steps.items():
        print(
            f"  {name}: {told['seconds']:.2f} s, peak {told['peak']:.2f} GiB "
            f"(imports alone {told['imports']:.2f})"
        )
    assert steps["load"]["shape"] == [N_ITEMS, WIDTH]
    assert steps["compile the text, once"]["peak"] < 1
    assert steps["validate the text"]["peak"] < 1
    assert steps["load"]["seconds"] < 1
