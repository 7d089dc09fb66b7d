"""Parts of the widgets: panels with pictures, controls, a table of scores, the file of parameters.

Pictures are bytes: PNG for pixels, SVG for the histogram. No figure is drawn: sliders cannot wait. A widget shows a
picture a few times larger than its pixels, so small ones are enlarged without smoothing.
"""

from __future__ import annotations

import math

import cv2
import ipywidgets
import numpy as np
from ipywidgets import Layout

from upcrack_lite.metrics import METRICS, Confusion
from upcrack_lite.show.figures import NAMES, PALETTE

SIDE = 256  # px: what is smaller is enlarged by a whole factor, at least to this
KEY = "overlay: " + ", ".join(f"<span style='color:{PALETTE[k]}'>■</span> {NAMES[k]}" for k in NAMES)

# A dark page or JupyterLab theme keeps black pictures and dark letters apart only if the plate below is white.
_PLATE = """<style>.upcrack-plate { background: #fff; color: #111; padding: 8px; box-sizing: border-box;
  --jp-widgets-label-color: #111; --jp-widgets-readout-color: #111; --jp-widgets-input-color: #111;
  --jp-widgets-input-background-color: #fff; --jp-widgets-input-border-color: #888; }
  .upcrack-plate .widget-html-content { color: #111; }</style>"""


class Plate(ipywidgets.VBox):
    """A white ground for a widget, no wider than the page."""

    def __init__(self, *children: ipywidgets.Widget) -> None:
        # The hidden box with the style takes no room and travels with the widget into every page that shows it.
        style = ipywidgets.HTML(_PLATE, layout=Layout(display="none"))
        super().__init__([style, *children], layout=Layout(max_width="100%"))
        self.add_class("upcrack-plate")


class Panel(ipywidgets.VBox):
    """A title over a picture as wide as its column."""

    def __init__(self, title: str, format: str = "png") -> None:
        self.title = ipywidgets.HTML(title)
        self.image = ipywidgets.Image(format=format, layout=Layout(width="100%", object_fit="contain"))
        super().__init__([self.title, self.image], layout=Layout(min_width="0", overflow="hidden"))

    def show(self, data: bytes, title: str | None = None) -> None:
        """Put a picture, and a title where it changes, into the panel; an equal one is not sent again."""
        self.image.value = data
        if title:
            self.title.value = title


def pictures(*panels: Panel) -> ipywidgets.GridBox:
    """Put panels into equal columns of about 200 px: three beside each other in a book's page, two on a phone."""
    columns = "repeat(auto-fill, minmax(min(45%, 200px), 1fr))"
    layout = Layout(grid_template_columns=columns, grid_gap="6px", width="100%", max_width="1000px")
    return ipywidgets.GridBox(panels, layout=layout)


def row(*children: ipywidgets.Widget) -> ipywidgets.Box:
    """Put widgets side by side; what does not fit goes below, so that a phone shows them under each other."""
    return ipywidgets.Box(children, layout=Layout(flex_flow="row wrap", max_width="100%", grid_gap="6px"))


def controls(*children: ipywidgets.Widget) -> ipywidgets.Box:
    """Put controls side by side with descriptions of one width."""
    for child in children:
        child.layout.width = "310px"
        child.layout.max_width = "100%"
        child.style.description_width = "95px"
    return row(*children)


def choose_photo(images: np.ndarray) -> ipywidgets.Dropdown:
    """A control for one of the images, uint8 ``(N, H, W, 3)``."""
    options = [(f"{i + 1} of {len(images)}", i) for i in range(len(images))]
    return ipywidgets.Dropdown(options=options, value=0, description="photo")


def slider(name: str, low: float, high: float, step: float, value: float) -> ipywidgets.FloatSlider:
    """A slider whose range reaches to the value it starts from."""
    decimals = ".3f" if step < 0.01 else ".2f" if step < 0.1 else ".1f"
    limits = {"min": min(low, value), "max": max(high, value), "step": step}
    return ipywidgets.FloatSlider(value, description=name, readout_format=decimals, **limits)


def score_table(confusion: Confusion) -> str:
    """The five metrics, in percent, as one row of an HTML table; "–" where one is undefined."""
    heads, cells = "", ""
    for name in METRICS:
        value, title = getattr(confusion, name), {"f1": "F1", "iou": "IoU"}.get(name, name)
        heads += f"<th style='padding:0 10px 0 0'>{title}</th>"
        cells += f"<td style='padding:0 10px 0 0'>{'–' if np.isnan(value) else f'{value:.1f} %'}</td>"
    return f"<table style='text-align:left'><tr>{heads}</tr><tr>{cells}</tr></table>"


