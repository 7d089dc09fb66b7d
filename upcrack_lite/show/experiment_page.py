"""One experiment of a table on a page: its training, its five metrics, its photos by name, and where it comes from.

Without data a tiny one is made from synthetic roads in a temporary folder. Its numbers mean nothing.
"""

from __future__ import annotations

import html
import math
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

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
    """One experiment, made or read. Raises UserError as `Experiment`, `RunOptions` and `run_experiment`.

    named: fields of `Experiment`. settings: preset values set otherwise. data_root: the folder of all sets; empty
    makes a tiny experiment. runs, results: folders; empty: the repository's.
    """

    def __init__(
        self,
        named: Mapping[str, Any],
        settings: Mapping[str, Any],
        options: RunOptions,
        data_root: Path | str = "",
        runs: Path | str = "",
        results: Path | str = "",
    ) -> None:
        from upcrack_lite.reproduction.run import TINY_STEPS, run_experiment, tiny_values

        self.tiny = not str(data_root)
        if self.tiny:
            settings = tiny_values(named["method"]) | settings
        experiment = Experiment(**named, overrides=tuple(settings.items()))
        if self.tiny:
            few = RunOptions(max_steps=TINY_STEPS).usable(experiment).max_steps
            options = replace(options, max_steps=options.max_steps or few, allow_dirty=True)
        runs, results = record_files.folder("runs", runs), record_files.folder("results", results)
        with tempfile.TemporaryDirectory() as scratch:
            if self.tiny:
                data_root, runs, results = scratch, Path(scratch) / "runs", Path(scratch) / "results"
            path = run_experiment(experiment, data_root, runs, results, options, progress=False)
            self.record, run = records.load(path), Path(runs) / options.run_name(experiment)
            self.log = RunFolder.open(run).log() if RunFolder.is_run(run) else []
        self.slug, self.scores = experiment.slug(), records.scores(self.record)
        pairs = zip(self.record.images, self.record.confusions, strict=True)
        self.f1 = {image.name: one.f1 for image, one in pairs if not math.isnan(one.f1)}
        """F1 of each photo in percent, except of those without crack in which nothing is marked."""

    def what(self) -> Any:
        """Which experiment this is, and a warning where its numbers mean nothing."""
        lines = [f"The experiment: <code>{self.slug}</code>", f"Made by {shell(self.record.command)}"]
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
        ends = [
            f"{name} from {first[name]:.3f} to {last[name]:.3f}"
            for name in ("mae", "ssim", "d", "loss")
            if name in last
        ]
        alt = f"Losses, a point for each epoch, {len(self.log)} in all; {last['steps']:.0f} steps. {'; '.join(ends)}."
        return show(training_curves(self.log), alt)

    def metrics(self) -> Any:
        """The five metrics with their intervals, and what else the record gives."""
        scores, lines = self.scores, []
        for name in METRICS:
            interval = "{:.2f} to {:.2f}".format(*scores["interval_95"][name])
            lines.append({"": NAMES[name], "value": _number(scores[name]), "interval": interval})
        note = (
            f"In percent, over all pixels of {scores['images']} photos; {scores['crack_share']:.3f} % of them are "
            "crack. The interval is the 95 % bootstrap over photos, images cut from one photo drawn together. "
            f"Beside these: tolerance F1 {_number(scores['tolerance_f1'])}, clDice {_number(scores['cldice'])}, "
            f"average precision {_number(scores['smoothed']['average_precision'])}."
        )
        labels = {"value": "value", "interval": "95 % interval"}
        return table("The experiment's record", lines, labels, note, "one-cell")

    def photos(self) -> Any:
        """How F1 is spread over the photos."""
        if not (values := list(self.f1.values())):
            return items(["No photo has a crack, and nothing is marked."])
        alt = (
            "Histogram of F1 over {} photos. A quarter has less than {:.1f} %, half less than {:.1f} %, three "
            "quarters less than {:.1f} %."
        )
        return show(_histogram(values), alt.format(len(values), *np.percentile(values, [25, 50, 75])))

    def extremes(self) -> Any:
        """The best and the worst photos by F1, by name; no photo is shown."""
        ranked = sorted(self.f1, key=lambda name: (-self.f1[name], name))
        lines = []
        for what, names in (("Best", ranked[:3]), ("Worst", ranked[::-1][:3])):
            listed = [f"<code>{html.escape(name)}</code> ({self.f1[name]:.1f} %)" for name in names]
            lines.append(f"{what}: {', '.join(listed) or 'none'}")
        if left := len(self.record.images) - len(self.f1):
            lines.append(f"Without crack, and nothing marked: {left}; their F1 is undefined.")
        return items(lines)

    def provenance(self) -> Any:
        """Commit, versions, device and seconds of training and test, and the digests of what went in."""
        record, lines = self.record, []
        environments = record.environment
        for what, one in (("Trained", environments.training), ("Tested", environments.evaluation)):
            commit = one.get("commit") or {}
            state = ", changed since" if commit.get("dirty") else ""
            versions = ", ".join(
                f"{name} {one[name]}" for name in ("kit", "python", "torch") if one.get(name)
            )
            device = one.get("used_device") or one.get("device") or "unknown"
            lines.append(f"{what} at commit {_short(str(commit.get('id')))}{state}; {versions}; on {device}")
        lines.append(_learned(record))
        lines.append(f"Test: {record.test.images} photos, from {record.started} to {record.finished}")
        digests = {
            "crops": record.train.crops_sha256,
            "test set": record.test.digest,
            "code": record.code_sha256,
        }
        lines.append("; ".join(f"{name} {_short(value)}" for name, value in digests.items()))
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


def _short(digest: str) -> str:
    return f"<code>{digest[:12]}</code>"
