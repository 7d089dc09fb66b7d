"""Photos to tensors and back: exact both ways, and shut to anything else; a prediction drawn on its photo."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from upcrack_lite.errors import UserError
from upcrack_lite.images import COLORS, outline, to_tensor, to_uint8


def test_every_gray_level_comes_back_exactly():
    photo = np.arange(256 * 3, dtype=np.uint32).reshape(1, 16, 16, 3).astype(np.uint8)
    assert np.array_equal(to_uint8(to_tensor(photo)), photo)


def test_views_and_read_only_arrays_are_taken_without_a_warning_and_left_alone():
    photos = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    before = photos.copy()
    photos.setflags(write=False)  # as a memory-mapped set is
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = to_tensor(photos)
        flipped = to_tensor(photos[:, ::-1, ::-1])
    assert torch.equal(flipped, tensor.flip(-1, -2))
    tensor.zero_()
    assert np.array_equal(photos, before)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((1, 1, 4, 4, 3), np.uint8),
        torch.zeros(4, 4, 3, dtype=torch.uint8),
    ],
    ids=["float", "no channels", "four channels", "channels first", "five axes", "tensor"],
)
def test_anything_else_is_refused_with_its_type_and_shape(wrong):
    with pytest.raises(UserError, match="expected uint8"):
        to_tensor(wrong)


@pytest.mark.parametrize(("side", "thick"), [(100, 1), (3000, 3)])
@pytest.mark.parametrize("level", [0, 255])
def test_an_outline_leaves_the_crack_and_the_road_alone_and_shows_on_any_road(side, thick, level):
    photo = np.full((40, side, 3), level, np.uint8)
    mask = np.zeros((40, side), bool)
    mask[20:23, 30:] = True  # to the border
    photo[mask] = (1, 2, 3)
    before = photo.copy()
    drawn = outline(photo, mask)
    assert np.array_equal(photo, before)
    assert (drawn[mask] == (1, 2, 3)).all()
    column = drawn[:, 60].tolist()
    orange, black, road = list(COLORS["detected"]), [0, 0, 0], [level] * 3
    assert column[20 - 2 * thick : 20] == [black] * thick + [orange] * thick
    assert column[23 : 23 + 2 * thick] == [orange] * thick + [black] * thick
    assert column[: 20 - 2 * thick] == [road] * (20 - 2 * thick)
    assert np.array_equal(outline(photo, np.zeros_like(mask)), photo)


def test_an_outline_refuses_other_types_and_sizes():
    photo, mask = np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), bool)
    for wrong in [
        (photo, mask.astype(np.uint8)),
        (photo, mask[:3]),
        (photo[..., 0], mask),
        (photo / 2, mask),
    ]:
        with pytest.raises(UserError, match="must be"):
            outline(*wrong)
