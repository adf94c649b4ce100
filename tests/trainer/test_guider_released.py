"""GUIDER as released: its formulas against slow references, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch

from recbole_guider.config import Config
from recbole_guider.errors import InputError
from recbole_guider.guider.distillation import candidate_distance
from recbole_guider.guider.released import (
    FixedHashes,
    loss_weights,
    scaled_to_unit,
    triple_weights,
    with_gradients,
)
from recbole_guider.model.base import bpr_loss, logits
from recbole_guider.quick_start import prepare, run
from recbole_guider.trainer.guider_released import GuiderReleasedTrainer

SHORT = {"epochs": 2, "train_batch_size": 64, "embedding_size": 8, "learning_rate": 0.02}


def built(tiny_data_path, backbone: str = "VBPR", **properties) -> GuiderReleasedTrainer:
    own = {"data_path": str(tiny_data_path), "method": "GUIDER-released", **SHORT, **properties}
    trainer, train, _, _ = prepare(Config(backbone, "tiny", None, own, {}))
    trainer._prepare(train)
    return trainer


def features(**widths: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(9, width, generator=generator) for name, width in widths.items()}


def hashes(contents: dict[str, torch.Tensor], bits: int = 16, seed: int = 2) -> FixedHashes:
    generator = torch.Generator().manual_seed(seed)
    return FixedHashes(contents, user_size=5, width=4, bits=bits, generator=generator)


# The teacher's weights ---------------------------------------------------------------------


def test_items_whose_modalities_say_the_same_do_not_disagree():
    torch.manual_seed(0)
    contents = {"text": torch.zeros(3, 6), "image": torch.zeros(3, 4)}
    contents["text"][1] = torch.randn(6)
    contents["image"][2] = torch.randn(4)
    disagreement = hashes(contents).disagreement
    assert disagreement[0] == 0.0
    assert (disagreement[1:] > 0).all()


def test_with_three_modalities_the_disagreement_is_the_mean_over_pairs():
    contents = features(a=6, b=4, c=3)
    generator = torch.Generator().manual_seed(2)
    maps = [torch.randn(x.shape[1], 4, generator=generator) / x.shape[1] ** 0.5
            for x in contents.values()]  # fmt: skip
    a, b, c = (x @ P for x, P in zip(contents.values(), maps))
    expected = ((a - b).norm(dim=1) + (a - c).norm(dim=1) + (b - c).norm(dim=1)) / 3
    torch.testing.assert_close(hashes(contents).disagreement, expected)


def test_similarity_counts_equal_bits():
    contents = features(text=6, image=4)
    found = hashes(contents, bits=8)
    users, items = torch.randn(5, 5), torch.tensor([1, 1, 4, 8, 0])
    generator = torch.Generator().manual_seed(2)
    for x in contents.values():  # the projections are drawn first
        torch.randn(x.shape[1], 4, generator=generator)
    maps = [torch.randn(x.shape[1], 8, generator=generator) for x in contents.values()]
    user_map = torch.randn(5, 8, generator=generator)
    user_bits = users @ user_map >= 0
    shares = [((x[items] @ W >= 0) == user_bits).double().mean(1)
              for x, W in zip(contents.values(), maps)]  # fmt: skip
    expected = torch.stack(shares).mean(0)
    torch.testing.assert_close(found.similarity(users, items).double(), expected)


def test_random_hashes_agree_by_chance():
    """Half of the bits, whatever users like: the weights say nothing."""
    torch.manual_seed(0)
    contents = {"text": torch.randn(2000, 6), "image": torch.randn(2000, 4)}
    similarity = hashes(contents, bits=64).similarity(torch.randn(2000, 5), torch.arange(2000))
    assert similarity.mean().item() == pytest.approx(0.5, abs=0.05)


def test_clean_triples_weigh_their_similarity_and_others_one():
    disagreement = torch.tensor([3.0, 1.0, 2.0, 2.41, 2.39])  # scaled: 1, 0, .5, .705, .695
    similarity = torch.tensor([0.4, 0.5, 0.6, 0.7, 0.45])
    weights = triple_weights(disagreement, similarity, 0.7)
    assert weights.tolist() == pytest.approx([1.0, 0.5, 0.6, 1.0, 0.45])


@pytest.mark.parametrize("n", [0, 1, 3])
def test_equal_disagreements_are_all_clean(n):
    assert scaled_to_unit(torch.full((n,), 2.5)).tolist() == [0.0] * n


def test_the_teachers_loss_is_weighted_bpr(tiny_data_path):
    trainer = built(tiny_data_path)
    teacher, batch = trainer.teacher, next(iter(trainer.batches))
    users, items = teacher.model.propagate()
    vectors = teacher.model.batch_vectors(batch, users, items, with_negatives=True)
    similarity = teacher.hashes.similarity(vectors.users, batch.positives)
    weights = triple_weights(teacher.hashes.disagreement[batch.positives], similarity, 0.7)
    assert 0 < int((weights == 1).sum()) < len(weights)
    expected = (weights * bpr_loss(*logits(vectors))).mean()  # reg_weight 0: nothing besides
    torch.testing.assert_close(teacher.weighted_loss(batch), expected)


def test_the_teacher_is_a_freedom_of_its_own(tiny_data_path):
    trainer = built(tiny_data_path, "FREEDOM", knn_k=3, dropout=0.5)
    teacher, student = trainer.teacher.model, trainer.model
    assert (teacher.dropout, teacher.n_ui_layers, teacher.reg_weight) == (0.1, 2, 0.0)
    assert (student.dropout, student.reg_weight) == (0.5, 0.001)
    assert len(teacher.item_graph.graph.values()) > len(student.item_graph.graph.values())
    before = [parameter.clone() for parameter in student.parameters()]
    teacher_before = teacher.ids.users.weight.clone()
    trainer.on_epoch_start(0)
    assert all(torch.equal(p, old) for p, old in zip(student.parameters(), before))
    assert not torch.equal(teacher.ids.users.weight, teacher_before)
    edges = len(teacher.ids.adjacency.values())
    assert 0.85 * edges < len(teacher.pruned.values()) < 0.95 * edges


# Distillation ------------------------------------------------------------------------------


def test_divergence_is_that_of_the_softmaxes():
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(4, 7, dtype=torch.float64, generator=generator)
    student = torch.randn(4, 7, dtype=torch.float64, generator=generator).requires_grad_()
    p, q = teacher.softmax(1), student.softmax(1)
    torch.testing.assert_close(
        candidate_distance(teacher, student, "kl").value, (p * (p / q).log()).sum(1).mean()
    )
    assert candidate_distance(teacher, teacher, "kl").value.item() == pytest.approx(0.0, abs=1e-12)
    (gradient,) = torch.autograd.grad(candidate_distance(teacher, student, "kl").value, student)
    torch.testing.assert_close(gradient, (q - p) / 4)
    assert not candidate_distance(
        student, teacher, "kl"
    ).value.requires_grad  # none for the teacher


def test_distillation_is_over_all_items_and_some_users(tiny_data_path):
    trainer = built(tiny_data_path, kd_users=5)
    batch = next(iter(trainer.batches))
    trainer.teacher.model.eval()
    some = torch.unique(batch.users[:5])
    users, items = trainer.model.representations()
    wanted, everything = trainer.teacher.model.representations()
    scores = wanted[some] @ everything[1:].T, users[some] @ items[1:].T
    expected = candidate_distance(*scores, "kl").value
    torch.testing.assert_close(trainer.distillation(batch, *trainer.model.propagate()), expected)


def min_norm_share(first: torch.Tensor, second: torch.Tensor) -> float:
    """The closed form of two gradients' min-norm point, as such code is written."""
    v11, v12, v22 = first @ first, first @ second, second @ second
    if v12 >= v11:
        return 0.999
    if v12 >= v22:
        return 0.001
    return float((v22 - v12) / (v11 + v22 - 2 * v12))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("scale", [0.05, 1.0, 20.0])
