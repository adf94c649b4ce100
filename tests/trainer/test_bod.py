"""BOD's losses against the oracle, its outer step against finite differences, and its limits."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from recbole_guider.config import Config
from recbole_guider.model.base import logits
from recbole_guider.quick_start import prepare, run
from recbole_guider.registry import backbones
from recbole_guider.trainer.bod import (
    BODTrainer,
    WeightGenerator,
    id_tables,
    matching_distance,
    scaled_to_one,
    uniformity,
    weighted_alignment,
    weighted_bpr,
)

SHORT = {"epochs": 3, "train_batch_size": 64, "embedding_size": 8, "learning_rate": 0.02}

POSITIVE_WEIGHT, NEGATIVE_WEIGHT = [0.9, 0.4, 0.7], [0.3, 0.6, 0.5]
POSITIVE, NEGATIVE = [1.2, -0.3, 0.8], [0.4, 0.9, -0.5]
BPR, BPR_WITH_THE_RELEASED_BROADCAST = 0.5896084626, 0.6254240327
USERS = [[1.0, 0.5], [-0.3, 0.8], [0.6, -0.7]]
ITEMS = [[0.8, 0.7], [0.2, 0.9], [-0.5, -0.6]]
ALIGNMENT, ALIGNMENT_WITH_THE_RELEASED_BROADCAST = 0.4515625439, 0.4568307002
UNIFORMITY = -3.6678939983
REAL = [[0.2, -0.1], [0.0, 0.3], [-0.4, 0.5], [0.1, 0.1]]
SYNTHETIC = [[0.1, -0.2], [0.1, 0.2], [-0.3, 0.1], [0.0, 0.4]]
MATCHING = 0.5122089098


def double(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def built(tiny_data_path, backbone: str = "LightGCN", **properties) -> BODTrainer:
    """A trainer after its warm-up; in float64 throughout if ``float64`` is given."""
    float64 = properties.pop("float64", False)
    own = {"data_path": str(tiny_data_path), "method": "BOD", **SHORT, **properties}
    trainer, train, _, _ = prepare(Config(backbone, "tiny", None, own, {}))
    trainer._prepare(train)
    trainer.epoch = trainer.warmup_epochs
    if float64:
        trainer.model.double()
        trainer.weight_generator.double()
    return trainer


def vectors_of(trainer: BODTrainer, batch):
    users, items = trainer.model.propagate()
    return users, items, trainer.model.batch_vectors(batch, users, items, with_negatives=True)


# Losses against the oracle -----------------------------------------------------------------


def test_weights_multiply_scores_and_not_losses():
    scores, weights = (double(POSITIVE), double(NEGATIVE)), (POSITIVE_WEIGHT, NEGATIVE_WEIGHT)
    loss = weighted_bpr(*scores, *map(double, weights)).item()
    assert loss == pytest.approx(BPR, abs=1e-9)
    assert loss != pytest.approx(BPR_WITH_THE_RELEASED_BROADCAST, abs=1e-3)


def test_alignment_weighs_every_pair_by_its_own_weight():
    loss = weighted_alignment(double(USERS), double(ITEMS), double(POSITIVE_WEIGHT)).item()
    assert loss == pytest.approx(ALIGNMENT, abs=1e-9)
    assert loss != pytest.approx(ALIGNMENT_WITH_THE_RELEASED_BROADCAST, abs=1e-3)


def test_a_column_of_weights_is_refused_instead_of_broadcast():
    column = double(POSITIVE_WEIGHT)[:, None]
    with pytest.raises(ValueError, match="one shape"):
        weighted_alignment(double(USERS), double(ITEMS), column)
    with pytest.raises(ValueError, match="one shape"):
        weighted_bpr(double(POSITIVE), double(NEGATIVE), column, column)


def test_uniformity_compares_different_rows():
    assert uniformity(double(USERS), 2.0).item() == pytest.approx(UNIFORMITY, abs=1e-9)


def test_uniformity_is_that_of_all_distances():
    rows = torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rows[3] = rows[7]  # the same user twice in a batch
    rows.requires_grad_()
    slow = torch.pdist(functional.normalize(rows)).pow(2).mul(-3.0).exp().mean().log()
    torch.testing.assert_close(uniformity(rows, 3.0), slow)
    assert torch.autograd.gradcheck(lambda x: uniformity(x, 3.0), rows)


@pytest.mark.parametrize("n", [0, 1])
def test_uniformity_without_a_pair_is_zero_with_a_gradient(n):
    rows = torch.ones(n, 3, requires_grad=True)
    value = uniformity(rows, 2.0)
    value.backward()
    assert value.item() == 0.0
    assert (rows.grad == 0).all()


def test_gradients_are_matched_per_embedding_dimension():
    real, synthetic = double(REAL), double(SYNTHETIC)
    distance = matching_distance(real, synthetic).item()
    norms, products = real.norm(dim=0) * synthetic.norm(dim=0), (real * synthetic).sum(0)
    assert distance == pytest.approx((1 - products / norms).sum().item(), abs=1e-12)
    # The oracle adds 1e-6 to the norms' product; gradients of real data are smaller than that.
    assert (1 - products / (norms + 1e-6)).sum().item() == pytest.approx(MATCHING, abs=1e-9)
    assert distance == pytest.approx(MATCHING, abs=1e-5)


def test_matching_does_not_depend_on_the_scale_and_a_dimension_of_zeros_counts_one():
    real, synthetic = double(REAL), double(SYNTHETIC)
    tiny = matching_distance(1e-12 * real, synthetic).item()
    assert tiny == pytest.approx(matching_distance(real, synthetic).item(), abs=1e-12)
    real[:, 0] = 0.0
    expected = 1.0 + matching_distance(real[:, 1:], synthetic[:, 1:]).item()
    assert matching_distance(real, synthetic).item() == pytest.approx(expected)


# Weights -----------------------------------------------------------------------------------


def test_weights_are_one_per_pair_between_floor_and_limit():
    torch.manual_seed(0)
    generator = WeightGenerator(4, 8, floor=0.25)
    users, items = 100 * torch.randn(50, 4), 100 * torch.randn(50, 4)
    weights = generator(users, items).detach()
    assert weights.shape == (50,)
    assert weights.min() == pytest.approx(0.25, abs=0.05)
    assert weights.max() == pytest.approx(1.0, abs=0.05)
    assert not torch.equal(weights, generator(users, users))


def test_only_the_ratios_of_a_batchs_weights_count():
    weights = double(POSITIVE_WEIGHT), double(NEGATIVE_WEIGHT)
    positive, negative = scaled_to_one(*weights)
    assert torch.cat([positive, negative]).mean().item() == pytest.approx(1.0)
    torch.testing.assert_close(positive / negative, weights[0] / weights[1])
    halves = scaled_to_one(weights[0] / 2, weights[1] / 2)
    torch.testing.assert_close(halves, (positive, negative))


def test_no_generator_changes_the_scale_of_all_scores(tiny_data_path):
    trainer = built(tiny_data_path)
    for parameter in trainer.weight_generator.parameters():
        parameter.data.mul_(5.0)
    trainer.weight_generator.layers[-1].bias.data.fill_(-4.0)  # weights near their floor
    found = trainer.match(trainer.random_batch())
    weights = torch.cat([found.positive, found.negative])
    assert weights.std() > 0.05
    assert weights.mean().item() == pytest.approx(1.0, abs=1e-5)


def test_an_untrained_generator_gives_the_warm_ups_weight(tiny_data_path):
    trainer = built(tiny_data_path)
    found = trainer.match(trainer.random_batch())
    assert (torch.cat([found.positive, found.negative]) - 1.0).abs().max() < 0.2


def test_the_generator_reads_users_with_their_items(tiny_data_path):
    trainer = built(tiny_data_path)
    batch = trainer.random_batch()
    _, _, vectors = vectors_of(trainer, batch)
    generator = trainer.weight_generator
    expected = scaled_to_one(
        generator(vectors.users, vectors.positives), generator(vectors.users, vectors.negatives)
    )
    found = trainer.match(batch)
    for weights, inner, outer in zip(
        expected, trainer.weights(vectors), (found.positive, found.negative)
    ):
        assert torch.equal(inner, weights)
        assert torch.equal(outer, weights)


@pytest.mark.parametrize("backbone", ["FREEDOM", "BM3"])
def test_inner_loss_is_the_sum_of_its_terms(tiny_data_path, backbone):
    trainer = built(tiny_data_path, backbone, alignment_weight=0.7, uniformity_ratio=0.3,
                    bod_ranking_weight=0.4, uniformity_sample=16, weight_floor=0.0)  # fmt: skip
    trainer.model.dropout = 0.0
    batch = trainer.random_batch()
    users, items, vectors = vectors_of(trainer, batch)
    positive, negative = trainer.weights(vectors)
    assert positive.std() > 0
    s_ui, s_uj = logits(vectors)
    ranking = -functional.logsigmoid(positive * s_ui - negative * s_uj).mean()
    if backbone == "BM3":
        term = trainer.model.positive_term(batch, users, items, vectors)
        ranking = 0.4 * ranking + (positive * term).mean()
    u, i, j = (functional.normalize(part) for part in vectors)
    aligned = (positive * (u - i).norm(dim=1).square()).mean()
    spread = [torch.pdist(part[:16]).pow(2).mul(-2).exp().mean().log() for part in (u, u, i, j)]
    expected = ranking + 0.7 * (aligned + 0.3 * sum(spread) / 4)
    expected = expected + trainer.model.auxiliary_loss(batch, users, items, vectors)
    torch.testing.assert_close(trainer.batch_loss(batch), expected)


def test_a_low_weight_is_what_looks_like_noise(tiny_data_path):
    trainer = built(tiny_data_path)
    noted = []
    trainer.note_suspicion = lambda batch, suspicion: noted.append((batch, suspicion))
    batch = trainer.random_batch()
    positive, _ = trainer.weights(vectors_of(trainer, batch)[2])
    trainer.batch_loss(batch)
    ((seen, suspicion),) = noted
    assert seen is batch
    torch.testing.assert_close(suspicion, 1.0 - positive.detach())
    trainer.epoch = trainer.warmup_epochs - 1
    trainer.batch_loss(batch)
    assert len(noted) == 1  # weights of 1 for all say nothing


def test_the_inner_step_does_not_train_the_generator(tiny_data_path):
    trainer = built(tiny_data_path)
    trainer.batch_loss(trainer.random_batch()).backward()
    assert all(parameter.grad is None for parameter in trainer.weight_generator.parameters())


# Outer step --------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", backbones())
def test_the_generators_gradient_is_that_of_the_matching_distance(tiny_data_path, backbone):
    """Finite differences of the distance, which need no gradient of a gradient."""
    trainer = built(tiny_data_path, backbone, float64=True)
    trainer.model.eval()
    batch = trainer.random_batch()
    parameters = list(trainer.weight_generator.parameters())
    for parameter in parameters:  # far from w = 1/2, and nothing is zero by chance
        parameter.data.mul_(3.0)
    gradients = torch.autograd.grad(trainer.match(batch).distance, parameters)
    generator = torch.Generator().manual_seed(3)
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    step, values = 1e-7, []  # small: the ReLUs have kinks
    for sign in (1.0, -2.0):
        for parameter, change in zip(parameters, direction):
            parameter.data.add_(change, alpha=sign * step)
        values.append(trainer.match(batch).distance.item())
    slope = sum((g * d).sum() for g, d in zip(gradients, direction)).item()
    assert abs(slope) > 1e-8
    assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)


@pytest.mark.parametrize("backbone", backbones())
def test_the_outer_step_moves_the_generator_and_nothing_else(tiny_data_path, backbone):
    trainer = built(tiny_data_path, backbone)
    trainer.model.eval()
    trainer.batch_loss(trainer.random_batch()).backward()
    model, generator = trainer.model, trainer.weight_generator
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    before = [parameter.detach().clone() for parameter in generator.parameters()]
    trainer.outer_step(trainer.random_batch())
    for parameter, weight, gradient in zip(model.parameters(), weights, gradients):
        assert torch.equal(parameter, weight)
        assert torch.equal(parameter.grad, gradient)
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert any(not torch.equal(p, old) for p, old in zip(generator.parameters(), before))


def test_outer_steps_bring_the_gradients_together(tiny_data_path):
    trainer = built(tiny_data_path, generator_learning_rate=0.01, weight_prior=0.0)
    batch = trainer.random_batch()
    distances = [trainer.outer_step(batch).distance.item() for _ in range(40)]
    assert distances[-1] < distances[0] - 0.01


def test_the_prior_holds_the_weights_at_one(tiny_data_path):
    trainer = built(tiny_data_path, weight_prior=1e6, generator_learning_rate=0.01)
    trainer.weight_generator.layers[-1].weight.data.mul_(10.0)
    for _ in range(300):
        found = trainer.outer_step(trainer.random_batch())
    assert (torch.cat([found.positive, found.negative]) - 1.0).abs().max() < 0.05


@pytest.mark.parametrize("backbone", ["LightGCN", "VBPR"])
def test_twice_the_columns_leave_the_priors_share_as_it_was(tiny_data_path, backbone):
    trainer = built(tiny_data_path, backbone, float64=True)
    trainer.model.eval()
    batch = trainer.random_batch()
    for parameter in trainer.weight_generator.parameters():  # the prior has a gradient away from 1
        parameter.data.mul_(3.0)

    def pull() -> torch.Tensor:
        parameters = list(trainer.weight_generator.parameters())
        found = torch.autograd.grad(trainer.outer_loss(trainer.match(batch)), parameters)
        return torch.cat([part.flatten() for part in found])

    once = pull()
    trainer.tables = [*trainer.tables, *trainer.tables]
    torch.testing.assert_close(pull(), 2.0 * once)


def test_outer_steps_come_after_the_warm_up(tiny_data_path):
    own = {"data_path": str(tiny_data_path), **SHORT, "epochs": 4, "warmup_epochs": 2}
    reports = run("LightGCN", "tiny", "BOD", {**own, "outer_steps": 3})["diagnostics"]["weights"]
    assert [report["epoch"] for report in reports] == [2, 3]
    assert "weights" not in run("LightGCN", "tiny", "BOD", {**own, "outer_steps": 0})["diagnostics"]


@pytest.mark.parametrize("backbone", backbones())
def test_only_id_tables_are_matched(tiny_data_path, backbone):
    model = built(tiny_data_path, backbone, **({"train_features": True} if backbone in (
        "BM3", "FREEDOM", "MGCN", "VBPR", "MMGCN", "DRAGON") else {})).model  # fmt: skip
    model.same_height = nn.Linear(3, model.n_users)
    chosen = {id(table) for table in id_tables(model)}
    names = {name for name, table in model.named_parameters() if id(table) in chosen}
    expected = {
        "BPR": {"user_embedding.weight", "item_embedding.weight"},
        "VBPR": {"user_embedding.weight", "item_embedding.weight"},
        "MMGCN": {"ids", "preference_text", "preference_image"},
        "DRAGON": {"preferences.text", "preferences.image", "weight_u"},
    }
    assert names == expected.get(backbone, {"ids.users.weight", "ids.items.weight"})


def test_a_table_without_a_gradient_is_left_out(tiny_data_path):
    trainer = built(tiny_data_path)
    batch = trainer.random_batch()
    expected = trainer.match(batch).distance
    trainer.tables.append(nn.Parameter(torch.zeros(trainer.model.n_users, 8)))
    assert trainer.match(batch).distance == expected


# Limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["LightGCN", "FREEDOM", "VBPR"])
def test_with_weights_of_one_and_without_its_terms_it_is_the_backbone(tiny_data_path, backbone):
    own = {"data_path": str(tiny_data_path), **SHORT}
    alone = run(backbone, "tiny", "Base", own)
    off = {"warmup_epochs": 100, "alignment_weight": 0.0}
    ours = run(backbone, "tiny", "BOD", {**own, **off})
    assert ours["valid_curve"] == alone["valid_curve"]
    assert ours["test_result"] == alone["test_result"]


def test_bm3_without_the_added_terms_is_the_backbone_on_its_own_negatives(tiny_data_path):
    own = {"data_path": str(tiny_data_path), **SHORT}
    off = {"warmup_epochs": 100, "alignment_weight": 0.0}
    ours = run("BM3", "tiny", "BOD", {**own, **off, "bod_ranking_weight": 0.0})
    assert ours["valid_curve"] == run("BM3", "tiny", "Base", own)["valid_curve"]


def test_the_students_random_numbers_do_not_move(tiny_data_path):
    own = {"data_path": str(tiny_data_path), "method": "BOD", **SHORT}
    trainer, train, _, _ = prepare(Config("LightGCN", "tiny", None, own, {}))
    everything, batches = torch.get_rng_state(), trainer.generator.get_state()
    trainer._prepare(train)
    trainer.on_epoch_start(trainer.warmup_epochs)
    assert torch.equal(torch.get_rng_state(), everything)
    assert torch.equal(trainer.generator.get_state(), batches)


def test_a_batch_of_one_is_harmless(tiny_data_path):
    trainer = built(tiny_data_path, train_batch_size=1)
    assert torch.isfinite(trainer.batch_loss(next(iter(trainer.batches))))
    trainer.on_epoch_start(trainer.warmup_epochs)
    assert all(torch.isfinite(p).all() for p in trainer.weight_generator.parameters())
