"""What the paper says, what its released program does, what the kit does: made from the recipes. Chapter: ledger.

A value is listed when paper and program differ, when the paper is silent about it (wholly or in part), or when the
`lite` scale changes it. The reasons are those that the recipes carry, so that this list cannot drift from them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    "hole_fill": "value of a removed pixel, -1 (black) to 1",
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


@dataclass(frozen=True)
class Entry:
    """One value of the recipes in three readings.

    Attributes:
        name: its name in the recipes; plain: in words.
        paper: what the paper says, None where it is silent.
        released: what the released program does, None where the recipes name nothing of its own.
        kit: what the kit takes for its recipe `paper` at full scale; lite: at lite scale, None where it is the
            same.
        kinds: "differs" (paper and program), "silent" (the paper, wholly or in part), "lite".
        reasons: of the values "kit", "released" and "lite", as far as there are any.
    """

    name: str
    plain: str
    paper: Any
    released: Any
    kit: Any
    lite: Any
    kinds: tuple[str, ...]
    reasons: Mapping[str, str]

    def row(self, sides: Sequence[str] = ("kit", "released", "lite")) -> dict[str, str]:
        """The entry as text for a page; sides: whose reasons are given."""
        # A reason that says "released" alone repeats the column.
        why = [self.reasons[side].replace("`", "") for side in sides if side in self.reasons]
        silent = "as the paper" if self.paper is not None else NOT_KNOWN
        return {
            "value": self.plain,
            "name": self.name,
            "paper": NOT_SAID if self.paper is None else shown(self.paper),
            "released program": silent if self.released is None else shown(self.released),
            "kit, recipe paper": shown(self.kit),
            "kit, lite scale": "the same" if self.lite is None else shown(self.lite),
            "why": "; ".join(one for one in why if one != "released"),
        }


def ledger() -> list[Entry]:
    """List all values that are not simply what the paper says, in the recipes' order."""
    entries = [
        _entry(field.name) for field in dataclasses.fields(Preset) if field.name not in ("recipe", "scale")
    ]
    return [entry for entry in entries if entry.kinds]


def shown(value: Any) -> str:
    """A value as a reader sees it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _entry(name: str) -> Entry:
    (value, why), released, lite = PAPER[name], RELEASED.get(name), LITE.get(name)
    kinds = {
        "differs": released and released[0] != value,
        "silent": "silent" in why,
        "lite": lite,
    }
    return Entry(
        name,
        PLAIN[name],
        None if why.startswith("silent") else value,
        released[0] if released else None,
        value,
        lite[0] if lite and lite[0] != value else None,
        tuple(kind for kind, holds in kinds.items() if holds),
        {side: one[1] for side, one in (("kit", PAPER[name]), ("released", released), ("lite", lite)) if one},
    )
