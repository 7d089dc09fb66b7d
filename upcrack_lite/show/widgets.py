"""Widgets of chapters 04, 14 and 16: move a slider, see masks, detection or a training-free baseline change.

Every stage is computed by the functions that the chapters teach. A page without a kernel shows the state in which
the chapter left the widget.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import torch
from ipywidgets import Dropdown

from upcrack_lite import masks
from upcrack_lite.baselines import training_free
from upcrack_lite.baselines.recipes import DARKNESS
from upcrack_lite.baselines.registry import CRACKNET
from upcrack_lite.baselines.training_free import MAPS, Variant, to_gray
from upcrack_lite.data.layouts import photos
from upcrack_lite.data.reading import read_image
from upcrack_lite.detection import VARIANTS, binarize, smooth, threshold_of
from upcrack_lite.errors import UserError
from upcrack_lite.images import overlay, to_tensor, to_uint8
from upcrack_lite.io import write_settings
from upcrack_lite.metrics import Confusion, to_masks
from upcrack_lite.predict.model import load_model
from upcrack_lite.recipes import preset
from upcrack_lite.show.untrained import TITLES
from upcrack_lite.show.widget_parts import (
    KEY,
    Panel,
    Plate,
    choose_photo,
    controls,
    heat,
    histogram_svg,
    pictures,
    png,
    row,
    score_table,
    slider,
)

FILLS: Mapping[str, float] = {"black (−1)": -1.0, "mid-gray (0)": 0.0, "white (1)": 1.0}
MASK_FAMILIES = {"multi-scale square": "multi_scale_square", "striped": "striped", "jumbled": "jumbled"}

# rule -> name, and the slider of its value: description, smallest, largest, step, value at the start
RULES: Mapping[str, tuple[str, tuple[str, float, float, float, float] | None]] = {
    "otsu": ("Otsu", None),
    "otsu_factor": ("Otsu × factor", ("factor", 0.0, 3.0, 0.05, 1.0)),
    "fixed": ("fixed", ("threshold", 0.0, 1.0, 0.005, 0.2)),
    "percentile": ("percentile", ("percentile", 50.0, 100.0, 0.1, 97.0)),
}
LEVELS = {"level z": "z", "Otsu": "otsu", "the paper's filter, then Otsu": "bilateral_otsu"}


class MaskExplorer(Plate):
    """Draw masks of each family over one photo and see how much of it they remove.

    image: uint8 ``(S, S, 3)``, S a multiple of 16. seed: the draw shown first, 0 to 63.
    Controls: `family`, `cell`, `seed`, `fill`. Results: `mask` float ``(1, 1, S, S)``, 1 = kept, and `removed`, in
    percent of the pixels. Raises UserError for an image that is not square or does not fit the grids.
    """

    def __init__(self, image: np.ndarray, seed: int = 0) -> None:
        self._image = to_tensor(image)  # (1, 3, S, S)
        self._size = image.shape[-2]
        if len(self._image) != 1 or self._size != image.shape[-3] or self._size % 16:
            raise UserError(f"give one square photo (S, S, 3), S a multiple of 16, got {image.shape}")
        self.family = Dropdown(options=list(MASK_FAMILIES.items()), description="family")
        self.cell = Dropdown(options=self._cells("multi_scale_square"), description="cells")
        self.seed = ipywidgets.IntSlider(value=seed, min=0, max=63, description="draw")
        self.fill = Dropdown(options=list(FILLS.items()), description="holes are")
        self._panels = {name: Panel(name) for name in ("photo", "mask (white = kept)", "masked photo")}
        self._panels["photo"].show(png(to_uint8(self._image)[0]))
        self._text = ipywidgets.HTML()
        for control in (self.cell, self.seed, self.fill):
            control.observe(self._draw, "value")
        self.family.observe(self._new_family, "value")
        chosen = controls(self.family, self.cell, self.seed, self.fill)
        super().__init__(chosen, self._text, pictures(*self._panels.values()))
        self._draw()

    def _cells(self, family: str) -> list[tuple[str, tuple[int, ...] | None]]:
        """The cell sizes that a family offers at this image size, all of the family's own first."""
        if family == "striped":
            return [("follow from the size", None)]
        fitting = [c for c in (2, 4, 8, 16, 32, 64, 128) if self._size % (2 * c) == 0]
        usual = tuple(fitting[-3:][::-1]) if family == "multi_scale_square" else (2, 4, 8, 16)
        own = [(f"one of {', '.join(map(str, usual))} px", usual)]
        return own + [(f"{cell} px", (cell,)) for cell in reversed(fitting)]

    def _new_family(self, change: object = None) -> None:
        self.cell.options = self._cells(self.family.value)
        self.cell.value = self.cell.options[0][1]
        self.cell.disabled = self.family.value == "striped"
        self._draw()

    def _draw(self, change: object = None) -> None:
        draws = torch.Generator().manual_seed(self.seed.value)
        self.mask = masks.draw(self.family.value, 1, self._size, draws, self.cell.value)
        self.removed = 100 * (1 - self.mask.mean().item())
        masked = masks.apply(self._image, self.mask, self.fill.value)
        self._panels["mask (white = kept)"].show(png(self.mask[0, 0].numpy() > 0.5))
        self._panels["masked photo"].show(png(to_uint8(masked)[0]))
        self._text.value = f"removed: <b>{self.removed:.1f} %</b> of the pixels"


