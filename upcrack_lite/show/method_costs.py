"""What each compared method costs: the table of all of them, and a picture. Chapter: the compared methods."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from upcrack_lite.baselines.cost import TABLE_SIZE, cost, count
from upcrack_lite.baselines.registry import METHODS
from upcrack_lite.generator import Generator
from upcrack_lite.show.figures import LINES, MARKERS, WIDTH, styled
from upcrack_lite.show.plain_tables import great

OWN = "upcracknet"
PASSES = {"scadn": 12, "riad": 12}  # masks that a photo is looked at through; all others need one pass

LEARNS = {
    "general_supervised": "crack masks (a network for any task)",
    "crack_supervised": "crack masks (made for cracks)",
    "unsupervised": "undamaged road",
}
"""A training strategy of the paper's tables in words: what a method of it learns from."""

SOURCE_PASS: Mapping[str, float] = MappingProxyType(
    {
        "deeplabv3plus": 20.75,
        "enet": 0.48,
        "pspnet": 46.2,
        "upernet": 1029 / 16,  # its article: 1029 at 512 × 2048, sixteen times the pixels
        "segresnet": 11.8,
        "bisenetv2": 4.34,
        "ddrnet": 36.3 / 32,  # its article: 36.3 at 1024 × 2048, thirty-two times the pixels
        "lawin": 9.9,
        "deepcrack19": 20.1,
        "deepcrack18": 136.8,
        "scadn": 60.9,
        "riad": 54.6,
    }
)
"""Billions of multiply-adds of one pass over 256 × 256 px, printed in a method's source or counted in its program.

U-Net's article prints none.
"""

DIFFERENCES: Mapping[str, str] = MappingProxyType(
    {
        "deeplabv3plus": "the source's decoder has two full convolutions, where the library's are separable",
        "enet": "with 19 classes this network too has 0.37 million parameters, and with the two classes of the "
        "program that was counted 0.475 billion multiply-adds, rounded there",
        "pspnet": "the source's second output has 512 inner channels, here 256, and its encoder begins with three "
        "convolutions of 3 × 3, here one of 7 × 7",
        "upernet": "the source counts a second output that only training uses, and 150 classes",
        "unet": "the published network enlarges a map by a transposed convolution; the library repeats its pixels, "
        "so the next convolution has more channels to read",
        "bisenetv2": "the source's multiply-adds are those of 19 classes, whose logits its head computes 64 to a "
        "pixel of its map",
    }
)
"""Why a count here is more than 1 % from its source's."""


@dataclass(frozen=True)
class Line:
    """A method in the table: title; what it learns from; its cost as counted here; millions of parameters in its
    source, or None; passes that one photo needs; billions of multiply-adds of a pass in its source, or None.
    """

    title: str
    strategy: str
    parameters: int
    one_pass: int
    counted: float | None
    passes: int = 1
    source_pass: float | None = None

    @property
    def one_photo(self) -> int:
        """Multiply-adds of all passes."""
        return self.passes * self.one_pass


@functools.cache
def lines() -> Mapping[str, Line]:
    """All compared methods and UP-CrackNet's generator, in the order of Table III, counted at full width."""
    found = {}
    for name, one in METHODS.items():
        counted = cost(name)
        found[name] = Line(
            one.title,
            one.strategy,
            counted.parameters,
            counted.multiply_adds,
            one.parameters,
            PASSES.get(name, 1),
            SOURCE_PASS.get(name),
        )
    with torch.device("meta"):
        own = count(Generator())
    found[OWN] = Line("UP-CrackNet", "unsupervised", own.parameters, own.multiply_adds, None)
    return MappingProxyType(found)


def table() -> Any:
    """Every method with what it learns from and what it costs, beside the count of its source."""
    rows = [
        {
            "": one.title,
            "learns": LEARNS[one.strategy],
            "ours": millions(one.parameters),
            "source": "–" if one.counted is None else f"{one.counted:.2f}",
            "pass": billions(one.one_pass),
            "pass_source": "–" if one.source_pass is None else billions(one.source_pass * 1e9),
            "passes": str(one.passes),
            "photo": billions(one.one_photo),
        }
        for one in lines().values()
    ]
    labels = {
        "learns": "learns from",
        "ours": "here",
        "source": "in its source",
        "pass": "a pass",
        "pass_source": "in its source",
        "passes": "passes",
        "photo": "a photo",
    }
    spanners = {
        "parameters, millions": ["ours", "source"],
        "multiply-adds, billions": ["pass", "pass_source", "passes", "photo"],
    }
    differences = [f"{METHODS[name].title}: {why}." for name, why in DIFFERENCES.items()]
    note = (
        f"Counted at full width for a photo of {TABLE_SIZE} × {TABLE_SIZE} px. Parameters include heads that only "
        "training uses, and SCADN's discriminator; multiply-adds do not. A dash: the source has no such number. "
        "Where a count is more than 1 % from its source's, the networks differ. " + " ".join(differences)
    )
    return great("The compared methods", rows)(labels, spanners, note, "methods", text=("learns",))


