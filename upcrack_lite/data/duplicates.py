"""Which photos look alike, and which masks lie wrong, in the 8 ways to lay a picture. Chapter: the data."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan

import cv2
import numpy as np
from PIL import Image

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

_HASH_SIDE = 32  # imagehash.phash shrinks every picture to 32×32 before its cosine transform
_CONTRAST_SIDE = 256  # the longer side at which contrast is measured, so that 8 orientations stay cheap
# Width of the ring around a mask, in pixels of the shrunken photo. Measured on 501 real pairs: of masks laid wrong,
# a ring of 20 finds more than one of 5 (95 against 87 % on the 360×360 crops of Crack500, at 1 % false alarms).
_RING = 20

MAX_DISTANCE = 8.5
"""Photos this near are called near-duplicates, in bits of 64, as the mean over the 8 orientations.

Measured on DeepCrack, CFD and 1754 Crack500 crops: copies saved as JPEG 60, halved or brighter by 10 levels are all
found, upright or turned. Among the photos it names 2, 0 and 12 pairs, which all show the same spot; the nearest two
photos of different spots are 10 bits apart. Crops of one photo, shifted by a fifth of their side, are not
found.
"""

FITS_BETTER = 0.6
"""A mask lies wrong if another orientation has this much more contrast, and at least this much.

In standard deviations of the photo's gray. Measured: no false alarm in 537 pairs of DeepCrack, 118 of CFD and
1754 Crack500 crops; of masks laid wrong on purpose 99, 97 and 86 % are named.
"""

NO_DARKER = 0.2
"""A mask may be of another photo if its cracks are darker than the road beside them by less, in the same unit.

Measured: 87 to 91 % of masks of another photo of the set are below it; of the right ones none of DeepCrack's, 1 of
CFD's 118, and 3 % of Crack500's crops, whose labels hold much plain road.
"""

# An upright hash alone calls photos with one diagonal crack alike. The mean over all 8 orientations does not; it is
# taken where the first look finds so many differing bits or fewer.
_FIRST_LOOK = 12


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Lay an array `(H, W)` or `(H, W, C)` in one of the 8 ways (0 to 7, as in `ORIENTATIONS`)."""
    return np.rot90(pixels[:, ::-1] if orientation >= 4 else pixels, orientation % 4)


def perceptual_hashes(image: np.ndarray) -> tuple[int, ...]:
    """Return the 64-bit perceptual hashes (`imagehash.phash`) of a photo, uint8 `(H, W, 3)`, in its 8 orientations.

    The photo is shrunk once and then turned. The first hash is exactly imagehash's. The others may differ
    by single bits from those of the photo turned at full size, because shrinking rounds to whole levels.
    """
    import imagehash  # here, so that training and scoring do without it

    gray = Image.fromarray(image).convert("L")
    small = np.asarray(gray.resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.LANCZOS))
    hashes = (imagehash.phash(Image.fromarray(turned(small, index))) for index in range(len(ORIENTATIONS)))
    return tuple(int(str(each), 16) for each in hashes)


def contrasts(image: np.ndarray, crack_mask: np.ndarray) -> tuple[float, ...]:
    """Return how much darker the mask's pixels are than their surroundings, for the mask in 8 orientations.

    It is the mean gray of a ring around the mask minus the mean gray inside it, divided by the standard
    deviation of the photo's gray. Cracks are dark, so a mask that fits its photo gives a positive number, and
    one that lies wrong gives about 0. All is measured at 256 pixels on the longer side.

    image: uint8 `(H, W, 3)` RGB. crack_mask: bool `(h, w)`, of the photo's size, or of its size turned.
    Returns 8 floats in the order of `ORIENTATIONS`; nan where the mask laid so has another size than the photo, and
    for a mask without a crack pixel or without any surroundings.
    """
    gray = _shrunk(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32))
    # The share of crack in each pixel: thin cracks would vanish from a mask that is shrunk and made binary.
    inside = _shrunk(crack_mask.astype(np.float32))
    near = cv2.dilate((inside > 0).astype(np.float32), np.ones((2 * _RING + 1, 2 * _RING + 1)))
    ring = near * (inside == 0)
    if not inside.any() or not ring.any():
        return (nan,) * len(ORIENTATIONS)
    spread = max(float(gray.std()), 1e-6)  # a photo of one color has no contrast anywhere: 0, not an error
    by_orientation = [nan] * len(ORIENTATIONS)
    for index in range(len(ORIENTATIONS)):
        if turned(crack_mask, index).shape == image.shape[:2]:
            around, within = (
                (gray * turned(part, index)).sum(dtype=np.float64) / part.sum(dtype=np.float64)
                for part in (ring, inside)
            )
            by_orientation[index] = float((around - within) / spread)
    return tuple(by_orientation)


def near_duplicates(hashes: Sequence[tuple[int, ...]]) -> list[tuple[int, int, float, int]]:
    """List the pairs of photos that look alike, also when one is turned or mirrored.

    hashes: `perceptual_hashes` of each photo.
    Returns for each pair the positions of both, the distance, and the orientation in which the second one looks
    like the first. Nearest first, then by position.
    """
    table = np.array(hashes, np.uint64).reshape(-1, len(ORIENTATIONS))
    alike = []
    for first, own in enumerate(table):
        others = table[first + 1 :]
        near, laid = np.nonzero(np.bitwise_count(own[0] ^ others) <= _FIRST_LOOK)
        # Row k of _COMPOSED says where the 8 views of a picture laid in way k are among its own.
        distance = np.bitwise_count(own ^ others[near[:, None], _COMPOSED[laid]]).mean(axis=1)
        best: dict[int, tuple[float, int]] = {}
        for second, *way in zip((near + first + 1).tolist(), distance.tolist(), laid.tolist(), strict=True):
            best[second] = min(best.get(second, (65.0, 0)), tuple(way))
        alike += [(first, second, *way) for second, way in best.items() if way[0] <= MAX_DISTANCE]
    return sorted(alike, key=lambda pair: pair[2])


def better_orientation(contrast: Sequence[float]) -> int:
    """Return the orientation that fits the photo far better, by its `contrasts`, than the mask as it is; or 0."""
    if not contrast or isnan(contrast[0]):
        return 0
    best = int(np.nanargmax(contrast))
    far_better = contrast[best] >= FITS_BETTER and contrast[best] - contrast[0] >= FITS_BETTER
    return best if far_better else 0


def misfit(contrast: Sequence[float]) -> str | None:
    """Say why a mask may not be its photo's, from the pair's `contrasts`; None where nothing speaks against it."""
    if better := better_orientation(contrast):
        return f"would fit its photo far better {ORIENTATIONS[better]}"
    if contrast and contrast[0] < NO_DARKER:
        return "its cracks are no darker than the road beside them: is it of another photo?"
    return None


_EVERY_WAY = range(len(ORIENTATIONS))
_TILE = np.arange(4).reshape(2, 2)
_INDEX = {turned(_TILE, way).tobytes(): way for way in _EVERY_WAY}
# For each orientation, where the 8 orientations of a picture laid so are among its own 8: `(8, 8)`.
_COMPOSED = np.array(
    [[_INDEX[turned(turned(_TILE, first), then).tobytes()] for then in _EVERY_WAY] for first in _EVERY_WAY]
)


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    """Average `(H, W)` down to 256 pixels on the longer side; smaller ones stay as they are."""
    height, width = pixels.shape
    scale = _CONTRAST_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
