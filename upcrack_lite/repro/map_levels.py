"""How high error maps are on crack and on sound road, before any filter or cut. Chapter: why 33 and not 45.

A score changes when the error itself changes, and when the same error is cut otherwise. The mean of the map on the
two kinds of pixels shows the first alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.repro import cells, records
from upcrack_lite.repro.ladder import Step, ladder
from upcrack_lite.repro.records import Record


@dataclass(frozen=True)
class Levels:
    """Mean of the map, 0 to 1, over all pixels of a kind; nan where a set has none."""

    sound: float
    crack: float


def maps_of(files: Iterable[str], folder: Path | str, which: str) -> list[np.ndarray] | None:
    """The histograms beside records, int64 ``(images, 2, 256)`` each; None where one of them is not in the folder.

    files: names of records. which: "raw", as the error was, or "smoothed", as it is cut.
    Records that may not be committed are looked for in the folder that holds such.
    Raises UserError for arrays that do not fit their record.
    """
    places = [Path(folder) / name for name in files]
    places = [path if path.is_file() else path.parent / records.DIRTY / path.name for path in places]
    if not all(path.is_file() for path in places):
        return None
    return [records.arrays_of(path)[which].astype(np.int64) for path in places]


def levels(maps: Sequence[np.ndarray]) -> Levels:
    """Mean over records of each record's mean over its pixels; a bin stands for its middle."""
    bins = maps[0].shape[-1]
    middle = (np.arange(bins) + 0.5) / bins  # (bins,)
    totals = np.stack([one.sum(axis=0) for one in maps])  # (records, 2, bins)
    with np.errstate(invalid="ignore"):
        sound, crack = ((totals @ middle) / totals.sum(axis=-1)).mean(axis=0)
    return Levels(float(sound), float(crack))


def step_levels(step: Step, folder: Path | str) -> tuple[Levels, Levels] | None:
    """The raw map's levels of the plain recipe and of the rung, for the seeds of a step; None: not measured."""
    before = maps_of(step.records[::2], folder, "raw")  # a step names plain and changed in turn
    after = maps_of(step.records[1::2], folder, "raw")
    return (levels(before), levels(after)) if before and after else None


def level_numbers(given: Sequence[Record], folder: Path | str) -> list[dict[str, Any]]:
    """Every level of the page as plain values, for `upcrack verify`: lite, trained on DeepCrack, each test set."""
    found = []
    for test_set in cells.TEST_SETS:
        for step in ladder(given, test_set=test_set):
            both = step_levels(step, folder)
            for what, one in zip(("plain", "changed"), both or (), strict=False):
                row = {"row": f"{step.key}, {test_set}", "records": list(step.records), "what": what}
                found += [
                    row | {"metric": f"map on {kind}", "value": getattr(one, kind)}
                    for kind in ("sound", "crack")
                ]
    return found
