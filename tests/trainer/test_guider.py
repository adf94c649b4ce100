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


@pytest.mark.parametrize(
    ("method", "warmup", "first"),
    [("GUIDER", 0, 0), ("GUIDER", 3, 2), ("GUIDER-no-KD", 0, 1), ("GUIDER-no-KD", 3, 3)],
)
def test_the_losses_split_after_as_many_epochs_of_the_model_they_are_of(
    tiny_data_path, method, warmup, first
):
    """A teacher has trained in an epoch before its losses split it, a student has not yet."""
    found = result(tiny_data_path, method, warmup_epochs=warmup)["diagnostics"]["partition"]
    assert found[0]["epoch"] == first


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
    guider, train = trainer(tiny_data_path, kd_sample_size=64)
    interactions = train.splits.train
    clean = torch.ones(len(interactions), dtype=torch.bool)
    clean[::4] = False
    guider._use_partition(clean)
    pairs = list(zip(interactions.users.tolist(), interactions.items.tolist()))
    false = {pair for pair, is_clean in zip(pairs, clean.tolist()) if not is_clean}
    observed = set(pairs)
    with_false = {user for user, _ in false}
    triples = guider.distiller.triples(
        next(iter(guider.batches)), clean, guider.false_items, guider.batches.sampler
    )
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


def test_pairs_are_scored_by_inner_products(tiny_data_path):
    guider, train = trainer(tiny_data_path)
    guider.teacher.model.eval()
    interactions = train.splits.train
    scores = guider.teacher.model.score_pairs(interactions.users, interactions.items)
    with torch.no_grad():
        users, items = guider.teacher.model.propagate()
    one = (users[interactions.users[5]] * items[interactions.items[5]]).sum()
    assert scores[5].item() == pytest.approx(one.item(), abs=1e-6)


def test_ratings_turn_into_precision_and_recall(tiny_data_path):
    point = result(tiny_data_path, "GUIDER", likely_false_rating=2)["diagnostics"]["detection"][-1]
    assert point["label"] == "low_rating"
    assert 0.0 < point["base_rate"] < 1.0
    assert 0.0 < point["precision"] <= 1.0
    assert 0.0 < point["recall"] <= 1.0


def test_the_partition_finds_the_taste_that_was_planted(tiny_data_path):
    """Low ratings are the items of the other group; a trained teacher gives them larger losses."""
    own = {"likely_false_rating": 2, "epochs": 12, "warmup_epochs": 4}
    found = result(tiny_data_path, "GUIDER", **own)["diagnostics"]["detection"][-1]
    assert found["auc"] > 0.6
    assert found["precision"] > found["base_rate"] + 0.1


def one_loss(tiny_data_path, **properties) -> tuple[GuiderTrainer, torch.Tensor]:
    guider, _ = trainer(tiny_data_path, **properties)
    for epoch in range(2):  # the first epoch brings the partition
        guider.epoch = epoch
        guider.on_epoch_start(epoch)
    guider.model.train()
    if guider.teacher is not None:
        guider.teacher.model.zero_grad()
    return guider, guider.batch_loss(next(iter(guider.batches)))


@pytest.mark.parametrize("kd_loss", ["ot", "kl", "mse"])
@pytest.mark.parametrize("distillation", ["margins", "candidates"])
@pytest.mark.parametrize("standardise", [True, False])
def test_every_distillation_moves_the_student_and_not_the_teacher(
    tiny_data_path, distillation, kd_loss, standardise
):
    guider, loss = one_loss(
        tiny_data_path, distillation=distillation, kd_loss=kd_loss, kd_weight=1.0,
        kd_standardise=standardise,
    )  # fmt: skip
    loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in guider.teacher.model.parameters())
    with_distance = guider.model.ids.users.weight.grad.clone()
    guider.model.zero_grad()
    guider.distiller = None
    guider.batch_loss(next(iter(guider.batches))).backward()
    assert not torch.allclose(with_distance, guider.model.ids.users.weight.grad)


