"""What several networks are built of: widths, convolution with batch norm, the two ways up, and the library.

segmentation-models-pytorch names its encoders and fixes their widths. Those it takes from timm accept the channels of
each stage, so that a narrower encoder keeps its depth and its kinds of blocks. The networks import the library where
they build, not at the top of their files: it takes seconds.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.baselines.base import Supervised

RESNET = (64, 128, 256, 512)  # inner channels of a ResNet's four stages; bottlenecks give four times as many


def scaled(channels: int, width: float, least: int = 4, step: int = 4) -> int:
    """A number of channels at a width factor, a multiple of `step` and at least `least`."""
    return max(least, round(channels * width / step) * step)


def resnet_channels(width: float) -> tuple[int, ...]:
    """Inner channels of a ResNet's four stages at a width factor. timm keeps the first convolution at 64."""
    return tuple(scaled(channels, width) for channels in RESNET)


def conv_bn(
    inward: int,
    out: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    relu: bool = True,
    bias: bool = False,
) -> nn.Sequential:
    """A convolution that keeps the size (or divides it by `stride`), batch norm, and a ReLU unless told not to."""
    conv = nn.Conv2d(inward, out, kernel, stride, kernel // 2, groups=groups, bias=bias)
    return nn.Sequential(conv, nn.BatchNorm2d(out), *([nn.ReLU()] if relu else []))


def up_to(logits: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Enlarge a map to the height and width of another, bilinear."""
    return functional.interpolate(logits, size=like.shape[-2:], mode="bilinear", align_corners=False)


def unpool(x: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Undo a 2 x 2 max pooling, as SegNet does: each value goes back to its place `where`, the other three become 0.

    x and where: ``(N, C, h, w)``; returns ``(N, C, 2h, 2w)``. As `max_unpool2d`, but repeatable on a GPU.
    """
    height, width = 2 * x.shape[-2], 2 * x.shape[-1]
    here = torch.arange(height * width, device=x.device).reshape(height, width)
    x, where = (one.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1) for one in (x, where))
    return x * (where == here)


class FromLibrary(Supervised):
    """A model of segmentation-models-pytorch: its encoder, its decoder, its head.

    net: gives logits ``(N, 1, H, W)`` of an image ``(N, 3, H, W)``.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def outputs(self, image: torch.Tensor) -> list[torch.Tensor]:
        """The library's logits ``(N, 1, H, W)``. A training step needs two images: these networks pool to a pixel."""
        return [self.net(image)]
