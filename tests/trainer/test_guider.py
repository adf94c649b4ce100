"""GUIDER's trainer: its limits are the methods it must reduce to."""

from __future__ import annotations

import pytest
import torch

from recbole_guider.config import Config
from recbole_guider.errors import InputError
from recbole_guider.guider.calibration import distinct_rows
from recbole_guider.quick_start import prepare, run
from recbole_guider.trainer.guider import GuiderTrainer

SHORT = {"epochs": 4, "train_batch_size": 128, "embedding_size": 8, "learning_rate": 0.02,
         "teacher_learning_rate": 0.02, "warmup_epochs": 1}  # fmt: skip


def result(tiny_data_path, method: str, backbone: str = "BM3", **properties):
    own = {"data_path": str(tiny_data_path), **SHORT, **properties}
    if method == "Base":
        own = {key: value for key, value in own.items() if not key.startswith(("teacher", "warm"))}
    return run(backbone, "tiny", method, own)


def trainer(tiny_data_path, **properties) -> tuple[GuiderTrainer, object]:
    own = {"data_path": str(tiny_data_path), "method": "GUIDER", **SHORT, **properties}
    guider, train, _, _ = prepare(Config("BM3", "tiny", None, own, {}))
    guider._prepare(train)
    return guider, train


@pytest.mark.parametrize("backbone", ["BM3", "VBPR", "LightGCN"])
def test_without_distillation_the_student_is_the_backbone(tiny_data_path, backbone):
    alone = result(tiny_data_path, "Base", backbone)
    guided = result(tiny_data_path, "GUIDER", backbone, kd_weight=0.0)
    assert guided["valid_curve"] == alone["valid_curve"]
    assert guided["test_result"] == alone["test_result"]


def test_distillation_changes_the_student(tiny_data_path):
    alone = result(tiny_data_path, "Base")
    guided = result(tiny_data_path, "GUIDER", kd_weight=5.0)
    assert guided["valid_curve"] != alone["valid_curve"]


def test_an_endless_warm_up_is_the_variant_without_dbpr(tiny_data_path):
    endless = result(tiny_data_path, "GUIDER", warmup_epochs=100, kd_weight=1.0)
    variant = result(tiny_data_path, "GUIDER-DBPR", warmup_epochs=100, kd_weight=1.0)
    assert endless["valid_curve"] == variant["valid_curve"]


def test_a_threshold_of_one_rescues_nothing(tiny_data_path):
    partitions = result(tiny_data_path, "GUIDER", amsc_threshold=1.0)["diagnostics"]["partition"]
    assert partitions
    assert all(point["rescued"] == 0.0 for point in partitions)
    assert all(point["false"] == point["spurious"] > 0.0 for point in partitions)


def test_a_low_threshold_rescues_some(tiny_data_path):
    partitions = result(tiny_data_path, "GUIDER", amsc_threshold=0.05)["diagnostics"]["partition"]
    assert any(point["rescued"] > 0.0 for point in partitions)


def test_the_first_partition_waits_for_the_warm_up(tiny_data_path):
    partitions = result(tiny_data_path, "GUIDER", warmup_epochs=3)["diagnostics"]["partition"]
    assert [point["epoch"] for point in partitions] == [2, 3]


def test_the_teacher_is_no_part_of_the_student(tiny_data_path):
    guider, _ = trainer(tiny_data_path)
    guided = {id(p) for group in guider.optimizer.param_groups for p in group["params"]}
    taught = {id(p) for p in guider.teacher.model.parameters()}
    assert not guided & taught
    assert not any("teacher" in name for name in guider.model.state_dict())


def test_false_items_take_the_negatives_place_in_distillation(tiny_data_path):
    guider, train = trainer(tiny_data_path, ot_sample_size=64)
    interactions = train.splits.train
    clean = torch.ones(len(interactions), dtype=torch.bool)
    clean[::4] = False
    guider._use_partition(clean)
    pairs = list(zip(interactions.users.tolist(), interactions.items.tolist()))
    false = {pair for pair, is_clean in zip(pairs, clean.tolist()) if not is_clean}
    observed = set(pairs)
    with_false = {user for user, _ in false}
    triples = guider._distillation_triples(next(iter(guider.batches)))
    assert len(triples.users) == 64
    for user, positive, negative, row in zip(
        triples.users.tolist(), triples.positives.tolist(), triples.negatives.tolist(),
        triples.rows.tolist(),
    ):  # fmt: skip
        assert clean[row]
        assert interactions.items[row] == positive
        if user in with_false:
            assert (user, negative) in false
        else:
            assert (user, negative) not in observed