def test_loss_weights_are_the_min_norm_ones_with_the_first_gradient_left_in(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    native = torch.randn(6, dtype=torch.float64, generator=generator)
    distilled = scale * torch.randn(6, dtype=torch.float64, generator=generator)
    share = min_norm_share(native, native + distilled)
    a, b = loss_weights(
        [native[:2], None, native[2:]], [distilled[:2], None, distilled[2:]], 0.999, 0.5, 1e-4
    )
    assert a.item() == pytest.approx(max(share, 0.5), abs=1e-9)
    assert b.item() == pytest.approx(max(1 - share, 1e-4), abs=1e-9)


def test_distillation_that_agrees_weighs_next_to_nothing():
    native = [torch.tensor([1.0, 0.0]), torch.tensor([2.0])]
    a, b = loss_weights(native, [torch.tensor([5.0, 1.0]), None], 0.999, 0.5, 1e-4)
    assert (a.item(), b.item()) == pytest.approx((0.999, 0.001), abs=1e-6)
    a, b = loss_weights(native, [torch.tensor([-0.5, 0.0]), None], 0.999, 0.5, 1e-4)
    assert (a.item(), b.item()) == pytest.approx((0.5, 0.999), abs=1e-6)
    a, b = loss_weights(native, [torch.zeros(2), None], 0.999, 0.5, 1e-4)
    assert (a.item(), b.item()) == pytest.approx((0.999, 0.001), abs=1e-6)


def test_known_gradients_are_handed_on():
    parameters = [torch.zeros(2, requires_grad=True), torch.zeros(3, requires_grad=True)]
    given = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0, 5.0])]
    loss = with_gradients(torch.tensor(7.0), parameters, given)
    assert loss.item() == 7.0
    (2.0 * loss).backward()
    for parameter, gradient in zip(parameters, given):
        assert torch.equal(parameter.grad, 2.0 * gradient)


