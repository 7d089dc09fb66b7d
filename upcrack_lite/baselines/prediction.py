"""From a photo to a score map with a trained compared network. Chapter: the methods."""

from __future__ import annotations

from pathlib import Path

import torch

from upcrack_lite.baselines.base import Restorer, Supervised
from upcrack_lite.baselines.recipes import MethodPreset
from upcrack_lite.baselines.registry import COMPARED
from upcrack_lite.baselines.registry import network as method
from upcrack_lite.errors import UserError
from upcrack_lite.runs import RunFolder, check_device


def load_network(
    run: RunFolder | Path | str, device: str = "cpu"
) -> tuple[Supervised | Restorer, MethodPreset]:
    """Load the network, in eval mode, and the preset of a run onto a device ("auto", "cpu" or "cuda").

    Raises UserError when the folder does not hold them, it is a run of UP-CrackNet, or there is no such device.
    """
    device = check_device(device)
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    name = run.manifest.get("method")
    if name not in COMPARED:
        raise UserError(f"{run.path} is a run of {name!r}, not of a compared method ({', '.join(COMPARED)})")
    preset = MethodPreset.from_dict(run.preset_values())
    network = method(name).build(preset.width)
    run.load_into(network, f"{name}, width {preset.width}")
    return network.float().to(device).eval(), preset


@torch.no_grad()
def score_map(
    network: Supervised | Restorer, preset: MethodPreset, image: torch.Tensor, seed: int = 0
) -> torch.Tensor:
    """Where a photo is likely to be cracked: float32 ``(N, 1, S, S)`` in [0, 1].

    image: ``(N, 3, S, S)`` in [-1, 1] on the network's device, S as the preset says. seed: of a restorer's masks.
    From a network that learned masks, the probability; from a restorer, how little is restored. Raises UserError for
    another size.
    """
    if image.ndim != 4 or image.shape[1:] != (3, preset.size, preset.size):
        raise UserError(f"photos must be (N, 3, {preset.size}, {preset.size}), got {tuple(image.shape)}")
    return network.score_map(image, torch.Generator().manual_seed(seed)).float().clamp(0, 1)
