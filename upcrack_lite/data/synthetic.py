"""Synthetic roads: seeded photos of asphalt and concrete whose cracks are known to the pixel.

They let every chapter run anywhere: no download, no license, exact labels. The same seed gives the same road
with and without its crack, so a restored image can be compared with the truth.

How a photo is made: `surface.py` lays the ground (stones, stains, joints, light), `cracks.py` draws the lines and
turns them into pixels and labels, and this file digs them in and takes the picture (lens blur, color cast, sensor
noise).

Images below 256 px are painted at 256 px and shrunk by area, as a real photo would be; larger ones are
painted at their size with stones and cracks enlarged in proportion.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from upcrack_lite.data.cracks import MAX_SHARE, draw_cracks, label
from upcrack_lite.data.datasets import RoadSet
from upcrack_lite.data.surface import SURFACES, Surface, make_surface, noise
from upcrack_lite.errors import UserError
from upcrack_lite.recipes import check_value

SMALLEST, LARGEST = 64, 1024


def _dig(rng: np.random.Generator, surface: Surface, covered: np.ndarray) -> None:
    """Cut cracks of coverage `covered` into `surface` in place: dark floor, lit lip, dirt and chipped banks."""
    size = covered.shape[0]
    unit = size / 256
    near = cv2.GaussianBlur(covered, (0, 0), 1.6 * unit)
    # Depth differs along a crack: here it is open and dark, there filled with dust. Wide means deep.
    faint, middling, open_ = (0.15, 0.45), (0.3, 0.8), (0.7, 0.95)
    shallow = rng.uniform(*[faint, middling, open_][int(rng.choice(3, p=[0.3, 0.35, 0.35]))])
    depth = shallow + rng.uniform(0.06, 0.2) * noise(rng, size, 30 * unit)
    depth += rng.uniform(0.02, 0.1) * noise(rng, size, 3 * unit) + 0.9 * (near - 0.5)
    depth = np.clip(depth, 0.25, 0.98)
    floor = surface.albedo.mean() * rng.uniform(0.05, 0.3) + 4 * noise(rng, size, 2 * unit)
    # Dirt settles beside the crack: darker, but not crack, and not labeled.
    dirt = rng.uniform(0, 0.3) * np.clip(0.6 + 0.6 * noise(rng, size, 12 * unit), 0, 1.5)
    surface.albedo *= 1 - np.minimum(dirt * near, 0.5)
    if rng.random() < 0.35:  # stone broken off the bank shows a fresh, lighter face
        chip = np.clip(3 * (near - 0.33 + 0.16 * noise(rng, size, 5 * unit)), 0, 1)
        chip *= (near > 0.02) * (1 - covered)
        surface.albedo += chip * rng.uniform(6, 26)
        surface.height -= 0.5 * chip
    surface.albedo += covered * depth * (floor - surface.albedo)
    surface.warmth += covered * rng.uniform(-0.01, 0.08)  # soil in the crack
    lip = cv2.GaussianBlur(covered, (0, 0), 0.9 * unit) * (1 - covered)
    surface.height *= 1 - 0.8 * covered
    surface.height -= rng.uniform(0.2, 1.1) * lip


def _photograph(rng: np.random.Generator, surface: Surface, size: int, concrete: bool) -> np.ndarray:
    """Light the surface, blur it by the lens, color it and add sensor noise: uint8 `(size, size, 3)` RGB."""
    canvas = surface.albedo.shape[0]
    unit = canvas / 256
    slope_x = cv2.Sobel(surface.height, cv2.CV_32F, 1, 0, scale=unit / 8)
    slope_y = cv2.Sobel(surface.height, cv2.CV_32F, 0, 1, scale=unit / 8)
    slope = surface.sun[0] * slope_x + surface.sun[1] * slope_y
    gray = (surface.albedo + 2.5 * surface.relief * slope) * surface.light

    out_of_focus = rng.random() < 0.12
    sigma = rng.uniform(0.9, 1.6) if out_of_focus else rng.uniform(0.2, 0.62)
    gray = cv2.GaussianBlur(gray, (0, 0), float(sigma * unit))

    cast = rng.normal(0, 0.075 if rng.random() < 0.25 else 0.018) + (0.032 if concrete else 0.004)
    green = rng.normal(0, 0.008)
    warmth = cv2.GaussianBlur(surface.warmth, (0, 0), float((sigma + 0.4) * unit)) + cast
    image = np.stack([gray * (1 + warmth), gray * (1 + green), gray * (1 - warmth)], axis=2)
    if canvas != size:
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    grain = rng.uniform(0.8, 3.5)
    image += grain * rng.standard_normal((size, size, 1), dtype=np.float32)
    image += 0.35 * grain * rng.standard_normal((size, size, 3), dtype=np.float32)
    # A film-like shoulder instead of a hard cut at white.
    image = np.where(image > 215, 215 + 35 * np.tanh((image - 215) / 35), image)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def synthetic_road(
    size: int = 256,
    seed: int | Sequence[int] = 0,
    surface: str | None = None,
    crack: bool = True,
    crack_share: float | None = None,
    confounders: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one road photo and its exact crack mask.

    size: side in pixels, 64 to 1024.
    seed: whole number, 0 or more, or a sequence of them. The same seed gives the same bytes (with the same versions
    of NumPy and OpenCV), and the same road, light and lens with or without a crack.
    surface: "asphalt", "concrete", or None to let the seed choose (two in three are asphalt).
    crack_share: share of crack pixels, 0 to 0.15, met within `cracks.share_tolerance`. 0, like `crack=False`, leaves
    the road whole. None lets the seed choose, about 0.5 to 8 %.
    confounders: how many dark things that are no cracks lie about: 0 none, 1 as usual, up to 3.
    Returns image: uint8 `(size, size, 3)`, RGB. crack_mask: bool `(size, size)`; True where a crack covers at least
    half of the pixel's area. Dirt and chipped stone beside a crack are not crack.
    Raises UserError: an argument is outside its range, or `crack=False` comes with a `crack_share` above 0.
    """
    check_value("size", size, f"[{SMALLEST}, {LARGEST}]")
    check_value("surface", surface or SURFACES[0], SURFACES)
    check_value("crack_share", crack_share or 0, f"[0, {MAX_SHARE}]")
    check_value("confounders", confounders, "[0, 3]")
    if crack_share and not crack:
        raise UserError("crack=False contradicts crack_share > 0: leave one of them out")
    seeds = np.random.SeedSequence(seed)
    # Four streams, so that what one part draws never shifts what another one gets.
    ground, lines, digging, camera = (np.random.default_rng(s) for s in seeds.spawn(4))
    drawn = "concrete" if ground.random() < 1 / 3 else "asphalt"
    kind = surface or drawn
    canvas = max(size, 256)
    scene = make_surface(ground, canvas, kind, confounders)
    crack_mask = np.zeros((size, size), bool)
    if crack and crack_share != 0:
        covered = draw_cracks(lines, canvas, size, crack_share)
        crack_mask = label(covered, size)
        _dig(digging, scene, covered)
    return _photograph(camera, scene, size, kind == "concrete"), crack_mask


