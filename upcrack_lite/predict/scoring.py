"""Compare predicted crack masks with hand-made ones: what `upcrack score` does.

OUT/score.json      the result, as `score_folder` describes it
OUT/per_image.csv   one row a photo
OUT/overlays/       true positive green, false positive blue, false negative red
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from upcrack_lite.data.duplicates import contrasts, misfit
from upcrack_lite.data.reading import read_image, read_mask, resize_mask
from upcrack_lite.errors import FullDisk, UserError, first_of, memory_for, raise_for
from upcrack_lite.images import overlay
from upcrack_lite.io import alone_in, check_writable, clear_leftovers, write_csv, write_image, write_json
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
from upcrack_lite.predict.pairing import (
    Pairs,
    Prediction,
    Predictions,
    pair,
    read_predicted,
    read_predictions,
)
from upcrack_lite.runs import now
from upcrack_lite.thin_shapes import cldice, tolerance_counts, tolerance_f1

RADIUS = 2  # px, the tolerance of the field's tolerant F1
OVER_THRESHOLDS = ("ods_f1", "ods_threshold", "ois_f1", "average_precision", "auroc")

_NAMED = 10  # names in one warning


@dataclass(frozen=True)
class Counts:
    """What is counted on one photo, in pixels.

    Attributes:
        confusion: of the masks.
        near: from `thin_shapes.tolerance_counts`, ``(4,)``.
        hist: from `metrics.histograms`, ``(2, 256)``; None without a map.
        row: the photo's scores, for per_image.csv.
    """

    confusion: Confusion
    near: np.ndarray
    hist: np.ndarray | None
    row: dict[str, Any]


@dataclass
class _Set:
    """What is gathered photo by photo. soft: predictions of many levels; fitted: masks held against a photo."""

    counts: list[Counts] = field(default_factory=list)
    sizes: Counter[str] = field(default_factory=Counter)
    doubts: dict[str, str] = field(default_factory=dict)
    soft: int = 0
    fitted: int = 0


def score_folder(
    predictions: Path | str,
    masks: Path | str,
    *,
    photos: Path | str | None = None,
    out: Path | str | None = None,
) -> dict[str, Any]:
    """Score the predictions in a folder against the masks of the same names; returns what score.json holds.

    predictions: the OUT of `upcrack detect`, or a folder of masks by another program, white = crack.
    masks: a folder of hand-made masks (.png, .jpg, .bmp, .tif or CFD's .mat).
    photos: a folder of the photos; else they are taken from where `upcrack detect` found them. They lie under the
    overlays, and masks that do not fit them are doubted. out: folder of the results; else predictions/score.

    Sizes must agree. Where `upcrack detect` made S x S results, masks are stretched to S by the tables' rule:
    bilinear, then > 127. What cannot be scored is left out and named. Percentages throughout; null: undefined.

    images: photos scored. not_scored: one sentence for each that was not. sizes: "WxH" to number of photos.
    crack_fraction_percent: of all pixels of the masks; crack_fractions: of each mask, by name.
    soft_predictions: how many hold many levels and were thresholded at > 127.
    pooled: counts of all photos' pixels and their five metrics, the paper's way; interval_95: bootstrap over photos.
    mean: of the single photos' metrics, where defined; mean_interval_95; mean_images: how many photos define each.
    ods_f1, ods_threshold, ois_f1, average_precision, auroc: of the maps; null without them.
    tolerance_2px_f1, cldice_mean: for thin shapes. stretched_to: S or null. model: name of the run, or null.
    photos_seen: masks that were held against their photo; doubts: mask to why it may not fit. warnings. scored: when.

    Raises UserError where nothing can be scored, or a folder cannot be used.
    """
    predictions, masks = Path(predictions), Path(masks)
    out = predictions / "score" if out is None else Path(out)
    if predictions.resolve() == masks.resolve():
        raise UserError(f"{masks}: predictions and masks are one folder; name that of the hand-made masks")
    if (out / "detection.json").is_file():
        raise UserError(f"{out} holds a detection, whose overlays would be lost: give --out another folder")
    given = read_predictions(predictions, photos)
    pairs = pair(given, masks)
    check_writable(out)
    with alone_in(out):
        clear_leftovers(out)
        return _score(given, pairs, out)


def _score(given: Predictions, pairs: Pairs, out: Path) -> dict[str, Any]:
    """Count the pairs and write the results; see `score_folder`."""
    seen, problems = _Set(), []
    for prediction, mask_path in tqdm(pairs.listed, disable=None, desc="scoring", unit="photo"):
        try:
            with memory_for(f"{mask_path}", "score it at a smaller size"):
                _count(seen, prediction, mask_path, given.size, out)
        except FullDisk:
            raise
        except UserError as error:
            problems.append(str(error))
    problems += pairs.unpaired
    if not seen.counts:
        raise_for(problems, "nothing could be scored: every prediction needs a mask of its name and size")
    result = _nulls(_summary(seen) | {"stretched_to": given.size, "model": given.model})
    result |= {"not_scored": problems, "warnings": _warnings(seen, pairs.spare), "scored": now()}
    write_csv(out / "per_image.csv", [one.row for one in seen.counts])
    write_json(out / "score.json", result)
    return result


def _count(seen: _Set, prediction: Prediction, mask_path: Path, size: int | None, out: Path) -> None:
    """Count one photo. Raises UserError, with nothing counted, for files that cannot be read or differ in size."""
    predicted, soft = read_predicted(prediction.mask)  # (H, W)
    crack_mask = read_mask(mask_path)
    crack_mask = crack_mask if size is None else resize_mask(crack_mask, size)
    score_map = None
    if prediction.score_map is not None:
        score_map = read_image(prediction.score_map)[..., 0].astype(np.float32) / 255
    for what, path in ((predicted, prediction.mask), (score_map, prediction.score_map)):
        if what is not None and what.shape != crack_mask.shape:
            (height, width), (high, wide) = crack_mask.shape, what.shape
            raise UserError(
                f"{mask_path}: is {width}×{height}, the prediction {path} {wide}×{high}; score at one size"
            )
    photo = _photo(prediction.photo, predicted.shape)
    counts = count_photo(prediction.name, predicted, crack_mask, score_map)
    if photo is not None:
        seen.fitted += 1
        if why := misfit(contrasts(photo, crack_mask)):
            seen.doubts[mask_path.name] = counts.row["doubt"] = why
    under = np.full((*predicted.shape, 3), 160, np.uint8) if photo is None else photo
    write_image(out / "overlays" / f"{prediction.name}.jpg", overlay(under, predicted, crack_mask))
    seen.counts.append(counts)
    seen.sizes[f"{predicted.shape[1]}x{predicted.shape[0]}"] += 1
    seen.soft += soft


def count_photo(name: str, predicted: Any, crack_mask: Any, score_map: Any = None) -> Counts:
    """Score one photo by itself, in percent.

    predicted, crack_mask: bool ``(H, W)``. score_map: float in [0, 1], ``(H, W)``; without it the scores over all
    thresholds are None. Raises UserError where shapes or types differ.
    """
    (one,), (near,) = per_image(predicted, crack_mask), tolerance_counts(predicted, crack_mask, RADIUS)
    hist = None if score_map is None else histograms(score_map, crack_mask)[0]
    row = {"name": name} | one.to_dict() | {"crack_share": one.prevalence}
    row["predicted_share"] = float(100 * (one.tp + one.fp) / one.counts.sum())
    row |= {"tolerance_f1": tolerance_f1(near), "cldice": float(cldice(predicted, crack_mask)[0])}
    for key, over in (("best_f1", ois), ("average_precision", average_precision), ("auroc", auroc)):
        row[key] = None if hist is None else over(hist)
    return Counts(one, near, hist, row)


def _summary(seen: _Set) -> dict[str, Any]:
    """The numbers of score.json."""
    confusions, rows = [one.confusion for one in seen.counts], [one.row for one in seen.counts]
    total = pooled(confusions)
    columns = {m: [row[m] for row in rows if not math.isnan(row[m])] for m in METRICS}
    curves: dict[str, float | None] = dict.fromkeys(OVER_THRESHOLDS)
    if hists := [one.hist for one in seen.counts if one.hist is not None]:
        hist = np.stack(hists)
        values = (*ods(hist), ois(hist), average_precision(hist), auroc(hist))
        curves = dict(zip(OVER_THRESHOLDS, values, strict=True))
    return {
        "images": len(rows),
        "sizes": dict(seen.sizes),
        "crack_fraction_percent": total.prevalence,
        "crack_fractions": {row["name"]: row["crack_share"] for row in rows},
        "soft_predictions": seen.soft,
        "pooled": total.to_dict(),
        "interval_95": {m: list(bootstrap_interval(confusions, m)) for m in METRICS},
        "mean": {m: _mean(values) for m, values in columns.items()},
        "mean_interval_95": {m: _mean_interval(values) for m, values in columns.items()},
        "mean_images": {m: len(values) for m, values in columns.items()},
        **curves,
        f"tolerance_{RADIUS}px_f1": tolerance_f1(np.stack([one.near for one in seen.counts])),
        "cldice_mean": _mean([row["cldice"] for row in rows if not math.isnan(row["cldice"])]),
        "photos_seen": seen.fitted,
        "doubts": seen.doubts,
    }


def as_text(result: dict[str, Any]) -> str:
    """The pooled metrics and the photos' means with their 95 % bootstrap intervals, as text."""

    def number(value: float | None) -> str:
        return "undefined" if value is None else f"{value:9.3f}"

    def between(limits: list[float | None]) -> str:
        return "" if limits[0] is None else f"{limits[0]:.2f} to {limits[1]:.2f}"

    side = result["stretched_to"]
    how = f"stretched to {side}×{side}" if side else "at their own size"
    share = number(result["crack_fraction_percent"]).strip()
    lines = [f"{result['images']} photos {how}; {share} % of the pixels are crack", ""]
    lines.append(f"{'percent':<18}{'pooled':>9}  {'95 % interval':<18}{'mean':>9}  95 % interval")
    for name in METRICS:
        left = f"{number(result['pooled'][name]):>9}  {between(result['interval_95'][name]):<18}"
        right = f"{number(result['mean'][name]):>9}  {between(result['mean_interval_95'][name])}"
        lines.append(f"{name:<18}{left}{right}".rstrip())
    lines.append(
        "pooled: all pixels counted together, as in the paper; mean: of the single photos; intervals over photos\n"
    )
    names = ("tolerance_2px_f1", "cldice_mean")
    if result["ods_f1"] is not None or result["auroc"] is not None:
        names = ("ods_f1", "ois_f1", "average_precision", "auroc", *names)
    lines += [f"{name:<18}{number(result[name]):>9}" for name in names]
    if not result["photos_seen"]:
        lines.append(
            "\nno photo at hand: whether masks fit their photos was not looked at; name them with --photos"
        )
    return "\n".join(lines)


def _photo(path: Path | None, shape: tuple[int, int]) -> np.ndarray | None:
    """The photo, stretched to the result; None where it is not known or cannot be read any more."""
    if path is None:
        return None
    try:
        photo = read_image(path)
    except UserError:
        return None
    return photo if photo.shape[:2] == shape else cv2.resize(photo, shape[::-1], interpolation=cv2.INTER_AREA)


def _warnings(seen: _Set, spare: list[str]) -> list[str]:
    """What makes the result look wrong, though all could be read, and what was done that one may not expect."""
    total = pooled([one.confusion for one in seen.counts])
    marked, pixels = total.tp + total.fp, total.counts.sum()
    doubts = [f"{name}: {why}" for name, why in seen.doubts.items()]
    more = f"; and {len(doubts) - _NAMED} more, in per_image.csv" if len(doubts) > _NAMED else ""
    said = {
        "more than half of the masks' pixels are crack: crack must be white; are they inverted?": (
            total.prevalence > 50
        ),
        "no mask holds a crack: recall, F1 and the like say nothing": total.prevalence == 0,
        "more than half of the pixels are predicted as crack: white is crack; are they inverted?": (
            2 * marked > pixels
        ),
        "no pixel is predicted as crack: white is crack, 255 or the upper one of two levels": marked == 0,
        f"{seen.soft} of {len(seen.counts)} predictions hold many levels: crack is above 127 of 255": seen.soft,
        f"{len(doubts)} of {seen.fitted} masks may not fit their photo ({'; '.join(doubts[:_NAMED])}{more})": doubts,
        f"{len(spare)} masks are of photos that were not in the detection ({first_of(spare)})": spare,
    }
    return [text for text, holds in said.items() if holds]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _mean_interval(values: Sequence[float], n: int = 1000) -> list[float]:
    """Percentile bootstrap of the mean, 95 %, as `bootstrap_interval`; nan without values."""
    if not values:
        return [math.nan, math.nan]
    drawn = np.random.default_rng(0).choice(values, size=(n, len(values)))
    return np.quantile(drawn.mean(axis=1), [0.025, 0.975]).tolist()


def _nulls(value: Any) -> Any:
    """NaN is no JSON: an undefined metric becomes null."""
    if isinstance(value, dict):
        return {k: _nulls(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_nulls(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value
