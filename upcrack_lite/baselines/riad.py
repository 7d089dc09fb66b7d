"""RIAD: restore a third of a photo from the other two, three times, and look where that fails.

Source: Zavrtanik et al., Pattern Recognition 112 (2021). The paper's tables call it RIAD [47]. A photo is cut into
small square cells, dealt at random into three sets (`masks.jumbled_sets`). Each set is removed once, and a U-Net
restores it; the three restored sets together are a whole photo of which no pixel has been seen. Cells of four sizes
give four such photos, and the score is the mean difference of their gradients from the photo's.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from upcrack_lite import losses, masks
from upcrack_lite.baselines.base import Method, Restorer
from upcrack_lite.baselines.blocks import scaled, up_to

CHANNELS = (64, 128, 256, 512, 512)
CELLS = (2, 4, 8, 16)  # sides of the cells, px
SETS = 3
HOLE = 0.0  # a removed pixel in [-1, 1]: mid-gray, as in the port; UP-CrackNet's is black
SCALES = 4  # of the gradient comparison
SMOOTHING = 21  # px, side of the mean filter over the score


def pair(inward: int, out: int, halve: bool = False) -> nn.Sequential:
    """Two convolutions with batch norm and ReLU; the first halves the map if asked."""
    first = nn.Conv2d(inward, out, 4, 2, 1) if halve else nn.Conv2d(inward, out, 3, padding=1)
    second = nn.Conv2d(out, out, 3, padding=1)
    return nn.Sequential(first, nn.BatchNorm2d(out), nn.ReLU(), second, nn.BatchNorm2d(out), nn.ReLU())


class Riad(Restorer):
    """The U-Net of RIAD with its loss and its score; `width` is the share of the channels."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = [scaled(one, width) for one in CHANNELS]
        self.down = nn.ModuleList(
            pair(inward, out, halve=inward != 3)
            for inward, out in zip((3, *channels), channels, strict=False)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(inward, out, 4, 2, 1) for out, inward in pairwise(channels)
        )
        self.join = nn.ModuleList(pair(2 * out, out) for out in channels[:-1])
        self.last = nn.Conv2d(channels[0], 3, 3, padding=1)

    def restore(self, masked: torch.Tensor) -> torch.Tensor:
        skips, x = [], masked
        for down in self.down:
            x = down(x)  # (N, 64, H, W), (N, 128, H / 2, W / 2), … down to (N, 512, H / 16, W / 16)
            skips.append(x)
        skips.pop()
        for up, join in reversed(list(zip(self.up, self.join, strict=True))):
            x = join(torch.cat([up(x), skips.pop()], dim=1))  # (N, 512, H / 8, W / 8), … up to (N, 64, H, W)
        return torch.tanh(self.last(x))

    def all_restored(self, image: torch.Tensor, cell: int, generator: torch.Generator) -> torch.Tensor:
        """A photo ``(N, 3, H, W)`` of which each third was restored from the other two; the same shape.

        One deal of the cells serves the whole batch. H and W are multiples of `cell`.
        """
        height, width = image.shape[-2:]
        kept = masks.jumbled_sets(max(height, width), cell, generator, SETS).to(image)
        whole = torch.zeros_like(image)
        for mask in kept[..., :height, :width].split(1):  # (1, 1, H, W)
            whole = whole + (1 - mask) * self.restore(masks.apply(image, mask, HOLE))
        return whole

    def losses(self, image: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """ "l2", "gms", "ssim" and their weighted sum "total"; one cell size is drawn for the batch."""
        cell = CELLS[int(torch.randint(len(CELLS), (1,), generator=generator))]
        restored = self.all_restored(image, cell, generator).float()
        image = image.float()  # the root and the variances need float32
        terms = {
            "l2": functional.mse_loss(restored, image),
            "gms": losses.msgms_loss(restored, image, SCALES, median=True),
            "ssim": losses.ssim_loss(restored, image),
        }
        return {**terms, "total": sum(terms.values())}

    def optimizer(self, lr: float, weight_decay: float) -> torch.optim.Adam:
        """Adam, as in the port."""
        return torch.optim.Adam(self.parameters(), lr, weight_decay=weight_decay)

    def scores(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """1 - GMS, the mean over four scales and four cell sizes, smoothed by a mean over `SMOOTHING` px."""
        maps = [difference(image, self.all_restored(image, cell, generator)) for cell in CELLS]
        mean = torch.stack(maps).mean(dim=0)  # (N, 1, H, W)
        return functional.avg_pool2d(mean, SMOOTHING, 1, SMOOTHING // 2, count_include_pad=False)


def difference(image: torch.Tensor, restored: torch.Tensor) -> torch.Tensor:
    """1 - GMS at scales 1, 1/2, 1/4 and 1/8, each enlarged to the photo's size; their mean ``(N, 1, H, W)``."""
    image, restored = image.float(), restored.float()
    maps, full = [], image
    for scale in range(SCALES):
        if scale:
            image, restored = functional.avg_pool2d(image, 2), functional.avg_pool2d(restored, 2)
        maps.append(up_to(1 - losses.gms_map(restored, image, median=True), full))
    return torch.stack(maps).mean(dim=0)


METHOD = Method(
    title="RIAD",
    strategy="unsupervised",
    build=Riad,
    parameters=28.81,
    source="a public port, read and not copied (no license): "
    "github.com/plutoyuxie/Reconstruction-by-inpainting-for-visual-anomaly-detection",
    chosen=(
        "The authors of the comparison wrote their own code and do not share it: their rows cannot be run again.",
        "The score is smoothed by a mean over 21 px, as several ports do; the one read has a Gaussian of 7 px.",
        "Each cell size counts alike; the port read divides by the squared number of cells in a row.",
        "Cells and mean are in pixels at the lite size too, where they cover twice as much of the road.",
        "SSIM takes values that span 2, as they do on [-1, 1]; the port read takes 1.",
    ),
)
