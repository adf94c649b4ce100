from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from recbole_guider.errors import InputError
from recbole_guider.kernels import alignment
from recbole_guider.kernels.alignment import align_learned, align_linear
from recbole_guider.kernels.hashing import cross_modal_hash, hash_confidence, sign_hash

# A worked example: six items in two modalities, one W and b for both.
TEXT = [[1, 0.2, -0.1], [0.9, 0.1, 0], [-0.3, 1, 0.4], [0.2, 0.8, 0.6], [0.1, -0.9, 0.7],
        [0.8, 0.3, 0.1]]  # fmt: skip
IMAGE = [[0.7, 0.1, 0.3], [0.6, 0.4, -0.1], [0.1, 0.9, 0.2], [-0.5, 0.7, 0.6], [0.3, -0.6, 0.9],
         [-0.2, 0.5, 0.9]]  # fmt: skip
W = [[1, -1, 0.5, 0.2], [0.3, 1, -0.4, 0.8], [-0.6, 0.2, 1, 0.5]]
B = [0.05, -0.05, 0, 0.1]
TEXT_CODES = ["+-++", "+-++", "-+-+", "++++", "--+-", "+-++"]
IMAGE_CODES = ["+-++", "+-++", "++-+", "-+++", "--++", "-+++"]
CONFIDENCE = [1.0, 1.0, 0.5, 0.5, 0.5, 0.0]


def signs(codes):
    return torch.tensor([[1.0 if sign == "+" else -1.0 for sign in code] for code in codes])


def modalities(n_items=400, shared=6, widths=(24, 16), seed=0):
    """Items whose modalities are noisy linear views of the same content; row 0 is padding."""
    generator = torch.Generator().manual_seed(seed)
    content = torch.randn(n_items, shared, generator=generator)
    features = {}
    for name, width in zip(("text", "image", "audio"), widths):
        view = content @ torch.randn(shared, width, generator=generator)
        features[name] = 3 + view + torch.randn(n_items, width, generator=generator)
        features[name][0] = 0
    return features


def test_worked_example():
    b = torch.tensor(B)
    codes = {
        "text": sign_hash(torch.tensor(TEXT), torch.tensor(W), b),
        "image": sign_hash(torch.tensor(IMAGE), torch.tensor(W), b),
    }
    assert torch.equal(codes["text"], signs(TEXT_CODES))
    assert torch.equal(codes["image"], signs(IMAGE_CODES))
    assert hash_confidence(codes).tolist() == CONFIDENCE


def test_sign_of_zero_is_positive():
    assert sign_hash(torch.zeros(2, 3), torch.eye(3)).tolist() == [[1.0] * 3] * 2


def test_confidence_averages_the_pairs_an_item_has():
    codes = {
        "text": signs(["++++", "++++", "++++", "++++"]),
        "image": signs(["++++", "++--", "+++-", "++--"]),
        "audio": signs(["+++-", "----", "----", "----"]),
    }
    present = {
        "text": torch.tensor([True, True, True, True]),
        "image": torch.tensor([True, True, True, False]),
        "audio": torch.tensor([True, True, False, False]),
    }
    # Row 0: 1, .5 and .5; row 1: 0, -1 and 0; row 2 has one pair, .5; row 3 none.
    expected = [2 / 3, -1 / 3, 0.5, 0.0]
    assert hash_confidence(codes, present).tolist() == pytest.approx(expected)
    only = {"text": codes["text"]}
    assert hash_confidence(only, {"text": present["audio"]}).tolist() == [1.0] * 4


@pytest.mark.parametrize("mode", ["learned", "cca"])
@pytest.mark.parametrize("widths", [(24, 16), (24, 16, 9)])
def test_codes_of_one_item_agree_and_those_of_two_do_not(mode, widths):
    features = modalities(widths=widths)
    codes = cross_modal_hash(features, bits=64, seed=0, mode=mode)
    matching = hash_confidence(codes)[1:]
    moved = {name: code[1:].roll(k, 0) for k, (name, code) in enumerate(codes.items())}
    assert matching.mean() > 0.4
    assert abs(float(hash_confidence(moved).mean())) < 0.05
    for name, code in codes.items():
        assert code.shape == (len(features[name]), 64)
        assert (code.abs() == 1).all()


def test_random_codes_agree_by_chance_only():
    confidence = hash_confidence(cross_modal_hash(modalities(), 64, 0, "random"))[1:]
    assert abs(float(confidence.mean())) < 0.05
    assert float(confidence.std()) == pytest.approx(64**-0.5, rel=0.3)


def test_unrelated_modalities_get_no_confidence():
    generator = torch.Generator().manual_seed(3)
    features = {name: torch.randn(600, 30, generator=generator) for name in ("text", "image")}
    for mode in ("learned", "cca"):
        # The items that the maps were fitted on may agree a little, by overfitting.
        assert float(hash_confidence(cross_modal_hash(features, 64, 0, mode)).mean()) < 0.35
    held_out = hash_confidence(cross_modal_hash(features, 64, 0, "learned"))
    assert float((held_out > 0.7).float().mean()) < 0.02


@pytest.mark.parametrize("mode", ["learned", "cca", "random"])
def test_same_seed_same_codes_and_the_global_generator_is_untouched(mode):
    features = modalities(n_items=120)
    torch.manual_seed(9)
    before = torch.get_rng_state()
    first = cross_modal_hash(features, 32, 0, mode)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(10)
    second, other = cross_modal_hash(features, 32, 0, mode), cross_modal_hash(features, 32, 1, mode)
    for name in features:
        assert torch.equal(first[name], second[name])
        assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize("mode", ["learned", "cca", "random"])
