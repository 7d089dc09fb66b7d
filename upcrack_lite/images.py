"""Images as arrays: photo to tensor and back, and a prediction painted over its photo."""

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


COLORS = {
    "tp": (0x5F, 0xE0, 0x6B),  # crack, detected
    "fp": (0x1D, 0x2F, 0xA6),  # road, called crack
    "fn": (0xE0, 0x26, 0x3C),  # crack, missed
    "detected": (0xFF, 0x95, 0x00),  # called crack where no label says what is right
}
"""Red, green and blue, 0 to 255."""


def overlay(image: np.ndarray, predicted: np.ndarray, crack_mask: np.ndarray | None = None) -> np.ndarray:
    """Paint a prediction over the photo in gray: TP green, FP blue, FN red (colors of the paper's figures).

    image: uint8 ``(H, W, 3)``; predicted, crack_mask: bool ``(H, W)``, True = crack.
    Without a crack_mask nobody knows what is right, and what was predicted is orange.
    Returns uint8 ``(H, W, 3)``. Raises UserError for other types or shapes that differ.
    """
    image, predicted = np.asarray(image), np.asarray(predicted)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UserError(f"image must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
    masks = {"predicted": predicted} | ({} if crack_mask is None else {"crack_mask": np.asarray(crack_mask)})
    for name, mask in masks.items():
        if mask.dtype != np.bool_ or mask.shape != image.shape[:2]:
            raise UserError(f"{name} must be bool {image.shape[:2]}, got {mask.dtype} {mask.shape}")
    gray = (image @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)  # (H, W)
    painted = np.repeat(gray[..., None], 3, axis=2)  # (H, W, 3)
    if crack_mask is None:
        painted[predicted] = COLORS["detected"]
        return painted
    truth = masks["crack_mask"]
    painted[predicted & truth] = COLORS["tp"]
    painted[predicted & ~truth] = COLORS["fp"]
    painted[~predicted & truth] = COLORS["fn"]
    return painted
