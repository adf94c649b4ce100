"""MMGCN against a slow dense reading of its paper's equations."""

from __future__ import annotations

import pytest
import torch
from dense_reference import ONE, THREE, TWO, assert_same_loss_and_gradients, bpr, has_content

from recbole_guider.data.splits import Interactions
from recbole_guider.model.mmgcn import MMGCN, Convolution, NeighbourMeans

DEFAULTS = {
    "n_layers": 3,
    "combine": "concat",
    "train_preferences": True,
    "project_wider_than": 6,  # of the widths 5, 7 and 3 only the image's is mapped
    "projected_width": 4,
    "reg_weight": 0.3,
}


def leaky(x):
    return torch.where(x > 0, x, 0.01 * x)


def neighbour_mean(train, n_users, n_items):
    """A: each row averages over the node's distinct neighbours, entry by entry."""
    n = n_users + n_items
    a = torch.zeros(n, n, dtype=torch.float64)
    for user, item in zip(train.users.tolist(), train.items.tolist()):
        a[user, n_users + item] = a[n_users + item, user] = 1.0
    for row in range(n):
        if a[row].sum() > 0:
            a[row] = a[row] / a[row].sum()
    return a


def dense_representations(model, splits, combine, missing):
    a = neighbour_mean(splits.train, splits.n_users, splits.n_items)
    outputs = []
    for name in model.modalities:
        content = model.feature(name)
        if name in model.projections:
            content = content @ model.projections[name].weight.T + model.projections[name].bias
        rows = torch.cat([model.preference(name), content])
        norm = rows.pow(2).sum(1).sqrt()
        x = torch.stack([r / n if n > 0 else torch.zeros_like(r) for r, n in zip(rows, norm)])
        there = torch.ones(len(x), 1, dtype=torch.float64)
        there[splits.n_users :] = has_content(model, name, missing)
        x = x * there
        # The first mean is over the neighbours that have something to say.
        reached = a * there.T
        share = reached.sum(1, keepdim=True)
        first = torch.where(share > 0, reached / share.clamp(min=1e-9), reached)
        for place, layer in enumerate(model.networks[name]):
            h = leaky((a if place else first) @ (x @ layer.message.weight.T))
            own = leaky(x @ layer.own.weight.T + layer.own.bias) + model.ids
            if combine == "concat":
                mapped = torch.cat([h, own], dim=1) @ layer.joint.weight.T + layer.joint.bias
            else:
                mapped = h @ layer.joint.weight.T + layer.joint.bias + own
            x = leaky(mapped)
        outputs.append(x)
    mean = torch.stack(outputs).mean(0)
    return mean[: splits.n_users], mean[splits.n_users :]


def dense_penalty(model, splits, batch):
    """The toolbox's form: rows of users twice, of positives and negatives once."""
    ids = model.ids
    users = ids[batch.users.repeat_interleave(2)]
    items = ids[splits.n_users + torch.stack([batch.positives, batch.negatives], 1).flatten()]
    penalty = (users**2 + items**2).mean()
    return penalty + sum((model.preference(name) ** 2).mean() for name in model.modalities)


def assert_as_dense(model, splits, batch, combine, missing=None):
    users, items = dense_representations(model, splits, combine, missing or {})
    with torch.no_grad():
        ours = model.eval().representations()
    torch.testing.assert_close(ours[0], users.detach(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours[1], items.detach(), atol=1e-6, rtol=1e-5)
    reference = bpr(users, items, batch)
    reference = reference + model.reg_weight * dense_penalty(model, splits, batch)
    assert_same_loss_and_gradients(model, model.train().native_loss(batch), reference)


@pytest.mark.parametrize("combine", ["concat", "add"])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("widths", [ONE, TWO, THREE])
def test_layers_and_combinations(build, splits, batch, widths, n_layers, combine):
    model = build(MMGCN, widths, **{**DEFAULTS, "n_layers": n_layers, "combine": combine})
    assert_as_dense(model, splits, batch, combine)


@pytest.mark.parametrize("swapped", [False, True])
def test_aggregation_does_not_depend_on_which_side_is_larger(splits, swapped):
    train, n_users, n_items = splits.train, splits.n_users, splits.n_items
    if swapped:
        train, n_users, n_items = Interactions(train.items, train.users), n_items, n_users
    torch.manual_seed(0)
    layer = Convolution(6, 4, concatenates=True, first=True).double()
    means = NeighbourMeans(train, n_users, n_items).double()
    x = torch.randn(n_users + n_items, 6, dtype=torch.float64, requires_grad=True)
    ours = torch.cat(layer.aggregate(means, *x.split([n_users, n_items])))
    a = neighbour_mean(train, n_users, n_items)
    reference = leaky(a @ (x @ layer.message.weight.T))
    torch.testing.assert_close(ours, reference, atol=1e-6, rtol=1e-5)
    upstream = torch.randn_like(ours)
    for mine, theirs in zip(
        torch.autograd.grad(ours, [x, layer.message.weight], upstream),
        torch.autograd.grad(reference, [x, layer.message.weight], upstream),
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_items_without_a_modality(build, splits, batch, n_layers):
    missing = {"text": [3, 4, 13], "image": [4, 5]}  # images are mapped
    model = build(MMGCN, THREE, missing=missing, fill=2.0, **{**DEFAULTS, "n_layers": n_layers})
    assert_as_dense(model, splits, batch, "concat", missing)


def test_a_user_none_of_whose_items_has_the_modality_hears_nothing(build, splits):
    train = splits.train
    of_one = train.items[train.users == 1].unique().tolist()
    model = build(MMGCN, TWO, missing={"text": of_one}, **DEFAULTS)
    assert model.stretch_text[1] == 0
    assert model.stretch_text[[int(user) for user in train.users.unique()]].isfinite().all()


def test_trained_features_of_items_without_a_modality(build, splits, batch):
    model = build(MMGCN, ONE, missing={"text": [3]}, train_features=True, **DEFAULTS)
    model.native_loss(batch).backward()
    gradient = model.feature_text.grad
    assert gradient.abs().max() < 10, "a norm of zero must not be divided by"
    assert gradient[4].abs().sum() > 0


def test_a_modality_is_mapped_by_its_width(build, splits, batch):
    assert list(build(MMGCN, THREE, **DEFAULTS).projections) == ["image"]
    model = build(MMGCN, THREE, **{**DEFAULTS, "project_wider_than": None})
    assert len(model.projections) == 0
    assert model.preference("image").shape == (splits.n_users, 7)
    assert_as_dense(model, splits, batch, "concat")


def test_constant_preferences(build, splits, batch):
    model = build(MMGCN, THREE, **{**DEFAULTS, "train_preferences": False})
    assert not {"ids", "preference_text"} & set(dict(model.named_parameters()))
    assert {"ids", "preference_text"} <= set(model.state_dict())
    assert_as_dense(model, splits, batch, "concat")
    model.native_loss(batch).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_without_penalty_the_loss_is_bpr(build, splits, batch):
    model = build(MMGCN, TWO, **{**DEFAULTS, "reg_weight": 0.0})
    assert_as_dense(model, splits, batch, "concat")


def test_users_and_items_without_neighbours_are_represented(build, splits, batch):
    """They hear nothing from the graph, yet score by their own view."""
    model = build(MMGCN, TWO, **DEFAULTS).eval()
    with torch.no_grad():
        users, items = model.representations()
    assert torch.isfinite(users).all()
    assert torch.isfinite(items).all()
    assert not torch.equal(users[10], users[11])
    assert not torch.equal(items[13], items[14])
