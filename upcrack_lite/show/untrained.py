"""Training-free baselines as pictures: their maps, and a family counted on two sets. Chapter 16."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from upcrack_lite.baselines import training_free
from upcrack_lite.baselines.training_free import MAPS, Variant, f1_of, to_gray
from upcrack_lite.metrics import Confusion
from upcrack_lite.show.figures import LINES, MARKERS, WIDTH, styled

TITLES = {
    "global_darkness": "global darkness",
    "local_darkness": "local darkness",
    "black_tophat": "black top-hat",
    "frangi": "Frangi's ridges",
    "sato": "Sato's ridges",
    "gabor": "Gabor filters",
}
"""A map's name in words."""


def all_maps(photo: np.ndarray, sigma: float = 0.0) -> list[tuple[str, np.ndarray]]:
    """Every map of a photo, uint8 `(H, W, 3)`, under its title, each divided by its own maximum: float `(H, W)`."""
    gray = to_gray(photo)
    return [(TITLES[name], training_free.stretched(make(gray, sigma))) for name, make in MAPS.items()]


class FamilyScores:
    """A family: each variant's pooled counts on a training set and on a test set, from `training_free.counts`.

    selected: the best on the training set, frozen before the test. luckiest: the best on the test set, which nobody
    knows before the test. numbers: F1 in percent on the test set of these two, and the median of all variants.
    """

    def __init__(self, training: Mapping[Variant, Confusion], test: Mapping[Variant, Confusion]) -> None:
        self.training, self.test = training, test
        self.selected, self.luckiest = map(training_free.best_of, (training, test))
        self.numbers = {
            "best on the test set": f1_of(test[self.luckiest]),
            "chosen on the training set": f1_of(test[self.selected]),
            "median": training_free.median_f1(test),
        }


@styled
def family_figure(scored: FamilyScores) -> Figure:
    """Two rows of dots, one for each variant: F1 on the training set above, on the test set below.

    The frozen variant is joined across both rows; the best on the test set and the median are marked.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 3.3))
    for height, counted in ((1.0, scored.training), (0.0, scored.test)):
        values = np.array([f1_of(one) for one in counted.values()])
        # Five heights in turn, in the order of the values, keep neighboring dots apart.
        apart = np.empty(len(values))
        apart[np.argsort(values)] = np.resize((0, 0.1, -0.1, 0.2, -0.2), len(values))
        axes.plot(values, height + apart, "o", markersize=4.5, color=LINES[7], alpha=0.7, zorder=2)
        median = [training_free.median_f1(counted)] * 2
        axes.plot(median, [height - 0.24, height + 0.24], color=LINES[4], linewidth=2)
    frozen = [f1_of(counted[scored.selected]) for counted in (scored.training, scored.test)]
    axes.plot(frozen, (1, 0), color=LINES[0], linewidth=1.2, linestyle="--", zorder=3)
    look = {"linestyle": "", "markersize": 9, "zorder": 4, "markeredgecolor": "white"}
    axes.plot(frozen, (1, 0), marker=MARKERS[1], color=LINES[0], label="chosen on the training set", **look)
    best = scored.numbers["best on the test set"]
    # Below the row, so that it also shows where both are one variant.
    axes.plot(best, -0.3, marker=MARKERS[2], color=LINES[1], label="best on the test set", **look)
    axes.plot([], [], color=LINES[4], linewidth=2, label="median")
    axes.set_yticks((1, 0), ("training set", "test set"))
    axes.set(xlabel="F1, percent", ylim=(-0.5, 1.4))
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper center", ncols=3, handlelength=1.4, columnspacing=1.2)
    return figure


def family_alt(scored: FamilyScores) -> str:
    """The picture of a family in words, with its numbers."""
    said = ", ".join(f"{name} {value:.1f}" for name, value in scored.numbers.items())
    trained = f1_of(scored.training[scored.selected])
    return (
        f"F1 of {len(scored.test)} variants on two sets, one dot for each. On the test set: {said}. The one chosen "
        f"has {trained:.1f} on the training set."
    )