def test_missing_rows_change_nothing_for_the_others(mode):
    features = modalities(n_items=200)
    present = {name: torch.arange(200) >= 20 for name in features}
    imputed = {name: values.clone() for name, values in features.items()}
    for name in imputed:
        imputed[name][:20] = 7.0
    codes = cross_modal_hash(features, 32, 0, mode, present=present)
    with_imputed = cross_modal_hash(imputed, 32, 0, mode, present=present)
    for name in features:
        assert torch.equal(codes[name], with_imputed[name])
        assert (codes[name][:20] == 1).all()
    assert (hash_confidence(codes, present)[:20] == 0).all()


def test_one_modality_needs_no_training(monkeypatch):
    monkeypatch.delattr("recbole_guider.kernels.hashing.align_learned")
    features = {"text": modalities(n_items=50)["text"]}
    codes = cross_modal_hash(features, 16, 0)
    assert codes["text"].shape == (50, 16)
    assert (hash_confidence(codes) == 1).all()


@pytest.mark.parametrize("mode", ["learned", "cca", "random"])
@pytest.mark.parametrize("n_items", [1, 2, 3, 6])
def test_tiny_and_constant_features(mode, n_items):
    features = {"text": torch.ones(n_items, 4), "image": torch.randn(n_items, 3)}
    for code in cross_modal_hash(features, 8, 0, mode).values():
        assert (code.abs() == 1).all()


def test_scale_and_offset_of_a_feature_do_not_matter():
    features = modalities(n_items=150)
    scaled = {name: values * 8 - 16 * (values != 0) for name, values in features.items()}
    for mode in ("learned", "cca"):
        plain, moved = (cross_modal_hash(f, 64, 0, mode) for f in (features, scaled))
        for name in features:
            assert (plain[name] == moved[name]).float().mean() > 0.99


def test_settings_reach_the_alignment():
    features = modalities(n_items=150)
    trained = cross_modal_hash(features, 64, 0, max_epochs=20)
    untrained = cross_modal_hash(features, 64, 0, max_epochs=0)
    assert hash_confidence(trained).mean() > hash_confidence(untrained).mean() + 0.2


def test_held_out_items_stop_the_training():
    # Without any common content the held-out loss rises at once.
    generator = torch.Generator().manual_seed(0)
    features = {name: torch.randn(300, 40, generator=generator) for name in ("text", "image")}
    present = {name: torch.ones(300, dtype=torch.bool) for name in features}

    def text_map(max_epochs, patience=3):
        generator = torch.Generator().manual_seed(0)
        maps = align_learned(
            features, present, 8, generator, max_epochs=max_epochs, patience=patience
        )
        return maps["text"]

    assert torch.equal(text_map(60), text_map(200))
    # The best epoch's maps come back, not the last epoch's.
    assert torch.equal(text_map(60, patience=3), text_map(60, patience=4))


def test_items_without_a_modality_stay_out_of_its_pairs():
    generator = torch.Generator().manual_seed(0)
    features = {name: torch.randn(12, 5, generator=generator) for name in ("a", "b", "c")}
    maps = {name: torch.randn(5, 4, generator=generator) for name in features}
    present = {name: torch.ones(12, dtype=torch.bool) for name in features}
    present["c"][:5] = False
    losses = []
    for left, right, start in (("a", "b", 0), ("a", "c", 5), ("b", "c", 5)):
        x, y = (functional.normalize(features[name][start:] @ maps[name]) for name in (left, right))
        cosines = (x @ y.T / 0.5).double()
        own = cosines.diagonal()
        losses += [(cosines.logsumexp(k) - own).mean() for k in (0, 1)]
    loss = alignment._info_nce(features, present, maps, torch.arange(12), 0.5)
    assert float(loss) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)


def test_linear_alignment_is_canonical_correlation():
    features = modalities(n_items=500, shared=3, widths=(8, 5))
    present = {name: torch.arange(500) > 0 for name in features}
    centred = {
        name: torch.cat([values[:1], values[1:] - values[1:].mean(0)])
        for name, values in features.items()
    }
    maps = align_linear(centred, present, width=4, ridge=0.0)
    left, right = ((centred[name] @ maps[name])[1:] for name in features)
    # Independent reference: correlations are the cosines between the two column spaces.
    bases = [torch.linalg.qr(values[1:].double())[0] for values in centred.values()]
    expected = torch.linalg.svdvals(bases[0].T @ bases[1])[:4]
    together = torch.corrcoef(torch.cat([left, right], 1).double().T)
    assert torch.allclose(together[:4, 4:].diagonal(), expected, atol=1e-4)
    assert (together[:4, :4] - torch.eye(4)).abs().max() < 1e-4
    # Directions are weighted by their correlation, and absent ones are zero.
    assert torch.allclose(left.std(0).double() / left.std(0)[0], expected / expected[0], atol=1e-3)
    assert (align_linear(centred, present, width=20)["text"][:, 13:] == 0).all()


def test_user_errors_are_one_line():
    with pytest.raises(InputError, match="learned"):
        cross_modal_hash(modalities(n_items=10), 8, 0, "learnt")
    with pytest.raises(InputError, match="no"):
        cross_modal_hash({}, 8, 0)
