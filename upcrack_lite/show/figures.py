"""The look of every figure, and the pictures of the chapters. Charts are in `charts`.

One palette, one type size, and dashes and markers that do without color. Faces are white and opaque, so that a
figure reads the same on a light and on a dark page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from skimage.util import montage

from upcrack_lite.errors import UserError
from upcrack_lite.images import COLORS

WIDTH = 6.5  # inches: 11 pt letters are still 8 px high when a phone shows the figure 360 px wide

# Green, blue and red as in the paper's figures, but light, dark and middle: they differ in a gray print and
# for readers who do not tell red from green. `tests/test_figures.py` measures both.
PALETTE: dict[str, str] = {
    **{name: "#{:02x}{:02x}{:02x}".format(*color) for name, color in COLORS.items()},
    "crack": "#e0263c",
    "background": "#8a8f98",
    "threshold": "#111111",
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


styled = plt.rc_context(STYLE)
"""Decorates a function that draws: in the book's style whether or not `use_style` was called."""


def show(fig: Figure, alt: str) -> None:
    """Display a figure with its alternative text, then close it, so that it does not appear a second time.

    alt: what the figure says, numbers included, for readers who do not see it. Raises UserError when empty.
    """
    if not alt.strip():
        raise UserError("a figure needs alternative text: say in `alt` what it shows, with its numbers")
    from IPython.display import display  # only notebooks have it; the overlays of `upcrack detect` do without

    display(fig, metadata={"image/png": {"alt": " ".join(alt.split())}})
    plt.close(fig)


@styled
def images(
    panels: Sequence[tuple[str, np.ndarray]],
    ncols: int = 4,
    heat_max: float | None = None,
    heat_label: str = "error",
    key: bool = False,
) -> Figure:
    """Show pictures side by side, each under its title.

    panels: (title, array) pairs. An array is a photo, uint8 ``(H, W, 3)`` or gray ``(H, W)``; a mask, bool
    ``(H, W)``, shown black and white; or a map, float ``(H, W)``, shown in heat colors. Tensors will do.
    ncols: pictures a row, at most 4. heat_max: top of the color scale that all maps share; None takes the
    largest value. heat_label: what the scale counts. key: add the key to the colors of `overlay`.
    Raises UserError for an array that is none of these.
    """
    panels = [(title, _picture(title, array)) for title, array in panels]
    ncols = min(ncols, len(panels))
    nrows = -(-len(panels) // ncols)
    maps = [array for _, array in panels if array.dtype.kind == "f"]
    low = min([0.0, *map(np.nanmin, maps)])
    top = heat_max if heat_max is not None else max(map(np.nanmax, maps), default=1.0)
    scale = {"cmap": "magma", "vmin": low, "vmax": top if top > low else 1.0}

    letters = int(24 * 4 / max(ncols, 2)) - 4  # a title wraps where the next picture begins
    titles = [textwrap.fill(title, letters) for title, _ in panels]
    tall = max(array.shape[0] / array.shape[1] for _, array in panels)
    rows = [titles[i : i + ncols] for i in range(0, len(titles), ncols)]
    lines = sum(max(title.count("\n") + 1 if title else 0 for title in row) for row in rows)
    width = WIDTH if ncols > 1 else WIDTH * 0.62
    side = (width - 0.7 * bool(maps)) / ncols
    height = nrows * (side * tall + 0.06) + 0.19 * lines + 0.55 * key
    fig, grid = plt.subplots(nrows, ncols, figsize=(width, height), squeeze=False)
    for axis in grid.flat:
        axis.axis("off")
    heat = None
    for axis, title, (_, array) in zip(grid.flat, titles, panels, strict=False):
        axis.set_title(title, pad=3)
        if array.dtype.kind == "f":
            heat = axis.imshow(array, **scale)
        else:
            axis.imshow(array, cmap="gray", vmin=0, vmax=1 if array.dtype == np.bool_ else 255)
        if array.dtype == np.bool_:
            frame(axis)  # a white mask would melt into the page
    if heat is not None:
        bar = fig.colorbar(heat, ax=grid, shrink=0.8, aspect=20, pad=0.015, extend="neither")
        bar.set_label(heat_label)
        bar.locator = MaxNLocator(4)
        bar.update_ticks()
    if key:
        handles = [Patch(facecolor=PALETTE[k], hatch=HATCHES[k], label=NAMES[k], ec="white") for k in NAMES]
        look = {"ncols": 3 if width == WIDTH else 1, "handlelength": 1.8, "columnspacing": 1}
        fig.legend(handles=handles, loc="outside lower center", **look)
    return fig


@styled
def contact_sheet(images: Sequence[np.ndarray] | np.ndarray, ncols: int = 4) -> Figure:
    """Show many photos of one size without titles, as a photographer's contact sheet.

    images: uint8 ``(N, H, W, 3)`` or a list of uint8 ``(H, W, 3)``. Raises ValueError where sizes differ.
    """
    photos = np.stack(images)
    ncols = min(ncols, len(photos))
    gap, grid = max(2, photos.shape[2] // 32), (-(-len(photos) // ncols), ncols)
    sheet = montage(photos, fill=[255] * 3, grid_shape=grid, padding_width=gap, channel_axis=-1)
    sheet = sheet[gap:-gap, gap:-gap]
    fig, axis = plt.subplots(figsize=(WIDTH, WIDTH * sheet.shape[0] / sheet.shape[1]))
    axis.imshow(sheet)
    axis.axis("off")
    return fig


def _picture(title: str, array: Any) -> np.ndarray:
    """Bring one panel to a NumPy array that `images` can show; UserError names the panel that cannot be."""
    array = np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)
    while array.ndim > 2 and array.shape[0] == 1:  # (1, 1, H, W) is welcome as a map or mask
        array = array[0]
    flat = array.ndim == 2 and (array.dtype in (np.bool_, np.uint8) or array.dtype.kind == "f")
    if flat or (array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8):
        return array
    raise UserError(
        f"panel {title!r} is {array.dtype} {array.shape}: give a photo uint8 (H, W, 3), a mask bool (H, W) or "
        "a map float (H, W); `images.to_uint8(image)[0]` turns a tensor into a photo"
    )


def frame(axis: plt.Axes) -> None:
    """Draw a thin frame around a picture."""
    axis.axis("on")
    axis.grid(False)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color="#666666", linewidth=0.8)
