"""Near-duplicates and masks that lie wrong: what the rules find, how they scale, and what they leave alone."""

from __future__ import annotations

import math
from math import nan

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from upcrack_lite.data.duplicates import (
    FITS_BETTER,
    ORIENTATIONS,
    better_orientation,
    contrasts,
    near_duplicates,
    perceptual_hashes,
    turned,
)
from upcrack_lite.data.synthetic import synthetic_road


def scene(seed: int, size: tuple[int, int] = (180, 120)) -> np.ndarray:
    """A picture with patches of its own, uint8 `(H, W, 3)`."""
    rng = np.random.default_rng(seed)
    patches = cv2.resize(rng.uniform(40, 220, (6, 8)), size, interpolation=cv2.INTER_CUBIC)
    return np.repeat(
        (patches + rng.normal(0, 8, patches.shape)).clip(0, 255).astype(np.uint8)[..., None], 3, 2
    )


def saved_again(image: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)


CHANGES = {
    "JPEG 60": saved_again,
    "half": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "brighter": lambda image: (image.astype(int) + 10).clip(0, 255).astype(np.uint8),
    "cropped": lambda image: np.ascontiguousarray(image[1:-1, 2:-2]),  # 1 % off every side
}


def test_a_mask_that_fits_far_better_otherwise_is_named():
    assert better_orientation(()) == better_orientation((nan,) * 8) == 0
    assert better_orientation((2.0, 0.1, nan, 0.0, 0.0, nan, 0.3, 0.0)) == 0
    assert better_orientation((0.1, 0.1, nan, 2.0, 0.0, nan, 0.3, 0.0)) == 3
    assert better_orientation((1.9, 0.0, 0.0, 1.89 + FITS_BETTER, 0.0, 0.0, 0.0, 0.0)) == 0
    assert better_orientation((-2.0, 0.0, 0.0, FITS_BETTER - 0.01, 0.0, 0.0, 0.0, 0.0)) == 0  # nothing fits


@pytest.mark.parametrize("orientation", range(1, 8))
def test_the_named_orientation_puts_the_mask_right(orientation):
    image, mask = scene(3, (120, 120)), np.zeros((120, 120), np.uint8)
    cv2.polylines(mask, [np.array([[0, 20], [50, 30], [119, 90]], np.int32)], False, 1, 3)
    image[mask > 0] = 15
    laid = np.ascontiguousarray(turned(mask > 0, orientation))
    better = better_orientation(contrasts(image, laid))
    assert (turned(laid, better) == (mask > 0)).all()
    assert better_orientation(contrasts(image, mask > 0)) == 0


def test_hashes_are_those_of_imagehash_and_follow_a_turned_photo():
    image, _ = synthetic_road(128, seed=5)
    hashes = perceptual_hashes(image)
    assert hashes[0] == int(str(imagehash.phash(Image.fromarray(image))), 16)
    for index in range(8):
        upright = perceptual_hashes(np.ascontiguousarray(turned(image, index)))[0]
        assert (upright ^ hashes[index]).bit_count() <= 4


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_in_every_orientation(change):
    scenes = [scene(seed) for seed in range(16)]
    copies = [CHANGES[change](np.ascontiguousarray(turned(each, k % 8))) for k, each in enumerate(scenes)]
    pairs = near_duplicates([perceptual_hashes(each) for each in scenes + copies])
    assert {(a, b) for a, b, _, _ in pairs} == {(k, 16 + k) for k in range(16)}
    for k, _, _, laid in pairs:  # laid as it says, the copy looks like the original
        assert (turned(turned(scenes[k], k % 8), laid) == scenes[k]).all(), ORIENTATIONS[laid]


def test_contrast_is_nan_where_a_turned_mask_does_not_fit():
    image, mask = scene(3, (60, 40)), np.zeros((40, 60), bool)
    mask[5:8, 3:30] = True
    image[mask] = 20
    upright, sideways = contrasts(image, mask), contrasts(image, mask.T)
    assert [math.isnan(value) for value in upright] == [False, True] * 4
    assert [math.isnan(value) for value in sideways] == [True, False] * 4
    assert max(sideways[1::2]) == pytest.approx(upright[0])  # one quarter turn, mirrored, puts it right
    for nothing in (np.zeros_like(mask), np.ones_like(mask)):
        assert np.isnan(contrasts(image, nothing)).all()
    assert contrasts(np.full_like(image, 90), mask)[0] == 0
