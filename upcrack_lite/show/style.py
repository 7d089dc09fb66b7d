"""The look of every figure: one palette, one type size, and dashes and markers that do without color.

Faces are white and opaque, so that a figure reads the same on a light and on a dark page.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from upcrack_lite.images import COLORS

WIDTH = 6.5  # inches: 11 pt letters are still 8 px high when a phone shows the figure 360 px wide

# Green, blue and red as in the paper's figures, but light, dark and middle: they differ in a gray print and
# for readers who do not tell red from green. `tests/test_figures.py` measures both.
PALETTE: dict[str, str] = {
    **{name: "#{:02x}{:02x}{:02x}".format(*color) for name, color in COLORS.items()},
    "crack": "#e0263c",
    "background": "#8a8f98",
    "cut": "#111111",
}
HATCHES = {"tp": "", "fp": "//", "fn": ".."}
NAMES = {"tp": "found (TP)", "fp": "false alarm (FP)", "fn": "missed (FN)"}
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#111111", "#e69f00", "#56b4e9", "#7f7f7f")
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)), (0, (4, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

STYLE: dict[str, Any] = {
    "figure.facecolor": "white",
    "figure.dpi": 150,
    "figure.figsize": (WIDTH, 3.4),
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": plt.cycler(color=LINES),
    "grid.color": "#e3e5e8",
    "grid.linewidth": 0.8,
    "font.size": 11,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "hatch.linewidth": 0.8,
    "image.interpolation": "nearest",
}


def use_style() -> None:
    """Give figures that a chapter draws itself the look of the book's own; call it once, at the top."""
    plt.rcParams.update(STYLE)


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the book's style whether or not `use_style` was called."""

    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Figure:
        with plt.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn
