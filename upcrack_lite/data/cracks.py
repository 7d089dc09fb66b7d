"""Synthetic cracks: center lines that wander, branch and join into networks, and the pixels that they cover.

A crack is a center line with a width at every point. Lines come from midpoint displacement, which is rough at
every scale as broken stone is. **A pixel is crack where at least half of its area is covered.**

Lengths are pixels of the canvas; `unit` = canvas / 256.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

OVERSAMPLE = 4  # sub-pixels along each side of a pixel
LABEL_COVERAGE = 0.5
MAX_SHARE = 0.15
THINNEST = 1.5  # mean width, in pixels of a 256-pixel image, below which a line is left out instead


@dataclass
class Crack:
    """One line: `points` (K, 2) as x, y; `left`, `right` (K,) half-widths relative to a mean width of 1."""

    points: np.ndarray
    left: np.ndarray
    right: np.ndarray


def _normals(along: np.ndarray) -> np.ndarray:
    """Unit vectors at right angles to the vectors `along`, `(K, 2)` both."""
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
    return normal / np.maximum(np.hypot(*normal.T), 1e-9)[:, None]


def _path(
    rng: np.random.Generator, start: np.ndarray, end: np.ndarray, rough: float, step: float
) -> np.ndarray:
    """Line from `start` to `end` by midpoint displacement: points `(2^k + 1, 2)` about `step` px apart."""
    length = float(np.hypot(*(end - start)))
    points = np.stack([start, end])
    reach = rough * length
    while length > step:
        middle = (points[1:] + points[:-1]) / 2
        along = points[1:] - points[:-1]
        middle = middle + _normals(along) * (reach * rng.standard_normal(len(middle)))[:, None]
        points = np.insert(points, np.arange(1, len(points)), middle, axis=0)
        # 0.59: rougher than a smooth curve (0.5), smoother than a random walk (0.71).
        length, reach = length / 2, reach * 0.59
    return points


def _profile(rng: np.random.Generator, n: int, knots: int) -> np.ndarray:
    """Smooth random values along a line, `(n,)`, standard deviation about 1."""
    return np.interp(np.linspace(0, 1, n), np.linspace(0, 1, knots + 1), rng.standard_normal(knots + 1))


def _crack(
    rng: np.random.Generator, points: np.ndarray, width: float, free: tuple[bool, bool], unit: float
) -> Crack:
    """Give a line its widths; `free` says which of its two ends runs out to a tip."""
    n = len(points)
    length = float(np.hypot(*np.diff(points, axis=0).T).sum()) / unit
    slow = 0.38 * _profile(rng, n, max(2, int(length / 28)))
    w = width * np.exp(slow + 0.22 * _profile(rng, n, max(2, int(length / 7))))
    t = np.linspace(0, 1, n)
    tip = rng.uniform(0.15, 0.6)
    if free[0]:
        w *= np.clip(t / tip, 0, 1) ** 0.6
    if free[1]:
        w *= np.clip((1 - t) / tip, 0, 1) ** 0.6
    # The two banks crumble independently of each other.
    banks = []
    for _ in range(2):
        crumbled = 1 + 0.3 * _profile(rng, n, max(2, n // 2)) + 0.1 * rng.standard_normal(n)
        banks.append(0.5 * w * np.clip(crumbled, 0.25, 2.2))
    return Crack(points, *banks)


def _border_point(rng: np.random.Generator, size: int, side: int) -> np.ndarray:
    """Point a little outside the canvas, so that a crack leaves it at full width."""
    along, out = rng.uniform(0.12, 0.88) * size, 0.04 * size
    return np.array([(along, -out), (size + out, along), (along, size + out), (-out, along)][side])


def _inside(point: np.ndarray, size: int) -> bool:
    return bool((point >= 0).all() and (point < size).all())


def _main(rng: np.random.Generator, size: int, rough: float, width: float, unit: float) -> Crack:
    """A crack from one border to another, or, one time in four, to a tip inside."""
    side = int(rng.integers(4))
    # Opposite sides more often than neighbors: long cracks are what a camera is pointed at.
    other = (side + int(rng.choice([2, 2, 2, 2, 2, 2, 1, 3]))) % 4
    start, end = _border_point(rng, size, side), _border_point(rng, size, other)
    runs_out = rng.random() < 0.25
    if runs_out:
        end = start + (end - start) * rng.uniform(0.45, 0.85)
    return _crack(rng, _path(rng, start, end, rough, 2.5 * unit), width, (False, runs_out), unit)


def _branch(rng: np.random.Generator, parent: Crack, size: int, rough: float, unit: float) -> Crack:
    """A thinner crack that leaves `parent` at 25 to 85 degrees."""
    n = len(parent.points)
    inside = [i for i in range(1, n - 1) if _inside(parent.points[i], size)]
    i = int(rng.choice(inside)) if inside else n // 2
    ahead, behind = parent.points[min(n - 1, i + 6)], parent.points[max(0, i - 6)]
    heading = np.arctan2(*(ahead - behind)[::-1]) + rng.choice([-1, 1]) * np.radians(rng.uniform(25, 85))
    end = parent.points[i] + rng.uniform(0.15, 0.75) * size * np.array([np.cos(heading), np.sin(heading)])
    points = _path(rng, parent.points[i], end, rough, 2.5 * unit)
    return _crack(rng, points, rng.uniform(0.4, 0.85), (False, _inside(end, size)), unit)


def _network(rng: np.random.Generator, size: int, rough: float, unit: float) -> list[Crack]:
    """Alligator cracking: short cracks along the borders of Voronoi cells, enclosing pieces of intact road."""
    pitch = rng.uniform(30, 60) * unit
    side = int(np.ceil(size / pitch)) + 2
    rows, columns = np.mgrid[0:side, 0:side]
    centers = np.stack([columns + 0.5 * (rows % 2), rows], axis=-1).reshape(-1, 2) - 0.5
    centers = (centers + 0.3 * rng.standard_normal(centers.shape)) * pitch
    bounds = cv2.Subdiv2D((-4 * size, -4 * size, 9 * size, 9 * size))
    for x, y in centers.tolist():
        bounds.insert((x, y))
    middle, reach = rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0.4, 0.9) * size
    edges: dict[tuple[tuple[int, int], ...], np.ndarray] = {}
    for facet in bounds.getVoronoiFacetList([])[0]:
        for a, b in zip(facet, np.roll(facet, -1, axis=0), strict=True):
            key = tuple(sorted(tuple(int(v) for v in np.rint(4 * p)) for p in (a, b)))
            edges.setdefault(key, np.stack([a, b]))  # each edge belongs to two facets: keep it once
    cracks = []
    for edge in (edges[key].astype(np.float64) for key in sorted(edges)):
        long = np.hypot(*(edge[1] - edge[0]))
        far = np.hypot(*(edge.mean(axis=0) - middle)) / reach
        if not 4 * unit < long < 3 * pitch or not _inside(edge.mean(axis=0), size) or rng.random() < far**3:
            continue
        line = _path(rng, edge[0], edge[1], rough, 2.5 * unit)
        cracks.append(_crack(rng, line, rng.uniform(0.5, 1), (False, False), unit))
    return cracks


def _reach(crack: Crack, size: int) -> float:
    """Area inside a `(size, size)` canvas in px² for each px of mean width."""
    middle = (crack.points[1:] + crack.points[:-1]) / 2
    inside = ((middle >= 0) & (middle < size)).all(axis=1)
    width = (crack.left + crack.right)[:-1]
    return float((np.hypot(*np.diff(crack.points, axis=0).T) * width)[inside].sum())


def _lines(rng: np.random.Generator, size: int, area: float, thinnest: float, unit: float) -> list[Crack]:
    """Enough cracks, and not too many, to cover about `area` px² of a `(size, size)` canvas.

    The mean width that this takes stays believable and not under `thinnest` px. Short cracks at small areas,
    wide ones or networks at large ones.
    """
    rough = rng.uniform(0.035, 0.1)
    wanted = np.clip(rng.lognormal(np.log(3.6), 0.45), 1.9, 9) * unit  # mean width in px
    # Much crack is reached by width rather than by a tangle of thin lines.
    wanted = max(wanted, thinnest, area / size * (0.35 if rng.random() < 0.5 else 0.2))
    branching = rng.uniform(0.4, 0.95)
    alligator = rng.random() < 0.15 and area / size**2 > 0.02
    cracks = _network(rng, size, rough, unit) if alligator else []
    cracks = cracks or [_main(rng, size, rough, 1.0, unit)]
    while sum(_reach(c, size) for c in cracks) * wanted * 1.25 < area and len(cracks) < 400:
        if rng.random() < branching:
            parent = cracks[int(rng.integers(len(cracks)))]
            cracks.append(_branch(rng, parent, size, rough, unit))
        else:
            cracks.append(_main(rng, size, rough, 0.8, unit))
    while len(cracks) > 1 and sum(_reach(c, size) for c in cracks[:-1]) * thinnest > area:
        cracks.pop()
    spare = sum(_reach(c, size) for c in cracks) - area / thinnest
    if spare > 0:  # the last line is too long even at the thinnest width
        cracks[-1] = _shorten(cracks[-1], size, 1 - spare / max(_reach(cracks[-1], size), 1e-9))
    return cracks


def _shorten(crack: Crack, size: int, keep: float) -> Crack:
    """The first `keep` (0 to 1) of the visible part of a crack, thinning out to a tip."""
    seen = np.flatnonzero(((crack.points >= 0) & (crack.points < size)).all(axis=1))
    first, last = (seen[0], seen[-1]) if len(seen) else (0, len(crack.points) - 1)
    stop = first + max(3, int(np.ceil(keep * (last - first))))
    part = slice(max(0, first - 1), stop)
    n = len(crack.points[part])
    tip = np.clip(np.arange(n, 0, -1) / max(2, 0.2 * n), 0.3, 1) ** 0.6
    return Crack(crack.points[part], crack.left[part] * tip, crack.right[part] * tip)


def _smooth(values: np.ndarray, k: int) -> np.ndarray:
    """Running mean over `k` neighbors on either side."""
    total = np.cumsum(np.pad(values, (k + 1, k), mode="edge"))
    return (total[2 * k + 1 :] - total[: -2 * k - 1]) / (2 * k + 1)


def rasterize(cracks: list[Crack], size: int, width: float) -> np.ndarray:
    """Share of each pixel's area under cracks of mean width `width` px: float32 `(size, size)` in [0, 1]."""
    canvas = np.zeros((size * OVERSAMPLE, size * OVERSAMPLE), np.uint8)
    shift = 4
    for crack in cracks:
        # The direction is taken over several points, more of them for a wide crack: a normal that follows
        # every kink would make the banks spiky.
        k = 3 + round(width / (3 * size / 256))
        padded = np.pad(crack.points, ((k, k), (0, 0)), mode="edge")
        normal = _normals(padded[2 * k :] - padded[: -2 * k])
        # Filling also paints the sub-pixels that the outline touches: half a sub-pixel too much on either side.
        a, b = (
            crack.points + sign * normal * np.maximum(width * half - 0.5 / OVERSAMPLE, 0)[:, None]
            for sign, half in ((1, _smooth(crack.left, k - 3)), (-1, _smooth(crack.right, k - 3)))
        )
        quads = np.stack([a[:-1], a[1:], b[1:], b[:-1]], axis=1)  # (K - 1, 4, 2)
        seen = (quads.max(axis=1) > 0).all(axis=1) & (quads.min(axis=1) < size).all(axis=1)
        # Sub-pixel centers lie at half-integers; the drawing functions count from centers.
        quads = np.round((quads[seen] * OVERSAMPLE - 0.5) * 2**shift).astype(np.int32)
        for quad in quads:
            cv2.fillConvexPoly(canvas, quad, 255, lineType=cv2.LINE_8, shift=shift)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def label(covered: np.ndarray, size: int) -> np.ndarray:
    """Crack mask, bool `(size, size)`: True where coverage, brought to that size, is at least 1/2."""
    if covered.shape[0] != size:
        covered = cv2.resize(covered, (size, size), interpolation=cv2.INTER_AREA)
    return covered >= LABEL_COVERAGE - 1e-6


