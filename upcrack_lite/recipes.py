"""Every choice in one place: recipe (`paper`, `released`) x scale (`full`, `half`, `lite`), each value with its why.

Where the paper and the released program differ, the difference is a value here and not an `if` elsewhere.
The reason of a value begins with where it comes from: a section of the paper, "released" for the authors'
program, "silent" where the paper says nothing and the kit had to choose, "half" or "lite" for a laptop's sake.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, Self, get_args, get_type_hints

from upcrack_lite.errors import UserError

Table = dict[str, tuple[Any, str]]
"""Field to its value and its why."""

TABLE_SIZE = 256
"""Side, px, at which the tables' photos are smoothed and scored (section IV-B)."""


def value(default: Any, why: str, allowed: str | tuple[str, ...] = "") -> Any:
    """A field with its value, its why, and what else it may be: names, or an interval such as "(0, 1]"."""
    return dataclasses.field(default=default, metadata={"why": why, "allowed": allowed})


def declared(preset: type) -> Table:
    """What `value` says of the fields of a preset's class."""
    return {f.name: (f.default, f.metadata["why"]) for f in dataclasses.fields(preset) if f.metadata}


class Values:
    """What the presets of all methods share; a subclass is a frozen dataclass with a `table`."""

    NAMED_BY = ("method", "scale")  # the fields that name a preset
    BEFORE: Mapping[str, Any] = {}  # what a value was before there was a field for it, if not the table's

    @classmethod
    def table(cls, *names: str) -> Table:
        """Every other field with its value and its why. Raises UserError for names that are unknown."""
        raise NotImplementedError

    @classmethod
    def make(cls, *names: str, **overrides: Any) -> Self:
        """Make a preset by its names, with any field set otherwise by keyword; raises as `preset`."""
        values = {name: chosen for name, (chosen, _) in cls.table(*names).items()}
        for name, given in overrides.items():
            cls.known(name)
            if name in cls.NAMED_BY:
                raise UserError(f"{name} cannot be overridden: name it when the preset is made")
            values[name] = typed(cls, name, given)
        made = cls(*names, **values)
        made.check()
        return made

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make the preset that `to_dict` wrote; what an older file lacks is `BEFORE`'s, else the table's.

        Raises UserError where a name is missing, or for an unknown field.
        """
        for name in cls.NAMED_BY:
            if name not in values:
                raise UserError(f"preset lacks {name}: it is damaged, or was written by another program")
        rest = {name: stored for name, stored in values.items() if name not in cls.NAMED_BY}
        return cls.make(*(values[name] for name in cls.NAMED_BY), **{**cls.BEFORE, **rest})

    @classmethod
    def known(cls, name: str) -> None:
        """Raise UserError that lists the fields, if `name` is none of them."""
        check_value("preset value", name, tuple(sorted(field.name for field in dataclasses.fields(cls))))

    def why(self, name: str) -> str:
        """Where the value of a field comes from, in a sentence. Raises UserError for an unknown field."""
        self.known(name)
        if name in self.NAMED_BY:
            return "the name of the preset"
        chosen, reason = self._table()[name]
        return reason if getattr(self, name) == chosen else f"set by the user; the preset has {chosen!r}"

    def overrides(self) -> dict[str, Any]:
        """The fields that differ from the table, sorted by name, as in `to_dict`: part of a run's identity."""
        table, values = self._table(), self.to_dict()
        return {name: values[name] for name in sorted(table) if getattr(self, name) != table[name][0]}

    def older(self) -> dict[str, Any]:
        """What a file of these names means that lacks a field."""
        return self.from_dict({name: getattr(self, name) for name in self.NAMED_BY}).to_dict()

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values that JSON can hold (tuples become lists)."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    def check(self) -> None:
        """Raise UserError for a value that is not allowed; the rule says what `threshold_value` may be."""
        for field in dataclasses.fields(self):
            allowed = field.metadata.get("allowed")
            if field.name == "threshold_value":
                allowed = THRESHOLD_VALUES.get(self.threshold_rule)
            if field.name == "hole_fill" and isinstance(self.hole_fill, str):
                allowed = HOLE_FILLS
            given = getattr(self, field.name)
            for number in given if isinstance(given, tuple) else (given,):
                if isinstance(number, int | float) and abs(number) > MOST and field.name not in RATES:
                    raise UserError(f"{field.name} may be {MOST:,} at most, got {str(number)[:20]}")
            if allowed:
                check_value(field.name, given, allowed)
        if 0 < self.patience < self.validate_every:
            raise UserError(
                f"patience {self.patience} is below validate_every {self.validate_every}: training would stop "
                "without another look; raise patience, or set it to 0"
            )

    def _table(self) -> Table:
        return self.table(*(getattr(self, name) for name in self.NAMED_BY))


