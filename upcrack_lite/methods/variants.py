"""Families of training-free detectors: a map, how it is smoothed, how it is cut, and which pieces are kept.

The protocol against fooling oneself: all variants of a family are tried on the *training* set, the best there is
frozen and tested once, and the median of the whole family on the test set stands beside it.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
import torch

from upcrack_lite.detection import binarize, smooth
from upcrack_lite.errors import UserError
from upcrack_lite.methods.darkness import MAPS, to_gray
from upcrack_lite.metrics import Confusion, per_image, pooled

CUTS = ("otsu", "bilateral_otsu", "z")
SIGMAS = (0.0, 1.0, 2.0)  # px, of the smoothing before the map
ZS = (1.5, 2.0, 2.5, 3.0)  # interquartile ranges
LEAST_AREAS = (0.0, 1 / 650)  # smallest connected piece that is kept, as a share of the photo


@dataclass(frozen=True)
class Variant:
    """One detector without training.

    map: a name in `darkness.MAPS`. sigma: smoothing before the map, px. cut: "otsu" (of the map), "bilateral_otsu"
    (the paper's filter, then Otsu) or "z" (above z interquartile ranges; darkness maps only). least_area: smallest
    connected piece that is kept, as a share of the photo.
    """

    map: str
    sigma: float = 0.0
    cut: str = "otsu"
    z: float = 0.0
    least_area: float = 0.0

    def __post_init__(self) -> None:
        if self.map not in MAPS:
            raise UserError(f"unknown map {self.map!r}; choose one of {', '.join(MAPS)}")
        if self.cut not in CUTS:
            raise UserError(f"unknown cut {self.cut!r}; choose one of {', '.join(CUTS)}")

    @property
    def name(self) -> str:
        """Its choices in a few words."""
        words = [self.map, f"sigma {self.sigma:g}", f"z {self.z:g}" if self.cut == "z" else self.cut]
        return ", ".join([*words, *([f"area {self.least_area:.4f}"] if self.least_area else [])])


def _family(name: str, cuts: Iterable[tuple[str, float]]) -> tuple[Variant, ...]:
    return tuple(
        Variant(name, sigma, cut, z, area)
        for sigma, (cut, z), area in itertools.product(SIGMAS, tuple(cuts), LEAST_AREAS)
    )


_RULES = (("otsu", 0.0), ("bilateral_otsu", 0.0))

FAMILIES: Mapping[str, tuple[Variant, ...]] = MappingProxyType(
    {
        **{
            f"tf_{name}": _family(name, [("z", z) for z in ZS])
            for name in ("global_darkness", "local_darkness")
        },
        **{
            f"tf_{name}_{short}": _family(name, [rule])
            for name in MAPS
            for short, rule in (("otsu", _RULES[0]), ("paper", _RULES[1]))
        },
    }
)
"""Row to its variants: darkness with a robust threshold; every map with Otsu, and with the paper's filter too."""


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


def score_map(photo: np.ndarray, variant: Variant) -> np.ndarray:
    """The variant's map before the cut, moved into [0, 1] by a rule that keeps the order, float32 `(H, W)`."""
    values = MAPS[variant.map](to_gray(photo), variant.sigma)
    if variant.cut == "z":
        return (0.5 + 0.5 * values / (1 + np.abs(values))).astype(np.float32)  # z 0 is 0.5, without limit
    return smoothed(stretched(values), variant)


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