class PostProcessingTuner(Plate):
    """Turn every choice between restoration and crack mask into a slider, and export what was chosen.

    images: uint8 ``(N, H, W, 3)``. errors: name of a map, as an error map's variant -> float ``(N, 1, H, W)`` in
    [0, 1]. crack_masks: bool ``(N, H, W)`` or ``(N, 1, H, W)``; None where there are no labels: then nothing is
    scored. start: a preset of any method to start from; where it may have no filter, d = 1 px switches it off.

    Controls: `image`, `variant`, `d`, `sigma_color`, `sigma_space`, `rule`, `values` (a slider for each rule that
    takes a value), `floor`, `area` (smallest component, percent of the photo; not exported, no command takes it),
    `path`, `export_button`, `score_button`. Results of the image shown: `smoothed` float and `crack_mask` bool,
    both ``(1, 1, H, W)``, `threshold` and `confusion` (None without labels).
    Raises UserError for shapes that do not fit together.
    """

    def __init__(
        self,
        images: np.ndarray,
        errors: Mapping[str, torch.Tensor],
        crack_masks: Any = None,
        start: Any = None,
    ) -> None:
        self._images, self._errors, self._start = images, errors, start or preset()
        self.image = choose_photo(images)
        n, h, w = images.shape[:3]
        if not errors:
            raise UserError("errors holds no error map: give one for each name")
        for name, maps in errors.items():
            if tuple(maps.shape) != (n, 1, h, w):
                raise UserError(f"error map {name!r} is {tuple(maps.shape)}, images need {(n, 1, h, w)}")
        self._truth = None if crack_masks is None else to_masks(crack_masks, "crack_masks")
        if self._truth is not None and self._truth.shape != (n, h, w):
            raise UserError(f"crack_masks {self._truth.shape} do not fit images {images.shape}")
        self._make_controls(self._start)
        names = ("photo", "error map", "smoothed", "histogram", "mask", "overlay")
        self._panels = {name: Panel(name, "svg+xml" if name == "histogram" else "png") for name in names}
        self._scores, self.message = ipywidgets.HTML(), ipywidgets.HTML()
        buttons = [self.path, self.export_button] + ([self.score_button] if self._truth is not None else [])
        super().__init__(
            controls(self.image, self.variant, self.d, self.sigma_color, self.sigma_space),
            controls(self.rule, *self.values.values(), self.floor, self.area),
            pictures(*self._panels.values()),
            self._scores,
            row(*buttons),
            self.message,
        )
        self._new_errors()

    @classmethod
    def of_photos(cls, folder: Path | str, model: str = CRACKNET, limit: int = 8) -> PostProcessingTuner:
        """The tuner on a folder of photos of one's own, seen by any model that `upcrack detect` takes, but a family.

        It shows the middle of each photo, up to 512 px, at the photo's own size: what is chosen holds for
        `upcrack detect`. limit: the first so many photos. Raises UserError for a folder without photos, a photo
        that cannot be read, and as `load_model`.
        """
        found = [read_image(path) for path in photos(folder)[:limit]]
        side = min(512, *(min(photo.shape[:2]) for photo in found))
        images = np.stack([_middle(photo, side) for photo in found])
        usual = load_model(model)
        models = {"the model's map": usual}
        if usual.preset is None:
            raise UserError(f"{model} learned nothing and has no settings to tune: name a model that learned")
        if hasattr(usual.preset, "error_variant"):
            models = {name: load_model(model, settings={"error_variant": name}) for name in VARIANTS}
        errors = {name: torch.cat([*map(one.score_photo, images)]) for name, one in models.items()}
        return cls(images, errors, start=usual.preset)

    def parameters(self) -> dict[str, Any]:
        """Return what is chosen, by the names of chapter 14's parameters and of the model's preset."""
        value = self.values[self.rule.value].value if self.rule.value in self.values else 1.0
        own = {"error_variant": self.variant.value, "map_filter": self._filter()[-1]}
        return {name: value for name, value in own.items() if hasattr(self._start, name)} | {
            "bilateral_d": self.d.value,
            "bilateral_sigma_color": self.sigma_color.value,
            "bilateral_sigma_space": self.sigma_space.value,
            "threshold_rule": self.rule.value,
            "threshold_value": round(value, 6),
            "threshold_floor": round(self.floor.value, 6),
        }

    def export(self, path: Path | str) -> Path:
        """Write `parameters()` as a file for ``papermill ... -f path``; see `write_settings`."""
        return write_settings(path, self.parameters())

    # --- the stages: each computes its part and hands on; a new threshold does not filter again

    def _new_errors(self, change: object = None) -> None:
        i = self.image.value
        self._map = self._errors[self.variant.value][i : i + 1]  # (1, 1, H, W)
        self._top = max(float(self._map.max()), 1 / 255)
        self._panels["photo"].show(png(self._images[i]))
        title = f"error map, 0 to {self._top:.2f}"
        self._panels["error map"].show(png(heat(self._map[0, 0].numpy(), self._top)), title)
        self._new_filter()

    def _new_filter(self, change: object = None) -> None:
        self.smoothed = smooth(self._map, *self._filter())
        pixels = self.smoothed[0, 0].numpy()
        self._levels = (pixels * 255).round().astype(np.uint8)  # exact: `smooth` returns steps of 1/255
        self._panels["smoothed"].show(png(heat(pixels, self._top)), f"smoothed, 0 to {self._top:.2f}")
        self._new_threshold()

    def _new_threshold(self, change: object = None) -> None:
        for rule, control in self.values.items():
            control.layout.display = "" if rule == self.rule.value else "none"
        self.threshold = float(threshold_of(self.smoothed, *self._rule())[0])
        self.crack_mask = self._marked(self.smoothed)  # (1, 1, H, W)
        i, mask = self.image.value, self.crack_mask[0, 0].numpy()
        truth = None if self._truth is None else self._truth[i]
        self.confusion = None if truth is None else Confusion.of(mask, truth)
        svg = histogram_svg(self._levels, self.threshold, truth, float(self.smoothed.max()))
        self._panels["histogram"].show(svg)
        self._panels["mask"].show(png(mask), f"mask, {100 * mask.mean():.1f} % crack")
        self._panels["overlay"].show(png(overlay(self._images[i], mask, truth)))
        scores = score_table(self.confusion) if self.confusion else ""
        self._scores.value = KEY + scores if scores else "no labels: nothing to score"
        self.message.value = ""

    def _marked(self, smoothed: torch.Tensor) -> torch.Tensor:
        """Crack masks, bool ``(N, 1, H, W)``, without small components."""
        marked, least = binarize(smoothed, *self._rule()).numpy(), self.area.value / 100
        large = [training_free.without_small(one, least) for one in marked[:, 0]]
        return torch.from_numpy(np.stack(large)[:, None])

    def _filter(self) -> tuple[int, float, float, str]:
        """Diameter, both sigmas and the filter's name as `smooth` takes them."""
        off = hasattr(self._start, "map_filter") and self.d.value == 1
        sizes = self.d.value, self.sigma_color.value, self.sigma_space.value
        return *sizes, "none" if off else "bilateral"

    def _rule(self) -> tuple[str, float, float]:
        """Rule, value and floor as `threshold_of` takes them."""
        chosen = self.parameters()
        return chosen["threshold_rule"], chosen["threshold_value"], chosen["threshold_floor"]

    # --- controls and buttons

    def _make_controls(self, start: Any) -> None:
        known, usual = list(self._errors), getattr(start, "error_variant", "")
        self.variant = Dropdown(
            options=known, value=usual if usual in known else known[0], description="error map"
        )
        d = 1 if getattr(start, "map_filter", "") == "none" else start.bilateral_d
        self.d = ipywidgets.IntSlider(value=d, min=1, max=max(35, d), description="d, px")
        self.sigma_color = slider("σ color, levels", 1, 300, 1, start.bilateral_sigma_color)
        self.sigma_space = slider("σ space, px", 0.5, 50, 0.5, start.bilateral_sigma_space)
        rules = [(name, rule) for rule, (name, _) in RULES.items()]
        self.rule = Dropdown(options=rules, value=start.threshold_rule, description="rule")
        self.values = {}
        for rule, (_, limits) in RULES.items():
            if limits:
                value = start.threshold_value if rule == start.threshold_rule else limits[-1]
                self.values[rule] = slider(*limits[:-1], value)
        self.floor = slider("never below", 0, 0.5, 0.005, start.threshold_floor)
        self.area = slider("least area, %", 0, 1, 0.02, 0)
        wide = ipywidgets.Layout(width="310px", max_width="100%")
        self.path = ipywidgets.Text(value="parameters.yaml", description="file", layout=wide)
        self.path.style.description_width = "95px"
        self.export_button = ipywidgets.Button(description="Export", button_style="primary")
        self.score_button = ipywidgets.Button(description="Score all photos")
        stages = {
            self._new_errors: (self.image, self.variant),
            self._new_filter: (self.d, self.sigma_color, self.sigma_space),
            self._new_threshold: (self.rule, *self.values.values(), self.floor, self.area),
        }
        for stage, moved in stages.items():
            for control in moved:
                control.observe(stage, "value")
        self.export_button.on_click(self._export_clicked)
        self.score_button.on_click(self._score_all)

    def _export_clicked(self, button: object = None) -> None:
        try:
            path = self.export(self.path.value)
        except UserError as error:
            self.message.value = html.escape(str(error))
        else:
            name = html.escape(path.name)
            self.message.value = f"wrote {html.escape(str(path))}; use it with: papermill … -f {name}"

    def _score_all(self, button: object = None) -> None:
        """Pool the confusion of all photos: what suits one of them may not suit the set."""
        maps = self._errors[self.variant.value]
        crack_masks = self._marked(smooth(maps, *self._filter()))
        pooled = Confusion.of(crack_masks, self._truth[:, None])
        self.message.value = f"all {len(maps)} photos pooled:" + score_table(pooled)