MOST = 1_000_000
"""No number of a preset may be larger: its time or memory would have no end."""

RATES = ("lr_g", "lr_d")
"""They cost nothing; what one beyond all reason does, the training itself says (chapter 13)."""

RULES = ("otsu", "otsu_factor", "fixed", "percentile")
HOLE_FILLS = ("mean", "random")
THRESHOLD_VALUES = {"otsu_factor": "[0, inf)", "fixed": "[0, 1]", "percentile": "[0, 100]"}


@dataclass(frozen=True)
class Preset(Values):
    """All values of one way to train and test UP-CrackNet; made by `preset`, never changed afterwards.

    The values here are what the paper says, and, where it is silent, what the kit chose, at full scale.
    """

    NAMED_BY = ("recipe", "scale")

    recipe: str
    scale: str
    # networks
    size: int = value(256, "section IV-B: images are resized to 256 x 256")  # side of the square input, px
    width: int = value(64, "section IV-B refers to Pix2Pix, whose U-Net has width 64", "(0, inf)")
    depth: int = value(8, "Pix2Pix: eight levels take 256 px down to one pixel")  # size = 2**depth
    disc_width: int = value(64, "Pix2Pix: the 70 x 70 PatchGAN has width 64", "(0, inf)")
    # share of values dropped in three decoder levels
    dropout: float = value(0.5, "section III-C: dropout deactivates half of the units", "[0, 1]")
    # masks and augmentation
    mask_family: str = value(
        "multi_scale_square",
        "section III-B and Table II",
        ("multi_scale_square", "striped", "jumbled"),
    )
    # cell sides of the multi-scale squares, px; the other families have their own
    mask_cells: tuple[int, ...] = value((128, 64, 32), "section IV-B: k is 128, 64 and 32")
    # value of a removed pixel: -1 (black) to 1 (white), or "mean" or "random", see `masks.apply`
    hole_fill: float | str = value(
        -1.0, "section III-B: the product with 0 makes a removed pixel black", "[-1, 1]"
    )
    # side before the random crop to `size`, px
    load_size: int = value(286, "section IV-B: scaling and cropping; silent on the size, so Pix2Pix's 286")
    flip: bool = value(True, "section IV-B: flipping; silent on the direction, so horizontal")
    mask_before_resize: bool = value(
        False, "silent: the grid stays sharp and in place when the mask comes last"
    )
    # losses
    lambda_mae: float = value(1.0, "section IV-B", "[0, inf)")
    lambda_ssim: float = value(1.0, "section IV-B", "[0, inf)")
    lambda_gms: float = value(1.0, "section IV-B", "[0, inf)")
    lambda_style: float = value(10.0, "section IV-B", "[0, inf)")
    lambda_res: float = value(100.0, "section IV-B", "[0, inf)")
    lambda_adv: float = value(1.0, "section IV-B", "[0, inf)")
    ssim_data_range: float = value(2.0, "Eq. 4 with its definition: images in [-1, 1] span 2", "(0, inf)")
    ssim_padding: str = value("reflect", "silent: reflection adds no dark frame", ("reflect", "zero"))
    gms_median: bool = value(False, "Eq. 5 has no median filter")
    style_network: str = value("vgg19", "silent on the network: as released", ("vgg19", "vgg16"))
    # ImageNet mean and standard deviation before VGG
    style_normalize: bool = value(True, "silent: the normalization that VGG was trained with")
    style_channels: str = value("rgb", "silent: the order that VGG was trained with", ("rgb", "bgr"))
    disc_loss_factor: float = value(1.0, "Eq. 8 has no factor", "(0, inf)")
    # training
    batch_size: int = value(8, "silent: as released", "(0, inf)")
    epochs: int = value(200, "section IV-B", "(0, inf)")
    lr_g: float = value(1e-4, "section IV-B", "(0, inf)")
    lr_d: float = value(4e-4, "section IV-B", "(0, inf)")
    # factor per epoch
    lr_decay: float = value(
        0.99, "section IV-B: exponential decay; silent on the rate, so as released", "(0, 1]"
    )
    beta1: float = value(0.5, "section IV-B", "[0, 1)")
    beta2: float = value(0.999, "section IV-B", "[0, 1)")
    validation_share: float = value(
        0.1,
        "silent: a tenth of the undamaged crops, split by photo, restored in batches and not one by one",
        "[0, 1)",
    )
    # epochs
    validate_every: int = value(
        1, "silent: every epoch, so that 20 epochs of patience mean 20 looks", "(0, inf)"
    )
    # epochs without improvement before stopping; 0 never stops early
    patience: int = value(20, "section IV-B: stop after 20 epochs without improvement", "[0, inf)")
    # detection: from here on, all can be changed after training
    input_stretch: bool = value(False, "silent: the photo as it is")
    test_statistics: str = value(
        "batch", "silent: as released, G stays in training mode at test time", ("batch", "running")
    )
    test_dropout: bool = value(True, "silent: as released; the kit seeds it")
    error_variant: str = value(
        "absolute",
        "Eq. 1: the absolute difference, here the mean over the channels",
        ("absolute", "gray", "signed", "released"),
    )
    bilateral_d: int = value(25, "silent: as released", "[1, 99]")  # px
    # gray levels of one channel, 0-255
    bilateral_sigma_color: float = value(
        150.0, "silent: as released, where 450 on three equal channels is 150 on one", "(0, inf)"
    )
    bilateral_sigma_space: float = value(15.0, "silent: as released", "(0, inf)")  # px
    threshold_rule: str = value("otsu", "Eq. 1: Otsu's threshold", RULES)
    # what the rule needs: a factor, a level in [0, 1] or a percentile in [0, 100]
    threshold_value: float = value(1.0, "not used by Otsu's rule")
    # a guard: no pixel whose smoothed error is below it counts as crack
    threshold_floor: float = value(0.0, "silent: no guard for crack-free photos; 0 switches it off", "[0, 1]")

    @classmethod
    def table(cls, *names: str) -> Table:
        """Every field but recipe and scale. Raises UserError for an unknown recipe or scale."""
        recipe, scale = names
        check_value("recipe", recipe, tuple(RECIPES))
        check_value("scale", scale, tuple(SCALES))
        return RECIPES[recipe] | SCALES[scale]

    def check(self) -> None:
        """Raise UserError for the first value that is not allowed, or values that do not fit together."""
        super().check()
        if self.depth > 12:
            raise UserError(
                f"depth {self.depth} is too large: photos of {2**12} px are the largest that are taken"
            )
        if self.size != 2**self.depth:
            raise UserError(
                f"size {self.size} and depth {self.depth} do not fit: size must be 2**depth = {2**self.depth}"
            )
        if self.depth < 5:
            raise UserError(f"depth {self.depth} is too small: D takes images from 32 px, so from depth 5")
        if self.load_size < self.size:
            raise UserError(f"load_size {self.load_size} is below size {self.size}: nothing is left to crop")
        restoring = self.lambda_res and any(
            (self.lambda_mae, self.lambda_ssim, self.lambda_gms, self.lambda_style)
        )
        if not restoring and not self.lambda_adv:
            raise UserError("every lambda is 0: nothing is left to train on; set lambda_mae and lambda_res")
        if not restoring and self.validation_share:
            raise UserError(
                "without a restoration loss no epoch is better than another: set validation_share=0"
            )
        if self.mask_family == "multi_scale_square":
            if not self.mask_cells:
                raise UserError("mask_cells is empty: name at least one cell size")
            if any(cell < 1 or self.size % (2 * cell) for cell in self.mask_cells):
                raise UserError(f"mask_cells {self.mask_cells} do not tile {self.size} px in equal halves")


