"""How a compared method is trained and tested: a preset of named values. Their sources are in `choices`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from upcrack_lite.baselines.choices import SUPERVISED, choices
from upcrack_lite.errors import UserError
from upcrack_lite.recipes import LARGEST, as_written, check_values, known, typed
from upcrack_lite.recipes import VALUES as CRACKNET_VALUES


@dataclass(frozen=True)
class MethodPreset:
    """All values of one way to train and test a compared method; made by `method_preset`, then never changed."""

    method: str
    scale: str
    # network
    size: int  # side of the square input, px
    width: float  # share of the network's channels, above 0 to 1
    encoder_weights: str  # "none" or "imagenet" (the library's download); runs of earlier versions: "file"
    # augmentation
    scale_low: float  # smallest enlargement before the random crop to `size`
    scale_high: float  # largest one
    flip: bool  # random horizontal flip
    # training
    batch_size: int
    epochs: int
    optimizer: str
    lr: float
    momentum: float  # of SGD
    weight_decay: float
    schedule: str
    poly_power: float  # of the schedule "poly"
    step_at: float  # of the schedule "step": a tenth of the rate from this share of the epochs on
    validation_share: float  # share of photos held out
    validate_every: int  # epochs
    patience: int  # epochs without improvement before stopping; 0 never stops early
    # detection
    map_filter: str
    bilateral_d: int  # px
    bilateral_sigma_color: float  # gray levels of one channel, 0-255
    bilateral_sigma_space: float  # px
    threshold_rule: str
    threshold_value: float  # what the rule needs: a factor, a level in [0, 1] or a percentile in [0, 100]
    threshold_floor: float  # a guard: no pixel whose value is below it counts as crack

    @property
    def supervised(self) -> bool:
        """True if the method learns from crack masks."""
        return self.method in SUPERVISED

    def why(self, name: str) -> str:
        """Where the value of a field comes from, in a sentence. Raises UserError for an unknown field."""
        known(MethodPreset, name)
        if name in ("method", "scale"):
            return "the name of the preset"
        value, reason = choices(self.method, self.scale)[name]
        return reason if getattr(self, name) == value else f"set by the user; the preset has {value!r}"

    def overrides(self) -> dict[str, Any]:
        """The fields that differ from the preset, sorted by name: they are part of a run's identity."""
        chosen = choices(self.method, self.scale)
        return {k: getattr(self, k) for k in sorted(chosen) if getattr(self, k) != chosen[k][0]}

    def older(self) -> dict[str, Any]:
        """What a file of this method and scale means that lacks a field."""
        return from_dict({"method": self.method, "scale": self.scale}).to_dict()

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values that JSON can hold."""
        return dataclasses.asdict(self)


VALUES: dict[str, tuple[str, ...]] = {
    "encoder_weights": ("none", "imagenet", "file"),
    "optimizer": ("sgd", "adam"),
    "schedule": ("poly", "step", "constant"),
    "map_filter": ("bilateral", "gaussian", "none"),
    "threshold_rule": CRACKNET_VALUES["threshold_rule"],
}
POSITIVE = ("epochs", "lr", "poly_power", "validate_every", "bilateral_sigma_color", "bilateral_sigma_space")
RANGES: dict[str, tuple[float, float]] = {
    "scale_low": (1, LARGEST),
    "scale_high": (1, LARGEST),
    "step_at": (0, 1),
    "patience": (0, LARGEST),
    "momentum": (0, 1),
    "weight_decay": (0, LARGEST),
    "validation_share": (0, 1),
    "bilateral_d": (1, LARGEST),
    "threshold_floor": (0, 1),
}
STEP = 32  # what divides the side of an image: the networks halve it up to five times

DETECTION = (
    *("map_filter", "bilateral_d", "bilateral_sigma_color", "bilateral_sigma_space"),
    *("threshold_rule", "threshold_value", "threshold_floor"),
)
"""What can be changed after training."""


def method_preset(name: str, scale: str = "lite", **overrides: Any) -> MethodPreset:
    """Make a compared method's preset, with any field set otherwise by keyword.

    Raises UserError for an unknown method, scale or field (it lists the known ones), a value of the wrong type, or
    values that do not fit together, before any long work starts.
    """
    values = {field: value for field, (value, _) in choices(name, scale).items()}
    for field, value in overrides.items():
        known(MethodPreset, field)
        if field in ("method", "scale"):
            raise UserError(f"{field} cannot be overridden: name it when the preset is made")
        values[field] = typed(MethodPreset, field, value)
    made = MethodPreset(method=name, scale=scale, **values)
    _check(made)
    return made


BEFORE: dict[str, Any] = {}
"""What a value was before there was a field for it, where that is not what the method's preset has now."""


def from_dict(values: Mapping[str, Any]) -> MethodPreset:
    """Make the preset that `MethodPreset.to_dict` wrote; what an older file lacks is as in `presets.from_dict`."""
    rest = as_written(values, ("method", "scale"))
    return method_preset(values["method"], values["scale"], **{**BEFORE, **rest})


def _check(made: MethodPreset) -> None:
    check_values(made, VALUES, POSITIVE, RANGES, ("momentum", "validation_share"))
    _check_together(made)


def _check_together(made: MethodPreset) -> None:
    if not 0 < made.width <= 1:
        raise UserError(f"width must be above 0 and at most 1, got {made.width}")
    if made.size < 2 * STEP or made.size % STEP:
        raise UserError(f"size must be a multiple of {STEP} from {2 * STEP} on, got {made.size}")
    if made.scale_high < made.scale_low:
        raise UserError(f"scale_high {made.scale_high} is below scale_low {made.scale_low}")
    if 0 < made.patience < made.validate_every:
        raise UserError(
            f"patience {made.patience} is below validate_every {made.validate_every}: training would stop without "
            "another look; raise patience, or set it to 0"
        )
    if made.encoder_weights != "none" and made.width != 1:
        raise UserError(f"encoder_weights {made.encoder_weights!r} fit the full width alone: set width=1.0")
    least = 2 if made.supervised else 1  # several networks normalize a map of one pixel over the batch
    if made.batch_size < least:
        raise UserError(f"batch_size must be at least {least}, got {made.batch_size}")
    if not made.supervised and (made.optimizer, made.encoder_weights) != ("adam", "none"):
        raise UserError(
            f"{made.method} is trained by Adam, from no weights: leave optimizer and encoder_weights"
        )
