"""The widget of chapter 20: a map, its smoothing, its cut and its pieces under sliders."""

from __future__ import annotations

import ipywidgets
import numpy as np

from upcrack_lite.baselines import variants
from upcrack_lite.baselines.darkness import MAPS, to_gray
from upcrack_lite.baselines.families import DARKNESS
from upcrack_lite.baselines.variants import Variant
from upcrack_lite.errors import UserError
from upcrack_lite.images import overlay
from upcrack_lite.metrics import Confusion
from upcrack_lite.show.figures import NAMES, PALETTE
from upcrack_lite.show.panels import Panel, Plate, controls, pictures
from upcrack_lite.show.pictures import heat, png
from upcrack_lite.show.untrained import TITLES

CUTS = {"level z": "z", "Otsu": "otsu", "the paper's filter, then Otsu": "bilateral_otsu"}
KEY = "overlay: " + ", ".join(f"<span style='color:{PALETTE[k]}'>■</span> {NAMES[k]}" for k in NAMES)


class DarknessExplorer(Plate):
    """Turn every choice of a detector without training into a control, and see what it finds.

    images: uint8 ``(N, H, W, 3)``; crack_masks: bool ``(N, H, W)``. Controls: `image`, `map`, `sigma`, `cut`, `z`
    (for the level alone), `area` (smallest piece, percent of the photo). Results of the photo shown: `variant`,
    `found` bool ``(H, W)`` and `confusion`. Only maps in interquartile ranges can be cut at a level z.
    Raises UserError for shapes that do not fit together.
    """

    def __init__(self, images: np.ndarray, crack_masks: np.ndarray) -> None:
        if images.ndim != 4 or not len(images) or crack_masks.shape != images.shape[:3]:
            raise UserError(f"crack_masks {crack_masks.shape} do not fit images {images.shape}")
        self._images, self._truth, self._busy = images, crack_masks, False
        photos = [(f"{i + 1} of {len(images)}", i) for i in range(len(images))]
        self.image = ipywidgets.Dropdown(options=photos, value=0, description="photo")
        self.map = ipywidgets.Dropdown(options=[(t, n) for n, t in TITLES.items()], description="map")
        self.sigma = _slider("σ, px", 0, 4, 0.5, 0)
        self.cut = ipywidgets.Dropdown(options=list(CUTS.items()), description="cut by")
        self.z = _slider("z", 0, 6, 0.25, 2)
        self.area = _slider("least piece, %", 0, 1, 0.05, 0)
        self._panels = {name: Panel(name) for name in ("photo", "map", "overlay")}
        self._scores = ipywidgets.HTML()
        for control in (self.image, self.sigma, self.cut, self.z, self.area):
            control.observe(self._draw, "value")
        self.map.observe(self._new_map, "value")
        super().__init__(
            controls(self.image, self.map, self.sigma, self.cut, self.z, self.area),
            pictures(*self._panels.values()),
            self._scores,
        )
        self._draw()

    def _new_map(self, change: object = None) -> None:
        """Offer the level z where the map has a unit; elsewhere Otsu takes its place."""
        self._busy = True  # new options change the value too: one drawing is enough
        before = self.cut.value
        options = [(text, cut) for text, cut in CUTS.items() if cut != "z" or self.map.value in DARKNESS]
        self.cut.options = options
        self.cut.value = before if before in dict(options).values() else "otsu"
        self._busy = False
        self._draw()

    def _draw(self, change: object = None) -> None:
        if self._busy:
            return
        self.z.disabled = self.cut.value != "z"
        i = self.image.value
        level = self.z.value if self.cut.value == "z" else 0.0
        self.variant = Variant(self.map.value, self.sigma.value, self.cut.value, level, self.area.value / 100)
        values = MAPS[self.variant.map](to_gray(self._images[i]), self.variant.sigma)
        self.found = variants.kept(variants.cut(values, self.variant), self.variant.least_area)
        self.confusion = Confusion.of(self.found, self._truth[i])
        shown = variants.smoothed(variants.stretched(values), self.variant)
        self._panels["photo"].show(png(self._images[i]))
        self._panels["map"].show(png(heat(shown, float(shown.max()))), f"map, up to {values.max():.3g}")
        marked = 100 * self.found.mean()
        painted = overlay(self._images[i], self.found, self._truth[i])
        self._panels["overlay"].show(png(painted), f"overlay, {marked:.1f} % marked")
        said = {name: getattr(self.confusion, name) for name in ("precision", "recall", "f1")}
        words = [
            f"{name.replace('f1', 'F1')} {'–' if np.isnan(v) else f'{v:.1f} %'}" for name, v in said.items()
        ]
        self._scores.value = f"{KEY}<br>{', '.join(words)}"


def _slider(name: str, low: float, high: float, step: float, value: float) -> ipywidgets.FloatSlider:
    return ipywidgets.FloatSlider(
        value=value, min=low, max=high, step=step, description=name, readout_format=".2f"
    )
