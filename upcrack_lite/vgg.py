"""Pre-trained VGG features: from torchvision, from a file, or, by name, random ones."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.error import URLError

import torch
from torch import nn

from upcrack_lite.errors import UserError
from upcrack_lite.recipes import check_value
from upcrack_lite.runs import check_numbers, read_state

# Released: EdgeConnect's list. VGG-16 has no fourth convolution in blocks 3 and 4, so its last one stands in.
LAYERS: dict[str, tuple[str, ...]] = {
    "vgg19": ("relu2_2", "relu3_4", "relu4_4", "relu5_2"),
    "vgg16": ("relu2_2", "relu3_3", "relu4_3", "relu5_2"),
}
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
VARIABLE = "UPCRACK_VGG_WEIGHTS"


class VGGFeatures(nn.Module):
    """Frozen VGG activations of an image (Eq. 6; the paper names neither network nor layers).

    network: "vgg19" or "vgg16". layers: names such as "relu3_4"; None takes `LAYERS`.
    weights: a file (.safetensors, .pth) with torchvision's names; "random" for an untrained network; None
    reads the variable UPCRACK_VGG_WEIGHTS and, where that is unset, uses torchvision's own download.
    normalize: apply ImageNet's mean and deviation. channels: "rgb", or "bgr" to turn them round first.
    `source` says where the weights came from. Raises UserError when they cannot be had or do not fit.
    """

    def __init__(
        self,
        network: str = "vgg19",
        layers: tuple[str, ...] | None = None,
        weights: str | Path | None = None,
        normalize: bool = True,
        channels: str = "rgb",
    ) -> None:
        super().__init__()
        check_value("style network", network, tuple(LAYERS))
        check_value("order of channels", channels, ("rgb", "bgr"))
        weights = weights or os.environ.get(VARIABLE) or None
        from torchvision.models import get_model  # here, because it takes seconds

        pretrained = _download(network) if weights is None else None
        model = pretrained or get_model(network, weights=None)
        names = _relu_names(model.features)
        self.layers = layers or LAYERS[network]
        unknown = [name for name in self.layers if name not in names]
        if unknown:
            raise UserError(f"{network} has no layer {', '.join(unknown)}; it has {', '.join(names)}")
        last = max(names[name] for name in self.layers)
        self.features = model.features[: last + 1]  # nothing beyond the last layer is computed
        self.taps = {names[name]: name for name in self.layers}
        if weights is None:
            self.source = f"torchvision {network} IMAGENET1K_V1"
        elif str(weights) == "random":
            self.source = "random"
        else:
            _load(self.features, Path(weights), network)
            self.source = f"file {Path(weights).name}"
        for module in self.features:
            if isinstance(module, nn.ReLU):
                module.inplace = False  # an in-place ReLU would overwrite what the backward pass needs
        self.flip = channels == "bgr"
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if normalize else ((0.0,) * 3, (1.0,) * 3)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.normalize = normalize
        self.requires_grad_(False).eval()

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the named activations ``(N, C, h, w)`` of images ``(N, 3, H, W)`` in [-1, 1]."""
        x = image.flip(1) if self.flip else image
        if self.normalize:
            x = ((x + 1) / 2 - self.mean) / self.std  # [-1, 1] to [0, 1] to ImageNet's scale
        activations = {}
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                activations[self.taps[index]] = x
        return activations

    def train(self, mode: bool = True) -> VGGFeatures:
        """Stay in evaluation mode, whatever the training loop asks for."""
        return super().train(False)


def _relu_names(features: nn.Sequential) -> dict[str, int]:
    """Map "relu<block>_<position>" to the index in torchvision's list of layers."""
    names, block, position = {}, 1, 0
    for index, layer in enumerate(features):
        if isinstance(layer, nn.ReLU):
            position += 1
            names[f"relu{block}_{position}"] = index
        elif isinstance(layer, nn.MaxPool2d):
            block, position = block + 1, 0
    return names


def _download(network: str) -> nn.Module:
    """torchvision's own weights, from its cache or its own address."""
    from torchvision.models import get_model

    try:
        return get_model(network, weights="IMAGENET1K_V1")
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"the {network} weights are neither in torchvision's cache nor within reach "
            f"({error}). Set {VARIABLE} to a local file (or --vgg-weights); UP-CrackNet can leave the "
            "style loss out with lambda_style=0."
        ) from error


def _load(features: nn.Sequential, path: Path, network: str) -> None:
    """Fill the layers that are used from a file with torchvision's names; float16 files are widened."""
    state = read_state(path, "VGG weights", f"check {VARIABLE} or the argument")
    own = {f"features.{name}": tensor for name, tensor in features.state_dict().items()}
    wrong = [name for name in own if name not in state or state[name].shape != own[name].shape]
    if wrong:
        raise UserError(
            f"{path} does not hold {network}: {', '.join(wrong[:4])} missing or of another shape. "
            "If the file holds the other network, set style_network to it."
        )
    check_numbers({name: state[name] for name in own}, path, own)
    features.load_state_dict({name.removeprefix("features."): state[name].float() for name in own})
