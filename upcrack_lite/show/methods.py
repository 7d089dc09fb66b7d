"""What is known about a compared method, its preset, and what labels buy. Chapter: the compared methods.

Facts are read from its `METHOD`, its preset and its cost; the printed scores from the paper's tables.
"""

from __future__ import annotations

from html import escape
from typing import Any

from upcrack_lite.baselines.encoders import ENCODERS
from upcrack_lite.baselines.presets import method_preset
from upcrack_lite.baselines.registry import method
from upcrack_lite.reproduction import published
from upcrack_lite.show.method_costs import LEARNS, OWN, billions, lines, millions
from upcrack_lite.show.plain_tables import great, items


def facts(name: str) -> Any:
    """What is known and what was chosen about a method: its numbers, its first weights, its source.

    Raises UserError that lists the valid names.
    """
    one = method(name)
    line = lines()[name]
    made = method_preset(name, "full")
    passes = f", and a photo needs {line.passes} passes" if line.passes > 1 else ""
    said = [
        ("learns from", LEARNS[one.strategy]),
        (
            "parameters",
            f"{millions(line.parameters)} million here, {one.parameters:.2f} million in the source",
        ),
        ("multiply-adds", f"{billions(line.one_pass)} billion a pass{passes}"),
        ("input", f"any size; each side is padded to a multiple of {one.multiple} px"),
        ("first weights", _first_weights(name)),
        (
            "training",
            f"{made.optimizer}, learning rate {made.lr:g}, {made.epochs} epochs, batches of {made.batch_size}",
        ),
        ("source", one.source),
    ]
    shown = [f"<b>{escape(what)}</b>: {escape(words)}" for what, words in said]
    chosen = "".join(f"<li>{escape(sentence)}</li>" for sentence in one.chosen)
    return items([*shown, f"<b>silent or different, and what the kit chose</b><ul>{chosen}</ul>"])


def _first_weights(name: str) -> str:
    kind = method(name).encoder
    if kind == "none":
        return "random; there is no encoder with known weights"
    encoder = f"{ENCODERS[name]} of {'torchvision' if kind == 'vgg16' else 'timm'}"
    return f"random in the presets; at full width the encoder can start from ImageNet weights ({encoder})"


def whys(name: str, scale: str = "full", beside: str = "") -> Any:
    """A method's preset: each value with where it comes from; values that the method does not use are left out.

    beside: another method; only what differs from its preset is shown.
    Raises UserError for an unknown method or scale.
    """
    made = method_preset(name, scale)
    other = method_preset(beside, scale).to_dict() if beside else {}
    rows = [
        {"": field, "value": f"{value:g}" if isinstance(value, float) else str(value), "why": made.why(field)}
        for field, value in made.to_dict().items()
        if field not in ("method", "scale")
        and not (beside and other[field] == value)
        and not made.why(field).startswith("not used")
        and not (field.startswith("bilateral_") and made.map_filter != "bilateral")
    ]
    title = method(name).title
    if not rows:
        return items([f"{title} has the same values as {method(beside).title}."])
    heading = f"{title}, {scale} scale" + (f": what differs from {method(beside).title}" if beside else "")
    note = (
        "“Silent”: the paper does not say. “Source”: the program or article that the method's module names."
    )
    return great(heading, rows)(
        {"value": "value", "why": "why"}, {}, note, f"whys-{name}", text=("value", "why"), prose=("why",)
    )


COMPARISONS = tuple(number for number, facts in published.TABLES.items() if facts.key == "method")
"""The tables that compare methods."""

GROUPS = {
    "general_supervised": "learned from masks, any task",
    "crack_supervised": "learned from masks, cracks",
    "unsupervised": "restored road",
}


def labels_buy() -> Any:
    """For each table that compares methods, the lowest and the highest printed IoU of each kind, in percent."""
    rows = []
    for number in COMPARISONS:
        facts, printed = published.TABLES[number], published.rows(number)
        line = {"": f"Table {facts.roman}\n{facts.sets}"}
        for group in GROUPS:
            found = [row.iou for row in printed if row.strategy == group]
            line[group] = f"{min(found):.1f} to {max(found):.1f}"
        (own,) = [row.iou for row in printed if row.key == OWN]
        rows.append(line | {"own": f"{own:.1f}", "above": f"{above(number)} of {_labeled(number)}"})
    labels = dict(GROUPS) | {"own": "UP-CrackNet", "above": "with masks, ahead"}
    note = (
        "IoU in percent as printed; “trained on → tested on”. The last column counts the methods that learned from "
        "masks and have a higher IoU than UP-CrackNet."
    )
    return great("Printed IoU by what a method learned from", rows)(labels, {}, note, "labels-buy")


def above(number: int) -> int:
    """How many methods that learned from masks have a higher printed IoU than UP-CrackNet in a table."""
    (own,) = [row.iou for row in published.rows(number) if row.key == OWN]
    return sum(row.iou > own for row in published.rows(number) if row.strategy in tuple(GROUPS)[:2])


def _labeled(number: int) -> int:
    return sum(row.strategy in tuple(GROUPS)[:2] for row in published.rows(number))
