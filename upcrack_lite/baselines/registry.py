"""The compared methods by name, in the order of the paper's Table III. A new one is a module named here.

Each module defines `METHOD`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from upcrack_lite.baselines.base import Method
from upcrack_lite.errors import UserError

MODULES = (
    "deeplabv3plus",
    "enet",
    "pspnet",
    "upernet",
    "segresnet",
    "unet",
    "bisenetv2",
    "ddrnet",
    "lawin",
    "deepcrack19",
    "deepcrack18",
    "scadn",
    "riad",
)
"""Modules of this package, one a method; each has the name of its method."""


def _methods() -> dict[str, Method]:
    """The `METHOD` of each module."""
    found = {}
    for name in MODULES:
        method = import_module(f"upcrack_lite.baselines.{name}").METHOD
        if method.name != name:
            raise ValueError(f"the method of baselines/{name}.py calls itself {method.name!r}")
        found[name] = method
    return found


METHODS: Mapping[str, Method] = MappingProxyType(_methods())
"""Name to method."""


def method(name: str) -> Method:
    """Return a compared method. Raises UserError that lists the valid names."""
    if name not in METHODS:
        raise UserError(f"unknown method {name!r}; choose {', '.join(METHODS)}")
    return METHODS[name]
