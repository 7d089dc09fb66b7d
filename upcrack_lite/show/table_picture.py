"""A table as a picture: F1 printed and ours, a line for each row. Pages: the tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import fill

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from upcrack_lite.baselines.registry import CRACKNET, DRAWN
from upcrack_lite.reproduction import experiments, published
from upcrack_lite.reproduction.tables import Ours, TableRow, nearest_by_scale
from upcrack_lite.show.figures import LINES, MARKERS, WIDTH, styled
from upcrack_lite.show.table_words import TITLES, speaking_for, title

SCALES = {"lite": (LINES[0], MARKERS[0]), "half": (LINES[2], MARKERS[2]), "full": (LINES[1], MARKERS[1])}
"""Scales of ours, and the color and shape of each."""


def levels(rows: Sequence[TableRow], beside: Sequence[TableRow]) -> dict[str, tuple[float, str]]:
    """F1 of what to compare a table of methods with, by name, each with its line's dashes; empty for one of choices.

    The training-free baseline that the training photos speak for; the best supervised network of ours; the detector
    that learned from drawn cracks.
    """
    found = {}
    if free := speaking_for(beside):
        found[f"training-free: {title(free[0].printed)}"] = (free[1].f1, ":")
    supervised = ("general_supervised", "crack_supervised")
    if taught := [row for row in rows if row.ours and row.printed.strategy in supervised]:
        best = max(taught, key=lambda row: row.ours[0].f1)
        found[f"best supervised of ours: {title(best.printed)}"] = (best.ours[0].f1, "--")
    if drawn := [row for row in beside if row.printed.key == DRAWN and row.ours]:
        found[TITLES[DRAWN]] = (drawn[0].ours[0].f1, "-.")
    return found


def _panels(
    rows: Sequence[TableRow], beside: Sequence[TableRow], recipe: str
) -> tuple[list[TableRow], dict[str, list[dict[str, Ours]]]]:
    """The rows in their order, and what each panel shows: its title, and of each row ours by scale.

    Methods stand by printed F1, the highest first; choices in the printed order; without printed rows the others.
    There is one panel; for choices another for each pair of sets on which two rows or more can be compared.
    """
    if not (shown := list(rows) or [row for row in beside if row.ours]):
        return [], {}
    facts, choices = published.TABLES[shown[0].printed.table], shown[0].printed.table in experiments.CHOICES
    if rows and not choices:
        shown.sort(key=lambda row: -row.printed.f1)
    found = {facts.sets: [nearest_by_scale(row, recipe) for row in shown]}
    for place, row in enumerate(shown if choices else ()):
        for ours in row.ours:
            if ours.recipe == recipe and ours not in found[facts.sets][place].values():
                name = f"{ours.train_set} → {ours.test_set}"
                found.setdefault(name, [{} for _ in shown])[place].setdefault(ours.scale, ours)
    kept = {name: ours for name, ours in found.items() if name == facts.sets or sum(map(bool, ours)) > 1}
    return shown, kept


def alt(rows: Sequence[TableRow], beside: Sequence[TableRow], recipe: str) -> str:
    """The picture in words, with its numbers."""
    said = []
    shown, panels = _panels(rows, beside, recipe)
    for name, found in panels.items():
        values = []
        for row, ours in zip(shown, found, strict=True):
            printed = name == published.TABLES[row.printed.table].sets and not math.isnan(row.printed.f1)
            parts = [f"printed {row.printed.f1:.1f}"] if printed else []
            parts += [f"{scale} {one.f1:.1f}" for scale, one in ours.items()]
            values += [f"{title(row.printed)} {', '.join(parts)}"] if parts else []
        said.append(f"F1 in percent, {name}: {'; '.join(values)}.")
    said += [f"Line: {name}, {f1:.1f}." for name, (f1, _) in levels(rows, beside).items()]
    return " ".join(said) or "Nothing is printed or recorded."


@styled
def picture(rows: Sequence[TableRow], beside: Sequence[TableRow], recipe: str) -> Figure:
    """A line a row: printed ×, ours by scale with the 95 % interval; lines of what to compare with."""
    shown, panels = _panels(rows, beside, recipe)
    lines, names = levels(rows, beside), [fill(title(row.printed), 26) for row in shown]
    height = 0.34 if any("\n" in name for name in names) else 0.24
    size = (WIDTH, 1.35 + height * max(3, len(shown)) + 0.1 * len(lines))
    several = {"sharey": True, "sharex": True, "squeeze": False}
    figure, (grid,) = plt.subplots(1, max(1, len(panels)), figsize=size, **several)
    first = grid[0]
    if rows:
        values = [row.printed.f1 for row in shown]
        first.plot(values, range(len(shown)), "x", color="#111111", label="printed")
    scales = [scale for scale in SCALES if any(scale in one for ours in panels.values() for one in ours)]
    for place, scale in enumerate(scales):
        # Dots of two scales lie above each other, so that their intervals do not cover one another.
        offset = 0.4 * (place + 0.5) / len(scales) - 0.2
        color, marker = SCALES[scale]
        for axes, ours in zip(grid, panels.values(), strict=True):
            dots = [(y + offset, one[scale]) for y, one in enumerate(ours) if scale in one]
            for y, one in dots:
                score = one.scores["f1"]
                if not math.isnan(score.low):
                    axes.plot([score.low, score.high], [y] * 2, color=color, linewidth=1.6, zorder=2)
                axes.plot(one.f1, y, marker, color=color, markersize=5, zorder=4)
        first.plot([], [], marker, color=color, label=f"ours, {scale}, with 95 % interval")
    for name, (f1, dashes) in lines.items():
        look = {"color": "#555555", "linestyle": dashes, "linewidth": 1.2, "zorder": 1}
        first.axvline(f1, label=f"{name}, {f1:.1f}", **look)
    for axes, name in zip(grid, panels if len(panels) > 1 else (), strict=False):
        axes.set_title(f"{'printed' if axes is first else 'ours'}\n{name}", fontsize=9)
    first.set_yticks(range(len(shown)), names, fontsize=9)
    for label, row in zip(first.get_yticklabels(), shown, strict=True):
        label.set_fontweight("bold" if row.printed.key == CRACKNET else "normal")
    first.set_ylim(max(3, len(shown)) - 0.4, -0.6)
    if len(panels) < 2:
        first.set_xlim(-2, 102)
    figure.supxlabel("F1, percent", fontsize=10.5)
    figure.legend(loc="outside upper center", ncols=2, fontsize=9, handletextpad=0.5, columnspacing=1.2)
    return figure
