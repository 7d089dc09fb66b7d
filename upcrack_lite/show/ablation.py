"""The one-factor ablation as tables and pictures: what each choice changes, and at which stage. Chapter: why 33."""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from upcrack_lite.reproduction import ablation, experiments, published, record_files
from upcrack_lite.reproduction.ablation import SEEDS, Step
from upcrack_lite.reproduction.records import Record, load, paths
from upcrack_lite.reproduction.verdicts import NAMES
from upcrack_lite.show.figures import LINES, WIDTH, show, styled
from upcrack_lite.show.markup import items, shell, table

BARS = {"one released choice": LINES[6], "all released choices": LINES[1], "another choice": LINES[7]}
LEVELS = {"background": (LINES[0], "s"), "crack": (LINES[1], "o")}
STAGES = {
    "raw": ("error map, best threshold", LINES[2], "o"),
    "smoothed": ("after the filter, best threshold", LINES[0], "s"),
    "mask": ("the mask: Otsu's threshold", LINES[1], "D"),
}
_REPORTED = {metric: NAMES[metric] for metric in ("precision", "recall", "f1", "iou")}
_SHOWN = _REPORTED | {"marked": "marked"}


def name(step: Step) -> str:
    """A step in words."""
    return step.choice.plain if step.choice else "all released choices together"


def changes(steps: Sequence[Step], others: Sequence[Step] = (), test_set: str = "deepcrack") -> Any:
    """What each step changes, in points, with the interval of its IoU and a p that is corrected for all tests.

    others: the steps that the page tests besides.
    """
    lines = []
    corrected = ablation.holm([*steps, *others])
    for step, p in zip(steps, corrected, strict=False):
        values = ", ".join(step.choice.names) if step.choice else "recipe released"
        line = {"": f"{name(step)}\n{values}", "seeds": str(step.seeds) if step.seeds else "–"}
        line |= {metric: f"{step.change(metric):+.2f}" if step.seeds else "–" for metric in _SHOWN}
        lines.append(line | {"interval": _interval(step), "p": "–" if math.isnan(p) else f"{p:.3f}"})
    labels = {"seeds": "seeds", **_SHOWN, "interval": "IoU: 95 % interval", "p": "p"}
    tests = sum(not math.isnan(p) for p in corrected)
    note = (
        "Changes in points of percent against the plain recipe with the same seeds. “Marked” is the part of all "
        "pixels that is called crack. The interval is of the mean change (Student's t over the seeds), for one step "
        f"looked at alone. p is corrected for the {tests} changes that this page tests (paired t-test, Holm). With "
        "three seeds it is strict: a large change may well have a p above 0.05."
    )
    return table(f"One choice at a time, tested on {test_set}", lines, labels, note, f"ablation-{test_set}")


def _interval(step: Step) -> str:
    if not step.seeds:
        return f"not measured: {', '.join(step.left_out)} differ" if step.left_out else "not measured"
    if step.seeds < SEEDS:
        return f"too few seeds: {step.seeds}"
    return "{:+.2f} to {:+.2f}".format(*step.interval("iou"))


def reasons(
    steps: Sequence[Step], scale: str = "lite", train_set: str = "deepcrack", test_set: str = "deepcrack"
) -> Any:
    """How each choice could move a result, in words, and the command that measures it."""
    lines = []
    for step in steps:
        command = shell(ablation.command(step.choice, scale, train_set, test_set))
        how = step.choice.how if step.choice else "all of the above at once"
        lines.append({"": name(step), "how": how, "command": command})
    note = "The command trains where it must; choices of the test alone use the trained run again."
    hidden = [choice for choice in ablation.CHOICES if choice not in ablation.choices(scale)]
    unseen = "; ".join(f"{choice.plain}: {choice.unseen}" for choice in hidden)
    note += f" Left out here: {unseen}." if unseen else ""
    labels = {"how": "how it could matter", "command": "measure it"}
    wide = tuple(labels)
    return table("The steps", lines, labels, note, "steps", text=wide, prose=wide, markup=("command",))


