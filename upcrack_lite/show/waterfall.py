"""Where the points go, from the error map to the mask: F1 at each stage, from records. Chapter: why 33 and not 45."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from upcrack_lite.baselines.registry import CRACKNET
from upcrack_lite.reproduction import published
from upcrack_lite.reproduction.ablation import Step, ablation, stages
from upcrack_lite.reproduction.record_files import folder
from upcrack_lite.reproduction.records import load, paths
from upcrack_lite.show.ablation import name
from upcrack_lite.show.figures import LINES, WIDTH, show, styled

STAGES = {
    "raw": ("error map, best threshold", LINES[2], "o"),
    "smoothed": ("after the filter, best threshold", LINES[0], "s"),
    "mask": ("the mask: Otsu's threshold", LINES[1], "D"),
}


def stages_of(steps: Sequence[Step]) -> dict[str, dict[str, float]]:
    """Row in words to `ablation.stages`: the plain recipe, then each measured step. Empty without records."""
    plain = {before.slug: before for step in steps for before, _ in step.pairs}
    if not plain:
        return {}
    changed = {name(step): stages([after for _, after in step.pairs]) for step in steps if step.seeds}
    return {"recipe paper": stages(list(plain.values())), **changed}


@styled
def picture(rows: dict[str, dict[str, float]], printed: float) -> Figure:
    """A row a recipe: F1 of its raw map, after the filter, and of the mask; a line where the paper's F1 lies.

    rows: `stages_of`. printed: F1 in percent.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 1.3 + 0.4 * len(rows)))
    axes.axvline(printed, color="#111111", linestyle="--", linewidth=1.4, label=f"printed, {printed:.1f}")
    for place, values in enumerate(rows.values()):
        for first, second in (("raw", "smoothed"), ("smoothed", "mask")):
            axes.plot(
                [values[first], values[second]], [place] * 2, color=STAGES[second][1], linewidth=3, alpha=0.5
            )
        for stage, (_, color, marker) in STAGES.items():
            axes.plot(values[stage], place, marker, color=color, markersize=7)
    for value in (next(iter(rows.values()))[stage] for stage in STAGES):
        place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center", "fontsize": 8.5}
        axes.annotate(f"{value:.1f}", (value, 0), **place)
    for label, color, marker in STAGES.values():
        axes.plot([], [], marker, color=color, markersize=7, label=label)
    axes.set_yticks(range(len(rows)), [textwrap.fill(title, 30) for title in rows], fontsize=8.5)
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="F1, percent")
    figure.legend(loc="outside upper center", ncols=2, fontsize=9, handlelength=1.6, columnspacing=1.4)
    return figure


def alt(rows: dict[str, dict[str, float]], printed: float) -> str:
    """`picture` in words, with its numbers."""
    said = [
        f"{title} {', '.join(f'{values[stage]:.1f}' for stage in STAGES)}" for title, values in rows.items()
    ]
    return f"F1 in percent; printed {printed:.1f}. {', then '.join(STAGES)}: {'; '.join(said)}."


def where_the_points_go(results: Path | str = "") -> None:
    """Show the stages of UP-CrackNet, lite, trained and tested on DeepCrack, beside Table IV's F1.

    results: the folder of records; empty: the repository's.
    """
    given = [load(path) for path in paths(folder("results", results)) if path.name.startswith(f"{CRACKNET}-")]
    rows = stages_of(ablation(given))
    printed = published.row(4, published.OWN).f1
    if not rows:
        print("No record of both recipes, lite scale, on DeepCrack is there yet.")
        return
    show(picture(rows, printed), alt(rows, printed))
