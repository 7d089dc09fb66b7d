"""The values of every compared method, of the feature memory and the training-free families, each with its why.

The paper gives one paragraph to all methods (section IV-B). What it leaves open, the kit chooses here, as
`upcrack_lite.recipes` does for UP-CrackNet. The reason of a value begins with where it comes from: a section of the
paper, "source" for the program or article that the method's module names, "silent" where none of them says anything,
"as UP-CrackNet" for what the two kinds of unsupervised methods share, "lite" for a laptop's sake. PyTorch is not
imported.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from upcrack_lite.errors import UserError
from upcrack_lite.recipes import PAPER, RULES, Table, Values, check_value, declared, value

GENERAL = ("deeplabv3plus", "enet", "pspnet", "upernet", "segresnet", "unet", "bisenetv2", "ddrnet", "lawin")
CRACK = ("deepcrack19", "deepcrack18")
SUPERVISED = (*GENERAL, *CRACK)
"""Networks that learn from crack masks: made for any task, and made for cracks."""

UNSUPERVISED = ("scadn", "riad")
"""Networks that learn from undamaged road."""

SIDE = 32  # what divides the side of an image: the networks halve it up to five times
SCALES = ("full", "lite")


# --- Networks ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MethodPreset(Values):
    """All values of one way to train and test a compared network; made by `method_preset`, then never changed.

    The values here are those of the networks that learn from crack masks, which are all trained alike, at full scale.
    """

    method: str
    scale: str
    # network
    size: int = value(256, "section IV-B: images are resized to 256 x 256")  # side of the square input, px
    width: float = value(1.0, "source: the full width", "(0, 1]")  # share of the network's channels
    # "imagenet" is the library's download; runs of earlier versions may say "file"
    encoder_weights: str = value(
        "none",
        "silent: all methods start from nothing, so that architecture alone differs",
        ("none", "imagenet", "file"),
    )
    # augmentation: the least and the largest enlargement before the random crop to `size`
    scale_low: float = value(
        1.0,
        "section IV-B: scaling; silent on the range: never smaller, so that no border is invented",
        "[1, inf)",
    )
    scale_high: float = value(
        1.5,
        "section IV-B: scaling and cropping; silent on the range: down to two thirds of a photo",
        "[1, inf)",
    )
    flip: bool = value(True, "section IV-B: flipping; silent on the direction, so horizontal")
    # training
    batch_size: int = value(8, "silent: as UP-CrackNet", "[1, inf)")
    epochs: int = value(200, "section IV-B", "(0, inf)")
    optimizer: str = value("sgd", "section IV-B: stochastic gradient descent", ("sgd", "adam"))
    lr: float = value(0.01, "section IV-B", "(0, inf)")
    momentum: float = value(0.9, "section IV-B", "[0, 1)")  # of SGD
    weight_decay: float = value(1e-4, "section IV-B", "[0, inf)")
    schedule: str = value(
        "poly",
        "section IV-B: the poly strategy; after every step, down to 0 at the end",
        ("poly", "step", "constant"),
    )
    poly_power: float = value(
        0.9,
        "section IV-B: poly; silent on the power, so that of DeepLab, where the name comes from",
        "(0, inf)",
    )
    # of the schedule "step": a tenth of the rate from this share of the epochs on
    step_at: float = value(1.0, "not used by poly", "[0, 1]")
    validation_share: float = value(
        0.0,
        "section IV-B speaks of a validation set and does not say which; the training sets have none, and a tenth "
        "fewer masks would weaken the methods that UP-CrackNet is compared with",
        "[0, 1)",
    )
    # epochs
    validate_every: int = value(
        10, "silent: a picture and a checkpoint every tenth epoch, and at the end", "(0, inf)"
    )
    # epochs without improvement before stopping; 0 never stops early
    patience: int = value(
        0,
        "section IV-B stops early; poly is made to end at 0 in the last epoch, so that one is kept",
        "[0, inf)",
    )
    # detection: from here on, all can be changed after training
    map_filter: str = value(
        "none",
        "silent: the methods' own articles cut the probability as it is",
        ("bilateral", "gaussian", "none"),
    )
    bilateral_d: int = value(25, "as UP-CrackNet, where the filter is used", "[1, 99]")  # px
    # gray levels of one channel, 0-255
    bilateral_sigma_color: float = value(150.0, "as UP-CrackNet, where the filter is used", "(0, inf)")
    bilateral_sigma_space: float = value(15.0, "as UP-CrackNet, where the filter is used", "(0, inf)")  # px
    threshold_rule: str = value("fixed", "silent: the more probable class", RULES)
    threshold_value: float = value(0.5, "silent: the more probable class")  # what the rule needs
    threshold_floor: float = value(0.0, "silent: no guard for crack-free photos; 0 switches it off", "[0, 1]")

    @property
    def supervised(self) -> bool:
        """True if the method learns from crack masks."""
        return self.method in SUPERVISED

    @classmethod
    def table(cls, *names: str) -> Table:
        """Every field but method and scale. Raises UserError for an unknown method or scale."""
        method, scale = names
        check_value("method", method, tuple(METHODS))
        check_value("scale", scale, SCALES)
        if scale == "full":
            return dict(METHODS[method])
        return {**METHODS[method], **LITE, "epochs": LITE_EPOCHS.get(method, LITE_EPOCHS["supervised"])}

    def check(self) -> None:
        """Raise UserError for the first value that is not allowed, or values that do not fit together."""
        super().check()
        if self.size < 2 * SIDE or self.size % SIDE:
            raise UserError(f"size must be a multiple of {SIDE} from {2 * SIDE} on, got {self.size}")
        if self.scale_high < self.scale_low:
            raise UserError(f"scale_high {self.scale_high} is below scale_low {self.scale_low}")
        if self.encoder_weights != "none" and self.width != 1:
            raise UserError(
                f"encoder_weights {self.encoder_weights!r} fit the full width alone: set width=1.0"
            )
        if self.supervised and self.batch_size < 2:  # several networks normalize a map of one pixel over it
            raise UserError(f"batch_size must be at least 2, got {self.batch_size}")
        if not self.supervised and (self.optimizer, self.encoder_weights) != ("adam", "none"):
            raise UserError(
                f"{self.method} is trained by Adam, from no weights: leave optimizer and encoder_weights"
            )


LEARNS_MASKS = declared(MethodPreset)

# Both networks that restore undamaged road have an optimizer and a number of epochs of their own.
LEARNS_ROAD: Table = LEARNS_MASKS | {
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

OWN: dict[str, Table] = {
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
LITE: Table = {
    "size": (128, "lite: a quarter of the pixels"),
    "width": (0.25, "lite: about a sixteenth of the arithmetic"),
}
LITE_EPOCHS: Table = {
    "supervised": (
        60,
        "lite: as UP-CrackNet; five to ten minutes on two cores for 300 photos, half an hour for deepcrack18",
    ),
    "scadn": (40, "lite: about ten minutes on two cores for 300 crops"),
    "riad": (25, "lite: about ten minutes on two cores for 300 crops; each step is three passes"),
}

METHODS: Mapping[str, Table] = dict.fromkeys(SUPERVISED, LEARNS_MASKS) | {
    name: LEARNS_ROAD | OWN[name] for name in UNSUPERVISED
}
"""Every compared network with its values at full scale, in the order of the paper's Table III."""

