"""Shared by all tests: one small ml-100k-like data set on disk, and a quiet torch."""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")


@pytest.fixture(autouse=True)
def _own_command_line(monkeypatch):
    """RecBole reads sys.argv; pytest's own options are none of its business."""
    monkeypatch.setattr(sys, "argv", ["pytest"])


@pytest.fixture
def use_properties(monkeypatch):
    """Makes a folder the suite's properties for one test; what was read of others is forgotten."""
    from recbole_guider import property_layers as layers

    caches = [layers._cached_content, layers.lineage, layers._cached_layer, layers._cached_rules]

    def forget():
        for cache in caches:
            cache.cache_clear()

    def use(folder):
        monkeypatch.setattr(layers, "properties_folder", lambda: folder)
        forget()
        return folder

    yield use
    forget()


@pytest.fixture
def copied_properties(use_properties, tmp_path):
    """A copy of the suite's properties, in its place for one test."""
    from recbole_guider.property_layers import properties_folder

    return use_properties(shutil.copytree(properties_folder(), tmp_path / "properties"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def write_dataset(folder: Path, name: str, n_users: int = 40, n_items: int = 50) -> Path:
    """Writes a data set with planted tastes: two item groups, content that tells them apart."""
    generator = np.random.default_rng(5)
    group = np.arange(n_items) % 2
    lines = ["user_id:token\titem_id:token\trating:float\tx_label:float"]
    for user in range(n_users):
        weight = np.where(group == user % 2, 6.0, 1.0)
        items = generator.choice(n_items, size=12, replace=False, p=weight / weight.sum())
        for place, item in enumerate(items):
            label = 0 if place < 9 else (1 if place == 9 else 2)
            rating = 5 if group[item] == user % 2 else 2
            lines.append(f"u{user}\ti{item}\t{rating}\t{label}")
    target = folder / name
    target.mkdir(parents=True)
    (target / f"{name}.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    seen = sorted({line.split("\t")[1] for line in lines[1:]})
    for modality, width in (("text", 6), ("image", 4)):
        rows = [f"item_id:token\t{modality}:float_seq"]
        for item in seen:
            centre = 2.0 * group[int(item[1:])] - 1.0
            values = centre + generator.normal(size=width)
            rows.append(f"{item}\t" + " ".join(f"{value:.6g}" for value in values))
        (target / f"{name}.item{modality}").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return target


@pytest.fixture(scope="session")
def tiny_data_path(tmp_path_factory) -> Path:
    """A ``data_path`` that holds the data set ``tiny``."""
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, "tiny")
    return folder
