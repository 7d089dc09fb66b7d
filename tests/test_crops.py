"""Crack-free windows: free of cracks, spread over photos, reproducible, and honest when there are too few."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upcrack_lite.data.crops import enlarged, free_places, photo_of, undamaged_crops
from upcrack_lite.data.datasets import Pair, pairs, read_image, read_mask, unlabeled
from upcrack_lite.errors import UserError


@pytest.fixture
def road_set(tmp_path) -> list[Pair]:
    """Five photos of 90×70 pixels, each with one vertical crack."""
    rng = np.random.default_rng(3)
    found = []
    for index in range(5):
        mask = np.zeros((70, 90), np.uint8)
        mask[:, 20 + 10 * index : 22 + 10 * index] = 255
        image, label = tmp_path / f"{index}.jpg", tmp_path / f"{index}.png"
        Image.fromarray(rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(image)
        Image.fromarray(mask).save(label)
        found.append(Pair(str(index), image, label))
    return found


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
    crops = undamaged_crops(road_set, window, 40, margin, size=16, seed=1, max_overlap=share)
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


def test_no_photo_gives_a_second_window_before_all_gave_one(road_set):
    assert len(set(undamaged_crops(road_set, 20, 5, size=8).groups)) == 5
    counts = Counter(undamaged_crops(road_set, 20, 8, size=8).groups)
    assert sorted(counts.values()) == [1, 1, 2, 2, 2]


def test_the_seed_decides(road_set):
    first = undamaged_crops(road_set, 20, 6, size=8, seed=4)
    again = undamaged_crops(road_set, 20, 6, size=8, seed=4)
    other = undamaged_crops(road_set, 20, 6, size=8, seed=5)
    assert first.rows == again.rows
    assert (first.images == again.images).all()
    assert first.rows != other.rows


def test_size_and_types_of_the_result(road_set):
    for size in (8, 33):
        crops = undamaged_crops(road_set, 20, 3, size=size)
        assert crops.images.shape == (3, size, size, 3)
        assert crops.images.dtype == np.uint8
        assert len(crops) == len(crops.rows) == len(crops.groups) == 3
        assert set(crops.rows[0]) == {"name", "x", "y", "window"}


def test_too_few_windows_are_counted_and_the_remedy_named(road_set):
    with pytest.raises(
        UserError, match=r"only \d+ crack-free windows of 30×30 pixels in 5 photos, 500 asked"
    ) as caught:
        undamaged_crops(road_set, 30, 500)
    available = int(str(caught.value).split()[1])
    assert len(undamaged_crops(road_set, 30, available, size=8)) == available
    with pytest.raises(UserError, match=r"only 0 .*5 photos are smaller than the window.*smaller window"):
        undamaged_crops(road_set, 75, 1)
    for bad in (
        {"window": 0},
        {"count": 0},
        {"size": 0},
        {"margin": -1},
        {"max_overlap": 1.0},
        {"pairs": []},
    ):
        with pytest.raises(UserError):
            undamaged_crops(**({"pairs": road_set} | bad))


def test_photos_without_masks_give_any_window(road_set, tmp_path):
    crops = undamaged_crops(unlabeled(tmp_path)[:1], 40, 2, size=8)
    assert crops.groups == [unlabeled(tmp_path)[0].name] * 2


def test_bad_files_are_all_listed(road_set):
    road_set[1].image.write_bytes(b"no image")
    Image.fromarray(np.zeros((70, 91), np.uint8)).save(road_set[3].mask)
    road_set[4].mask.write_bytes(road_set[4].mask.read_bytes()[:60])
    with pytest.raises(UserError) as caught:
        undamaged_crops(road_set, 20, 1)
    assert all(
        part in str(caught.value) for part in ("(3):", "1.jpg: is not", "is 91×70", "4.png: is cut off")
    )


@pytest.fixture
def uneven_set(tmp_path) -> list[Pair]:
    """Nine photos of 60×60 pixels whose cracks leave room on their left: 50 pixels, 30, or 20; three each."""
    rng = np.random.default_rng(5)
    found = []
    for index in range(9):
        mask = np.zeros((60, 60), np.uint8)
        mask[:, (50, 30, 20)[index % 3] :: 3] = 255
        image, label = tmp_path / f"u{index}.jpg", tmp_path / f"u{index}.png"
        Image.fromarray(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(image)
        Image.fromarray(mask).save(label)
        found.append(Pair(f"u{index}", image, label))
    return found


def share(first: dict, second: dict) -> float:
    """The area that two windows have in common, as a share of the smaller one."""
    across, down = (
        min(first[axis] + first["window"], second[axis] + second["window"]) - max(first[axis], second[axis])
        for axis in "xy"
    )
    return max(0, across) * max(0, down) / min(first["window"], second["window"]) ** 2


def test_smaller_windows_come_in_only_as_far_as_the_count_needs_them(uneven_set):
    sides = (40, 25, 15)
    wide, middle = {"u0", "u3", "u6"}, {"u1", "u4", "u7"}

    def cut(count):
        return undamaged_crops(uneven_set, sides, count, margin=0, size=8, max_overlap=0.2).rows

    def first(count, side):
        return [row["name"] for row in cut(count) if row["window"] == side]

    assert set(first(3, 40)) == wide
    with pytest.raises(UserError, match=r"only \d+ crack-free windows in 9 photos \(") as caught:
        cut(1000)
    total = int(str(caught.value).split()[1])
    rows = cut(total)
    offered = Counter(row["window"] for row in rows)
    assert all(f"{offered[side]} of {side}×{side}" in str(caught.value) for side in sides)
    # Own windows by size: all of 40, then 25 from photos without room for 40, then 15 from the rest.
    own = {name: 40 if name in wide else 25 if name in middle else 15 for name in (f"u{i}" for i in range(9))}
    is_own = [row["window"] == own[row["name"]] for row in rows]
    number = sum(is_own)
    assert all(is_own[:number])
    for part in (rows[:number], rows[number:]):
        windows = [row["window"] for row in part]
        assert windows == sorted(windows, reverse=True)
        assert len(set(windows)) > 1
    assert {row["name"] for row in rows[:number]} == set(own)
    for position, row in enumerate(rows):
        assert all(share(row, other) <= 0.2 for other in rows[:position] if other["name"] == row["name"])
    for count in (1, 4, 9, number, number + 1):
        assert cut(count) == rows[:count]


def test_one_window_in_a_tuple_is_that_window(road_set):
    one, several = (undamaged_crops(road_set, window, 30, size=8) for window in (16, (16,)))
    assert one.rows == several.rows
    assert (one.images == several.images).all()
    wide = undamaged_crops(road_set, (80, 16), 30, size=8)  # 80 fits no photo
    assert wide.rows == one.rows


def test_windows_smaller_than_the_size_count_as_enlarged(uneven_set):
    crops = undamaged_crops(uneven_set, (40, 25, 15), 9, margin=0, size=25)
    assert crops.images.shape == (9, 25, 25, 3)
    smaller = sum(row["window"] == 15 for row in crops.rows)
    assert enlarged(crops, 15) == 0
    assert enlarged(crops, 25) == smaller
    assert enlarged(crops, 41) == 9


def test_corners_lie_on_the_grid_of_the_stride(road_set):
    crops = undamaged_crops(road_set, 16, 20, size=8, stride=7)
    assert all(row["x"] % 7 == row["y"] % 7 == 0 for row in crops.rows)
    assert any(row["x"] for row in crops.rows)
    assert any(row["x"] % 7 for row in undamaged_crops(road_set, 16, 20, size=8).rows)


@pytest.mark.parametrize("window", [(), (16, 16), (16, 32), (16, 0)])
def test_windows_must_be_given_the_largest_first(road_set, window):
    with pytest.raises(UserError, match="window"):
        undamaged_crops(road_set, window, 3)
    with pytest.raises(UserError, match="stride must be at least 1"):
        undamaged_crops(road_set, 16, 3, stride=0)


def test_the_crops_of_this_set_stay_the_same_from_version_to_version(tmp_path):
    mask = np.zeros((70, 90), np.uint8)
    mask[:, 40:42] = 255
    Image.fromarray(mask).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((70, 90, 3), np.uint8)).save(tmp_path / "a.jpg")
    rows = undamaged_crops([Pair("a", tmp_path / "a.jpg", tmp_path / "a.png")], 16, 3, size=8).rows
    assert [(row["x"], row["y"]) for row in rows] == [(16, 15), (19, 2), (15, 29)]


def test_crops_of_one_crack500_photo_form_one_group():
    assert photo_of("20160222_081011_1_721") == photo_of("20160222_081011_641_361") == "20160222_081011"
    assert photo_of("11125-1") == "11125-1"


@pytest.mark.mirror
def test_deepcrack_gives_300_windows_from_nearly_every_photo(mirror):
    found = pairs(mirror / "deepcrack", split="train")
    crops = undamaged_crops(found, window=160, count=300, size=128, seed=0)
    assert crops.images.shape == (300, 128, 128, 3)
    assert len(set(crops.groups)) > 280
    by_name = {pair.name: pair for pair in found}
    for row in crops.rows:
        mask = read_mask(by_name[row["name"]].mask)
        assert not mask[row["y"] : row["y"] + 160, row["x"] : row["x"] + 160].any()


@pytest.mark.mirror
def test_official_crack500_crops_group_by_photo(mirror):
    crops = undamaged_crops(pairs(mirror / "crack500_official_samples"), window=160, count=12, size=64)
    assert {len(group) for group in crops.groups} == {len("20160222_081011")}
    assert len(set(crops.groups)) < len({row["name"] for row in crops.rows})


@pytest.mark.mirror
def test_how_many_deepcrack_photos_have_room_for_each_window(mirror):
    masks = [read_mask(pair.mask) for pair in pairs(mirror / "deepcrack", split="train")]
    room = {side: sum(free_places(mask, side, 4).any() for mask in masks) for side in (256, 192, 160, 128)}
    assert room == {256: 72, 192: 252, 160: 294, 128: 300}


@pytest.mark.mirror
def test_300_deepcrack_crops_as_large_as_the_photos_allow(mirror):
    crops = undamaged_crops(pairs(mirror / "deepcrack", split="train"), (256, 192, 160, 128), 300, size=256)
    assert Counter(row["window"] for row in crops.rows) == {256: 72, 192: 228}
    assert enlarged(crops, 256) == 228
    assert len(set(crops.groups)) == 252