def _middle(photo: np.ndarray, side: int) -> np.ndarray:
    y, x = (np.array(photo.shape[:2]) - side) // 2
    return photo[y : y + side, x : x + side]


class DarknessExplorer(Plate):
    """Turn every choice of a training-free baseline into a control, and see what it marks.

    images: uint8 ``(N, H, W, 3)``; crack_masks: bool ``(N, H, W)``. Controls: `image`, `map`, `sigma`, `rule`, `z`
    (for the level alone), `area` (smallest component, percent of the photo). Results of the photo shown: `variant`,
    `crack_mask` bool ``(H, W)`` and `confusion`. Only maps in interquartile ranges can have a level z.
    Raises UserError for shapes that do not fit together.
    """

    def __init__(self, images: np.ndarray, crack_masks: np.ndarray) -> None:
        if crack_masks.shape != images.shape[:3]:
            raise UserError(f"crack_masks {crack_masks.shape} do not fit images {images.shape}")
        self._images, self._truth = images, crack_masks
        self.image = choose_photo(images)
        self.map = Dropdown(options=[(t, n) for n, t in TITLES.items()], description="map")
        self.sigma = slider("σ, px", 0, 4, 0.5, 0)
        self.rule = Dropdown(options=list(LEVELS.items()), description="threshold")
        self.z = slider("z", 0, 6, 0.25, 2)
        self.area = slider("least area, %", 0, 1, 0.05, 0)
        self._panels = {name: Panel(name) for name in ("photo", "map", "overlay")}
        self._scores = ipywidgets.HTML()
        for control in (self.image, self.sigma, self.rule, self.z, self.area):
            control.observe(self._draw, "value")
        self.map.observe(self._new_map, "value")
        chosen = controls(self.image, self.map, self.sigma, self.rule, self.z, self.area)
        super().__init__(chosen, pictures(*self._panels.values()), self._scores)
        self._draw()

    def _new_map(self, change: object = None) -> None:
        """Offer the level z where the map has a unit; elsewhere Otsu takes its place."""
        before, offered = self.rule.value, dict(LEVELS)
        if self.map.value not in DARKNESS:
            del offered["level z"]
        self.rule.unobserve(self._draw, "value")  # new options change the value too: one drawing is enough
        self.rule.options = list(offered.items())
        self.rule.value = before if before in offered.values() else "otsu"
        self.rule.observe(self._draw, "value")
        self._draw()

    def _draw(self, change: object = None) -> None:
        i, rule = self.image.value, self.rule.value
        self.z.disabled = rule != "z"
        level = self.z.value if rule == "z" else 0.0
        self.variant = Variant(self.map.value, self.sigma.value, rule, level, self.area.value / 100)
        values = MAPS[self.variant.map](to_gray(self._images[i]), self.variant.sigma)
        marked = training_free.thresholded(values, self.variant)
        self.crack_mask = training_free.without_small(marked, self.variant.least_area)
        self.confusion = Confusion.of(self.crack_mask, self._truth[i])
        shown = training_free.smoothed(training_free.stretched(values), self.variant)
        self._panels["photo"].show(png(self._images[i]))
        self._panels["map"].show(png(heat(shown, float(shown.max()))), f"map, up to {values.max():.3g}")
        painted = overlay(self._images[i], self.crack_mask, self._truth[i])
        self._panels["overlay"].show(png(painted), f"overlay, {100 * self.crack_mask.mean():.1f} % marked")
        self._scores.value = KEY + score_table(self.confusion)
