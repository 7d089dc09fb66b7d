"""What a network that restores roads sees: tables and figures, live and from the experiment's record. Chapter 17."""

from __future__ import annotations

import html
import itertools
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from upcrack_lite.baselines.registry import CRACKNET
from upcrack_lite.reproduction import published, record_files
from upcrack_lite.reproduction.records import scores
from upcrack_lite.reproduction.tables import recorded
from upcrack_lite.show.figures import LINES, MARKERS, WIDTH, styled
from upcrack_lite.show.markup import items, table
from upcrack_lite.show.table_words import spread

Found = Mapping[str, Mapping[str, Sequence[float]]]
"""Detector to version of the photos to one number, in percent, for each seed; all detectors have all versions."""

FILE = "what_it_sees.json"
NAMES = {"black": "black holes", "mean": "mean color", "white": "white holes", "random": "random gray"}
SEEDS = 3  # a claim needs so many
HOME = (("deepcrack", "deepcrack"), ("crack500_kept", "crack500_heldout"))
"""Training set and test set whose photos are of one kind."""


def found_table(found: Found, heading: str, note: str, name: str, second: Found | None = None) -> Any:
    """For each detector mean and standard deviation over runs that differ in the seed.

    name: of the HTML element; second: other numbers of the same runs, shown behind a slash.
    """
    versions = list(next(iter(found.values())))
    lines = []
    for detector, of in found.items():
        line = {"": detector, "seeds": str(max(map(len, of.values())))}
        for version in versions:
            line[version] = spread(of[version]) + (
                f" / {spread(second[detector][version])}" if second else ""
            )
        lines.append(line)
    labels = {"seeds": "runs"} | {version: version for version in versions}
    return table(heading, lines, labels, note, name, text=("seeds",))


@styled
def found_figure(found: Found, xlabel: str) -> Figure:
    """One row for each detector; a mark for each version of the photos and each seed, a line through its mean."""
    versions = list(next(iter(found.values())))
    figure, axes = plt.subplots(figsize=(WIDTH, 0.42 * len(found) + 1.1))
    for row, by_version in enumerate(found.values()):
        for kind, version in enumerate(versions):
            values = by_version[version]
            height = row + 0.22 * (kind - (len(versions) - 1) / 2)
            look = {"color": LINES[kind], "marker": MARKERS[kind], "markersize": 6, "linestyle": ""}
            axes.plot(values, [height] * len(values), alpha=0.8, label=version if row == 0 else None, **look)
            if len(values) > 1:
                axes.plot([statistics.fmean(values)] * 2, [height - 0.13, height + 0.13], color=LINES[kind])
    _name_rows(axes, found)
    axes.set(xlabel=xlabel, xlim=(0, 100))
    figure.legend(loc="outside upper center", ncols=len(versions), handletextpad=0.1)
    return figure


def _name_rows(axes: plt.Axes, names: Iterable[str]) -> None:
    """The first row on top, without lines through the rows."""
    names = list(names)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def found_alt(found: Found) -> str:
    """The picture of `found_figure` in words, with its means."""
    said = {
        detector: ", ".join(f"{version} {spread(values)}" for version, values in by_version.items())
        for detector, by_version in found.items()
    }
    return "; ".join(f"{detector}: {words}" for detector, words in said.items()) + "."


@styled
def climax(
    columns: Sequence[tuple[str, Sequence[np.ndarray]]], rows: Sequence[str], heat_max: float
) -> Figure:
    """Columns of pictures under their titles, all rows named at the left.

    columns: (title, pictures) pairs; a picture is a photo, uint8 ``(H, W, 3)``, or a map, float ``(H, W)``, whose
    colors end at heat_max.
    """
    side = (WIDTH - 0.3) / len(columns)
    figure, grid = plt.subplots(len(rows), len(columns), figsize=(WIDTH, len(rows) * (side - 0.06) + 0.3))
    for column, (title, pictures) in enumerate(columns):
        grid[0, column].set_title(title, fontsize=9.5, pad=3)
        for axis, picture in zip(grid[:, column], pictures, strict=True):
            heat = {"cmap": "magma", "vmin": 0, "vmax": heat_max} if picture.dtype.kind == "f" else {}
            axis.imshow(picture, **heat)
            axis.set(xticks=[], yticks=[])
            axis.grid(visible=False)
            axis.spines[:].set_visible(False)
    for axis, name in zip(grid[:, 0], rows, strict=True):
        axis.set_ylabel(name, fontsize=9.5)
    return figure