def test_kd_weight_ramps_up_over_the_warm_up(tiny_data_path):
    guider, _ = trainer(tiny_data_path, warmup_epochs=4, kd_weight=0.8)
    weights = []
    for guider.epoch in range(6):
        weights.append(guider.current_kd_weight())
    assert weights == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


def test_teacher_scores_are_softplus_of_minus_the_logit(tiny_data_path):
    guider, train = trainer(tiny_data_path)
    guider.teacher.model.eval()
    losses = guider.teacher.interaction_losses(train.splits.train)
    with torch.no_grad():
        users, items = guider.teacher.model.propagate()
    one = (users[train.splits.train.users[5]] * items[train.splits.train.items[5]]).sum()
    assert losses[5].item() == pytest.approx(torch.log1p(torch.exp(-one)).item(), abs=1e-6)


def test_ratings_turn_into_precision_and_recall(tiny_data_path):
    point = result(tiny_data_path, "GUIDER", likely_false_rating=2)["diagnostics"]["partition"][-1]
    assert 0.0 < point["base_rate"] < 1.0
    assert {"precision", "recall"} <= point.keys()


def test_a_batch_without_true_interactions_is_harmless(tiny_data_path):
    guider, train = trainer(tiny_data_path, kd_weight=1.0)
    guider._use_partition(torch.zeros(len(train.splits.train), dtype=torch.bool))
    batch = next(iter(guider.batches))
    loss = guider.batch_loss(batch)
    assert torch.isfinite(loss)
    guider.teacher.train_epoch(guider._teacher_loss)
    assert torch.isfinite(guider.teacher.interaction_losses(train.splits.train)).all()


def test_teachers_of_neighbouring_seeds_are_no_ones_student(tiny_data_path):
    guider, _ = trainer(tiny_data_path, seed=1)
    own = {"data_path": str(tiny_data_path), "embedding_size": 8, "seed": 2}
    student, _, _, _ = prepare(Config("LightGCN", "tiny", None, own, {}))
    teacher = guider.teacher.model.ids.users.weight
    assert not torch.equal(teacher, student.model.ids.users.weight)


def test_the_literal_form_warms_up_with_plain_bpr(tiny_data_path):
    guider, _ = trainer(tiny_data_path, dbpr="literal", warmup_epochs=3, teacher_reg_weight=0.0)
    before = guider.teacher.model.ids.users.weight.clone()
    guider.on_epoch_start(0)
    assert not torch.equal(before, guider.teacher.model.ids.users.weight)


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"teacher_model": "VBPR"}, "reads item modalities"),
        ({"teacher_model": "LigtGCN"}, "Did you mean 'LightGCN'"),
        ({"teacher_learning_rate": 1e25}, "teacher's training loss"),
        ({"learning_rate": 1e30, "epochs": 1}, "Lower learning_rate"),
        ({"amsc_quantile": 1.5}, "amsc_quantile: expected a number"),
        ({"kd_weight": None}, "kd_weight: expected a number"),
        ({"ot_marginals": "sofmax"}, "Did you mean 'softmax'"),
        ({"hash": "cma"}, "Did you mean 'cca'"),
        ({"embedding_size": 0}, "a whole number, >= 1"),
        ({"eval_args": {"mode": "uni100"}}, "expected full"),
        ({"save_dataset": True}, "save_dataset"),
    ],
)
def test_mistakes_are_one_line(tiny_data_path, properties, message):
    with pytest.raises(InputError, match=message) as caught:
        result(tiny_data_path, "GUIDER", **properties)
    assert "\n" not in str(caught.value)


def test_distinct_rows():
    rows = torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [5.0, 6.0]])
    assert distinct_rows(rows).tolist() == [True, False, True, False, True]
