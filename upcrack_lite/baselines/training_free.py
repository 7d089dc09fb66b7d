"""Training-free detectors: a map, how it is smoothed, where the threshold is, which components are kept.

A map says how much a pixel looks like a crack, by its darkness or its shape: cracks are taken to be dark and thin.
None of this is in the paper; these detectors show what its numbers are worth beside decades-old filters.

The protocol against fooling oneself: all variants of a family are tried on the *training* set, the best there is
frozen and tested once, and the median of the whole family on the test set stands beside it. The selection is the
"training" of a family: its checkpoint holds the counts of each variant and the place of the one selected.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from skimage.filters import frangi, sato
from tqdm import tqdm

from upcrack_lite.baselines.base import PhotoScores, check_masks
from upcrack_lite.baselines.recipes import FAMILIES as FAMILIES
from upcrack_lite.baselines.recipes import FamilyPreset
from upcrack_lite.baselines.recipes import Variant as Variant
from upcrack_lite.detection import binarize, smooth, threshold_of
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import Confusion, per_image, pooled
from upcrack_lite.runs import RunFolder, check_crops, data_hash, describe, train_at_once

GABOR_ANGLES = 12  # orientations over half a turn
RIDGE_SIGMAS = (2.0, 4.0, 6.0, 8.0)  # px: half-widths of the ridges that Frangi's and Sato's filters look for

# --- Maps: from a gray photo, float32 (H, W) in [0, 1], to float32 (H, W), higher where a crack is more likely -----


def to_gray(photo: np.ndarray) -> np.ndarray:
    """Turn a photo, uint8 `(H, W, 3)` RGB, into gray, float32 `(H, W)` in [0, 1]. Raises UserError otherwise."""
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise UserError(f"a photo must be uint8 (H, W, 3), got {photo.dtype} {photo.shape}")
    return cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255


def iqr(values: np.ndarray) -> float:
    """Interquartile range, at least half a gray level, so that a uniform photo divides by no zero."""
    low, high = np.percentile(values, (25, 75))
    return max(float(high - low), 0.5 / 255)


def global_darkness(gray: np.ndarray, sigma: float = 0.0) -> np.ndarray:
    """How far a pixel lies below the photo's median, in interquartile ranges of the photo.

    sigma: of a Gaussian that smooths the photo first, px; 0 leaves it. So in every map.
    """
    smooth = blurred(gray, sigma)
    return ((np.median(smooth) - smooth) / iqr(smooth)).astype(np.float32)


def local_darkness(gray: np.ndarray, sigma: float = 0.0, window: float = 0.28) -> np.ndarray:
    """How far a pixel lies below the median around it, in interquartile ranges of that difference.

    window: side of the neighborhood as a share of the photo's longer side, at most 255 px, since OpenCV's
    median goes little further. It is taken on 8-bit gray.
    """
    side = min(max(3, round(window * max(gray.shape)) | 1), 255)  # odd
    background = cv2.medianBlur((gray * 255).round().astype(np.uint8), side).astype(np.float32) / 255
    below = background - blurred(gray, sigma)
    return ((below - np.median(below)) / iqr(below)).astype(np.float32)


def black_tophat(gray: np.ndarray, sigma: float = 0.0, side: int = 31) -> np.ndarray:
    """What a closing fills: dark things narrower than an ellipse of `side` px."""
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.morphologyEx(blurred(gray, sigma), cv2.MORPH_BLACKHAT, element)


def frangi_ridges(gray: np.ndarray, sigma: float = 0.0) -> np.ndarray:
    """Frangi's vesselness of dark ridges."""
    return frangi(blurred(gray, sigma), sigmas=RIDGE_SIGMAS, black_ridges=True).astype(np.float32)


def sato_ridges(gray: np.ndarray, sigma: float = 0.0) -> np.ndarray:
    """Sato's tubeness of dark ridges."""
    return sato(blurred(gray, sigma), sigmas=RIDGE_SIGMAS, black_ridges=True).astype(np.float32)


