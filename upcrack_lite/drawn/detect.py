"""From a photo of any size to a map of crack probability: logits at several scales, averaged.

A photo that is too large for memory goes through in tiles. A tile sees so much around it that its middle has the very
values of the whole photo, so there are no seams.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from upcrack_lite.drawn.network import MULTIPLE, DrawnNet, normalized
from upcrack_lite.drawn.recipe import DrawnPreset
from upcrack_lite.drawn.scenes import to_gray
from upcrack_lite.errors import UserError
from upcrack_lite.images import padded
from upcrack_lite.runs import RunFolder, check_device

TILE = 1024  # px: side of a tile's middle
MARGIN = 256  # px around it: more than the network sees to either side


def load_network(run: RunFolder | Path | str, device: str = "cpu") -> tuple[DrawnNet, DrawnPreset]:
    """Load the network, in eval mode, and the preset of a run onto a device ("auto", "cpu" or "cuda").

    Raises UserError when the folder does not hold them, or there is no such device.
    """
    device = check_device(device)
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    if run.method != "drawn":
        raise UserError(f"{run.path} is a run of {run.method!r}, not of drawn")
    preset = DrawnPreset.from_dict(run.preset_values())
    network = DrawnNet(preset.width)
    run.load_into(network, f"drawn, width {preset.width}")
    return network.float().to(device).eval(), preset


def score_map(network: DrawnNet, preset: DrawnPreset, photo: np.ndarray) -> np.ndarray:
    """The probability of crack in a photo, uint8 ``(H, W, 3)``: float32 ``(H, W)`` in [0, 1]."""
    return over_scales(partial(logits, network), preset, photo)


def over_scales(
    look: Callable[[np.ndarray], np.ndarray], preset: DrawnPreset, photo: np.ndarray
) -> np.ndarray:
    """The same with any function from normalized gray, float32 ``(h, w)``, to logits of that shape."""
    gray = to_gray(photo)
    height, width = gray.shape
    octaves = range(-1 if min(height, width) < preset.enlarge_below else 0, preset.octaves)
    total = np.zeros((height, width), np.float32)
    for octave in octaves:
        if octave == 0:
            total += look(normalized(gray))
            continue
        side = (max(1, round(width / 2**octave)), max(1, round(height / 2**octave)))
        there, back = (cv2.INTER_CUBIC, cv2.INTER_AREA) if octave < 0 else (cv2.INTER_AREA, cv2.INTER_LINEAR)
        found = look(normalized(cv2.resize(gray, side, interpolation=there)))
        total += cv2.resize(found, (width, height), interpolation=back)
    return 1 / (1 + np.exp(-total / len(octaves)))


@torch.no_grad()
def logits(network: DrawnNet, gray: np.ndarray, tile: int = TILE) -> np.ndarray:
    """Logits of normalized gray, float32 ``(H, W)``; tile: side of the parts, px, a multiple of 32."""
    height, width = gray.shape
    device = next(network.parameters()).device
    result = np.empty((height, width), np.float32)
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            top, left = max(0, y - MARGIN), max(0, x - MARGIN)
            part = gray[top : y + tile + MARGIN, left : x + tile + MARGIN]
            image = torch.from_numpy(np.ascontiguousarray(part))[None, None].to(device)
            found = network(padded(image, MULTIPLE))[0, 0, y - top :, x - left :].float().cpu().numpy()
            bottom, right = min(height, y + tile), min(width, x + tile)
            result[y:bottom, x:right] = found[: bottom - y, : right - x]
    return result