def share_tolerance(crack_share: float, size: int) -> float:
    """How far the crack fraction of an image may lie from the one asked for: 5 % of it, 0.0005 or three pixels."""
    return max(0.05 * crack_share, 0.0005, 3 / size**2)


def draw_cracks(rng: np.random.Generator, canvas: int, size: int, crack_share: float | None) -> np.ndarray:
    """Coverage of a `(canvas, canvas)` image by cracks, float32 in [0, 1].

    `crack_share` is the share of crack pixels in the mask at `size`; the mean width is adjusted until it is
    met within `share_tolerance`. None draws a share of about 0.5 to 8 %, most often 1 to 4 %.
    """
    unit = canvas / 256
    exact = crack_share is not None
    share = crack_share if exact else float(np.exp(np.clip(rng.normal(np.log(0.024), 0.65), -5.1, -2.5)))
    area = share * canvas**2
    thinnest = max(THINNEST * unit, 1.25 * canvas / size)
    cracks = _lines(rng, canvas, area, thinnest, unit)
    width = area / max(sum(_reach(c, canvas) for c in cracks), 1.0)
    below, above = 0.0, float("inf")
    best, best_miss = None, float("inf")
    for _ in range(14):
        covered = rasterize(cracks, canvas, width)
        labeled = float(label(covered, size).mean())
        miss = abs(labeled - share)
        if miss < best_miss:
            best, best_miss = covered, miss
        if miss <= (0.6 * share_tolerance(share, size) if exact else 0.3 * share):
            break
        if labeled < share:
            below = width
            step = min(2.0, max(1.02, (share / max(labeled, 1e-9)) ** 0.9))
            width = width * step if width * step < above else (below + above) / 2
        else:
            above = width
            step = max(0.5, min(0.98, (share / labeled) ** 0.9))
            width = width * step if width * step > below else (below + above) / 2
    return best