def report() -> Any:
    """UP-CrackNet on Crack500: printed, with corrected columns, and as a user reported it; percent."""
    printed = published.row(3, published.OWN)
    lines = [
        {"": title} | {metric: f"{getattr(one, metric):.3f}" for metric in _REPORTED}
        for title, one in (("as printed", printed), ("corrected", published.corrected(printed)))
    ]
    lines.append({"": "the report"} | {metric: f"{published.REPORTED[metric]:.1f}" for metric in _REPORTED})
    return table("UP-CrackNet on Crack500", lines, _REPORTED, "In percent.", "report")


def recipes(given: Iterable[Record], scale: str = "lite", train_set: str = "deepcrack") -> Any:
    """Both recipes on each test set that has records of them: means over seeds, and how much is marked."""
    given, lines = list(given), []
    for test_set in experiments.TEST_SETS:
        steps = ablation.ablation(given, scale, train_set, test_set)
        (step,) = [one for one in steps if one.choice is None]
        for recipe, scores in (("paper", step.before), ("released", step.after)) if step.seeds else ():
            means = {metric: f"{statistics.fmean(s[metric] for s in scores):.2f}" for metric in _SHOWN}
            lines.append({"": test_set, "recipe": recipe, "seeds": str(step.seeds), **means})
    if not lines:
        return items([f"No set has records of both recipes, trained on {train_set}."])
    labels = {"recipe": "recipe", "seeds": "seeds", **_SHOWN}
    note = f"Percent; trained on {train_set}, {scale} scale; means over the seeds that both recipes have."
    return table("The two recipes", lines, labels, note, "recipes", text=("recipe",))


@styled
def picture(steps: Sequence[Step]) -> Figure:
    """Change of IoU of each measured step: a bar for the mean, a dot for each seed, a line for the interval."""
    measured = [step for step in steps if step.seeds]
    figure, axes = rows_of(map(name, measured), 1.1, 0.5)
    axes.axvline(0, color="#111111", linewidth=1)
    for place, step in enumerate(measured):
        kind = "another choice" if step.choice in ablation.OTHERS else "one released choice"
        color = BARS[kind if step.choice else "all released choices"]
        axes.barh(place, step.change("iou"), height=0.5, color=color, zorder=1)
        apart = [place + 0.14 * (i - (step.seeds - 1) / 2) for i in range(step.seeds)]  # none hides another
        axes.plot(step.changes("iou"), apart, "o", color="#111111", markersize=4)
        if step.seeds >= SEEDS:
            axes.plot(step.interval("iou"), [place + 0.32] * 2, color="#555555", linewidth=2, zorder=2)
    axes.set_xlabel("change of IoU, points")
    for kind, color in BARS.items():
        axes.plot([], [], "s", color=color, label=f"mean, {kind}", markersize=9)
    axes.plot([], [], "o", color="#111111", markersize=4, label="one seed")
    axes.plot([], [], color="#555555", linewidth=2, label="95 % interval of the mean")
    figure.legend(loc="outside upper center", ncols=3, fontsize=9, handlelength=1.4, columnspacing=1.2)
    return figure


@styled
def levels_picture(steps: Sequence[Step]) -> Figure:
    """A row a step: the mean error on each kind of pixel, and a stroke where the plain recipe has it."""
    measured = [step for step in steps if step.seeds]
    figure, axes = rows_of(map(name, measured), 1.1, 0.5)
    for place, step in enumerate(measured):
        before, after = step.map_levels()
        for kind, (color, marker) in LEVELS.items():
            axes.plot([before[kind], after[kind]], [place] * 2, color=color, linewidth=1.5)
            axes.plot(before[kind], place, "|", color="#111111", markersize=14, markeredgewidth=1.6)
            axes.plot(after[kind], place, marker, color=color, markersize=7)
    axes.set_xlim(left=0)
    axes.set_xlabel("mean error, 0 to 1")
    for kind, (color, marker) in LEVELS.items():
        axes.plot([], [], marker, color=color, markersize=7, label=f"on {kind}")
    axes.plot([], [], "|", color="#111111", markersize=11, markeredgewidth=1.6, label="plain recipe")
    figure.legend(loc="outside upper center", ncols=3, fontsize=9, handletextpad=0.3, columnspacing=1.2)
    return figure


