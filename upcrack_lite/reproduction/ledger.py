"""What the paper says, what its released program does, what the kit does: made from the presets. Chapter: ledger.

A value is listed when paper and program differ, when the paper is silent about it (wholly or in part), or when the
`lite` scale changes it. The reasons are those that the presets carry, so that this list cannot drift from them.
"""

from __future__ import annotations

import dataclasses
import re
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
    "dropout": "share of values that dropout removes",
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
    "validation_share": "share of the photos held out",
    "validate_every": "epochs between two looks at them",
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
"""Each value of a preset in plain words."""

_SECTION = re.compile(r"[Ss]ection [IVX]+(?:-[A-Z])?|Eq\. \d+|Table [IVX]+|Pix2Pix")


@dataclass(frozen=True)
class Entry:
    """One value of the presets in three readings.

    Attributes:
        name: its name in the presets; plain: in words.
        paper: what the paper says, None where it is silent.
        released: what the released program does, None where the presets name nothing of its own.
        kit: what the kit takes for its recipe `paper` at full scale; lite: at lite scale, None where it is the
            same.
        kinds: "differs" (paper and program), "silent" (the paper, wholly or in part), "lite".
        where: sections, equations and tables of the paper that the reasons name.
        reasons: of the values "kit", "released" and "lite", as far as there are any.
    """

    name: str
    plain: str
    paper: Any
    released: Any
    kit: Any
    lite: Any
    kinds: tuple[str, ...]
    where: str
    reasons: Mapping[str, str]


def ledger() -> list[Entry]:
    """List all values that are not simply what the paper says, in the presets' order."""
    entries = [
        _entry(field.name) for field in dataclasses.fields(Preset) if field.name not in ("recipe", "scale")
    ]
    return [entry for entry in entries if entry.kinds]


def rows(
    entries: list[Entry] | None = None, sides: Sequence[str] = ("kit", "released", "lite")
) -> list[dict[str, str]]:
    """The ledger as text for a page: value, paper, released program, kit, lite, where, why.

    entries: None takes all. sides: whose reasons are given.
    """
    return [
        {
            "value": entry.plain,
            "name": entry.name,
            "paper": NOT_SAID if entry.paper is None else shown(entry.paper),
            "released program": _released(entry),
            "kit, recipe paper": shown(entry.kit),
            "kit, lite scale": "the same" if entry.lite is None else shown(entry.lite),
            "where": entry.where,
            # A reason that says "released" alone repeats the column.
            "why": "; ".join(
                why.replace("`", "")
                for side, why in entry.reasons.items()
                if side in sides and why != "released"
            ),
        }
        for entry in (ledger() if entries is None else entries)
    ]


def shown(value: Any) -> str:
    """A value as a reader sees it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _entry(name: str) -> Entry:
    (value, why), released, lite = PAPER[name], RELEASED.get(name), LITE.get(name)
    said = None if why.startswith("silent") else value
    kinds = []
    if released and released[0] != value:
        kinds.append("differs")
    if "silent" in why:
        kinds.append("silent")
    if lite:
        kinds.append("lite")
    reasons = {"kit": why}
    reasons |= {side: one[1] for side, one in (("released", released), ("lite", lite)) if one}
    found = dict.fromkeys(_SECTION.findall(why))
    return Entry(
        name,
        PLAIN[name],
        said,
        released[0] if released else None,
        value,
        lite[0] if lite and lite[0] != value else None,
        tuple(kinds),
        ", ".join(one[0].upper() + one[1:] for one in found),
        reasons,
    )


def _released(entry: Entry) -> str:
    if entry.released is not None:
        return shown(entry.released)
    return "as the paper" if entry.paper is not None else NOT_KNOWN
