"""Lawin: a MiT encoder, and windows that look at contexts two, four and eight times their size.

Sources: the Lawin Transformer (Yan et al. 2022, arXiv 2201.01615) and its encoder from SegFormer (Xie et al. 2021).
The paper's tables call it Lawin [63]; which encoder it used is not said. The encoder, MiT, gives maps at 1/4 to 1/32.
The head, a pyramid as in DeepLab but of attention, works on the map at 1/8: each window of 8 x 8 pixels asks
contexts of 16, 32 and 64 pixels around it, each pooled to 8 x 8 positions. A map at 1/4 adds the detail.
"""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.baselines.base import Method, Supervised
from upcrack_lite.baselines.blocks import conv_bn, scaled, up_to

B2_CHANNELS = (64, 128, 320, 512)
B2_DEPTHS, B0_DEPTHS = (3, 4, 6, 3), (2, 2, 2, 2)
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)  # keys and values are taken from a map this much smaller
WINDOW = 8  # positions on the map at 1/8
RATIOS = (2, 4, 8)  # of a context's side to its window's


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of ``(N, C, H, W)``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Every pixel asks a map that is `reduction` times smaller; ``(N, C, H, W)`` to the same shape."""

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.ask = nn.Conv2d(channels, channels, 1)
        self.answer = nn.Conv2d(channels, 2 * channels, 1)
        self.leave = nn.Conv2d(channels, channels, 1)
        self.shrink: nn.Module = nn.Identity()
        if reduction > 1:
            shrink = nn.Conv2d(channels, channels, reduction, reduction)
            self.shrink = nn.Sequential(shrink, LayerNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, (key, value) = self.ask(x), self.answer(self.shrink(x)).chunk(2, dim=1)
        asked = attention(query, key, value, self.heads)  # (N, heads, C / heads, H * W)
        return self.leave(asked.reshape(x.shape))


class Block(nn.Module):
    """Attention, then a two-layer network with a depthwise 3x3 in it; each is added to what came in.

    drop: how often a photo skips the block in training.
    """

    def __init__(self, channels: int, heads: int, reduction: int, drop: float) -> None:
        from torchvision.ops import StochasticDepth  # importing torchvision takes seconds

        super().__init__()
        wide = 4 * channels
        self.attend = nn.Sequential(LayerNorm2d(channels), Attention(channels, heads, reduction))
        self.mix = nn.Sequential(
            LayerNorm2d(channels),
            nn.Conv2d(channels, wide, 1),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide),
            nn.GELU(),
            nn.Conv2d(wide, channels, 1),
        )
        self.drop = StochasticDepth(drop, "row")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop(self.attend(x))
        return x + self.drop(self.mix(x))


class MiT(nn.Module):
    """The encoder of SegFormer: four stages, at 1/4, 1/8, 1/16 and 1/32 of the image's side."""

    def __init__(self, channels: tuple[int, ...], depths: tuple[int, ...], drop: float = 0.1) -> None:
        super().__init__()
        total, before = sum(depths), (0, *accumulate(depths))
        self.stages = nn.ModuleList()
        for i, (out, depth) in enumerate(zip(channels, depths, strict=True)):
            kernel, stride, inward = (7, 4, 3) if i == 0 else (3, 2, channels[i - 1])
            drops = (drop * (before[i] + j) / (total - 1) for j in range(depth))  # rises from 0 to `drop`
            self.stages.append(
                nn.Sequential(
                    nn.Conv2d(inward, out, kernel, stride, kernel // 2),
                    LayerNorm2d(out),
                    *(Block(out, HEADS[i], REDUCTIONS[i], one) for one in drops),
                    LayerNorm2d(out),
                )
            )

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        maps = [image]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]  # (N, 64, H / 4, …), (N, 128, H / 8, …), (N, 320, H / 16, …), (N, 512, H / 32, …)


