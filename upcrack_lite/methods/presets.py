"""Every choice in training and testing a compared method: method x scale (`full`, `lite`), each value with its why.

The paper gives one paragraph to all methods (section IV-B). What it leaves open, the kit chooses here, as `presets`
does for UP-CrackNet. The reason of a value begins with where it comes from: a section of the paper, "source" for
the program or article that the method's module names, "silent" where none of them says anything, "as UP-CrackNet"
for what the two kinds of unsupervised methods share, "lite" for a laptop's sake.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, get_type_hints

from upcrack_lite.errors import UserError
from upcrack_lite.presets import LARGEST, PAPER, THRESHOLD_RANGES
from upcrack_lite.presets import VALUES as CRACKNET_VALUES

SUPERVISED = (
    *("deeplabv3plus", "enet", "pspnet", "upernet", "segresnet", "unet", "bisenetv2", "ddrnet", "lawin"),
    *("deepcrack19", "deepcrack18"),
)
"""Methods that learn from crack masks."""

UNSUPERVISED = ("scadn", "riad")
"""Methods that learn from undamaged road."""


@dataclass(frozen=True)
class MethodPreset:
    """All values of one way to train and test a compared method; made by `method_preset`, then never changed."""

    method: str
    scale: str
    # network
    size: int  # side of the square input, px
    width: float  # share of the network's channels, above 0 to 1
    encoder_weights: str  # "none", "imagenet" (the library's download), or a file
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
        _known(name)
        if name in ("method", "scale"):
            return "the name of the preset"
        value, reason = choices(self.method, self.scale)[name]
        return reason if getattr(self, name) == value else f"set by the user; the preset has {value!r}"

    def overrides(self) -> dict[str, Any]:
        """The fields that differ from the preset, sorted by name: they are part of a run's identity."""
        chosen = choices(self.method, self.scale)
        return {k: getattr(self, k) for k in sorted(chosen) if getattr(self, k) != chosen[k][0]}

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values that JSON can hold."""
        return dataclasses.asdict(self)


COMMON: dict[str, tuple[Any, str]] = {
    "size": (256, "section IV-B: images are resized to 256 x 256"),
    "width": (1.0, "source: the full width"),
    "encoder_weights": ("none", "silent: all methods start from nothing, so that architecture alone differs"),
    "flip": (True, "section IV-B: flipping; silent on the direction, so horizontal"),
    "bilateral_d": (25, "as UP-CrackNet, where the filter is used"),
    "bilateral_sigma_color": (150.0, "as UP-CrackNet, where the filter is used"),
    "bilateral_sigma_space": (15.0, "as UP-CrackNet, where the filter is used"),
    "threshold_floor": (0.0, "silent: no guard for crack-free photos; 0 switches it off"),
}

# All networks that learn from crack masks are trained alike.
LEARNS_MASKS: dict[str, tuple[Any, str]] = COMMON | {
    "scale_low": (
        1.0,
        "section IV-B: scaling; silent on the range: never smaller, so that no border is invented",
    ),
    "scale_high": (
        1.5,
        "section IV-B: scaling and cropping; silent on the range: down to two thirds of a photo",
    ),
    "batch_size": (8, "silent: as UP-CrackNet"),
    "epochs": (200, "section IV-B"),
    "optimizer": ("sgd", "section IV-B: stochastic gradient descent"),
    "lr": (0.01, "section IV-B"),
    "momentum": (0.9, "section IV-B"),
    "weight_decay": (1e-4, "section IV-B"),
    "schedule": ("poly", "section IV-B: the poly strategy; after every step, down to 0 at the end"),
    "poly_power": (
        0.9,
        "section IV-B: poly; silent on the power, so that of DeepLab, where the name comes from",
    ),
    "step_at": (1.0, "not used by poly"),
    "validation_share": (
        0.0,
        "section IV-B speaks of a validation set and does not say which; the training sets have none, and a tenth "
        "fewer masks would weaken the methods that UP-CrackNet is compared with",
    ),
    "validate_every": (10, "silent: a picture and a checkpoint every tenth epoch, and at the end"),
    "patience": (
        0,
        "section IV-B stops early; poly is made to end at 0 in the last epoch, so that one is kept",
    ),
    "map_filter": ("none", "silent: the methods' own articles cut the probability as it is"),
    "threshold_rule": ("fixed", "silent: the more probable class"),
    "threshold_value": (0.5, "silent: the more probable class"),
}

# Both networks that restore undamaged road have an optimizer and a number of epochs of their own.
LEARNS_ROAD: dict[str, tuple[Any, str]] = COMMON | {
    "scale_low": (286 / 256, "as UP-CrackNet: enlarged to 286 px, cropped to 256"),
    "scale_high": (286 / 256, "as UP-CrackNet: enlarged to 286 px, cropped to 256"),
    "optimizer": ("adam", "source; the paper's SGD is for networks that learn masks"),
    "momentum": (0.0, "not used by Adam; its betas are those of the method's module"),
    "poly_power": (0.9, "not used without poly"),
    "validation_share": PAPER["validation_share"],
    "validate_every": PAPER["validate_every"],
    "patience": PAPER["patience"],
    "map_filter": ("bilateral", "silent: as UP-CrackNet, so that the maps alone differ"),
    "threshold_rule": ("otsu", "silent: as UP-CrackNet; the methods' own articles give no rule"),
    "threshold_value": (1.0, "not used by Otsu's rule"),
}

OWN: dict[str, dict[str, tuple[Any, str]]] = {
    "scadn": {
        "batch_size": (4, "source"),
        "epochs": (200, "source, and section IV-B"),
        "lr": (1e-4, "source: of the network that restores; the one that judges has a tenth"),
        "weight_decay": (0.0, "source"),
        "schedule": ("constant", "source: the rate stays"),
        "step_at": (1.0, "not used by a constant rate"),
    },
    "riad": {
        "batch_size": (4, "source"),
        "epochs": (300, "source; section IV-B has 200 for all, which would end before the rate falls"),
        "lr": (1e-4, "source"),
        "weight_decay": (1e-5, "source"),
        "schedule": ("step", "source: ten times less from epoch 250 of 300 on"),
        "step_at": (250 / 300, "source: epoch 250 of 300"),
    },
}

# What a laptop needs otherwise.
LITE: dict[str, tuple[Any, str]] = {
    "size": (128, "lite: a quarter of the pixels"),
    "width": (0.25, "lite: about a sixteenth of the arithmetic"),
}
LITE_EPOCHS: dict[str, tuple[Any, str]] = {
    "supervised": (
        60,
        "lite: as UP-CrackNet; five to ten minutes on two cores for 300 photos, half an hour for deepcrack18",
    ),
    "scadn": (60, "lite: as UP-CrackNet; about ten minutes on two cores for 300 crops"),
    "riad": (30, "lite: about ten minutes on two cores for 300 crops; each step is three passes"),
}

METHODS: Mapping[str, Mapping[str, tuple[Any, str]]] = MappingProxyType(
    dict.fromkeys(SUPERVISED, LEARNS_MASKS) | {name: LEARNS_ROAD | OWN[name] for name in UNSUPERVISED}
)
SCALES = ("full", "lite")

VALUES: dict[str, tuple[str, ...]] = {
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
        _known(field)
        if field in ("method", "scale"):
            raise UserError(f"{field} cannot be overridden: name it when the preset is made")
        values[field] = _typed(field, value)
    made = MethodPreset(method=name, scale=scale, **values)
    _check(made)
    return made


def from_dict(values: Mapping[str, Any]) -> MethodPreset:
    """Make the preset that `MethodPreset.to_dict` wrote. Raises UserError for missing or unknown fields."""
    missing = sorted(set(get_type_hints(MethodPreset)) - set(values))
    if missing:
        raise UserError(f"preset lacks {', '.join(missing)}: it was written by another version of the kit")
    rest = {k: v for k, v in values.items() if k not in ("method", "scale")}
    return method_preset(values["method"], values["scale"], **rest)


def choices(name: str, scale: str) -> dict[str, tuple[Any, str]]:
    """Every field of a method's preset with its value and its why. Raises UserError for another method or scale."""
    if name not in METHODS:
        raise UserError(f"unknown method {name!r}; choose one of {', '.join(METHODS)}")
    if scale not in SCALES:
        raise UserError(f"unknown scale {scale!r}; choose one of {', '.join(SCALES)}")
    if scale == "full":
        return dict(METHODS[name])
    return {**METHODS[name], **LITE, "epochs": LITE_EPOCHS["supervised" if name in SUPERVISED else name]}


