"""The ledger and the checked sentences as tables of a page."""

from __future__ import annotations

import re
from typing import Any

from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import claims, ledger
from upcrack_lite.show.markup import great
from upcrack_lite.show.pages import TITLES

_HEADINGS = {
    "differs": "Where the paper and its released program differ",
    "silent": "Where the paper says nothing, or not all",
    "lite": "What the lite scale changes",
}
_SIDES = {"differs": ("kit", "released"), "silent": ("kit", "released"), "lite": ("lite",)}
_COLUMNS = {
    "differs": {"paper": "paper", "released program": "released program", "why": "source"},
    "silent": {"kit, recipe paper": "kit", "released program": "released program", "why": "source"},
    "lite": {"kit, recipe paper": "full", "kit, lite scale": "lite", "why": "source"},
}


def listed(kind: str) -> Any:
    """One part of the ledger: "differs", "silent" or "lite". Raises UserError for another kind."""
    if kind not in _HEADINGS:
        raise UserError(f"unknown part {kind!r} of the ledger; choose {', '.join(_HEADINGS)}")
    entries = [entry for entry in ledger.ledger() if kind in entry.kinds]
    columns = _COLUMNS[kind]
    lines = [
        {"": f"{row['value']}\n{row['name']}"} | {name.replace(" ", "_"): row[name] for name in columns}
        for row in ledger.rows(entries, _SIDES[kind])
    ]
    labels = {name.replace(" ", "_"): label for name, label in columns.items()}
    note = f"{len(lines)} values. Below each stands its name in the presets: <code>--set NAME=VALUE</code> sets it."
    return great(_HEADINGS[kind], lines)(
        labels, {}, note, f"ledger-{kind}", text=tuple(labels), prose=("why",)
    )


def sentences() -> Any:
    """The paper's sentences that its own tables can check, with what the tables say."""
    lines = [
        {
            "": f"“{one.phrase}” ({one.section})",
            "holds": "holds" if one.holds else "does not hold",
            "finds": _named(one.finds),
        }
        for one in claims.claims()
    ]
    note = "Differences are in points of percent, computed from the printed tables."
    return great("Sentences of the paper, checked by its own tables", lines)(
        {"holds": "", "finds": "what the tables say"},
        {},
        note,
        "sentences",
        text=("holds", "finds"),
        prose=("finds",),
    )


def _named(text: str) -> str:
    """Write methods and masks by their names, not by their keys in the tables."""
    return re.sub("|".join(rf"\b{key}\b" for key in TITLES), lambda found: TITLES[found[0]], text)
