"""Charts of the chapters: curves, bars, histograms and training logs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from upcrack_lite.show.figures import DASHES, LINES, MARKERS, PALETTE, WIDTH, styled

if TYPE_CHECKING:
    import pandas as pd

# What a panel of `training_curves` shows: title, then (key of the log, label) pairs.
PANELS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("restoration loss", (("res", "training"), ("valid", "validation"))),
    ("MAE", (("mae", "training"),)),
    ("1 − SSIM", (("ssim", "training"),)),
    ("MSGMS", (("gms", "training"),)),
    ("style", (("style", "training"),)),
    ("adversarial", (("d", "D"), ("adv", "G"))),
    # of the compared methods
    ("loss", (("loss", "training"),)),
    ("validation images", (("valid", "validation"),)),
    ("weighted squared error", (("mse", "training"),)),
    ("squared error", (("l2", "training"),)),
    ("D and G", (("discriminator", "D"), ("adversarial", "G"))),
)


@styled
def curves(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    logx: bool = False,
    logy: bool = False,
) -> Figure:
    """Draw lines over a common x; each has its own color, dash and marker.

    x: n numbers; lines: label to n numbers (nan leaves a gap).
    """
    longest = max(map(len, lines))
    ncols = max(1, min(4, len(lines), 62 // (longest + 8)))
    key_rows = -(-len(lines) // ncols) if len(lines) > 1 else 0
    fig, axis = plt.subplots(figsize=(WIDTH, 3.0 + 0.22 * key_rows))
    for i, (name, y) in enumerate(lines.items()):
        kind = i % len(LINES)
        look = {"color": LINES[kind], "linestyle": DASHES[kind], "marker": MARKERS[kind], "markersize": 5}
        every = max(1, len(x) // 12)  # a marker on each of 200 points would hide the line
        axis.plot(x, y, markevery=every, label=name, **look)
    scale = {True: "log", False: "linear"}
    axis.set(xlabel=xlabel, ylabel=ylabel, xscale=scale[logx], yscale=scale[logy])
    if len(lines) > 1:
        fig.legend(loc="outside upper center", ncols=ncols, handlelength=2.6, columnspacing=1.4)
    return fig


@styled
def bars(values: Mapping[str, float], ylabel: str) -> Figure:
    """Draw one horizontal bar for each label, with its number; `ylabel` says what is measured and its unit.

    An undefined value (nan) gets no bar and the word "undefined".
    """
    names, numbers = list(values), np.array([float(v) for v in values.values()])
    drawn = np.nan_to_num(numbers)
    fig, axis = plt.subplots(figsize=(WIDTH, 0.34 * len(names) + 0.9))
    shapes = axis.barh(names, drawn, color=LINES[0], height=0.68)
    words = [f"{number:#.3g}".rstrip(".") if math.isfinite(number) else "undefined" for number in numbers]
    axis.bar_label(shapes, words, padding=4)
    axis.invert_yaxis()  # the first label on top, as in the mapping
    axis.set_xlabel(ylabel)
    axis.grid(axis="y", visible=False)
    axis.margins(x=0.12)
    if (drawn < 0).any():
        axis.axvline(0, color="#111111", linewidth=0.8)
    return fig


@styled
def histogram_with_threshold(error_map: Any, threshold: float, crack_mask: Any) -> Figure:
    """Draw how often each error occurs in crack and in background, on a logarithmic scale, and the threshold.

    error_map: float in [0, 1], any shape; crack_mask: bool of the same shape.
    """
    values, truth = np.asarray(error_map, float), np.asarray(crack_mask)
    edges = np.linspace(0, max(values.max(), threshold, 1e-6) * 1.02, 65)
    fig, axis = plt.subplots()
    axis.hist(values[~truth], edges, color=PALETTE["background"], label="background")
    if truth.any():
        look = {"histtype": "step", "color": PALETTE["crack"], "linewidth": 2, "hatch": "///"}
        axis.hist(values[truth], edges, label="crack", **look)
    fig.legend(loc="outside upper center", ncols=2)
    axis.axvline(threshold, color=PALETTE["threshold"], linestyle="--")
    right = threshold > edges[-1] * 0.6  # write where there is room
    place = {"xytext": (-5 if right else 5, 0), "ha": "right" if right else "left", "va": "top"}
    place |= {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    axis.annotate(f"threshold {threshold:.3f}", (threshold, 0.97), bbox=box, **place)
    axis.set(xlabel="error", ylabel="pixels", xlim=(0, edges[-1]), yscale="log")
    return fig


@styled
def training_curves(log_rows: Sequence[Mapping[str, float]]) -> Figure:
    """Draw the log of a run as small multiples, one panel for each kind of loss that the log has.

    log_rows: what `RunFolder.log()` returns, one dict an epoch. The adversarial panel marks ln 2 (G)
    and 2·ln 2 (D): what both pay while D is undecided.
    """
    present = {key for row in log_rows for key in row}
    panels = [(title, [key for key in keys if key[0] in present]) for title, keys in PANELS]
    # UP-CrackNet's validation loss is drawn beside the restoration loss, and needs no panel of its own.
    own = "res" in present
    panels = [(title, keys) for title, keys in panels if keys and not (own and keys[0][0] == "valid")]
    ncols = min(3, len(panels))
    nrows = -(-len(panels) // ncols)
    fig, grid = plt.subplots(nrows, ncols, figsize=(WIDTH, 1.75 * nrows + 0.3), squeeze=False, sharex=True)
    for axis in grid.flat[len(panels) :]:
        axis.axis("off")
    for axis, (title, keys) in zip(grid.flat, panels, strict=False):
        for i, (key, label) in enumerate(keys):
            points = [(row["epoch"], row[key]) for row in log_rows if key in row]
            epochs, values = zip(*points, strict=True)
            dot = "o" if len(points) == 1 else ""  # one point makes no line
            axis.plot(epochs, values, color=LINES[i], linestyle=DASHES[i], marker=dot, label=label)
        if title == "adversarial":
            for i, level in enumerate((2 * math.log(2), math.log(2))[: len(keys)]):
                axis.axhline(level, color=LINES[i], linewidth=0.9, linestyle=":")
        axis.set_title(title)
        axis.yaxis.set_major_locator(MaxNLocator(4))
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axis.set_ylim(bottom=0)
        if len(keys) > 1:
            axis.legend(handlelength=1.6, borderaxespad=0.1, labelspacing=0.2)
    for axis in grid.flat[max(0, len(panels) - ncols) : len(panels)]:
        axis.set_xlabel("epoch")  # the lowest panel of each column
        axis.tick_params(labelbottom=True)
    return fig


@styled
def u_shape(channels: Sequence[int], size: int) -> Figure:
    """A U-Net as boxes, as wide as the root of their channels. channels: from the photo's 3 to those of one pixel."""
    figure, axes = plt.subplots(figsize=(WIDTH, 4.8))
    last = len(channels) - 1
    # of a side: color, and where the text stands
    sides = {-1: (LINES[0], "right"), 0: (LINES[4], "center"), 1: (LINES[1], "left")}
    for level, count in enumerate(channels):
        wide = 0.06 + count**0.5 / 20
        for side in [0] if level == last else [-1, 1]:
            x = side * (3.1 - level * 0.2)
            color, place = sides[side]
            axes.add_patch(Rectangle((x - wide / 2, -level - 0.32), wide, 0.64, color=color))
            name, low = (f"1 x 1 px, {count}", 0.8) if level == last else (f"{count}", 0)
            axes.text(x + side * (wide / 2 + 0.1), -level - low, name, va="center", fontsize=10, ha=place)
        if 0 < level < last:
            reach = 3.1 - level * 0.2 - wide / 2 - 0.1
            arrow = {"arrowstyle": "->", "color": PALETTE["background"]}
            axes.annotate("", (reach, -level), (-reach, -level), arrowprops=arrow)
        if level < last:
            axes.text(0, -level + 0.12, f"{size >> level} x {size >> level} px", ha="center", fontsize=10)
    axes.text(-3.1, 0.65, "masked photo in", ha="center", fontsize=11)
    axes.text(3.1, 0.65, "restored photo out", ha="center", fontsize=11)
    axes.set(xlim=(-4.3, 4.3), ylim=(-9.1, 1.1))
    axes.axis("off")
    return figure


