"""Every choice in one place: recipe (`paper`, `released`) x scale (`full`, `lite`), each value with its why.

Where the paper and the released program differ, the difference is a value here and not an `if` elsewhere.
The reason of a value begins with where it comes from: a section of the paper, "released" for the authors'
program, "silent" where the paper says nothing and the kit had to choose, "lite" for a laptop's sake.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from upcrack_lite.errors import UserError


@dataclass(frozen=True)
class Preset:
    """All values of one way to train and test UP-CrackNet; made by `preset`, never changed afterwards."""

    recipe: str
    scale: str
    # networks
    size: int  # side of the square input, px
    width: int  # channels of G's first level
    depth: int  # levels of G; size = 2**depth
    disc_width: int  # channels of D's first layer
    dropout: float  # share of values dropped in three decoder levels
    # masks and augmentation
    mask_family: str
    mask_cells: tuple[
        int, ...
    ]  # cell sides of the multi-scale squares, px; the other families have their own
    hole_fill: float  # value of a removed pixel, -1 (black) to 1 (white)
    load_size: int  # side before the random crop to `size`, px
    flip: bool  # random horizontal flip
    mask_before_resize: bool  # mask first, then enlarge and crop
    # losses
    lambda_mae: float
    lambda_ssim: float
    lambda_gms: float
    lambda_style: float
    lambda_res: float
    lambda_adv: float
    ssim_data_range: float
    ssim_padding: str
    gms_median: bool
    style_network: str
    style_normalize: bool  # ImageNet mean and standard deviation before VGG
    style_channels: str
    disc_loss_factor: float
    # training
    batch_size: int
    epochs: int
    lr_g: float
    lr_d: float
    lr_decay: float  # factor per epoch
    beta1: float
    beta2: float
    validation_share: float  # share of photos held out
    validate_every: int  # epochs
    patience: int  # epochs without improvement before stopping; 0 never stops early
    # detection
    input_stretch: bool  # stretch each test photo to 0-255 before G
    test_statistics: str
    test_dropout: bool
    error_variant: str
    bilateral_d: int  # px
    bilateral_sigma_color: float  # gray levels of one channel, 0-255
    bilateral_sigma_space: float  # px
    threshold_rule: str
    threshold_value: float  # what the rule needs: a factor, a level in [0, 1] or a percentile in [0, 100]
    threshold_floor: float  # a guard: no pixel whose smoothed error is below it counts as crack

    def why(self, name: str) -> str:
        """Where the value of a field comes from, in a sentence. Raises UserError for an unknown field."""
        known(Preset, name)
        if name in ("recipe", "scale"):
            return "the name of the preset"
        chosen = _choices(self.recipe, self.scale)[name]
        value = getattr(self, name)
        if value != chosen[0]:
            return f"set by the user; the preset has {chosen[0]!r}"
        return chosen[1]

    def overrides(self) -> dict[str, Any]:
        """The fields that differ from the preset, sorted by name: they are part of a run's identity.

        Plain values that JSON can hold, as in `to_dict`.
        """
        chosen, values = _choices(self.recipe, self.scale), self.to_dict()
        return {k: values[k] for k in sorted(chosen) if getattr(self, k) != chosen[k][0]}

    def older(self) -> dict[str, Any]:
        """What a file of this recipe and scale means that lacks a field."""
        return from_dict({"recipe": self.recipe, "scale": self.scale}).to_dict()

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values that JSON can hold (tuples become lists)."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


# What the paper says, and, where it is silent, what the kit chose. Full scale.
PAPER: dict[str, tuple[Any, str]] = {
    "size": (256, "section IV-B: images are resized to 256 x 256"),
    "width": (64, "section IV-B refers to Pix2Pix, whose U-Net has width 64"),
    "depth": (8, "Pix2Pix: eight levels take 256 px down to one pixel"),
    "disc_width": (64, "Pix2Pix: the 70 x 70 PatchGAN has width 64"),
    "dropout": (0.5, "section III-C: dropout deactivates half of the units"),
    "mask_family": ("multi_scale_square", "section III-B and Table II"),
    "mask_cells": ((128, 64, 32), "section IV-B: k is 128, 64 and 32"),
    "hole_fill": (-1.0, "section III-B: the product with 0 makes a removed pixel black"),
    "load_size": (286, "section IV-B: scaling and cropping; silent on the size, so Pix2Pix's 286"),
    "flip": (True, "section IV-B: flipping; silent on the direction, so horizontal"),
    "mask_before_resize": (False, "silent: the grid stays sharp and in place when the mask comes last"),
    "lambda_mae": (1.0, "section IV-B"),
    "lambda_ssim": (1.0, "section IV-B"),
    "lambda_gms": (1.0, "section IV-B"),
    "lambda_style": (10.0, "section IV-B"),
    "lambda_res": (100.0, "section IV-B"),
    "lambda_adv": (1.0, "section IV-B"),
    "ssim_data_range": (2.0, "Eq. 4 with its definition: images in [-1, 1] span 2"),
    "ssim_padding": ("reflect", "silent: reflection adds no dark frame"),
    "gms_median": (False, "Eq. 5 has no median filter"),
    "style_network": ("vgg19", "silent on the network: as released"),
    "style_normalize": (True, "silent: the normalization that VGG was trained with"),
    "style_channels": ("rgb", "silent: the order that VGG was trained with"),
    "disc_loss_factor": (1.0, "Eq. 8 has no factor"),
    "batch_size": (8, "silent: as released"),
    "epochs": (200, "section IV-B"),
    "lr_g": (1e-4, "section IV-B"),
    "lr_d": (4e-4, "section IV-B"),
    "lr_decay": (0.99, "section IV-B: exponential decay; silent on the rate, so as released"),
    "beta1": (0.5, "section IV-B"),
    "beta2": (0.999, "section IV-B"),
    "validation_share": (0.1, "silent: a tenth of the undamaged crops, split by photo"),
    "validate_every": (1, "silent: every epoch, so that 20 epochs of patience mean 20 looks"),
    "patience": (20, "section IV-B: stop after 20 epochs without improvement"),
    "input_stretch": (False, "silent: the photo as it is"),
    "test_statistics": ("batch", "silent: as released, G stays in training mode at test time"),
    "test_dropout": (True, "silent: as released; the kit seeds it"),
    "error_variant": ("absolute", "Eq. 1: the absolute difference, here the mean over the channels"),
    "bilateral_d": (25, "silent: as released"),
    "bilateral_sigma_color": (150.0, "silent: as released, where 450 on three equal channels is 150 on one"),
    "bilateral_sigma_space": (15.0, "silent: as released"),
    "threshold_rule": ("otsu", "Eq. 1: Otsu's threshold"),
    "threshold_value": (1.0, "not used by Otsu's rule"),
    "threshold_floor": (0.0, "silent: no guard for crack-free photos; 0 switches it off"),
}

# What the authors' program does otherwise.
RELEASED: dict[str, tuple[Any, str]] = {
    "mask_before_resize": (
        True,
        "released: the mask is multiplied in before resize and crop, so its grid shifts",
    ),
    "ssim_data_range": (1.0, "released: constants for a range of 1 on images that span 2"),
    "ssim_padding": ("zero", "released: zero padding at the borders"),
    "gms_median": (True, "released: a 3 x 3 median filter before the gradient, following RIAD"),
    "style_network": ("vgg19", "released: VGG-19, relu2_2, relu3_4, relu4_4, relu5_2"),
    "style_normalize": (False, "released: images in [-1, 1] go into VGG as they are"),
    "style_channels": ("bgr", "released: OpenCV reads BGR and nothing turns it round"),
    "disc_loss_factor": (0.5, "released: D's loss is halved"),
    "batch_size": (8, "released"),
    "epochs": (300, "released: 300, the paper says 200"),
    "lr_g": (1e-3, "released: ten times the paper's"),
    "lr_d": (4e-3, "released: ten times the paper's"),
    "lr_decay": (0.99, "released"),
    "validate_every": (10, "released: the best of every tenth epoch is kept"),
    "patience": (0, "released: it runs to the end"),
    "input_stretch": (True, "released: each test photo is stretched to 0-255 by its own minimum and maximum"),
    "test_statistics": ("batch", "released: G stays in training mode with one image at a time"),
    "test_dropout": (True, "released: G stays in training mode"),
    "error_variant": ("released", "released: gray, each image stretched by its own minimum and maximum"),
    "bilateral_d": (25, "released"),
    "bilateral_sigma_color": (150.0, "released: 450 on three equal channels, bit-identical to 150 on one"),
    "bilateral_sigma_space": (15.0, "released"),
}

# What a laptop needs otherwise, for either recipe.
LITE: dict[str, tuple[Any, str]] = {
    "size": (128, "lite: a quarter of the pixels"),
    "width": (16, "lite: a sixteenth of the arithmetic"),
    "depth": (7, "lite: seven levels take 128 px down to one pixel"),
    "disc_width": (16, "lite: in step with G"),
    "mask_cells": ((64, 32, 16), "lite: the same grids at half the size"),
    "load_size": (143, "lite: 286 at half the size"),
    "lambda_style": (
        0.0,
        "lite: VGG would take most of the time and needs weights; `lambda_style=10` adds it",
    ),
    "epochs": (60, "lite: about five minutes on two cores for 300 crops"),
}

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true")
"""Number formats to train in, as Lightning Fabric names them. The kit was tried with the first two."""

RECIPES = {"paper": PAPER, "released": PAPER | RELEASED}
SCALES: dict[str, dict[str, tuple[Any, str]]] = {"full": {}, "lite": LITE}

VALUES: dict[str, tuple[str, ...]] = {
    "mask_family": ("multi_scale_square", "striped", "jumbled"),
    "ssim_padding": ("reflect", "zero"),
    "style_network": ("vgg19", "vgg16"),
    "style_channels": ("rgb", "bgr"),
    "test_statistics": ("batch", "running"),
    "error_variant": ("absolute", "gray", "signed", "released"),
    "threshold_rule": ("otsu", "otsu_factor", "fixed", "percentile"),
}

# Limits of single values, both ends included; what is listed as positive must be above 0.
POSITIVE = (
    *("width", "disc_width", "batch_size", "epochs", "validate_every", "lr_g", "lr_d", "lr_decay"),
    *("ssim_data_range", "disc_loss_factor", "bilateral_sigma_color", "bilateral_sigma_space"),
)
LARGEST = sys.float_info.max  # a weight may be any finite number
# What can be changed after training: everything from the photo to the crack mask.
DETECTION = (
    "input_stretch",
    "test_statistics",
    "test_dropout",
    "error_variant",
    "bilateral_d",
    "bilateral_sigma_color",
    "bilateral_sigma_space",
    "threshold_rule",
    "threshold_value",
    "threshold_floor",
)

RANGES: dict[str, tuple[float, float]] = {
    "dropout": (0, 1),
    "hole_fill": (-1, 1),
    "validation_share": (0, 1),
    "beta1": (0, 1),
    "beta2": (0, 1),
    "patience": (0, LARGEST),
    "bilateral_d": (1, LARGEST),
    "threshold_floor": (0, 1),
    **{f"lambda_{term}": (0, LARGEST) for term in ("mae", "ssim", "gms", "style", "res", "adv")},
}
THRESHOLD_RANGES: dict[str, tuple[float, float]] = {
    "otsu": (-LARGEST, LARGEST),
    "otsu_factor": (0, LARGEST),
    "fixed": (0, 1),
    "percentile": (0, 100),
}


def preset(recipe: str = "paper", scale: str = "lite", **overrides: Any) -> Preset:
    """Make a preset by name, with any field set otherwise by keyword.

    Raises UserError for an unknown recipe, scale or field (it lists the known ones), a value of the wrong
    type, or values that do not fit together, before any long work starts.
    """
    if recipe not in RECIPES:
        raise UserError(f"unknown recipe {recipe!r}; choose one of {', '.join(RECIPES)}")
    if scale not in SCALES:
        raise UserError(f"unknown scale {scale!r}; choose one of {', '.join(SCALES)}")
    values = {name: value for name, (value, _) in _choices(recipe, scale).items()}
    for name, value in overrides.items():
        known(Preset, name)
        if name in ("recipe", "scale"):
            raise UserError(f"{name} cannot be overridden: name it when the preset is made")
        values[name] = typed(Preset, name, value)
    made = Preset(recipe=recipe, scale=scale, **values)
    _check(made)
    return made


BEFORE: dict[str, Any] = {}
"""What a value was before there was a field for it, where that is not what the recipe has now."""


def from_dict(values: dict[str, Any]) -> Preset:
    """Make the preset that `Preset.to_dict` wrote.

    A value that an older file lacks is the one that the kit had then: `BEFORE`'s, else the recipe's.
    Raises UserError where recipe or scale is missing, or for an unknown field.
    """
    rest = as_written(values, ("recipe", "scale"))
    return preset(values["recipe"], values["scale"], **{**BEFORE, **rest})


def as_written(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The values of a preset without those that name it. Raises UserError where one of these is missing."""
    for name in names:
        if name not in values:
            raise UserError(f"preset lacks {name}: it is damaged, or was written by another program")
    return {key: value for key, value in values.items() if key not in names}


