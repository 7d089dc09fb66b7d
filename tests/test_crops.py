"""Crack-free windows: free of cracks, spread over photos, reproducible, and honest when there are too few."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upcrack_lite.data import folders
from upcrack_lite.data.crops import CropRule, free_places, photo_of, undamaged_crops
from upcrack_lite.data.layouts import Pair, pairs, unlabeled
from upcrack_lite.data.reading import read_image, read_mask
from upcrack_lite.errors import UserError
from upcrack_lite.runs import data_hash


def photos(folder, masks: list[np.ndarray]) -> list[Pair]:
    """Write a photo of noise for each mask (0 and 255)."""
    rng, listed = np.random.default_rng(3), []
    for index, mask in enumerate(masks):
        image, label = folder / f"{index}.jpg", folder / f"{index}.png"
        Image.fromarray(rng.integers(0, 256, (*mask.shape, 3), dtype=np.uint8)).save(image)
        Image.fromarray(mask).save(label)
        listed.append(Pair(str(index), image, label))
    return listed


@pytest.fixture
def road_set(tmp_path) -> list[Pair]:
    """Five photos of 90×70 pixels, each with one vertical crack."""
    masks = np.zeros((5, 70, 90), np.uint8)
    for index, mask in enumerate(masks):
        mask[:, 20 + 10 * index : 22 + 10 * index] = 255
    return photos(tmp_path, list(masks))


@pytest.fixture
def uneven_set(tmp_path) -> list[Pair]:
    """Nine photos of 60×60 pixels whose cracks leave room on their left: 50 pixels, 30, or 20; three each."""
    masks = np.zeros((9, 60, 60), np.uint8)
    for index, mask in enumerate(masks):
        mask[:, (50, 30, 20)[index % 3] :: 3] = 255
    return photos(tmp_path, list(masks))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(0, 4), st.sampled_from([0.0, 0.005, 0.05, 1.0]))
def test_free_places_match_a_count_by_hand(seed, window, margin, share):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(window, window + 12, 2)
    mask = rng.random((height, width)) < share
    free = free_places(mask, window, margin)
    assert free.shape == (height - window + 1, width - window + 1)
    for y, x in np.ndindex(*free.shape):
        around = mask[max(0, y - margin) : y + window + margin, max(0, x - margin) : x + window + margin]
        assert free[y, x] == (not around.any())


@pytest.mark.parametrize("margin", [0, 5])
def test_windows_hold_no_crack_and_keep_their_distance(road_set, margin):
    window, share = 16, 0.25
    crops = undamaged_crops(road_set, CropRule((window,), 40, margin, size=16, seed=1, max_overlap=share))
    by_name = {pair.name: pair for pair in road_set}
    places: dict[str, list[tuple[int, int]]] = {}
    for image, row in zip(crops.images, crops.rows, strict=True):
        x, y = row["x"], row["y"]
        mask = read_mask(by_name[row["name"]].mask)
        assert 0 <= x <= mask.shape[1] - window
        assert 0 <= y <= mask.shape[0] - window
        assert not mask[
            max(0, y - margin) : y + window + margin, max(0, x - margin) : x + window + margin
        ].any()
        photo = read_image(by_name[row["name"]].image)
        assert (image == photo[y : y + window, x : x + window]).all()
        for other_x, other_y in places.setdefault(row["name"], []):
            common = max(0, window - abs(x - other_x)) * max(0, window - abs(y - other_y))
            assert common <= share * window**2
        places[row["name"]].append((x, y))


def test_too_few_windows_are_counted_and_the_remedy_named(road_set):
    with pytest.raises(UserError, match=r"only \d+ crack-free windows in 5 photos .*, 500 asked") as caught:
        undamaged_crops(road_set, CropRule((30,), 500))
    available = int(str(caught.value).split()[1])
    assert len(undamaged_crops(road_set, CropRule((30,), available, size=8))) == available
    with pytest.raises(UserError, match=r"only 0 .*smaller window"):
        undamaged_crops(road_set, CropRule((75,), 1))
    with pytest.raises(UserError, match="pairs is empty"):
        undamaged_crops([], CropRule())


BAD = [("windows", ()), ("windows", (16, 16)), ("windows", (16, 32)), ("windows", (16, 0)), ("count", 0)]
BAD += [("size", 0), ("margin", -1), ("stride", 0), ("max_overlap", 1.0)]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_rule_that_cannot_work_is_refused(name, value):
    with pytest.raises(UserError, match=name):
        CropRule(**{name: value})


def test_photos_without_masks_give_any_window(road_set, tmp_path):
    crops = undamaged_crops(unlabeled(tmp_path)[:1], CropRule((40,), 2, size=8))
    assert crops.groups == [unlabeled(tmp_path)[0].name] * 2


def test_crops_beyond_memory_are_the_same_crops(road_set, monkeypatch):
    rule = CropRule((16,), 20, size=16)
    inside = undamaged_crops(road_set, rule)
    monkeypatch.setattr(folders, "IN_MEMORY", 0)
    outside = undamaged_crops(road_set, rule)
    assert inside.images.base is None
    assert outside.images.base is not None
    assert np.array_equal(inside.images, outside.images)
    assert data_hash(inside.images) == data_hash(outside.images)


def test_bad_files_are_all_listed(road_set):
    road_set[1].image.write_bytes(b"no image")
    Image.fromarray(np.zeros((70, 91), np.uint8)).save(road_set[3].mask)
    road_set[4].mask.write_bytes(road_set[4].mask.read_bytes()[:60])
    with pytest.raises(UserError) as caught:
        undamaged_crops(road_set, CropRule((20,), 1))
    for part in ("(3):", "1.jpg: is not", "is 91×70", "4.png: is cut off"):
        assert part in str(caught.value)


def test_smaller_windows_come_in_only_as_far_as_the_count_needs_them(uneven_set):
    sides = (40, 25, 15)

    def cut(count):
        return undamaged_crops(uneven_set, CropRule(sides, count, margin=0, size=8, max_overlap=0.2)).rows

    with pytest.raises(UserError, match=r"only \d+ crack-free windows in 9 photos \(") as caught:
        cut(1000)
    rows = cut(int(str(caught.value).split()[1]))
    offered = Counter(row["window"] for row in rows)
    assert all(f"{offered[side]} of {side}×{side}" in str(caught.value) for side in sides)
    # Own windows by size: all of 40, then 25 from photos without room for 40, then 15 from the rest.
    own = {str(i): sides[i % 3] for i in range(9)}
    is_own = [row["window"] == own[row["name"]] for row in rows]
    number = sum(is_own)
    assert all(is_own[:number])
    for part in (rows[:number], rows[number:]):
        windows = [row["window"] for row in part]
        assert windows == sorted(windows, reverse=True)
        assert len(set(windows)) > 1
    assert {row["name"] for row in rows[:number]} == set(own)
    for count in (1, 4, 9, number, number + 1):
        assert cut(count) == rows[:count]


def test_crops_of_one_crack500_photo_form_one_group():
    assert photo_of("20160222_081011_1_721") == photo_of("20160222_081011_641_361") == "20160222_081011"
    assert photo_of("11125-1") == "11125-1"


@pytest.mark.mirror
def test_300_deepcrack_crops_as_large_as_the_photos_allow(mirror):
    found = pairs(mirror / "deepcrack", split="train")
    masks = [read_mask(pair.mask) for pair in found]
    room = {side: sum(free_places(mask, side, 4).any() for mask in masks) for side in (256, 192, 160, 128)}
    assert room == {256: 72, 192: 252, 160: 294, 128: 300}
    crops = undamaged_crops(found, CropRule((256, 192, 160, 128), 300, size=256))
    assert Counter(row["window"] for row in crops.rows) == {256: 72, 192: 228}
    assert crops.enlarged(256) == 228
    assert len(set(crops.groups)) == 252