def synthetic_set(
    n: int,
    size: int = 256,
    seed: int = 0,
    crack_free: float = 0.0,
    crack_share: float | None = None,
    confounders: float = 1.0,
    workers: int = 1,
) -> RoadSet:
    """Draw `n` road photos; image `i` is `synthetic_road(size, [seed, i], ...)` whatever `n` is.

    n: 1 or more. seed: whole number, 0 or more. size, crack_share, confounders: as in `synthetic_road`; `crack_share`
    holds for images with cracks. workers: threads; the result does not depend on it.
    crack_free: share of images without cracks, 0 to 1, spread evenly: of the first k images, floor(k · crack_free)
    have none.
    Returns a RoadSet "synthetic" with names such as "synthetic_0_00007" (seed 0, image 7).
    Raises UserError: an argument is outside its range.
    """
    check_value("n", n, "[1, inf)")
    check_value("size", size, f"[{SMALLEST}, {LARGEST}]")
    check_value("crack_free", crack_free, "[0, 1]")
    images = np.empty((n, size, size, 3), np.uint8)
    crack_masks = np.empty((n, size, size), bool)

    def draw(i: int) -> None:
        # The small number guards products such as 100 · 0.29 = 28.999999999999996.
        whole = int((i + 1) * crack_free + 1e-9) > int(i * crack_free + 1e-9)
        share = None if whole else crack_share
        images[i], crack_masks[i] = synthetic_road(
            size, [seed, i], crack=not whole, crack_share=share, confounders=confounders
        )

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(draw, range(n)))
    return RoadSet("synthetic", images, crack_masks, [f"synthetic_{seed}_{i:05d}" for i in range(n)])
