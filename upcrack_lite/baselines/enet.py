"""ENet (Paszke et al. 2016, reference 57 of the paper): `enet` in the tables.

A small and deep network for small computers. It shrinks the photo to 1/8 within its first layers and works there
with bottlenecks: plain, dilated, or of two thin convolutions. Where it shrinks by pooling, it notes which pixel
of a window won; where it enlarges, it puts values back there. pytorchcv's ENet pools over overlapping windows, so
that two windows may name one pixel; the published network's do not overlap, and neither do these.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.baselines.base import Method, Supervised
from upcrack_lite.baselines.blocks import scaled, unpool

FIRST, SHALLOW, DEEP = 16, 64, 128  # channels at 1/2, 1/4 and 1/8
ROUND = (  # the eight bottlenecks that stages 2 and 3 share: kind and dilation
    ("plain", 1),
    ("plain", 2),
    ("thin", 1),
    ("plain", 4),
    ("plain", 1),
    ("plain", 8),
    ("thin", 1),
    ("plain", 16),
)
EARLY_DROPOUT, DROPOUT = 0.01, 0.1  # in stage 1, and after it
SHRINK = 4  # a bottleneck works with a fourth of the channels it gives


def block(conv: nn.Module, out: int, activation: type[nn.Module] | None) -> nn.Sequential:
    """A convolution with batch norm, and an activation: PReLU learns a slope for each channel."""
    layers = [conv, nn.BatchNorm2d(out)]
    if activation is not None:
        layers.append(activation(out) if activation is nn.PReLU else activation())
    return nn.Sequential(*layers)


class Start(nn.Module):
    """The photo at half size, pooled, beside what a strided convolution makes of it."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, out - 3, 3, stride=2, padding=1, bias=False)
        self.norm = nn.Sequential(nn.BatchNorm2d(out), nn.PReLU(out))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """``(N, 3, H, W)`` to ``(N, out, H / 2, W / 2)``."""
        return self.norm(torch.cat([self.conv(image), functional.max_pool2d(image, 2)], dim=1))


class Bottleneck(nn.Module):
    """A residual block: few channels in, a spatial convolution, all channels out, dropout, added to its input.

    kind: "plain" 3×3 with `dilation`, "thin" 5×1 and 1×5, "down" halves the size, "up" doubles it.
    """

    def __init__(
        self,
        inward: int,
        out: int,
        kind: str = "plain",
        dilation: int = 1,
        dropout: float = DROPOUT,
        activation: type[nn.Module] = nn.PReLU,
    ) -> None:
        super().__init__()
        inner = max(out // SHRINK, 2)
        self.kind = kind
        step = 2 if kind == "down" else 1
        enter = nn.Conv2d(inward, inner, step, step, bias=False)
        if kind == "thin":
            tall = nn.Conv2d(inner, inner, (5, 1), padding=(2, 0), bias=False)
            wide = nn.Conv2d(inner, inner, (1, 5), padding=(0, 2), bias=False)
            spatial: nn.Module = nn.Sequential(tall, wide)
        elif kind == "up":
            spatial = nn.ConvTranspose2d(inner, inner, 3, stride=2, padding=1, output_padding=1, bias=False)
        else:
            spatial = nn.Conv2d(inner, inner, 3, padding=dilation, dilation=dilation, bias=False)
        self.branch = nn.Sequential(
            block(enter, inner, activation),
            block(spatial, inner, activation),
            block(nn.Conv2d(inner, out, 1, bias=False), out, None),
            nn.Dropout2d(dropout),
        )
        self.narrow = block(nn.Conv2d(inward, out, 1, bias=False), out, None) if kind == "up" else None
        self.added = out - inward if kind == "down" else 0
        self.last = activation(out) if activation is nn.PReLU else activation()

    def forward(self, x: torch.Tensor, winners: torch.Tensor | None = None) -> torch.Tensor:
        """``(N, inward, H, W)`` to ``(N, out, H', W')``. winners: the pooling's indices; "up" needs them."""
        same = unpool(self.narrow(x), winners) if self.kind == "up" else x  # (N, out, H', W')
        return self.last(same + self.branch(x))

    def shrink(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What `forward` is for "down": the result, and the indices of the pixels that won in the pooling."""
        same, winners = functional.max_pool2d(x, 2, return_indices=True)  # (N, inward, H / 2, W / 2)
        same = functional.pad(same, (0, 0, 0, 0, 0, self.added))  # to `out` channels: the new ones are 0
        return self.last(same + self.branch(x)), winners


class ENet(Supervised):
    """The published network; sides of the image are multiples of 8."""

    multiple = 8

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        first = scaled(FIRST, width, least=8)  # three channels of it are the photo
        shallow, deep = scaled(SHALLOW, width, least=16), scaled(DEEP, width, least=32)
        self.start = Start(first)
        self.down1 = Bottleneck(first, shallow, "down", dropout=EARLY_DROPOUT)
        self.stage1 = nn.Sequential(*(Bottleneck(shallow, shallow, dropout=EARLY_DROPOUT) for _ in range(4)))
        self.down2 = Bottleneck(shallow, deep, "down")
        self.stage2 = nn.Sequential(*(Bottleneck(deep, deep, *kind) for kind in ROUND))
        self.stage3 = nn.Sequential(*(Bottleneck(deep, deep, *kind) for kind in ROUND))
        # The way up takes ReLU, as published.
        self.up4 = Bottleneck(deep, shallow, "up", activation=nn.ReLU)
        self.stage4 = nn.Sequential(*(Bottleneck(shallow, shallow, activation=nn.ReLU) for _ in range(2)))
        self.up5 = Bottleneck(shallow, first, "up", activation=nn.ReLU)
        self.stage5 = Bottleneck(first, first, activation=nn.ReLU)
        self.head = nn.ConvTranspose2d(first, 1, 3, stride=2, padding=1, output_padding=1)

    def outputs(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Logits ``(N, 1, H, W)``."""
        x, winners1 = self.down1.shrink(self.start(image))  # (N, 64, H / 4, W / 4), (N, 16, H / 4, W / 4)
        x, winners2 = self.down2.shrink(self.stage1(x))  # (N, 128, H / 8, W / 8), (N, 64, H / 8, W / 8)
        x = self.stage3(self.stage2(x))
        x = self.stage4(self.up4(x, winners2))  # (N, 64, H / 4, W / 4)
        x = self.stage5(self.up5(x, winners1))  # (N, 16, H / 2, W / 2)
        return [self.head(x)]  # (N, 1, H, W)


METHOD = Method(
    title="ENet",
    strategy="general_supervised",
    build=ENet,
    parameters=0.37,
    source="Paszke et al. 2016, written by the kit; count of Table III there",
    chosen=(
        "A bottleneck works with a fourth of the channels it gives; the article does not say of which number.",
        "A PReLU learns one slope for each channel.",
        "No convolution has a bias but the last, so that the share of cracks can be learned at once.",
        "A smaller width keeps at least 8, 16 and 32 channels at 1/2, 1/4 and 1/8.",
    ),
)
