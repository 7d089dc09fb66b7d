"""What tests of the compared networks share: small images, and how each network learns four of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.images import to_tensor

SIDE = 64  # px; the sides of the images that are learned


def images(count: int, height: int = SIDE, width: int = SIDE, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@dataclass(frozen=True)
class Learning:
    """How a network learns four images here.

    rate: of Adam; width: of the network; steps: at most, for a supervised one; falls: the share of its first value
    to which the loss must fall; stands_out: how many times a restorer's score on a dark line must exceed that beside;
    full_rate: of Adam at full width and 256 px, for a supervised one.
    """

    rate: float = 3e-3
    width: float = 0.125
    steps: int = 200
    falls: float = 0.5
    stands_out: float = 1.0
    full_rate: float = 1e-3


LEARNING = {
    "deeplabv3plus": Learning(1e-2),
    "enet": Learning(1e-2),  # the smallest network takes the largest steps
    "ddrnet": Learning(width=0.25),
    "deepcrack19": Learning(1e-2),
    "deepcrack18": Learning(1e-3, full_rate=1e-4),  # 26 layers without batch norm
    # Untrained, the line stands out too: 3.6 times in SCADN's map, 1.8 times in RIAD's, of edges.
    "scadn": Learning(2e-3, steps=60, falls=0.4, stands_out=5.5),
    "riad": Learning(2e-3, steps=60, falls=0.8, stands_out=1.4),
}


def learning(name: str) -> Learning:
    """The settings of a network, or those of a new one."""
    return LEARNING.get(name, Learning())


def close_ups() -> tuple[torch.Tensor, torch.Tensor]:
    """Four close-ups of synthetic cracks, wide enough for a network that answers at an eighth of the size; masks."""

    def close_up(seed: int, side: int = 1024) -> tuple[np.ndarray, np.ndarray]:
        road, crack_mask = synthetic_road(side, seed, crack_share=0.08, confounders=0.0)
        starts = range(0, side - SIDE + 1, 32)
        windows = [np.s_[i : i + SIDE, j : j + SIDE] for i in starts for j in starts]
        best = min(windows, key=lambda one: abs(crack_mask[one].mean() - 0.35))
        return road[best], crack_mask[best]

    roads, crack_masks = zip(*(close_up(seed) for seed in range(4)), strict=True)
    return to_tensor(np.stack(roads)), torch.from_numpy(np.stack(crack_masks))[:, None].float()


def wide_cracks(size: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """Four synthetic roads with wide cracks, and their masks."""
    roads = [synthetic_road(size, [5, i], crack_share=0.12, confounders=0) for i in range(4)]
    photos, crack_masks = (np.stack(one) for one in zip(*roads, strict=True))
    return to_tensor(photos), torch.from_numpy(crack_masks)[:, None].float()


def dark_line() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Four undamaged synthetic crops, one of them with a dark line of 3 px, and where the line is."""
    roads = [synthetic_road(SIDE, i, "concrete", crack=False, confounders=0.0)[0] for i in range(4)]
    image = to_tensor(np.stack(roads))
    line = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    line[..., 30:33] = True
    return image, torch.where(line, -0.9, image[:1]), line
