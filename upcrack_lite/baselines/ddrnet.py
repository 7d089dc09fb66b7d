"""DDRNet-23-slim: two resolutions side by side that exchange maps (Hong et al. 2021, arXiv 2101.06085).

The paper's tables call it DDRNet [62]; which size it used is not said. One branch stays at an eighth of the
resolution, the other goes down to 1/64 and gathers context at five scales. Twice on the way each branch adds what the
other one gives.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.baselines.base import Method, Supervised
from upcrack_lite.baselines.blocks import conv_bn, scaled, up_to

plain = partial(conv_bn, relu=False)  # convolution and batch norm


def bn_conv(inward: int, out: int, kernel: int = 1) -> nn.Sequential:
    """Batch norm, ReLU, convolution: the order that the heads and the context module use."""
    return nn.Sequential(
        nn.BatchNorm2d(inward), nn.ReLU(), nn.Conv2d(inward, out, kernel, padding=kernel // 2, bias=False)
    )


class Residual(nn.Module):
    """A sum of a shortcut and two or three convolutions; without a ReLU at the end, so that branches can be added.

    bottleneck: 1x1, 3x3, 1x1 to twice the channels instead of two 3x3.
    """

    def __init__(self, inward: int, channels: int, stride: int = 1, bottleneck: bool = False) -> None:
        super().__init__()
        out = 2 * channels if bottleneck else channels
        if bottleneck:
            layers = [plain(inward, channels, 1), plain(channels, channels, 3, stride)]
            layers.append(plain(channels, out, 1))
        else:
            layers = [plain(inward, out, 3, stride), plain(out, out)]
        between = [part for layer in layers for part in (layer, nn.ReLU())]
        self.main = nn.Sequential(*between[:-1])
        same = stride == 1 and inward == out
        self.shortcut: nn.Module = nn.Identity() if same else plain(inward, out, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.main(x) + self.shortcut(x)


def stage(inward: int, out: int, stride: int = 1) -> nn.Sequential:
    """Two residual blocks with a ReLU between them."""
    return nn.Sequential(Residual(inward, out, stride), nn.ReLU(), Residual(out, out))


class Context(nn.Module):
    """Deep aggregation pyramid pooling (DAPPM): means over 5, 9, 17 pixels and the whole map, added up in turn."""

    def __init__(self, inward: int, middle: int, out: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(nn.AvgPool2d(k, s, s) for k, s in ((5, 2), (9, 4), (17, 8)))
        self.pools.append(nn.AdaptiveAvgPool2d(1))
        self.enter = nn.ModuleList(bn_conv(inward, middle) for _ in range(5))
        self.process = nn.ModuleList(bn_conv(middle, middle, 3) for _ in range(4))
        self.compress = bn_conv(5 * middle, out)
        self.shortcut = bn_conv(inward, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scales = [self.enter[0](x)]  # (N, middle, h, w)
        for pool, enter, process in zip(self.pools, self.enter[1:], self.process, strict=True):
            coarse = enter(pool(x))  # (N, middle, h / 2, w / 2), … down to (N, middle, 1, 1)
            scales.append(process(up_to(coarse, x) + scales[-1]))  # (N, middle, h, w)
        return self.compress(torch.cat(scales, dim=1)) + self.shortcut(x)  # (N, out, h, w)


class Head(nn.Sequential):
    """Crack logits of a map, at its size."""

    def __init__(self, inward: int, middle: int) -> None:
        super().__init__(
            bn_conv(inward, middle, 3), nn.BatchNorm2d(middle), nn.ReLU(), nn.Conv2d(middle, 1, 1)
        )


class DDRNet(Supervised):
    """DDRNet-23-slim at width 1; `width` is the share of its channels."""

    multiple = 64

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c1, c2, c3, c4 = (scaled(channels, width) for channels in (32, 64, 128, 256))
        self.stem = nn.Sequential(
            plain(3, c1, 3, 2, bias=True), nn.ReLU(), plain(c1, c1, 3, 2, bias=True), nn.ReLU()
        )
        self.shared = nn.Sequential(stage(c1, c1), nn.ReLU(), stage(c1, c2, 2))
        self.low = nn.ModuleList([stage(c2, c3, 2), stage(c3, c4, 2), Residual(c4, c4, 2, bottleneck=True)])
        self.high = nn.ModuleList([stage(c2, c2), stage(c2, c2), Residual(c2, c2, bottleneck=True)])
        self.to_high = nn.ModuleList([plain(c3, c2, 1), plain(c4, c2, 1)])
        self.to_low = nn.ModuleList(
            [plain(c2, c3, 3, 2), nn.Sequential(plain(c2, c3, 3, 2), nn.ReLU(), plain(c3, c4, 3, 2))]
        )
        self.context = Context(2 * c4, c3, c3)
        self.head = Head(2 * c2, c2)
        self.side = Head(c2, c2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def outputs(self, image: torch.Tensor) -> list[torch.Tensor]:
        low = high = self.shared(self.stem(image))  # (N, 64, H / 8, W / 8)
        middle = None
        for i in range(2):
            low = self.low[i](functional.relu(low))  # (N, 128, H / 16, …), then (N, 256, H / 32, …)
            high = self.high[i](functional.relu(high))  # (N, 64, H / 8, W / 8)
            up = up_to(self.to_high[i](functional.relu(low)), high)
            low = low + self.to_low[i](functional.relu(high))
            high = high + up
            middle = high if middle is None else middle
        low = self.context(self.low[2](functional.relu(low)))  # (N, 128, H / 64, W / 64)
        high = self.high[2](functional.relu(high))  # (N, 128, H / 8, W / 8)
        outputs = [self.head(high + up_to(low, high))]  # (N, 1, H / 8, W / 8)
        if self.training:
            outputs.append(self.side(middle))
        return [up_to(logits, image) for logits in outputs]  # (N, 1, H, W)


METHOD = Method(
    title="DDRNet",
    strategy="general_supervised",
    build=DDRNet,
    parameters=5.73,
    source="github.com/ydhongHIT/DDRNet and github.com/sithu31296/semantic-segmentation (MIT)",
    chosen=(
        "The paper does not name the size; the kit takes 23-slim, the only one of the second source.",
        "The side head has weight 0.4, as in a public training configuration of the network.",
        "Hard examples are not mined: the loss is the mean over all pixels.",
    ),
)