def gabor(gray: np.ndarray, sigma: float = 0.0, wavelength: float = 12.0) -> np.ndarray:
    """The strongest answer of Gabor filters to a dark line, over 12 orientations.

    wavelength: px; a line half as wide answers most.
    """
    smooth, strongest = blurred(gray, sigma), None
    for angle in np.arange(GABOR_ANGLES) * np.pi / GABOR_ANGLES:
        kernel = cv2.getGaborKernel((31, 31), 0.4 * wavelength, angle, wavelength, 0.5, 0, cv2.CV_32F)
        kernel -= kernel.mean()  # so that brightness alone gives no answer
        kernel = kernel / np.abs(kernel).sum()
        answer = -cv2.filter2D(smooth, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT)
        strongest = answer if strongest is None else np.maximum(strongest, answer)
    return np.maximum(strongest, 0)


def blurred(gray: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth by a Gaussian; sigma 0 leaves the photo as it is."""
    return cv2.GaussianBlur(gray, (0, 0), sigma) if sigma else gray


MAPS: Mapping[str, Callable[..., np.ndarray]] = {
    "global_darkness": global_darkness,
    "local_darkness": local_darkness,
    "black_tophat": black_tophat,
    "frangi": frangi_ridges,
    "sato": sato_ridges,
    "gabor": gabor,
}
"""Every map by its name."""

# --- From a map to a crack mask ------------------------------------------------------------------------------------


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
        yield without_small(thresholded(maps[key], variant), variant.least_area)


def find(photo: np.ndarray, variant: Variant) -> PhotoScores:
    """Find cracks in a photo, uint8 `(H, W, 3)`, with the map that the threshold was put on.

    A component that is too small is lowered to the threshold in the smoothed map. So is, or is raised above it, a
    pixel that 8 bits would put on the other side of a level z.
    """
    values = MAPS[variant.map](to_gray(photo), variant.sigma)
    crack_mask = without_small(thresholded(values, variant), variant.least_area)
    raw = bounded(values).astype(np.float32) if variant.rule == "z" else stretched(values)
    smooth_map = _tensor(smoothed(raw, variant))
    level = bounded(variant.z) if variant.rule == "z" else float(threshold_of(smooth_map)[0])
    above = np.float32(round(255 * level))
    levels = np.round(255 * smooth_map[0, 0].numpy())
    levels = np.where(crack_mask, np.maximum(levels, above + 1), np.minimum(levels, above))
    return PhotoScores(raw, levels.astype(np.float32) / 255, float(above / np.float32(255)), crack_mask)


def bounded(values: np.ndarray | float) -> np.ndarray | float:
    """Move interquartile ranges without limit into [0, 1], in their order; 0 becomes 0.5."""
    return 0.5 + 0.5 * values / (1 + np.abs(values))


def thresholded(values: np.ndarray, variant: Variant) -> np.ndarray:
    """Part a map into crack and road; bool `(H, W)`."""
    if variant.rule == "z":
        return values > variant.z
    return binarize(_tensor(smoothed(stretched(values), variant)))[0, 0].numpy()


def smoothed(score_map: np.ndarray, variant: Variant) -> np.ndarray:
    """The paper's bilateral filter where the variant asks for it."""
    return smooth(_tensor(score_map))[0, 0].numpy() if variant.rule == "bilateral_otsu" else score_map


def stretched(values: np.ndarray) -> np.ndarray:
    """Divide a map by its largest value, so that it lies in [0, 1]; what is below 0 becomes 0."""
    top = float(values.max())
    return np.clip(values / top, 0, 1).astype(np.float32) if top > 0 else np.zeros_like(values, np.float32)


def without_small(crack_mask: np.ndarray, least_area: float) -> np.ndarray:
    """Remove connected components (8 neighbors) smaller than a share of the photo."""
    if not least_area:
        return crack_mask
    count, labels, stats, _ = cv2.connectedComponentsWithStats(crack_mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= least_area * crack_mask.size
    large[0] = False  # the background
    return large[labels] if count > 1 else crack_mask


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None]  # (1, 1, H, W)


# --- Select a variant ----------------------------------------------------------------------------------------------


def counts(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], variants: Iterable[Variant]
) -> dict[Variant, Confusion]:
    """Count all variants over photos uint8 `(H, W, 3)` with masks bool `(H, W)`; counts are pooled."""
    variants = tuple(variants)
    confusions: dict[Variant, list[Confusion]] = {variant: [] for variant in variants}
    for photo, crack_mask in pairs:
        for variant, predicted in zip(variants, segment_all(photo, variants), strict=True):
            confusions[variant].append(per_image(predicted, crack_mask)[0])
    if not all(confusions.values()):
        raise UserError("there is no photo with a mask to count the variants on")
    return {variant: pooled(each) for variant, each in confusions.items()}


