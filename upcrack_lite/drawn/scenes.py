"""One training scene: undamaged ground, a crack drawn on it, what only looks like one, and a camera.

A scene is a gray photo with an exact label. Everything is drawn from one seed, so scene i of a training is the same
whatever was drawn before it. Arrays are float32 ``(S, S)`` in gray levels 0 to 255; coverage is the share of a pixel
that a crack covers, 0 to 1.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from upcrack_lite.data.cracks import draw_cracks
from upcrack_lite.data.surface import noise
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.drawn.recipe import DrawnPreset

CANVAS = 256  # px: side of the roads and cracks that windows are taken from
ROADS, CRACKS = 240, 400
"""How many synthetic roads are drawn before training, half of them with cracks; how many canvases of cracks."""

CONFOUNDERS = 2.0  # twice as many dark things that are no crack as on a usual road


@dataclass(frozen=True)
class Material:
    """What scenes are made from: gray uint8 ``(N, 256, 256)``, coverage uint8 of the same shape, 255 = all."""

    given: np.ndarray  # the undamaged crops
    plain: np.ndarray  # synthetic roads without cracks
    whole: np.ndarray  # synthetic roads with their own cracks, and where those are
    whole_cracks: np.ndarray
    cracks: np.ndarray


def to_gray(photo: np.ndarray) -> np.ndarray:
    """Brightness of photos uint8 ``(..., 3)``: uint8 ``(...)``."""
    return cv2.cvtColor(photo.reshape(-1, 1, 3), cv2.COLOR_RGB2GRAY).reshape(photo.shape[:-1])


def prepare(images: np.ndarray, seed: int, workers: int = 1) -> Material:
    """Draw the roads and cracks of a training; images: undamaged crops, uint8 ``(N, S, S, 3)``."""

    def road(i: int) -> tuple[np.ndarray, np.ndarray]:
        photo, mask = synthetic_road(CANVAS, [7, seed, i], crack=i % 2 == 0, confounders=CONFOUNDERS)
        return to_gray(photo), mask.astype(np.uint8) * 255

    def crack(i: int) -> np.ndarray:
        covered = draw_cracks(np.random.default_rng([8, seed, i]), CANVAS, CANVAS, None)
        return (covered * 255).round().astype(np.uint8)

    with ThreadPoolExecutor(workers) as pool:
        roads, cracks = list(pool.map(road, range(ROADS))), list(pool.map(crack, range(CRACKS)))
    gray, masks = (np.stack(some) for some in zip(*roads, strict=True))
    return Material(to_gray(images), gray[1::2], gray[::2], masks[::2], np.stack(cracks))


def draw_scene(
    rng: np.random.Generator, material: Material, preset: DrawnPreset
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one scene: gray uint8 ``(S, S)`` and its label, bool ``(S, S)``."""
    size, kind = preset.scene, rng.random()
    if whole := kind >= 1 - preset.whole:
        ground, covered = random_window(rng, size, preset.ground_low, material.whole, material.whole_cracks)
    else:
        source = material.given if kind < preset.given else material.plain
        ground = random_window(rng, size, preset.ground_low, source)[0]
        covered = np.zeros_like(ground)
    ground = look_alikes(rng, ground, preset)
    if not whole and rng.random() >= preset.crack_free:
        covered = crack_coverage(rng, material, preset)
        other = random_window(rng, size, preset.ground_low, material.given)[0]
        ground = dig(rng, ground, covered, other)
    if rng.random() < preset.shadows:
        ground = _shadow(rng, ground)
    return photograph(rng, ground), soft_label(covered, preset.label_level)


def soft_label(covered: np.ndarray, level: float) -> np.ndarray:
    """Where coverage, blurred by 0.8 px, is above a level: bool ``(S, S)``, a little wider than the crack."""
    return cv2.GaussianBlur(covered, (0, 0), 0.8) > level


def random_window(
    rng: np.random.Generator, size: int, low: int, source: np.ndarray, beside: np.ndarray | None = None
) -> list[np.ndarray]:
    """A random square of a random image, turned or mirrored, at `size` px; of `beside` the same square, 0 to 1."""
    i, full = int(rng.integers(len(source))), source.shape[1]
    side = min(full, int(np.exp(rng.uniform(np.log(min(low, full)), np.log(full + 1)))))
    y, x = rng.integers(0, full - side + 1, 2)
    turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
    windows = []
    for images, scale in ((source, 1.0), *([(beside, 1 / 255)] if beside is not None else [])):
        window = np.rot90(images[i, y : y + side, x : x + side], turns)
        window = np.ascontiguousarray(window[:, ::-1] if mirrored else window, np.float32) * scale
        way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        windows.append(cv2.resize(window, (size, size), interpolation=way))
    return windows


