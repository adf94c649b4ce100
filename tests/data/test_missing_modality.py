"""Items without a modality: what is chosen for them, what is told of them."""

from __future__ import annotations

import shutil

import pytest
import torch

from recbole_guider.config import Config
from recbole_guider.data.dataset import MultimodalDataset
from recbole_guider.data.modality_choice import missing_policies
from recbole_guider.errors import InputError
from recbole_guider.quick_start import describe, register


@pytest.fixture
def load(tiny_data_path, tmp_path):
    """Loads a copy of the tiny data set whose first five items have no text and first two no image.

    Which these are depends on the file's order, not on what the data says.
    """
    register()
    shutil.copytree(
        tiny_data_path / "tiny", tmp_path / "holes", ignore=shutil.ignore_patterns(".*")
    )
    for path in sorted((tmp_path / "holes").glob("tiny.*")):
        name = path.name.replace("tiny", "holes", 1)
        lines = path.read_text().splitlines() if path.suffix in (".itemtext", ".itemimage") else []
        path = path.rename(path.with_name(name))
        if lines:
            without = 5 if path.suffix == ".itemtext" else 2
            path.write_text("\n".join(lines[:1] + lines[1 + without :]) + "\n")

    def load(**properties):
        given = {"data_path": str(tmp_path), **properties}
        return MultimodalDataset(Config("VBPR", "holes", None, given, {}))

    return load


def absent(dataset, modality):
    return dataset.item_features()[modality][1:][~dataset.items_with(modality)[1:]]


def test_one_policy_holds_for_all_modalities():
    assert missing_policies("mean", ["text", "image"]) == {"text": "mean", "image": "mean"}
    assert missing_policies(None, ["text"]) == {"text": "zero"}


def test_a_mapping_gives_each_modality_its_own():
    assert missing_policies({"image": "mean"}, ["text", "image"]) == {
        "text": "zero",
        "image": "mean",
    }


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"imge": "mean"}, r"missing_modality: unknown modality 'imge'. Did you mean 'image'"),
        ({"image": "meen"}, r"missing_modality\[image\]: unknown value 'meen'. Did you mean"),
        ("meen", r"missing_modality: unknown value 'meen'. Did you mean 'mean'"),
    ],
)
def test_what_cannot_be_meant_is_one_line(given, line):
    with pytest.raises(InputError, match=line):
        missing_policies(given, ["text", "image"])


def test_the_property_takes_both_forms(load):
    dataset = load(missing_modality={"image": "mean"})
    assert len(absent(dataset, "text")) == 5
    assert not absent(dataset, "text").any()
    images, present = dataset.item_features()["image"], dataset.items_with("image")
    mean = images[present].double().mean(0).float().expand(2, -1)
    torch.testing.assert_close(absent(dataset, "image"), mean, rtol=0, atol=0)
    assert load(missing_modality="mean").item_features()["text"][1:].any(1).all()
    with pytest.raises(InputError, match=r"holes\.itemimage: 2 of \d+ items have no row"):
        load(missing_modality={"image": "error"})
    with pytest.raises(InputError, match=r"missing_modality\[image\]: unknown value"):
        load(missing_modality={"image": "men"})


def test_coverage_is_logged_and_stands_in_the_record(load, caplog):
    train = load().build()[0]
    n_items = train.item_num - 1
    assert f"5 of {n_items} items have no row (coverage {100 - 500 / n_items:.1f} %)" in caplog.text
    assert describe(train)["coverage"] == {"image": n_items - 2, "text": n_items - 5}