@pytest.mark.parametrize("backbone", ["VBPR", "FREEDOM", "BM3", "LightGCN"])
def test_the_students_gradient_is_that_of_the_weighted_sum(tiny_data_path, backbone):
    trainer = built(tiny_data_path, backbone)
    trainer.teacher.model.eval()
    trainer.model.dropout = 0.0
    batch, parameters = next(iter(trainer.batches)), list(trainer.model.parameters())
    loss = trainer.batch_loss(batch)
    loss.backward()
    found = [parameter.grad.clone() for parameter in parameters]
    users, items = trainer.model.propagate()
    terms = trainer.native_loss(batch, users, items), trainer.distillation(batch, users, items)
    gradients = [
        torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        for term in terms
    ]
    a, b = loss_weights(*gradients, 0.999, 0.5, 1e-4)
    whole = a * terms[0] + b * terms[1]
    torch.testing.assert_close(loss, terms[0] + terms[1])
    for ours, expected in zip(found, torch.autograd.grad(whole, parameters)):
        torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(terms[0], trainer.model.native_loss(batch))


# Data and seeds ----------------------------------------------------------------------------


def test_one_modality_makes_every_triple_clean(tiny_data_path):
    trainer = built(tiny_data_path, modalities=["text"])
    hashes_ = trainer.teacher.hashes
    assert (hashes_.disagreement == 0).all()
    weights = triple_weights(hashes_.disagreement, torch.full_like(hashes_.disagreement, 0.3), 0.7)
    assert (weights == 0.3).all()
    result = run("VBPR", "tiny", "GUIDER-released",
                 {"data_path": str(tiny_data_path), **SHORT, "modalities": ["text"]})  # fmt: skip
    assert result["test_result"]["recall@20"] > 0


def test_the_students_random_numbers_do_not_move(tiny_data_path):
    own = {"data_path": str(tiny_data_path), "method": "GUIDER-released", **SHORT}
    trainer, train, _, _ = prepare(Config("VBPR", "tiny", None, own, {}))
    everything, batches = torch.get_rng_state(), trainer.generator.get_state()
    trainer._prepare(train)
    trainer.on_epoch_start(0)
    assert torch.equal(torch.get_rng_state(), everything)
    assert torch.equal(trainer.generator.get_state(), batches)


def test_suspicion_is_the_modalities_disagreement(tiny_data_path):
    trainer = built(tiny_data_path)
    noted = []
    trainer.note_suspicion = lambda batch, suspicion: noted.append((batch, suspicion))
    trainer.on_epoch_start(0)
    ((batch, suspicion),) = noted
    train = trainer.batches.train
    assert torch.equal(batch.rows, torch.arange(len(train)))
    assert torch.equal(suspicion, trainer.teacher.hashes.disagreement[train.items])


def test_a_teacher_that_diverges_says_so(tiny_data_path):
    with pytest.raises(InputError, match="teacher's training loss"):
        run("VBPR", "tiny", "GUIDER-released",
            {"data_path": str(tiny_data_path), **SHORT, "teacher_learning_rate": 1e25})  # fmt: skip
