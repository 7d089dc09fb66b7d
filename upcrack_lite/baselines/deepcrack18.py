"""DeepCrack of Zou et al.: a SegNet whose encoder and decoder are compared at each scale (IEEE TIP 28(3), 2019).

The paper's tables call it Deepcrack18 [1]. The encoder is VGG-16; the decoder mirrors it and puts each value back to
where its maximum was found. At each of five scales the encoder's and the decoder's maps are joined into one map of
logits, and a 3x3 convolution joins the five. There is no batch norm.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.baselines.base import Method, Supervised
from upcrack_lite.baselines.blocks import scaled, unpool

DOWN = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
UP = ((64, 64), (128, 64), (256, 256, 128), (512, 512, 256), (512, 512, 512))
JOINED = 64  # channels of a scale's joined map


def conv_relu(inward: int, channels: tuple[int, ...]) -> nn.Sequential:
    """3x3 convolutions, each with a ReLU."""
    layers: list[nn.Module] = []
    for out in channels:
        layers += [nn.Conv2d(inward, out, 3, padding=1), nn.ReLU()]
        inward = out
    return nn.Sequential(*layers)


class Scale(nn.Module):
    """Join the encoder's and the decoder's maps of one scale into logits of the photo's size."""

    def __init__(self, inward: int, middle: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.layers = nn.Sequential(conv_relu(inward, (middle,)), nn.Conv2d(middle, 1, 3, padding=1))

    def forward(self, down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        x = torch.cat([down, up], dim=1)  # (N, C + C', H / factor, W / factor)
        # The maps are enlarged before the convolution, as in the source: two thirds of the
        # network's work is here.
        x = functional.interpolate(x, scale_factor=self.factor, mode="bilinear") if self.factor > 1 else x
        return self.layers(x)  # (N, 1, H, W)


class DeepCrack18(Supervised):
    """Encoder, mirrored decoder, five scales and their join; `width` is the share of the channels."""

    side_weight = 1.0

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        down, up = (
            [tuple(scaled(channels, width) for channels in stage) for stage in stages]
            for stages in (DOWN, UP)
        )
        self.down = nn.ModuleList(
            conv_relu(inward, stage) for inward, stage in zip((3, *(s[-1] for s in down)), down, strict=False)
        )
        self.up = nn.ModuleList(
            conv_relu(stage[-1], mirrored) for stage, mirrored in zip(down, up, strict=True)
        )
        self.scales = nn.ModuleList(
            Scale(one[-1] + other[-1], scaled(JOINED, width), 2**i)
            for i, (one, other) in enumerate(zip(down, up, strict=True))
        )
        self.join = nn.Conv2d(len(DOWN), 1, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def outputs(self, image: torch.Tensor) -> list[torch.Tensor]:
        maps, places, x = [], [], image
        for down in self.down:
            maps.append(down(x))  # (N, 64, H, W), (N, 128, H / 2, W / 2), … down to (N, 512, H / 16, W / 16)
            x, where = functional.max_pool2d(maps[-1], 2, return_indices=True)
            places.append(where)
        sides: list[torch.Tensor] = []
        for up, scale, down, where in reversed(list(zip(self.up, self.scales, maps, places, strict=True))):
            x = up(unpool(x, where))  # (N, 512, H / 16, W / 16), … up to (N, 64, H, W)
            sides.append(scale(down, x))  # (N, 1, H, W)
        return [self.join(torch.cat(sides, dim=1)), *sides]


METHOD = Method(
    title="Deepcrack18",
    strategy="crack_supervised",
    build=DeepCrack18,
    parameters=30.91,
    encoder="vgg16",
    source="github.com/qinnzou/DeepCrack (for academic research; read, not copied)",
    chosen=(
        "The source divides the loss by the batch size, which its optimizer (Adam) does not feel; the kit does not.",
        "Weights start by He's rule: without batch norm, PyTorch's own start fades away over 26 layers.",
    ),
)
