"""The compared methods as pictures: their costs, how their maps shrink, the masks of two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from upcrack_lite import masks
from upcrack_lite.baselines.registry import CRACKNET
from upcrack_lite.baselines.registry import network as method
from upcrack_lite.baselines.riad import CELLS, SETS
from upcrack_lite.show.figures import LINES, MARKERS, WIDTH, styled
from upcrack_lite.show.methods import billions, lines, millions

_LOOKS = {  # of a strategy: legend, color, marker
    "general_supervised": ("learns from crack masks", LINES[0], MARKERS[0]),
    "crack_supervised": ("the same, made for cracks", LINES[2], MARKERS[1]),
    "unsupervised": ("learns from undamaged road", LINES[1], MARKERS[2]),
}
# Where a name stands from its point, in points of type, where 8 to the right would cover another one.
_PLACES = {
    "deeplabv3plus": (8, 5, "left"),
    "pspnet": (8, -9, "left"),
    "upernet": (4, 9, "center"),
    "segresnet": (8, -3, "left"),
    "unet": (-9, -7, "right"),
    "lawin": (-8, 0, "right"),
    "deepcrack19": (-8, 0, "right"),
    "deepcrack18": (-9, 0, "right"),
    "scadn": (9, 2, "left"),
    "riad": (-9, 0, "right"),
    CRACKNET: (8, -4, "left"),
}


@styled
def cost_figure() -> Figure:
    """Parameters against multiply-adds for one photo, both logarithmic.

    A hollow point is one pass where a photo needs more; an arrow leads from it to all passes.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 4.9))
    for name, one in lines().items():
        _, color, marker = _LOOKS[one.strategy]
        right, up, side = _PLACES.get(name, (8, 0, "left"))
        x, once, y = one.parameters / 1e6, one.one_pass / 1e9, one.one_photo / 1e9
        own = name == CRACKNET
        look = {"marker": "*" if own else marker, "color": color, "linestyle": "", "zorder": 3}
        axes.plot(x, y, markersize=13 if own else 8, **look)
        near = {"textcoords": "offset points", "va": "center"}
        weight = "bold" if own else "normal"
        axes.annotate(one.title, (x, y), (right, up), ha=side, fontsize=10, fontweight=weight, **near)
        if one.passes > 1:
            axes.plot(x, once, markersize=6, fillstyle="none", **look)
            arrow = {"arrowstyle": "->", "color": color, "linewidth": 1.2, "shrinkA": 4, "shrinkB": 6}
            axes.annotate("", (x, y), (x, once), arrowprops=arrow)
            beside = (6 if side == "left" else -6, 0)
            middle = (x, (once * y) ** 0.5)
            axes.annotate(f"× {one.passes}", middle, beside, ha=side, color=color, fontsize=9, **near)
    for label, color, marker in _LOOKS.values():
        axes.plot([], [], linestyle="", marker=marker, color=color, label=label)
    axes.set(xscale="log", yscale="log", xlim=(0.25, 260), ylim=(0.3, 1300))
    axes.set(xlabel="parameters, millions", ylabel="multiply-adds for one photo, billions")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(loc="upper left", borderaxespad=0.2, handletextpad=0.2)
    return figure


def cost_alt() -> str:
    """The picture of the costs in words, with its numbers."""
    parts = [
        f"{one.title} {millions(one.parameters)} million and {billions(one.one_photo)} billion"
        + (f" in {one.passes} passes" if one.passes > 1 else "")
        for one in sorted(lines().values(), key=lambda one: one.one_photo)
    ]
    return "Parameters and multiply-adds for one photo: " + "; ".join(parts) + "."


class Step(NamedTuple):
    """One convolution: the channels and the side of the map that it gives, px."""

    channels: int
    side: int


def trace(network: nn.Module, size: int = 256) -> list[Step]:
    """Every convolution of one pass over a photo of size × size, in the order in which they run.

    The network is set to eval mode. It may live on the "meta" device, which knows shapes and no values.
    """
    steps: list[Step] = []

    def note(module: nn.Module, given: object, result: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            steps.append(Step(result.shape[1], result.shape[-1]))

    device = next(network.parameters()).device
    with register_module_forward_hook(note), torch.no_grad():
        network.eval()(torch.zeros(1, 3, size, size, device=device))
    return steps


def trace_method(name: str) -> list[Step]:
    """As `trace`, for a compared method at full width."""
    with torch.device("meta"):
        network = method(name).build(1.0)
    return trace(network)


@styled
def sides(traced: Mapping[str, Sequence[Step]]) -> Figure:
    """One panel for each network: the side of the map after each convolution, first to last.

    traced: title to its steps over a photo of 256 × 256 px. A dot is larger the more channels the map has.
    """
    ncols = min(3, len(traced))
    nrows = -(-len(traced) // ncols)
    size = (WIDTH, 1.62 * nrows + 0.35)
    figure, grid = plt.subplots(nrows, ncols, figsize=size, squeeze=False, sharey=True)
    for axis in grid.flat[len(traced) :]:
        axis.axis("off")
    for axis, (title, steps) in zip(grid.flat, traced.items(), strict=False):
        places, (channels, heights) = range(1, len(steps) + 1), np.transpose(steps)
        axis.plot(places, heights, color="#c4c8cf", linewidth=0.9, zorder=1)
        look = {"color": LINES[0], "alpha": 0.75, "linewidths": 0, "zorder": 2}
        axis.scatter(places, heights, s=1.5 + channels / 24, **look)
        axis.set_title(title, fontsize=10.5, pad=3)
        axis.set_xticks([1, len(steps)])
        axis.set_yscale("log", base=2)
        axis.set_ylim(0.7, 410)
        axis.set_yticks([256, 64, 16, 4, 1], ["1", "1/4", "1/16", "1/64", "1 px"])
        axis.minorticks_off()
    for axis in grid[:, 0]:
        axis.set_ylabel("side")
    figure.supxlabel("convolutions, first to last", fontsize=10.5)
    return figure


def sides_alt(traced: Mapping[str, Sequence[Step]]) -> str:
    """The same in words: how many convolutions there are, and how small the maps become."""
    parts = [
        f"{title} {len(steps)} convolutions, smallest map {min(s.side for s in steps)} px, most channels "
        f"{max(s.channels for s in steps)}"
        for title, steps in traced.items()
    ]
    return "The side of the map after each convolution: " + "; ".join(parts) + "."


TONES = np.array([[0, 114, 178], [230, 159, 0], [225, 225, 225]], np.uint8)
"""Blue, orange and pale gray: they differ in brightness too."""


def riad_sets(size: int, seed: int = 0) -> list[tuple[str, np.ndarray]]:
    """Panels for `figures.images`: for each cell size a picture, uint8 `(size, size, 3)`, with a tone a set.

    size: px, a multiple of the largest cell.
    """
    draws, panels = torch.Generator().manual_seed(seed), []
    for cell in CELLS:
        removed = masks.jumbled_sets(size, cell, draws, SETS)[:, 0] == 0  # (3, size, size)
        panels.append((f"cells of {cell} px", TONES[removed.int().argmax(dim=0).numpy()]))
    return panels


def scadn_stripes(size: int) -> list[tuple[str, np.ndarray]]:
    """The twelve masks, bool `(size, size)`, True = kept, four for each stripe width. size: a multiple of 16."""
    widths = [width for width in (size // 4, size // 8, size // 16) for _ in range(4)]
    kept = masks.all_striped(size)[:, 0] > 0.5  # (12, size, size)
    return [(f"{width} px", mask.numpy()) for width, mask in zip(widths, kept, strict=True)]
