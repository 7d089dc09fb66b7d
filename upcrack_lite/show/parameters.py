"""Parameters of pages that are lists: papermill's `-p NAME VALUE` passes them as text, a YAML file as lists."""

from __future__ import annotations

from typing import Any

from upcrack_lite.errors import UserError


def texts(name: str, value: Any) -> tuple[str, ...]:
    """A list of names from a list or from text such as "unet, enet"; empty text is an empty list.

    Raises UserError for anything else.
    """
    if isinstance(value, str):
        value = [part.strip() for part in value.strip("[]").split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise UserError(f"{name}: must be names, such as unet,enet, not {value!r}")
    return tuple(one.strip("'\" ") for one in value)


def numbers(name: str, value: Any) -> tuple[int, ...]:
    """A list of whole numbers, 0 or more, from a list, from one number or from text such as "0,1,2".

    Raises UserError for anything else.
    """
    given = [value] if isinstance(value, int) else texts(name, value) if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        given = [None]
    try:
        found = tuple(int(one) for one in given if not isinstance(one, bool | float))
    except (TypeError, ValueError):
        found = ()
    if len(found) != len(given) or any(one < 0 for one in found):
        raise UserError(f"{name}: must be whole numbers, such as 0,1,2, not {value!r}")
    return found