PAPER = declared(Preset)

# What the authors' program does otherwise.
RELEASED: Table = {
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
LITE: Table = {
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

# What a patient laptop needs otherwise: the paper's photos, losses and epochs, a quarter of the arithmetic.
HALF: Table = {
    "width": (32, "half: half the channels, a quarter of the arithmetic"),
    "disc_width": (32, "half: in step with G"),
}

RECIPES = {"paper": PAPER, "released": PAPER | RELEASED}
SCALES: dict[str, Table] = {"full": {}, "half": HALF, "lite": LITE}
VALUES = {field.name: field.metadata["allowed"] for field in dataclasses.fields(Preset) if field.metadata}
"""What each value may be: names, or an interval."""

DETECTION = tuple(PAPER)[tuple(PAPER).index("input_stretch") :]
"""What can be changed after training: everything from the photo to the crack mask."""

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true")
"""Number formats to train in, as Lightning Fabric names them. The kit was tried with the first two."""


def preset(recipe: str = "paper", scale: str = "lite", **overrides: Any) -> Preset:
    """Make a preset by name, with any field set otherwise by keyword.

    Raises UserError for an unknown recipe, scale or field (it lists the known ones), a value of the wrong
    type, or values that do not fit together, before any long work starts.
    """
    return Preset.make(recipe, scale, **overrides)


def from_dict(values: Mapping[str, Any]) -> Preset:
    """Make the preset that `Preset.to_dict` wrote; see `Values.from_dict`."""
    return Preset.from_dict(values)


@cache
def _types(kind: type) -> dict[str, Any]:
    """The types of a class's fields; looking them up takes longer than using them."""
    return get_type_hints(kind)


def typed(kind: type, name: str, given: Any) -> Any:
    """Check the type of one value; an int is welcome where a float is wanted, and a list for a tuple."""
    wanted = _types(kind)[name]
    kinds = get_args(wanted) if isinstance(wanted, UnionType) else (wanted,)
    if type(given) in kinds:
        return given
    if float in kinds and type(given) is int:
        return float(given)
    entries = {tuple[int, ...]: (int,), tuple[float, ...]: (int, float)}.get(wanted)
    if entries and isinstance(given, list | tuple) and all(type(entry) in entries for entry in given):
        return tuple(entries[-1](entry) for entry in given)
    name_of = getattr(wanted, "__name__", str(wanted))
    raise UserError(f"{name} must be of type {name_of}, got {given!r} ({type(given).__name__})")


def check_value(name: str, given: Any, allowed: str | tuple[str, ...]) -> None:
    """Raise UserError unless a value is one of the names, or in the interval, that are allowed."""
    if isinstance(allowed, tuple):
        if given not in allowed:
            raise UserError(f"unknown {name} {given!r}; choose one of {', '.join(allowed)}")
        return
    low, high = (float(end) for end in allowed[1:-1].split(","))
    above = low <= given if allowed[0] == "[" else low < given
    below = given <= high if allowed[-1] == "]" else given < high
    if not (above and below and math.isfinite(given)):
        raise UserError(f"{name} must be in {allowed}, got {given}")
