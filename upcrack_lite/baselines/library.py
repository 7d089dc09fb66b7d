"""What the networks from segmentation-models-pytorch share: a wrapper, and encoders of any width.

The library names its encoders and fixes their widths. Those it takes from timm accept the channels of each stage,
so that a narrower encoder keeps its depth and its kinds of blocks.

The networks import the library where they build, not at the top of their files: it takes seconds, and who only asks
for a method's name or source should not wait.
"""

from __future__ import annotations

import torch
from torch import nn

from upcrack_lite.baselines.base import Supervised, scaled
from upcrack_lite.errors import UserError

RESNET = (64, 128, 256, 512)  # inner channels of a ResNet's four stages; bottlenecks give four times as many


class FromLibrary(Supervised):
    """A model of segmentation-models-pytorch: its encoder, its decoder, its head.

    net: gives logits ``(N, 1, H, W)`` of an image ``(N, 3, H, W)``.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def outputs(self, image: torch.Tensor) -> list[torch.Tensor]:
        """The library's logits ``(N, 1, H, W)``. Raises UserError for one image in training mode."""
        self.check_batch(image)
        return [self.net(image)]

    def check_batch(self, image: torch.Tensor) -> None:
        """Raise UserError where batch norm would have one value a channel: these networks pool to one pixel."""
        if self.training and image.shape[0] < 2:
            raise UserError(
                "this network needs at least 2 images a training step, got 1: raise the batch size, and leave out "
                "a last batch of one image"
            )


def resnet_channels(width: float) -> tuple[int, ...]:
    """Inner channels of a ResNet's four stages at a width factor. timm keeps the first convolution at 64."""
    return tuple(scaled(channels, width) for channels in RESNET)
