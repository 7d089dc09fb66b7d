"""A photo of any size through a network that takes small squares: overlapping windows, joined without seams."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

AT_ONCE = 8  # windows in a batch: enough to fill a GPU, and little memory beside the photo


def windowed_map(maps_of: Callable[[np.ndarray], np.ndarray], photo: np.ndarray, window: int) -> np.ndarray:
    """Map of a photo, uint8 ``(H, W, 3)``, from windows that overlap by half: float32 ``(H, W)``.

    maps_of: from windows, uint8 ``(N, window, window, 3)``, to their maps, float32 ``(N, window, window)``.
    Where windows overlap their maps are averaged, weighted less toward a window's border. A side shorter than the
    window is mirrored until it is as long.
    """
    height, width = photo.shape[:2]
    below, right = max(0, window - height), max(0, window - width)
    if below or right:
        photo = np.pad(photo, ((0, below), (0, right), (0, 0)), "reflect")
    ramp = np.minimum(np.arange(1, window + 1), np.arange(window, 0, -1)).astype(np.float32)
    starts = [_starts(length, window) for length in photo.shape[:2]]
    places = [(y, x) for y in starts[0] for x in starts[1]]
    total, weight = np.zeros(photo.shape[:2], np.float32), np.outer(ramp, ramp)
    for first in range(0, len(places), AT_ONCE):
        some = places[first : first + AT_ONCE]
        maps = maps_of(np.stack([photo[y : y + window, x : x + window] for y, x in some]))
        for (y, x), one in zip(some, maps, strict=True):
            total[y : y + window, x : x + window] += one * weight
    total /= np.outer(
        *(_weights(length, some, ramp) for length, some in zip(total.shape, starts, strict=True))
    )
    return total[:height, :width]


def _starts(length: int, window: int) -> list[int]:
    return sorted({*range(0, length - window, max(window // 2, 1)), length - window})


def _weights(length: int, starts: list[int], ramp: np.ndarray) -> np.ndarray:
    """The sum of the windows' weights along one side, ``(length,)``."""
    total = np.zeros(length, np.float32)
    for start in starts:
        total[start : start + len(ramp)] += ramp
    return total
