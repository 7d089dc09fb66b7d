"""The ladder as a table and as a picture: what each choice changes, against the spread over seeds."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from upcrack_lite.reproduction import cells, claims, ladder, published
from upcrack_lite.reproduction.ladder import SEEDS, Step
from upcrack_lite.reproduction.records import Record
from upcrack_lite.reproduction.tables import NAMES
from upcrack_lite.show.figures import LINES, WIDTH, styled
from upcrack_lite.show.markup import great, items

ALL = "all released choices together"
BARS = {"one released choice": LINES[6], "all released choices": LINES[1], "another choice": LINES[7]}
_REPORTED = ("precision", "recall", "f1", "iou")
_SHOWN = (*_REPORTED, "marked")


def name(step: Step) -> str:
    """A rung in words."""
    return step.rung.plain if step.rung else ALL


def changes(steps: Sequence[Step]) -> Any:
    """What each rung changes, in points, with the number of seeds and the verdict."""
    lines = []
    for step in steps:
        values = ", ".join(step.rung.names) if step.rung else "recipe released"
        line = {"": f"{name(step)}\n{values}", "seeds": str(len(step.seeds)) if step.seeds else "–"}
        line |= {metric: f"{step.change(metric):+.2f}" if step.seeds else "–" for metric in _SHOWN}
        lines.append(line | {"verdict": step.verdict})
    labels = {"seeds": "seeds"} | {metric: NAMES[metric] for metric in _REPORTED}
    labels |= {"marked": "marked", "verdict": "IoU is"}
    note = (
        "Changes in points of percent against the plain recipe with the same seeds. “Marked” is the share of all "
        f"pixels that is called crack. A change of IoU is clear where at least {SEEDS} seeds are paired and the 95 % "
        "interval of their mean change (Student's t) leaves out 0. Of rungs that change nothing, one in twenty looks "
        "clear by chance."
    )
    return great("One choice at a time", lines)(labels, {}, note, "ladder", text=("verdict",))


def reasons(
    steps: Sequence[Step], scale: str = "lite", train_set: str = "deepcrack", test_set: str = "deepcrack"
) -> Any:
    """How each rung could move a result, in words, and the command that measures it."""
    lines = [
        {
            "": name(step),
            "how": step.rung.how if step.rung else "all of the above at once",
            "command": ladder.command(step.rung, scale, train_set, test_set),
        }
        for step in steps
    ]
    labels = {"how": "how it could matter", "command": "measure it"}
    note = "The command trains where it must; choices of the test alone use the trained run again."
    unseen = [f"{rung.plain}: {rung.unseen}" for rung in ladder.RUNGS if rung not in ladder.rungs(scale)]
    note += f" Left out here: {'; '.join(unseen)}." if unseen else ""
    return great("The rungs", lines)(
        labels, {}, note, "rungs", text=tuple(labels), prose=tuple(labels), commands=("command",)
    )


@styled
def picture(steps: Sequence[Step]) -> Figure:
    """Change of IoU for each measured rung: a bar for the mean, a dot for each seed, a line for the interval."""
    measured = [step for step in steps if step.seeds]
    figure, axes = plt.subplots(figsize=(WIDTH, 1.1 + 0.52 * max(1, len(measured))))
    axes.axvline(0, color="#111111", linewidth=1)
    for place, step in enumerate(measured):
        mean, (low, high) = step.change("iou"), step.interval("iou")
        axes.barh(place, mean, height=0.5, color=BARS[_kind(step)], zorder=1)
        for i, change in enumerate(step.changes["iou"]):  # a little apart, so that none hides another
            axes.plot(
                change, place + 0.14 * (i - (len(step.seeds) - 1) / 2), "o", color="#111111", markersize=4
            )
        if len(step.seeds) >= SEEDS:
            axes.plot([low, high], [place + 0.32] * 2, color="#555555", linewidth=2, zorder=2)
    axes.set_yticks(range(len(measured)), [wrapped(name(step)) for step in measured], fontsize=8.5)
    axes.invert_yaxis()
    axes.set_xlabel("change of IoU, points")
    look = {"linestyle": "", "markersize": 9}
    for kind, color in BARS.items():
        axes.plot([], [], "s", color=color, label=f"mean, {kind}", **look)
    axes.plot([], [], "o", color="#111111", markersize=4, linestyle="", label="one seed")
    axes.plot([], [], color="#555555", linewidth=2, label="95 % interval of the mean")
    figure.legend(loc="outside upper center", ncols=3, fontsize=9, handlelength=1.4, columnspacing=1.2)
    return figure


def _kind(step: Step) -> str:
    """What a step's bar shows: a released choice, all of them, or one in which paper and program agree."""
    if step.rung is None:
        return "all released choices"
    return "another choice" if step.rung in ladder.OTHERS else "one released choice"


def alt(steps: Sequence[Step]) -> str:
    """The picture in words, with its numbers."""
    measured = [step for step in steps if step.seeds]
    if not measured:
        return "No rung is measured yet."
    return (
        "Change of IoU in points: " + "; ".join(f"{name(s)} {s.change('iou'):+.1f}" for s in measured) + "."
    )


def wrapped(text: str, width: int = 30) -> str:
    """A label in lines of at most so many letters."""
    return "\n".join(textwrap.wrap(text, width))


def report() -> Any:
    """UP-CrackNet on Crack500: printed, with columns put right, and as a user reported it; percent."""
    printed = published.row(3, claims.OWN)
    lines = []
    for title, one in (("as printed", printed), ("put right", published.corrected(printed))):
        lines.append({"": title} | {metric: f"{getattr(one, metric):.3f}" for metric in _REPORTED})
    lines.append({"": "the report"} | {metric: f"{claims.REPORTED[metric]:.1f}" for metric in _REPORTED})
    labels = {metric: NAMES[metric] for metric in _REPORTED}
    return great("UP-CrackNet on Crack500", lines)(labels, {}, "In percent.", "report")


def recipes(given: Iterable[Record], scale: str = "lite", train_set: str = "deepcrack") -> Any:
    """Both recipes on each test set that has records of them: means over seeds, and the share that is marked."""
    given = list(given)
    lines = []
    for test_set in cells.TEST_SETS:
        (step,) = [s for s in ladder.ladder(given, scale, train_set, test_set) if s.rung is None]
        for recipe, scores in (("paper", step.before), ("released", step.after)) if step.seeds else ():
            line = {"": test_set, "recipe": recipe, "seeds": str(len(step.seeds))}
            lines.append(line | {metric: f"{scores[metric]:.2f}" for metric in _SHOWN})
    if not lines:
        return items([f"No set has records of both recipes, trained on {train_set}."])
    labels = {"recipe": "recipe", "seeds": "seeds", "marked": "marked"}
    labels |= {metric: NAMES[metric] for metric in _REPORTED}
    note = f"Percent; trained on {train_set}, {scale} scale; means over the seeds that both recipes have."
    return great("The two recipes", lines)(labels, {}, note, "recipes", text=("recipe",))
