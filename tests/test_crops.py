"""Crack-free windows: free of cracks, spread over photos, reproducible, and honest when there are too few."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upcrack_lite.errors import UserError
from upcrack_lite.roads.crops import free_places, photo_of, undamaged_crops
from upcrack_lite.roads.datasets import Pair, pairs, read_image, read_mask, unlabeled


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
