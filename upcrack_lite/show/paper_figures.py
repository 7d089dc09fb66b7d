"""The paper's Figures 2 to 4: which methods stand beside UP-CrackNet, and the grid of photo, label and masks.

Found is green, false alarm blue, missed red, as in the paper. The three differ in lightness, too, and the photo
below is pale, so that a gray print and a reader who does not see colors tell them apart.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from upcrack_lite.baselines import training_free
from upcrack_lite.baselines.registry import CRACKNET, FAMILIES, learns_from_masks
from upcrack_lite.baselines.training_free import Variant
from upcrack_lite.errors import UserError
from upcrack_lite.images import overlay
from upcrack_lite.metrics import Confusion
from upcrack_lite.reproduction.examples import Method, method_of, shown, trained_on
from upcrack_lite.reproduction.experiments import TEST_SETS, TRAIN_SETS, Experiment
from upcrack_lite.runs import RunFolder
from upcrack_lite.show.figures import NAMES, PALETTE, WIDTH, frame, styled
from upcrack_lite.show.table_page import names
from upcrack_lite.show.table_words import TITLES

# --- the methods of a figure


class Column(NamedTuple):
    """One method of a figure. name: above its masks; note: one sentence on what it is and what it was trained on."""

    name: str
    note: str
    method: Method


def columns(
    run: RunFolder,
    others: Sequence[str] | str = (),
    detectors: Sequence[str] | str = (),
    photos: str = "",
    seed: int = 0,
) -> list[Column]:
    """Open the methods of a figure: UP-CrackNet, then `others`, then `detectors`, each in the order given.

    run: the run of UP-CrackNet.
    others: run folders of any method, training-free families included; a list, or text with commas.
    detectors: training-free families, as `FAMILIES` names them; the same. Of each the first variant is taken:
    nothing is chosen.
    photos: the set that is shown, for a check that no method was trained on it; empty: no check.
    seed: of dropout noise and masks at test time.
    Returns columns with different names; a second of the same name gets a number.
    Raises UserError: `run` is of another method, a folder holds no finished run or one whose files do not fit
    together, an unknown family, or a training set that shares photos with the one shown.
    """
    if run.method != CRACKNET:
        raise UserError(f"{run.path} is a run of {run.method}, not of {CRACKNET}: name it in others")
    _check_sets(run, photos)
    known = trained_on(run)
    methods = [Column(TITLES[CRACKNET], known[0].lower() + known[1:], method_of(run, seed))]
    for folder in names(others):
        try:
            methods.append(_of_run(RunFolder.open(folder), photos, seed))
        except UserError as error:
            raise UserError(f"others: {error}") from None
    methods += [_of_family(name) for name in names(detectors)]
    named, seen = [], Counter()
    for title, note, method in methods:
        seen[title] += 1
        name = title if seen[title] == 1 else f"{title} {seen[title]}"
        named.append(Column(name, f"{name}: {note}", method))
    return named


def _of_run(run: RunFolder, photos: str, seed: int) -> Column:
    if not run.finished:
        raise UserError(f"{run.path} is not finished: let its training end first")
    _check_sets(run, photos)
    learned_from = f"undamaged crops of {_set(run)}"
    if learns_from_masks(run.method):
        learned_from = f"the photos of {_set(run)} with their crack masks"
    if run.method in FAMILIES:
        variant, tried = training_free.selected_variant(run)
        note = f"{variant.name}, the best of {len(tried)} variants on {learned_from} (run {run.path.name})."
        return Column(f"{TITLES[run.method]}, chosen", note, _marks(variant))
    marks = method_of(run, seed)
    scale = run.manifest["preset"].get("scale", "unknown")
    note = f"trained on {learned_from}, {scale} scale (run {run.path.name})"
    stopped = run.manifest.get("max_steps") is not None
    note += "; its training was stopped early, so its masks mean nothing." if stopped else "."
    return Column(TITLES[run.method], note, marks)


def _of_family(name: str) -> Column:
    if name not in FAMILIES:
        raise UserError(f"detectors: unknown family {name!r}; choose from {', '.join(FAMILIES)}")
    family = training_free.FAMILIES[name]
    note = (
        f"{family[0].name}, the first of its family's {len(family)} variants; nothing was chosen on photos."
    )
    return Column(TITLES[name], note, _marks(family[0]))


def _marks(variant: Variant) -> Method:
    return lambda photo: training_free.segment(shown(photo), variant)  # (256, 256)


def _set(run: RunFolder) -> str:
    name = str((run.manifest.get("data") or {}).get("name", "an unknown set")).removesuffix("_undamaged")
    return "synthetic roads" if name == "synthetic" else name


def _check_sets(run: RunFolder, photos: str) -> None:
    """Raise `UserError` where the run was trained on photos that are shown."""
    if _set(run) in TRAIN_SETS and photos in TEST_SETS:
        try:
            Experiment(train_set=_set(run), test_set=photos)
        except UserError as error:
            raise UserError(f"{run.path} was trained on photos that are shown here: {error}") from None


# --- the grid

NCOLS = 4  # pictures beside each other at most: more would be too small on a phone
_LETTER = 0.082  # inches: a letter's mean width in captions; bold headings take a tenth more
_LINE, _KEY = 0.2, 0.35  # inches: a line of a heading or a caption; the key of the colors


class Row(NamedTuple):
    """One photo of a grid.

    name: the photo's name. heading: a line above the row. image: uint8 `(H, W, 3)`; crack_mask: bool `(H, W)`;
    masks: name of a method to what it marked, bool `(H, W)`.
    """

    name: str
    heading: str
    image: np.ndarray
    crack_mask: np.ndarray
    masks: Mapping[str, np.ndarray]

    def counts(self) -> dict[str, Confusion]:
        """Each method's mask against the label."""
        return {name: Confusion.of(mask, self.crack_mask) for name, mask in self.masks.items()}

    def panels(self) -> list[tuple[str, np.ndarray]]:
        """Caption and picture of the photo, of the label, and of each mask over the paled photo."""
        pale = (150 + self.image.astype(np.float32) * (105 / 255)).round().astype(np.uint8)
        panels = [(self.name, self.image), ("label", self.crack_mask)]
        for name, one in self.counts().items():
            words = f"F1 {_percent(one.f1)}".replace(" ", "\N{NO-BREAK SPACE}")
            panels.append((f"{name}: {words}", overlay(pale, self.masks[name], self.crack_mask)))
        return panels