@styled
def prevalences(implied: pd.DataFrame) -> Figure:
    """The prevalence that each printed row implies, its columns as printed and swapped.

    implied: a line a row, with "test set", "table", "place", and "printed" and "swapped" in percent.
    """
    figure, panels = plt.subplots(2, 1, figsize=(WIDTH, 5.2), sharex=True, sharey=True)
    for axes, column, title in zip(panels, ("printed", "swapped"), ("as printed", "swapped"), strict=True):
        for number, (name, own) in enumerate(implied.groupby("test set", sort=False)):
            look = {"color": LINES[number], "marker": MARKERS[number], "label": name}
            axes.scatter(own["place"], own[column], s=22, **look)
        axes.set(yscale="log", ylabel="prevalence, %", ylim=(0.002, 60))
        axes.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
        axes.set_title(f"columns {title}", pad=3)
        axes.grid(axis="x", visible=False)
    ticks = implied.groupby("table", sort=False)["place"].agg(["mean", "max"])
    panels[1].set_xticks(ticks["mean"], ticks.index)
    panels[1].tick_params(axis="x", length=0)
    panels[1].set_xlabel("table")
    for axes, end in itertools.product(panels, ticks["max"].iloc[:-1]):
        axes.axvline(end + 0.5, color="#c9ccd1", linewidth=0.8)
    key = panels[0].get_legend_handles_labels()
    figure.legend(*key, loc="outside upper center", ncols=3, handletextpad=0.2)
    return figure
