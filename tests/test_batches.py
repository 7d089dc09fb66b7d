"""Batches: crops and their masks move together, every crop is seen once, photos stay on one side."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from upcrack_lite import masks
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor
from upcrack_lite.recipes import Preset, preset
from upcrack_lite.training import epoch, make_batch, split_by_photo

CPU = torch.device("cpu")


def tiny(recipe: str = "paper", **overrides) -> Preset:
    small = {"size": 32, "depth": 5, "width": 4, "disc_width": 4, "mask_cells": (16, 8, 4), "load_size": 36}
    return preset(recipe, "lite", **small | overrides)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crops(n: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


# --- One batch -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["multi_scale_square", "striped", "jumbled"])
def test_the_mask_that_comes_last_is_sharp_and_fits_its_image(family):
    p = tiny(mask_family=family)
    batch = make_batch(to_tensor(crops()), p, seeded())
    assert batch.image.shape == batch.masked.shape == (8, 3, 32, 32)
    assert batch.mask.shape == (8, 1, 32, 32)
    assert set(batch.mask.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(batch.masked, masks.apply(batch.image, batch.mask))
    assert batch.masked[(batch.mask == 0).expand_as(batch.masked)].eq(-1).all()


@pytest.mark.parametrize("fill", ["mean", "random"])
def test_a_color_of_the_holes_that_differs_from_photo_to_photo_does_not_show_them(fill):
    first, again = (make_batch(to_tensor(crops()), tiny(hole_fill=fill), seeded()) for _ in range(2))
    assert torch.equal(first.masked, again.masked)
    hidden = (first.mask == 0).expand_as(first.masked)
    assert all(photo[holes].unique().numel() <= 3 for photo, holes in zip(first.masked, hidden, strict=True))
    assert torch.equal(first.masked[~hidden], first.image[~hidden])


def test_flips_happen_to_about_half_and_exactly():
    images = to_tensor(crops(200))
    batch = make_batch(images, tiny(load_size=32), seeded())
    same = (batch.image == images).flatten(1).all(dim=1)
    mirrored = (batch.image == images.flip(-1)).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    assert 70 < int(mirrored.sum()) < 130


def test_a_crop_is_a_window_of_the_enlarged_image_each_at_its_own_place():
    images = to_tensor(crops(30))
    p = tiny(flip=False)
    batch = make_batch(images, p, seeded())
    large = torch.nn.functional.interpolate(images, size=36, mode="bilinear", align_corners=False)
    places = []
    for i in range(30):
        fits = [(y, x) for y in range(5) for x in range(5)
                if torch.allclose(large[i, :, y : y + 32, x : x + 32], batch.image[i], atol=1e-6)]  # fmt: skip
        assert len(fits) == 1
        places += fits
    assert len(set(places)) > 8
    assert {y for y, _ in places} == {x for _, x in places} == set(range(5))  # both ends are reached


def test_masking_first_keeps_image_and_mask_aligned_and_softens_the_edges():
    # A white image: what is not removed must stay white wherever the crop went.
    white = torch.ones(12, 3, 32, 32)
    batch = make_batch(white, tiny("released"), seeded())
    assert torch.allclose(batch.image, white, atol=1e-6)
    assert torch.allclose(batch.masked, masks.apply(white, batch.mask), atol=1e-5)
    soft = (batch.mask > 0.01) & (batch.mask < 0.99)
    assert soft.flatten(1).any(dim=1).all()
    assert 0.02 < float(soft.float().mean()) < 0.5


def test_masking_last_leaves_the_grid_in_place_and_masking_first_shifts_it():
    white = torch.ones(40, 3, 32, 32)
    grid = masks.all_multi_scale_square(32, (16, 8, 4))
    for recipe, in_place in (("paper", True), ("released", False)):
        sharp = make_batch(white, tiny(recipe), seeded()).mask.round()
        known = (sharp[:, None] == grid[None]).flatten(2).all(dim=2).any(dim=1)
        assert bool(known.all()) == in_place


# --- One epoch -----------------------------------------------------------------------------------------------


def numbered(n: int) -> np.ndarray:
    """Plain crops, each with its own gray level."""
    return np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 32, 32, 3)).copy()


def levels(batches) -> list[list[int]]:
    return [((b.image[:, 0, 0, 0] + 1) * 127.5).round().int().tolist() for b in batches]


@pytest.mark.parametrize(("n", "batch_size"), [(20, 8), (16, 8), (3, 8), (5, 1)])
def test_an_epoch_shows_every_crop_exactly_once(n, batch_size):
    seen = levels(epoch(numbered(n), tiny(batch_size=batch_size), seeded(), CPU))
    assert sorted(level for batch in seen for level in batch) == list(range(n))
    assert [len(batch) for batch in seen[:-1]] == [batch_size] * (len(seen) - 1)
    assert len(seen) == -(-n // batch_size)


# --- The split -----------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(0, 95), st.integers(0, 2**32))
def test_a_split_covers_all_crops_and_never_splits_a_photo(photos, percent, seed):
    groups = [f"photo {p}" for p in photos]
    wanted, largest = percent / 100 * len(groups), max(groups.count(g) for g in groups)
    if wanted > len(groups) - largest:  # it may take every photo: see test_one_photo_cannot_be_split
        return
    training, validation = split_by_photo(groups, percent / 100, seed)
    assert sorted([*training, *validation]) == list(range(len(groups)))
    assert list(training) == sorted(training)
    assert list(validation) == sorted(validation)
    assert not {groups[i] for i in training} & {groups[i] for i in validation}
    # The share is reached, and without the photo that was taken last it would not be.
    assert wanted <= len(validation) < wanted + largest
    again = split_by_photo(groups, percent / 100, seed)
    assert np.array_equal(again[0], training)
    assert np.array_equal(again[1], validation)


def test_one_photo_cannot_be_split():
    with pytest.raises(UserError, match="validation_share=0"):
        split_by_photo(["a"] * 9, 0.1, 0)
    training, _ = split_by_photo(["a"] * 9, 0.0, 0)
    assert len(training) == 9