DETECTION = tuple(LEARNS_MASKS)[tuple(LEARNS_MASKS).index("map_filter") :]
"""What can be changed after training."""


def method_preset(name: str, scale: str = "lite", **overrides: Any) -> MethodPreset:
    """Make a compared network's preset, with any field set otherwise by keyword; raises as `recipes.preset`."""
    return MethodPreset.make(name, scale, **overrides)


# --- Feature memory ---------------------------------------------------------------------------------------------

PATCHCORE = "patchcore"


@dataclass(frozen=True)
class MemoryPreset(Values):
    """All values of the feature memory, which the paper does not have. The scale changes nothing."""

    method: str
    scale: str
    size: int = value(256, "the side at which the tables' photos are looked at")  # of the square input, px
    memory: int = value(
        2000, "kit: the source keeps 1 to 25 % of all patches; so many fit into 1.5 MB", "[1, inf)"
    )
    # patches, drawn evenly from the crops, among which the memory is chosen
    candidates: int = value(60_000, "kit: the source chooses among all, here over a million", "[1, inf)")
    projection: int = value(128, "kit: the source has the projection and leaves its size open", "[1, inf)")
    sigma: float = value(4.0, "source: at 224 px", "(0, inf)")  # px, of the Gaussian over the map
    validation_share: float = value(0.1, "as UP-CrackNet", "[0, 1)")  # crops on which the map is scaled
    # share of the pixels of undamaged road whose score is above 0.5
    false_alarm: float = value(0.001, "kit: the source gives no threshold", "(0, 1)")
    # detection: from here on, all can be changed after training
    map_filter: str = value(
        "none", "source: the Gaussian is all; it is in the map", ("bilateral", "gaussian", "none")
    )
    bilateral_d: int = value(25, "as UP-CrackNet, where the filter is used", "[1, 99]")  # px
    # gray levels of one channel, 0-255
    bilateral_sigma_color: float = value(150.0, "as UP-CrackNet, where the filter is used", "(0, inf)")
    bilateral_sigma_space: float = value(15.0, "as UP-CrackNet, where the filter is used", "(0, inf)")  # px
    threshold_rule: str = value("fixed", "kit: the map is scaled to it", RULES)
    threshold_value: float = value(0.5, "kit: exceeded on undamaged road by `false_alarm` of the pixels")
    threshold_floor: float = value(0.0, "not used by a fixed threshold", "[0, 1]")

    patience = 0  # there are no epochs to stop

    @classmethod
    def table(cls, *names: str) -> Table:
        """Every field but method and scale. Raises UserError for another method or an unknown scale."""
        method, scale = names
        check_value("method", method, (PATCHCORE,))
        check_value("scale", scale, SCALES)
        return declared(cls)

    def check(self) -> None:
        """Raise UserError for the first value that is not allowed."""
        super().check()
        if self.size < 2 * SIDE or self.size % SIDE:
            raise UserError(f"size must be a multiple of {SIDE} from {2 * SIDE} on, got {self.size}")


