"""Images as arrays: photo to tensor and back, and a prediction painted over its photo."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import torch
from torch.nn import functional

from upcrack_lite.errors import UserError
from upcrack_lite.io import encoded


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


def padded(image: torch.Tensor, multiple: int) -> torch.Tensor:
    """Enlarge images ``(N, C, H, W)`` to the right and below, mirrored, until `multiple` divides both sides."""
    height, width = image.shape[-2:]
    right, below = -width % multiple, -height % multiple
    if not right and not below:
        return image
    mode = "reflect" if right < width and below < height else "replicate"  # a mirror needs enough to show
    return functional.pad(image, (0, right, 0, below), mode=mode)


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
    image, predicted = _photo_and_mask(image, predicted)
    truth = None if crack_mask is None else _photo_and_mask(image, crack_mask, "crack_mask")[1]
    gray = (image @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)  # (H, W)
    painted = np.repeat(gray[..., None], 3, axis=2)  # (H, W, 3)
    if truth is None:
        painted[predicted] = COLORS["detected"]
        return painted
    painted[predicted & truth] = COLORS["tp"]
    painted[predicted & ~truth] = COLORS["fp"]
    painted[~predicted & truth] = COLORS["fn"]
    return painted


def outline(photo: np.ndarray, crack_mask: np.ndarray) -> np.ndarray:
    """Draw a thin line around what was detected and leave the crack itself and the photo's colors as they are.

    photo: uint8 ``(H, W, 3)``; crack_mask: bool ``(H, W)``, True = crack. No pixel of the mask is changed. The line
    is orange, with a black one outside it, so that it shows on dark and on bright roads; each is as many pixels
    thick as the longer side has thousands, at least one.
    Returns uint8 ``(H, W, 3)``. Raises UserError for other types or shapes that differ.
    """
    photo, crack_mask = _photo_and_mask(photo, crack_mask, "crack_mask")
    thick = max(1, round(max(crack_mask.shape) / 1000))
    square = np.ones((3, 3), np.uint8)
    near = cv2.dilate(crack_mask.astype(np.uint8), square, iterations=thick)
    far = cv2.dilate(near, square, iterations=thick)
    drawn = photo.copy()
    drawn[(far > 0) & ~crack_mask] = 0
    drawn[(near > 0) & ~crack_mask] = COLORS["detected"]
    return drawn


def data_url(image: np.ndarray, quality: int) -> str:
    """An image, uint8 ``(H, W, 3)``, as a JPEG (quality 0 to 100) in an address that a page can hold."""
    return f"data:image/jpeg;base64,{base64.b64encode(encoded(image, '.jpg', quality)).decode('ascii')}"


def _photo_and_mask(
    photo: np.ndarray, mask: np.ndarray, name: str = "predicted"
) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays; raises UserError where one is of another type or their shapes differ."""
    photo, mask = np.asarray(photo), np.asarray(mask)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise UserError(f"image must be uint8 (H, W, 3), got {photo.dtype} {photo.shape}")
    if mask.dtype != np.bool_ or mask.shape != photo.shape[:2]:
        raise UserError(f"{name} must be bool {photo.shape[:2]}, got {mask.dtype} {mask.shape}")
    return photo, mask
