"""What can be measured on one photo and its mask: perceptual hashes, contrast, shares. Chapter: the data."""

from __future__ import annotations

import numpy as np

ORIENTATIONS = (
    "upright",
    "turned a quarter left",
    "turned a half",
    "turned a quarter right",
    "mirrored",
    "mirrored, then turned a quarter left",
    "mirrored, then turned a half",
    "mirrored, then turned a quarter right",
)
"""The 8 ways to lay a picture, in the order of `Photo.hashes` and `Photo.contrast`."""


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Lay an array `(H, W)` or `(H, W, C)` in one of the 8 ways (0 to 7, as in `ORIENTATIONS`)."""
    return np.rot90(pixels[:, ::-1] if orientation >= 4 else pixels, orientation % 4)


def perceptual_hashes(image: np.ndarray) -> tuple[int, ...]:
    raise NotImplementedError


def contrasts(image: np.ndarray, crack_mask: np.ndarray) -> tuple[float, ...]:
    raise NotImplementedError


def label_facts(path, data: bytes) -> tuple[float, float | None]:
    raise NotImplementedError
