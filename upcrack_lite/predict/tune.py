"""A threshold for the user's own road, from photos without any crack: what `upcrack tune` does.

Of all thresholds that mark at most a given fraction of the undamaged road, the one is chosen that best finds
cracks drawn into the same photos. Where the rule takes a threshold from each photo, as Otsu's does, it is the floor
that is chosen. Nothing is trained, and no hand-made mask is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from upcrack_lite.data.cracks import draw_cracks
from upcrack_lite.data.layouts import photos
from upcrack_lite.data.reading import read_image
from upcrack_lite.detection import threshold_of
from upcrack_lite.drawn.scenes import dig
from upcrack_lite.errors import UserError, raise_for
from upcrack_lite.metrics import Confusion
from upcrack_lite.predict.measures import measure
from upcrack_lite.predict.model import Model, load_model
from upcrack_lite.predict.photos import in_levels, level_of

SETTINGS = ("threshold_rule", "threshold_value", "threshold_floor")
WIDTHS = {"thin, below 4 px": 4.0, "middling, 4 to 10 px": 10.0, "wide, above 10 px": np.inf}
"""Classes of drawn cracks and the mean width, px, below which a crack is of the class."""

HELD_OUT = 4  # from so many photos on, one half says how well the other half's threshold does
_MOST = 0.2  # a larger fraction of false alarms is taken for a mistake
_DOUBTED = 0.01  # of its pixels: a photo that has so much marked is doubted, and ten times what is allowed

_SIDES = (1024, 512, 256, 128)  # px: squares into which cracks are drawn, at most over half of a photo
_TRIES = 8  # places that are tried for each side


@dataclass(frozen=True)
class Look:
    """One photo: how often each of the 256 levels of its map occurs, as it is and with drawn cracks.

    Attributes:
        name: of the file.
        road: levels of the photo as it is, int64 ``(256,)``.
        drawn: levels with cracks drawn into it, ``(2, 256)``: beside the cracks and on them.
        widths: levels on the cracks of each class of `WIDTHS`, ``(3, 256)``.
        own: the levels that the rule itself sets, without its floor, for the two maps; 0 for a fixed threshold.
    """

    name: str
    road: np.ndarray
    drawn: np.ndarray
    widths: np.ndarray
    own: tuple[int, int]


@dataclass(frozen=True)
class Outcome:
    """What thresholds do.

    Attributes:
        marked: fraction of the undamaged road that is marked, in all photos together; each: in each photo.
        drawn: pixels of the photos with drawn cracks, pooled.
        recalls: percent of the cracks' pixels that is found, for each class of `WIDTHS`; nan where none was drawn.
    """

    marked: float
    each: tuple[float, ...]
    drawn: Confusion
    recalls: tuple[float, ...]


@dataclass(frozen=True)
class Tuned:
    """What `tune` returns: the settings to detect with, what they do, and what could not be read.

    before, after: with the settings `old` and `settings`. held_out: each half of the photos with the threshold of the
    other half; None for fewer than `HELD_OUT` photos. worst: the photo with the largest fraction marked, held out if
    it can be, and that fraction. doubted: photos that may be cracked, and the fraction marked.
    """

    model: str
    limit: float
    settings: dict[str, Any]
    old: dict[str, Any]
    photos: int
    before: Outcome
    after: Outcome
    held_out: Outcome | None
    worst: tuple[str, float]
    doubted: dict[str, float]
    failed: list[str]


def fraction(text: str) -> float:
    """Read "0.1%" or "0.001" as 0.001. Raises UserError for what is no fraction, or none from 0 to 20 %."""
    words = text.strip()
    try:
        value = float(words.removesuffix("%")) / (100 if words.endswith("%") else 1)
    except ValueError:
        value = np.nan
    if not 0 <= value <= _MOST:
        raise UserError(f"{text!r} is no fraction of the road from 0 to 20 %: write 0.1% or 0.001")
    return value


def tune(
    model: Path | str,
    source: Path | str,
    false_alarm: float = 0.001,
    *,
    window: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    settings: dict[str, Any] | None = None,
) -> Tuned:
    """Choose the threshold of a model for road as on some photos without cracks.

    source: a folder of photos, or one. false_alarm: largest fraction of their pixels that may be marked. window,
    settings: as `upcrack detect` takes them; seed: of the drawn cracks, and of the model's noise.
    Raises UserError for no photo that can be read, or a model that has no threshold to set.
    """
    loaded, source = load_model(model, device, settings, window), Path(source)
    if loaded.preset is None:
        raise UserError(f"{loaded.name} has a threshold of its own: name a trained model")
    looks, failed = [], []
    files = [source] if source.is_file() else photos(source)
    for index, path in enumerate(tqdm(files, disable=None, desc="tuning", unit="photo")):
        try:
            looks.append(look(loaded, path.name, read_image(path), (seed, index)))
        except UserError as error:
            failed.append(str(error))
    if not looks:
        raise_for(failed, "none of the photos can be used")
    old = {name: getattr(loaded.preset, name) for name in SETTINGS}
    fixed = old["threshold_rule"] == "fixed"
    floor = max(old["threshold_floor"], old["threshold_value"] if fixed else 0.0)
    level, held_out = choose(looks, false_alarm), None
    if len(looks) >= HELD_OUT:
        # Neighbors by name may show one spot, so the list is cut in the middle and not dealt out.
        halves = looks[: len(looks) // 2], looks[len(looks) // 2 :]
        first, second = (choose(half, false_alarm) for half in halves)
        held_out = outcome(looks, [second] * len(halves[0]) + [first] * len(halves[1]))
    before, after = (outcome(looks, [one] * len(looks)) for one in (level_of(floor), level))
    new = {"threshold_floor": 0.0} if fixed else {}
    new["threshold_value" if fixed else "threshold_floor"] = round(level / 255, 6)
    names = [one.name for one in looks]
    each = zip(names, (held_out or after).each, strict=True)
    # So much marked that the photo may be cracked.
    doubted = zip(names, (held_out or before).each, strict=True)
    return Tuned(
        model=loaded.name,
        settings=dict(settings or {}) | old | new,
        old=old,
        photos=len(looks),
        before=before,
        after=after,
        held_out=held_out,
        worst=max(each, key=lambda one: one[1]),
        doubted={name: share for name, share in doubted if share > max(_DOUBTED, 10 * false_alarm)},
        limit=false_alarm,
        failed=failed,
    )


def look(model: Model, name: str, photo: np.ndarray, seed: tuple[int, int]) -> Look:
    """Let a model look at a photo, uint8 ``(H, W, 3)``, as it is and with cracks drawn into it."""
    cracked, widths = draw_into(photo, np.random.default_rng(seed))
    rule = model.preset.threshold_rule, model.preset.threshold_value
    maps, own = [], []
    for image in (photo, cracked):
        scores = model.find(image, "native", seed[0])
        maps.append(in_levels(scores, photo.shape[:2])[0])
        smoothed = torch.from_numpy(scores.smoothed)[None, None]
        own.append(0 if rule[0] == "fixed" else level_of(float(threshold_of(smoothed, *rule)[0])))
    road, *inside = (
        np.bincount(levels.ravel(), minlength=256)
        for levels in (maps[0], *(maps[1][widths == index] for index in range(len(WIDTHS) + 1)))
    )
    return Look(name, road, np.stack([inside[0], sum(inside[1:])]), np.stack(inside[1:]), tuple(own))


def draw_into(photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw cracks of several widths into a photo, uint8 ``(H, W, 3)``, in squares that do not overlap.

    They have the geometry of the synthetic roads' cracks, and look as the training scenes of `drawn` have them.
    Returns the photo, and uint8 ``(H, W)``: 0 beside the cracks, else the class of width, from 1.
    """
    cracked, widths = photo.astype(np.float32), np.zeros(photo.shape[:2], np.uint8)
    taken, short = np.zeros(photo.shape[:2], bool), min(photo.shape[:2])
    sides = [side for side in _SIDES if side <= short] or [short]
    for side in [side for side in sides for _ in range(_TRIES)]:
        y, x = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
        place = np.s_[y : y + side, x : x + side]
        if taken[place].any() or taken.mean() > 0.5:
            continue
        taken[place] = True
        covered = _coverage(rng, side)
        crack = covered >= 0.5
        width = measure(crack)["mean_width_px"]
        widths[place][crack] = 1 + next(i for i, most in enumerate(WIDTHS.values()) if width < most)
        ground = cracked[place].mean(axis=2)
        debris = np.roll(ground, side // 2, axis=0)
        darker = dig(rng, ground, covered, debris) / np.maximum(ground, 1)
        cracked[place] *= darker[..., None]
    return cracked.round().clip(0, 255).astype(np.uint8), widths


def _coverage(rng: np.random.Generator, side: int) -> np.ndarray:
    """Share of each pixel that a crack covers, float32 ``(side, side)``: a synthetic road's, enlarged or not."""
    canvas = draw_cracks(rng, 256, 256, None)
    part = int(np.exp(rng.uniform(np.log(64), np.log(256))))
    rows, columns = np.nonzero(canvas >= 0.5)
    at = int(rng.integers(len(rows)))
    y, x = (int(np.clip(k - part // 2, 0, 256 - part)) for k in (rows[at], columns[at]))
    how = cv2.INTER_AREA if side < part else cv2.INTER_CUBIC
    covered = cv2.resize(canvas[y : y + part, x : x + part], (side, side), interpolation=how)
    return np.clip((covered - 0.5) * max(1, side / part) + 0.5, 0, 1)  # enlarging makes soft edges


def choose(looks: Sequence[Look], limit: float) -> int:
    """The level that finds the drawn cracks best, by F1, of those that mark at most a fraction of the road."""
    best, most = 255, -1.0
    for level in range(256):
        got = outcome(looks, [level] * len(looks))
        if got.marked <= limit and got.drawn.f1 > most:
            best, most = level, got.drawn.f1
    return best


def outcome(looks: Sequence[Look], levels: Sequence[int]) -> Outcome:
    """What the photos' levels do: what lies above a level, or above the one that the rule sets, is marked."""
    level = np.maximum([one.own for one in looks], np.array(levels)[:, None])  # (N, 2)
    above = np.arange(256) > level[..., None]  # (N, 2, 256)
    road = np.stack([one.road for one in looks])
    marked = (road * above[:, 0]).sum(axis=1)
    drawn = np.stack([one.drawn for one in looks])
    false, true = (drawn * above[:, 1:]).sum(axis=(0, 2))
    background, crack = drawn.sum(axis=(0, 2))
    widths = np.stack([one.widths for one in looks])  # (N, 3, 256)
    found, there = (widths * above[:, 1:]).sum(axis=(0, 2)), widths.sum(axis=(0, 2))
    with np.errstate(invalid="ignore"):
        recalls = tuple((100 * found / there).tolist())
    each = tuple((marked / road.sum(axis=1)).tolist())
    counts = Confusion(int(true), int(false), int(crack - true), int(background - false))
    return Outcome(float(marked.sum() / road.sum()), each, counts, recalls)


def as_text(got: Tuned) -> str:
    """What a tuning found, for people."""
    columns = {"before": got.before, "after": got.after}
    columns |= {"held out": got.held_out} if got.held_out else {}
    rule = got.settings["threshold_rule"]
    name = "threshold_value" if rule == "fixed" else "threshold_floor"

    def row(title: str, values: Iterable[float], digits: int = 1) -> str:
        return f"{title:<30}" + "".join(f"{value:>10.{digits}f}" for value in values)

    lines = [
        f"{got.photos} photos without cracks; {got.model}, rule {rule}",
        f"{name}: {got.old[name]:g} before, {got.settings[name]:g} after",
        "",
        f"{'percent':<30}" + "".join(f"{title:>10}" for title in columns),
        row("undamaged road that is marked", (100 * one.marked for one in columns.values()), 3),
    ]
    for metric in ("precision", "recall", "f1"):
        lines.append(row(f"drawn cracks: {metric}", (getattr(one.drawn, metric) for one in columns.values())))
    for index, kind in enumerate(WIDTHS):
        if not np.isnan(got.after.recalls[index]):
            lines.append(row(f"  recall, {kind}", (one.recalls[index] for one in columns.values())))
    lines.append(
        "Drawn cracks are easier than many real ones, above all for a model that learned from such: expect less."
    )
    photo, share = got.worst
    lines.append(f"most is marked in {photo}: {100 * share:.3f} %{', held out' if got.held_out else ''}")
    few = f"not held out: with {HELD_OUT} photos or more, one half would test the other's threshold"
    halves = "held out: each half of the photos with the threshold that the other half chose"
    return "\n".join([*lines, halves if got.held_out else few])


def warnings(got: Tuned) -> list[str]:
    """What speaks against the result."""
    doubt = "% is marked; is it cracked? Then take it away"
    said = [f"{name}: {100 * share:.1f} {doubt}" for name, share in got.doubted.items()]
    if got.held_out and got.held_out.marked > 2 * max(got.limit, got.after.marked):
        said.append(
            f"held out, {100 * got.held_out.marked:.3f} % is marked: the photos differ, and more of them are needed"
        )
    if not got.after.drawn.recall > 10:
        said.append("hardly any drawn crack is found: this model cannot keep the limit on this road")
    return said
