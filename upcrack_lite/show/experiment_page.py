"""One experiment of a table on a page: its training, its five metrics, its photos by name, and where it comes from.

Without data a tiny one is made from synthetic roads in a temporary folder. Its numbers mean nothing.
"""

from __future__ import annotations

import html
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from upcrack_lite.baselines.registry import CRACKNET, FAMILIES
from upcrack_lite.metrics import METRICS
from upcrack_lite.reproduction import record_files, records
from upcrack_lite.reproduction.conditions import LABELED, family_median
from upcrack_lite.reproduction.experiments import Experiment, RunOptions
from upcrack_lite.reproduction.verdicts import NAMES
from upcrack_lite.runs import RunFolder
from upcrack_lite.show.charts import training_curves
from upcrack_lite.show.figures import LINES, show, styled
from upcrack_lite.show.markup import items, shell, table


class ExperimentPage:
    """One experiment, made or read; the parameters are those of the notebook.

    data_root: the folder of all sets; empty makes a tiny experiment. max_steps: 0 trains to the end. vgg_weights:
    empty takes the usual ones. The other arguments are as in `Experiment` and `RunOptions`, and so are the errors.
    """

    def __init__(
        self,
        method: str = CRACKNET,
        recipe: str = "paper",
        scale: str = "lite",
        train_set: str = "synthetic",
        test_set: str = "synthetic",
        seed: int = 0,
        settings: Mapping[str, Any] | None = None,
        data_root: Path | str = "",
        runs: Path | str = "",
        results: Path | str = "",
        device: str = "auto",
        precision: str = "32-true",
        max_steps: int = 0,
        vgg_weights: str = "",
        allow_dirty: bool = False,
    ) -> None:
        from upcrack_lite.reproduction.run import TINY_STEPS, run_experiment, tiny_values

        self.tiny = not str(data_root)
        values = dict(settings or {})
        if self.tiny and method not in FAMILIES:
            values = tiny_values(method) | values
            max_steps = max_steps or TINY_STEPS
        self.experiment = Experiment(method, recipe, scale, tuple(values.items()), train_set, test_set, seed)
        options = RunOptions(
            device, precision, vgg_weights or None, max_steps or None, allow_dirty or self.tiny
        )
        runs, results = record_files.folder("runs", runs), record_files.folder("results", results)
        with tempfile.TemporaryDirectory() as scratch:
            if self.tiny:
                data_root, runs, results = scratch, Path(scratch) / "runs", Path(scratch) / "results"
            path = run_experiment(self.experiment, data_root, runs, results, options, progress=False)
            self.record = records.load(path)
            run = Path(runs) / options.run_name(self.experiment)
            self.log = RunFolder.open(run).log() if RunFolder.is_run(run) else []
        self.scores = records.scores(self.record)

    def what(self) -> Any:
        """Which experiment this is, and a warning where its numbers mean nothing."""
        lines = [f"The experiment: <code>{html.escape(self.experiment.slug())}</code>"]
        lines.append(f"Made by {shell(self.record.command)}")
        if self.record.train.max_steps is not None:
            lines.append(
                f"<strong>These numbers mean nothing:</strong> training was cut short at {self.record.train.steps} "
                f"steps{', and the network is tiny' if self.tiny else ''}."
            )
        return items(lines)

    def curves(self) -> Any:
        """The losses of the training, from the run's log; a sentence where the run is not there."""
        if not self.log:
            away = "The run is not on this machine; its record counts without it."
            return items(["Nothing was trained." if self.record.train.chosen else away])
        first, last = self.log[0], self.log[-1]
        alt = f"Losses, a point for each epoch, {len(self.log)} in all; {last['steps']:.0f} steps."
        ends = [
            f"{name} from {first[name]:.3f} to {last[name]:.3f}"
            for name in ("mae", "ssim", "d", "loss")
            if name in last
        ]
        return show(training_curves(self.log), f"{alt} {'; '.join(ends)}.")

    def metrics(self) -> Any:
        """The five metrics with their intervals, and what else the record gives."""
        scores, lines = self.scores, []
        for name in METRICS:
            low, high = scores["interval_95"][name]
            interval = f"{low:.2f} to {high:.2f}"
            lines.append({"": NAMES[name], "value": _number(scores[name]), "interval": interval})
        note = (
            f"In percent, over all pixels of {scores['images']} photos; {scores['crack_share']:.3f} % of them are "
            "crack. The interval is the 95 % bootstrap over photos. "
            f"Beside these: tolerance F1 {_number(scores['tolerance_f1'])}, clDice {_number(scores['cldice'])}, "
            f"average precision {_number(scores['smoothed']['average_precision'])}."
        )
        labels = {"value": "value", "interval": "95 % interval"}
        return table("The experiment's record", lines, labels, note, "one-cell")

    def photo_f1(self) -> dict[str, float]:
        """F1 of each photo in percent; nan where the photo has no crack and nothing is marked."""
        names = [image.name for image in self.record.images]
        return {name: one.f1 for name, one in zip(names, self.record.confusions, strict=True)}

    def photos(self) -> Any:
        """How F1 is spread over the photos."""
        values = [value for value in self.photo_f1().values() if not math.isnan(value)]
        if not values:
            return items(["No photo has a crack, and nothing is marked."])
        quarter, middle, three = np.percentile(values, [25, 50, 75])
        alt = f"Histogram of F1 over {len(values)} photos. A quarter has less than {quarter:.1f} %, half less than "
        return show(_histogram(values), f"{alt}{middle:.1f} %, three quarters less than {three:.1f} %.")

    def extremes(self, count: int = 3) -> Any:
        """The best and the worst photos by F1, by name; no photo is shown."""
        known = {name: value for name, value in self.photo_f1().items() if not math.isnan(value)}
        ranked = sorted(known, key=lambda name: (-known[name], name))
        lines = []
        for what, names in (("Best", ranked[:count]), ("Worst", ranked[::-1][:count])):
            listed = [f"<code>{html.escape(name)}</code> ({known[name]:.1f} %)" for name in names]
            lines.append(f"{what}: {', '.join(listed) or 'none'}")
        if left := len(self.record.images) - len(known):
            lines.append(f"Without crack, and nothing marked: {left}; their F1 is undefined.")
        return items(lines)

    def provenance(self) -> Any:
        """Commit, versions, device and seconds of training and test, and the digests of what went in."""
        record, lines = self.record, []
        environments = record.environment
        for what, one in (("Trained", environments.training), ("Tested", environments.evaluation)):
            commit = one.get("commit") or {}
            state = ", changed since" if commit.get("dirty") else ""
            versions = [f"{name} {one[name]}" for name in ("kit", "python", "torch") if one.get(name)]
            device = one.get("used_device") or one.get("device") or "unknown"
            code = f"<code>{str(commit.get('id'))[:12]}</code>{state}"
            lines.append(f"{what} at commit {code}; {', '.join(versions)}; on {device}")
        lines.append(_learned(record))
        lines.append(f"Test: {record.test.images} photos, from {record.started} to {record.finished}")
        digests = {
            "crops": record.train.crops_sha256,
            "test set": record.test.digest,
            "code": record.code_sha256,
        }
        lines.append("; ".join(f"{name} <code>{value[:12]}</code>" for name, value in digests.items()))
        return items([f"{line}." for line in lines])


def _learned(record: records.Record) -> str:
    """What was learned, from how many images, in how long."""
    train = record.train
    images = f"{train.crops} {LABELED if train.crack_masks_sha256 else 'undamaged crops'}"
    if chosen := train.chosen:
        return (
            f"No training: {html.escape(chosen.name)} was chosen among {chosen.variants} variants on {images}, with "
            f"F1 {chosen.training_f1:.2f} % there, in {train.seconds:.0f} s; the median of all variants on the test "
            f"photos is {family_median(record)['f1']:.2f} %"
        )
    return (
        f"Training: {images}, {train.epochs} epochs, {train.steps} steps, {train.seconds:.0f} s, best epoch "
        f"{train.best_epoch}, precision {train.precision}"
    )


@styled
def _histogram(values: list[float]) -> Figure:
    fig, axis = plt.subplots(figsize=(6.5, 2.6))
    axis.hist(values, np.linspace(0, 100, 21), color=LINES[0], edgecolor="white")
    axis.set(xlabel="F1 of a photo, %", ylabel="photos", xlim=(0, 100))
    return fig


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.2f}"
