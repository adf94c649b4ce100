"""FREEDOM against a dense reading of its paper."""

from __future__ import annotations

import math

import pytest
import torch
from dense_reference import (
    ONE,
    THREE,
    TWO,
    assert_same_loss_and_gradients,
    bpr,
    dense_adjacency,
    dense_item_graph,
    has_content,
    layer_mean,
)

from recbole_guider.model.freedom import FREEDOM

WEIGHTS = {"text": 0.9, "image": 0.1}
PROPERTIES = {"n_ui_layers": 2, "n_mm_layers": 2, "knn_k": 4, "modality_weights": WEIGHTS,
              "dropout": 0.0, "reg_weight": 0.3}  # fmt: skip


def reference(model, splits, batch, adjacency_mean, widths, weights, missing):
    graph = dense_item_graph(model, weights, missing, PROPERTIES["knn_k"])
    item_ids = model.ids.items.weight
    users, items = adjacency_mean
    items = items + graph @ (graph @ item_ids)
    loss = bpr(users, items, batch)
    for name in widths:
        layer = model.projections[name]
        content = model.feature(name) @ layer.weight.T + layer.bias
        there = has_content(model, name, missing)[:, 0]
        margin = users[batch.users] * (content[batch.positives] - content[batch.negatives])
        term = -torch.log(torch.sigmoid(margin.sum(1)))
        term = term * there[batch.positives] * there[batch.negatives]
        loss = loss + PROPERTIES["reg_weight"] * term.mean()
    return users, items, loss


@pytest.mark.parametrize(
    ("widths", "weights"),
    [
        (ONE, {"text": 1.0}),
        (TWO, {"text": 0.9, "image": 0.1}),
        (THREE, {"text": 0.6, "image": 0.1 / 1.5, "audio": 0.5 / 1.5}),
    ],
)
@pytest.mark.parametrize("missing", [{}, {"text": [3, 4]}])
def test_equals_the_dense_form(build, splits, batch, widths, weights, missing):
    model = build(FREEDOM, widths, missing, **PROPERTIES)
    mean = layer_mean(splits, model.ids.users.weight, model.ids.items.weight, 2)
    users, items, loss = reference(model, splits, batch, mean, widths, weights, missing)
    ours = model.propagate()
    torch.testing.assert_close(ours[0], users, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours[1], items, atol=1e-6, rtol=1e-5)
    assert_same_loss_and_gradients(model, model.native_loss(batch), loss)


def pruned_model(build, dropout=0.5):
    model = build(FREEDOM, TWO, **{**PROPERTIES, "dropout": dropout}).train()
    model.on_epoch_start(3)
    return model


def test_training_sees_the_pruned_graph_normalised_by_its_own_degrees(build, splits):
    model = pruned_model(build)
    pruned = model.pruned.to_dense()
    full = dense_adjacency(splits)
    edges = (pruned > 0).double()
    assert torch.equal(edges, edges.T)
    assert (full[edges.bool()] > 0).all(), "only training interactions are kept"
    n_pairs = int((full > 0).sum()) // 2
    assert int(edges.sum()) // 2 == math.floor(0.5 * n_pairs)
    degree = edges.sum(1).clamp(min=1)
    torch.testing.assert_close(pruned, edges / (degree[:, None] * degree).sqrt(), atol=1e-6, rtol=0)
    ego = torch.cat([model.ids.users.weight, model.ids.items.weight])
    mean = (ego + pruned @ ego + pruned @ pruned @ ego) / 3
    torch.testing.assert_close(model.propagate()[0], mean[: splits.n_users], atol=1e-6, rtol=1e-5)


def test_evaluation_sees_every_interaction(build, splits):
    model = pruned_model(build).eval()
    mean = layer_mean(splits, model.ids.users.weight, model.ids.items.weight, 2)
    torch.testing.assert_close(model.propagate()[0], mean[0], atol=1e-6, rtol=1e-5)


def test_each_epoch_draws_anew_and_a_resumed_one_draws_the_same(build):
    model = pruned_model(build)
    third = model.pruned.to_dense()
    model.on_epoch_start(4)
    assert not torch.equal(model.pruned.to_dense(), third)
    torch.manual_seed(99)
    assert torch.equal(pruned_model(build).pruned.to_dense(), third)


def test_without_the_content_loss_nothing_is_projected(build, batch):
    model = build(FREEDOM, TWO, **{**PROPERTIES, "reg_weight": 0.0})
    with torch.no_grad():
        for layer in model.projections.values():
            layer.weight.fill_(math.nan)
    assert model.native_loss(batch).isfinite()


def test_the_item_graph_stays_that_of_the_initial_features(build, batch):
    model = build(FREEDOM, TWO, **PROPERTIES, train_features=True)
    before = model.item_graph.graph.to_dense()
    model.native_loss(batch).backward()
    assert model.feature("image").grad.abs().sum() > 0
    with torch.no_grad():
        model.feature("image").normal_()
    assert torch.equal(model.item_graph.graph.to_dense(), before)
    assert "item_graph.graph" not in model.state_dict()
