"""MGCN against a slow dense reading of its equations."""

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
    cosine,
    dense_adjacency,
    has_content,
    layer_mean,
)

from recbole_guider.model.mgcn import MGCN

DEFAULTS = {
    "n_ui_layers": 2,
    "n_mm_layers": 1,
    "knn_k": 4,
    "cl_weight": 0.3,
    "temperature": 0.2,
    "reg_weight": 0.05,
    "fusion": "mean",
}


def item_graph(features, present, k):
    """S_m entry by entry: c_ij / sqrt(r_i r_j) over each present item's k nearest present ones."""
    n = len(features)
    graph = torch.zeros(n, n, dtype=torch.float64)
    having = [item for item in range(n) if present[item]]
    for i in having:
        similar = {
            j: float(cosine(features[i][None], features[j][None])) if i != j else 1.0
            for j in having
        }
        for j in sorted(similar, key=similar.get, reverse=True)[:k]:
            graph[i, j] = max(0.0, similar[j])
    total = graph.sum(1)
    for i in range(n):
        for j in range(n):
            if graph[i, j] > 0:
                graph[i, j] = graph[i, j] / math.sqrt(total[i] * total[j])
    return graph


def dense_parts(model, splits, widths, missing, settings):
    """Content [n, d] and the views of all modalities, each [n, d]; users first, then items."""
    ids = model.ids.items.weight
    content = torch.cat(layer_mean(splits, model.ids.users.weight, ids, settings["n_ui_layers"]))
    bought = dense_adjacency(splits)[: splits.n_users, splits.n_users :]
    views = []
    for name in widths:
        features = model.feature(name)
        present = torch.arange(splits.n_items) > 0
        present[missing.get(name, [])] = False
        projected = features @ model.projections[name].weight.T + model.projections[name].bias
        gate = projected @ model.gates[name].weight.T + model.gates[name].bias
        purified = ids * (1 / (1 + torch.exp(-gate)))
        graph = item_graph(features, present, settings["knn_k"])
        items = torch.linalg.matrix_power(graph, settings["n_mm_layers"]) @ purified
        views.append(torch.cat([bought @ items, items]))
    return content, views


def dense_views(model, splits, widths, missing):
    """Per modality 1 where a user or an item has a view, [n, 1]; all where it has none at all."""
    found = []
    for name in widths:
        items = has_content(model, name, missing)
        users = torch.zeros(splits.n_users, 1, dtype=torch.float64)
        for user, item in zip(splits.train.users.tolist(), splits.train.items.tolist()):
            users[user] = max(users[user], items[item])
        found.append(torch.cat([users, items]))
    nowhere = sum(found) == 0
    return [torch.where(nowhere, 1.0, one) for one in found]


def dense_side(model, content, views, fusion, there):
    d = content.shape[1]
    if len(views) == 1:
        return views[0] / 2 if fusion == "mean" else views[0]
    hidden, last = model.query[0], model.query[2]
    scores = [torch.tanh(m @ hidden.weight.T + hidden.bias) @ last.weight.T for m in views]
    total = sum(torch.exp(score) * one for score, one in zip(scores, there))
    shared = sum(torch.exp(score) * one / total * m for score, one, m in zip(scores, there, views))
    own = 0
    for place, m in enumerate(views):
        weight = model.preference.weight[place * d : (place + 1) * d]
        bias = model.preference.bias[place * d : (place + 1) * d]
        own = own + there[place] * (m - shared) / (1 + torch.exp(-(content @ weight.T + bias)))
    if fusion == "mean":
        return (shared + own) / (sum(there) + 1)
    return shared + own / sum(there)


def nce(side, content, temperature):
    """The denominator row by row, over the batch with its duplicates; cos(0, c) = 0."""
    losses = []
    for row in range(len(side)):
        if bool((side[row] == 0).all()):
            losses.append(torch.log(torch.tensor(float(len(side)))))
            continue
        pairs = cosine(side[row].expand_as(content), content)
        losses.append(
            -torch.log(torch.exp(pairs[row] / temperature) / torch.exp(pairs / temperature).sum())
        )
    return sum(losses) / len(losses)


def check(build, splits, batch, widths, missing=None, **changes):
    settings = {**DEFAULTS, **changes}
    missing = missing or {}
    model = build(MGCN, widths, missing=missing, **settings)
    content, views = dense_parts(model, splits, widths, missing, settings)
    there = dense_views(model, splits, widths, missing)
    side = dense_side(model, content, views, settings["fusion"], there)
    final = content + side
    n = splits.n_users
    ours = model.propagate()
    whole = torch.cat([content, *views], dim=1)
    torch.testing.assert_close(torch.cat(ours), whole, atol=1e-6, rtol=1e-5)
    users, items = final[:n], final[n:]
    rows = [users[batch.users], items[batch.positives], items[batch.negatives]]
    reference = bpr(users, items, batch)
    reference = reference + settings["reg_weight"] * sum(
        0.5 * (part**2).sum() / len(batch.users) for part in rows
    )
    for index in (batch.users, batch.positives + n):
        term = nce(side[index], content[index], settings["temperature"])
        reference = reference + settings["cl_weight"] * term
    assert_same_loss_and_gradients(model, model.native_loss(batch), reference)
    with torch.no_grad():
        scored = model.eval().representations()
    torch.testing.assert_close(scored[0], users, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(scored[1], items, atol=1e-6, rtol=1e-5)
    return model


@pytest.mark.parametrize("fusion", ["mean", "shared_plus_mean"])
@pytest.mark.parametrize("widths", [ONE, TWO, THREE])
def test_against_the_equations(build, splits, batch, widths, fusion):
    check(build, splits, batch, widths, fusion=fusion)


@pytest.mark.parametrize("widths", [ONE, TWO, THREE])
@pytest.mark.parametrize("fusion", ["mean", "shared_plus_mean"])
def test_items_that_lack_a_modality(build, splits, batch, widths, fusion):
    check(build, splits, batch, widths, {"text": [3, 4], "image": [4, 7]}, fusion=fusion)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_ui_layers": 0},
        {"n_ui_layers": 3},
        {"n_mm_layers": 2},
        {"knn_k": 1},
        {"temperature": 0.7},
        {"cl_weight": 0.0},
        {"reg_weight": 0.0},
    ],
)
def test_other_values_of_properties(build, splits, batch, changes):
    check(build, splits, batch, TWO, missing={"text": [3]}, **changes)


def test_one_modality_leaves_no_fuser(build):
    names = {name.split(".")[0] for name, _ in build(MGCN, ONE, **DEFAULTS).named_parameters()}
    assert names == {"ids", "projections", "gates"}
    names = {name.split(".")[0] for name, _ in build(MGCN, TWO, **DEFAULTS).named_parameters()}
    assert names == {"ids", "projections", "gates", "query", "preference"}


def test_an_item_without_any_modality_keeps_its_content_only(build):
    model = build(MGCN, TWO, missing={"text": [4, 5], "image": [4]}, **DEFAULTS).eval()
    with torch.no_grad():
        content = model.ids.propagate(DEFAULTS["n_ui_layers"])[1]
        items = model.representations()[1]
    torch.testing.assert_close(items[4], content[4], rtol=0, atol=0)
    assert not torch.allclose(items[5], content[5])


def test_trainable_features_get_a_gradient(build, batch):
    model = build(MGCN, TWO, train_features=True, **DEFAULTS)
    model.native_loss(batch).backward()
    for name in TWO:
        assert model.feature(name).grad.abs().sum() > 0
