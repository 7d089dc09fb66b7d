"""Photos with crack masks: what is checked before anything learns from them."""

from __future__ import annotations

import numpy as np

from upcrack_lite.errors import UserError


def check_masks(images: np.ndarray, crack_masks: np.ndarray) -> None:
    """Check masks bool ``(N, S, S)`` of images ``(N, S, S, 3)``. Raises UserError for others, or no crack at all."""
    if crack_masks.dtype != bool or crack_masks.shape != images.shape[:3]:
        raise UserError(
            f"crack_masks must be bool {images.shape[:3]}, got {crack_masks.dtype} {crack_masks.shape}"
        )
    if not crack_masks.any():
        raise UserError("no crack mask has a crack: there is nothing to learn")
