"""The post-processing tuner of chapter 14: error map, bilateral filter, cut, mask and scores under sliders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import torch

from upcrack_lite.detection import VARIANTS, binarize, error_map, smooth, threshold_of
from upcrack_lite.errors import UserError
from upcrack_lite.images import overlay, to_tensor
from upcrack_lite.metrics import METRICS, Confusion
from upcrack_lite.metrics_maps import to_masks
from upcrack_lite.recipes import Preset, preset
from upcrack_lite.show.export import write_parameters
from upcrack_lite.show.figures import NAMES, PALETTE
from upcrack_lite.show.panels import Panel, Plate, controls, pictures, row
from upcrack_lite.show.pictures import heat, histogram_svg, png

# rule -> name, and the slider of its value: description, smallest, largest, step, value at the start
RULES: Mapping[str, tuple[str, tuple[str, float, float, float, float] | None]] = {
    "otsu": ("Otsu", None),
    "otsu_factor": ("Otsu × factor", ("factor", 0.0, 3.0, 0.05, 1.0)),
    "fixed": ("fixed", ("cut", 0.0, 1.0, 0.005, 0.2)),
    "percentile": ("percentile", ("percentile", 50.0, 100.0, 0.1, 97.0)),
}
WORDS = {"precision": "precision", "recall": "recall", "accuracy": "accuracy", "f1": "F1", "iou": "IoU"}
SHOW, HIDE = "", "none"
KEY = "overlay: " + ", ".join(f"<span style='color:{PALETTE[k]}'>■</span> {NAMES[k]}" for k in NAMES)


class PostProcessingTuner(Plate):
    """Turn every choice between restoration and crack mask into a slider, and export what was chosen.

    images: uint8 ``(N, H, W, 3)``. errors: error map variant -> float ``(N, 1, H, W)`` in [0, 1]; or the restored
    images ``(N, 3, H, W)`` in [-1, 1], and all variants are computed from them. crack_masks: bool ``(N, H, W)`` or
    ``(N, 1, H, W)``; None where there are no labels: then nothing is scored. start: a preset to start from.

    Controls: `image`, `variant`, `d`, `sigma_color`, `sigma_space`, `rule`, `values` (a slider for each rule that
    takes a value), `floor`, `path`, `export_button`, `score_button`. Results of the image shown: `smoothed` float
    and `crack_mask` bool, both ``(1, 1, H, W)``, `threshold` and `confusion` (None without labels).
    Raises UserError for shapes that do not fit together.
    """

    def __init__(
        self,
        images: np.ndarray,
        errors: Mapping[str, torch.Tensor] | torch.Tensor,
        crack_masks: Any = None,
        start: Preset | None = None,
    ) -> None:
        start = start or preset()
        self._images = images
        self._errors = _all_errors(images, errors)
        self._truth = None if crack_masks is None else to_masks(crack_masks, "crack_masks")
        if self._truth is not None and self._truth.shape != images.shape[:3]:
            raise UserError(f"crack_masks {self._truth.shape} do not fit images {images.shape}")
        self._make_controls(start)
        self._panels = {
            "photo": Panel("photo"),
            "errors": Panel("error map"),
            "smoothed": Panel("smoothed"),
            "histogram": Panel("histogram and cut", "svg+xml"),
            "mask": Panel("mask"),
            "overlay": Panel("overlay"),
        }
        self._scores, self.message = ipywidgets.HTML(), ipywidgets.HTML()
        for control in (self.image, self.variant):
            control.observe(self._new_errors, "value")
        for control in (self.d, self.sigma_color, self.sigma_space):
            control.observe(self._new_filter, "value")
        self.rule.observe(self._new_rule, "value")
        for control in (*self.values.values(), self.floor):
            control.observe(self._new_cut, "value")
        self.export_button.on_click(self._export_clicked)
        self.score_button.on_click(self._score_all)
        buttons = [self.path, self.export_button] + ([self.score_button] if self._truth is not None else [])
        super().__init__(
            controls(self.image, self.variant, self.d, self.sigma_color, self.sigma_space),
            controls(self.rule, *self.values.values(), self.floor),
            pictures(*self._panels.values()),
            self._scores,
            row(*buttons),
            self.message,
        )
        self._show_value_slider()
        self._new_errors()

    def parameters(self) -> dict[str, Any]:
        """Return what is chosen, by the names of chapter 14's parameters and of `Preset`."""
        value = self.values[self.rule.value].value if self.rule.value in self.values else 1.0
        return {
            "error_variant": self.variant.value,
            "bilateral_d": int(self.d.value),
            "bilateral_sigma_color": float(self.sigma_color.value),
            "bilateral_sigma_space": float(self.sigma_space.value),
            "threshold_rule": self.rule.value,
            "threshold_value": round(float(value), 6),
            "threshold_floor": round(float(self.floor.value), 6),
        }

    def export(self, path: Path | str) -> Path:
        """Write `parameters()` as a file for ``papermill ... -f path``; see `export.write_parameters`."""
        return write_parameters(path, self.parameters())

    # --- the stages: each computes its part and hands on; a threshold does not filter again

    def _new_errors(self, change: object = None) -> None:
        self.message.value = ""
        i = self.image.value
        self._map = self._errors[self.variant.value][i : i + 1]  # (1, 1, H, W)
        self._top = max(float(self._map.max()), 1 / 255)
        self._panels["photo"].show(png(self._images[i]))
        title = f"error map, 0 to {self._top:.2f}"
        self._panels["errors"].show(png(heat(self._map[0, 0].numpy(), self._top)), title)
        self._new_filter()

    def _new_filter(self, change: object = None) -> None:
        self.smoothed = smooth(self._map, self.d.value, self.sigma_color.value, self.sigma_space.value)
        pixels = self.smoothed[0, 0].numpy()
        self._levels = (pixels * 255).round().astype(np.uint8)  # exact: `smooth` returns steps of 1/255
        self._panels["smoothed"].show(png(heat(pixels, self._top)), f"smoothed, 0 to {self._top:.2f}")
        self._new_cut()

    def _new_rule(self, change: object = None) -> None:
        self._show_value_slider()
        self._new_cut()

    def _new_cut(self, change: object = None) -> None:
        cut = self._cut()
        self.threshold = float(threshold_of(self.smoothed, *cut)[0])
        self.crack_mask = binarize(self.smoothed, *cut)  # (1, 1, H, W)
        i, mask = self.image.value, self.crack_mask[0, 0].numpy()
        truth = None if self._truth is None else self._truth[i]
        self.confusion = None if truth is None else Confusion.of(mask, truth)
        svg = histogram_svg(self._levels, self.threshold, truth, float(self.smoothed.max()))
        self._panels["histogram"].show(svg)
        self._panels["mask"].show(png(mask), f"mask, {100 * mask.mean():.1f} % crack")
        self._panels["overlay"].show(png(overlay(self._images[i], mask, truth)))
        self._scores.value = KEY + _table(self.confusion) if self.confusion else "no labels: nothing to score"
        self.message.value = ""

    def _cut(self) -> tuple[str, float, float]:
        """Rule, value and floor as `threshold_of` takes them."""
        chosen = self.parameters()
        return chosen["threshold_rule"], chosen["threshold_value"], chosen["threshold_floor"]

    # --- controls and buttons

    def _make_controls(self, start: Preset) -> None:
        variants = [v for v in VARIANTS if v in self._errors]
        first = start.error_variant if start.error_variant in variants else variants[0]
        photos = [(f"{i + 1} of {len(self._images)}", i) for i in range(len(self._images))]
        self.image = ipywidgets.Dropdown(options=photos, value=0, description="photo")
        self.variant = ipywidgets.Dropdown(options=variants, value=first, description="error map")
        self.d = ipywidgets.IntSlider(
            value=start.bilateral_d, min=1, max=max(35, start.bilateral_d), description="d, px"
        )
        self.sigma_color = _slider("σ color, levels", 1, 300, 1, start.bilateral_sigma_color)
        self.sigma_space = _slider("σ space, px", 0.5, 50, 0.5, start.bilateral_sigma_space)
        rules = [(name, rule) for rule, (name, _) in RULES.items()]
        self.rule = ipywidgets.Dropdown(options=rules, value=start.threshold_rule, description="cut by")
        self.values = {}
        for rule, (_, slider) in RULES.items():
            if slider:
                *limits, usual = slider
                value = start.threshold_value if rule == start.threshold_rule else usual
                self.values[rule] = _slider(*limits, value)
        self.floor = _slider("never below", 0, 0.5, 0.005, start.threshold_floor)
        wide = ipywidgets.Layout(width="310px", max_width="100%")
        self.path = ipywidgets.Text(value="parameters.yaml", description="file", layout=wide)
        self.path.style.description_width = "95px"
        self.export_button = ipywidgets.Button(description="Export", button_style="primary")
        self.score_button = ipywidgets.Button(description="Score all photos")

    def _show_value_slider(self) -> None:
        for rule, slider in self.values.items():
            slider.layout.display = SHOW if rule == self.rule.value else HIDE

    def _export_clicked(self, button: object = None) -> None:
        try:
            path = self.export(self.path.value)
        except UserError as error:
            self.message.value = _escape(str(error))
        else:
            self.message.value = (
                f"wrote {_escape(str(path))}; use it with: papermill … -f {_escape(path.name)}"
            )

    def _score_all(self, button: object = None) -> None:
        """Pool the confusion of all photos: what suits one of them may not suit the set."""
        maps = self._errors[self.variant.value]
        smoothed = smooth(maps, self.d.value, self.sigma_color.value, self.sigma_space.value)
        pooled = Confusion.of(binarize(smoothed, *self._cut()), self._truth[:, None])
        self.message.value = f"all {len(maps)} photos pooled:" + _table(pooled)


