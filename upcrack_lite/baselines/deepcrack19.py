"""DeepCrack of Liu et al.: a VGG-16 with a guess at every scale, and their weighted sum (Neurocomputing 338, 2019).

The paper's tables call it Deepcrack19 [3]. Thirteen convolutions with batch norm in five stages; each stage gives a
map of logits through a 1x1 convolution, enlarged to the photo's size, and a last 1x1 convolution joins the five.
Crack pixels are few, so an error on one costs 33 times as much as an error on road.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.baselines.base import Method, Supervised
from upcrack_lite.baselines.blocks import conv_bn, scaled, up_to

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions of VGG-16
ROAD_WEIGHT = 0.03  # of a road pixel, where a crack pixel has 1
SIDE_WEIGHTS = (0.5, 0.75, 1.0, 0.75, 0.5)  # of the five stages, where the joined map has 1


class DeepCrack19(Supervised):
    """Five stages, five guesses and their sum; `width` is the share of the channels."""

    multiple = 16

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        inward = 3
        for channels, depth in STAGES:
            out = scaled(channels, width)
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if len(self.stages) else []
            for _ in range(depth):
                layers += conv_bn(inward, out)  # its three layers
                inward = out
            self.stages.append(nn.Sequential(*layers))
        self.sides = nn.ModuleList(
            nn.Conv2d(scaled(channels, width), 1, 1, bias=False) for channels, _ in STAGES
        )
        self.join = nn.Conv2d(len(STAGES), 1, 1, bias=False)

    def outputs(self, image: torch.Tensor) -> list[torch.Tensor]:
        sides, x = [], image
        for stage, side in zip(self.stages, self.sides, strict=True):
            x = stage(x)  # (N, 64, H, W), (N, 128, H / 2, W / 2), … down to (N, 512, H / 16, W / 16)
            sides.append(up_to(side(x), image))  # (N, 1, H, W)
        return [self.join(torch.cat(sides, dim=1)), *sides]

    def loss(self, outputs: list[torch.Tensor], crack_mask: torch.Tensor) -> torch.Tensor:
        """Class-weighted cross entropy of the joined map plus that of the sides, by `SIDE_WEIGHTS`.

        The mean is over weights, not pixels: a batch with more crack is not louder.
        """
        weights = crack_mask + ROAD_WEIGHT * (1 - crack_mask)  # (N, 1, H, W)
        terms = (
            functional.binary_cross_entropy_with_logits(one, crack_mask, weights, reduction="sum")
            for one in outputs
        )
        return sum(a * term for a, term in zip((1.0, *SIDE_WEIGHTS), terms, strict=True)) / weights.sum()


METHOD = Method(
    title="Deepcrack19",
    strategy="crack_supervised",
    build=DeepCrack19,
    parameters=14.72,
    encoder="vgg16",
    source="github.com/yhlleo/DeepSegmentor (BSD-2-style)",
    chosen=(
        "The source's two classes under softmax are one logit here; their difference is the same model.",
        "Maps are enlarged without aligned corners; the source aligns them.",
        "Weights start as PyTorch starts them; the source draws them by Xavier's rule, fifty times smaller.",
        "The guided filter that can follow in the source is left out: the paper does not mention it.",
    ),
)
