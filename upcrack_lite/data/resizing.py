"""What resizing does to thin cracks: how much of a mask is left at the size that a network sees.

The crack share alone hides the damage, because what a thin crack loses a wide one may gain. So the
cracks' centerlines are followed too. Chapter: the data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.measure import label
from skimage.morphology import skeletonize

from upcrack_lite.data.reading import check_rule, resize_mask
from upcrack_lite.errors import UserError

THIN = 4.0
"""A centerline pixel belongs to a thin crack if the crack is at most so many pixels wide there."""


@dataclass(frozen=True)
class Loss:
    """What is left of crack masks after resizing to `size` by `rule`, pooled over the masks.

    Attributes:
        share_before, share_after: crack pixels in percent of all pixels. Before is the mean over masks,
            so that it compares with after, where every mask has the same number of pixels.
        centerline_kept: percent of the centerline pixels that still lie in the crack.
        thin_kept: the same for centerline pixels of thin cracks; None where there is none.
        pieces_before, pieces_after: connected pieces of crack (8-connected), summed over the masks.
    """

    size: int
    rule: str
    masks: int
    share_before: float
    share_after: float
    centerline_kept: float
    thin_kept: float | None
    pieces_before: int
    pieces_after: int


def loss_by_resizing(crack_masks: Iterable[np.ndarray], size: int, rule: str = "area") -> Loss:
    """Measure what `resize_mask` leaves of crack masks.

    Args:
        crack_masks: bool `(H, W)` each, of any sizes; masks without crack count in the shares only.
        size, rule: as in `resize`.

    Raises:
        UserError: no masks, no crack in any of them, an unknown rule, or a size below 1.
    """
    check_rule(rule)
    if size < 1:
        raise UserError(f"size must be at least 1 pixel, not {size}")
    shares: list[tuple[float, float]] = []
    pieces = np.zeros(2, int)
    kept, thin = [], []
    for mask in crack_masks:
        small = resize_mask(mask, size, rule)
        shares.append((mask.mean(), small.mean()))
        pieces += (label(mask, connectivity=2).max(), label(small, connectivity=2).max())
        y, x = np.nonzero(skeletonize(mask))
        # The resized pixel that covers the middle of the original one.
        rows = ((y + 0.5) * size / mask.shape[0]).astype(int)
        columns = ((x + 0.5) * size / mask.shape[1]).astype(int)
        kept.append(small[rows, columns])
        # The distance to the nearest pixel outside is 1 in the middle of a crack one pixel wide.
        thin.append(2 * distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1][y, x] - 1 <= THIN)
    if not shares:
        raise UserError("no masks to resize")
    inside, is_thin = np.concatenate(kept), np.concatenate(thin)
    if not len(inside):
        raise UserError(f"none of the {len(shares)} masks holds a crack")
    before, after = 100 * np.mean(shares, axis=0)
    return Loss(
        size,
        rule,
        len(shares),
        float(before),
        float(after),
        float(100 * inside.mean()),
        float(100 * inside[is_thin].mean()) if is_thin.any() else None,
        int(pieces[0]),
        int(pieces[1]),
    )