def rows_of(names: Iterable[str], margin: float, height: float) -> tuple[Figure, plt.Axes]:
    """A figure with a named row for each name, the first on top. margin, and height of a row: inches."""
    labels = [textwrap.fill(one, 30) for one in names]
    figure, axes = plt.subplots(figsize=(WIDTH, margin + height * max(1, len(labels))))
    axes.set_yticks(range(len(labels)), labels, fontsize=8.5)
    axes.invert_yaxis()
    return figure, axes


def alt(steps: Sequence[Step]) -> str:
    """`picture` in words, with its numbers."""
    said = [f"{name(step)} {step.change('iou'):+.1f}" for step in steps if step.seeds]
    return f"Change of IoU in points: {'; '.join(said)}." if said else "No step is measured yet."


def levels_alt(steps: Sequence[Step]) -> str:
    """`levels_picture` in words, with its numbers."""
    said = []
    for step in (step for step in steps if step.seeds):
        before, after = step.map_levels()
        moves = [f"{kind} {before[kind]:.2f} to {after[kind]:.2f}" for kind in LEVELS]
        said.append(f"{name(step)}: {', '.join(moves)}")
    shown = f"Mean error, from the plain recipe to the step. {'; '.join(said)}."
    return shown if said else "No step is measured yet."


def stages_of(steps: Sequence[Step]) -> dict[str, dict[str, float]]:
    """Row in words to `ablation.stages`: the plain recipe, then each measured step. Empty without records."""
    plain = {before.slug: before for step in steps for before, _ in step.pairs}
    if not plain:
        return {}
    changed = {
        name(step): ablation.stages([after for _, after in step.pairs]) for step in steps if step.seeds
    }
    return {"recipe paper": ablation.stages(list(plain.values())), **changed}


@styled
def stages_picture(rows: dict[str, dict[str, float]], printed: float) -> Figure:
    """A row a recipe: F1 of its raw map, after the filter, and of the mask; a line where the paper's F1 lies.

    rows: `stages_of`. printed: F1 in percent.
    """
    figure, axes = rows_of(rows, 1.3, 0.4)
    axes.axvline(printed, color="#111111", linestyle="--", linewidth=1.4, label=f"printed, {printed:.1f}")
    for place, values in enumerate(rows.values()):
        for first, second in (("raw", "smoothed"), ("smoothed", "mask")):
            ends = [values[first], values[second]]
            axes.plot(ends, [place] * 2, color=STAGES[second][1], linewidth=3, alpha=0.5)
        for stage, (_, color, marker) in STAGES.items():
            axes.plot(values[stage], place, marker, color=color, markersize=7)
    for value in (next(iter(rows.values()))[stage] for stage in STAGES):
        place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center", "fontsize": 8.5}
        axes.annotate(f"{value:.1f}", (value, 0), **place)
    for label, color, marker in STAGES.values():
        axes.plot([], [], marker, color=color, markersize=7, label=label)
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set(xlim=(0, 100), xlabel="F1, percent")
    figure.legend(loc="outside upper center", ncols=2, fontsize=9, handlelength=1.6, columnspacing=1.4)
    return figure


def stages_alt(rows: dict[str, dict[str, float]], printed: float) -> str:
    """`stages_picture` in words, with its numbers."""
    said = [
        f"{title} {', '.join(f'{values[stage]:.1f}' for stage in STAGES)}" for title, values in rows.items()
    ]
    return f"F1 in percent; printed {printed:.1f}. {', then '.join(STAGES)}: {'; '.join(said)}."


def show_stages(steps: Sequence[Step], number: int) -> None:
    """Show the stages of each measured step beside the printed F1 of UP-CrackNet in a table of the paper."""
    rows, printed = stages_of(steps), published.row(number, published.OWN).f1
    if rows:
        show(stages_picture(rows, printed), stages_alt(rows, printed))
    else:
        print("No record of both recipes, lite scale, on DeepCrack is there yet.")


def where_the_points_go(results: Path | str = "") -> None:
    """`show_stages` of lite runs trained and tested on DeepCrack. results: the folder; empty: the repository's."""
    every = paths(record_files.folder("results", results))
    own = [load(path) for path in every if path.name.startswith(f"{published.OWN}-")]
    show_stages(ablation.ablation(own), 4)
