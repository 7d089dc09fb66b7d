"""All methods side by side, as a table, a picture and sentences. Page: all methods side by side."""

from __future__ import annotations

import html
import math
import statistics
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from upcrack_lite.baselines.registry import CRACKNET
from upcrack_lite.reproduction import experiments, published, record_files
from upcrack_lite.reproduction.comparison import GROUPS, Standing, all_marked, lengths, standings, test_sets
from upcrack_lite.reproduction.conditions import SETS
from upcrack_lite.reproduction.tables import recorded
from upcrack_lite.show.figures import LINES, MARKERS, WIDTH, styled
from upcrack_lite.show.markup import items, sentences, table
from upcrack_lite.show.table_page import WORTH
from upcrack_lite.show.table_words import TITLES

LOOKS = {
    "supervised": (LINES[0], MARKERS[0]),
    "unsupervised": (LINES[1], MARKERS[2]),
    "drawn cracks": (LINES[3], MARKERS[3]),
    "training-free": (LINES[2], MARKERS[1]),
}
_GRAY, _BLACK = "#555555", "#111111"


class Comparison:
    """The page's parts. Parameters are those of the notebook; see `reproduction.comparison.standings`.

    Raises UserError for an unknown name.
    """

    def __init__(self, train_set: str = "deepcrack", scale: str = "lite", results: Path | str = "") -> None:
        self.train_set, self.scale = train_set, scale
        self.given = recorded(record_files.folder("results", results))
        self.lines = standings(self.given, train_set, scale)
        self.tests = test_sets(self.lines, train_set)
        self.here = {name: [one for one in self.lines if name in one.ours] for name in self.tests}
        """Of each test set the methods that have a record on it."""
        numbers = [
            n for n, sets in experiments.PAIRS.items() if sets == (train_set, *self.tests[:1]) and n > 2
        ]
        self.printed = {row.key: row.f1 for number in numbers for row in published.rows(number)}
        """Printed F1 of each method on the first two sets; empty where these are not the paper's."""

    def table(self) -> Any:
        """F1 with each method's own threshold and with the best, and average precision, on every test set."""
        if not self.lines:
            return items([f"There is no record of {self.scale} scale, trained on {self.train_set}, yet."])
        seeds = {len(ours.seeds) for one in self.lines for ours in one.ours.values()}
        own = {len(o.seeds) for one in self.lines if one.key == CRACKNET for o in one.ours.values()}
        said = f"UP-CrackNet's lines are means over {max(own)} seeds." if own and own != {1} else ""
        note = (
            f"In percent. F1: with the threshold of each method's own rule. {WORTH} "
            f"{'One seed each.' if seeds == {1} else said} "
            f"Every line was trained, or its variant chosen, on {self.train_set}: "
            f"{html.escape(SETS[self.train_set])}."
        )
        named = [(self.name(one), one) for one in self.lines]
        return self._numbers("All methods side by side", named, note, "side-by-side")

    def longer(self) -> Any:
        """The same for methods that were trained for more than one number of epochs, a line each."""
        found = lengths(self.lines, self.given, self.train_set, self.scale)
        if not found:
            return items([f"No method has records of two lengths at {self.scale} scale."])
        named = [(f"{self.name(one)}, {one.epochs} epochs", one) for one in found]
        seeds = max(len(ours.seeds) for one in found for ours in one.ours.values())
        note = (
            f"As in the table above; means over {seeds} seeds." if seeds > 1 else "As above; one seed each."
        )
        return self._numbers("Trained for longer", named, note, "trained-longer")

    def _numbers(self, heading: str, named: list[tuple[str, Standing]], note: str, slug: str) -> Any:
        """A line each: F1 with the method's own threshold and with the best, and average precision, a set each."""
        rows = []
        for label, one in named:
            row = {"": label, "kind": one.kind}
            for name in self.tests:
                ours = one.ours.get(name)
                values = (ours.f1, ours.worth.f1, ours.worth.average_precision) if ours else ()
                cells = [f"{value:.1f}" for value in values] or ["–"] * 3
                row |= zip((f"f1_{name}", f"best_{name}", f"ap_{name}"), cells, strict=True)
            rows.append(row)
        spanners = {name: [f"f1_{name}", f"best_{name}", f"ap_{name}"] for name in self.tests}
        labels = {"kind": "kind"}
        for columns in spanners.values():
            labels |= zip(columns, ("F1", "best F1", "AP"), strict=True)
        return table(heading, rows, labels, note, slug, spanners, text=("kind",))

    def says(self) -> Any:
        """What the records say, in sentences whose numbers are computed from them."""
        said = []
        for name, here in self.here.items():
            best = []
            for kind in GROUPS:
                if some := [one for one in here if one.kind == kind]:
                    top = max(some, key=lambda one: one.f1(name))
                    best.append(f"{self.name(top)} {top.f1(name):.1f} % ({kind})")
            said.append(f"Best F1 on {name}: {'; '.join(best)}.")
        said += [self._lost(name) for name in self.tests] + [self._away(name) for name in self.tests[1:]]
        return sentences([line for line in said if line])

    def alt(self) -> str:
        """The picture in words, with its numbers."""
        said = []
        for name, here in self.here.items():
            values = ", ".join(f"{self.name(one)} {one.f1(name):.0f}" for one in here)
            said.append(f"F1 on {name}, percent: {values}.")
        return " ".join(said) or "No method has a record yet."

    def name(self, one: Standing) -> str:
        """A line in words; the recipe only where a method has records of two."""
        recipes = {other.recipe for other in self.lines if other.key == one.key}
        return TITLES[one.key] + (f", {one.recipe}" if len(recipes) > 1 else "")

    def _lost(self, name: str) -> str:
        """How much the fixed threshold costs methods that learn from masks, against the best single one."""
        lost = [o.ours[name].worth.f1 - o.f1(name) for o in self.here[name] if o.kind == "supervised"]
        if len(lost) < 3:
            return ""
        return (
            f"On {name}, the {len(lost)} supervised networks would gain {statistics.median(lost):.1f} "
            f"points of F1 in the median (from {min(lost):.1f} to {max(lost):.1f}) with the best single threshold in "
            "place of 0.5."
        )

    def _away(self, name: str) -> str:
        """Whether who is good at home is good away: the rank correlation over trained methods."""
        home = self.tests[0]
        both = [one for one in self.here[name] if one.kind != "training-free" and home in one.ours]
        first, second = ([one.f1(test) for one in both] for test in (home, name))
        if len(both) < 5 or min(len(set(first)), len(set(second))) < 2:
            return ""
        return (
            f"From {home} to {name}, the order of the {len(both)} trained lines has a rank correlation "
            f"of {spearmanr(first, second).statistic:+.2f} (1: the same order; 0: unrelated)."
        )

    @styled
    def picture(self) -> Figure:
        """A row a method, a panel a test set: F1 with its own threshold (filled), and with the best one (hollow)."""
        heights, y = {}, 0.0
        for before, one in zip([None, *self.lines], self.lines, strict=False):
            y += 0.7 if before and one.kind != before.kind else 0.0
            heights[one] = y
            y += 1.0
        size = (WIDTH, 1.3 + 0.22 * max(4, y))
        several = {"sharey": True, "sharex": True, "squeeze": False}
        figure, (grid,) = plt.subplots(1, max(1, len(self.tests)), figsize=size, **several)
        for panel, name in zip(grid, self.tests, strict=False):
            self._panel(panel, name, heights)
        first = grid[0]
        first.set_yticks([*heights.values()], [self.name(one) for one in heights], fontsize=8)
        first.set_ylim(max(4, y) - 0.3, -0.7)
        figure.supxlabel("F1, percent", fontsize=11)
        for kind in (kind for kind in GROUPS if any(one.kind == kind for one in self.lines)):
            color, marker = LOOKS[kind]
            first.plot([], [], marker, color=color, label=kind)
        first.plot([], [], "o", color=_GRAY, label="threshold by its own rule")
        first.plot([], [], "o", fillstyle="none", color=_GRAY, label="the best single threshold")
        first.plot([], [], linestyle=":", color=_GRAY, label="every pixel marked")
        if self.printed:
            first.plot([], [], "x", color=_BLACK, label="printed in the paper")
        figure.legend(loc="outside upper center", ncols=2, fontsize=8.5, handletextpad=0.4, columnspacing=1.2)
        return figure

    def _panel(self, axes: plt.Axes, name: str, heights: dict[Standing, float]) -> None:
        here, printed = self.here[name], self.printed if name == self.tests[0] else {}
        axes.axvline(all_marked(here[0].ours[name]), color=_GRAY, linewidth=1.2, linestyle=":")
        for one in here:
            color, marker = LOOKS[one.kind]
            own, best, y = one.f1(name), one.ours[name].worth.f1, heights[one]
            if not math.isnan(best):
                axes.plot([own, best], [y] * 2, color=color, linewidth=1, alpha=0.6, zorder=1)
                axes.plot(best, y, marker, color=color, markersize=5, fillstyle="none", zorder=2)
            axes.plot(own, y, marker, color=color, markersize=5.5, zorder=3)
            if one.key in printed:
                axes.plot(printed[one.key], y, "x", color=_BLACK, markersize=4.5, zorder=2)
        axes.set_title(name, fontsize=9.5)
        axes.set_xlim(-4, 104)
        axes.set_xticks([0, 50, 100])
        axes.tick_params(axis="y", length=0)
