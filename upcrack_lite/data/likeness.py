"""Which photos look alike, and which masks lie wrong: the two rules that go by likeness. Chapter: the data.

Both work on the facts of a survey, so no file is read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from upcrack_lite.data.facts import ORIENTATIONS, turned
from upcrack_lite.data.survey import Photo

MAX_DISTANCE = 8.5
"""Photos this near are called near-duplicates, in bits of 64, as `Likeness.distance` counts.

Measured on DeepCrack, CFD and 1754 Crack500 crops of 360×360: copies that were saved as JPEG 60, halved or
made brighter by 10 levels are all found, upright or turned, and with 1 % cut off every side 100, 100 and
99.7 %. With 2 % cut off every side it is 97, 97 and 92 %. Among the photos themselves it names 2, 0 and 12
pairs; all 14 show the same spot. The nearest two photos of different spots are 10 bits apart.
"""

_FIRST_LOOK = 12
# An upright hash alone calls photos with one diagonal crack alike. The mean over all 8 orientations does not,
# but costs 8 times as much; it is taken where the first look finds 12 differing bits or fewer.

_ROWS = 32  # photos compared with all others at once: 32 × 5370 distances take 1.4 MB

FITS_BETTER = 0.6
"""A mask lies wrong if another orientation has this much more contrast, and at least this much.

In standard deviations of the photo's gray. Measured: no false alarm in 537 pairs of DeepCrack, 118 of CFD and
1754 Crack500 crops. When the masks are turned or mirrored on purpose in every way that keeps their size, 99, 97
and 86 % of them are named (Crack500's labels are wide and hold much plain road).
"""


class Likeness(NamedTuple):
    """Two photos that look alike.

    Attributes:
        a, b: the photos, in the order given.
        distance: in how many of 64 bits their hashes differ, as the mean over the 8 orientations.
        turned: index into `facts.ORIENTATIONS`: `b` laid so looks like `a`; 0 is upright.
    """

    a: Photo
    b: Photo
    distance: float
    turned: int


def near_duplicates(
    photos: Sequence[Photo], max_distance: float = MAX_DISTANCE, most: int = 20_000
) -> list[Likeness]:
    """List the pairs of photos that look alike, also when one is turned or mirrored.

    Memory stays bounded: photos are compared in blocks, and only the nearest `most` pairs are kept.

    Args:
        photos: photos of a survey; the ones without hashes are left out.
        max_distance: at most so many of 64 bits differ.
        most: how many pairs to return at most.

    Returns:
        Each pair once, in its best orientation; nearest first, then by the photos' order.
    """
    readable = [photo for photo in photos if len(photo.hashes) == len(ORIENTATIONS)]
    hashes = np.array([photo.hashes for photo in readable], np.uint64).reshape(-1, len(ORIENTATIONS))
    kept = np.empty((0, 4))  # distance, first, second, orientation
    for start in range(0, len(readable), _ROWS):
        kept = np.vstack([kept, _nearest(hashes, start, max_distance)])
        kept = kept[np.lexsort(kept.T[[3, 2, 1, 0]])][:most]
    return [Likeness(readable[int(a)], readable[int(b)], d, int(k)) for d, a, b, k in kept.tolist()]


def _nearest(hashes: np.ndarray, start: int, max_distance: float) -> np.ndarray:
    """Compare a block of photos with all later ones: rows (distance, first, second, orientation)."""
    block, later = hashes[start : start + _ROWS], hashes[start:]
    best = np.full((len(block), len(later)), np.inf, np.float32)
    laid = np.zeros(best.shape, np.uint8)
    for orientation, composed in enumerate(_COMPOSED):
        first_look = np.bitwise_count(block[:, None, 0] ^ later[None, :, orientation]) <= _FIRST_LOOK
        a, b = np.nonzero(np.triu(first_look, 1))
        distance = np.zeros(len(a), np.float32)
        for upright, further in enumerate(composed):
            distance += np.bitwise_count(block[a, upright] ^ later[b, further]) / np.float32(len(composed))
        nearer = distance < best[a, b]
        best[a[nearer], b[nearer]] = distance[nearer]
        laid[a[nearer], b[nearer]] = orientation
    a, b = np.nonzero(best <= max_distance)
    return np.stack([best[a, b], a + start, b + start, laid[a, b]], axis=1).astype(float)


def better_orientation(contrast: Sequence[float]) -> int:
    """Return the orientation that fits the photo far better than the mask as it is, or 0 where none does.

    Args:
        contrast: `Photo.contrast`, 8 numbers, or empty.
    """
    if len(contrast) != len(ORIENTATIONS) or np.isnan(contrast[0]):
        return 0
    best = int(np.nanargmax(contrast))
    far_better = contrast[best] >= FITS_BETTER and contrast[best] - contrast[0] >= FITS_BETTER
    return best if far_better else 0


def _compose() -> list[list[int]]:
    """For each orientation, where the 8 orientations of a picture laid so are among its own 8."""
    tile = np.arange(4).reshape(2, 2)
    index = {turned(tile, k).tobytes(): k for k in range(len(ORIENTATIONS))}
    everyone = range(len(ORIENTATIONS))
    return [[index[turned(turned(tile, first), then).tobytes()] for then in everyone] for first in everyone]


_COMPOSED = _compose()
