"""Figure 1 as a picture: training phase above, testing phase below, from a `drawing.Trace` and real pictures.

All lengths are inches on a sheet as wide as the book's figures; y grows downwards, as one reads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from upcrack_lite.errors import UserError
from upcrack_lite.show.drawing import Shape, Trace
from upcrack_lite.show.figures import WIDTH, styled

PICTURES = (
    *("image", "mask", "masked", "restored", "photo", "restored photo", "error map", "smoothed"),
    "crack mask",
)
"""What `pipeline` needs, by name; see `repro.examples.pipeline_pictures`."""

RULES = {"otsu": "Otsu's", "otsu_factor": "Otsu × factor", "fixed": "fixed", "percentile": "percentile"}
G_COLOR, D_COLOR, STEP_COLOR = (
    "#cfe3f3",
    "#fbdcc0",
    "#e2e2e2",
)  # they differ in lightness from every edge and letter
EDGE, SIZE, SMALL = "#222222", 10, 9  # points
_SIDE = 1.22  # of a picture
_HALF = 2.98  # width of the boxes of D and of the losses
_STEP = 0.19  # how much higher a bar is for each doubling of the side: room for a number above every bar


def shape_text(shape: Shape) -> str:
    """A shape as the figure writes it: 3 × 256 × 256."""
    return " × ".join(map(str, shape))


@styled
def pipeline(traced: Trace, pictures: Mapping[str, np.ndarray]) -> Figure:
    """Draw both phases. Raises UserError that names the pictures that are missing."""
    missing = [name for name in PICTURES if name not in pictures]
    if missing:
        raise UserError(f"the figure also needs the pictures {', '.join(missing)}")
    net = 0.62 + _STEP * (traced.preset.depth + 1)
    second = 2.3 + net + 0.34  # top of D and the losses
    testing = second + 2.25
    height = testing + 4.35
    fig = plt.figure(figsize=(WIDTH, height), layout="none")
    axis = fig.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, WIDTH), ylim=(height, 0))
    axis.axis("off")
    sheet = _Sheet(axis)
    _training(sheet, traced, pictures, net, second)
    axis.plot([0.1, WIDTH - 0.1], [testing - 0.12] * 2, color="#999999", linewidth=1)
    _testing(sheet, traced, pictures, testing)
    return fig


def in_words(traced: Trace) -> str:
    """Alternative text of the figure."""
    steps, preset = {name: shape_text(shape) for name, shape in traced.steps.items()}, traced.preset
    return (
        f"Two panels. Training: a road without a crack, {steps['image']}, times a mask, {steps['mask']}, gives the "
        f"masked road. The generator G, a U-Net of {preset.depth} levels down and {preset.depth} up with "
        f"{len(traced.skips)} skip connections and {traced.g_parameters:,} parameters, restores it. The "
        f"discriminator D, {len(traced.judge)} convolutions and {traced.d_parameters:,} parameters, gives "
        f"{steps['logits']} opinions. Testing: a whole photo, {steps['image']}, goes through G. The error map, "
        f"{steps['error map']}, is brought to {steps['enlarged']}, smoothed, and cut by the rule "
        f"{preset.threshold_rule} into a crack mask, {steps['crack mask']}."
    )


def _training(
    sheet: _Sheet, traced: Trace, pictures: Mapping[str, np.ndarray], net: float, second: float
) -> None:
    steps = {name: shape_text(shape) for name, shape in traced.steps.items()}
    sheet.heading(0.22, "Training phase: roads without a crack")
    gap = (WIDTH - 0.4 - 4 * _SIDE) / 3
    lefts = [0.2 + i * (_SIDE + gap) for i in range(4)]
    names = {"masked": "masked road", "image": "road", "mask": "mask", "restored": "restored road"}
    for left, (key, label) in zip(lefts, names.items(), strict=True):
        sheet.picture(left, 0.42, _SIDE, pictures[key], label, steps[key])
    middle = 0.42 + _SIDE / 2
    for left, sign in zip(lefts, ("=", "×"), strict=False):
        sheet.words(left + _SIDE + gap / 2, middle, sign, size=16)
    top = 2.3
    first, last = _network(sheet, traced, top, net)
    sheet.arrow((first, 2.1), (first, top + 0.28))
    sheet.arrow((last, top + 0.28), (last, 2.1))
    _judge(sheet, traced, second)
    _losses(sheet, traced, second)
    below = top + net  # what G has restored goes to both
    for x in (1.6, 5.0):
        sheet.arrow((x, below), (x, second))
        sheet.words(x + 0.1, (below + second) / 2, "restored road", size=SMALL, align="left")
    sheet.arrow((0.1 + _HALF, second + 1.0), (WIDTH - 0.1 - _HALF, second + 1.0))


def _network(sheet: _Sheet, traced: Trace, top: float, height: float) -> tuple[float, float]:
    """Draw G; return where its first and its last bar stand."""
    sheet.box(0.1, top, WIDTH - 0.2, height, G_COLOR)
    sheet.words(WIDTH / 2, top + 0.17, f"generator G, a U-Net: {traced.g_parameters:,} parameters", bold=True)
    maps = [traced.encoder[0].into] + [stage.out for stage in (*traced.encoder, *traced.decoder)]
    base = top + height - 0.25
    pitch = (WIDTH - 0.5) / len(maps)
    xs = [0.25 + pitch * (i + 0.5) for i in range(len(maps))]
    tops = _bars(sheet, xs, maps, base, _STEP)
    for level, index in traced.skips:  # from the bar after encoder `level` to the one after decoder `index`
        start, end = level + 1, len(traced.encoder) + 1 + index
        y = tops[start] + 0.015
        sheet.line([(xs[start] + 0.09, y), (xs[end] - 0.09, y)], style=(0, (2, 2)))
    return xs[0], xs[-1]


def _judge(sheet: _Sheet, traced: Trace, top: float) -> None:
    middle = 0.1 + _HALF / 2
    sheet.box(0.1, top, _HALF, 2.0, D_COLOR)
    sheet.words(middle, top + 0.17, "discriminator D, a PatchGAN:", bold=True)
    sheet.words(middle, top + 0.36, f"{traced.d_parameters:,} parameters", bold=True)
    maps = [traced.judge[0].into] + [stage.out for stage in traced.judge]
    pitch = (_HALF - 0.2) / len(maps)
    _bars(sheet, [0.2 + pitch * (i + 0.5) for i in range(len(maps))], maps, top + 1.57, 0.1)
    shape = shape_text(traced.steps["logits"])
    sheet.words(middle, top + 1.85, f"masked + (road or restored) → {shape}", size=SMALL)


def _losses(sheet: _Sheet, traced: Trace, top: float) -> None:
    chosen, left = traced.preset, WIDTH - 0.1 - _HALF
    sheet.box(left, top, _HALF, 2.0, STEP_COLOR)
    sheet.words(left + _HALF / 2, top + 0.17, "losses of G", bold=True)
    terms = {"MAE": chosen.lambda_mae, "SSIM": chosen.lambda_ssim, "MSGMS": chosen.lambda_gms}
    terms |= {"style": chosen.lambda_style}
    named = [f"{weight:g} {name}" for name, weight in terms.items() if weight]
    lines = ["restored road against road:", " + ".join(named[:2])]
    lines += ["+ " + " + ".join(named[2:])] if named[2:] else []
    lines += ["", "in all:", f"{chosen.lambda_res:g} × the sum above"]
    lines += [f"+ {chosen.lambda_adv:g} × adversarial (from D)"] if chosen.lambda_adv else []
    for row, line in enumerate(lines):
        sheet.words(left + 0.15, top + 0.46 + 0.215 * row, line, align="left")


def _testing(sheet: _Sheet, traced: Trace, pictures: Mapping[str, np.ndarray], top: float) -> None:
    steps, chosen = {name: shape_text(shape) for name, shape in traced.steps.items()}, traced.preset
    sheet.heading(top + 0.12, "Testing phase: the whole photo")
    first, lefts = top + 0.5, (0.2, 2.64, WIDTH - 0.2 - _SIDE)
    middle = first + _SIDE / 2
    sheet.picture(lefts[0], first, _SIDE, pictures["photo"], "photo", steps["image"])
    sheet.picture(lefts[1], first, _SIDE, pictures["restored photo"], "restored photo", steps["restored"])
    sheet.picture(lefts[2], first, _SIDE, pictures["error map"], "error map", steps["error map"])
    sheet.step(1.64, middle, 0.56, ["G"], G_COLOR)
    sheet.arrow((lefts[0] + _SIDE + 0.03, middle), (1.62, middle))
    sheet.arrow((2.22, middle), (lefts[1] - 0.02, middle))
    error = ["|I − Î|"] if chosen.error_variant == "absolute" else ["error,", chosen.error_variant]
    sheet.step(4.1, middle, 0.74, error, STEP_COLOR)
    sheet.arrow((lefts[1] + _SIDE + 0.03, middle), (4.08, middle))
    sheet.arrow((4.86, middle), (lefts[2] - 0.02, middle))
    above = first - 0.12  # the photo itself goes into the difference, too
    bend = lefts[0] + _SIDE / 2
    sheet.line([(bend, first), (bend, above), (4.47, above)])
    sheet.arrow((4.47, above), (4.47, middle - 0.26))

    second = first + _SIDE + 0.8
    middle = second + _SIDE / 2
    bend, turn = lefts[2] + _SIDE / 2, second - 0.17
    sheet.line([(bend, first + _SIDE + 0.42), (bend, turn), (0.86, turn)])
    smooth = ["bilateral filter", f"{chosen.bilateral_d} px"]
    if steps["enlarged"] != steps["error map"]:
        smooth = [f"to {steps['enlarged']}", *smooth]
    sheet.step(0.15, middle, 1.42, smooth, STEP_COLOR)
    sheet.arrow((0.86, turn), (0.86, middle - 0.14 - 0.1 * len(smooth)))
    sheet.picture(2.05, second, _SIDE, pictures["smoothed"], "smoothed", steps["smoothed"])
    sheet.step(3.72, middle, 1.0, ["threshold:", RULES[chosen.threshold_rule]], STEP_COLOR)
    sheet.picture(lefts[2], second, _SIDE, pictures["crack mask"], "crack mask", steps["crack mask"])
    for start, end in ((1.59, 2.03), (2.05 + _SIDE + 0.03, 3.7), (4.74, lefts[2] - 0.02)):
        sheet.arrow((start, middle), (end, middle))


def _bars(sheet: _Sheet, xs: Sequence[float], maps: Sequence[Shape], base: float, step: float) -> list[float]:
    """Draw maps as bars: the higher, the larger the side; the wider, the more channels. Returns their tops."""
    tops = []
    for x, (channels, side, _) in zip(xs, maps, strict=True):
        height, width = 0.12 + step * math.log2(side), 0.05 + 0.014 * math.log2(channels)
        tops.append(base - height)
        sheet.axis.add_patch(Rectangle((x - width / 2, base - height), width, height, facecolor="#4a4a4a"))
        sheet.words(x, base - height - 0.08, str(channels), size=SMALL)
        sheet.words(x, base + 0.1, str(side), size=SMALL)
    return tops


class _Sheet:
    """Boxes, words, pictures and arrows on one axis; lengths in inches."""

    def __init__(self, axis: plt.Axes) -> None:
        self.axis = axis

    def words(
        self, x: float, y: float, text: str, size: float = SIZE, bold: bool = False, align: str = "center"
    ) -> None:
        weight = "bold" if bold else "normal"
        self.axis.text(x, y, text, ha=align, va="center", fontsize=size, fontweight=weight, color=EDGE)

    def heading(self, y: float, text: str) -> None:
        self.words(0.12, y, text, size=12, bold=True, align="left")

    def box(self, x: float, y: float, width: float, height: float, color: str) -> None:
        style = "round,pad=0,rounding_size=0.06"
        self.axis.add_patch(
            FancyBboxPatch((x, y), width, height, style, facecolor=color, edgecolor=EDGE, linewidth=1)
        )

    def step(self, x: float, middle: float, width: float, lines: Sequence[str], color: str) -> None:
        half = 0.12 + 0.1 * len(lines)
        self.box(x, middle - half, width, 2 * half, color)
        for row, line in enumerate(lines):
            self.words(x + width / 2, middle + 0.2 * (row - (len(lines) - 1) / 2), line)

    def picture(self, x: float, y: float, side: float, pixels: np.ndarray, label: str, shape: str) -> None:
        extent = (x, x + side, y + side, y)
        if pixels.dtype == np.uint8:
            self.axis.imshow(pixels, extent=extent, aspect="auto")
        elif pixels.dtype == np.bool_:
            self.axis.imshow(pixels, extent=extent, aspect="auto", cmap="gray", vmin=0, vmax=1)
        else:
            self.axis.imshow(pixels, extent=extent, aspect="auto", cmap="magma", vmin=0)
        self.axis.add_patch(Rectangle((x, y), side, side, fill=False, edgecolor=EDGE, linewidth=0.8))
        self.words(x + side / 2, y + side + 0.12, label)
        self.words(x + side / 2, y + side + 0.3, shape, size=SMALL + 0.5)

    def line(self, points: Sequence[tuple[float, float]], style: object = "-") -> None:
        self.axis.plot(
            *zip(*points, strict=True), color=EDGE, linewidth=1.2, linestyle=style, solid_capstyle="butt"
        )

    def arrow(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        look = {"arrowstyle": "-|>", "color": EDGE, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
        self.axis.annotate("", xy=end, xytext=start, arrowprops=look)
