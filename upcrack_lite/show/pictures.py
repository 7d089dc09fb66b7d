"""Pictures of the widgets as bytes: PNG for pixels, SVG for the histogram. No figure is drawn: sliders cannot wait.

A widget shows a picture a few times larger than its pixels, so small ones are enlarged without smoothing.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from upcrack_lite.errors import UserError
from upcrack_lite.show.figures import PALETTE

SIDE = 256  # px: what is smaller is enlarged by a whole factor, at least to this


def png(picture: np.ndarray) -> bytes:
    """Encode uint8 ``(H, W, 3)`` RGB, uint8 ``(H, W)`` or bool ``(H, W)`` (True = white) as PNG."""
    if picture.dtype == np.bool_:
        picture = picture.astype(np.uint8) * 255
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3):
        raise UserError(
            f"a picture must be uint8 or bool, (H, W) or (H, W, 3), got {picture.dtype} {picture.shape}"
        )
    times = math.ceil(SIDE / max(picture.shape[:2]))
    if times > 1:
        picture = picture.repeat(times, 0).repeat(times, 1)
    if picture.ndim == 3:
        picture = picture[..., ::-1]  # OpenCV writes BGR
    done, data = cv2.imencode(".png", picture, (cv2.IMWRITE_PNG_COMPRESSION, 1))  # 1: fast, still lossless
    if not done:
        raise UserError(f"the picture of {picture.shape} could not be encoded as PNG")
    return data.tobytes()


def heat(error_map: np.ndarray, top: float) -> np.ndarray:
    """Color a map ``(H, W)`` from 0 (black) to `top` (pale yellow) as `figures.images` does: uint8 RGB."""
    levels = np.clip(error_map * (255 / top if top > 0 else 0), 0, 255).astype(np.uint8)
    return cv2.applyColorMap(levels, cv2.COLORMAP_MAGMA)[..., ::-1]  # (H, W, 3)


def histogram_svg(levels: np.ndarray, threshold: float, crack_mask: np.ndarray | None, top: float) -> bytes:
    """Draw how often each error occurs (logarithmic scale), crack apart from background, and the cut.

    levels: uint8 ``(H, W)``, the error in steps of 1/255; threshold: the cut in [0, 1]; top: right end of the axis.
    """
    width, height, left, right, above, below = 240, 240, 38, 14, 24, 36
    plot_w, plot_h = width - left - right, height - above - below
    last = max(1, math.ceil(top * 255))
    step = max(1, math.ceil((last + 1) / 48))  # levels a bar
    n_bars = math.ceil((last + 1) / step)

    def counts(values: np.ndarray) -> np.ndarray:
        full = np.bincount(values, minlength=256)[: n_bars * step]
        return np.pad(full, (0, n_bars * step - len(full))).reshape(n_bars, step).sum(1)

    classes = [
        (
            "background",
            PALETTE["background"],
            levels[~crack_mask] if crack_mask is not None else levels.ravel(),
        )
    ]
    if crack_mask is not None:
        classes.append(("crack", PALETTE["crack"], levels[crack_mask]))
    drawn = [(name, color, counts(values)) for name, color, values in classes]
    decades = max(1, math.ceil(math.log10(max(2, max(int(c.max()) for *_, c in drawn)))))

    def x(error: float) -> float:
        return left + plot_w * min(error * 255 / (n_bars * step), 1.0)

    def y(count: float) -> float:  # half a pixel count lies on the axis, so that a single pixel shows
        return (
            above + plot_h * (1 - (math.log10(count) + 0.3) / (decades + 0.3))
            if count > 0
            else above + plot_h
        )

    floor = above + plot_h
    parts = [f'<rect width="{width}" height="{height}" fill="white"/>']
    for power in range(decades + 1):
        label = f"{10**power:,}" if power < 4 else f"{10 ** (power - 3)}k"
        parts.append(_line(left, y(10**power), width - right, y(10**power), 'stroke="#e3e5e8"'))
        parts.append(_text(left - 5, y(10**power) + 4, label, 'text-anchor="end"'))
    for i, (_, color, bars) in enumerate(drawn):
        corners = [f"{x(0):.1f},{floor}"]
        for k, count in enumerate(bars):
            corners += [f"{x(e * step / 255):.1f},{y(count):.1f}" for e in (k, k + 1)]
        corners.append(f"{x(1):.1f},{floor}")
        # Crack is an outline over the gray area: shape tells the classes apart where color cannot.
        look = f'fill="{color}"' + (f' fill-opacity="0.15" stroke="{color}" stroke-width="2"' if i else "")
        parts.append(f'<polygon points="{" ".join(corners)}" {look}/>')
    for k in range(4):
        error = k / 3 * n_bars * step / 255
        parts.append(_text(x(error), floor + 14, f"{error:.2f}", 'text-anchor="middle"'))
    parts.append(_text(left + plot_w / 2, height - 5, "smoothed error", 'text-anchor="middle"'))
    parts.append(_line(left, floor, width - right, floor, 'stroke="#111" stroke-width="2.5"'))
    at = x(threshold)
    parts.append(_line(at, above, at, floor, 'stroke="#111" stroke-width="2" stroke-dasharray="5 3"'))
    word = f"threshold {threshold:.3f}" + (" →" if threshold * 255 > n_bars * step else "")
    anchor = "end" if at > left + plot_w / 2 else "start"
    parts.append(_text(at, above - 7, word, f'text-anchor="{anchor}" font-weight="bold"'))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="#111">'
    )
    return (head + "".join(parts) + "</svg>").encode()


def _line(x1: float, y1: float, x2: float, y2: float, look: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {look}/>'


def _text(x: float, y: float, words: str, look: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{words}</text>'
