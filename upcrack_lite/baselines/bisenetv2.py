"""BiSeNetV2: one shallow branch for detail, one deep and thin branch for meaning (Yu et al., IJCV 2021).

The paper's tables call it BiSeNetv2 [61]. The detail branch keeps an eighth of the resolution with many channels;
the semantic branch goes down to 1/32 with few. Each gates the other, and a head gives logits. Four more heads on
the semantic branch guide the training and are left out at test time.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.baselines.base import Method, Supervised
from upcrack_lite.baselines.blocks import conv_bn, scaled


class Stem(nn.Module):
    """The first quarter of the semantic branch: a convolution and a pooling side by side; ``(N, out, H/4, W/4)``."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.first = conv_bn(3, out, stride=2)
        self.left = nn.Sequential(conv_bn(out, out // 2, 1), conv_bn(out // 2, out, stride=2))
        self.right = nn.MaxPool2d(3, 2, 1)
        self.fuse = conv_bn(2 * out, out)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image)  # (N, out, H / 2, W / 2)
        return self.fuse(torch.cat([self.left(x), self.right(x)], dim=1))  # (N, out, H / 4, W / 4)


class GatherExpand(nn.Module):
    """Gather-and-expansion layer: 3x3, each channel spread over six, then gathered; a sum with a shortcut.

    stride 2 halves the map with two depthwise convolutions in a row, and the shortcut with one.
    """

    def __init__(self, inward: int, out: int, stride: int = 1, expansion: int = 6) -> None:
        super().__init__()
        wide = inward * expansion
        if stride == 1:
            depthwise = [conv_bn(inward, wide, groups=inward)]
            self.shortcut: nn.Module = nn.Identity()
        else:
            depthwise = [
                conv_bn(inward, wide, stride=stride, groups=inward, relu=False),
                conv_bn(wide, wide, groups=wide),
            ]
            self.shortcut = nn.Sequential(
                conv_bn(inward, inward, stride=stride, groups=inward, relu=False),
                conv_bn(inward, out, 1, relu=False),
            )
        self.main = nn.Sequential(conv_bn(inward, inward), *depthwise, conv_bn(wide, out, 1, relu=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.main(x) + self.shortcut(x))


class ContextEmbedding(nn.Module):
    """Add to every pixel what the whole image is like: the mean of the map, through a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.mix = conv_bn(channels, channels, 1)
        self.fuse = conv_bn(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        whole = self.norm(x.mean(dim=(2, 3), keepdim=True))  # (N, C, 1, 1)
        return self.fuse(x + self.mix(whole))  # (N, C, H / 32, W / 32)


class Aggregation(nn.Module):
    """Bilateral guided aggregation: each branch is multiplied by a gate that the other one opens, at two sizes."""

    def __init__(self, channels: int) -> None:
        super().__init__()

        def thin() -> nn.Sequential:
            depthwise = conv_bn(channels, channels, groups=channels, relu=False)
            return nn.Sequential(depthwise, nn.Conv2d(channels, channels, 1, bias=False))

        self.detail_fine = thin()
        half = conv_bn(channels, channels, stride=2, relu=False)
        self.detail_coarse = nn.Sequential(half, nn.AvgPool2d(3, 2, 1))
        self.semantic_fine = conv_bn(channels, channels, relu=False)
        self.semantic_coarse = thin()
        self.fuse = conv_bn(channels, channels)

    def forward(self, detail: torch.Tensor, semantic: torch.Tensor) -> torch.Tensor:
        enlarge = nn.Upsample(scale_factor=4)
        gate = torch.sigmoid(enlarge(self.semantic_fine(semantic)))  # (N, C, H / 8, W / 8)
        fine = self.detail_fine(detail) * gate
        coarse = self.detail_coarse(detail) * torch.sigmoid(self.semantic_coarse(semantic))  # at 1/32
        return self.fuse(fine + enlarge(coarse))  # (N, C, H / 8, W / 8)


class Head(nn.Module):
    """Logits at full size: `factor` squared values per pixel of the map, laid out as a square (pixel shuffle)."""

    def __init__(self, inward: int, middle: int, factor: int, guide: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn(inward, middle), nn.Dropout(0.1)]
        if guide:
            layers.append(conv_bn(middle, factor * factor))
            middle = factor * factor
        layers += [nn.Conv2d(middle, factor * factor, 1), nn.PixelShuffle(factor)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)  # (N, 1, H, W)


class BiSeNetV2(Supervised):
    """Both branches, their aggregation and five heads; `width` is the share of the channels."""

    side_weight = 1.0

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        fine, wide = scaled(64, width), scaled(128, width)
        thin = [scaled(channels, width) for channels in (16, 32, 64, 128)]
        self.detail = nn.Sequential(
            conv_bn(3, fine, stride=2),
            conv_bn(fine, fine),  # (N, 64, H / 2, W / 2)
            conv_bn(fine, fine, stride=2),
            conv_bn(fine, fine),
            conv_bn(fine, fine),  # (N, 64, H / 4, W / 4)
            conv_bn(fine, wide, stride=2),
            conv_bn(wide, wide),
            conv_bn(wide, wide),  # (N, 128, H / 8, W / 8)
        )
        self.stem = Stem(thin[0])
        self.stages = nn.ModuleList(
            nn.Sequential(GatherExpand(inward, out, 2), *(GatherExpand(out, out) for _ in range(depth - 1)))
            for inward, out, depth in zip(thin, thin[1:], (2, 2, 4), strict=False)
        )
        self.context = ContextEmbedding(thin[3])
        self.aggregation = Aggregation(wide)
        self.head = Head(wide, scaled(1024, width), 8, guide=False)
        self.guides = nn.ModuleList(
            Head(inward, scaled(128, width), factor, guide=True)
            for inward, factor in zip(thin, (4, 8, 16, 32), strict=True)
        )
        self.apply(init_he)

    def outputs(self, image: torch.Tensor) -> list[torch.Tensor]:
        maps = [self.stem(image)]  # (N, 16, H / 4, W / 4)
        for stage in self.stages:
            maps.append(stage(maps[-1]))  # (N, 32, H / 8, …), (N, 64, H / 16, …), (N, 128, H / 32, …)
        both = self.aggregation(self.detail(image), self.context(maps[-1]))  # (N, 128, H / 8, W / 8)
        outputs = [self.head(both)]
        if self.training:
            outputs += [guide(x) for guide, x in zip(self.guides, maps, strict=True)]
        return outputs


def init_he(module: nn.Module) -> None:
    """Start convolutions from N(0, 2 / fan-out), biases from 0 (He et al. 2015): made for ReLUs."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


METHOD = Method(
    title="BiSeNetv2",
    strategy="general_supervised",
    build=BiSeNetV2,
    parameters=6.37,  # 27.71 with the 19 classes of the source, 3.40 without the guiding heads
    source="github.com/sithu31296/semantic-segmentation (MIT)",
    chosen=(
        "The source has 19 classes and 27.71 M parameters; with one logit the guiding heads shrink to 2.97 M.",
        "All five heads have weight 1, as in github.com/CoinCheung/BiSeNet (MIT).",
        "Hard examples are not mined: the loss is the mean over all pixels.",
    ),
)
