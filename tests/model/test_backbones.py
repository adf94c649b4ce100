"""Each backbone against a slow dense reading of its paper's equations."""

from __future__ import annotations

import pytest
import torch
from dense_reference import (
    ONE,
    THREE,
    TWO,
    assert_same_loss_and_gradients,
    bpr,
    cosine,
    has_content,
    layer_mean,
)

from recbole_guider.errors import InputError
from recbole_guider.model.bm3 import BM3
from recbole_guider.model.bpr import BPR
from recbole_guider.model.lightgcn import LightGCN
from recbole_guider.model.vbpr import VBPR


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_lightgcn(build, splits, batch, n_layers):
    model = build(LightGCN, {}, n_layers=n_layers, reg_weight=0.3)
    user_ids, item_ids = model.ids.users.weight, model.ids.items.weight
    users, items = layer_mean(splits, user_ids, item_ids, n_layers)
    ours = model.propagate()
    torch.testing.assert_close(ours[0], users, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours[1], items, atol=1e-6, rtol=1e-5)
    rows = [user_ids[batch.users], item_ids[batch.positives], item_ids[batch.negatives]]
    norm = sum(torch.sqrt((part**2).sum()) for part in rows) / len(batch.users)
    reference = bpr(users, items, batch) + 0.3 * norm
    assert_same_loss_and_gradients(model, model.native_loss(batch), reference)


def test_bpr(build, batch):
    model = build(BPR, {}, reg_weight=0.3)
    users, items = model.user_embedding.weight, model.item_embedding.weight
    rows = [users[batch.users], items[batch.positives], items[batch.negatives]]
    norm = sum(torch.sqrt((part**2).sum()) for part in rows) / len(batch.users)
    reference = bpr(users, items, batch) + 0.3 * norm
    assert_same_loss_and_gradients(model, model.native_loss(batch), reference)
    with torch.no_grad():
        torch.testing.assert_close(model.eval().representations(), (users, items))


@pytest.mark.parametrize("widths", [ONE, TWO, THREE])
def test_vbpr(build, batch, widths):
    model = build(VBPR, widths, reg_weight=0.3)
    content = torch.cat([model.feature(name) for name in widths], dim=1)
    projected = content @ model.projection.weight.T + model.projection.bias
    items = torch.cat([model.item_embedding.weight, projected], dim=1)
    users = model.user_embedding.weight
    rows = [users[batch.users], items[batch.positives], items[batch.negatives]]
    norm = sum(torch.sqrt((part**2).sum()) for part in rows) / len(batch.users)
    reference = bpr(users, items, batch) + 0.3 * norm
    assert_same_loss_and_gradients(model, model.native_loss(batch), reference)
    with torch.no_grad():
        torch.testing.assert_close(model.eval().representations()[1], items)


@pytest.mark.parametrize("widths", [ONE, TWO, THREE])
@pytest.mark.parametrize("missing", [{}, {"text": [3, 4], "image": [4]}])
def test_bm3(build, splits, batch, widths, missing):
    settings = {"n_layers": 2, "reg_weight": 0.3, "cl_weight": 2.0, "dropout": 0.0}
    model = build(BM3, widths, missing, fill=2.0, **settings)
    item_ids = model.ids.items.weight
    users, items = layer_mean(splits, model.ids.users.weight, item_ids, 2)
    items = items + item_ids
    ours = model.propagate()
    torch.testing.assert_close(ours[1], items, atol=1e-6, rtol=1e-5)

    def predict(x):
        return x @ model.predictor.weight.T + model.predictor.bias

    u, i = users[batch.users], items[batch.positives]
    reference = (1 - cosine(predict(u), i.detach())).mean()
    reference = reference + (1 - cosine(predict(i), u.detach())).mean()
    for name in widths:
        layer = model.projections[name]
        x = model.feature(name)[batch.positives] @ layer.weight.T + layer.bias
        there = has_content(model, name, missing)[batch.positives, 0]
        reference = reference + 2.0 * (there * (1 - cosine(predict(x), i.detach()))).mean()
        reference = reference + 2.0 * (there * (1 - cosine(predict(x), x.detach()))).mean()
    norms = torch.sqrt((users**2).sum()) + torch.sqrt((items**2).sum())
    reference = reference + 0.3 * norms / splits.n_items
    assert_same_loss_and_gradients(model, model.native_loss(batch), reference)
    with torch.no_grad():
        torch.testing.assert_close(
            model.eval().representations()[0], predict(users), atol=1e-6, rtol=1e-5
        )


def test_bm3_target_keeps_the_expected_value_and_the_share(build):
    model = build(BM3, ONE, n_layers=1, reg_weight=0.0, cl_weight=1.0, dropout=0.3).train()
    rows = torch.ones(400, 50, dtype=torch.float64, requires_grad=True)
    target = model.target(rows)
    assert not target.requires_grad
    assert float((target == 0).double().mean()) == pytest.approx(0.3, abs=0.02)
    assert float(target.mean()) == pytest.approx(1.0, abs=0.02)
    assert model.eval().target(rows).tolist() == rows.tolist()


def test_representations_are_computed_once_per_evaluation(build, batch):
    model = build(LightGCN, {}, n_layers=1, reg_weight=0.0).eval()
    calls = []
    original = model.propagate
    model.propagate = lambda: (calls.append(1), original())[1]
    with torch.no_grad():
        for _ in range(3):
            model.full_sort_predict({"user_id": batch.users})
        assert len(calls) == 1
        model.train()
        model.eval()
        model.representations()
        assert len(calls) == 2, "training must make the cache stale"


def test_predict_and_full_sort_agree(build, batch):
    model = build(VBPR, TWO, reg_weight=0.0).eval()
    interaction = {"user_id": batch.users, "item_id": batch.positives}
    with torch.no_grad():
        full = model.full_sort_predict(interaction).view(len(batch.users), -1)
        single = model.predict(interaction)
    torch.testing.assert_close(full[torch.arange(len(single)), batch.positives], single)


def test_trainable_features_get_a_gradient(build, batch):
    model = build(BM3, ONE, n_layers=1, reg_weight=0.0, cl_weight=1.0, dropout=0.0,
                  train_features=True)  # fmt: skip
    model.native_loss(batch).backward()
    assert model.feature("text").grad.abs().sum() > 0


@pytest.mark.parametrize("cls", [VBPR, BM3])
def test_a_multimodal_backbone_without_modalities_says_so(build, cls):
    with pytest.raises(InputError, match="needs at least one item modality"):
        build(cls, {}, n_layers=1, reg_weight=0.0, cl_weight=1.0, dropout=0.0)


@pytest.mark.parametrize("name", ["keys", "type", "float", "copy", "get", "training"])
def test_a_modality_that_torch_cannot_use_as_a_key_says_so(build, name):
    with pytest.raises(InputError, match=f"cannot be called '{name}'"):
        build(BM3, {name: 3}, n_layers=1, reg_weight=0.0, cl_weight=1.0, dropout=0.0)
