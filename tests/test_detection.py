"""Detection: each step against OpenCV, scikit-image or values worked by hand, and the chain of them."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from upcrack_lite import detection
from upcrack_lite.errors import UserError
from upcrack_lite.generator import Generator, restore
from upcrack_lite.recipes import preset

seeds = st.integers(0, 2**32)


def noise(n: int = 2, size: int = 32, seed: int = 0, channels: int = 3) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def as_map(gray: np.ndarray) -> torch.Tensor:
    """A uint8 (H, W) picture as an error map."""
    return torch.from_numpy(gray.astype(np.float32) / 255)[None, None]


# --- The error map -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", detection.VARIANTS)
def test_every_variant_is_one_channel_from_0_to_1_and_0_for_equal_images(variant):
    image, restored = noise(seed=0), noise(seed=1)
    errors = detection.error_map(image, restored, variant)
    assert errors.shape == (2, 1, 32, 32)
    assert errors.min() >= 0
    assert errors.max() <= 1
    assert errors.max() > 0.1
    assert detection.error_map(image, image.clone(), variant).eq(0).all()
    white, black = torch.ones(1, 3, 4, 4), -torch.ones(1, 3, 4, 4)
    assert detection.error_map(black, white, variant).max() <= 1


def test_variants_by_hand():
    # One pixel: photo (1, 0, -1), restored (0, 0, 0.5); then the two exchanged.
    image, restored = (
        torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1),
        torch.tensor([0.0, 0.0, 0.5]).view(1, 3, 1, 1),
    )
    gray = (0.299 * 1 - 0.114 * 1 - 0.114 * 0.5) / 2
    assert float(detection.error_map(image, restored)) == pytest.approx((1 + 0 + 1.5) / 3 / 2)
    assert float(detection.error_map(image, restored, "gray")) == pytest.approx(gray)
    assert float(detection.error_map(image, restored, "signed")) == 0  # the photo is brighter: no crack
    assert float(detection.error_map(restored, image, "signed")) == pytest.approx(gray)


def test_released_variant_follows_its_recipe_in_numpy():
    image, restored = noise(seed=2).double() * 0.3, noise(seed=3).double() * 0.7 + 0.1

    def full(x: np.ndarray) -> np.ndarray:
        return (x - x.min()) / (x.max() - x.min())

    ours = detection.error_map(image, restored, "released").numpy()
    for i in range(2):
        a, b = (np.tensordot([0.299, 0.587, 0.114], x[i].numpy(), 1) for x in (image, restored))
        assert np.allclose(ours[i, 0], full(np.abs(full(a) - full(b))), atol=1e-6)
        assert ours[i].max() == pytest.approx(1)  # the largest difference is 1, however small it was


def test_stretch_spans_0_to_1_per_image_and_a_constant_one_becomes_0():
    images = torch.cat([noise(1), torch.full((1, 3, 32, 32), 0.7), noise(1) * 1e-3 + 0.5])
    stretched = detection.stretch(images)
    assert stretched.isfinite().all()
    assert stretched[1].eq(0).all()
    for i in (0, 2):
        assert stretched[i].min() == 0
        assert stretched[i].max() == 1
    assert torch.allclose(stretched[0], stretched[2], atol=1e-3)


# --- Smoothing -----------------------------------------------------------------------------------------------


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    uniform = rng.integers(0, 256, (48, 64), dtype=np.uint8)
    crack = np.clip(rng.normal(30, 10, (64, 48)), 0, 255)
    crack[:, 20:23] += 150
    ramp = np.add.outer(np.arange(60), np.arange(60)).astype(np.uint8)
    return [uniform, np.clip(crack, 0, 255).astype(np.uint8), ramp, np.full((40, 40), 77, np.uint8)]


@pytest.mark.parametrize("index", range(4))
def test_one_channel_at_150_is_three_equal_channels_at_450_bit_by_bit(index):
    gray = pictures()[index]
    released = cv2.bilateralFilter(cv2.merge([gray] * 3), 25, 450, 15)
    assert (released[..., 0] == released[..., 1]).all()
    ours = detection.smooth(as_map(gray)) * 255
    assert np.array_equal(ours[0, 0].round().to(torch.uint8).numpy(), released[..., 0])


@pytest.mark.parametrize("filter", detection.FILTERS)
def test_smoothing_keeps_shape_range_and_constants_and_treats_maps_apart(filter):
    maps = torch.cat([torch.rand(2, 1, 30, 40), torch.full((1, 1, 30, 40), 0.4)])
    smoothed = detection.smooth(maps, filter=filter)
    assert smoothed.shape == maps.shape
    assert smoothed.dtype == torch.float32
    assert smoothed.min() >= 0
    assert smoothed.max() <= 1
    assert smoothed[2].eq(102 / 255).all()
    assert torch.equal(detection.smooth(maps[1:2], filter=filter)[0], smoothed[1])
    assert detection.smooth(maps[:0], filter=filter).shape == (0, 1, 30, 40)


# --- Otsu ----------------------------------------------------------------------------------------------------


def between(histogram: np.ndarray, cut: int) -> Fraction:
    """Variance between "up to cut" and "above it", exactly."""
    low = [(level, int(c)) for level, c in enumerate(histogram) if level <= cut]
    high = [(level, int(c)) for level, c in enumerate(histogram) if level > cut]
    n_low, n_high = sum(c for _, c in low), sum(c for _, c in high)
    if not n_low or not n_high:
        return Fraction(0)
    means = [Fraction(sum(v * c for v, c in part), n) for part, n in ((low, n_low), (high, n_high))]
    return n_low * n_high * (means[0] - means[1]) ** 2


def random_picture(seed: int) -> np.ndarray:
    """Uniform, bimodal, skewed or sparse gray levels, at least two of them."""
    rng = np.random.default_rng(seed)
    kind = seed % 4
    if kind == 0:
        gray = rng.integers(0, 256, (24, 24))
    elif kind == 1:
        share, low, high = rng.uniform(0.02, 0.5), rng.uniform(0, 120), rng.uniform(130, 255)
        gray = np.where(
            rng.random((24, 24)) < share, rng.normal(high, 12, (24, 24)), rng.normal(low, 12, (24, 24))
        )
    elif kind == 2:
        gray = rng.exponential(rng.uniform(2, 60), (24, 24))
    else:
        gray = rng.choice(rng.integers(0, 256, 4), (24, 24))
    gray = np.clip(gray, 0, 255).astype(np.uint8)
    gray[0, 0], gray[0, 1] = (0, 255) if gray.min() == gray.max() else gray[0, :2]
    return gray


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_otsu_cuts_a_picture_exactly_as_opencv_does(seed):
    gray = random_picture(seed)
    _, theirs = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    ours = detection.binarize(as_map(gray), "otsu")[0, 0].numpy()
    if not np.array_equal(ours, theirs > 0):
        # Two cuts may be equally good; then rounding decides. Compare what they achieve, exactly.
        histogram = np.bincount(gray.ravel(), minlength=256)
        cuts = [int(gray[~mask].max()) for mask in (ours, theirs > 0)]
        values = [between(histogram, cut) for cut in cuts]
        assert abs(values[0] - values[1]) <= max(values) * Fraction(1, 10**9)


@pytest.mark.parametrize("level", [0, 1, 100, 254, 255])
def test_a_constant_map_has_no_crack(level):
    histogram = np.zeros(256, int)
    histogram[level] = 50
    assert detection.otsu(histogram) == level
    constant = as_map(np.full((9, 9), level, np.uint8))
    for rule, value in (("otsu", 1.0), ("percentile", 50.0), ("percentile", 100.0)):
        assert not detection.binarize(constant, rule, value).any(), rule


# --- Threshold and mask --------------------------------------------------------------------------------------


def test_fixed_is_the_value_and_pixels_must_lie_above_it():
    levels = as_map(np.arange(256, dtype=np.uint8).reshape(16, 16))
    for level in range(256):
        cut = detection.threshold_of(levels, "fixed", level / 255)
        assert cut.shape == (1,)
        assert float(cut) == pytest.approx(level / 255)
        assert int(detection.binarize(levels, "fixed", level / 255).sum()) == 255 - level


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(0, 100))
def test_percentile_leaves_at_most_the_rest_above(seed, percent):
    gray = random_picture(seed)
    above = int(detection.binarize(as_map(gray), "percentile", percent).sum())
    assert above <= gray.size * (1 - percent / 100) + 1
    cut = round(float(detection.threshold_of(as_map(gray), "percentile", percent)) * 255)
    assert cut in gray
    # One level lower and too many would lie above.
    assert (gray >= cut).sum() >= gray.size * (1 - percent / 100)


def test_the_floor_guards_a_crack_free_map_and_leaves_a_clear_crack_alone():
    rng = np.random.default_rng(0)
    quiet = np.clip(rng.normal(12, 4, (40, 40)), 0, 255).astype(np.uint8)
    crack = quiet.copy()
    crack[20:23] = 180
    maps = torch.cat([as_map(quiet), as_map(crack)])
    without, guarded = detection.binarize(maps), detection.binarize(maps, floor=0.2)
    assert without[0].float().mean() > 0.2  # Otsu cuts noise into halves
    assert not guarded[0].any()
    assert torch.equal(guarded[1], without[1])
    assert int(guarded[1].sum()) == 3 * 40
    assert detection.threshold_of(maps, floor=0.2)[0] == pytest.approx(0.2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_map_that_is_not_finite_makes_no_mask(value):
    broken = torch.rand(2, 1, 6, 6)
    broken[1, 0, 2, 3] = value
    at_half = partial(detection.above, threshold=torch.tensor([0.5, 0.5]))
    for call in (detection.smooth, detection.threshold_of, detection.binarize, at_half):
        with pytest.raises(UserError, match="holds NaN or infinite values, so there is no mask"):
            call(broken)


# --- The chain -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    g = Generator(4, 5)
    with torch.no_grad():
        for parameter in g.parameters():
            parameter.mul_(5)
    return g.eval()


def tiny(recipe: str = "paper", **overrides):
    small = {"size": 32, "depth": 5, "width": 4, "disc_width": 4, "mask_cells": (16, 8, 4), "load_size": 36}
    return preset(recipe, "lite", **small | overrides)


@pytest.mark.parametrize(
    "chosen",
    [
        tiny(),
        tiny(test_statistics="running", test_dropout=False, error_variant="signed", threshold_floor=0.1),
        tiny(error_variant="gray", bilateral_d=5, bilateral_sigma_color=30.0, bilateral_sigma_space=2.0),
        tiny(threshold_rule="percentile", threshold_value=90.0),
        tiny("released", input_stretch=False),
    ],
)
@pytest.mark.parametrize("size", [None, (48, 80)])
def test_detect_is_its_steps_in_a_row(generator, chosen, size):
    image = noise(2)
    found = detection.detect(generator, image, chosen, seed=7, size=size)
    restored = restore(generator, image, chosen.test_statistics, chosen.test_dropout, 7)
    errors = detection.error_map(image, restored, chosen.error_variant)
    large = errors if size is None else detection.enlarge(errors, size)
    smoothed = detection.smooth(
        large, chosen.bilateral_d, chosen.bilateral_sigma_color, chosen.bilateral_sigma_space
    )
    rule = chosen.threshold_rule, chosen.threshold_value, chosen.threshold_floor
    assert torch.equal(found.restored, restored)
    assert torch.equal(found.error_map, errors)
    assert torch.equal(found.smoothed, smoothed)
    assert torch.equal(found.threshold, detection.threshold_of(smoothed, *rule))
    assert torch.equal(found.crack_mask, detection.binarize(smoothed, *rule))
    assert found.crack_mask.shape == (2, 1, *(size or (32, 32)))
    assert found.crack_mask.dtype == torch.bool


@pytest.mark.parametrize(
    "call",
    [
        lambda maps: detection.error_map(noise(), noise(), "squared"),
        lambda maps: detection.error_map(noise(2), noise(1)),
        lambda maps: detection.smooth(maps, filter="median"),
        lambda maps: detection.smooth(maps, d=0),
        lambda maps: detection.smooth(maps, sigma_space=-1.0),
        lambda maps: detection.smooth(noise()),
        lambda maps: detection.threshold_of(maps, "mean"),
        lambda maps: detection.threshold_of(maps, "fixed", 1.5),
        lambda maps: detection.threshold_of(maps, "percentile", -1),
        lambda maps: detection.threshold_of(maps, "otsu", floor=float("nan")),
    ],
)
def test_what_has_no_meaning_is_refused(call):
    with pytest.raises(UserError, match=r"choose one of|must be in|differ in shape|expected error maps"):
        call(torch.rand(1, 1, 8, 8))