@pytest.mark.parametrize("distillation", ["margins", "candidates"])
def test_every_epoch_reports_its_distillation(tiny_data_path, distillation):
    own = {"distillation": distillation, "kd_loss": "kl" if distillation == "candidates" else "ot"}
    points = result(tiny_data_path, "GUIDER", **own)["diagnostics"]["distillation"]
    assert [point["epoch"] for point in points] == [0, 1, 2, 3]
    for point in points:
        assert point["distance"] >= 0.0
        assert 0.0 < point["teacher_spread"] < 10.0
        assert 0.0 < point["student_spread"] < 10.0
        assert point["marginal_error"] < 1e-3
    assert points[0]["teacher_spread"] < points[-1]["teacher_spread"]  # it learns


@pytest.mark.parametrize(
    "reading",
    [
        {"partition_feeds": "both"},
        {"distillation": "candidates", "kd_loss": "kl", "student_loss": "dbpr"},
    ],
)
def test_readings_resume_as_if_they_had_not_stopped(tiny_data_path, tmp_path, reading):
    def fresh(epochs):
        own = {"data_path": str(tiny_data_path), "method": "GUIDER", **SHORT, **reading,
               "checkpoint_dir": str(tmp_path), "epochs": epochs}  # fmt: skip
        return prepare(Config("BM3", "tiny", None, own, {}))

    whole, train, valid, _ = fresh(4)
    whole.fit(train, valid, saved=False)
    first, train, valid, _ = fresh(2)
    first.fit(train, valid, saved=True)
    second, train, valid, _ = fresh(4)
    second.resume_checkpoint(first.saved_model_file)
    second.fit(train, valid, saved=False)
    assert second.valid_curve == whole.valid_curve
    assert second.diagnostics == whole.diagnostics


def test_distillation_on_candidates_brings_the_student_to_its_teacher(tiny_data_path):
    """A student that is trained by distillation alone ends with its teacher's ranking."""
    guider, _ = trainer(tiny_data_path, distillation="candidates", kd_loss="kl", warmup_epochs=0)
    teacher, student = guider.teacher, guider.model
    for _ in range(10):
        teacher.train_epoch(guider._teacher_loss, 0)
    everyone, pool = torch.arange(1, guider.n_users), guider.distiller.candidates

    def agreement() -> float:
        student.eval()
        with torch.no_grad():
            users, items = student.representations()
        pair = torch.stack([
            (users[everyone] @ items[pool].T).flatten(),
            teacher.candidate_logits(everyone, pool).flatten(),
        ])  # fmt: skip
        return float(torch.corrcoef(pair)[0, 1])

    before = agreement()
    for _ in range(60):
        student.train()
        guider.optimizer.zero_grad()
        batch = next(iter(guider.batches))
        guider.distiller.distance(
            batch, *student.propagate(), guider.clean, guider.false_items, guider.batches.sampler
        ).backward()
        guider.optimizer.step()
    assert agreement() > max(0.8, before + 0.3)


def test_the_partition_can_leave_the_teachers_graph(tiny_data_path):
    guider, train = trainer(tiny_data_path, partition_feeds="graph")
    edges = guider.teacher.model.ids.adjacency.values().numel()
    assert edges == 2 * len(train.splits.train)
    guider.on_epoch_start(0)
    assert guider.teacher.model.ids.adjacency.values().numel() == 2 * int(guider.clean.sum())
    assert 0 < int(guider.clean.sum()) < len(train.splits.train)


def test_without_distillation_the_student_judges_itself(tiny_data_path):
    guider, loss = one_loss(tiny_data_path, distillation="none", partition_from="student",
                            student_loss="dbpr")  # fmt: skip
    assert guider.teacher is None
    assert guider.judge is guider.model
    assert 0 < int(guider.clean.sum()) < len(guider.clean)
    assert torch.isfinite(loss)