def _known(name: str) -> None:
    known = get_type_hints(MethodPreset)
    if name not in known:
        raise UserError(f"unknown preset value {name!r}; choose one of {', '.join(sorted(known))}")


def _typed(name: str, value: Any) -> Any:
    """Check the type of one value; an int is welcome where a float is wanted."""
    wanted = get_type_hints(MethodPreset)[name]
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is wanted:
        return value
    raise UserError(f"{name} must be of type {wanted.__name__}, got {value!r} ({type(value).__name__})")


def _check(made: MethodPreset) -> None:
    for name, allowed in VALUES.items():
        if getattr(made, name) not in allowed:
            raise UserError(f"{name} is {getattr(made, name)!r}; choose one of {', '.join(allowed)}")
    for name in POSITIVE:
        if not 0 < getattr(made, name) < math.inf:  # written so that NaN fails too
            raise UserError(f"{name} must be above 0, got {getattr(made, name)}")
    for name, (low, high) in (RANGES | {"threshold_value": THRESHOLD_RANGES[made.threshold_rule]}).items():
        if not low <= getattr(made, name) <= high:
            span = f"at least {low}" if high == LARGEST else f"from {low} to {high}"
            raise UserError(f"{name} must be {span}, got {getattr(made, name)}")
    for name in ("momentum", "validation_share"):
        if getattr(made, name) == 1:
            raise UserError(f"{name} must be below 1")
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