def _all_errors(
    images: np.ndarray, errors: Mapping[str, torch.Tensor] | torch.Tensor
) -> dict[str, torch.Tensor]:
    """Check the error maps, or make those of all variants from restored images."""
    if images.ndim != 4 or not len(images):
        raise UserError(f"images must be uint8 (N, H, W, 3) with N at least 1, got {images.shape}")
    if isinstance(errors, torch.Tensor):
        image = to_tensor(images)
        errors = {variant: error_map(image, errors.detach().cpu(), variant) for variant in VARIANTS}
    wrong = [name for name in errors if name not in VARIANTS]
    if wrong or not errors:
        raise UserError(
            f"unknown error maps {', '.join(wrong) or '(none given)'}; known: {', '.join(VARIANTS)}"
        )
    n, h, w = images.shape[:3]
    for name, maps in errors.items():
        if tuple(maps.shape) != (n, 1, h, w):
            raise UserError(f"error map {name!r} is {tuple(maps.shape)}, images need {(n, 1, h, w)}")
    return {name: maps.detach().float().cpu() for name, maps in errors.items()}


def _slider(name: str, low: float, high: float, step: float, value: float) -> ipywidgets.FloatSlider:
    """A slider whose range reaches to the value it starts from."""
    decimals = ".3f" if step < 0.01 else ".2f" if step < 0.1 else ".1f"
    return ipywidgets.FloatSlider(
        value=value,
        min=min(low, value),
        max=max(high, value),
        step=step,
        description=name,
        readout_format=decimals,
    )


def _table(confusion: Confusion) -> str:
    """The five metrics, in percent, as one row of a table; "–" where one is undefined."""
    values = [getattr(confusion, name) for name in METRICS]
    heads = "".join(f"<th style='padding:0 10px 0 0'>{WORDS[name]}</th>" for name in METRICS)
    cells = "".join(
        f"<td style='padding:0 10px 0 0'>{'–' if np.isnan(value) else f'{value:.1f} %'}</td>"
        for value in values
    )
    return f"<table style='text-align:left'><tr>{heads}</tr><tr>{cells}</tr></table>"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
