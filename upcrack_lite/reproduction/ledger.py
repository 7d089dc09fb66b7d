"""What the paper says, what its released program does, what the kit does: made from the recipes. Chapter: ledger.

A value is listed when paper and program differ, when the paper is silent about it (wholly or in part), or when the
`lite` scale changes it. The reasons are those that the recipes carry, so that this list cannot drift from them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from upcrack_lite.recipes import LITE, PAPER, RELEASED, Preset

NOT_SAID = "says nothing"
NOT_KNOWN = "not known to us; the kit takes its own"

PLAIN = {
    "size": "side of the square input, px",
    "width": "channels of the generator's first level",
    "depth": "levels of the generator",
    "disc_width": "channels of the discriminator's first layer",
    "dropout": "part of the values that dropout removes",
    "mask_family": "family of masks",
    "mask_cells": "sides of the removed squares, px",
    "hole_fill": "value of a removed pixel, -1 (black) to 1, or mean, or random",
    "load_size": "side before the random crop, px",
    "flip": "random horizontal flip",
    "mask_before_resize": "photo is masked before it is enlarged and cropped",
    "lambda_mae": "weight of MAE",
    "lambda_ssim": "weight of SSIM",
    "lambda_gms": "weight of MSGMS",
    "lambda_style": "weight of the style loss",
    "lambda_res": "weight of all restoration losses",
    "lambda_adv": "weight of the adversarial loss",
    "ssim_data_range": "range of values that SSIM's constants assume",
    "ssim_padding": "what SSIM sees beyond the border",
    "gms_median": "median filter before MSGMS",
    "style_network": "network of the style loss",
    "style_normalize": "photo normalized before that network",
    "style_channels": "order of the colors that it gets",
    "disc_loss_factor": "factor of the discriminator's loss",
    "batch_size": "photos in a batch",
    "epochs": "most epochs",
    "lr_g": "learning rate of the generator",
    "lr_d": "learning rate of the discriminator",
    "lr_decay": "factor of both rates after each epoch",
    "beta1": "Adam's first decay rate",
    "beta2": "Adam's second decay rate",
    "validation_share": "part of the photos held out",
    "validate_every": "epochs between two validations",
    "patience": "epochs without improvement before the end (0: never)",
    "input_stretch": "test photo stretched to 0 to 255 first",
    "test_statistics": "statistics of batch normalization in the test",
    "test_dropout": "dropout in the test",
    "error_variant": "how the error map is made",
    "bilateral_d": "bilateral filter: diameter, px",
    "bilateral_sigma_color": "bilateral filter: spread in gray levels",
    "bilateral_sigma_space": "bilateral filter: spread in px",
    "threshold_rule": "rule of the threshold",
    "threshold_value": "number that the rule needs",
    "threshold_floor": "least error that counts as crack",
}
"""Each value of a recipe in plain words."""


def kinds(name: str) -> list[str]:
    """Why a value of the recipes is listed; empty: it is simply what the paper says.

    "differs": paper and program; "silent": the paper, wholly or in part; "lite": the scale changes it.
    """
    value, why = PAPER[name]
    holds = {
        "differs": RELEASED.get(name, (value,))[0] != value,
        "silent": "silent" in why,
        "lite": name in LITE,
    }
    return [kind for kind, listed in holds.items() if listed]


def rows(kind: str) -> list[dict[str, str]]:
    """The values of one kind as text for a page, in the recipes' order, with the reasons that the recipes carry."""
    names = [field.name for field in dataclasses.fields(Preset) if field.name in PAPER]
    return [_row(name, kind) for name in names if kind in kinds(name)]


def shown(value: Any) -> str:
    """A value as a reader sees it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _row(name: str, kind: str) -> dict[str, str]:
    value, why = PAPER[name]
    silent = why.startswith("silent")
    unknown = NOT_KNOWN if silent else "as the paper"
    sources = [LITE] if kind == "lite" else [PAPER, RELEASED]
    reasons = [source[name][1].replace("`", "") for source in sources if name in source]
    return {
        "value": PLAIN[name],
        "name": name,
        "paper": NOT_SAID if silent else shown(value),
        "released_program": shown(RELEASED[name][0]) if name in RELEASED else unknown,
        "kit": shown(value),
        "kit_lite": shown(LITE.get(name, (value,))[0]),
        # A reason that says "released" alone repeats the column.
        "why": "; ".join(reason for reason in reasons if reason != "released"),
    }
