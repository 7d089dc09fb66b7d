"""What resizing leaves of thin cracks, on masks whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from upcrack_lite.data.reading import read_mask, resize
from upcrack_lite.data.resizing import loss_by_resizing
from upcrack_lite.errors import UserError


def line(width: int, side: int = 256) -> np.ndarray:
    """A vertical crack through the middle."""
    mask = np.zeros((side, side), bool)
    mask[:, side // 2 : side // 2 + width] = True
    return mask


@pytest.mark.parametrize("rule", ["area", "nearest"])
def test_nothing_is_lost_where_nothing_is_resized(rule):
    loss = loss_by_resizing([line(3), line(9)], 256, rule)
    assert (loss.centerline_kept, loss.thin_kept) == (100, 100)
    assert loss.share_after == loss.share_before == pytest.approx(100 * 12 / 2 / 256)
    assert (loss.pieces_before, loss.pieces_after) == (2, 2)


def test_a_line_of_one_pixel_vanishes_when_an_average_is_cut_at_half():
    # At a quarter of the size, bilinear interpolation looks at two of four columns, 1 and 2.
    seen, unseen = line(256)[:, ::-1] & False, line(256) & False
    seen[:, 129] = True
    unseen[:, 128] = True
    assert loss_by_resizing([unseen], 64).centerline_kept == 0
    assert loss_by_resizing([unseen], 64, "nearest").centerline_kept == 100
    assert loss_by_resizing([seen], 64, "nearest").centerline_kept == 0


def test_wide_cracks_survive_and_only_thin_ones_count_as_thin():
    loss = loss_by_resizing([line(24)], 64)
    assert loss.centerline_kept == 100
    assert loss.thin_kept is None
    both = loss_by_resizing([line(24), line(1)], 64)
    assert both.thin_kept == 0
    assert 0 < both.centerline_kept < 100
    assert both.pieces_after == 1


def test_masks_of_different_shapes_and_masks_without_crack():
    empty = np.zeros((30, 50), bool)
    loss = loss_by_resizing([line(8, 64), empty], 32)
    assert loss.masks == 2
    assert loss.share_before == pytest.approx(100 * 8 / 64 / 2)


@pytest.mark.parametrize(
    ("masks", "size", "rule", "message"),
    [
        ([], 64, "area", "no masks"),
        ([np.zeros((8, 8), bool)], 64, "area", "none of the 1 masks holds a crack"),
        ([line(3)], 64, "bicubic", "unknown rule of resizing 'bicubic'; choose area or nearest"),
        ([line(3)], 0, "area", "at least 1 pixel"),
    ],
)
def test_bad_input(masks, size, rule, message):
    with pytest.raises(UserError, match=message):
        loss_by_resizing(masks, size, rule)


def test_nearest_takes_pixels_as_they_are():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    mask = image[..., 0] > 200
    small, small_mask = resize(image, mask, 10, "nearest")
    assert {tuple(p) for p in small.reshape(-1, 3)} <= {tuple(p) for p in image.reshape(-1, 3)}
    np.testing.assert_array_equal(small_mask, small[..., 0] > 200)
    assert not np.array_equal(small, resize(image, mask, 10)[0])


@pytest.mark.mirror
def test_thin_cracks_of_cfd_suffer_more_than_the_wide_ones_of_deepcrack(mirror):
    masks = {
        "deepcrack": [read_mask(p) for p in sorted((mirror / "deepcrack/test_lab").iterdir())[:40]],
        "cfd": [read_mask(p) for p in sorted((mirror / "cfd/groundTruth").iterdir())[:40]],
    }
    kept = {name: loss_by_resizing(found, 128).centerline_kept for name, found in masks.items()}
    assert kept["cfd"] < kept["deepcrack"] < 100
