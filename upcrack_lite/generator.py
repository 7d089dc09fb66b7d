"""The generator G: the U-Net of Pix2Pix that repairs a road (paper, section III-C). Chapter 05 walks through it.

Widths and depth are parameters. The paper's network has width 64 and depth 8, so it takes 256 px and its
innermost map is one pixel. A network of depth d takes images of ``2**d`` px.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from upcrack_lite.errors import UserError
from upcrack_lite.recipes import check_value

Statistics = Literal["batch", "running"]


def widths(width: int, depth: int) -> list[int]:
    """Channels after each encoder level: they double from `width` up to eight times it, then stay."""
    return [width * min(2**level, 8) for level in range(depth)]


class Generator(nn.Module):
    """A U-Net: `depth` halvings, as many doublings, and a skip connection at every size between.

    width: channels of the first level (paper: 64). depth: number of levels (paper: 8).
    dropout: fraction of the values dropped in the first three decoder levels. It is the noise z of Eq. 8.
    Input and output: ``(N, 3, S, S)`` in [-1, 1] with ``S = 2**depth``.
    Raises UserError for another size, or for a depth below 4.
    """

    def __init__(self, width: int = 64, depth: int = 8, dropout: float = 0.5) -> None:
        super().__init__()
        if depth < 4 or width < 1:
            raise UserError(f"a generator needs width ≥ 1 and depth ≥ 4, got width {width}, depth {depth}")
        self.depth = depth
        channels = widths(width, depth)
        self.encoder = nn.ModuleList()
        for level, out in enumerate(channels):
            layers: list[nn.Module] = []
            if level > 0:
                layers.append(nn.LeakyReLU(0.2))
            layers.append(nn.Conv2d(3 if level == 0 else channels[level - 1], out, 4, stride=2, padding=1))
            # The innermost map is one pixel: with one image a batch norm there would erase it.
            if 0 < level < depth - 1:
                layers.append(nn.BatchNorm2d(out))
            self.encoder.append(nn.Sequential(*layers))
        self.decoder = nn.ModuleList()
        for level in reversed(range(depth)):
            # Every level but the innermost also receives the encoder map of its size: twice the channels.
            inward = channels[level] * (1 if level == depth - 1 else 2)
            out = channels[level - 1] if level > 0 else 3
            layers = [nn.ReLU(), nn.ConvTranspose2d(inward, out, 4, stride=2, padding=1)]
            if level > 0:
                layers.append(nn.BatchNorm2d(out))
            if level >= depth - 3:
                layers.append(nn.Dropout(dropout))
            self.decoder.append(nn.Sequential(*layers))
        self.apply(init_weights)

    def forward(self, masked: torch.Tensor) -> torch.Tensor:
        """Restore images: ``(N, 3, S, S)`` in [-1, 1] to the same shape and range."""
        size = 2**self.depth
        if masked.ndim != 4 or masked.shape[1:] != (3, size, size):
            raise UserError(
                f"this generator takes (N, 3, {size}, {size}), got {tuple(masked.shape)}: resize the photos first"
            )
        skips = []
        x = masked
        for down in self.encoder:
            x = down(x)  # (N, C, S / 2, S / 2), then S / 4, … down to (N, C, 1, 1)
            skips.append(x)
        x = self.decoder[0](skips.pop())  # (N, C, 2, 2)
        for up in self.decoder[1:]:
            x = up(torch.cat([x, skips.pop()], dim=1))  # twice the side; C of the next level
        return torch.tanh(x)  # (N, 3, S, S)


def init_weights(module: nn.Module) -> None:
    """Start as Pix2Pix does: convolutions N(0, 0.02), biases 0, batch-norm gains N(1, 0.02)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


@contextmanager
def test_mode(generator: nn.Module, statistics: Statistics, dropout: bool) -> Iterator[None]:
    """Set batch norm and dropout apart, explicitly, and leave the module as it was found.

    statistics: "batch" normalizes by the images at hand, "running" by the averages kept in training.
    dropout: True keeps the noise on, as the released program does.
    The running averages are not touched in either mode. Raises UserError for an unknown name.
    """
    check_value("statistics", statistics, ("batch", "running"))
    modes = {module: module.training for module in generator.modules()}
    tracking = {m: m.track_running_stats for m in modes if isinstance(m, nn.BatchNorm2d)}
    try:
        generator.eval()
        for module in modes:
            if isinstance(module, nn.BatchNorm2d) and statistics == "batch":
                module.train()
                module.track_running_stats = False  # test photos must not change the stored averages
            elif isinstance(module, nn.Dropout):
                module.train(dropout)
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for norm, tracked in tracking.items():
            norm.track_running_stats = tracked


test_mode.__test__ = False  # the name begins with "test", but pytest should not collect it


@torch.no_grad()
def restore(
    generator: Generator,
    image: torch.Tensor,
    statistics: Statistics = "batch",
    dropout: bool = True,
    seed: int = 0,
) -> torch.Tensor:
    """Restore photos at test time, one by one, so that no result depends on its neighbors.

    image: ``(N, 3, S, S)`` in [-1, 1]; returns the same shape and range on the same device.
    With "batch" statistics, a batch of one makes batch norm act as instance norm, as in the released program.
    seed: seeds the dropout of every photo alike; the global random state is put back afterwards.
    """
    devices = [image.device] if image.is_cuda else []
    restored = []
    with torch.random.fork_rng(devices=devices), test_mode(generator, statistics, dropout):
        for one in image.split(1):  # (1, 3, S, S)
            torch.manual_seed(seed)
            restored.append(generator(one))
    return torch.cat(restored) if restored else image.clone()  # (N, 3, S, S)