# --- Families without training ---------------------------------------------------------------------------------

MAPS = ("global_darkness", "local_darkness", "black_tophat", "frangi", "sato", "gabor")
"""Names of the maps in `training_free`."""

DARKNESS = MAPS[:2]  # maps in interquartile ranges, on which a level z is a threshold
FAMILY_RULES = ("otsu", "bilateral_otsu", "z")
FAMILY_SIZE = 256  # px: the side at which the tables' photos are looked at; a filter's scale belongs to it
_LEAST = 1 / 650  # share of the photo: 100 pixels of 256 x 256


@dataclass(frozen=True)
class Variant:
    """One training-free baseline.

    map: a name in `MAPS`. sigma: smoothing before the map, px. rule: "otsu" (of the map), "bilateral_otsu"
    (the paper's filter, then Otsu) or "z" (above z interquartile ranges; darkness maps only). least_area: smallest
    connected component that is kept, as a share of the photo.
    """

    map: str
    sigma: float = 0.0
    rule: str = "otsu"
    z: float = 0.0
    least_area: float = 0.0

    @property
    def name(self) -> str:
        """Its choices in a few words."""
        words = [self.map, f"sigma {self.sigma:g}", f"z {self.z:g}" if self.rule == "z" else self.rule]
        return ", ".join([*words, *([f"area {self.least_area:.4f}"] if self.least_area else [])])


