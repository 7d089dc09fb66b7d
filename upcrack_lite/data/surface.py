"""The ground of a synthetic road: asphalt or concrete, what lies on it, and the light it stands in.

A surface is built from two fields, as in a renderer. The **albedo** says how bright each spot is by itself. The
**height** says how the spot sticks out; a lamp from one side turns its slope into bright and dark flanks. What is
dark without being a crack is made here too, because a crack detector that only looks for darkness should fail.

Lengths are pixels of a 256-pixel image and are multiplied by `unit` = canvas / 256 on a larger canvas.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SURFACES = ("asphalt", "concrete")


@dataclass
class Surface:
    """What the camera will see, before cracks and before the lens. All fields are float32 `(S, S)`."""

    albedo: np.ndarray  # brightness under even light, about 0 to 255
    height: np.ndarray  # relief, about -1 to 1
    warmth: np.ndarray  # color cast of single stones: above 0 yellowish, below 0 bluish
    light: np.ndarray  # factor of the light that reaches each pixel: gradient and cast shadows
    sun: tuple[float, float]  # direction the light comes from, as a step (x, y) of length 1
    relief: float  # how strongly slopes show


def noise(rng: np.random.Generator, size: int, cell: float, stretch: float = 1.0) -> np.ndarray:
    """Smooth random field `(size, size)`, float32, mean about 0, standard deviation 1, spots about `cell` px wide.

    `stretch` makes the spots longer along x than along y. Values on a coarse grid are enlarged by cubic
    interpolation, which costs far less than blurring white noise with a wide kernel.
    """
    cell_x, cell_y = max(1.0, cell * stretch), max(1.0, cell)
    columns, rows = int(np.ceil(size / cell_x)) + 3, int(np.ceil(size / cell_y)) + 3
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    if cell_x > 1 or cell_y > 1:
        enlarged = (max(size, round(columns * cell_x)), max(size, round(rows * cell_y)))
        grid = cv2.resize(grid, enlarged, interpolation=cv2.INTER_CUBIC) * 1.35
    top, left = (grid.shape[0] - size) // 2, (grid.shape[1] - size) // 2
    return np.ascontiguousarray(grid[top : top + size, left : left + size])


def aggregate(rng: np.random.Generator, size: int, spacing: float, exposed: float) -> tuple[np.ndarray, ...]:
    """One layer of stones: `(dome, tone, warmth)`, each float32 `(size, size)`.

    Stones are Voronoi cells of jittered points, cut off at a radius of their own, so that they touch at
    angles where they are dense and are round where they are sparse. `exposed` is the share of them that lies
    open; the rest is under binder. `dome` is 0 outside and up to 1 inside a stone; `tone` and `warmth` are
    standard normal, constant on each stone (`tone` cut at 2).
    """
    side = max(2, int(np.ceil(size / spacing)))
    points = (np.mgrid[0:side, 0:side].reshape(2, -1) + rng.random((2, side * side))) * spacing
    points = points.astype(np.int64)
    points = points[:, (points < size).all(axis=0)]
    ground = np.full((size, size), 255, np.uint8)
    ground[points[0], points[1]] = 0
    distance, cell = cv2.distanceTransformWithLabels(
        ground, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    n = int(cell.max()) + 1
    radius = spacing * np.clip(rng.lognormal(-0.75, 0.3, n), 0.15, 1.0)
    radius[rng.random(n) > exposed] = 0
    radius = radius.astype(np.float32)[cell] * (1 + 0.22 * noise(rng, size, max(1.5, spacing / 2)))
    dome = np.clip((radius - distance) / max(1.0, 0.22 * spacing), 0, 1)
    tone = np.clip(rng.standard_normal(n, dtype=np.float32), -2, 2)[cell]
    warmth = rng.standard_normal(n, dtype=np.float32)[cell]
    return dome, tone, warmth


def _speckle(rng: np.random.Generator, size: int, unit: float) -> np.ndarray:
    """Sand and glints at the limit of what the camera resolves: more bright specks than dark ones."""
    fine = noise(rng, size, unit) + 0.6 * noise(rng, size, 1.8 * unit)
    return fine + 0.18 * fine * np.abs(fine)


def _asphalt(rng: np.random.Generator, size: int, unit: float) -> tuple[np.ndarray, ...]:
    """Binder with stones of three sizes: close up (few, large stones) or from afar (fine grain)."""
    zoom = float(np.exp(rng.uniform(np.log(0.6), np.log(2.2))))
    base = rng.uniform(98, 150)
    # Worn binder shows its stones strongly, fresh binder hides them.
    strength = float(np.clip(rng.lognormal(0, 0.5), 0.4, 2.6))
    speckle = _speckle(rng, size, unit)
    albedo = base + 3 * noise(rng, size, 40 * unit) + 2 * noise(rng, size, 10 * unit)
    albedo += (2 + 3.2 * strength) * speckle
    height = 0.3 * noise(rng, size, 2.2 * zoom * unit) + 0.1 * speckle
    warmth = np.zeros_like(albedo)
    color = rng.uniform(0.008, 0.035)
    for spacing, exposed, contrast in (
        (3.0, rng.uniform(0.6, 1.0), 9.0),
        (6.0, rng.uniform(0.2, 0.8), 13.0),
        (12.0, rng.uniform(0.02, 0.35), 15.0),
    ):
        dome, tone, hue = aggregate(rng, size, spacing * zoom * unit, exposed)
        bright = strength * contrast * (0.4 + tone + 0.25 * tone * np.abs(tone)) + 3 * speckle
        albedo += dome * (base + bright - albedo) * 0.85
        height = np.maximum(height, dome * (0.35 + 0.25 * tone))
        warmth = warmth + dome * (color * hue - warmth)
    if rng.random() < 0.5:  # binder worn down between the stones: dark gaps
        gaps = np.clip(0.25 - height, 0, 0.6)
        albedo -= rng.uniform(20, 60) * strength * gaps
    return albedo, height, warmth


def _concrete(rng: np.random.Generator, size: int, unit: float) -> tuple[np.ndarray, ...]:
    """Cloudy cement with sand, pinholes, sometimes broom strokes or a worn face that shows the aggregate."""
    base = rng.uniform(138, 200)
    albedo = base + rng.uniform(2, 7) * noise(rng, size, 45 * unit)
    albedo = albedo + rng.uniform(1, 4) * noise(rng, size, 14 * unit)
    grain = _speckle(rng, size, unit)
    albedo += rng.uniform(2, 8.5) * grain + rng.uniform(1, 5) * noise(rng, size, 3.5 * unit)
    height = 0.3 * noise(rng, size, 2.5 * unit) + 0.15 * grain + 0.3 * noise(rng, size, 7 * unit)
    warmth = np.zeros_like(albedo)
    if rng.random() < 0.4:  # worn: small light and dark stones
        dome, tone, hue = aggregate(rng, size, rng.uniform(3, 6) * unit, rng.uniform(0.1, 0.6))
        albedo += dome * rng.uniform(8, 24) * tone
        warmth = dome * 0.015 * hue
    if rng.random() < 0.3:  # broomed while wet
        strokes = noise(rng, size, rng.uniform(1.5, 3) * unit, stretch=rng.uniform(30, 80))
        strokes = strokes if rng.random() < 0.5 else np.ascontiguousarray(strokes.T)
        albedo += rng.uniform(2, 6) * strokes
        height = 0.6 * height + 0.4 * strokes
    spacing = rng.uniform(4, 9)
    holes, tone, _ = aggregate(rng, size, spacing * unit, min(0.12, rng.exponential(0.02)))
    albedo -= np.clip(2 * holes - 1, 0, 1) * rng.uniform(30, 100) * np.clip(0.4 + 0.4 * tone, 0, 1)
    # Dirt gathers in clouds of fine dark specks.
    clouds = np.clip(noise(rng, size, 35 * unit) + rng.uniform(-1.2, 0.5), 0, 2)
    albedo -= rng.uniform(4, 16) * clouds * np.clip(noise(rng, size, 2.2 * unit) - 0.5, 0, 2.5)
    return albedo, height, warmth


def _blob(rng: np.random.Generator, size: int, unit: float, radius: float) -> np.ndarray:
    """Irregular round patch, float32 in [0, 1], soft or sharp at its edge."""
    y, x = np.ogrid[0:size, 0:size]
    cy, cx = rng.uniform(0, size, 2)
    angle, squeeze = rng.uniform(0, np.pi), rng.uniform(0.4, 1)
    u = (np.cos(angle) * (x - cx) + np.sin(angle) * (y - cy)) / (radius * unit)
    v = (np.cos(angle) * (y - cy) - np.sin(angle) * (x - cx)) / (radius * unit * squeeze)
    reach = 1 - np.sqrt(u * u + v * v) + 0.28 * noise(rng, size, radius * unit / 2)
    reach += 0.12 * noise(rng, size, max(2, radius * unit / 7)) + 0.1 * noise(rng, size, 2 * unit)
    return np.clip(reach / rng.uniform(0.25, 0.9), 0, 1).astype(np.float32)


def _line(size: int, angle: float, offset: float) -> np.ndarray:
    """Signed distance in pixels, `(size, size)` float32, from a straight line near the middle of the image."""
    y, x = np.ogrid[0:size, 0:size]
    return (np.cos(angle) * (x - size / 2) + np.sin(angle) * (y - size / 2) - offset).astype(np.float32)


def _axis_angle(rng: np.random.Generator) -> float:
    return rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.06)


def _dark_but_no_crack(
    rng: np.random.Generator,
    albedo: np.ndarray,
    height: np.ndarray,
    concrete: bool,
    unit: float,
    amount: float,
) -> None:
    """Stains, drips, joints, seams and tire marks, written into `albedo` and `height` in place.

    `amount` multiplies how often each occurs; 0 leaves the surface clean.
    """
    size = albedo.shape[0]
    for _ in range(rng.poisson(0.6 * amount)):  # oil, damp, rubber: from a spot to a third of the image
        radius = float(np.exp(rng.uniform(np.log(5), np.log(70))))
        albedo *= 1 - rng.uniform(0.08, 0.5) * min(1.0, 14 / radius) ** 0.7 * _blob(rng, size, unit, radius)
    if rng.random() < 0.22 * amount:  # worn, washed or dusty: light patches
        albedo += rng.uniform(8, 25) * _blob(rng, size, unit, rng.uniform(20, 80))
    if rng.random() < 0.2 * amount:  # tire mark
        across = _line(size, _axis_angle(rng), rng.uniform(-0.4, 0.4) * size)
        band = np.exp(-((across / (rng.uniform(12, 30) * unit)) ** 2))
        albedo *= 1 - rng.uniform(0.06, 0.2) * band * np.clip(1 + 0.4 * noise(rng, size, 6 * unit, 1), 0, 2)
    if rng.random() < (0.28 if concrete else 0.12) * amount:  # sawn joint, formwork edge, seam of two lanes
        across = _line(size, _axis_angle(rng), rng.uniform(-0.42, 0.42) * size)
        across += rng.uniform(0, 0.5) * unit * noise(rng, size, 12 * unit)
        half = rng.uniform(0.6, 2.6) * unit
        line = np.clip(half + 0.5 - np.abs(across), 0, 1)
        albedo *= 1 - rng.uniform(0.25, 0.75) * line * np.clip(0.9 + 0.15 * noise(rng, size, 9 * unit), 0, 1)
        if rng.random() < 0.5:  # the two sides are not the same pour
            albedo += rng.uniform(-14, 14) * (across > 0)
        height -= line
    if not concrete and rng.random() < 0.08 * amount:  # lane paint, worn off the high spots
        across = _line(size, _axis_angle(rng), rng.uniform(-0.5, 0.5) * size)
        worn = 1.0 + 0.5 * noise(rng, size, 1.6 * unit)
        worn = worn + 0.4 * noise(rng, size, 4 * unit) + 0.4 * noise(rng, size, 25 * unit)
        paint = np.clip(rng.uniform(14, 40) * unit - np.abs(across), 0, 1) * np.clip(worn, 0, 1)
        albedo += paint * (rng.uniform(170, 205) - albedo) * 0.85


def _light(rng: np.random.Generator, size: int, unit: float, amount: float) -> np.ndarray:
    """Lighting gradient, vignette and, sometimes, the soft shadow of something outside the picture."""
    ramp = _line(size, rng.uniform(0, 2 * np.pi), 0) / size
    light = 1 + rng.uniform(0, 0.22) * ramp
    from_middle = _line(size, 0, 0) ** 2 + _line(size, np.pi / 2, 0) ** 2
    light -= rng.uniform(0, 0.12) * from_middle / (0.5 * size**2)
    light += 0.025 * noise(rng, size, 90 * unit)
    if rng.random() < 0.16 * amount:
        edge = _line(size, rng.uniform(0, 2 * np.pi), rng.uniform(-0.1, 0.45) * size)
        edge += rng.uniform(0, 7) * unit * noise(rng, size, rng.uniform(25, 70) * unit)
        soft = rng.uniform(2, 24) * unit
        light *= 1 - rng.uniform(0.25, 0.6) * np.clip(edge / soft + 0.5, 0, 1)
    return light.astype(np.float32)


def make_surface(rng: np.random.Generator, size: int, kind: str, amount: float) -> Surface:
    """Draw a crack-free surface of `kind` ("asphalt" or "concrete") on a `(size, size)` canvas.

    `amount` (0 or more, 1 is usual) sets how many dark things that are no cracks lie on it.
    """
    unit = size / 256
    concrete = kind == "concrete"
    albedo, height, warmth = (_concrete if concrete else _asphalt)(rng, size, unit)
    _dark_but_no_crack(rng, albedo, height, concrete, unit, amount)
    light = _light(rng, size, unit, amount)
    angle = rng.uniform(0, 2 * np.pi)
    relief = rng.uniform(2, 16) if concrete else rng.uniform(6, 34)
    if rng.random() < 0.15:  # low sun: every stone throws its shadow
        relief *= rng.uniform(1.5, 2.5)
    return Surface(albedo, height, warmth, light, (float(np.cos(angle)), float(np.sin(angle))), float(relief))
