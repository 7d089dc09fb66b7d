"""Figure 1 of the paper from the pictures of a trained network: training phase above, testing phase below.

All lengths are inches on a sheet as wide as the book's figures; y grows downwards, as one reads.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from upcrack_lite.recipes import Preset
from upcrack_lite.show.figures import WIDTH, styled

HEIGHT, SIDE = 8.05, 1.25
TRAINING, LEARNING, TESTING, DECIDING = 0.45, 2.98, 4.1, 6.25  # tops of the rows; middle of the second
PICTURES = {  # name: left, top, label
    "image": (0.1, TRAINING, "road"),
    "mask": (1.75, TRAINING, "mask"),
    "masked": (3.4, TRAINING, "masked road"),
    "restored": (5.15, TRAINING, "restored road"),
    "photo": (0.1, TESTING, "photo"),
    "restored photo": (2.45, TESTING, "restored photo"),
    "error map": (5.15, TESTING, "error map"),
    "smoothed": (2.45, DECIDING, "smoothed"),
    "crack mask": (5.15, DECIDING, "crack mask"),
}
RULES = {"otsu": "Otsu's", "otsu_factor": "Otsu × factor", "fixed": "fixed", "percentile": "percentile"}
G_COLOR, D_COLOR, STEP_COLOR = "#cfe3f3", "#fbdcc0", "#e8e8e8"  # each lighter than every line and letter
INK = "#222222"


@styled
def pipeline(pictures: Mapping[str, np.ndarray], preset: Preset) -> Figure:
    """Draw both phases. pictures: what `examples.pipeline_pictures` returns; preset: that of the run."""
    fig = plt.figure(figsize=(WIDTH, HEIGHT), layout="none")
    axis = fig.add_axes((0, 0, 1, 1))
    for name, (left, top, label) in PICTURES.items():
        _picture(axis, pictures[name], left, top, label)
    axis.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axis.axis("off")
    _text(axis, 0.1, 0.22, "Training phase: roads without a crack", fontsize=12, ha="left", weight="bold")
    _text(axis, 0.1, TESTING - 0.23, "Testing phase: the whole photo", fontsize=12, ha="left", weight="bold")
    axis.plot([0.1, WIDTH - 0.1], [TESTING - 0.42] * 2, color="#999999", linewidth=1)

    middle = TRAINING + SIDE / 2
    _text(axis, 1.55, middle, "×", fontsize=16)
    _text(axis, 3.2, middle, "=", fontsize=16)
    _step(axis, 4.65, 5.15, middle, "G", G_COLOR)
    question = "discriminator D, a PatchGAN:\nis the road beside the masked\nroad real or restored?"
    _text(axis, 1.4, LEARNING, question, bbox=_box(D_COLOR))
    loss = f"loss of the generator G, a U-Net:\n{_loss(preset)}"
    _text(axis, 4.9, LEARNING, loss, bbox=_box(G_COLOR))
    _arrow(axis, (2.52, LEARNING), (3.57, LEARNING))
    _arrow(axis, (5.78, TRAINING + SIDE + 0.4), (5.78, LEARNING - 0.4))
    _arrow(axis, (5.3, TRAINING + SIDE + 0.4), (2.52, LEARNING - 0.32))

    middle = TESTING + SIDE / 2
    _step(axis, 1.35, 2.45, middle, "G", G_COLOR)
    _step(axis, 3.7, 5.15, middle, "difference\nto the photo", STEP_COLOR)
    middle = DECIDING + SIDE / 2
    turn = DECIDING - 0.2  # the error map goes on in the next row
    axis.plot([5.78, 5.78, 0.6, 0.6], [TESTING + SIDE + 0.4, turn, turn, middle], color=INK, linewidth=1.1)
    _step(axis, 0.6, 2.45, middle, f"bilateral\nfilter, {preset.bilateral_d} px", STEP_COLOR)
    _step(axis, 3.7, 5.15, middle, f"threshold:\n{RULES[preset.threshold_rule]}", STEP_COLOR)
    return fig


def in_words(pictures: Mapping[str, np.ndarray], preset: Preset) -> str:
    """Alternative text of the figure, with its numbers."""
    sizes = {name: _shape(pictures[name]) for name in PICTURES}
    removed, marked = 100 * (1 - pictures["mask"].mean()), 100 * pictures["crack mask"].mean()
    return (
        f"Two panels. Training: a road without a crack, {sizes['image']}, times a mask that removes {removed:.0f} % "
        "of it, gives the masked road. The generator G restores it. The discriminator D tells whether the road "
        f"beside the masked road is real or restored. The loss of G is {_loss(preset)}. Testing: a whole photo, "
        f"{sizes['photo']}, goes through G. The error map, {sizes['error map']}, is brought to {sizes['smoothed']} "
        f"and smoothed by a bilateral filter of {preset.bilateral_d} px. The threshold "
        f"({RULES[preset.threshold_rule]}) marks {marked:.1f} % of the pixels as crack."
    ).replace("\n", " ")


def _loss(preset: Preset) -> str:
    """The loss of G with the weights of its preset, in two or three lines."""
    terms = {"MAE": preset.lambda_mae, "SSIM": preset.lambda_ssim}
    terms |= {"MSGMS": preset.lambda_gms, "style": preset.lambda_style}
    named = " + ".join(f"{weight:g} {name}" for name, weight in terms.items() if weight)
    adversarial = f"\n+ {preset.lambda_adv:g} × adversarial (from D)" if preset.lambda_adv else ""
    return textwrap.fill(f"{preset.lambda_res:g} × ({named})", 32) + adversarial


def _shape(picture: np.ndarray) -> str:
    """Channels × height × width, as a tensor has them."""
    return " × ".join(map(str, (picture.shape[2] if picture.ndim == 3 else 1, *picture.shape[:2])))


def _picture(axis: plt.Axes, picture: np.ndarray, left: float, top: float, label: str) -> None:
    look = {"cmap": "magma", "vmin": 0} if picture.dtype.kind == "f" else {"cmap": "gray"}
    axis.imshow(picture, extent=(left, left + SIDE, top + SIDE, top), aspect="auto", **look)
    axis.add_patch(Rectangle((left, top), SIDE, SIDE, fill=False, edgecolor=INK, linewidth=0.8))
    _text(axis, left + SIDE / 2, top + SIDE + 0.2, f"{label}\n{_shape(picture)}")


def _text(axis: plt.Axes, x: float, y: float, words: str, **look: object) -> None:
    axis.text(x, y, words, color=INK, **{"ha": "center", "va": "center", "fontsize": 10} | look)


def _box(color: str) -> dict[str, object]:
    return {"boxstyle": "round,pad=0.35", "facecolor": color, "edgecolor": INK}


def _arrow(axis: plt.Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0})


def _step(axis: plt.Axes, left: float, right: float, y: float, words: str, color: str) -> None:
    """An arrow from left to right with a box that names what happens on the way."""
    _arrow(axis, (left, y), (right, y))
    _text(axis, (left + right) / 2 - 0.07, y, words, bbox=_box(color))
