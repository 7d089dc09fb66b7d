"""Pre-trained encoders: ImageNet weights from the library's download, or from a file with the same names.

ResNets were trained on photos of mean 0 and deviation 1 a channel; here they see [-1, 1], which batch norm makes up
for after some steps.
"""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from upcrack_lite.errors import UserError
from upcrack_lite.methods.base import Method
from upcrack_lite.repro.runs import weights_hash

ENCODERS = {
    "deeplabv3plus": "xception65",
    "pspnet": "resnet50",
    "upernet": "resnet101",
    "segresnet": "resnet50",
    "deepcrack18": "vgg16",
}
"""Methods with an encoder that others have trained, and its name in timm (vgg16: in torchvision)."""


def read_encoder(method: Method, weights: str) -> dict[str, torch.Tensor]:
    """Read the weights that start a method's encoder: "imagenet", or a file (.safetensors, .pth).

    Raises UserError for a method without such an encoder, or weights that cannot be had.
    """
    if method.encoder == "none":
        known = ", ".join(ENCODERS)
        raise UserError(
            f"{method.name} has no encoder with known weights (only {known} have): use encoder_weights='none'"
        )
    if weights == "imagenet":
        return _download(ENCODERS[method.name])
    path = Path(weights)
    if not path.is_file():
        raise UserError(f"no encoder weights at {path}: name a file, 'imagenet' or 'none'")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise UserError(f"{path} cannot be read as weights ({error}): fetch it again") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise UserError(f"{path} holds no table of tensors: save model.state_dict()")
    return state


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


def encoder_facts(weights: str, state: dict[str, torch.Tensor] | None) -> dict[str, Any] | None:
    """What a manifest says about the weights: where from, and a digest."""
    if state is None:
        return None
    source = weights if weights == "imagenet" else f"file {Path(weights).name}"
    return {"source": source, "sha256": weights_hash(state)}


def _encoder(method: Method, network: nn.Module) -> tuple[nn.Module, dict[str, str]]:
    """The encoder, and for each of its values the name in the file of weights. Counters may be missing there."""
    if method.name == "deepcrack18":
        # torchvision's list holds the same thirteen convolutions, with a pooling after each stage.
        names, index = {}, 0
        for stage, layers in enumerate(network.down):
            for layer, module in enumerate(layers):
                if isinstance(module, nn.Conv2d):
                    for part in ("weight", "bias"):
                        names[f"{stage}.{layer}.{part}"] = f"features.{index + layer}.{part}"
            index += len(layers) + 1
        return network.down, names
    encoder = network.encoder if method.name == "segresnet" else network.net.encoder.model
    own = [name for name in encoder.state_dict() if not name.endswith("num_batches_tracked")]
    # timm names a list's entries stem_0 where the features are taken, and stem.0 in its files.
    return encoder, {name: name.replace("stem_", "stem.").replace("blocks_", "blocks.") for name in own}


def _download(name: str) -> dict[str, torch.Tensor]:
    try:
        if name == "vgg16":
            import torchvision

            return torchvision.models.vgg16(weights="IMAGENET1K_V1").state_dict()
        import timm

        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # hubs raise many kinds where there is no network
        raise UserError(
            f"the ImageNet weights of {name} are neither in the cache nor within reach ({error}). Give a file, or "
            "start from nothing with encoder_weights='none'"
        ) from error
