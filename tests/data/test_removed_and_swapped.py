"""Interactions taken away and content of other items: how much, whose, and that labels are kept."""

from __future__ import annotations

import pytest
import torch

from recbole_guider.benchmark.cell import key_of
from recbole_guider.config import Config
from recbole_guider.data.dataset import MultimodalDataset
from recbole_guider.data.modality import ItemFeatures
from recbole_guider.data.noise import inject, removed_rows, swap_content
from recbole_guider.data.splits import Interactions, Splits
from recbole_guider.errors import InputError
from recbole_guider.property_layers import resolve
from recbole_guider.quick_start import describe


def splits(n_users=20, per_user=6) -> Splits:
    users = torch.arange(1, n_users + 1).repeat_interleave(per_user)
    items = torch.arange(len(users)) % 31 + 1
    train = Interactions(users, items, torch.arange(len(users)).float())
    some = Interactions(users[:3], items[10:13])
    return Splits(train, some, some, n_users + 1, 40)


def built(tiny_data_path, **properties):
    own = {"data_path": str(tiny_data_path), **properties}
    return MultimodalDataset(Config("LightGCN", "tiny", None, own, {})).build()


@pytest.mark.parametrize("ratio", [0.1, 0.5, 5 / 6])
def test_exactly_the_share_goes_and_every_user_keeps_one(ratio):
    given = splits()
    gone = removed_rows(given, ratio, 3)
    assert int(gone.sum()) == int(ratio * 120 + 0.5)
    assert len(given.train.users[~gone].unique()) == 20


def test_more_than_users_can_spare_is_refused():
    with pytest.raises(InputError, match=r"removed_ratio: asks for 108 of 120 .* 100 can go"):
        removed_rows(splits(), 0.9, 3)


def test_a_larger_share_takes_the_same_and_more_and_the_seed_decides():
    few, many, other = (removed_rows(splits(), r, s) for r, s in ((0.1, 3), (0.4, 3), (0.1, 4)))
    assert bool((many | ~few).all())
    assert not torch.equal(few, other)


def test_injected_pairs_never_go_and_do_not_count():
    noisy = inject(splits(), 0.5, 1)
    gone = removed_rows(noisy, 0.5, 3)
    assert int(gone.sum()) == 60
    assert not bool(gone[noisy.train.injected].any())


def test_every_interaction_is_as_likely_to_go():
    counts = sum(removed_rows(splits(), 0.5, seed).long() for seed in range(200))
    assert counts.min() > 70  # 100 expected
    assert counts.max() < 130


def features(n=30, width=4) -> ItemFeatures:
    present = torch.ones(n + 1, dtype=torch.bool)
    present[[0, 5, 6]] = False
    values = torch.randn(n + 1, width, generator=torch.Generator().manual_seed(0))
    return ItemFeatures(values * present[:, None], present)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_the_share_of_items_carries_the_row_of_another(share):
    given = features()
    kept = given.values.clone()
    noisy, swapped = swap_content(given, share, 3, "image")
    assert int(swapped.sum()) == int(share * 28 + 0.5)
    assert not bool(swapped[~given.present].any())
    assert torch.equal(noisy.values[~swapped], kept[~swapped])
    for item in swapped.nonzero().flatten().tolist():
        same = (kept == noisy.values[item]).all(dim=1).nonzero().flatten().tolist()
        assert len(same) == 1
        assert same[0] != item
        assert given.present[same[0]]
    assert torch.equal(given.values, kept)


def test_modalities_are_swapped_apart_and_a_larger_share_swaps_the_same_and_more():
    few, a = swap_content(features(), 0.2, 3, "image")
    many, b = swap_content(features(), 0.6, 3, "image")
    assert bool((b | ~a).all())
    assert torch.equal(many.values[a], few.values[a])
    assert not torch.equal(a, swap_content(features(), 0.2, 3, "text")[1])
    assert not torch.equal(a, swap_content(features(), 0.2, 4, "image")[1])


