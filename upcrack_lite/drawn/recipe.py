"""Every value of the drawn-crack detector, with its why.

The paper restores undamaged road and looks at the error. Here cracks are drawn on undamaged road, and a network
learns to mark them: another task on the same data, with no crack label more. The family is known from CutPaste (Li et
al., 2021) and DRAEM (Zavrtanik et al., 2021). A reason begins with "prior" where the value was known to work before
the recipe was frozen, with "chosen" where nothing was tried, and with "second" where it is new in the second recipe:
compared with the first one on crack-free photos, with cracks drawn into them. PyTorch is not imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from upcrack_lite.errors import UserError
from upcrack_lite.recipes import RULES, Table, Values, declared, value

STEPS = 100
"""Steps in an epoch: scenes are drawn without end, so an epoch is a unit of logging."""

SHARE = "[0, 1]"


@dataclass(frozen=True)
class DrawnPreset(Values):
    """All values of one way to train and test the detector; made by `make("drawn", scale)`, then never changed."""

    method: str
    scale: str
    size: int = value(256, "chosen: as the tables", "[64, 1024]")  # side of an undamaged crop, px
    scene: int = value(
        160, "prior: shows a crack whole, and costs little", "[64, 512]"
    )  # side of a scene, px
    width: int = value(16, "prior: 0.9 million parameters", "[4, 256]")  # channels of the first level
    # training
    batch_size: int = value(8, "chosen", "[2, 1024]")
    epochs: int = value(20, "prior: 2000 steps", "[1, inf)")  # of 100 steps
    lr: float = value(3e-3, "prior: the largest that stays calm", "(0, 1]")
    weight_decay: float = value(1e-4, "chosen: as the compared networks", "[0, 1]")
    ema: float = value(0.995, "prior: weights are averaged over about 200 steps", "[0, 1)")
    validate_every: int = value(5, "chosen: a picture every fifth epoch", "[1, inf)")
    patience: int = value(0, "chosen: nothing to stop early by", "[0, inf)")
    # ground: where it comes from, and the least side of the window that is enlarged to a scene
    given: float = value(0.6, "chosen: most scenes on the crops that are given", SHARE)
    whole: float = value(0.3, "chosen: synthetic roads with their own cracks; the rest is crack-free", SHARE)
    ground_low: int = value(72, "prior: stones of one to four times their size", "[16, 256]")  # px of 256
    # cracks
    crack_low: int = value(20, "prior: cracks from 1 to 40 px wide", "[8, 256]")  # px of 256
    crack_free: float = value(0.15, "chosen: some scenes without a crack", SHARE)
    full_from: float = value(
        0.25, "second: a visible hairline is labeled, however little of a pixel it covers", "(0, 1]"
    )  # coverage of a line's middle from which it is drawn as if it covered its pixels; 1: as it is
    label_level: float = value(0.3, "prior: people mark a little too wide", "(0, 1)")  # of the coverage
    # what looks like a crack and is none: how many scenes have it
    shadows: float = value(0.3, "chosen", SHARE)
    stains: float = value(0.35, "chosen", SHARE)
    pits: float = value(0.35, "chosen", SHARE)
    paint: float = value(0.15, "chosen", SHARE)
    veins: float = value(0.12, "chosen: bright lines", SHARE)
    grooves: float = value(0.08, "chosen: straight dark lines", SHARE)
    stones: float = value(0.35, "second: gaps between stones are the commonest false alarm", SHARE)
    # detection: from here on, all can be changed after training
    native: bool = value(False, "as the tables: a photo is squeezed to 256 x 256; true: its own size")
    octaves: int = value(3, "a priori: down to the size at which a photo is as small as a scene", "[1, 6]")
    enlarge_below: int = value(
        640,
        "second: more thin cracks and fewer false alarms; a limit, for it costs four times as much",
        "[0, inf)",
    )  # px of the short side: smaller photos are looked at enlarged twice, too; 0: none is
    map_filter: str = value("none", "as the compared networks", ("bilateral", "gaussian", "none"))
    bilateral_d: int = value(25, "as UP-CrackNet, where the filter is used", "[1, 99]")
    bilateral_sigma_color: float = value(150.0, "as UP-CrackNet, where the filter is used", "(0, inf)")
    bilateral_sigma_space: float = value(15.0, "as UP-CrackNet, where the filter is used", "(0, inf)")
    threshold_rule: str = value("fixed", "a priori: the more probable class", RULES)
    threshold_value: float = value(0.5, "a priori: the more probable class")
    threshold_floor: float = value(0.0, "no guard for crack-free photos; 0 switches it off", "[0, 1]")

    BEFORE = MappingProxyType({"full_from": 1.0, "stones": 0.0, "enlarge_below": 0})

    @classmethod
    def table(cls, *names: str) -> Table:
        """Every field but method and scale. Raises UserError for another method or an unknown scale."""
        method, scale = names
        if method != "drawn":
            raise UserError(f"unknown method {method!r}; this is the preset of drawn")
        if scale not in SCALES:
            raise UserError(f"unknown scale {scale!r}; choose one of {', '.join(SCALES)}")
        return FIELDS | SCALES[scale]

    def check(self) -> None:
        """Raise UserError for the first value that is not allowed, or values that do not fit together."""
        super().check()
        if self.scene % 32:
            raise UserError(f"scene must be a multiple of 32, got {self.scene}")
        if self.given + self.whole > 1:
            raise UserError(f"given {self.given} and whole {self.whole} must not exceed 1 together")


FIELDS = declared(DrawnPreset)

SCALES: dict[str, Table] = {
    "lite": {},
    "full": {
        "width": (24, "prior: 2.1 million parameters"),
        "epochs": (30, "prior: 3000 steps"),
    },
}

DETECTION = tuple(FIELDS)[tuple(FIELDS).index("native") :]
"""What can be changed after training."""
