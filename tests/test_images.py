"""The border between photos and tensors: exact both ways, and shut to anything else."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor, to_uint8


def test_every_gray_level_comes_back_exactly():
    photo = np.arange(256 * 3, dtype=np.uint32).reshape(1, 16, 16, 3).astype(np.uint8)
    assert np.array_equal(to_uint8(to_tensor(photo)), photo)


def test_black_white_and_shape_and_channel_order():
    photo = np.zeros((5, 7, 3), np.uint8)
    photo[..., 2] = 255
    tensor = to_tensor(photo)
    assert tensor.shape == (1, 3, 5, 7)
    assert tensor.dtype == torch.float32
    assert tensor[0, :2].eq(-1).all()
    assert tensor[0, 2].eq(1).all()


def test_a_batch_keeps_rows_and_columns_apart():
    photos = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
    tensor = to_tensor(photos)
    assert tensor.shape == (3, 3, 4, 6)
    assert float(tensor[2, 1, 3, 5]) == pytest.approx(photos[2, 3, 5, 1] / 127.5 - 1)


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
