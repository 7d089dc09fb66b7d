"""How high error maps are on crack and on sound road, before any filter or cut. Chapter: why 33 and not 45.

A score changes when the error itself changes, and when the same error is cut otherwise. The mean of the map on the
two kinds of pixels shows the first alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from upcrack_lite.reproduction import cells
from upcrack_lite.reproduction.ladder import Step, ladder
from upcrack_lite.reproduction.records import Record


@dataclass(frozen=True)
class Levels:
    """Mean of the map, 0 to 1, over all pixels of a kind; nan where a set has none."""

    sound: float
    crack: float


def levels(some: Sequence[Record]) -> Levels:
    """Mean over records of each record's mean over its raw map's pixels; a bin stands for its middle."""
    totals = np.stack([record.maps["raw"].pooled for record in some])  # (records, 2, bins)
    bins = totals.shape[-1]
    middle = (np.arange(bins) + 0.5) / bins  # (bins,)
    with np.errstate(invalid="ignore"):
        sound, crack = ((totals @ middle) / totals.sum(axis=-1)).mean(axis=0)
    return Levels(float(sound), float(crack))


def step_levels(step: Step) -> tuple[Levels, Levels] | None:
    """The raw map's levels of the plain recipe and of the rung, for the seeds of a step; None: not measured."""
    if not step.pairs:
        return None
    before, after = zip(*step.pairs, strict=True)
    return levels(before), levels(after)


def level_numbers(given: Sequence[Record]) -> list[dict[str, Any]]:
    """Every level of the page as plain values, for `upcrack verify`: lite, trained on DeepCrack, each test set."""
    found = []
    for test_set in cells.TEST_SETS:
        for step in ladder(given, test_set=test_set):
            for what, one in zip(("plain", "changed"), step_levels(step) or (), strict=False):
                row = {"row": f"{step.key}, {test_set}", "records": list(step.records), "what": what}
                found += [
                    row | {"metric": f"map on {kind}", "value": getattr(one, kind)}
                    for kind in ("sound", "crack")
                ]
    return found