# How far a name stands from its point, in points of type, and on which side of it.
_PLACES = {
    "deeplabv3plus": (8, 5, "left"),
    "enet": (8, 0, "left"),
    "pspnet": (8, -9, "left"),
    "upernet": (4, 9, "center"),
    "segresnet": (8, -3, "left"),
    "unet": (-9, -7, "right"),
    "bisenetv2": (8, 0, "left"),
    "ddrnet": (8, 0, "left"),
    "lawin": (-8, 0, "right"),
    "deepcrack19": (-8, 0, "right"),
    "deepcrack18": (-9, 0, "right"),
    "scadn": (9, 2, "left"),
    "riad": (-9, 0, "right"),
    OWN: (8, -4, "left"),
}


def _place(name: str) -> tuple[int, int, str]:
    """Where a method's name stands; to the right of its point, unless it would cover another."""
    return _PLACES.get(name, (8, 0, "left"))


_LOOKS = {  # of a strategy: legend, color, marker
    "general_supervised": ("learns from crack masks", LINES[0], MARKERS[0]),
    "crack_supervised": ("the same, made for cracks", LINES[2], MARKERS[1]),
    "unsupervised": ("learns from undamaged road", LINES[1], MARKERS[2]),
}


@styled
def cost_figure(given: Mapping[str, Line] | None = None) -> Figure:
    """Parameters against multiply-adds for one photo, both logarithmic.

    A hollow point is one pass where a photo needs more; an arrow leads from it to all passes.
    """
    given = lines() if given is None else given
    figure, axes = plt.subplots(figsize=(WIDTH, 4.9))
    for name, one in given.items():
        _, color, marker = _LOOKS[one.strategy]
        x, y = one.parameters / 1e6, one.one_photo / 1e9
        look = {"marker": marker, "color": color, "linestyle": "", "zorder": 3}
        if one.passes > 1:
            axes.plot(x, one.one_pass / 1e9, markersize=6, fillstyle="none", **look)
            arrow = {"arrowstyle": "->", "color": color, "linewidth": 1.2, "shrinkA": 4, "shrinkB": 6}
            axes.annotate("", (x, y), (x, one.one_pass / 1e9), arrowprops=arrow)
            middle = (one.one_pass * one.one_photo) ** 0.5 / 1e9
            side = 1 if _place(name)[2] == "left" else -1
            axes.annotate(
                f"× {one.passes}",
                (x, middle),
                (6 * side, 0),
                textcoords="offset points",
                ha="left" if side > 0 else "right",
                va="center",
                color=color,
                fontsize=9,
            )
        own = name == OWN
        axes.plot(x, y, markersize=13 if own else 8, **(look | ({"marker": "*"} if own else {})))
        right, up, side = _place(name)
        axes.annotate(
            one.title,
            (x, y),
            (right, up),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=10,
            fontweight="bold" if own else "normal",
        )
    for label, color, marker in _LOOKS.values():
        axes.plot([], [], linestyle="", marker=marker, color=color, label=label)
    axes.set(xscale="log", yscale="log", xlim=(0.25, 260), ylim=(0.3, 1300))
    axes.set(xlabel="parameters, millions", ylabel="multiply-adds for one photo, billions")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(loc="upper left", borderaxespad=0.2, handletextpad=0.2)
    return figure


def cost_alt(given: Mapping[str, Line] | None = None) -> str:
    """The picture of the costs in words, with its numbers."""
    given = lines() if given is None else given
    parts = [
        f"{one.title} {millions(one.parameters)} million and {billions(one.one_photo)} billion"
        + (f" in {one.passes} passes" if one.passes > 1 else "")
        for one in sorted(given.values(), key=lambda one: one.one_photo)
    ]
    return "Parameters and multiply-adds for one photo: " + "; ".join(parts) + "."


def millions(parameters: int) -> str:
    """Parameters in millions, two decimals."""
    return f"{parameters / 1e6:.2f}"


def billions(multiply_adds: int) -> str:
    """Multiply-adds in billions, three digits."""
    return f"{multiply_adds / 1e9:.3g}" if multiply_adds < 1e11 else f"{multiply_adds / 1e9:.0f}"
