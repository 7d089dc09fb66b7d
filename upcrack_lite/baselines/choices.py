"""The values of the compared methods' presets, method x scale (`full`, `lite`), each with its why.

The paper gives one paragraph to all methods (section IV-B). What it leaves open, the kit chooses here, as `presets`
does for UP-CrackNet. The reason of a value begins with where it comes from: a section of the paper, "source" for
the program or article that the method's module names, "silent" where none of them says anything, "as UP-CrackNet"
for what the two kinds of unsupervised methods share, "lite" for a laptop's sake.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from upcrack_lite.errors import UserError
from upcrack_lite.recipes import PAPER

SUPERVISED = (
    *("deeplabv3plus", "enet", "pspnet", "upernet", "segresnet", "unet", "bisenetv2", "ddrnet", "lawin"),
    *("deepcrack19", "deepcrack18"),
)
"""Methods that learn from crack masks."""

UNSUPERVISED = ("scadn", "riad")
"""Methods that learn from undamaged road."""


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
    "scadn": (40, "lite: about ten minutes on two cores for 300 crops"),
    "riad": (25, "lite: about ten minutes on two cores for 300 crops; each step is three passes"),
}

METHODS: Mapping[str, Mapping[str, tuple[Any, str]]] = MappingProxyType(
    dict.fromkeys(SUPERVISED, LEARNS_MASKS) | {name: LEARNS_ROAD | OWN[name] for name in UNSUPERVISED}
)
SCALES = ("full", "lite")


def choices(name: str, scale: str) -> dict[str, tuple[Any, str]]:
    """Every field of a method's preset with its value and its why. Raises UserError for another method or scale."""
    if name not in METHODS:
        raise UserError(f"unknown method {name!r}; choose one of {', '.join(METHODS)}")
    if scale not in SCALES:
        raise UserError(f"unknown scale {scale!r}; choose one of {', '.join(SCALES)}")
    if scale == "full":
        return dict(METHODS[name])
    return {**METHODS[name], **LITE, "epochs": LITE_EPOCHS["supervised" if name in SUPERVISED else name]}
