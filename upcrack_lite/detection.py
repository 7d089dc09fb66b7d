"""From a photo and its restoration to a crack mask: S = Otsu(B(|I - Î|)) (paper, Eq. 1). See chapter 14.

Three steps, one function each, and `detect`, which chains them. Maps are float32 ``(N, 1, H, W)`` in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional

from upcrack_lite.errors import UserError
from upcrack_lite.generator import Generator, restore
from upcrack_lite.recipes import THRESHOLD_VALUES, VALUES, Preset, check_value

VARIANTS = VALUES["error_variant"]
FILTERS = ("bilateral", "gaussian", "none")
RULES = VALUES["threshold_rule"]
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, what OpenCV's RGB to gray uses


def stretch(image: torch.Tensor) -> torch.Tensor:
    """Stretch each image ``(N, C, H, W)`` to [0, 1] by its own minimum and maximum; a constant one becomes 0."""
    low = image.amin(dim=(1, 2, 3), keepdim=True)
    span = image.amax(dim=(1, 2, 3), keepdim=True) - low
    return torch.where(span > 0, (image - low) / span.clamp_min(1e-12), torch.zeros_like(image))


def error_map(image: torch.Tensor, restored: torch.Tensor, variant: str = "absolute") -> torch.Tensor:
    """How far the restoration is from the photo, pixel by pixel (Eq. 1, inside the filter).

    image, restored: ``(N, 3, H, W)`` in [-1, 1]. Returns ``(N, 1, H, W)`` in [0, 1].
    variant: "absolute", the mean over channels of \\|I - Î\\| / 2; "gray", the same of the gray images;
    "signed", gray, counting only pixels that the restoration made brighter; "released", gray, each image
    stretched by its own minimum and maximum, then the difference stretched again.
    Raises UserError for an unknown variant or shapes that differ.
    """
    check_value("error map", variant, VARIANTS)
    if image.shape != restored.shape:
        raise UserError(f"image {tuple(image.shape)} and restored {tuple(restored.shape)} differ in shape")
    if variant == "absolute":
        return ((image - restored).abs() / 2).mean(dim=1, keepdim=True)  # (N, 1, H, W)
    luma = image.new_tensor(LUMA).view(1, 3, 1, 1)
    a, b = ((x * luma).sum(dim=1, keepdim=True) for x in (image, restored))  # (N, 1, H, W) in [-1, 1]
    if variant == "gray":
        return (a - b).abs() / 2
    if variant == "signed":
        return ((b - a) / 2).clamp_min(0)
    return stretch((stretch(a) - stretch(b)).abs())


def smooth(
    error_map: torch.Tensor,
    d: int = 25,
    sigma_color: float = 150.0,
    sigma_space: float = 15.0,
    filter: str = "bilateral",
) -> torch.Tensor:
    """Smooth an error map (B in Eq. 1), after rounding it to 8 bits as the released program does.

    error_map: ``(N, 1, H, W)`` in [0, 1]; returns the same shape and range, in steps of 1/255.
    d: diameter of the neighborhood, px. sigma_color: gray levels, 0-255. sigma_space: px.
    filter: "bilateral", "gaussian" (no color term; a d × d square where the bilateral has a disk) or "none".
    Raises UserError for an unknown filter, d outside 1 to 99 or a sigma that is not above 0.
    """
    check_value("filter", filter, FILTERS)
    check_value("d", d, "[1, 99]")
    check_value("smaller sigma", min(sigma_color, sigma_space), "(0, inf)")
    smoothed = []
    for gray in _bytes(error_map):  # (H, W) uint8
        if filter == "bilateral":
            gray = cv2.bilateralFilter(gray, d, sigma_color, sigma_space)
        elif filter == "gaussian":
            gray = cv2.GaussianBlur(gray, (d // 2 * 2 + 1,) * 2, sigma_space)
        smoothed.append(gray)
    return _floats(smoothed, error_map)


def otsu(histogram: np.ndarray) -> int:
    """Otsu's threshold (1979): the level that puts the most variance between the two classes.

    histogram: 256 counts. Returns the level t; the bright class is "above t". A map of one single level
    has no two classes: its own level is returned, so that nothing lies above it.
    """
    counts = histogram.astype(np.float64)
    levels = np.arange(256)
    occupied = np.flatnonzero(counts)
    if len(occupied) < 2:
        return int(occupied[0]) if len(occupied) else 0
    below = counts.cumsum()  # pixels at or below t
    above = counts.sum() - below
    sum_below = (counts * levels).cumsum()
    mean_below = sum_below / np.maximum(below, 1)
    mean_above = (sum_below[-1] - sum_below) / np.maximum(above, 1)
    between = below * above * (mean_below - mean_above) ** 2
    return int(between.argmax())


def threshold_of(
    error_map: torch.Tensor, rule: str = "otsu", value: float = 1.0, floor: float = 0.0
) -> torch.Tensor:
    """The threshold of each map, float ``(N,)`` in [0, 1]; a pixel above it is crack.

    rule: "otsu"; "otsu_factor", Otsu's threshold times `value`; "fixed", `value` itself, in [0, 1]; "percentile",
    the level that `value` percent of the pixels do not exceed.
    floor: a guard for crack-free photos: the threshold is never below it. 0 switches it off.
    Raises UserError for an unknown rule or a value out of range.
    """
    check_value("threshold rule", rule, RULES)
    check_value(f"value of {rule}", value, THRESHOLD_VALUES.get(rule, "(-inf, inf)"))
    check_value("floor", floor, "[0, 1]")
    thresholds = []
    for gray in _bytes(error_map):
        if rule == "fixed":
            threshold = value
        elif rule == "percentile":
            threshold = float(np.percentile(gray, value, method="lower")) / 255
        else:
            level = otsu(np.bincount(gray.ravel(), minlength=256)) / 255
            threshold = level * value if rule == "otsu_factor" else level
        thresholds.append(min(max(threshold, floor), 1.0))
    return torch.tensor(thresholds, dtype=torch.float32)  # (N,)


def binarize(
    error_map: torch.Tensor, rule: str = "otsu", value: float = 1.0, floor: float = 0.0
) -> torch.Tensor:
    """Divide maps, rounded to 8 bits, into crack and road: bool ``(N, 1, H, W)``, True = crack.

    Arguments and errors as in `threshold_of`.
    """
    return above(error_map, threshold_of(error_map, rule, value, floor).to(error_map.device))


def above(error_map: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Where maps ``(N, 1, H, W)`` lie above their threshold, ``(N,)``: bool ``(N, 1, H, W)``."""
    check_finite(error_map)
    # A thousandth of a gray level of room: 8-bit levels and thresholds are multiples of 1/255, and float32 may round
    # them apart.
    return (error_map * 255).round() > (threshold.view(-1, 1, 1, 1) * 255 + 1e-3)