@dataclass(frozen=True)
class FamilyPreset(Values):
    """All values of one family, never changed. The scale changes nothing."""

    method: str
    scale: str
    size: int  # side of the photo, px
    map: str
    threshold_rule: str  # a name in `FAMILY_RULES`
    sigmas: tuple[float, ...]  # px, of the smoothing before the map
    zs: tuple[float, ...]  # interquartile ranges; for the rule "z" alone
    least_areas: tuple[float, ...]  # smallest component that is kept, as a share of the photo

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every combination, in the order in which the first of equals is selected."""
        levels = self.zs if self.threshold_rule == "z" else (0.0,)
        return tuple(
            Variant(self.map, sigma, self.threshold_rule, z, area)
            for sigma, z, area in itertools.product(self.sigmas, levels, self.least_areas)
        )

    @classmethod
    def table(cls, *names: str) -> Table:
        """Every field but method and scale. Raises UserError for an unknown family or scale."""
        method, scale = names
        check_value("family", method, tuple(_FAMILIES))
        check_value("scale", scale, SCALES)
        used, rule = _FAMILIES[method]
        return {
            "size": (FAMILY_SIZE, "the side at which the tables' photos are looked at"),
            "map": (used, "the name of the family"),
            "threshold_rule": (rule, "the name of the family"),
            "sigmas": ((0.0, 1.0, 2.0), "no smoothing, and two Gaussians, px"),
            "zs": ((1.5, 2.0, 2.5, 3.0) if rule == "z" else (), "four levels, in interquartile ranges"),
            "least_areas": ((0.0, _LEAST), "all components, and those of at least 100 pixels of 256 x 256"),
        }

    def check(self) -> None:
        """Raise UserError where a value is set otherwise: all variants of a family are counted."""
        for name in self.overrides():
            raise UserError(
                f"{name} cannot be set otherwise in the family {self.method}: its variants are fixed"
            )


_FAMILIES = {f"tf_{name}": (name, "z") for name in DARKNESS} | {
    f"tf_{name}_{short}": (name, rule)
    for name in MAPS
    for short, rule in (("otsu", "otsu"), ("paper", "bilateral_otsu"))
}  # to map and rule: darkness with a level z; every map with Otsu, and with the paper's filter too


FAMILIES: Mapping[str, tuple[Variant, ...]] = {
    name: FamilyPreset.make(name, "full").variants for name in _FAMILIES
}
"""Family to its variants."""

FROZEN: Mapping[str, Variant] = {
    "tf_global_darkness": Variant("global_darkness", 0.0, "z", 2.0, _LEAST),
    "tf_local_darkness": Variant("local_darkness", 0.0, "z", 2.0, _LEAST),
    "tf_global_darkness_otsu": Variant("global_darkness", 0.0, "otsu", 0.0, _LEAST),
    "tf_global_darkness_paper": Variant("global_darkness", 0.0, "bilateral_otsu"),
    "tf_local_darkness_otsu": Variant("local_darkness", 0.0, "otsu", 0.0, _LEAST),
    "tf_local_darkness_paper": Variant("local_darkness", 0.0, "bilateral_otsu", 0.0, _LEAST),
    "tf_black_tophat_otsu": Variant("black_tophat", 2.0, "otsu", 0.0, _LEAST),
    "tf_black_tophat_paper": Variant("black_tophat", 2.0, "bilateral_otsu", 0.0, _LEAST),
    "tf_frangi_otsu": Variant("frangi", 2.0, "otsu", 0.0, _LEAST),
    "tf_frangi_paper": Variant("frangi", 2.0, "bilateral_otsu", 0.0, _LEAST),
    "tf_sato_otsu": Variant("sato", 0.0, "otsu", 0.0, _LEAST),
    "tf_sato_paper": Variant("sato", 2.0, "bilateral_otsu", 0.0, _LEAST),
    "tf_gabor_otsu": Variant("gabor", 2.0, "otsu", 0.0, _LEAST),
    "tf_gabor_paper": Variant("gabor", 2.0, "bilateral_otsu", 0.0, _LEAST),
}
"""Family to the variant that is ready to use: the one with the best pooled F1 on DeepCrack's 300 training photos, of
256 px, among the family's variants. Crack masks chose it, so on other photos it is a transfer from DeepCrack. The
committed records of DeepCrack hold the counts of all variants."""
