"""DRAGON against a dense reading of its paper."""

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
)

from recbole_guider.config import Config
from recbole_guider.data.splits import Interactions
from recbole_guider.kernels.co_occurrence import top_co_occurring
from recbole_guider.model.dragon import DRAGON, UserGraph
from recbole_guider.quick_start import load_data_and_model, prepare

PROPERTIES = {"n_layers": 2, "n_mm_layers": 2, "knn_k": 4, "hidden_size": 6,
              "modality_weights": {"text": 0.9, "image": 0.1}, "user_k": 5,
              "user_aggregation": "softmax", "repeat_neighbours": False,
              "reg_weight": 0.3}  # fmt: skip
SHARES = {
    1: {"text": 1.0},
    2: {"text": 0.9, "image": 0.1},
    3: {"text": 0.6, "image": 0.1 / 1.5, "audio": 0.5 / 1.5},
}


def neighbours_of(splits, k):
    """Per user up to k (other, number of shared items), most first, then by id."""
    bought = [set() for _ in range(splits.n_users)]
    for user, item in zip(splits.train.users.tolist(), splits.train.items.tolist()):
        bought[user].add(item)
    found = []
    for user, mine in enumerate(bought):
        shared = [(v, len(mine & other)) for v, other in enumerate(bought) if v != user]
        found.append(sorted((p for p in shared if p[1]), key=lambda p: (-p[1], p[0]))[:k])
    return found


def dense_user_graph(neighbours, aggregation):
    """Row u has the softmax (or mean) over its listed neighbours; repetitions add up."""
    graph = torch.zeros(len(neighbours), len(neighbours), dtype=torch.double)
    for user, listed in enumerate(neighbours):
        weight = [math.exp(n) if aggregation == "softmax" else 1.0 for _, n in listed]
        for (other, _), part in zip(listed, weight):
            graph[user, other] += part / sum(weight)
    return graph


def reference(
    model, splits, batch, user_graph, item_graph, n_layers=2, n_mm_layers=2, missing=None
):
    """Scoring vectors and loss, one modality after the other."""
    a = dense_adjacency(splits)
    users, items, norm = [], [], (model.weight_u**2).mean()
    for place, name in enumerate(model.modalities):
        preference = model.preferences[name]
        first, _, second = model.contents[name]
        hidden = model.feature(name) @ first.weight.T + first.bias
        hidden = torch.where(hidden > 0, hidden, 0.01 * hidden)
        x = torch.cat([preference, hidden @ second.weight.T + second.bias])
        x = x / (x**2).sum(1, keepdim=True).sqrt()
        there = has_content(model, name, missing or {})
        x = x * torch.cat([torch.ones_like(preference[:, :1]), there])
        r = sum(torch.linalg.matrix_power(a, power) @ x for power in range(n_layers + 1))
        users.append(model.weight_u[:, [place]] * r[: splits.n_users])
        items.append(r[splits.n_users :])
        norm = norm + (preference[batch.users] ** 2).mean()
    users, items = torch.cat(users, 1), torch.cat(items, 1)
    users = users + user_graph @ users
    items = items + torch.linalg.matrix_power(item_graph, n_mm_layers) @ items
    return users, items, bpr(users, items, batch) + 0.3 * norm


def assert_equals(model, batch, expected):
    users, items, loss = expected
    ours = model.representations()
    torch.testing.assert_close(ours[0], users, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours[1], items, atol=1e-6, rtol=1e-5)
    assert_same_loss_and_gradients(model, model.native_loss(batch), loss)


@pytest.mark.parametrize("widths", [ONE, TWO, THREE])
@pytest.mark.parametrize("missing", [{}, {"text": [3, 4]}])
def test_equals_the_dense_form(build, splits, batch, widths, missing):
    model = build(DRAGON, widths, missing, **PROPERTIES)
    item_graph = dense_item_graph(model, SHARES[len(widths)], missing, 4)
    user_graph = dense_user_graph(neighbours_of(splits, 5), "softmax")
    expected = reference(model, splits, batch, user_graph, item_graph, missing=missing)
    assert_equals(model, batch, expected)


@pytest.mark.parametrize(
    ("properties", "layers"),
    [
        ({"n_layers": 0}, {"n_layers": 0}),
        ({"n_layers": 3, "n_mm_layers": 1}, {"n_layers": 3, "n_mm_layers": 1}),
        ({"user_aggregation": "mean", "user_k": 40}, {}),
        ({"user_k": 40}, {}),
        ({"user_k": 1}, {}),
    ],
)
def test_other_properties_equal_the_dense_form(build, splits, batch, properties, layers):
    given = {**PROPERTIES, **properties}
    model = build(DRAGON, TWO, **given)
    item_graph = dense_item_graph(model, SHARES[2], {}, 4)
    neighbours = neighbours_of(splits, given["user_k"])
    user_graph = dense_user_graph(neighbours, given["user_aggregation"])
    assert_equals(model, batch, reference(model, splits, batch, user_graph, item_graph, **layers))


def repeating(build, aggregation="softmax", user_k=20, **properties):
    given = {"repeat_neighbours": True, "user_aggregation": aggregation, "user_k": user_k}
    return build(DRAGON, TWO, **{**PROPERTIES, **given, **properties})