@dataclass(frozen=True)
class Detection:
    """All that detection saw on the way; each field of a batch of N photos."""

    restored: torch.Tensor  # (N, 3, S, S) in [-1, 1]
    error_map: torch.Tensor  # (N, 1, S, S) in [0, 1]
    smoothed: torch.Tensor  # (N, 1, H, W) in [0, 1]
    threshold: torch.Tensor  # (N,) in [0, 1]
    crack_mask: torch.Tensor  # (N, 1, H, W) bool


def detect(
    generator: Generator,
    image: torch.Tensor,
    preset: Preset,
    seed: int = 0,
    size: tuple[int, int] | None = None,
) -> Detection:
    """Find cracks in photos: restore, compare, smooth, threshold (Eq. 1), with the choices of a preset.

    `upcrack detect` takes its halves, `compare` and `smooth_and_threshold`.
    image: ``(N, 3, S, S)`` in [-1, 1], S the size the generator takes. seed: of the dropout noise.
    size: (height, width) to enlarge the error map to before smoothing; None keeps S.
    """
    restored, errors = compare(generator, image, preset, seed)
    smoothed, threshold = smooth_and_threshold(errors if size is None else enlarge(errors, size), preset)
    crack_mask = above(smoothed, threshold.to(smoothed.device))
    return Detection(restored, errors, smoothed, threshold, crack_mask)


def compare(
    generator: Generator, image: torch.Tensor, preset: Preset, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """The first half of `detect`: restore photos and return (restored, error map), as the preset says."""
    if preset.input_stretch:
        image = stretch(image) * 2 - 1
    restored = restore(generator, image, preset.test_statistics, preset.test_dropout, seed)
    return restored, error_map(image, restored, preset.error_variant)


def smooth_and_threshold(
    error_map: torch.Tensor, preset: Any, filter: str = "bilateral"
) -> tuple[torch.Tensor, torch.Tensor]:
    """The second half of `detect`: smooth maps and find their thresholds, ``(N,)``, as any method's preset says."""
    sigmas = preset.bilateral_sigma_color, preset.bilateral_sigma_space
    smoothed = smooth(error_map, preset.bilateral_d, *sigmas, filter)
    rule = preset.threshold_rule, preset.threshold_value, preset.threshold_floor
    return smoothed, threshold_of(smoothed, *rule)


def enlarge(error_map: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize maps to (height, width), bilinear; smoothing and threshold then work at that size."""
    if tuple(error_map.shape[-2:]) == tuple(size):
        return error_map
    return functional.interpolate(error_map, size=size, mode="bilinear", align_corners=False)


def check_finite(error_map: torch.Tensor) -> None:
    """Raise UserError for a map with NaN or infinite values, which would be taken for "no crack"."""
    if not torch.isfinite(error_map).all():
        raise UserError(
            "the map of a photo holds NaN or infinite values, so there is no mask: the model's weights are broken, "
            "or too large for the precision; take or train another model"
        )


def _bytes(error_map: torch.Tensor) -> np.ndarray:
    """Maps in [0, 1] as uint8 ``(N, H, W)``."""
    if error_map.ndim != 4 or error_map.shape[1] != 1:
        raise UserError(f"expected error maps (N, 1, H, W), got {tuple(error_map.shape)}")
    check_finite(error_map)
    return (error_map[:, 0].detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _floats(maps: list[np.ndarray], like: torch.Tensor) -> torch.Tensor:
    if not maps:
        return like.clone()
    return torch.from_numpy(np.stack(maps)[:, None]).to(like.device).float() / 255  # (N, 1, H, W)
