"""The network: a small U-Net that looks at a gray photo of any size and gives crack logits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional

MULTIPLE = 32
"""What the sides of an input must be multiples of: pixel-unshuffle halves them once, pooling four times."""

WIDTHS = (1, 2, 4, 6, 8)  # channels of each level, in widths


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
