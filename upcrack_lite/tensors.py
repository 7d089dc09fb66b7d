"""The two ways across the border between photos (uint8, NumPy) and tensors ([-1, 1], torch)."""

from __future__ import annotations

import numpy as np
import torch

from upcrack_lite.errors import UserError


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """Turn photos into network input.

    images: uint8 ``(N, H, W, 3)`` or ``(H, W, 3)``, RGB.
    Returns float32 ``(N, 3, H, W)`` in [-1, 1]; a single photo becomes a batch of one.
    Raises UserError for another type or shape.
    """
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[-1] != 3:
        raise UserError(f"expected uint8 (N, H, W, 3) or (H, W, 3), got {images.dtype} {images.shape}")
    # torch takes no read-only memory (a memory-mapped set) and no negative strides: those are copied.
    writable = np.require(images.reshape(-1, *images.shape[-3:]), requirements=["C", "W"])
    batch = torch.from_numpy(writable)  # (N, H, W, 3)
    return batch.permute(0, 3, 1, 2).float() / 127.5 - 1  # (N, 3, H, W)


def to_uint8(image: torch.Tensor) -> np.ndarray:
    """Turn tensors ``(N, 3, H, W)`` in [-1, 1] into photos uint8 ``(N, H, W, 3)``; values outside are clipped."""
    pixels = ((image.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255)
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, 3)
