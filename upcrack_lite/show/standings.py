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

from upcrack_lite.baselines.kinds import CRACKNET
from upcrack_lite.reproduction import cells, places, published
from upcrack_lite.reproduction.conditions import SETS
from upcrack_lite.reproduction.standings import GROUPS, Standing, all_marked, map_worth, standings, test_sets
from upcrack_lite.reproduction.tables import recorded
from upcrack_lite.show.figures import LINES, MARKERS, WIDTH, styled
from upcrack_lite.show.markup import great, items
from upcrack_lite.show.pages import TITLES

KINDS = {
    "masks": "learns from crack masks",
    "undamaged": "learns from undamaged road",
    "nothing": "does not learn",
}
_LOOKS = dict(
    zip(GROUPS, ((LINES[0], MARKERS[0]), (LINES[1], MARKERS[2]), (LINES[2], MARKERS[1])), strict=True)
)


class Standings:
    """The page's parts. Parameters are those of the notebook; see `repro.standings.standings`.

    Raises UserError for an unknown name.
    """

    def __init__(self, train_set: str = "deepcrack", scale: str = "lite", results: Path | str = "") -> None:
        self.train_set, self.scale, results = train_set, scale, places.folder("results", results)
        self.lines = standings(recorded(results), train_set, scale)
        self.tests = test_sets(self.lines, train_set)
        self.worth = {(one, name): map_worth(ours) for one in self.lines for name, ours in one.ours.items()}

    def table(self) -> Any:
        """F1 with each method's own cut, and average precision of its map, on every test set."""
        if not self.lines:
            return items([f"There is no record of {self.scale} scale, trained on {self.train_set}, yet."])
        rows = []
        for one in self.lines:
            row = {"": self.name(one), "learns": KINDS[one.kind].removeprefix("learns from ")}
            for name in self.tests:
                ours, worth = one.ours.get(name), self.worth.get((one, name))
                row[f"f1_{name}"] = f"{one.f1(name):.1f}" if ours else "–"
                row[f"ap_{name}"] = f"{worth.average_precision:.1f}" if worth else "–"
            rows.append(row)
        labels = {"learns": "learns from"}
        labels |= {f"f1_{name}": "F1" for name in self.tests} | {f"ap_{name}": "AP" for name in self.tests}
        spanners = {name: [f"f1_{name}", f"ap_{name}"] for name in self.tests}
        note = (
            "In percent. F1: with the cut of each method's own rule. AP: average precision, the area under the curve "
            "of precision over recall, which needs no cut. "
            + self._seeds()
            + " Every line was trained, or its variant chosen, on "
            + f"{self.train_set}: {html.escape(SETS[self.train_set])}."
        )
        return great("All methods side by side", rows)(
            labels, spanners, note, "side-by-side", text=("learns",)
        )

    def says(self) -> Any:
        """What the records say, in sentences whose numbers are computed from them."""
        found = []
        for name in self.tests:
            best = []
            for kind in GROUPS:
                if some := [one for one in self.lines if one.kind == kind and name in one.ours]:
                    top = max(some, key=lambda one: one.f1(name))
                    best.append(f"{self.name(top)} {top.f1(name):.1f} % ({KINDS[kind]})")
            found.append(f"Best F1 on {name}: {'; '.join(best)}.")
        found += [line for name in self.tests if (line := self._cut(name))]
        found += [line for name in self.tests[1:] if (line := self._away(name))]
        return items([html.escape(line) for line in found])

    def picture(self) -> Figure:
        """A row a method, a panel a test set: F1 with its own cut (filled), and with the best one (hollow)."""
        return _picture(self)

    def alt(self) -> str:
        """The picture in words, with its numbers."""
        if not self.lines:
            return "No method has a record yet."
        said = []
        for name in self.tests:
            values = ", ".join(
                f"{self.name(one)} {one.f1(name):.0f}" for one in self.lines if name in one.ours
            )
            said.append(f"F1 on {name}, percent: {values}.")
        return " ".join(said)

    def name(self, one: Standing) -> str:
        """A line in words; the recipe only where a method has records of two."""
        recipes = {other.recipe for other in self.lines if other.key == one.key}
        return TITLES[one.key] + (f", {one.recipe}" if len(recipes) > 1 else "")

    def _seeds(self) -> str:
        counts = sorted({len(ours.seeds) for one in self.lines for ours in one.ours.values()})
        own = sorted({len(o.seeds) for one in self.lines if one.key == CRACKNET for o in one.ours.values()})
        if counts == [1]:
            return "One seed each."
        return f"UP-CrackNet's lines are means over {own[-1]} seeds." if own and own != [1] else ""

    def _cut(self, name: str) -> str:
        """How much the fixed cut costs methods that learn from masks, measured by the best single threshold."""
        lost = [
            worth.f1 - one.f1(name)
            for one in self.lines
            if one.kind == "masks" and (worth := self.worth.get((one, name)))
        ]
        if len(lost) < 3:
            return ""
        return (
            f"On {name}, the {len(lost)} networks that learned from masks would gain {statistics.median(lost):.1f} "
            f"points of F1 in the median (from {min(lost):.1f} to {max(lost):.1f}) with the best single threshold in "
            "place of 0.5."
        )

    def _away(self, name: str) -> str:
        """Whether who is good at home is good away: the rank correlation over trained methods."""
        home = self.tests[0]
        both = [one for one in self.lines if one.kind != "nothing" and {home, name} <= one.ours.keys()]
        if len(both) < 5:
            return ""
        first, second = ([one.f1(test) for one in both] for test in (home, name))
        if min(len(set(first)), len(set(second))) < 2:
            return ""
        rank = spearmanr(first, second).statistic
        return (
            f"From {home} to {name}, the order of the {len(both)} trained lines has a rank correlation "
            f"of {rank:+.2f} (1: the same order; 0: unrelated)."
        )


