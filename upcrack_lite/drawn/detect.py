"""The network, a small U-Net, and its way from a photo of any size to a map of crack probability.

The logits at several scales are averaged. A photo that is too large for memory goes through in tiles. A tile sees so
much around it that its middle has the very values of the whole photo, so there are no seams.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.drawn.recipe import DrawnPreset
from upcrack_lite.drawn.scenes import to_gray
from upcrack_lite.errors import UserError
from upcrack_lite.images import padded
from upcrack_lite.runs import RunFolder, check_device

MULTIPLE = 32
"""What the sides of an input must be multiples of: pixel-unshuffle halves them once, pooling four times."""

WIDTHS = (1, 2, 4, 6, 8)  # channels of each level, in widths
TILE = 1024  # px: side of a tile's middle
MARGIN = 256  # px around it: more than the network sees to either side


def normalized(gray: np.ndarray) -> np.ndarray:
    """Gray, any type ``(H, W)`` in levels 0-255, minus its mean, over its standard deviation + 4: float32."""
    gray = gray.astype(np.float32)
    mean, deviation = float(gray.mean(dtype=np.float64)), float(gray.std(dtype=np.float64))
    return (gray - mean) / (deviation + 4)


def _block(before: int, after: int) -> nn.Sequential:
    """Two 3 × 3 convolutions, each with batch normalization and ReLU."""
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


class DrawnNet(nn.Module):
    """From normalized gray ``(N, 1, H, W)`` to logits ``(N, 1, H, W)``, H and W multiples of 32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [width * factor for factor in WIDTHS]
        self.down = nn.ModuleList(_block(a, b) for a, b in zip([4, *channels], channels, strict=False))
        self.up = nn.ModuleList(_block(a + b, a) for a, b in pairwise(channels))
        self.head = nn.Conv2d(width, 4, 3, padding=1)

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        """Half the side and four channels outside, so that the costly levels are small."""
        x, skips = functional.pixel_unshuffle(gray, 2), []
        for block in self.down[:-1]:
            x = block(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.down[-1](x)
        for block, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([skip, x], dim=1))
        return functional.pixel_shuffle(self.head(x), 2)


def load_network(run: RunFolder, device: str = "cpu") -> tuple[DrawnNet, DrawnPreset]:
    """Load the network, in eval mode, and the preset of a run onto a device ("auto", "cpu" or "cuda").

    Raises UserError when the folder does not hold them, or there is no such device.
    """
    device = check_device(device)
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
