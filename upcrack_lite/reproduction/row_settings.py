"""Preset values that a sweep sets otherwise: which rows have them.

Rows are of many methods, and a value reaches those whose preset has it; a value that no row has is an error.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from upcrack_lite.baselines.recipes import family_preset
from upcrack_lite.baselines.registry import COMPARED, CRACKNET, FAMILIES, network, preset_of
from upcrack_lite.errors import UserError
from upcrack_lite.io import parse_settings

_APART = {"method", "recipe", "scale"}  # settings of their own


def parse(given: str | Sequence[str] | None) -> dict[str, Any]:
    """Read `a=1 b=2`, or a list of such words, as `upcrack cell --set` reads them.

    A value with spaces is quoted together with its name: `'mask_cells=[32, 16]'`. Raises UserError for a quote
    without its partner, a word without "=", or a name given twice.
    """
    if given is None or isinstance(given, str):
        try:
            # Quotes go, as in a shell; JSON's own would have to be quoted again.
            given = shlex.split(given or "")
        except ValueError as error:
            raise UserError(f"settings: {error}: {given!r}") from error
    if not isinstance(given, list | tuple) or not all(isinstance(word, str) for word in given):
        raise UserError(f"settings must be words such as a=1 b=2, or a list of them, not {given!r}")
    try:
        return parse_settings(list(given))
    except UserError as error:
        raise UserError(f"settings: {str(error).replace('--set ', '')}") from None


def names(method: str) -> set[str]:
    """The preset values of a method that can be set otherwise; encoder weights only where it has such an encoder."""
    if method in FAMILIES:
        own = family_preset(method)
        return {"sigmas", "least_areas", *(["zs"] if own.zs else [])}
    found = set(preset_of(method, "paper", "full").to_dict()) - _APART
    return found if _has_encoder(method) else found - {"encoder_weights"}


def of_row(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the settings that a row of this method has. What the row itself sets wins later, in `cells.cells`."""
    known = names(method)
    return {name: value for name, value in settings.items() if name in known}


def check_width(methods: Iterable[str], settings: Mapping[str, Any]) -> None:
    """Refuse one width for two kinds of networks: it would be channels for one and a share for the other."""
    kinds = set(methods)
    if "width" in settings and CRACKNET in kinds and kinds & set(COMPARED):
        raise UserError(
            f"settings: width is a number of channels for {CRACKNET} and a share of them for the other networks; "
            "name the rows that are meant"
        )


def check_used(rows: Iterable[tuple[str, Mapping[str, Any]]], settings: Mapping[str, Any]) -> None:
    """Refuse a setting that none of the rows has; rows: pairs of a method and what the row itself sets."""
    known: set[str] = set()
    for method, own in rows:
        known |= names(method) - set(own)
    if unused := [name for name in settings if name not in known]:
        raise UserError(
            f"settings: no row of this sweep has {', '.join(unused)}; choose from {', '.join(sorted(known))}"
        )


def _has_encoder(method: str) -> bool:
    return (
        method in COMPARED and network(method).encoder != "none"
    )  # brings torch: only where there are settings