def crack_coverage(rng: np.random.Generator, material: Material, preset: DrawnPreset) -> np.ndarray:
    """Cracks of one canvas, sometimes of two, enlarged so that they are thin or wide, with rough edges."""
    size = preset.scene
    covered = np.zeros((size, size), np.float32)
    for _ in range(1 + (rng.random() < 0.2)):
        canvas = material.cracks[int(rng.integers(len(material.cracks)))]
        side = int(np.exp(rng.uniform(np.log(preset.crack_low), np.log(CANVAS))))
        rows, columns = np.nonzero(canvas)
        at = int(rng.integers(len(rows)))  # a window around a pixel of the crack
        corner = np.array([rows[at], columns[at]]) - rng.integers(side // 4, 3 * side // 4 + 1, 2)
        y, x = np.clip(corner, 0, CANVAS - side)
        window = np.rot90(canvas[y : y + side, x : x + side], int(rng.integers(4)))
        window = np.ascontiguousarray(window, np.float32) / 255
        way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
        covered = np.maximum(covered, cv2.resize(window, (size, size), interpolation=way))
    if rng.random() < 0.3:  # an elastic wobble
        y, x = np.mgrid[:size, :size].astype(np.float32)
        cell, reach = rng.uniform(6, 30), rng.uniform(0.5, 3)
        moved = (x + reach * noise(rng, size, cell), y + reach * noise(rng, size, cell))
        covered = cv2.remap(covered, *moved, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    soft = cv2.GaussianBlur(covered, (0, 0), rng.uniform(0.4, 1.2))
    if preset.full_from < 1:
        middle = cv2.dilate(soft, np.ones((5, 5), np.uint8))
        soft = np.clip(soft / np.maximum(middle, preset.full_from), 0, 1)
    rough = soft + rng.uniform(0, 0.3) * noise(rng, size, rng.uniform(1.5, 6)) * (soft > 0.02) * (soft < 0.98)
    return np.clip(np.where(soft > 0.02, 0.5 + 1.6 * (rough - 0.42), 0), 0, 1).astype(np.float32)


def dig(rng: np.random.Generator, ground: np.ndarray, covered: np.ndarray, debris: np.ndarray) -> np.ndarray:
    """Make a crack visible: faint or deep, empty or full of debris, with dirt and a lit edge beside it."""
    size = len(ground)
    low, high = ((0.12, 0.4), (0.35, 0.8), (0.7, 1.0))[int(rng.choice(3, p=[0.4, 0.35, 0.25]))]
    depth = rng.uniform(low, high) * (1 + 0.25 * noise(rng, size, 40) + 0.12 * noise(rng, size, 3))
    if rng.random() < 0.4:
        depth = np.maximum(depth, 0.6)  # else debris could not be told from the road
        floor = debris * (rng.uniform(0.15, 0.75) * np.median(ground) / max(float(np.median(debris)), 1.0))
    else:
        floor = np.percentile(ground, 2) * rng.uniform(0.1, 0.9) + rng.uniform(0, 8) * noise(rng, size, 2)
    floor = np.minimum(floor, cv2.GaussianBlur(ground, (0, 0), 6))  # never brighter than the road
    near = cv2.GaussianBlur(covered, (0, 0), rng.uniform(2, 6))
    if rng.random() < 0.5:  # dirt: darker, and no crack
        ground = ground * (1 - rng.uniform(0, 0.25) * np.minimum(near * 2, 1))
    if rng.random() < 0.3:  # an edge in the sun
        step = rng.integers(-2, 3, 2)
        lit = np.clip(np.roll(covered, step, (0, 1)) - covered, 0, 1)
        ground = ground + rng.uniform(5, 35) * cv2.GaussianBlur(lit, (0, 0), 0.7)
    if (blur := rng.uniform(0, 1.3)) > 0.3:
        covered = cv2.GaussianBlur(covered, (0, 0), blur)
    return ground + covered * np.clip(depth, 0, 1) * (floor - ground)


def look_alikes(rng: np.random.Generator, ground: np.ndarray, preset: DrawnPreset) -> np.ndarray:
    """Stones, stains, light patches, pits, painted lines, bright veins, straight grooves; none of them is labeled."""
    size = len(ground)
    if preset.stones and rng.random() < preset.stones:
        ground = _stones(rng, ground)
    if rng.random() < preset.stains:
        spot = np.clip(noise(rng, size, rng.uniform(8, 70)) - rng.uniform(0.3, 1.5), 0, 1)
        ground = ground * (1 + rng.uniform(-0.6, 0.3) * np.clip(spot * rng.uniform(1, 6), 0, 1))
    if rng.random() < preset.pits:
        dots = np.clip((noise(rng, size, rng.uniform(2, 7)) - rng.uniform(1.6, 2.6)) * 3, 0, 1)
        ground = ground * (1 - rng.uniform(0.2, 0.9) * dots)
    if rng.random() < preset.paint:
        worn = np.clip(1 + rng.uniform(0, 0.6) * noise(rng, size, rng.uniform(1.5, 6)), 0, 1)
        band = _line(rng, size, rng.uniform(5, 60), rng.uniform(0.5, 3)) * worn
        ground = ground + band * (rng.uniform(150, 230) - ground) * 0.9
    if rng.random() < preset.veins:
        vein = _line(rng, size, rng.uniform(0.5, 3), 0.8, rng.uniform(2, 12))
        ground = ground + rng.uniform(15, 70) * vein
    if rng.random() < preset.grooves:
        ground = ground * (
            1 - rng.uniform(0.2, 0.8) * _line(rng, size, rng.uniform(0.7, 4), rng.uniform(0.5, 2))
        )
    return ground


def _stones(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """Stones of many sizes that lie one upon the other, often with dark gaps, mixed into the ground."""
    size, sub = len(ground), 4  # binary digits of a pixel's fraction
    picture = np.full((size, size), 128, np.float32)
    least = float(np.exp(rng.uniform(np.log(1.5), np.log(8))))  # px: half-axis of the smallest
    most = least * rng.uniform(2, 10)
    half = least / (1 - rng.random(4000) * (1 - least / most))  # small ones are common, large ones rare
    count = max(30, int(np.searchsorted(np.cumsum(np.pi * half**2), 4 * size**2)))  # four times the area
    spread, gap = rng.uniform(15, 60), rng.uniform(0, 90) if rng.random() < 0.6 else 0.0
    for one in half[:count]:
        center = tuple(int(c) << sub for c in rng.integers(-8, size + 8, 2))
        axes = np.maximum(1, np.round(one * np.array([1, rng.uniform(0.55, 1)]) * 2**sub)).astype(int)
        gray, angle = float(np.clip(128 + spread * rng.standard_normal(), 10, 250)), rng.uniform(0, 180)
        for wider, level in ((14, max(5.0, gray - gap)), (0, gray))[0 if gap else 1 :]:
            shape = (axes[0] + wider, axes[1] + wider)
            cv2.ellipse(picture, center, shape, angle, 0, 360, level, cv2.FILLED, cv2.LINE_8, sub)
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1))
    contrast = max(float(ground.std()), 8) * rng.uniform(0.8, 2.5) / (picture.std() + 1)
    mixed = rng.uniform(0.3, 1)
    picture = ground.mean() + (picture - picture.mean()) * contrast
    return np.clip(ground * (1 - mixed) + picture * mixed, 3, 252)


def _line(rng: np.random.Generator, size: int, half: float, soft: float, wander: float = 0) -> np.ndarray:
    """A line of half-width `half` px through the scene, 0 to 1, `soft` px at its edges; it wanders if told so."""
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4) * size
    y, x = np.mgrid[:size, :size].astype(np.float32) - size / 2
    across = np.cos(angle) * x + np.sin(angle) * y - offset
    if wander:
        across = across + wander * noise(rng, size, rng.uniform(15, 50))
    return np.clip((half - np.abs(across)) / soft + 0.5, 0, 1).astype(np.float32)


def _shadow(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """A shadow over part of the scene, soft or sharp, or a band."""
    size = len(ground)
    wander, soft = rng.uniform(0, 15), np.exp(rng.uniform(0, np.log(25)))
    half = rng.uniform(6, 40) if rng.random() < 0.4 else size  # a band, or a half plane
    shade = _line(rng, size, half, soft, wander)
    return ground * (1 - rng.uniform(0.15, 0.65) * (shade if rng.random() < 0.5 else 1 - shade))


def photograph(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """Uneven light, a lens, gain and offset, noise, and JPEG: uint8 ``(S, S)``."""
    size = len(ground)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.4) * (np.cos(angle) * x + np.sin(angle) * y)
    light = light + rng.uniform(0, 0.06) * noise(rng, size, 60)
    image = np.clip(ground * light, 1, 255) / 255
    image = 255 * image ** rng.uniform(0.7, 1.4) * rng.uniform(0.7, 1.25) + rng.uniform(-15, 15)
    if (blur := rng.uniform(0, 1.2)) > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    image = image + rng.uniform(0, 7) * rng.standard_normal((size, size), dtype=np.float32)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 96))]
    return cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_GRAYSCALE)