class Recorded:
    """The experiment of `benchmarks/what_it_sees.py`. results: the folder of records; empty: the kit's."""

    def __init__(self, results: Path | str = "") -> None:
        file = record_files.folder("results", results) / FILE
        self.lines = json.loads(file.read_text(encoding="utf-8"))

    def found(self, score: str = "ap") -> Found:
        """Detector to version to a number for each seed. score: "ap" or "f1" (of the best threshold)."""
        found: dict[str, dict[str, list[float]]] = {}
        for line in sorted(self.lines, key=_place):
            name = NAMES.get(line["detector"], line["detector"])
            name += ", no adversarial term" if line["adversarial"] is False else ""
            for version, values in line["scores"].items():
                found.setdefault(name, {}).setdefault(version, []).append(values[score])
        return found

    def table(self) -> Any:
        """Average precision and, behind it, the best F1, for each detector and version of the photos."""
        note = (
            "Average precision / F1 of the best threshold, in percent, of the raw map, before filter and threshold, "
            "pooled over DeepCrack's test photos at 256 × 256; mean ± standard deviation over the runs. Scale lite, "
            "recipe paper, trained on DeepCrack's undamaged crops. The last two lines are maps that learn nothing."
        )
        heading = "Color of the holes, on DeepCrack"
        return found_table(self.found("ap"), heading, note, "sees-recorded", self.found("f1"))

    def says(self) -> Any:
        """What the record says, in sentences whose numbers and comparisons are computed from it."""
        found = self.found()
        networks = {name: of for name, of in found.items() if name.split(",")[0] in NAMES.values()}
        whole = {name: of for name, of in networks.items() if len(of["as they are"]) >= SEEDS}
        said = [
            f"{name}: {spread(of['as they are'])} % on the photos as they are, {spread(of['inverted'])} % inverted, "
            f"{spread(of['brightened'])} % with brightened cracks."
            for name, of in whole.items()
        ]
        runs = [value for of in networks.values() for value in of["as they are"]]
        bar = found["darkness"]["as they are"][0]
        above = sum(value > bar for value in runs)
        # No best F1 is below that of marking everything, which is all that darkness does on inverted photos.
        least = min(values["f1"] for line in self.lines for values in line["scores"].values())
        said += [
            f"{above} of {len(runs)} networks find the cracks of the photos as they are better than darkness, which "
            f"has {bar:.1f} %; the best of them has {max(runs):.1f} %.",
            f"A map that knows nothing would have the crack fraction, {100 * least / (200 - least):.1f} %.",
        ]
        if waiting := [name for name in networks if name not in whole]:
            said.append(f"Fewer than {SEEDS} runs, so no claim: {', '.join(waiting)}.")
        return items([html.escape(line) for line in said])


def _place(line: Mapping[str, Any]) -> tuple[bool, bool, int, int]:
    """Networks with the adversarial term, then those without it, then what learns nothing."""
    learns = line["detector"] in NAMES
    color = list(NAMES).index(line["detector"]) if learns else 0
    return not learns, line["adversarial"] is False, color, line["seed"] or 0


def printed_steps() -> dict[str, float]:
    """What one more term of the loss adds to F1 in Table I as printed, in points, for every pair of such rows."""
    rows = {frozenset(row.key.split("+")): row.f1 for row in published.rows(1)}
    return {
        f"{'+'.join(sorted(more - less))} added to {'+'.join(sorted(less))}": rows[more] - rows[less]
        for less, more in itertools.permutations(rows, 2)
        if less < more and len(more - less) == 1
    }


def seed_differences(results: Path | str = "") -> list[float]:
    """By how many points F1 of two records differs, of UP-CrackNet by recipe paper, that differ in the seed alone.

    Training and test photos are of one kind. A network that was tested in several ways counts once, in the plain
    way. results: as for `Recorded`.
    """
    groups, counted = defaultdict(list), set()
    for record in sorted(
        recorded(record_files.folder("results", results)), key=lambda r: len(r.key.overrides)
    ):
        key, tested = record.key, (record.train.checkpoint_sha256, record.key.test_set)
        home = (key.method, key.recipe) == (CRACKNET, "paper") and (key.train_set, key.test_set) in HOME
        if home and tested not in counted:
            counted.add(tested)
            groups[key.model_dump_json(exclude={"seed"})].append(scores(record)["f1"])
    return [abs(a - b) for some in groups.values() for a, b in itertools.combinations(some, 2)]


@styled
def differences_figure(rows: Mapping[str, Sequence[float]]) -> Figure:
    """One row of dots for each kind of difference, in points of F1; a line at its median."""
    figure, axes = plt.subplots(figsize=(WIDTH, 0.7 * len(rows) + 0.8))
    for row, values in enumerate(rows.values()):
        jitter = np.resize((0, 0.1, -0.1, 0.2, -0.2), len(values))
        look = {"marker": MARKERS[row], "color": LINES[row], "alpha": 0.75, "linestyle": "", "markersize": 6}
        axes.plot(np.sort(values), row + jitter, **look)
        axes.plot([statistics.median(values)] * 2, [row - 0.33, row + 0.33], color="#111111")
    _name_rows(axes, rows)
    axes.set(xlabel="difference of F1, points", ylim=(len(rows) - 0.5, -0.5))
    return figure


def floor_for(levels: Sequence[np.ndarray], thresholds: Sequence[int], limit: float) -> int:
    """The smallest floor, 0 to 255, below which no threshold may lie, that marks at most a fraction of some photos.

    levels: maps of photos without a crack, integers from 0 to 255; thresholds: what each map's rule says.
    """

    def marked(floor: int) -> float:
        pairs = zip(levels, thresholds, strict=True)
        return float(np.mean([(level > max(threshold, floor)).mean() for level, threshold in pairs]))

    return next(floor for floor in range(256) if marked(floor) <= limit)
