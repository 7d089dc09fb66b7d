"""What each compared method is, learns from and costs, and what labels buy. The chapter on the compared methods.

Facts are read from a method's `METHOD`, its preset and its counted cost; the printed scores from the paper's tables.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

import torch

from upcrack_lite.baselines.cost import cost, count
from upcrack_lite.baselines.recipes import method_preset
from upcrack_lite.baselines.registry import COMPARED, CRACKNET, network
from upcrack_lite.generator import Generator
from upcrack_lite.recipes import TABLE_SIZE
from upcrack_lite.reproduction import published
from upcrack_lite.show.markup import items, table

PASSES = {"scadn": 12, "riad": 12}  # masks through which a photo is restored; all others need one pass

LEARNS = {
    "general_supervised": "crack masks (a network for any task)",
    "crack_supervised": "crack masks (made for cracks)",
    "unsupervised": "undamaged road",
}
"""A training strategy of the paper's tables in words: what a method of it learns from."""

SOURCE_PASS = {
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
"""Billions of multiply-adds of one pass over 256 × 256 px, printed in a method's source or counted in its program.

U-Net's article prints none.
"""

DIFFERENCES = {
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
"""Why a count here is more than 1 % from its source's."""


class Line(NamedTuple):
    """A method in the table of costs.

    strategy: a key of `LEARNS`. parameters, one_pass: as counted here; one_pass in multiply-adds of one pass.
    passes: how many one photo needs. source_parameters (millions), source_pass (billions): in its source, or None.
    """

    title: str
    strategy: str
    parameters: int
    one_pass: int
    passes: int = 1
    source_parameters: float | None = None
    source_pass: float | None = None

    @property
    def one_photo(self) -> int:
        """Multiply-adds of all passes."""
        return self.passes * self.one_pass


@functools.cache
def lines() -> Mapping[str, Line]:
    """All compared methods and UP-CrackNet's generator, in the order of Table III, counted at full width."""
    counted = {}
    for name in COMPARED:
        one, ours = network(name), cost(name)
        here = ours.parameters, ours.multiply_adds, PASSES.get(name, 1)
        counted[name] = Line(one.title, one.strategy, *here, one.parameters, SOURCE_PASS.get(name))
    with torch.device("meta"):
        own = count(Generator())
    return counted | {CRACKNET: Line("UP-CrackNet", "unsupervised", own.parameters, own.multiply_adds)}


def cost_table() -> Any:
    """Every method with what it learns from and what it costs, beside the count of its source."""
    rows = [
        {
            "": one.title,
            "learns": LEARNS[one.strategy],
            "ours": millions(one.parameters),
            "source": "–" if one.source_parameters is None else f"{one.source_parameters:.2f}",
            "pass": billions(one.one_pass),
            "pass_source": "–" if one.source_pass is None else billions(one.source_pass * 1e9),
            "passes": str(one.passes),
            "photo": billions(one.one_photo),
        }
        for one in lines().values()
    ]
    labels = {"learns": "learns from", "ours": "here", "source": "in its source", "pass": "a pass"}
    labels |= {"pass_source": "in its source", "passes": "passes", "photo": "a photo"}
    spanners = {
        "parameters, millions": ["ours", "source"],
        "multiply-adds, billions": ["pass", "pass_source", "passes", "photo"],
    }
    differences = [f"{network(name).title}: {why}." for name, why in DIFFERENCES.items()]
    note = (
        f"Counted at full width for a photo of {TABLE_SIZE} × {TABLE_SIZE} px. Parameters include heads that only "
        "training uses, and SCADN's discriminator; multiply-adds do not. A dash: the source has no such number. "
        "Where a count is more than 1 % from its source's, the networks differ. " + " ".join(differences)
    )
    return table("The compared methods", rows, labels, note, "methods", spanners, text=("learns",))


def facts(name: str) -> Any:
    """What is known and what was chosen about a method: its numbers, its first weights, its source."""
    one, line, preset = network(name), lines()[name], method_preset(name, "full")
    passes = f", and a photo needs {line.passes} passes" if line.passes > 1 else ""
    shown = {
        "learns from": LEARNS[one.strategy],
        "parameters": f"{millions(line.parameters)} million here, {one.parameters:.2f} million in the source",
        "multiply-adds": f"{billions(line.one_pass)} billion a pass{passes}",
        "input": f"any size; each side is padded to a multiple of {one.build.multiple} px",
        "first weights": _first_weights(name),
        "training": f"{preset.optimizer}, learning rate {preset.lr:g}, {preset.epochs} epochs, batches of "
        f"{preset.batch_size}",
        "source": one.source,
    }
    known = [f"<b>{escape(what)}</b>: {escape(words)}" for what, words in shown.items()]
    chosen = "".join(f"<li>{escape(sentence)}</li>" for sentence in one.chosen)
    return items([*known, f"<b>silent or different, and what the kit chose</b><ul>{chosen}</ul>"])


def _first_weights(name: str) -> str:
    encoder = network(name).encoder
    if encoder == "none":
        return "random; there is no encoder with known weights"
    encoder += f" of {'torchvision' if encoder == 'vgg16' else 'timm'}"
    return f"random in the presets; at full width the encoder can start from ImageNet weights ({encoder})"


def whys(name: str, beside: str = "") -> Any:
    """A method's preset: each value with where it comes from; values that the method does not use are left out.

    beside: another method; only what differs from its preset is shown.
    """
    preset = method_preset(name, "full")
    other = method_preset(beside, "full").to_dict() if beside else {}
    rows = [
        {
            "": field,
            "value": f"{value:g}" if isinstance(value, float) else str(value),
            "why": preset.why(field),
        }
        for field, value in preset.to_dict().items()
        if field not in ("method", "scale")
        and not (beside and other[field] == value)
        and not preset.why(field).startswith("not used")
        and not (field.startswith("bilateral_") and preset.map_filter != "bilateral")
    ]
    heading = f"{network(name).title}, full scale"
    heading += f": what differs from {network(beside).title}" if beside else ""
    note = (
        "“Silent”: the paper does not say. “Source”: the program or article that the method's module names."
    )
    labels = {"value": "value", "why": "why"}
    return table(heading, rows, labels, note, f"whys-{name}", text=("value", "why"), prose=("why",))


GROUPS = {
    "general_supervised": "learned from masks, any task",
    "crack_supervised": "learned from masks, cracks",
    "unsupervised": "restored road",
}


def labels_buy() -> Any:
    """For each table that compares methods, the lowest and the highest printed IoU of each kind, in percent."""
    rows = []
    for number, about in published.TABLES.items():
        if about.key != "method":
            continue
        line = {"": f"Table {about.roman}\n{about.sets}"}
        for group in GROUPS:
            iou = [row.iou for row in published.rows(number) if row.strategy == group]
            line[group] = f"{min(iou):.1f} to {max(iou):.1f}"
        own, ahead, labeled = masks_ahead(number)
        rows.append(line | {"own": f"{own:.1f}", "ahead": f"{ahead} of {labeled}"})
    labels = GROUPS | {"own": "UP-CrackNet", "ahead": "with masks, ahead"}
    note = (
        "IoU in percent as printed; “trained on → tested on”. The last column counts the methods that learned from "
        "masks and have a higher IoU than UP-CrackNet."
    )
    return table("Printed IoU by what a method learned from", rows, labels, note, "labels-buy")


def masks_ahead(number: int) -> tuple[float, int, int]:
    """UP-CrackNet's printed IoU in a table; methods with masks above it, and of how many."""
    (own,) = [row.iou for row in published.rows(number) if row.key == CRACKNET]
    labeled = [row.iou for row in published.rows(number) if row.strategy in tuple(GROUPS)[:2]]
    return own, sum(iou > own for iou in labeled), len(labeled)


def millions(parameters: int) -> str:
    """Parameters in millions, two decimals."""
    return f"{parameters / 1e6:.2f}"


def billions(multiply_adds: int) -> str:
    """Multiply-adds in billions, three digits."""
    return f"{multiply_adds / 1e9:.3g}" if multiply_adds < 1e11 else f"{multiply_adds / 1e9:.0f}"
