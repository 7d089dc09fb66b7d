"""Every method that makes rows of tables, by its name: the paper's, and those that stand beside them.

PyTorch is imported only where a network is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from upcrack_lite import recipes
from upcrack_lite.baselines.recipes import (
    DETECTION,
    PATCHCORE,
    SUPERVISED,
    FamilyPreset,
    MemoryPreset,
    MethodPreset,
)
from upcrack_lite.baselines.recipes import FAMILIES as FAMILIES
from upcrack_lite.baselines.recipes import METHODS as _NETWORKS
from upcrack_lite.drawn import recipe as drawn
from upcrack_lite.drawn.recipe import DrawnPreset
from upcrack_lite.errors import UserError
from upcrack_lite.recipes import Preset, check_value

if TYPE_CHECKING:
    from upcrack_lite.baselines.base import Method

CRACKNET = "upcracknet"
COMPARED = tuple(_NETWORKS)
"""The compared networks, in the order of the paper's Table III."""

DRAWN = "drawn"
EXTRA: Mapping[str, str] = {
    DRAWN: "it learns to segment cracks drawn on undamaged road",
    PATCHCORE: "it measures how far features of a patch are from those of undamaged road",
}
"""Methods that learn from undamaged crops and that the paper does not have, in words."""

BESIDE = (*EXTRA, *FAMILIES)
"""Rows that stand beside the printed ones: no table of the paper has them."""

METHODS = (*COMPARED, CRACKNET, *BESIDE)

ONE_SCALE = (PATCHCORE, *FAMILIES)
"""Methods whose scale changes nothing."""

AnyPreset = Preset | MethodPreset | FamilyPreset | DrawnPreset | MemoryPreset


def learns_from_masks(method: str) -> bool:
    """True if photos with crack masks are trained on; else undamaged crops are.

    Training-free families count: what they select, they select by masks.
    """
    return method in SUPERVISED or method in FAMILIES


def preset_of(method: str, recipe: str, scale: str, **overrides: Any) -> AnyPreset:
    """All values to train and test a method with.

    Raises UserError for an unknown method, recipe, scale or value, or a recipe that is not the method's.
    """
    check_value("method", method, METHODS)
    if method == CRACKNET:
        return recipes.preset(recipe, scale, **overrides)
    check_value("recipe", recipe, tuple(recipes.RECIPES))
    if recipe != "paper":
        raise UserError(f"{method} has one recipe, paper: {recipe} is UP-CrackNet's alone")
    return _kind(method).make(method, scale, **overrides)


def preset_from(method: str, values: Mapping[str, Any]) -> AnyPreset:
    """Make the preset that `to_dict` wrote. Raises UserError for missing or unknown fields."""
    return _kind(method).from_dict(values)


def after_training(method: str) -> tuple[str, ...]:
    """The preset values that can be changed after training."""
    if method in FAMILIES:
        return ()
    if method == DRAWN:
        return drawn.DETECTION
    return recipes.DETECTION if method == CRACKNET else DETECTION


def unused_options(method: str) -> tuple[str, ...]:
    """The options of `trainer.train_any` that the method has no use for."""
    without_steps = ("precision", "max_steps") if method in (*FAMILIES, PATCHCORE) else ()
    return (*without_steps, *(() if method in (CRACKNET, PATCHCORE) else ("vgg_weights",)))


def _kind(method: str) -> type[AnyPreset]:
    if method in FAMILIES:
        return FamilyPreset
    own = {CRACKNET: Preset, DRAWN: DrawnPreset, PATCHCORE: MemoryPreset}
    return own.get(method, MethodPreset)


@cache
def network(name: str) -> Method:
    """A compared network: the `METHOD` of its module. Raises UserError that lists the valid names."""
    check_value("method", name, COMPARED)
    return import_module(f"upcrack_lite.baselines.{name}").METHOD
