"""From crack lines to pixels: how much of each pixel they cover, and which pixels count as crack.

Coverage is found by drawing the cracks four times larger and averaging. The label follows from it: **a pixel is
crack where at least half of its area is covered.**
"""

from __future__ import annotations

import cv2
import numpy as np

from upcrack_lite.data.cracks import Crack, lines, reach

OVERSAMPLE = 4  # sub-pixels along each side of a pixel
LABEL_COVERAGE = 0.5
MAX_SHARE = 0.15
THINNEST = 1.5  # mean width, in pixels of a 256-pixel image, below which a line is left out instead


def _smooth(values: np.ndarray, reach: int) -> np.ndarray:
    """Running mean over `reach` neighbors on either side."""
    total = np.cumsum(np.pad(values, (reach + 1, reach), mode="edge"))
    return (total[2 * reach + 1 :] - total[: -2 * reach - 1]) / (2 * reach + 1)


def coverage(cracks: list[Crack], size: int, width: float) -> np.ndarray:
    """Share of each pixel's area under cracks of mean width `width` px: float32 `(size, size)` in [0, 1]."""
    canvas = np.zeros((size * OVERSAMPLE, size * OVERSAMPLE), np.uint8)
    shift = 4
    for crack in cracks:
        # The direction is taken over several points, more of them for a wide crack: a normal that follows
        # every kink would make the banks spiky.
        k = 3 + round(width / (3 * size / 256))
        padded = np.pad(crack.points, ((k, k), (0, 0)), mode="edge")
        along = padded[2 * k :] - padded[: -2 * k]
        normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
        normal /= np.maximum(np.hypot(*normal.T), 1e-9)[:, None]
        # Filling also paints the sub-pixels that the outline touches: half a sub-pixel too much on either side.
        a, b = (
            crack.points + sign * normal * np.maximum(width * half - 0.5 / OVERSAMPLE, 0)[:, None]
            for sign, half in ((1, _smooth(crack.left, k - 3)), (-1, _smooth(crack.right, k - 3)))
        )
        quads = np.stack([a[:-1], a[1:], b[1:], b[:-1]], axis=1)  # (K - 1, 4, 2)
        seen = (quads.max(axis=1) > 0).all(axis=1) & (quads.min(axis=1) < size).all(axis=1)
        # Sub-pixel centers lie at half-integers; the drawing functions count from centers.
        quads = np.round((quads[seen] * OVERSAMPLE - 0.5) * 2**shift).astype(np.int32)
        for quad in quads:
            cv2.fillConvexPoly(canvas, quad, 255, lineType=cv2.LINE_8, shift=shift)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def label(covered: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coverage brought to `(size, size)`, and its crack mask (bool): True where coverage is at least 1/2."""
    if covered.shape[0] != size:
        covered = cv2.resize(covered, (size, size), interpolation=cv2.INTER_AREA)
    return covered, covered >= LABEL_COVERAGE - 1e-6


def share_tolerance(crack_share: float, size: int) -> float:
    """How far the crack share of an image may lie from the one asked for: 5 % of it, 0.0005 or three pixels."""
    return max(0.05 * crack_share, 0.0005, 3 / size**2)


def draw_cracks(rng: np.random.Generator, canvas: int, size: int, crack_share: float | None) -> np.ndarray:
    """Coverage of a `(canvas, canvas)` image by cracks, float32 in [0, 1].

    `crack_share` is the share of crack pixels in the mask at `size`; the mean width is adjusted until it is
    met within `share_tolerance`. None draws a share of about 0.5 to 8 %, most often 1 to 4 %.
    """
    unit = canvas / 256
    exact = crack_share is not None
    share = crack_share if exact else float(np.exp(np.clip(rng.normal(np.log(0.024), 0.65), -5.1, -2.5)))
    area = share * canvas**2
    thinnest = max(THINNEST * unit, 1.25 * canvas / size)
    cracks = lines(rng, canvas, area, thinnest, unit)
    width = area / max(sum(reach(c, canvas) for c in cracks), 1.0)
    below, above = 0.0, float("inf")
    best, best_miss = None, float("inf")
    for _ in range(14):
        covered = coverage(cracks, canvas, width)
        found = float(label(covered, size)[1].mean())
        miss = abs(found - share)
        if miss < best_miss:
            best, best_miss = covered, miss
        if miss <= (0.6 * share_tolerance(share, size) if exact else 0.3 * share):
            break
        if found < share:
            below = width
            step = min(2.0, max(1.02, (share / max(found, 1e-9)) ** 0.9))
            width = width * step if width * step < above else (below + above) / 2
        else:
            above = width
            step = max(0.5, min(0.98, (share / found) ** 0.9))
            width = width * step if width * step > below else (below + above) / 2
    return best