@styled
def _picture(page: Standings) -> Figure:
    places, marks, y = {}, [], 0.0
    for i, one in enumerate(page.lines):
        y += 0.7 if i and one.kind != page.lines[i - 1].kind else 0.0
        places[one] = y
        marks.append((y, page.name(one)))
        y += 1.0
    many = max(1, len(page.tests))
    figure, all_axes = plt.subplots(
        1, many, figsize=(WIDTH, 1.3 + 0.22 * max(4, y)), sharey=True, sharex=True, squeeze=False
    )
    for axes, name in zip(all_axes[0], page.tests, strict=False):
        here = [one for one in page.lines if name in one.ours]
        axes.axvline(all_marked(here[0].ours[name]), color="#555555", linewidth=1.2, linestyle=":")
        for one in here:
            color, marker = _LOOKS[one.kind]
            own, worth = one.f1(name), page.worth[one, name]
            if worth and not math.isnan(worth.f1):
                axes.plot([own, worth.f1], [places[one]] * 2, color=color, linewidth=1, alpha=0.6, zorder=1)
                axes.plot(
                    worth.f1,
                    places[one],
                    marker=marker,
                    color=color,
                    markersize=5,
                    fillstyle="none",
                    zorder=2,
                )
            axes.plot(own, places[one], marker=marker, color=color, markersize=5.5, zorder=3)
        if name == page.tests[0] and (table := _home_table(page)):
            for one in here:
                if one.key in (printed := {row.key: row.f1 for row in published.rows(table)}):
                    axes.plot(printed[one.key], places[one], "x", color="#111111", markersize=4.5, zorder=2)
        axes.set_title(name, fontsize=9.5)
        axes.set_xlim(-4, 104)
        axes.set_xticks([0, 50, 100])
        axes.tick_params(axis="y", length=0)
    all_axes[0][0].set_yticks([place for place, _ in marks], [name for _, name in marks], fontsize=8)
    all_axes[0][0].set_ylim(max(4, y) - 0.3, -0.7)
    figure.supxlabel("F1, percent", fontsize=11)
    _legend(
        figure,
        [kind for kind in GROUPS if any(one.kind == kind for one in page.lines)],
        bool(_home_table(page)),
    )
    return figure


def _home_table(page: Standings) -> int | None:
    """The printed table whose own two sets are the first panel's; None where the panel shows a stand-in."""
    pair = (page.train_set, page.tests[0] if page.tests else "")
    return next((number for number, sets in cells.PAIRS.items() if sets == pair and number > 2), None)


def _legend(figure: Figure, kinds: list[str], printed: bool) -> None:
    axes = figure.axes[0]
    for kind in kinds:
        color, marker = _LOOKS[kind]
        axes.plot([], [], linestyle="", marker=marker, color=color, label=KINDS[kind])
    axes.plot([], [], linestyle="", marker="o", color="#555555", label="cut by its own rule")
    hollow = "cut at the best single threshold"
    axes.plot([], [], linestyle="", marker="o", fillstyle="none", color="#555555", label=hollow)
    axes.plot([], [], linestyle=":", color="#555555", label="every pixel marked")
    if printed:
        axes.plot([], [], linestyle="", marker="x", color="#111111", label="printed in the paper")
    figure.legend(loc="outside upper center", ncols=2, fontsize=8.5, handletextpad=0.4, columnspacing=1.2)
