"""Pre-trained encoders: ImageNet weights as timm and torchvision download and keep them.

ResNets were trained on photos of mean 0 and deviation 1 a channel; here they see [-1, 1], which batch norm makes up
for after some steps.
"""

from __future__ import annotations

import torch
from torch import nn

from upcrack_lite.errors import UserError

VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Places of the thirteen convolutions in torchvision's list."""


def download(method: str, encoder: str, source: str = "imagenet") -> dict[str, torch.Tensor]:
    """The ImageNet weights of a method's encoder, from the cache or the hub.

    Raises UserError where they cannot be had, for a method without an encoder, or another source.
    """
    if source != "imagenet":
        raise UserError(f"encoder_weights={source} is of an earlier version: use imagenet or none")
    if encoder == "none":
        raise UserError(f"{method} has no encoder with known weights: use encoder_weights='none'")
    try:
        if encoder == "vgg16":
            import torchvision

            return torchvision.models.vgg16(weights="IMAGENET1K_V1").state_dict()
        import timm

        return timm.create_model(encoder, pretrained=True).state_dict()
    except Exception as error:  # hubs raise many kinds where there is no network
        raise UserError(
            f"the ImageNet weights of {encoder} are neither in the cache nor within reach ({error}). Start "
            "from nothing with encoder_weights='none'"
        ) from error


def start_encoder(network: nn.Module, encoder: str, state: dict[str, torch.Tensor]) -> None:
    """Fill a network's encoder, in place."""
    part, names = _vgg16(network) if encoder == "vgg16" else _of_timm(network)
    part.load_state_dict({own: state[public].float() for own, public in names.items()}, strict=False)


def _of_timm(network: nn.Module) -> tuple[nn.Module, dict[str, str]]:
    """The encoder, and for each of its values the name in timm. Counters may be missing there."""
    encoder = network.net.encoder.model if hasattr(network, "net") else network.encoder
    own = [name for name in encoder.state_dict() if not name.endswith("num_batches_tracked")]
    # timm names a list's entries stem_0 where the features are taken, and stem.0 in its files.
    return encoder, {name: name.replace("stem_", "stem.").replace("blocks_", "blocks.") for name in own}


def _vgg16(network: nn.Module) -> tuple[nn.Module, dict[str, str]]:
    """Thirteen convolutions in five stages, by their names in torchvision, which has a pooling after each stage.

    Without a bias of its own, as before batch norm, a convolution takes the weights alone: the norm would take a
    bias away again.
    """
    stages = network.down if hasattr(network, "down") else network.stages
    convolutions = [
        (name, module) for name, module in stages.named_modules() if isinstance(module, nn.Conv2d)
    ]
    return stages, {
        f"{name}.{part}": f"features.{place}.{part}"
        for (name, module), place in zip(convolutions, VGG16, strict=True)
        for part in ("weight", "bias")
        if getattr(module, part) is not None
    }
