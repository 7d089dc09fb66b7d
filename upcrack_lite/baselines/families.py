"""Detectors without training, by name: which variants each family holds. PyTorch is not imported. Chapter: 20.

A family is a map with a rule that cuts it, in every combination of smoothing, level and smallest piece. Which variant
is used is chosen on a training set (`choosing`), so a family has a preset as a method that learns has.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from upcrack_lite.errors import UserError
from upcrack_lite.recipes import SCALES, as_written, known, typed

MAPS = ("global_darkness", "local_darkness", "black_tophat", "frangi", "sato", "gabor")
"""Names of the maps in `darkness`."""

CUTS = ("otsu", "bilateral_otsu", "z")
DARKNESS = MAPS[:2]  # maps in interquartile ranges, which a level z can cut
SIZE = 256  # px: the side at which the tables' photos are looked at; a filter's scale belongs to it


@dataclass(frozen=True)
class Variant:
    """One detector without training.

    map: a name in `MAPS`. sigma: smoothing before the map, px. cut: "otsu" (of the map), "bilateral_otsu"
    (the paper's filter, then Otsu) or "z" (above z interquartile ranges; darkness maps only). least_area: smallest
    connected piece that is kept, as a share of the photo.
    """

    map: str
    sigma: float = 0.0
    cut: str = "otsu"
    z: float = 0.0
    least_area: float = 0.0

    def __post_init__(self) -> None:
        if self.map not in MAPS:
            raise UserError(f"unknown map {self.map!r}; choose one of {', '.join(MAPS)}")
        if self.cut not in CUTS:
            raise UserError(f"unknown cut {self.cut!r}; choose one of {', '.join(CUTS)}")

    @property
    def name(self) -> str:
        """Its choices in a few words."""
        words = [self.map, f"sigma {self.sigma:g}", f"z {self.z:g}" if self.cut == "z" else self.cut]
        return ", ".join([*words, *([f"area {self.least_area:.4f}"] if self.least_area else [])])


@dataclass(frozen=True)
class FamilyPreset:
    """All values of one family; made by `family_preset`, then never changed. The scale changes nothing."""

    method: str
    scale: str
    size: int  # side of the photo, px
    map: str
    threshold_rule: str  # a name in `CUTS`
    sigmas: tuple[float, ...]  # px, of the smoothing before the map
    zs: tuple[float, ...]  # interquartile ranges; for the rule "z" alone
    least_areas: tuple[float, ...]  # smallest connected piece that is kept, as a share of the photo

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every combination, in the order in which the first of equals is chosen."""
        levels = self.zs if self.threshold_rule == "z" else (0.0,)
        return tuple(
            Variant(self.map, sigma, self.threshold_rule, z, area)
            for sigma, z, area in itertools.product(self.sigmas, levels, self.least_areas)
        )

    def overrides(self) -> dict[str, Any]:
        """The fields that differ from the family's own, sorted by name."""
        own = family_preset(self.method, self.scale)
        return {
            name: getattr(self, name) for name in sorted(_LISTS) if getattr(self, name) != getattr(own, name)
        }

    def older(self) -> dict[str, Any]:
        """What a file of this method and scale means that lacks a field."""
        return from_dict({"method": self.method, "scale": self.scale}).to_dict()

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values that JSON can hold."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}


_LISTS = ("sigmas", "zs", "least_areas")  # what a user may set otherwise
_VALUES = {"sigmas": (0.0, 1.0, 2.0), "least_areas": (0.0, 1 / 650)}
_ZS = (1.5, 2.0, 2.5, 3.0)

FAMILY: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        **{f"tf_{name}": (name, "z") for name in DARKNESS},
        **{
            f"tf_{name}_{short}": (name, rule)
            for name in MAPS
            for short, rule in (("otsu", "otsu"), ("paper", "bilateral_otsu"))
        },
    }
)
"""Family to its map and its rule: darkness with a level z; every map with Otsu, and with the paper's filter too."""


def family_preset(name: str, scale: str = "lite", **overrides: Any) -> FamilyPreset:
    """Make a family's preset, with `sigmas`, `zs` or `least_areas` set otherwise by keyword.

    Raises UserError for an unknown family, scale or field (it lists the known ones), or values that make no variant.
    """
    if name not in FAMILY:
        raise UserError(f"unknown family {name!r}; choose one of {', '.join(FAMILY)}")
    if scale not in SCALES:
        raise UserError(f"unknown scale {scale!r}; choose one of {', '.join(SCALES)}")
    used, rule = FAMILY[name]
    values = {**_VALUES, "zs": _ZS if rule == "z" else ()}
    for field, value in overrides.items():
        known(FamilyPreset, field)
        if field not in _LISTS:
            raise UserError(f"{field} cannot be set otherwise in a family; only {', '.join(_LISTS)} can")
        values[field] = typed(FamilyPreset, field, value)
        _check(field, values[field])
    if rule != "z" and "zs" in overrides:
        raise UserError(f"zs: {name} is cut by {rule}, which has no level z")
    return FamilyPreset(name, scale, SIZE, used, rule, **values)


def from_dict(values: Mapping[str, Any]) -> FamilyPreset:
    """Make the preset that `FamilyPreset.to_dict` wrote; a value that an older file lacks is the family's own.

    Raises UserError where method or scale is missing, or for other values than a family can have.
    """
    rest = as_written(values, ("method", "scale"))
    lists = {name: rest[name] for name in _LISTS if rest.get(name)}
    made = family_preset(values["method"], values["scale"], **lists)
    if made.to_dict() | dict(values) != made.to_dict():
        raise UserError(f"preset is not one of the family {made.method}: another version of the kit wrote it")
    return made


def _check(field: str, values: tuple[float, ...]) -> None:
    top = 1.0 if field == "least_areas" else math.inf
    if not values or not all(0 <= one < top for one in values) or len(set(values)) < len(values):
        below = " and below 1" * (top == 1)
        raise UserError(f"{field} must be a list of different numbers, each at least 0{below}")


FAMILIES: Mapping[str, tuple[Variant, ...]] = MappingProxyType(
    {name: family_preset(name).variants for name in FAMILY}
)
"""Family to its variants."""
