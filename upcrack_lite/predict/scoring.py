"""Compare a folder of detections with hand-made masks: what `upcrack score` does.

OUT/score/score.json      the pooled metrics with intervals, and how they were computed
OUT/score/per_image.csv   one row a photo
OUT/score/overlays/       true positive green, false positive blue, false negative red
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from upcrack_lite.data.reading import IMAGE_TYPES, read_image, read_mask, resize_mask
from upcrack_lite.errors import UserError, raise_for
from upcrack_lite.images import overlay
from upcrack_lite.io import check_writable, write_csv, write_image, write_json
from upcrack_lite.metrics import (
    METRICS,
    Confusion,
    auroc,
    average_precision,
    bootstrap_interval,
    histograms,
    ods,
    ois,
    per_image,
    pooled,
)
from upcrack_lite.predict.photos import read_detection
from upcrack_lite.runs import now
from upcrack_lite.thin_shapes import cldice, tolerance_counts, tolerance_f1

RADIUS = 2  # px, the tolerance of the field's tolerant F1


def score_folder(out: Path | str, masks: Path | str, progress: bool = True) -> dict[str, Any]:
    """Score the detections in OUT against the masks of the same names; returns what score.json holds.

    masks: a folder with one mask (.png, .jpg, .bmp, .tif or CFD's .mat) for every photo of OUT.
    Sizes must agree. Where `upcrack detect --size S` made S x S results, masks are stretched to S by the
    tables' rule: bilinear, then > 127. Percentages throughout; an undefined metric is null.
    Raises UserError for a detection that is not finished, masks that are missing (all are named), cannot be
    read or have another size.
    """
    out, masks = Path(out), Path(masks)
    facts = read_detection(out)
    pairs = _match(facts, masks)
    check_writable(out)
    confusions, hists, near, rows, problems = [], [], [], [], []
    for row, mask_path in tqdm(pairs, disable=not progress, desc="scoring", unit="photo"):
        name = row["name"]
        predicted = _read_gray(out / "masks" / f"{name}.png") > 127  # (H, W)
        errors = _read_gray(out / "maps" / f"{name}.png").astype(np.float32) / 255
        try:
            crack_mask = read_mask(mask_path)
        except UserError as error:
            problems.append(str(error))
            continue
        if facts["size"] is not None:
            crack_mask = resize_mask(crack_mask, facts["size"])
        if crack_mask.shape != predicted.shape:
            problems.append(
                f"{mask_path}: is {crack_mask.shape[1]}×{crack_mask.shape[0]}, the detection "
                f"{predicted.shape[1]}×{predicted.shape[0]}"
            )
            continue
        confusions += per_image(predicted, crack_mask)
        hists.append(histograms(errors, crack_mask)[0])
        near.append(tolerance_counts(predicted, crack_mask, RADIUS)[0])
        rows += per_image_table([name], predicted, crack_mask, errors)
        shown = _photo(row, predicted.shape)
        write_image(out / "score" / "overlays" / f"{name}.jpg", overlay(shown, predicted, crack_mask))
    raise_for(problems, "masks that do not fit")
    total, hist = pooled(confusions), np.stack(hists)
    best, threshold = ods(hist)
    score = {
        "images": len(rows),
        "crack_share_percent": total.prevalence,
        "pooled": total.to_dict(),
        "interval_95": {m: list(bootstrap_interval(confusions, m)) for m in METRICS},
        "ods_f1": best,
        "ods_threshold": threshold,
        "ois_f1": ois(hist),
        "average_precision": average_precision(hist),
        "auroc": auroc(hist),
        f"tolerance_{RADIUS}px_f1": tolerance_f1(np.stack(near)),
        "cldice_mean": _mean([row["cldice"] for row in rows]),
        "size": facts["size"] or "each mask's own",
        "window": facts["window"],
        "run": facts["run"],
        "overrides": facts["overrides"],
        "warnings": _warnings(total),
        "scored": now(),
    }
    score = _nulls(score)
    write_csv(out / "score" / "per_image.csv", rows)
    write_json(out / "score" / "score.json", score)
    return score


def as_text(result: dict[str, Any]) -> str:
    """The pooled metrics with their 95 % bootstrap intervals, as text."""

    def number(value: float | None) -> str:
        return "undefined" if value is None else f"{value:9.3f}"

    lines = [
        f"{result['images']} images, {number(result['crack_share_percent']).strip()} % of the pixels are crack",
        "",
    ]
    lines.append(f"{'pooled, percent':<22}{'value':>9}   95 % interval over images")
    for name, (low, high) in result["interval_95"].items():
        between = "" if low is None else f"   {low:.3f} to {high:.3f}"
        lines.append(f"{name:<22}{number(result['pooled'][name]):>9}{between}")
    lines.append("")
    for name in ("ods_f1", "ois_f1", "average_precision", "auroc", "tolerance_2px_f1", "cldice_mean"):
        lines.append(f"{name:<22}{number(result[name]):>9}")
    return "\n".join(lines)


def per_image_table(
    names: Sequence[str], predicted: Any, crack_mask: Any, error_map: Any
) -> list[dict[str, Any]]:
    """Score each image by itself: one row an image, for per_image.csv; in percent.

    names: N names. predicted, crack_mask: bool ``(N, H, W)`` or one ``(H, W)``. error_map: float in [0, 1], likewise.
    Raises UserError where counts, shapes or types differ.
    """
    confusions = per_image(predicted, crack_mask)
    if len(names) != len(confusions):
        raise UserError(f"{len(names)} names for {len(confusions)} images: give one name an image")
    near, lines = tolerance_counts(predicted, crack_mask, RADIUS), cldice(predicted, crack_mask)
    rows = []
    for index, hist in enumerate(histograms(error_map, crack_mask)):
        one = confusions[index]
        rows.append({"name": names[index]} | one.to_dict())
        rows[-1] |= {
            "crack_share": one.prevalence,
            "predicted_share": float(100 * (one.tp + one.fp) / one.counts.sum()),
            "tolerance_f1": tolerance_f1(near[index]),
            "cldice": float(lines[index]),
            "best_f1": ois(hist),
            "average_precision": average_precision(hist),
            "auroc": auroc(hist),
        }
    return rows


def _match(facts: dict[str, Any], masks: Path) -> list[tuple[dict[str, Any], Path]]:
    """Pair every detection with its mask by name. Masks without a detection are left alone."""
    if not masks.is_dir():
        raise UserError(f"{masks}: there is no such folder of masks")
    by_stem: dict[str, list[Path]] = {}
    for path in sorted(masks.iterdir()):
        if path.suffix.lower() in (*IMAGE_TYPES, ".mat"):
            by_stem.setdefault(path.stem, []).append(path)
    problems, pairs = [], []
    for row in facts["photos"]:
        candidates = by_stem.get(row["name"], [])
        # The official Crack500 folders keep photo.jpg and mask.png side by side under one name.
        if len(candidates) == 2 and {p.suffix.lower() for p in candidates} == {".jpg", ".png"}:
            candidates = [p for p in candidates if p.suffix.lower() == ".png"]
        if len(candidates) == 1:
            pairs.append((row, candidates[0]))
        else:
            what = "no mask" if not candidates else f"{len(candidates)} masks"
            problems.append(f"{row['name']}: {what} in {masks}")
    raise_for(problems, "every detection needs one mask of the same name")
    return pairs


def _read_gray(path: Path) -> np.ndarray:
    gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if gray is None:
        raise UserError(f"{path} is missing or damaged: run `upcrack detect` again")
    return gray


def _photo(row: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    """The photo under the overlay, stretched to the result; plain gray where it has been moved away."""
    try:
        photo = read_image(row["photo"])
    except UserError:
        return np.full((*shape, 3), 160, np.uint8)
    return photo if photo.shape[:2] == shape else cv2.resize(photo, shape[::-1], interpolation=cv2.INTER_AREA)


def _warnings(total: Confusion) -> list[str]:
    """What makes the masks look wrong, though they can be read."""
    if total.prevalence > 50:
        return ["more than half of the masks' pixels are crack: crack must be white; are they inverted?"]
    if total.prevalence == 0:
        return ["no mask holds a crack: recall, F1 and the like say nothing"]
    return []


def _mean(values: list[float]) -> float:
    """The mean of the values that are defined; nan where none is."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def _nulls(value: Any) -> Any:
    """NaN is no JSON: an undefined metric becomes null."""
    if isinstance(value, dict):
        return {k: _nulls(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_nulls(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value
