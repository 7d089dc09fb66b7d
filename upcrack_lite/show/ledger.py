"""The ledger and the checked sentences as tables of a page."""

from __future__ import annotations

import re
from typing import Any

from upcrack_lite.reproduction import ledger
from upcrack_lite.reproduction.published import claims
from upcrack_lite.show.markup import table
from upcrack_lite.show.table_words import TITLES

_PARTS = {
    "differs": (
        "Where the paper and its released program differ",
        {"paper": "paper", "released_program": "released program", "why": "source"},
    ),
    "silent": (
        "Where the paper says nothing, or not all",
        {"kit": "kit", "released_program": "released program", "why": "source"},
    ),
    "lite": ("What the lite scale changes", {"kit": "full", "kit_lite": "lite", "why": "source"}),
}
"""Each part's heading and columns."""


def listed(kind: str) -> Any:
    """One part of the ledger: "differs", "silent" or "lite"."""
    heading, labels = _PARTS[kind]
    lines = [row | {"": f"{row['value']}\n{row['name']}"} for row in ledger.rows(kind)]
    note = f"{len(lines)} values. Below each stands its name in the recipes: <code>--set NAME=VALUE</code> sets it."
    return table(heading, lines, labels, note, f"ledger-{kind}", text=tuple(labels), prose=("why",))


def sentences() -> Any:
    """The paper's sentences that its own tables can check, with what the tables say."""
    # Methods and masks by their names, not by their keys in the tables.
    keys = re.compile("|".join(rf"\b{key}\b" for key in TITLES))
    lines = [
        {
            "": f"“{one.phrase}” ({one.section})",
            "holds": "holds" if one.holds else "does not hold",
            "says": keys.sub(lambda key: TITLES[key[0]], one.says),
        }
        for one in claims()
    ]
    note = "Differences are in points of percent, computed from the printed tables."
    labels = {"holds": "", "says": "what the tables say"}
    heading = "Sentences of the paper, checked by its own tables"
    return table(heading, lines, labels, note, "sentences", text=tuple(labels), prose=("says",))
