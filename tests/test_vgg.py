"""VGG features: the right layers, the right numbers, and never one source of weights for another."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from upcrack_lite.errors import UserError
from upcrack_lite.vgg import IMAGENET_MEAN, IMAGENET_STD, VARIABLE, VGGFeatures


@pytest.fixture(autouse=True)
def no_surprises(monkeypatch):
    """No variable from outside, no network, and no two seconds for a classifier that is thrown away."""
    monkeypatch.delenv(VARIABLE, raising=False)

    def refuse(*_args, **_kwargs):
        raise AssertionError("a download was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    monkeypatch.setattr(nn.Linear, "reset_parameters", lambda self: None)
    monkeypatch.setattr(nn.init, "normal_", lambda tensor, *_args, **_kwargs: tensor)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Random weights with torchvision's names for VGG-16, activations neither dying nor exploding."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Linear, "reset_parameters", lambda self: None)
        patch.setattr(nn.init, "normal_", lambda tensor, *_args, **_kwargs: tensor)
        torch.manual_seed(0)
        model = torchvision.models.vgg16(weights=None)
    return {f"features.{name}": t.clone() for name, t in model.features.state_dict().items()}


@pytest.fixture
def file(state, tmp_path) -> Path:
    save_file(state, tmp_path / "fake.safetensors")
    return tmp_path / "fake.safetensors"


def reference(state: dict[str, torch.Tensor], x: torch.Tensor) -> dict[str, torch.Tensor]:
    """VGG-16 to relu5_2 written from its definition: convolutions 2, 2, 3, 3, 2, a pooling between blocks."""
    parameters = iter(sorted(state, key=lambda name: (int(name.split(".")[1]), name.endswith("bias"))))
    out = {}
    for block, count in enumerate((2, 2, 3, 3, 2), start=1):
        for position in range(1, count + 1):
            weight, bias = state[next(parameters)], state[next(parameters)]
            x = torch.relu(torch.conv2d(x, weight, bias, padding=1))
            out[f"relu{block}_{position}"] = x
        x = torch.max_pool2d(x, 2)
    return out


def image(size: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_features_are_those_of_the_definition(state, file):
    x = image()
    features = VGGFeatures("vgg16", weights=file, normalize=False)
    ours, theirs = features(x), reference(state, x)
    assert list(ours) == ["relu2_2", "relu3_3", "relu4_3", "relu5_2"]
    for name, activation in ours.items():
        assert torch.allclose(activation, theirs[name], rtol=1e-4, atol=1e-5), name
        assert activation.min() >= 0  # taken after the ReLU
        assert activation.max() > 0


def test_vgg19_has_the_released_layers_and_their_channels():
    features = VGGFeatures("vgg19", weights="random")
    assert [(n, t.shape[1], t.shape[2]) for n, t in features(image()).items()] == [
        ("relu2_2", 128, 16), ("relu3_4", 256, 8), ("relu4_4", 512, 4), ("relu5_2", 512, 2),
    ]  # fmt: skip
    assert isinstance(features.features[-1], nn.ReLU)
    assert len(features.features) == 32  # nothing beyond relu5_2 is kept


def test_normalization_is_imagenets(file):
    raw = VGGFeatures("vgg16", ("relu1_1",), file, normalize=False)
    normal = VGGFeatures("vgg16", ("relu1_1",), file, normalize=True)
    x = image()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    by_hand = (x / 2 + 0.5 - mean) / std
    assert torch.allclose(normal(x)["relu1_1"], raw(by_hand)["relu1_1"], atol=1e-5)
    assert not torch.allclose(normal(x)["relu1_1"], raw(x)["relu1_1"], atol=1e-2)
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert IMAGENET_STD == (0.229, 0.224, 0.225)


def test_bgr_turns_the_channels_round_before_normalization(file):
    rgb, bgr = (VGGFeatures("vgg16", ("relu1_1",), file, channels=c) for c in ("rgb", "bgr"))
    x = image()
    assert torch.equal(bgr(x)["relu1_1"], rgb(x.flip(1))["relu1_1"])
    assert not torch.equal(bgr(x)["relu1_1"], rgb(x)["relu1_1"])


def test_it_is_frozen_and_stays_in_evaluation_mode_but_lets_gradients_through(file):
    features = VGGFeatures("vgg16", weights=file)
    before = {n: t.clone() for n, t in features.state_dict().items()}
    assert features.train() is features
    nn.Sequential(features).train()
    assert not any(m.training for m in features.modules())
    assert not any(p.requires_grad for p in features.parameters())
    x = image().requires_grad_()
    sum(t.mean() for t in features(x).values()).backward()
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0
    assert all(torch.equal(t, before[n]) for n, t in features.state_dict().items())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_weights_come_from_a_file_of_either_kind_and_width(state, tmp_path, suffix, dtype):
    path = tmp_path / f"weights{suffix}"
    stored = {name: t.to(dtype) for name, t in state.items()} | {"classifier.0.bias": torch.zeros(3)}
    save_file(stored, path) if suffix == ".safetensors" else torch.save(stored, path)
    features = VGGFeatures("vgg16", weights=path)
    assert features.source == f"file weights{suffix}"
    for name, tensor in features.features.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, state[f"features.{name}"].to(dtype).float())


def test_without_file_or_name_torchvision_is_asked_and_an_error_says_what_to_do(monkeypatch):
    asked = []

    def unreachable(network: str, weights: str | None = None) -> nn.Module:
        asked.append((network, weights))
        raise URLError("no network here")

    monkeypatch.setattr(torchvision.models, "get_model", unreachable)
    with pytest.raises(UserError, match=f"Set {VARIABLE}.*lambda_style=0"):
        VGGFeatures("vgg19")
    assert asked == [("vgg19", "IMAGENET1K_V1")]


def test_a_file_that_lacks_a_layer_or_has_it_in_another_shape_is_refused_by_name(state, tmp_path):
    path = tmp_path / "short.safetensors"
    save_file({n: t for n, t in state.items() if n != "features.5.weight"}, path)
    with pytest.raises(UserError, match=r"features\.5\.weight"):
        VGGFeatures("vgg16", weights=path)
    save_file(state | {"features.0.bias": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=r"features\.0\.bias"):
        VGGFeatures("vgg16", weights=path)
    save_file(state | {"features.0.bias": state["features.0.bias"].to(torch.int32)}, path)
    with pytest.raises(UserError, match=r"features\.0\.bias is of the type int32"):
        VGGFeatures("vgg16", weights=path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no VGG weights at .*nowhere\.pth"):
        VGGFeatures("vgg16", weights=tmp_path / "nowhere.pth")
    with pytest.raises(UserError, match="no VGG weights"):
        VGGFeatures("vgg16", weights=tmp_path)
    with pytest.raises(UserError, match="vgg19, vgg16"):
        VGGFeatures("resnet18", weights="random")
    with pytest.raises(UserError, match="no layer relu3_4; it has relu1_1"):
        VGGFeatures("vgg16", ("relu2_2", "relu3_4"), "random")
    with pytest.raises(UserError, match="rgb, bgr"):
        VGGFeatures("vgg16", weights="random", channels="BGR")


@pytest.mark.mirror
def test_the_mirrors_vgg16_sees_edges_and_texture(mirror):
    features = VGGFeatures("vgg16", weights=mirror / "vgg16" / "vgg16_imagenet_features_fp16.safetensors")
    with torch.no_grad():
        active, gray = features(image(64)), features(torch.zeros(1, 3, 64, 64))
    # Trained filters react to noise far more than to a plain gray; random ones do so much less.
    for name, tensor in active.items():
        assert tensor.isfinite().all()
        assert tensor.std() > 1.5 * gray[name].std(), name
    weight = features.features[0].weight
    assert weight.shape == (64, 3, 3, 3)
    assert weight.sum(dim=(1, 2, 3)).abs().min() < 0.05  # some first filters are pure edge detectors
