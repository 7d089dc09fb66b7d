"""The masks of the two restorers as panels for `figures.images`. Chapter: the compared methods."""

from __future__ import annotations

import numpy as np
import torch

from upcrack_lite import masks
from upcrack_lite.baselines.riad import CELLS, SETS

TONES = np.array([[0, 114, 178], [230, 159, 0], [225, 225, 225]], np.uint8)
"""Blue, orange and pale gray: they differ in brightness too."""


def riad_sets(size: int, seed: int = 0) -> list[tuple[str, np.ndarray]]:
    """One deal for each cell size: a picture, uint8 `(size, size, 3)`, in which each of the three sets has a tone.

    size: px, a multiple of the largest cell.
    """
    draws, panels = torch.Generator().manual_seed(seed), []
    for cell in CELLS:
        removed = masks.jumbled_sets(size, cell, draws, SETS)[:, 0] == 0  # (3, size, size)
        panels.append((f"cells of {cell} px", TONES[removed.int().argmax(dim=0).numpy()]))
    return panels


def scadn_stripes(size: int) -> list[tuple[str, np.ndarray]]:
    """The twelve masks, bool `(size, size)`, True = kept, four for each stripe width. size: a multiple of 16."""
    widths = [width for width in (size // 4, size // 8, size // 16) for _ in range(4)]
    kept = masks.all_striped(size)[:, 0] > 0.5  # (12, size, size)
    return [(f"{width} px", mask.numpy()) for width, mask in zip(widths, kept, strict=True)]
