"""Square windows in one photo: which places are free of cracks, and how many fit side by side."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Place = tuple[int, int, int]
"""A window in pixels of its photo: x and y of the upper left corner, and the side."""

_CANDIDATES = 4096  # random positions tried in one photo; enough to fill it, few enough to be quick


def free_places(crack_mask: np.ndarray, window: int, margin: int = 0) -> np.ndarray:
    """Mark the upper left corners of all windows that are free of cracks.

    Args:
        crack_mask: bool `(H, W)`, no smaller than the window.
        window: side of the windows in pixels.
        margin: a window is free if the square that reaches so many pixels further to every side holds no
            crack pixel (pixels beyond the border hold none).

    Returns:
        bool `(H - window + 1, W - window + 1)`.
    """
    # A window is free of the mask dilated by a square exactly if the window grown by the margin is free
    # of the mask itself, so that four look-ups in an integral image answer for every place.
    padded = np.pad(crack_mask, margin).astype(np.uint8)
    total = cv2.integral(padded)  # (H + 2 margin + 1, W + 2 margin + 1)
    side = window + 2 * margin
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return inside == 0


def fill(
    crack_mask: np.ndarray,
    windows: Sequence[int],
    margin: int,
    max_overlap: float,
    rng: np.random.Generator,
    stride: int = 1,
) -> list[Place]:
    """Choose free places at random until no more fit: first of the largest window, then of smaller ones.

    Args:
        crack_mask: bool `(H, W)`; a window that is larger finds no place.
        windows: sides in pixels, the largest first.
        margin: as in `free_places`.
        max_overlap: the largest share of the smaller window's area that two windows may have in common.
        rng: draws the places.
        stride: corners lie on a grid of so many pixels.
    """
    taken: list[Place] = []
    for window in windows:
        if window > min(crack_mask.shape):
            continue
        free = free_places(crack_mask, window, margin)[::stride, ::stride]
        y, x = (part * stride for part in np.divmod(np.flatnonzero(free), free.shape[1]))
        for place in taken:  # of larger windows
            left = overlap(x, y, window, place) <= max_overlap * window**2
            y, x = y[left], x[left]
        order = rng.permutation(len(y))[:_CANDIDATES]
        y, x = y[order], x[order]
        while len(y):
            taken.append((int(x[0]), int(y[0]), window))
            left = overlap(x, y, window, taken[-1]) <= max_overlap * window**2
            left[0] = False
            y, x = y[left], x[left]
    return taken


def overlap(x: np.ndarray, y: np.ndarray, window: int, place: Place) -> np.ndarray:
    """Return the area in pixels that each window with its upper left corner at (x, y) shares with `place`."""
    other_x, other_y, side = place
    across = np.minimum(x + window, other_x + side) - np.maximum(x, other_x)
    down = np.minimum(y + window, other_y + side) - np.maximum(y, other_y)
    return np.clip(across, 0, None) * np.clip(down, 0, None)
