"""Image features; the network is a stand-in where timm is not installed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recbole_guider.data.encoders import image_model
from recbole_guider.data.encoders.image_model import VisionModel, find_model, image_vectors
from recbole_guider.errors import InputError

Image = pytest.importorskip("PIL.Image")


def real_timm():
    try:
        import timm
    except Exception as error:  # torchvision of another torch raises RuntimeError
        pytest.skip(f"timm cannot be imported: {error}")
    return timm


@pytest.fixture
def images(tmp_path):
    """Five small images; ``c.png`` is cut short and ``d.jpg`` is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "c.png", "d.jpg", "e.png"):
        pixels = generator.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    cut = (folder / "c.png").read_bytes()
    (folder / "c.png").write_bytes(cut[: len(cut) // 2])
    (folder / "d.jpg").write_text("no image")
    return sorted(folder.iterdir())


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Mean colour of an image; counts what it is asked for."""
    weights = tmp_path / "weights"
    weights.write_text("1")
    seen = []

    class Network(torch.nn.Module):
        num_features = 3

        def forward(self, batch):
            seen.append(len(batch))
            return batch.mean((2, 3)) * float(weights.read_text())

    def prepare(image):
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()

    monkeypatch.setattr(image_model, "_load", lambda *_: (Network(), prepare))
    fake = SimpleNamespace(
        __version__="1",
        is_model=lambda name: name == "net",
        list_models=lambda: ["net"],
        get_pretrained_cfg=lambda _: None,
    )
    monkeypatch.setattr(image_model, "_packages", lambda: (fake, torch))
    return SimpleNamespace(model=VisionModel("net", weights), seen=seen, weights=weights)


def test_rows_are_the_networks_and_unreadable_images_are_told(images, stand_in):
    rows, lost = image_vectors(images, stand_in.model)
    assert [file.name for file in lost] == ["c.png", "d.jpg"]
    assert np.isnan(rows).all(1).tolist() == [False, False, True, True, False]
    colour = np.array(Image.open(images[0])).mean((0, 1))
    np.testing.assert_allclose(rows[0], colour, rtol=1e-5)


def test_interrupted_in_the_middle_it_goes_on_with_the_same_bytes(
    images, stand_in, tmp_path, monkeypatch
):
    monkeypatch.setattr(image_model, "_BLOCK", 2)
    whole, _ = image_vectors(images, stand_in.model)
    opened = image_model._open
    monkeypatch.setattr(
        image_model, "_open", lambda file: opened(file) if file.name < "e" else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        image_vectors(images, stand_in.model, tmp_path / "kept")
    monkeypatch.setattr(image_model, "_open", opened)
    stand_in.seen.clear()
    rows, lost = image_vectors(images, stand_in.model, tmp_path / "kept")
    assert stand_in.seen == [1]
    assert rows.tobytes() == whole.tobytes()
    assert len(lost) == 2
    stand_in.weights.write_text("2")  # other weights: nothing kept is used
    other, _ = image_vectors(images, stand_in.model, tmp_path / "kept")
    np.testing.assert_allclose(other[0], 2 * whole[0], rtol=1e-6)


def test_values_that_are_not_finite_are_refused(images, stand_in):
    stand_in.weights.write_text("nan")
    with pytest.raises(InputError, match="values that are not finite"):
        image_vectors(images[:1], stand_in.model)


def test_weights_must_be_at_hand(stand_in, tmp_path):
    assert find_model("net", stand_in.weights) == stand_in.model
    for given, line in (
        (("nett",), "unknown image encoder 'nett'.*Did you mean 'net'"),
        (("net", tmp_path / "none"), "is no file"),
        (("net",), "no weights are known for 'net'. Give their file with --weights"),
    ):
        with pytest.raises(InputError, match=line):
            find_model(*given)


def test_a_folder_names_its_architecture(stand_in, tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir()
    with pytest.raises(InputError, match=r"no config\.json that names an architecture"):
        find_model(str(folder))
    (folder / "config.json").write_text(json.dumps({"architecture": "net"}))
    with pytest.raises(InputError, match="holds no weights"):
        find_model(str(folder))
    (folder / "model.safetensors").write_text("")
    assert find_model(str(folder)) == VisionModel("net", folder / "model.safetensors")


def test_without_timm_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(InputError, match=r"pip install recbole_guider\[image\]"):
        find_model("resnet18")


# With timm itself


@pytest.fixture
def weights(tmp_path):
    timm = real_timm()
    torch.manual_seed(0)
    network = timm.create_model("test_vit", pretrained=False)  # with a classifier
    torch.save({"state_dict": network.state_dict()}, tmp_path / "vit.pth")
    return tmp_path / "vit.pth"


def test_a_real_architecture_gives_its_pooled_features(images, weights, tmp_path):
    timm = real_timm()
    model = find_model("test_vit", weights)
    rows, lost = image_vectors(images, model, device="cpu")
    assert len(lost) == 2
    network = timm.create_model("test_vit", pretrained=False, num_classes=0).eval()
    state = torch.load(weights, weights_only=True)["state_dict"]
    network.load_state_dict({k: v for k, v in state.items() if not k.startswith("head.")})
    about = timm.data.resolve_model_data_config(network)
    prepare = timm.data.create_transform(**about, is_training=False)
    with torch.no_grad():
        expected = network(prepare(Image.open(images[0]).convert("RGB"))[None])[0]
    np.testing.assert_allclose(rows[0], expected.numpy(), atol=1e-5)
    assert rows.shape == (5, network.num_features)
    again, _ = image_vectors(images, model, device="cpu")
    assert again.tobytes() == rows.tobytes()


def test_weights_of_another_architecture_are_refused(images, weights, tmp_path):
    with pytest.raises(InputError, match="do not fit test_vit2"):
        image_vectors(images, find_model("test_vit2", weights))
    torch.save({"a": torch.zeros(1)}, tmp_path / "few.pth")
    with pytest.raises(InputError, match=r"do not fit test_vit: .* are lacking"):
        image_vectors(images, find_model("test_vit", tmp_path / "few.pth"))
    (tmp_path / "bad.safetensors").write_text("x")
    with pytest.raises(InputError, match="cannot be read as weights"):
        image_vectors(images, find_model("test_vit", tmp_path / "bad.safetensors"))


def test_known_weights_that_are_not_cached_are_not_fetched(monkeypatch, tmp_path):
    real_timm()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"not on this machine.*hf download timm/resnet18"):
        find_model("resnet18")
