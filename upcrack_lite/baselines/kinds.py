"""Every method that makes rows of tables: its name, its kind and its preset. PyTorch is not imported.

UP-CrackNet, the compared methods (`choices`), and detectors without training (`families`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upcrack_lite import recipes as presets
from upcrack_lite.baselines import choices, families
from upcrack_lite.baselines import presets as compared
from upcrack_lite.baselines.families import FamilyPreset
from upcrack_lite.baselines.presets import MethodPreset
from upcrack_lite.errors import UserError
from upcrack_lite.recipes import Preset

CRACKNET = "upcracknet"
COMPARED = (*choices.SUPERVISED, *choices.UNSUPERVISED)
"""The compared methods, in the order of the paper's Table III."""

FAMILIES = tuple(families.FAMILY)
"""Detectors without training; no table of the paper has them."""

METHODS = (*COMPARED, CRACKNET, *FAMILIES)

AnyPreset = Preset | MethodPreset | FamilyPreset


def learns_from_masks(method: str) -> bool:
    """True if photos with crack masks are trained on; else undamaged crops are.

    Detectors without training count: what they choose, they choose by masks.
    """
    return method in choices.SUPERVISED or method in families.FAMILY


def preset_of(method: str, recipe: str, scale: str, **overrides: Any) -> AnyPreset:
    """All values to train and test a method with.

    Raises UserError for an unknown method, recipe, scale or value, or a recipe that is not the method's.
    """
    if method == CRACKNET:
        return presets.preset(recipe, scale, **overrides)
    if recipe not in presets.RECIPES:
        raise UserError(f"unknown recipe {recipe!r}; choose one of {', '.join(presets.RECIPES)}")
    if recipe != "paper":
        raise UserError(f"{method} has one recipe, paper: {recipe} is UP-CrackNet's alone")
    make = families.family_preset if method in families.FAMILY else compared.method_preset
    return make(method, scale, **overrides)


def preset_from(method: str, values: Mapping[str, Any]) -> AnyPreset:
    """Make the preset that `to_dict` wrote. Raises UserError for missing or unknown fields."""
    if method == CRACKNET:
        return presets.from_dict(dict(values))
    return (families if method in families.FAMILY else compared).from_dict(values)


def after_training(method: str) -> tuple[str, ...]:
    """The preset values that can be changed after training."""
    if method == CRACKNET:
        return presets.DETECTION
    return () if method in families.FAMILY else compared.DETECTION