def drawn_neighbours(model, splits):
    """What the epoch's draw lists, checked: every own neighbour first, then repetitions."""
    graph, k = model.user_graph, model.user_graph.neighbours.shape[1]
    own = neighbours_of(splits, k)
    listed = []
    for user, mine in enumerate(own):
        row = graph.neighbours[user].tolist() if mine else []
        assert row[: len(mine)] == [other for other, _ in mine]
        assert set(row) == {other for other, _ in mine}
        listed.append([(other, dict(mine)[other]) for other in row])
    return listed


@pytest.mark.parametrize("aggregation", ["softmax", "mean"])
def test_repeated_neighbours_fill_every_place_and_are_weighted_again(
    build, splits, batch, aggregation
):
    model = repeating(build, aggregation)
    item_graph = dense_item_graph(model, SHARES[2], {}, 4)
    before = dense_user_graph(neighbours_of(splits, 20), aggregation)
    assert_equals(model, batch, reference(model, splits, batch, before, item_graph))
    model.on_epoch_start(3)
    drawn = drawn_neighbours(model, splits)
    assert all(len(row) in (0, 20) for row in drawn)
    after = dense_user_graph(drawn, aggregation)
    assert not torch.allclose(before, after)
    assert_equals(model, batch, reference(model, splits, batch, after, item_graph))


def test_repetitions_are_a_function_of_seed_and_epoch(build):
    def drawn(epoch, **properties):
        model = repeating(build, **properties)
        for earlier in range(epoch + 1):
            torch.rand(earlier + 1)  # the global generator has no say
            model.on_epoch_start(earlier)
        return model.user_graph.neighbours

    straight = repeating(build)
    straight.on_epoch_start(2)
    assert torch.equal(straight.user_graph.neighbours, drawn(2))
    assert not torch.equal(drawn(1), drawn(2))
    assert not torch.equal(drawn(1), drawn(1, seed=5))


def test_weights_are_evaluated_with_the_repetitions_of_their_epoch(build):
    model = repeating(build).eval()
    with torch.no_grad():
        model.on_epoch_start(1)
        best = {name: value.clone() for name, value in model.state_dict().items()}
        expected = model.train().eval().representations()[0]
        model.on_epoch_start(2)
        assert not torch.equal(model.train().eval().representations()[0], expected)
        for other in (model, repeating(build).eval()):
            other.load_state_dict(best)
            torch.testing.assert_close(other.representations()[0], expected)


def test_repetitions_are_drawn_from_repetitions_too():
    """The fourth of four places equals the third with 2/3: as a repetition, or as its original."""
    pairs = torch.tensor([[u, 1] for u in range(1, 4)])
    train = Interactions(pairs[:, 0], pairs[:, 1])
    closest = top_co_occurring(train.users, train.items, 4, 2, 4)
    graph = UserGraph(*closest, "softmax", seed=3)
    alike = torch.zeros(3)
    for epoch in range(1500):
        graph.repeat_neighbours(epoch)
        new = graph.neighbours[1:, 2:]
        alike += (new[:, 0] == new[:, 1]).float()
    assert (alike / 1500).tolist() == pytest.approx([2 / 3] * 3, abs=0.05)


def test_without_repetition_an_epoch_changes_nothing(build):
    model = build(DRAGON, TWO, **PROPERTIES)
    before = {name: buffer.clone() for name, buffer in model.user_graph.named_buffers()}
    model.on_epoch_start(4)
    for name, buffer in model.user_graph.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_users_start_with_weights_that_sum_to_one_and_nobody_is_nan(build):
    model = build(DRAGON, THREE, {"text": [3], "image": [3], "audio": [3]}, **PROPERTIES)
    sums = model.weight_u.sum(1)
    torch.testing.assert_close(sums, torch.ones_like(sums), atol=1e-6, rtol=0)
    assert all(torch.isfinite(part).all() for part in model.representations())
    isolated = [0, 10, 11]
    assert (model.user_graph.weights[isolated] == 0).all()


def test_batch_rows_equal_the_rows_of_all_users(build, batch):
    model = build(DRAGON, TWO, **PROPERTIES).eval()
    with torch.no_grad():
        users, items = model.representations()
        vectors = model.batch_vectors(batch, *model.propagate(), with_negatives=True)
    torch.testing.assert_close(vectors.users, users[batch.users])
    torch.testing.assert_close(vectors.positives, items[batch.positives])
    torch.testing.assert_close(vectors.negatives, items[batch.negatives])


def test_repetitions_survive_a_checkpoint(tiny_data_path, tmp_path):
    """As the conformance suite asks of the default properties, which repeat nothing."""

    def fitted(epochs, resumed=None):
        given = {"data_path": str(tiny_data_path), "checkpoint_dir": str(tmp_path),
                 "embedding_size": 8, "learning_rate": 0.01, "train_batch_size": 128,
                 "epochs": epochs, "user_k": 60, "repeat_neighbours": True}  # fmt: skip
        trainer, train, valid, test = prepare(Config("DRAGON", "tiny", None, given, {}))
        if resumed:
            trainer.resume_checkpoint(resumed.saved_model_file)
        trainer.fit(train, valid, saved=True)
        return trainer, test

    whole, test = fitted(3)
    expected = whole.evaluate(test)
    _, loaded, _, _, test_again = load_data_and_model(whole.saved_model_file)
    assert loaded.evaluate(test_again, load_best_model=False) == expected
    first, _ = fitted(1)
    second, _ = fitted(3, first)
    assert second.valid_curve == whole.valid_curve
    assert second.evaluate(test) == expected