@styled
def grid(rows: Sequence[Row]) -> Figure:
    """Draw one row for each photo: photo, label, then each method in the order of the row's masks.

    With more than two methods a row goes on below, in lines of about equal length, four pictures at most.
    Raises UserError for no rows.
    """
    if not rows:
        raise UserError("there is no photo to show")
    n_panels = 2 + len(rows[0].masks)
    lines = -(-n_panels // NCOLS)
    ncols = -(-n_panels // lines)
    letters = int(WIDTH / ncols / _LETTER) - 1
    panels = [[(textwrap.fill(words, letters), pixels) for words, pixels in row.panels()] for row in rows]
    headings = [textwrap.fill(row.heading, int(WIDTH / (1.1 * _LETTER))) for row in rows]
    deepest = max(words.count("\n") + 1 for row in panels for words, _ in row)
    below = lines * (WIDTH / ncols + _LINE * deepest)
    heights = [below + _LINE * (heading.count("\n") + 1) for heading in headings]
    figure = plt.figure(figsize=(WIDTH, sum(heights) + _KEY))
    parts = np.ravel(figure.subfigures(len(rows), 1, height_ratios=heights))
    for part, heading, row in zip(parts, headings, panels, strict=True):
        part.suptitle(heading, x=0.005, ha="left", fontsize=10.5, fontweight="bold")
        axes = part.subplots(lines, ncols, squeeze=False).ravel()
        for axis in axes:
            axis.axis("off")
        for axis, (words, pixels) in zip(axes, row, strict=False):
            axis.imshow(pixels, cmap="gray", vmin=0, vmax=1)
            frame(axis)
            axis.set_xlabel(words, fontsize=10)
    key = [Patch(facecolor=PALETTE[case], edgecolor="#666666", label=name) for case, name in NAMES.items()]
    figure.legend(handles=key, loc="outside lower center", ncols=3, handlelength=1.6, columnspacing=1.2)
    return figure


def in_words(rows: Sequence[Row]) -> str:
    """Alternative text of a grid: for each row its heading, and precision, recall and F1 of each method."""
    parts = [f"A grid of {len(rows)} photos, each with its label and what was marked."]
    for row in rows:
        said = [
            f"{name} precision {_percent(one.precision)}, recall {_percent(one.recall)}, F1 {_percent(one.f1)}"
            for name, one in row.counts().items()
        ]
        parts.append(f"{row.heading}, {row.name}: {'; '.join(said)}.")
    return " ".join(parts)


def scores(rows: Sequence[Row]) -> list[dict[str, str | float]]:
    """One line for each photo and method, for a table: scores and the crack fraction of the photo, in percent."""
    titles = {"precision": "precision", "recall": "recall", "f1": "F1", "iou": "IoU", "prevalence": "crack"}
    return [
        {"photo": row.name, "method": name} | {f"{word} %": getattr(one, key) for key, word in titles.items()}
        for row in rows
        for name, one in row.counts().items()
    ]


def _percent(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.0f} %"