def test_the_data_set_removes_and_recboles_columns_agree(tiny_data_path):
    clean = built(tiny_data_path)[0]
    train, _, test = built(tiny_data_path, removed_ratio=0.25, noise_ratio=0.1)
    n = len(clean.splits.train)
    assert clean.removed is None
    assert len(train.removed) == round(0.25 * n)
    assert test.removed is train.removed
    assert len(train.splits.train) == n - round(0.25 * n) + round(0.1 * n)
    assert torch.equal(train.inter_feat["item_id"], train.splits.train.items)
    assert torch.equal(train.inter_feat["user_id"], train.splits.train.users)
    keys = clean.splits.keys(clean.splits.train)
    assert bool(torch.isin(clean.splits.keys(train.removed), keys).all())
    left = train.splits.train.only(~train.splits.train.injected)
    both = torch.cat([clean.splits.keys(left), clean.splits.keys(train.removed)])
    assert torch.equal(both.sort().values, keys.sort().values)
    assert torch.equal(test.splits.test.items, clean.splits.test.items)


def test_removal_does_not_move_the_injected_pairs(tiny_data_path):
    one = built(tiny_data_path, noise_ratio=0.2)[0].splits.train
    other = built(tiny_data_path, noise_ratio=0.2, removed_ratio=0.3)[0].splits.train
    assert torch.equal(one.items[one.injected], other.items[other.injected])


def test_the_data_set_swaps_one_modality_or_all_whatever_the_models_seed(tiny_data_path):
    clean = built(tiny_data_path)[0]
    image = built(tiny_data_path, content_noise={"image": 0.3}, seed=1)[0]
    every = built(tiny_data_path, content_noise=0.3, seed=2)[0]
    assert int(clean.swapped_items("image").sum()) == 0
    assert int(image.swapped_items("image").sum()) == round(
        0.3 * int(clean.items_with("image").sum())
    )
    assert torch.equal(image.item_features()["text"], clean.item_features()["text"])
    assert not torch.equal(every.item_features()["text"], clean.item_features()["text"])
    assert torch.equal(image.item_features()["image"], every.item_features()["image"])
    assert torch.equal(image.swapped_items("image"), every.swapped_items("image"))
    weights = torch.as_tensor(image.get_preload_weight("image"))
    assert torch.equal(weights, image.item_features()["image"])
    assert clean.data_hash == image.data_hash


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"content_noise": 1.5}, "content_noise: expected a number, >= 0, <= 1; found 1.5"),
        ({"content_noise": {"image": -1}}, r"content_noise\[image\]: expected a number"),
        ({"content_noise": {"imag": 0.1}}, r"unknown modality 'imag'\. Did you mean 'image'"),
        ({"content_noise": "much"}, "content_noise: expected a number"),
        ({"removed_ratio": 1}, "removed_ratio: expected a number, >= 0, < 1; found 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(tiny_data_path, properties, told):
    with pytest.raises(InputError, match=told):
        built(tiny_data_path, **properties)


def test_records_made_before_keep_their_key():
    resolved = resolve("BM3", "Base", "ml-100k")
    before = {k: v for k, v in resolved.items() if k not in ("removed_ratio", "content_noise")}
    assert key_of(resolved, "d") == key_of(before, "d")
    for changed in ({"removed_ratio": 0.1}, {"content_noise": {"image": 0.1}}):
        assert key_of({**resolved, **changed}, "d") != key_of(before, "d")


def test_a_record_counts_what_was_taken_away_and_swapped(tiny_data_path):
    clean = describe(built(tiny_data_path)[0])
    assert clean["removed"] == 0
    assert not any(clean["swapped"].values())
    noisy = describe(built(tiny_data_path, removed_ratio=0.1, content_noise={"image": 0.5})[0])
    assert noisy["removed"] == clean["train"] - noisy["train"] > 0
    assert noisy["swapped"] == {"image": int(0.5 * noisy["items"] + 0.5), "text": 0}
