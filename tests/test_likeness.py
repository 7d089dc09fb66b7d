"""Near-duplicates and masks that lie wrong: what the rules find, how they scale, and what they leave alone."""

from __future__ import annotations

import time
import tracemalloc
from math import nan
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upcrack_lite.data.facts import ORIENTATIONS, contrasts, perceptual_hashes, turned
from upcrack_lite.data.likeness import FITS_BETTER, Likeness, better_orientation, near_duplicates
from upcrack_lite.data.survey import Photo, survey


def photo(name: str, hashes: tuple[int, ...]) -> Photo:
    return Photo("all", name, f"{name}.jpg", None, (9, 9), None, None, None, None, hashes, (), None)


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


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_in_every_orientation(change):
    originals = [photo(f"a{seed}", perceptual_hashes(scene(seed))) for seed in range(16)]
    copies = [
        photo(
            f"b{seed}",
            perceptual_hashes(CHANGES[change](np.ascontiguousarray(turned(scene(seed), seed % 8)))),
        )
        for seed in range(16)
    ]
    found = near_duplicates(originals + copies)
    assert {(each.a.name[1:], each.b.name[1:]) for each in found} == {(str(n), str(n)) for n in range(16)}
    for each in found:  # laid as it says, the copy looks like the original
        back = turned(turned(scene(int(each.a.name[1:])), int(each.a.name[1:]) % 8), each.turned)
        assert (back == scene(int(each.a.name[1:]))).all(), ORIENTATIONS[each.turned]


def slow(photos: list[Photo], max_distance: float) -> set[tuple[str, str, float]]:
    """All pairs by a loop, orientation by orientation: turn b, compare every view of a with the same of b."""
    tile = np.arange(4).reshape(2, 2)
    views = [turned(tile, k).tobytes() for k in range(8)]
    found = set()
    for i, a in enumerate(photos):
        for b in photos[i + 1 :]:
            distances = []
            for k in range(8):
                again = [views.index(turned(turned(tile, k), then).tobytes()) for then in range(8)]
                bits = [(a.hashes[n] ^ b.hashes[again[n]]).bit_count() for n in range(8)]
                distances += [sum(bits) / 8] if bits[0] <= 12 else []
            if distances and min(distances) <= max_distance:
                found.add((a.name, b.name, min(distances)))
    return found


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 45), st.sampled_from([0.0, 4.0, 8.5, 12.0]))
def test_blocks_find_what_a_loop_finds(seed, number, max_distance):
    rng = np.random.default_rng(seed)
    base = [int(value) for value in rng.integers(0, 2**63, 8)]
    photos = []
    for index in range(
        number
    ):  # few bits from one of the 8 views of one picture, so that many pairs are near
        flips = [sum(1 << int(bit) for bit in set(rng.integers(0, 64, rng.integers(0, 6)))) for _ in range(8)]
        photos.append(photo(str(index), tuple(h ^ flip for h, flip in zip(base, flips, strict=True))))
    found = near_duplicates(photos, max_distance)
    assert {(each.a.name, each.b.name, each.distance) for each in found} == slow(photos, max_distance)
    assert [each.distance for each in found] == sorted(each.distance for each in found)


def test_unreadable_photos_and_no_photos_give_nothing():
    assert near_duplicates([]) == []
    assert near_duplicates([photo("a", ()), photo("b", ())]) == []
    same = tuple(range(8))
    a, b = photo("a", same), photo("b", same)
    assert near_duplicates([a, photo("x", ()), b]) == [Likeness(a, b, 0.0, 0)]


def test_only_the_nearest_are_kept_where_all_look_alike():
    photos = [photo(str(index), (7,) * 8) for index in range(100)]
    photos.append(photo("near", (6,) * 8))
    found = near_duplicates(photos, most=30)
    assert len(found) == 30
    assert {each.distance for each in found} == {0.0}
    assert len(near_duplicates(photos)) == 101 * 100 // 2


@pytest.mark.slow
def test_5370_photos_take_seconds_and_little_memory():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, (5370, 8))
    photos = [photo(str(index), tuple(int(value) for value in row)) for index, row in enumerate(hashes)]
    photos[4000] = photo("copy", photos[17].hashes)
    tracemalloc.start()
    start = time.perf_counter()
    found = near_duplicates(photos)
    seconds, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(each.a.name, each.b.name) for each in found] == [("17", "copy")]
    assert seconds < 20
    assert peak < 300e6


def test_a_mask_that_fits_far_better_otherwise_is_named():
    level = FITS_BETTER
    assert better_orientation(()) == 0
    assert better_orientation((nan,) * 8) == 0
    assert better_orientation((2.0, 0.1, nan, 0.0, 0.0, nan, 0.3, 0.0)) == 0
    assert better_orientation((0.1, 0.1, nan, 2.0, 0.0, nan, 0.3, 0.0)) == 3
    assert better_orientation((1.9, 0.0, 0.0, 1.9 + level - 0.01, 0.0, 0.0, 0.0, 0.0)) == 0
    assert better_orientation((-2.0, 0.0, 0.0, level - 0.01, 0.0, 0.0, 0.0, 0.0)) == 0  # nothing fits


@pytest.mark.parametrize("orientation", range(1, 8))
def test_the_named_orientation_puts_the_mask_right(orientation):
    image, mask = scene(3, (120, 120)), np.zeros((120, 120), np.uint8)
    cv2.polylines(mask, [np.array([[0, 20], [50, 30], [119, 90]], np.int32)], False, 1, 3)
    image[mask > 0] = 15
    laid = np.ascontiguousarray(turned(mask > 0, orientation))
    better = better_orientation(contrasts(image, laid))
    assert (turned(laid, better) == (mask > 0)).all()
    assert better_orientation(contrasts(image, mask > 0)) == 0


@pytest.mark.mirror
@pytest.mark.parametrize(("name", "most"), [("deepcrack", 0), ("cfd", 0)])
def test_real_masks_lie_right_and_turned_ones_are_named(mirror, name, most):
    facts = survey(mirror / name)
    tile = np.arange(4).reshape(2, 2)
    views = [turned(tile, k).tobytes() for k in range(8)]
    alarms = named = shown = 0
    for each in facts.photos:
        alarms += better_orientation(each.contrast) > 0
        for k in (2, 4, 6):  # a mask laid so has these contrasts
            laid = [each.contrast[views.index(turned(turned(tile, k), then).tobytes())] for then in range(8)]
            named, shown = named + (better_orientation(laid) > 0), shown + 1
    assert alarms <= most
    assert named / shown > 0.95


@pytest.mark.mirror
def test_crops_turned_by_a_half_are_found_in_the_real_crops(mirror, tmp_path):
    names = ("736", "747", "772", "776", "1212", "190", "1", "2")
    photos = []
    for name in names:
        path = Path(mirror / "crack500_crops360" / "image" / f"{name}.jpg")
        with Image.open(path) as picture:
            photos.append(photo(name, perceptual_hashes(np.asarray(picture.convert("RGB")))))
    found = [(each.a.name, each.b.name, each.turned) for each in near_duplicates(photos)]
    assert found == [("736", "747", 2), ("772", "776", 2)]  # 1212 and 190 only have one diagonal crack each