@pytest.mark.parametrize("false_weight", [0.0, 0.4])
@pytest.mark.parametrize("backbone", ["BM3", "VBPR"])
def test_a_denoised_students_loss_is_dbpr(tiny_data_path, backbone, false_weight):
    """Against the formula, row by row, on one batch."""
    own = {"data_path": str(tiny_data_path), "method": "GUIDER-no-KD", "embedding_size": 8,
           "dbpr_weight": 0.7, "warmup_epochs": 1, "train_batch_size": 64,
           "false_weight": false_weight}  # fmt: skip
    guider, train, _, _ = prepare(Config(backbone, "tiny", None, own, {}))
    guider._prepare(train)
    guider.on_epoch_start(1)
    guider.model.eval()
    model, batch = guider.model, next(iter(guider.batches))
    state = guider.teacher_generator.get_state()
    loss = guider.batch_loss(batch)
    guider.teacher_generator.set_state(state)
    users, items = model.propagate()
    vectors = model.batch_vectors(batch, users, items, with_negatives=True)
    clean = guider.clean[batch.rows]
    if backbone == "BM3":
        terms = model.positive_term(batch, users, items, vectors)
    else:
        positive = (vectors.users * vectors.positives).sum(-1)
        terms = torch.log1p(torch.exp((vectors.users * vectors.negatives).sum(-1) - positive))
    weights = torch.where(clean, 1.0, false_weight)
    expected = (terms * weights).sum() / weights.sum()
    expected = expected + model.auxiliary_loss(batch, users, items, vectors)
    false, has_false = guider.false_items.draw(batch.users, guider.teacher_generator)
    counts = clean & has_false
    user, own_item = vectors.users[counts], vectors.positives[counts]
    margin = (user * (own_item - model.item_vectors(items, false[counts]))).sum(-1)
    expected = expected + 0.7 * torch.log1p(torch.exp(-margin)).mean()
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("false_weight", [0.0, 0.4, 1.0])
def test_the_teachers_loss_is_dbpr(tiny_data_path, false_weight):
    guider, _ = trainer(tiny_data_path, false_weight=false_weight, dbpr_weight=0.7,
                        teacher_reg_weight=0.0)  # fmt: skip
    guider.on_epoch_start(0)
    model, batch = guider.teacher.model, next(iter(guider.batches))
    state = guider.teacher_generator.get_state()
    loss = guider._teacher_loss(batch)
    guider.teacher_generator.set_state(state)
    if false_weight == 0.0:
        batch = batch.select(guider.clean[batch.rows])
    clean = guider.clean[batch.rows]
    users, items = model.propagate()
    user, positive = users[batch.users], items[batch.positives]
    terms = torch.log1p(torch.exp(-(user * (positive - items[batch.negatives])).sum(-1)))
    weights = torch.where(clean, 1.0, false_weight)
    false, has_false = guider.false_items.draw(batch.users, guider.teacher_generator)
    counts = clean & has_false
    margin = (user * (positive - items[false])).sum(-1)[counts]
    expected = (terms * weights).sum() / weights.sum()
    expected = expected + 0.7 * torch.log1p(torch.exp(-margin)).mean()
    torch.testing.assert_close(loss, expected)


def test_the_ablations_state_what_they_change(tiny_data_path):
    from recbole_guider.property_layers import resolve

    full = resolve("BM3", "GUIDER", "tiny")
    changed = {
        method: {k: v for k, v in resolve("BM3", method, "tiny").items() if v != full[k]}
        for method in ("GUIDER-DBPR", "GUIDER-no-AMSC")
    }
    for change in changed.values():
        change.pop("method")
    assert changed == {"GUIDER-DBPR": {"dbpr": "none"}, "GUIDER-no-AMSC": {"amsc_threshold": 1.0}}


def test_a_batch_without_true_interactions_is_harmless(tiny_data_path):
    guider, train = trainer(tiny_data_path, kd_weight=1.0)
    guider._use_partition(torch.zeros(len(train.splits.train), dtype=torch.bool))
    batch = next(iter(guider.batches))
    loss = guider.batch_loss(batch)
    assert torch.isfinite(loss)
    guider.teacher.train_epoch(guider._teacher_loss, 1)
    interactions = train.splits.train
    scores = guider.teacher.model.score_pairs(interactions.users, interactions.items)
    assert torch.isfinite(scores).all()


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
        (
            {"partition_feeds": "graph", "teacher_model": "BPR", "teacher_reg_weight": 0.1},
            "teacher_model BPR has no graph",
        ),
        ({"partition_feeds": "both", "partition_from": "student"}, "only a teacher's graph"),
        ({"kd_loss": "k1"}, "Known: kl, mse, ot"),
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