class WindowAttention(nn.Module):
    """Each window of `WINDOW` squared pixels asks a context `ratio` times as wide, pooled to the window's size.

    The context has `ratio` squared heads. Before it answers, each head mixes its positions with a matrix of its own.
    """

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.ratio, self.heads = ratio, ratio * ratio
        inner, positions = channels // 2, WINDOW * WINDOW
        self.norm = LayerNorm2d(channels)
        self.mixing = nn.Parameter(torch.empty(self.heads, positions, positions))
        self.mixing_bias = nn.Parameter(torch.zeros(self.heads, positions, 1))
        nn.init.trunc_normal_(self.mixing, std=0.02)
        self.ask = nn.Conv2d(channels, inner, 1)
        self.answer = nn.Conv2d(channels, 2 * inner, 1)
        self.leave = nn.Sequential(nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        rows, columns = h // WINDOW, w // WINDOW
        # The windows' contexts overlap. Their pooled values coincide, so the map is pooled once.
        around = functional.pad(x, (WINDOW * (self.ratio - 1) // 2,) * 4)
        pooled = (functional.max_pool2d(around, self.ratio) + functional.avg_pool2d(around, self.ratio)) / 2
        contexts = functional.unfold(self.norm(pooled), WINDOW, stride=WINDOW // self.ratio)
        contexts = contexts.transpose(1, 2)  # (N, windows, C * 64)
        contexts = contexts.reshape(-1, self.heads, c // self.heads, WINDOW * WINDOW)
        mixed = self.mixing @ contexts.transpose(2, 3) + self.mixing_bias  # (windows, heads, 64, …)
        contexts = (contexts + mixed.transpose(2, 3)).reshape(-1, c, WINDOW, WINDOW)
        key, value = self.answer(contexts).chunk(2, dim=1)  # (windows, C / 2, 8, 8)
        query = self.ask(x).reshape(n, -1, rows, WINDOW, columns, WINDOW).permute(0, 2, 4, 1, 3, 5)
        query = query.reshape(n * rows * columns, -1, WINDOW, WINDOW)  # (windows, C / 2, 8, 8)
        asked = attention(query, key, value, self.heads)  # (windows, heads, C / 2 / heads, 64)
        asked = asked.reshape(n, rows, columns, -1, WINDOW, WINDOW)
        return x + self.leave(asked.permute(0, 3, 1, 4, 2, 5).reshape(n, -1, h, w))  # (N, C, h, w)


def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int) -> torch.Tensor:
    """What each pixel of `query` is told; maps ``(N, C, H, W)`` to ``(N, heads, C / heads, H * W)`` of the query."""
    n, c = query.shape[:2]
    rows = (one.reshape(n, heads, c // heads, -1).transpose(2, 3) for one in (query, key, value))
    return functional.scaled_dot_product_attention(*rows).transpose(2, 3)


class Lawin(Supervised):
    """MiT-B2 at width 1; half of it, with the depths of B0, is MiT-B0."""

    multiple = 64  # windows of 8 positions at 1/8

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        # Each head has the same number of channels, a multiple of eight.
        channels = tuple(
            scaled(one, width, 8 * heads, 8 * heads) for one, heads in zip(B2_CHANNELS, HEADS, strict=True)
        )
        inner = scaled(512, width, 128, 128)  # 64 heads of at least one value after the halving
        low = min(48, scaled(96, width))
        self.encoder = MiT(channels, B2_DEPTHS if width > 0.5 else B0_DEPTHS)
        self.enter = nn.ModuleList(nn.Conv2d(one, inner, 1) for one in channels[1:])
        self.fuse = conv_bn(3 * inner, inner, 1)
        self.short = conv_bn(inner, inner, 1)
        self.whole = conv_bn(inner, inner, 1)
        self.windows = nn.ModuleList(WindowAttention(inner, ratio) for ratio in RATIOS)
        self.join = conv_bn((2 + len(RATIOS)) * inner, inner, 1)
        self.low = nn.Conv2d(channels[0], low, 1)
        self.low_fuse = conv_bn(inner + low, inner, 1)
        self.head = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(inner, 1, 1))
        self.apply(_init)

    def outputs(self, image: torch.Tensor) -> list[torch.Tensor]:
        fine, *maps = self.encoder(image)
        entered = [up_to(enter(one), maps[0]) for enter, one in zip(self.enter, maps, strict=True)]
        x = self.fuse(torch.cat(entered, dim=1))  # (N, 512, H / 8, W / 8)
        whole = self.whole(x.mean(dim=(2, 3), keepdim=True)).expand_as(x)
        x = self.join(torch.cat([self.short(x), whole, *(one(x) for one in self.windows)], dim=1))
        x = self.low_fuse(torch.cat([up_to(x, fine), self.low(fine)], dim=1))  # (N, 512, H / 4, W / 4)
        return [up_to(self.head(x), image)]  # (N, 1, H, W)


def _init(module: nn.Module) -> None:
    """1x1 convolutions start as the linear layers of a transformer, N(0, 0.02); others from N(0, 2 / fan-out)."""
    if isinstance(module, nn.Conv2d):
        if module.kernel_size == (1, 1):
            nn.init.trunc_normal_(module.weight, std=0.02)
        else:
            fan_out = module.kernel_size[0] ** 2 * module.out_channels // module.groups
            nn.init.normal_(module.weight, 0.0, (2 / fan_out) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


METHOD = Method(
    title="Lawin",
    strategy="general_supervised",
    build=Lawin,
    parameters=29.5,
    source="arXiv 2201.01615 and github.com/sithu31296/semantic-segmentation (MIT)",
    chosen=(
        "The paper does not name the encoder; the kit takes MiT-B2, and for widths up to 0.5 the depths of MiT-B0.",
        "A context is pooled by half its maximum and half its mean.",
        "The loss is cross entropy of the one output.",
    ),
)
