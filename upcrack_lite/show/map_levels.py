"""The error on crack and on sound road, rung by rung, as a picture and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from upcrack_lite.reproduction.ladder import Step
from upcrack_lite.reproduction.map_levels import Levels, step_levels
from upcrack_lite.show.figures import LINES, WIDTH, styled
from upcrack_lite.show.ladder import name, wrapped

KINDS = {"sound": ("sound road", LINES[0], "s"), "crack": ("crack", LINES[1], "o")}


class LevelChart:
    """What each measured rung does to the map of errors, before any filter or cut."""

    def __init__(self, steps: Sequence[Step]) -> None:
        both = ((step, step_levels(step)) for step in steps)
        self.found: Mapping[str, tuple[Levels, Levels]] = {name(step): two for step, two in both if two}

    @styled
    def picture(self) -> Figure:
        """A row a rung: the mean error on each kind of pixel, and a stroke where the plain recipe has it."""
        figure, axes = plt.subplots(figsize=(WIDTH, 1.1 + 0.48 * max(1, len(self.found))))
        for place, (before, after) in enumerate(self.found.values()):
            for kind, (_, color, marker) in KINDS.items():
                old, new = getattr(before, kind), getattr(after, kind)
                axes.plot([old, new], [place] * 2, color=color, linewidth=1.5)
                axes.plot(old, place, "|", color="#111111", markersize=14, markeredgewidth=1.6)
                axes.plot(new, place, marker, color=color, markersize=7)
        axes.set_yticks(range(len(self.found)), [wrapped(one) for one in self.found], fontsize=8.5)
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel("mean error, 0 to 1")
        for label, color, marker in KINDS.values():
            axes.plot([], [], marker, color=color, markersize=7, label=f"on {label}")
        axes.plot([], [], "|", color="#111111", markersize=11, markeredgewidth=1.6, label="plain recipe")
        figure.legend(loc="outside upper center", ncols=3, fontsize=9, handletextpad=0.3, columnspacing=1.2)
        return figure

    def alt(self) -> str:
        """The picture in words, with its numbers."""
        if not self.found:
            return "No rung is measured yet."
        said = [
            f"{one}: sound road {before.sound:.2f} to {after.sound:.2f}, "
            f"crack {before.crack:.2f} to {after.crack:.2f}"
            for one, (before, after) in self.found.items()
        ]
        return f"Mean error, from the plain recipe to the rung. {'; '.join(said)}."