def best_of(counted: Mapping[Variant, Confusion]) -> Variant:
    """The variant with the highest pooled F1; the first of equals. An undefined F1 counts as 0."""
    return max(counted, key=lambda variant: f1_of(counted[variant]))


def median_f1(counted: Mapping[Variant, Confusion]) -> float:
    """The median of the variants' pooled F1, percent: what someone who picks blindly may expect."""
    return statistics.median(f1_of(one) for one in counted.values())


def f1_of(one: Confusion) -> float:
    """F1 in percent; undefined counts as 0."""
    return 0.0 if np.isnan(one.f1) else one.f1


def select_variant(
    images: np.ndarray,
    preset: FamilyPreset,
    out: Path | str,
    *,
    crack_masks: np.ndarray,
    data: dict[str, Any] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> RunFolder:
    """Count all variants of a family on photos with masks, and keep the best; a finished run is returned as it is.

    images: uint8 ``(N, S, S, 3)``, S as the preset says. crack_masks: bool ``(N, S, S)``, True = crack.
    out: the run folder. data: facts about the photos for the manifest. seed: only names the run; nothing is drawn.
    Returns the finished run: a manifest, and a checkpoint with ``counts``, int64 ``(V, 4)`` (tp, fp, fn, tn of each
    variant), and ``chosen``, its row. Raises UserError for images or masks of another size or type, masks without a
    crack, or a folder with another run.
    """
    check_crops(images, preset.size, None)
    check_masks(images, crack_masks)
    own = {"crack_masks_sha256": data_hash(crack_masks), "encoder": None}
    what = describe(preset.method, preset, images, data, seed, None, "32-true", own)

    def learn() -> dict[str, torch.Tensor]:
        pairs = zip(images, crack_masks, strict=True)
        shown = tqdm(pairs, "selecting", len(images), disable=not progress, unit="photo")
        counted = counts(shown, preset.variants)
        rows = [[one.tp, one.fp, one.fn, one.tn] for one in counted.values()]
        place = list(counted).index(best_of(counted))
        return {"counts": torch.tensor(rows), "chosen": torch.tensor(place)}

    return train_at_once(learn, what, preset, out, "cpu", (len(images), 0))


def selected_variant(run: RunFolder) -> tuple[Variant, dict[Variant, Confusion]]:
    """The variant that a run selected, and the counts of all on its training photos.

    Raises UserError for a run of another kind, or a checkpoint that does not fit it.
    """
    preset = FamilyPreset.from_dict(run.manifest.get("preset") or {"method": "?", "scale": "?"})
    stored, variants = run.load_weights(), preset.variants
    if stored.keys() == {"counts", "chosen"} and stored["counts"].shape == (len(variants), 4):
        rows = zip(variants, stored["counts"].tolist(), strict=True)
        counted = {variant: Confusion(*row) for variant, row in rows}
        selected = best_of(counted)
        if int(stored["chosen"]) == variants.index(selected):
            return selected, counted
    raise UserError(
        f"the checkpoint in {run.path} is not that of {preset.method}: one of its files was replaced; select anew"
    )
