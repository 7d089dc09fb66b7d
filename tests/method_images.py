"""Small images for tests of the compared methods: noise, close-ups of cracks, a dark line on undamaged road."""

from __future__ import annotations

import numpy as np
import torch

from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.images import to_tensor

SIDE = 64  # px; the sides of the images that are learned


def images(count: int, height: int = SIDE, width: int = SIDE, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


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


def dark_line() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Four undamaged synthetic crops, one of them with a dark line of 3 px, and where the line is."""
    roads = [synthetic_road(SIDE, i, "concrete", crack=False, confounders=0.0)[0] for i in range(4)]
    image = to_tensor(np.stack(roads))
    line = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    line[..., 30:33] = True
    return image, torch.where(line, -0.9, image[:1]), line