@cache
def hints(kind: type) -> dict[str, Any]:
    """The types of a class's fields; looking them up takes longer than using them."""
    return get_type_hints(kind)


def _choices(recipe: str, scale: str) -> dict[str, tuple[Any, str]]:
    return RECIPES[recipe] | SCALES[scale]


def check_precision(name: str) -> str:
    """Return a name in `PRECISIONS`; raises UserError for another."""
    if name not in PRECISIONS:
        raise UserError(f"unknown precision {name!r}; choose one of {', '.join(PRECISIONS)}")
    return name


def parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """Turn NAME=VALUE words into preset values; VALUE is JSON, or plain text where it is none.

    Raises UserError for a word without "=" or a name given twice.
    """
    values: dict[str, Any] = {}
    for word in settings or []:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise UserError(f"--set takes NAME=VALUE, got {word!r}")
        if name in values:
            raise UserError(f"--set {name} is given twice")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def read_settings(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings. Raises UserError when it is missing or holds no names and values."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as settings: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise UserError(f"{path} holds no settings: it needs lines such as `bilateral_d: 5`")
    return values


def known(kind: type, name: str) -> None:
    """Raise UserError that lists the fields of a kind of preset, if `name` is none of them."""
    fields = hints(kind)
    if name not in fields:
        raise UserError(f"unknown preset value {name!r}; choose one of {', '.join(sorted(fields))}")


def typed(kind: type, name: str, value: Any) -> Any:
    """Check the type of one value; an int is welcome where a float is wanted, and a list for a tuple."""
    wanted = hints(kind)[name]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted == tuple[int, ...] and isinstance(value, list | tuple) and all(type(v) is int for v in value):
        return tuple(value)
    if wanted == tuple[float, ...] and isinstance(value, list | tuple) and all(_is_number(v) for v in value):
        return tuple(float(v) for v in value)
    if wanted in (int, float, bool, str) and type(value) is wanted:
        return value
    kind = getattr(wanted, "__name__", str(wanted))
    raise UserError(f"{name} must be of type {kind}, got {value!r} ({type(value).__name__})")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def check_values(
    made: Any,
    allowed: Mapping[str, tuple[str, ...]],
    positive: Iterable[str],
    ranges: Mapping[str, tuple[float, float]],
    below_one: Iterable[str],
) -> None:
    """Raise UserError for the first value of a preset that is not allowed, not positive, or out of its range.

    The range of `threshold_value` is that of the preset's rule.
    """
    for name, names in allowed.items():
        if getattr(made, name) not in names:
            raise UserError(f"{name} is {getattr(made, name)!r}; choose one of {', '.join(names)}")
    for name in positive:
        if not 0 < getattr(made, name) < math.inf:  # written so that NaN fails too
            raise UserError(f"{name} must be above 0, got {getattr(made, name)}")
    for name, (low, high) in {**ranges, "threshold_value": THRESHOLD_RANGES[made.threshold_rule]}.items():
        if not low <= getattr(made, name) <= high:
            span = f"at least {low}" if high == LARGEST else f"from {low} to {high}"
            raise UserError(f"{name} must be {span}, got {getattr(made, name)}")
    for name in below_one:
        if getattr(made, name) == 1:
            raise UserError(f"{name} must be below 1")


def _check(made: Preset) -> None:
    check_values(made, VALUES, POSITIVE, RANGES, ("validation_share", "beta1", "beta2"))
    _check_together(made)


def _check_together(made: Preset) -> None:
    if made.size != 2**made.depth:
        raise UserError(
            f"size {made.size} and depth {made.depth} do not fit: size must be 2**depth = {2**made.depth}"
        )
    if made.depth < 5:
        raise UserError(f"depth {made.depth} is too small: D judges images from 32 px, so from depth 5")
    if made.load_size < made.size:
        raise UserError(f"load_size {made.load_size} is below size {made.size}: nothing is left to crop")
    if 0 < made.patience < made.validate_every:
        raise UserError(
            f"patience {made.patience} is below validate_every {made.validate_every}: training would stop "
            "without another look; raise patience, or set it to 0"
        )
    restoring = made.lambda_res and any(
        (made.lambda_mae, made.lambda_ssim, made.lambda_gms, made.lambda_style)
    )
    if not restoring and not made.lambda_adv:
        raise UserError("every lambda is 0: nothing is left to train on; set lambda_mae and lambda_res")
    if made.mask_family == "multi_scale_square":
        if not made.mask_cells:
            raise UserError("mask_cells is empty: name at least one cell size")
        if any(cell < 1 or made.size % (2 * cell) for cell in made.mask_cells):
            raise UserError(f"mask_cells {made.mask_cells} do not tile {made.size} px in equal halves")
