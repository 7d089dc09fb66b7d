"""Where the time of training and detection goes: measured beside the released programs, and live."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

from upcrack_lite.reproduction import record_files
from upcrack_lite.show.markup import items, table

KINDS = {
    "convolutions": ("convolution", "conv", "onednn", "mkldnn"),
    "Gram matrices": ("bmm",),
    "batch normalization": ("batch_norm",),
    "optimizers": ("optimizer", "adam", "foreach", "addcdiv", "addcmul", "lerp"),
    "pooling and resizing": ("pool", "upsample", "interpolate"),
    "activations and dropout": ("relu", "tanh", "dropout", "bernoulli", "sigmoid"),
    "median filter": ("median", "im2col", "sort"),
    "copies and conversions": ("copy_", "cat", "clone"),
}
"""Kind of work to parts of operators' names; the first that fits counts."""

OTHER = "all else"
AIMS = {"all five losses": 3.0, "without style": 2.5}
"""How many times as fast as the released loop the kit is meant to be at width 64."""


class Speed:
    """What `benchmarks/training_speed.py` and `detection_speed.py` measured. results: empty: the kit's folder."""

    def __init__(self, results: Path | str = "") -> None:
        folder = record_files.folder("results", results)
        self.training, self.detection = (
            json.loads((folder / f"{name}_speed.json").read_text(encoding="utf-8"))
            for name in ("training", "detection")
        )

    def loops(self) -> Any:
        """The released loop and the kit's, side by side."""
        facts, lines = self.training, []
        for one in facts["lines"]:
            low, high = one["spread"]
            seconds = f"{one['seconds_an_image']:.3f} ({low:.3f}–{high:.3f})"
            line = {"": f"{one['loop']}, {one['losses']}", "scale": one["scale"], "seconds": seconds}
            line |= {"ratio": f"{one['times_as_fast']:.2f}", "share": f"{100 * one['share_of_peak']:.0f}"}
            lines.append(line | {"memory": f"{one['peak_memory_mib']}"})
        note = (
            f"Batch {facts['batch']}, median and range of {facts['rounds']} steps of each loop in turn; "
            f"{facts['machine']}, torch {facts['torch']}. Share: of the speed of a matrix product in the same "
            "precision, measured in the same run."
        )
        labels = {"scale": "scale", "seconds": "seconds an image", "ratio": "times as fast"}
        labels |= {"share": "share of peak, %", "memory": "peak memory, MiB"}
        return table("A training step", lines, labels, note, "speed-loops", text=("scale",))

    def growth(self) -> Any:
        """A step of the kit with few and with many crops."""
        facts, lines = self.training, []
        for one in facts["growth"]:
            low, high = (f"{1000 * value:.1f}" for value in one["spread"])
            line = {
                "": f"{one['crops']:,} crops",
                "time": f"{1000 * one['seconds_an_image']:.1f} ({low}–{high})",
            }
            lines.append(line | {"memory": f"{one['memory_mib']}"})
        note = (
            f"Scale lite, without style, 16 bits, batch {facts['batch']}, median and range of {10 * facts['rounds']} "
            "steps of each count in turn. The crops lie in a file that is mapped into memory; what the system keeps "
            "of it is not counted. The networks of the lines above are still there in each line."
        )
        labels = {"time": "milliseconds an image", "memory": "memory of the process, MiB"}
        return table("More crops", lines, labels, note, "speed-growth")

    def chains(self) -> Any:
        """The three released programs and the kit's two commands, side by side."""
        facts = self.detection
        lines = [
            {"": f"{name}: {part}", "seconds": f"{seconds:.1f}"}
            for name, parts in facts["seconds"].items()
            for part, seconds in parts.items()
        ]
        note = (
            f"{facts['photos']} photos, median of {facts['rounds']} runs in turn, width 64, {facts['cores']} cores. "
            "The start of every program counts."
        )
        return table("From photos to numbers", lines, {"seconds": "seconds"}, note, "speed-chains")

    def says(self) -> Any:
        """What is reached of what was aimed at, in sentences made from the numbers."""
        said = []
        wide = [one for one in self.training["lines"] if "64" in one["scale"] and "kit" in one["loop"]]
        for losses, aim in AIMS.items():
            best = max((one for one in wide if one["losses"] == losses), key=lambda one: one["times_as_fast"])
            ratio = best["times_as_fast"]
            said.append(
                f"Width 64, {losses}: the {best['loop']}, is {ratio:.2f} times as fast as the released loop; the aim "
                f"of {aim:g} is {_reached(ratio, aim)}."
            )
        few, *_, many = self.training["growth"]
        ratio = many["seconds_an_image"] / few["seconds_an_image"]
        said.append(
            f"An image of {many['crops']:,} crops takes {ratio:.2f} times as long as one of {few['crops']}; at most "
            f"1.2 times was the aim, which is {_reached(1.2, ratio)}."
        )
        whole = {name: parts["all"] for name, parts in self.detection["seconds"].items()}
        ratio = whole["three programs"] / whole["kit"]
        said.append(f"Detection: {ratio:.2f} times as fast; the aim of 4 is {_reached(ratio, 4)}.")
        return items(said)


def _reached(ratio: float, aim: float) -> str:
    return "reached" if ratio >= aim else "missed"


def shares(step: Callable[[], Any]) -> dict[str, float]:
    """Percent of the processor's time that each kind of work takes in one call, largest first."""
    step()  # the first call sets things up
    with profile(activities=[ProfilerActivity.CPU]) as record:
        step()
    totals = dict.fromkeys([*KINDS, OTHER], 0.0)
    for event in record.key_averages():
        totals[kind_of(event.key)] += event.self_cpu_time_total
    ranked = sorted(totals, key=lambda kind: -totals[kind])
    return {kind: 100 * totals[kind] / sum(totals.values()) for kind in ranked}


def kind_of(operator: str) -> str:
    """The kind of work of an operator, such as "aten::mkldnn_convolution"."""
    name = operator.lower()
    return next((kind for kind, words in KINDS.items() if any(word in name for word in words)), OTHER)
