"""The discriminator D: a 70 x 70 PatchGAN that sees the masked image too (paper, section III-C). See chapter 06."""

from __future__ import annotations

import torch
from torch import nn

from upcrack_lite.generator import init_weights


class Discriminator(nn.Module):
    """Five 4 x 4 convolutions that give one logit per overlapping 70 x 70 patch.

    width: channels of the first layer (paper: 64).
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(6, width, 4, stride=2, padding=1),  # (N, w, S / 2, S / 2)
            nn.LeakyReLU(0.2),
            *_block(width, 2 * width, stride=2),  # (N, 2w, S / 4, S / 4)
            *_block(2 * width, 4 * width, stride=2),  # (N, 4w, S / 8, S / 8)
            *_block(4 * width, 8 * width, stride=1),  # (N, 8w, S / 8 - 1, S / 8 - 1)
            nn.Conv2d(8 * width, 1, 4, stride=1, padding=1),  # (N, 1, S / 8 - 2, S / 8 - 2)
        )
        self.apply(init_weights)

    def forward(self, masked: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Judge images, real or restored, beside the masked image that they should complete.

        masked, image: ``(N, 3, S, S)`` in [-1, 1]. Returns logits ``(N, 1, S/8 - 2, S/8 - 2)``: 30 x 30 at
        256 px. Positive means "real"; take a sigmoid only to show them.
        """
        return self.layers(torch.cat([masked, image], dim=1))  # 3 + 3 channels in


def _block(inward: int, out: int, stride: int) -> list[nn.Module]:
    """Convolution, batch norm, LeakyReLU: the module of section III-C."""
    return [nn.Conv2d(inward, out, 4, stride=stride, padding=1), nn.BatchNorm2d(out), nn.LeakyReLU(0.2)]


def receptive_field(row: int, size: int) -> tuple[int, int]:
    """First and last pixel (inclusive, clipped to the image) that logit `row` sees along one axis.

    Derived backwards through kernel 4, padding 1 and the strides 2, 2, 2, 1, 1; 70 px where nothing is clipped.
    """
    first = last = row
    for stride in (1, 1, 2, 2, 2):
        first, last = first * stride - 1, last * stride - 1 + 3
    return max(first, 0), min(last, size - 1)