def png(picture: np.ndarray) -> bytes:
    """Encode uint8 ``(H, W, 3)`` RGB, uint8 ``(H, W)`` or bool ``(H, W)`` (True = white) as PNG."""
    if picture.dtype == np.bool_:
        picture = picture.astype(np.uint8) * 255
    times = max(1, math.ceil(SIDE / max(picture.shape[:2])))
    picture = picture.repeat(times, 0).repeat(times, 1)
    if picture.ndim == 3:
        picture = picture[..., ::-1]  # OpenCV writes BGR
    # Level 1 is fast, and still lossless.
    return cv2.imencode(".png", picture, (cv2.IMWRITE_PNG_COMPRESSION, 1))[1].tobytes()


def heat(error_map: np.ndarray, top: float) -> np.ndarray:
    """Color a map ``(H, W)`` from 0 (black) to `top` (pale yellow) as `figures.images` does: uint8 RGB."""
    levels = np.clip(error_map * (255 / top if top > 0 else 0), 0, 255).astype(np.uint8)
    return cv2.applyColorMap(levels, cv2.COLORMAP_MAGMA)[..., ::-1]  # (H, W, 3)


def histogram_svg(levels: np.ndarray, threshold: float, crack_mask: np.ndarray | None, top: float) -> bytes:
    """Draw how often each error occurs (logarithmic scale), crack apart from background, and the threshold.

    levels: uint8 ``(H, W)``, the error in steps of 1/255; threshold: in [0, 1]; top: right end of the axis.
    """
    last = max(1, math.ceil(255 * top)) + 1
    edges = np.arange(0, last + math.ceil(last / 48), math.ceil(last / 48))  # levels: at most 48 bars
    classes = {"background": levels if crack_mask is None else levels[~crack_mask]}
    if crack_mask is not None:
        classes["crack"] = levels[crack_mask]
    counts = {name: np.histogram(values, edges)[0] for name, values in classes.items()}
    decades = max(1, math.ceil(np.log10(max(2, *(bars.max() for bars in counts.values())))))

    left, right, floor, above = 38, 226, 204, 24  # px

    def x(level: float) -> float:
        return left + (right - left) * min(level / edges[-1], 1)

    def y(height: float) -> float:  # a count of 1 stands 0.3 of a decade above the axis, so that it shows
        return floor - (floor - above) * height / (decades + 0.3)

    def line(x1: float, y1: float, x2: float, y2: float, look: str) -> str:
        return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#111" {look}/>'

    def text(x: float, y: float, words: str, anchor: str = "middle") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'

    parts = ['<rect width="240" height="240" fill="white"/>']
    for power in range(decades + 1):
        at = y(power + 0.3)
        label = f"{10**power:,}" if power < 4 else f"{10 ** (power - 3)}k"
        parts += [line(left, at, right, at, 'stroke-opacity="0.12"'), text(left - 5, at + 4, label, "end")]
    for name, bars in counts.items():
        heights = np.where(bars > 0, np.log10(np.maximum(bars, 1)) + 0.3, 0)
        outline = zip(edges.repeat(2), [0, *heights.repeat(2), 0], strict=True)
        corners = " ".join(f"{x(edge):.1f},{y(height):.1f}" for edge, height in outline)
        # Crack is an outline over the gray area: shape tells the classes apart where color cannot.
        look = ' fill-opacity="0.15" stroke-width="2"' if name == "crack" else ""
        parts.append(f'<polygon points="{corners}" fill="{PALETTE[name]}" stroke="{PALETTE[name]}"{look}/>')
    parts += [text(x(level), floor + 14, f"{level / 255:.2f}") for level in np.linspace(0, edges[-1], 4)]
    at = x(255 * threshold)
    words = f"threshold {threshold:.3f}" + (" →" if 255 * threshold > edges[-1] else "")
    parts += [
        text((left + right) / 2, 235, "smoothed error"),
        line(left, floor, right, floor, 'stroke-width="2.5"'),
        line(at, above, at, floor, 'stroke-width="2" stroke-dasharray="5 3"'),
        text(at, above - 7, words, "end" if at > (left + right) / 2 else "start"),
    ]
    letters = 'font-family="sans-serif" font-size="12" fill="#111"'
    look = f'width="240" height="240" viewBox="0 0 240 240" {letters}'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {look}>{"".join(parts)}</svg>'.encode()
