"""Pre-trained encoders: ImageNet weights as timm and torchvision download and keep them.

ResNets were trained on photos of mean 0 and deviation 1 a channel; here they see [-1, 1], which batch norm makes up
for after some steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from upcrack_lite.baselines.base import Method
from upcrack_lite.errors import UserError
from upcrack_lite.runs import weights_hash

ENCODERS = {
    "deeplabv3plus": "xception65",
    "pspnet": "resnet50",
    "upernet": "resnet101",
    "segresnet": "resnet50",
    "deepcrack19": "vgg16",
    "deepcrack18": "vgg16",
}
"""Methods with an encoder that others have trained, and its name in timm (vgg16: in torchvision)."""

VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Places of the thirteen convolutions in torchvision's list."""


def read_encoder(method: Method, source: str) -> dict[str, torch.Tensor] | None:
    """Read the weights that start a method's encoder; None for the source "none".

    source: "none", or "imagenet" for the library's download. Raises UserError for "file", which older runs say, a
    method without such an encoder, or weights that cannot be had.
    """
    if source == "file":
        raise UserError("encoder_weights=file is of an earlier version: use imagenet or none")
    if source == "none":
        return None
    if method.encoder == "none":
        known = ", ".join(ENCODERS)
        raise UserError(
            f"{method.name} has no encoder with known weights (only {known} have): use encoder_weights='none'"
        )
    return _download(ENCODERS[method.name])


def start_encoder(method: Method, network: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Fill a network's encoder, in place. Raises UserError where values are missing or of another shape."""
    encoder, wanted = _encoder(method, network)
    values = {own: state[name] for own, name in wanted.items() if name in state}
    shapes = encoder.state_dict()
    wrong = [wanted[own] for own in wanted if own not in values or values[own].shape != shapes[own].shape]
    if wrong:
        raise UserError(
            f"the weights are not those of {ENCODERS[method.name]}: {', '.join(wrong[:4])} missing or of another "
            "shape"
        )
    encoder.load_state_dict({own: value.float() for own, value in values.items()}, strict=False)


def encoder_facts(state: dict[str, torch.Tensor] | None) -> dict[str, Any] | None:
    """What a manifest says about the weights: where from, and a digest; None without any."""
    return None if state is None else {"source": "imagenet", "sha256": weights_hash(state)}


def _encoder(method: Method, network: nn.Module) -> tuple[nn.Module, dict[str, str]]:
    """The encoder, and for each of its values the name in the file of weights. Counters may be missing there."""
    if ENCODERS[method.name] == "vgg16":
        return _vgg16(network.down if method.name == "deepcrack18" else network.stages)
    encoder = network.encoder if method.name == "segresnet" else network.net.encoder.model
    own = [name for name in encoder.state_dict() if not name.endswith("num_batches_tracked")]
    # timm names a list's entries stem_0 where the features are taken, and stem.0 in its files.
    return encoder, {name: name.replace("stem_", "stem.").replace("blocks_", "blocks.") for name in own}


def _vgg16(stages: nn.ModuleList) -> tuple[nn.Module, dict[str, str]]:
    """Thirteen convolutions in five stages, by their names in torchvision, which has a pooling after each stage.

    Without a bias of its own, as before batch norm, a convolution takes the weights alone: the norm would take a
    bias away again.
    """
    convolutions = [
        (f"{stage}.{layer}", module)
        for stage, layers in enumerate(stages)
        for layer, module in enumerate(layers)
        if isinstance(module, nn.Conv2d)
    ]
    return stages, {
        f"{name}.{part}": f"features.{place}.{part}"
        for (name, module), place in zip(convolutions, VGG16, strict=True)
        for part in ("weight", "bias")
        if getattr(module, part) is not None
    }


def _download(name: str) -> dict[str, torch.Tensor]:
    try:
        if name == "vgg16":
            import torchvision

            return torchvision.models.vgg16(weights="IMAGENET1K_V1").state_dict()
        import timm

        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # hubs raise many kinds where there is no network
        raise UserError(
            f"the ImageNet weights of {name} are neither in the cache nor within reach ({error}). Start "
            "from nothing with encoder_weights='none'"
        ) from error
