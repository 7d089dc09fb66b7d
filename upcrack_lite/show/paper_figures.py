"""Grids as in the paper's Figures 2 to 4: photo, label, and what each method makes of it.

Found is green, false alarm blue, missed red, as in the paper. The three differ in lightness, too, and the photo
below is pale, so that a gray print and a reader who does not see colors tell them apart.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.textpath import TextPath

from upcrack_lite.errors import UserError
from upcrack_lite.images import overlay
from upcrack_lite.metrics import Confusion
from upcrack_lite.show.figures import NAMES, PALETTE, WIDTH, styled

NCOLS = 4  # pictures beside each other at most: more would be too small on a phone
_GAP, _HEADING, _CAPTION, _KEY = 0.06, 0.26, 0.22, 0.34  # inches
_LINE = 0.17  # inches: what another line of a heading or a caption takes
_POINTS = 10  # of a caption
_LETTER = 0.082  # inches: a letter's mean width in captions; bold headings take a tenth more


@dataclass(frozen=True, eq=False)
class Row:
    """One photo of a grid.

    name: the photo's name. heading: a line above the row. image: uint8 `(H, W, 3)`; crack_mask: bool `(H, W)`;
    masks: name of a method to what it marked, bool `(H, W)`.
    """

    name: str
    heading: str
    image: np.ndarray
    crack_mask: np.ndarray
    masks: Mapping[str, np.ndarray]


def painted(row: Row, method: str) -> np.ndarray:
    """One picture of the grid: the method's mask against the label over the paled photo, uint8 `(H, W, 3)`.

    Raises UserError for a method that the row does not have, and as `images.overlay`.
    """
    if method not in row.masks:
        raise UserError(
            f"row {row.heading!r} has no mask by {method!r}; it has {', '.join(row.masks) or 'none'}"
        )
    pale = (150 + row.image.astype(np.float32) * (105 / 255)).round().astype(np.uint8)
    return overlay(pale, row.masks[method], row.crack_mask)


@styled
def grid(rows: Sequence[Row]) -> Figure:
    """Draw one row for each photo: photo, label, then each method in the order of the row's masks.

    With more than two methods a row goes on below. Its lines are then about equally long, four pictures at most, and
    a caption that does not fit under its picture takes another line.
    Raises UserError for no rows, or rows whose methods differ.
    """
    if not rows:
        raise UserError("there is no photo to show")
    methods = list(rows[0].masks)
    if not methods or any(list(row.masks) != methods for row in rows):
        raise UserError("every row needs the masks of the same methods, in the same order")
    panels = 2 + len(methods)
    lines = -(-panels // NCOLS)
    ncols = -(-panels // lines)
    side = (WIDTH - _GAP * (ncols - 1)) / ncols
    letters = int(WIDTH / (1.1 * _LETTER))
    headings = [textwrap.fill(row.heading, letters) for row in rows]
    tops = [_HEADING + _LINE * _breaks(heading) for heading in headings]
    captions = [
        [_fitting(row.name, side), "label", *(_caption(row, name, side) for name in methods)] for row in rows
    ]
    below = [_CAPTION + _LINE * max(map(_breaks, line)) for line in _in_lines(captions, ncols)]
    height = sum(tops) + len(rows) * (lines * side + sum(below)) + _KEY
    fig = plt.figure(figsize=(WIDTH, height), layout="none")
    y = height
    for row, heading, top, under in zip(rows, headings, tops, captions, strict=True):
        y -= top
        fig.text(0.005, (y + 0.05) / height, heading, va="bottom", fontsize=10.5, fontweight="bold")
        pictures = [row.image, row.crack_mask, *(painted(row, name) for name in methods)]
        for place, (caption, picture) in enumerate(zip(under, pictures, strict=True)):
            line, column = divmod(place, ncols)
            bottom = y - (line + 1) * side - sum(below[:line])
            left = column * (side + _GAP)
            axis = fig.add_axes((left / WIDTH, bottom / height, side / WIDTH, side / height))
            _picture(axis, picture)
            fig.text(
                (left + side / 2) / WIDTH,
                (bottom - 0.03) / height,
                caption,
                ha="center",
                va="top",
                fontsize=_POINTS,
            )
        y -= lines * side + sum(below)
    handles = [
        Patch(facecolor=PALETTE[key], edgecolor="#666666", label=label) for key, label in NAMES.items()
    ]
    fig.legend(
        handles=handles, loc="lower center", ncols=3, handlelength=1.6, columnspacing=1.2, borderpad=0.1
    )
    return fig


def in_words(rows: Sequence[Row]) -> str:
    """Alternative text of a grid: for each row its heading, and precision, recall and F1 of each method."""
    parts = [f"A grid of {len(rows)} photos, each with its label and what was marked."]
    for row in rows:
        scores = []
        for name, mask in row.masks.items():
            counts = Confusion.of(mask, row.crack_mask)
            scores.append(
                f"{name} precision {_percent(counts.precision)}, recall {_percent(counts.recall)}, "
                f"F1 {_percent(counts.f1)}"
            )
        parts.append(f"{row.heading}, {row.name}: {'; '.join(scores)}.")
    return " ".join(parts)


def scores(rows: Sequence[Row]) -> list[dict[str, str | float]]:
    """One line for each photo and method, for a table: scores, and the crack's share of the pixels, in percent."""
    table = []
    for row in rows:
        for method, mask in row.masks.items():
            counts = Confusion.of(mask, row.crack_mask)
            line: dict[str, str | float] = {"photo": row.name, "method": method}
            line |= {"precision %": counts.precision, "recall %": counts.recall, "F1 %": counts.f1}
            table.append(line | {"IoU %": counts.iou, "crack %": counts.prevalence})
    return table


def _picture(axis: plt.Axes, picture: np.ndarray) -> None:
    if picture.dtype == np.bool_:
        axis.imshow(picture, cmap="gray", vmin=0, vmax=1, aspect="auto")
    else:
        axis.imshow(picture, aspect="auto")
    axis.grid(False)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color="#666666", linewidth=0.8)


def _fitting(name: str, side: float) -> str:
    """A name that fits under a picture: a long one loses its middle."""
    room = int(side / _LETTER)
    return name if len(name) <= room else f"{name[: room // 2 - 1]}…{name[-(room - room // 2) :]}"


def _caption(row: Row, method: str, side: float) -> str:
    """A method's name and F1, in one line where that fits under a picture, else in several."""
    f1 = f"F1 {_percent(Confusion.of(row.masks[method], row.crack_mask).f1)}"
    caption = f"{method}: {f1}"
    if TextPath((0, 0), caption, size=_POINTS).get_extents().width / 72 <= side:
        return caption
    whole = f1.replace(" ", "\N{NO-BREAK SPACE}")  # its parts stay together
    return textwrap.fill(f"{method}: {whole}", int(side / _LETTER)).replace(whole, f1)


def _in_lines(captions: list[list[str]], ncols: int) -> list[list[str]]:
    """The captions of all rows, collected by the line of pictures that they stand under."""
    starts = range(0, len(captions[0]), ncols)
    return [[text for row in captions for text in row[start : start + ncols]] for start in starts]


def _breaks(text: str) -> int:
    return text.count("\n")


def _percent(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.0f} %"
