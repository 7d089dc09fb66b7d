"""Synthetic roads: reproducible to the byte, labeled exactly, and as varied as they claim to be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

from upcrack_lite.data.cracks import Crack, label, rasterize, share_tolerance
from upcrack_lite.data.datasets import RoadSet
from upcrack_lite.data.synthetic import synthetic_road, synthetic_set
from upcrack_lite.errors import UserError


@pytest.fixture(scope="module")
def roads() -> RoadSet:
    return synthetic_set(40, size=128, seed=7)


def _ring(crack_mask: np.ndarray, inner: int, outer: int) -> np.ndarray:
    """Background between `inner` and `outer` px from the nearest crack pixel."""
    away = ndimage.distance_transform_edt(~crack_mask)
    return (away > inner) & (away <= outer)


def test_image_i_does_not_depend_on_n_or_on_workers():
    few = synthetic_set(3, size=64, seed=4, crack_free=0.5)
    many = synthetic_set(6, size=64, seed=4, crack_free=0.5, workers=2)
    assert np.array_equal(few.images, many.images[:3])
    assert np.array_equal(few.crack_masks, many.crack_masks[:3])
    assert few.names == many.names[:3]
    image, crack_mask = synthetic_road(64, seed=[4, 2])
    assert np.array_equal(image, many.images[2])
    assert np.array_equal(crack_mask, many.crack_masks[2])


@pytest.mark.parametrize(
    ("n", "crack_free", "expected"), [(9, 0, 0), (100, 0.29, 29), (9, 0.5, 4), (9, 1, 9)]
)
def test_share_of_crack_free_images_is_exact(n, crack_free, expected):
    whole = ~synthetic_set(n, size=64, seed=3, crack_free=crack_free).crack_masks.any(axis=(1, 2))
    assert whole.sum() == expected


def test_crack_is_all_that_differs_from_the_whole_road():
    for seed in range(6):
        cracked, crack_mask = synthetic_road(256, seed)
        whole, _ = synthetic_road(256, seed, crack=False)
        far = _ring(crack_mask, 20, 400)
        assert far.any()
        # A hairline too thin to be labeled may leave a trace: hence not all of them, but nearly.
        assert (cracked == whole).all(axis=2)[far].mean() > 0.99
        assert whole[crack_mask].mean() > cracked[crack_mask].mean() + 8


def test_label_lies_on_the_crack_and_not_beside_it():
    shifts = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
    found = np.zeros(len(shifts))
    for seed in range(12):
        cracked, crack_mask = synthetic_road(256, seed, crack_share=0.05)
        whole, _ = synthetic_road(256, seed, crack=False)
        drop = (whole.astype(float) - cracked).mean(axis=2)
        found += [drop[np.roll(crack_mask, shift, (0, 1))].mean() for shift in shifts]
    assert found.argmax() == 0
    # Moving it either way costs the same: the label is off by less than a fraction of a pixel.
    lost = found[0] - found[1:]
    assert lost.max() < 1.25 * lost.min()


def test_a_pixel_is_crack_from_half_coverage_on():
    covered = np.array([[0.0, 0.49, 0.5, 1.0]] * 4, np.float32)
    assert label(covered, 4).tolist() == [[False, False, True, True]] * 4
    assert label(covered, 2).tolist() == [[False, True]] * 2  # blocks of 2 × 2 pixels are averaged first


@pytest.mark.parametrize("crack_share", [0.002, 0.01, 0.03, 0.08, 0.15])
@pytest.mark.parametrize("size", [64, 256])
def test_crack_share_is_met(crack_share, size):
    for seed in range(8):
        found = synthetic_road(size, seed, crack_share=crack_share)[1].mean()
        assert abs(found - crack_share) <= share_tolerance(crack_share, size)


def test_coverage_of_a_straight_bar_is_its_exact_area():
    points = np.stack([np.linspace(-10, 74, 43), np.full(43, 32.0)], axis=1)
    bar = Crack(points, np.full(43, 0.5), np.full(43, 0.5))
    covered = rasterize([bar], 64, 6.0)
    # The bar reaches from y = 29 to y = 35: six full rows, and nothing of any other.
    assert (covered[29:35] == 1).all()
    assert (covered[:29] == 0).all()
    assert (covered[35:] == 0).all()
    # A bar half a pixel lower covers half of a row at either end; half is enough to be crack.
    bar.points[:, 1] += 0.5
    covered = rasterize([bar], 64, 6.0)
    assert np.allclose(covered[[29, 35]], 0.5, atol=0.01)
    assert (covered[30:35] == 1).all()
    assert label(covered, 64).sum() == 7 * 64


def test_darkness_alone_does_not_find_the_cracks(roads):
    gray = cv2.GaussianBlur(roads.images.mean(axis=3).transpose(1, 2, 0), (0, 0), 0.7).transpose(2, 0, 1)
    f1 = []
    for threshold in range(20, 160, 4):
        predicted = gray < threshold
        hit = (predicted & roads.crack_masks).sum()
        f1.append(2 * hit / (predicted.sum() + roads.crack_masks.sum()))
    assert 0.2 < max(f1) < 0.75


BAD = [{"size": 63}, {"size": 1025}, {"surface": "gravel"}, {"crack_share": 0.16}, {"confounders": 4}]
BAD += [{"crack": False, "crack_share": 0.02}, {"n": 0}, {"n": 1, "size": 10}, {"n": 1, "crack_free": 1.2}]


@pytest.mark.parametrize("arguments", BAD, ids=str)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(UserError, match=next(reversed(arguments))):
        (synthetic_set if "n" in arguments else synthetic_road)(**arguments)
