"""What a detector without training does: a map, how it is smoothed, how it is cut, and which pieces are kept.

The protocol against fooling oneself: all variants of a family are tried on the *training* set, the best there is
frozen and tested once, and the median of the whole family on the test set stands beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping

import cv2
import numpy as np
import torch

from upcrack_lite.baselines.darkness import MAPS, to_gray
from upcrack_lite.baselines.families import CUTS as CUTS
from upcrack_lite.baselines.families import FAMILIES as FAMILIES
from upcrack_lite.baselines.families import Variant as Variant
from upcrack_lite.detection import Found, binarize, smooth, threshold_of
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import Confusion, per_image, pooled


def segment(photo: np.ndarray, variant: Variant) -> np.ndarray:
    """Find cracks in a photo, uint8 `(H, W, 3)`; returns a bool mask `(H, W)`."""
    return next(segment_all(photo, [variant]))


def segment_all(photo: np.ndarray, variants: Iterable[Variant]) -> Iterator[np.ndarray]:
    """As `segment`, for many variants: each map is computed once."""
    gray, maps = to_gray(photo), {}
    for variant in variants:
        key = (variant.map, variant.sigma)
        if key not in maps:
            maps[key] = MAPS[variant.map](gray, variant.sigma)
        yield kept(cut(maps[key], variant), variant.least_area)


def find(photo: np.ndarray, variant: Variant) -> Found:
    """Find cracks in a photo, uint8 `(H, W, 3)`, with the map that was cut.

    A piece that is too small is lowered to the threshold in the smoothed map. So is, or is raised above it, a pixel
    that 8 bits would put on the other side of a level z.
    """
    values = MAPS[variant.map](to_gray(photo), variant.sigma)
    crack_mask = kept(cut(values, variant), variant.least_area)
    raw = _scores(values, variant)
    smooth_map = _tensor(smoothed(raw, variant))
    level = bounded(variant.z) if variant.cut == "z" else float(threshold_of(smooth_map)[0])
    above = np.float32(round(255 * level))
    levels = np.round(255 * smooth_map[0, 0].numpy())
    levels = np.where(crack_mask, np.maximum(levels, above + 1), np.minimum(levels, above))
    return Found(raw, levels.astype(np.float32) / 255, float(above / np.float32(255)), crack_mask)


def score_map(photo: np.ndarray, variant: Variant) -> np.ndarray:
    """The variant's map before the cut, moved into [0, 1] by a rule that keeps the order, float32 `(H, W)`."""
    return smoothed(_scores(MAPS[variant.map](to_gray(photo), variant.sigma), variant), variant)


def bounded(values: np.ndarray | float) -> np.ndarray | float:
    """Move interquartile ranges without limit into [0, 1], in their order; 0 becomes 0.5."""
    return 0.5 + 0.5 * values / (1 + np.abs(values))


def _scores(values: np.ndarray, variant: Variant) -> np.ndarray:
    return bounded(values).astype(np.float32) if variant.cut == "z" else stretched(values)


def cut(values: np.ndarray, variant: Variant) -> np.ndarray:
    """Cut a map into crack and road; bool `(H, W)`."""
    if variant.cut == "z":
        return values > variant.z
    return binarize(_tensor(smoothed(stretched(values), variant)))[0, 0].numpy()


def smoothed(error_map: np.ndarray, variant: Variant) -> np.ndarray:
    """The paper's bilateral filter where the variant asks for it."""
    return smooth(_tensor(error_map))[0, 0].numpy() if variant.cut == "bilateral_otsu" else error_map


def stretched(values: np.ndarray) -> np.ndarray:
    """Divide a map by its largest value, so that it lies in [0, 1]; what is below 0 becomes 0."""
    top = float(values.max())
    return np.clip(values / top, 0, 1).astype(np.float32) if top > 0 else np.zeros_like(values, np.float32)


def kept(crack_mask: np.ndarray, least_area: float) -> np.ndarray:
    """Remove connected pieces (8 neighbors) smaller than a share of the photo."""
    if not least_area:
        return crack_mask
    count, labels, stats, _ = cv2.connectedComponentsWithStats(crack_mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= least_area * crack_mask.size
    large[0] = False  # the background
    return large[labels] if count > 1 else crack_mask


def counts(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], variants: Iterable[Variant]
) -> dict[Variant, Confusion]:
    """Count all variants over photos uint8 `(H, W, 3)` with masks bool `(H, W)`; counts are pooled."""
    variants = tuple(variants)
    found: dict[Variant, list[Confusion]] = {variant: [] for variant in variants}
    for photo, crack_mask in pairs:
        for variant, predicted in zip(variants, segment_all(photo, variants), strict=True):
            found[variant].append(per_image(predicted, crack_mask)[0])
    if not all(found.values()):
        raise UserError("there is no photo with a mask to judge the variants on")
    return {variant: pooled(all_counts) for variant, all_counts in found.items()}


def choose(judged: Mapping[Variant, Confusion]) -> Variant:
    """The variant with the highest pooled F1; the first of equals. An undefined F1 counts as 0."""
    return max(judged, key=lambda variant: _f1(judged[variant]))


def median_f1(judged: Mapping[Variant, Confusion]) -> float:
    """The median of the variants' pooled F1, percent: what someone who picks blindly may expect."""
    return statistics.median(_f1(one) for one in judged.values())


def _f1(one: Confusion) -> float:
    return 0.0 if np.isnan(one.f1) else one.f1


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None]  # (1, 1, H, W)
