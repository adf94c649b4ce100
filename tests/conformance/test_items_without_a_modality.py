"""Every backbone that reads content, by every kind of method, where one item in four lacks one."""

from __future__ import annotations

import itertools
import shutil

import numpy as np
import pytest

from recbole_guider.property_layers import known_keys
from recbole_guider.quick_start import run
from recbole_guider.registry import backbone_class, backbones

CONTENT = sorted(name for name in backbones() if backbone_class(name).uses_modalities)
SHORT = {"epochs": 2, "train_batch_size": 128, "embedding_size": 8, "learning_rate": 0.01,
         "warmup_epochs": 1}  # fmt: skip


@pytest.fixture(scope="module")
def data_path(tiny_data_path, tmp_path_factory):
    """A data set in which every fourth item has no image, and one of these no text either."""
    folder = tmp_path_factory.mktemp("holes")
    target = folder / "tiny"
    target.mkdir()
    source = tiny_data_path / "tiny"
    shutil.copy(source / "tiny.inter", target)
    header, *rows = (source / "tiny.itemimage").read_text().splitlines()
    kept = [row for place, row in enumerate(rows) if place % 4]
    (target / "tiny.itemimage").write_text("\n".join([header, *kept]) + "\n")
    header, *rows = (source / "tiny.itemtext").read_text().splitlines()
    (target / "tiny.itemtext").write_text("\n".join([header, *rows[1:]]) + "\n")
    return folder


def result(backbone, method, data_path, **extra):
    known = known_keys(backbone, method)
    given = {key: value for key, value in SHORT.items() if key in known}
    return run(backbone, "tiny", method, {**given, "data_path": str(data_path), **extra})


@pytest.mark.parametrize(
    ("backbone", "method"), list(itertools.product(CONTENT, ["Base", "BOD", "GUIDER"]))
)
@pytest.mark.parametrize("policy", ["zero", {"image": "mean"}])
def test_two_epochs_stay_finite(backbone, method, policy, data_path):
    found = result(backbone, method, data_path, missing_modality=policy)
    assert all(np.isfinite(point["loss"]) for point in found["valid_curve"])
    for values in (found["test_result"], found["best_valid_result"]):
        assert all(np.isfinite(list(values.values())))
    lacking = {name: found["data"]["items"] - n for name, n in found["data"]["coverage"].items()}
    assert lacking["text"] == 1
    assert lacking["image"] > found["data"]["items"] // 5


@pytest.mark.parametrize("method", ["Base", "GUIDER"])
@pytest.mark.parametrize("backbone", CONTENT)
def test_a_run_depends_on_what_is_imputed_only_where_the_backbone_says_so(
    backbone, method, data_path
):
    first, second = (
        result(backbone, method, data_path, missing_modality=policy)["valid_curve"]
        for policy in ("zero", "mean")
    )
    same = [point["loss"] for point in first] == [point["loss"] for point in second]
    assert same != backbone_class(backbone).reads_imputed
