"""The epochs of one run: steps, validation, log, checkpoint, early stop (paper, section IV-B).

`Loop` says when something happens, and a `Course` what: UP-CrackNet's is in `training`, those of the compared methods
are in `methods.learning`.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import lightning
import torch
from tqdm import tqdm

from upcrack_lite.errors import UserError
from upcrack_lite.runs import RunFolder, now, peak_memory_mib

SLOW, SHARE = 0.5, 10
"""Seconds from which on writing a state is slow; then so many times its duration pass before the next."""


class Plan(Protocol):
    """The values of a preset that a loop needs, in epochs."""

    epochs: int
    validate_every: int
    patience: int  # epochs without improvement before stopping; 0 never stops early


class Course(Protocol):
    """What one method does in a run: its networks, its images, its steps."""

    fabric: lightning.Fabric
    counts: tuple[int, int]  # images to train on, and held-out images

    def set_epoch(self, index: int) -> None:
        """Set learning rates for an epoch, counted from 0."""

    def batches(self) -> Iterator[Any]:
        """Go through the training images once."""

    def step(self, batch: Any) -> dict[str, torch.Tensor]:
        """Learn from one batch; returns the terms for the log, without a graph."""

    def judge(self) -> float | None:
        """How bad the held-out images are; None where there are none. Must leave no trace."""

    def weights(self) -> dict[str, torch.Tensor]:
        """What is kept of the best epoch."""

    def finish(self, load: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor] | None:
        """The kept weights, which `load` reads, with what is only found out at the end; None leaves them."""

    def rates(self) -> dict[str, float]:
        """Learning rates for the log. Their names are values of the preset."""

    def picture(self, path: Path) -> None:
        """Save a PNG that shows how far training has come. Must leave no trace."""

    def state(self) -> dict[str, Any]:
        """All that a later process needs to go on exactly here."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up such a state."""


@dataclasses.dataclass
class Position:
    """Where a run stands; saved with the networks after every epoch."""

    epoch: int = 0
    steps: int = 0
    best: float = math.inf
    best_epoch: int = -1
    seconds: float = 0.0


class Loop:
    """The epochs of one run: steps, validation, log, checkpoint, early stop."""

    def __init__(
        self, course: Course, run: RunFolder, preset: Plan, max_steps: int | None, progress: bool
    ) -> None:
        self.course, self.run, self.preset = course, run, preset
        self.max_steps, self.progress = max_steps, progress
        self.at, self.rows = Position(), []
        self.saved_at, self.save_seconds = time.monotonic(), 0.0
        self.best_weights: dict[str, torch.Tensor] | None = None  # of the best epoch, until they are written
        saved = run.load_resume()
        if saved:
            course.load_state(saved["trainer"])
            self.at = Position(**saved["position"])
            self.rows = [row for row in run.log() if row["epoch"] < self.at.epoch]

    def run_all(self) -> RunFolder:
        bar = tqdm(
            total=self.preset.epochs,
            initial=self.at.epoch,
            disable=not self.progress,
            desc="training",
            unit="epoch",
        )
        with bar:
            while self.at.epoch < self.preset.epochs and not self._enough():
                row = self._one_epoch()
                bar.update()
                bar.set_postfix({k: f"{row[k]:.3g}" for k in ("mae", "loss", "valid") if k in row})
        self._finish()
        return self.run

    def _enough(self) -> bool:
        if self.max_steps is not None and self.at.steps >= self.max_steps:
            return True
        stale = self.at.epoch - 1 - self.at.best_epoch
        return bool(self.preset.patience and self.course.counts[1] and stale >= self.preset.patience)

    def _one_epoch(self) -> dict[str, float]:
        began, course = time.monotonic(), self.course
        course.set_epoch(self.at.epoch)
        sums: dict[str, float] = {}
        batches = 0
        for batch in course.batches():
            terms = {name: term.item() for name, term in course.step(batch).items()}
            self._check_finite(terms)
            sums = {name: sums.get(name, 0.0) + value for name, value in terms.items()}
            batches += 1
            self.at.steps += 1
            if self.max_steps is not None and self.at.steps >= self.max_steps:
                break
        row: dict[str, float] = {"epoch": self.at.epoch, "steps": self.at.steps}
        row |= {name: value / batches for name, value in sums.items()}
        row |= course.rates()
        last = self.at.epoch + 1 == self.preset.epochs or self.max_steps == self.at.steps
        if last or (self.at.epoch + 1) % self.preset.validate_every == 0:
            self._validate(row)
        self.at.seconds += time.monotonic() - began
        row["seconds"] = round(self.at.seconds, 2)
        self.at.epoch += 1
        self.rows.append(row)
        self.run.save_log(self.rows)
        if self._time_to_save(last):
            self._save()
        return row

    def _save_best(self) -> None:
        if self.best_weights is not None:
            self.run.save_weights(self.best_weights)
            self.best_weights = None

    def _time_to_save(self, last: bool) -> bool:
        """Whether to write what a later process goes on from: always where that is quick, else a tenth of the time.

        At full scale it is 700 MB, and an epoch on a GPU takes less time than to write them.
        """
        wait = 0.0 if last or self.save_seconds < SLOW else SHARE * self.save_seconds
        return time.monotonic() - self.saved_at >= wait

    def _save(self) -> None:
        began = time.monotonic()
        self._save_best()  # first, so that a state never speaks of weights that are not there
        state = {"trainer": self.course.state(), "position": dataclasses.asdict(self.at)}
        self.run.save_resume(state)
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - began

    def _validate(self, row: dict[str, float]) -> None:
        """Judge the held-out crops; without any, the last epoch counts as the best."""
        found = self.course.judge()
        value = -float(self.at.epoch) if found is None else found
        if found is not None:
            row["valid"] = found
            self._check_finite({"valid": found})
        better = value < self.at.best
        if better:
            self.at.best, self.at.best_epoch = value, self.at.epoch
            kept = self.course.weights()
            self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in kept.items()}
        self.course.picture(self.run.path / "progress" / f"{self.at.epoch:04d}.png")

    def _check_finite(self, terms: dict[str, float]) -> None:
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        if bad:
            self.run.manifest |= {"status": "failed", "error": f"not finite: {', '.join(bad)}"}
            self.run.save_manifest()
            self._save_best()
            name, rate = next(iter(self.course.rates().items()))
            kept = (self.run.path / "checkpoint.safetensors").is_file()
            where = f"the last good checkpoint is in {self.run.path}" if kept else "no epoch was completed"
            raise UserError(
                f"training stopped in epoch {self.at.epoch}, step {self.at.steps}: {', '.join(bad)} is not "
                f"finite. Lower {name} ({getattr(self.preset, name, rate)}) or leave the term out; {where}"
            )

    def _finish(self) -> None:
        self._save_best()
        complete = self.course.finish(self.run.load_weights)
        if complete is not None:
            self.run.save_weights(complete)
        trained, validated = self.course.counts
        self.run.manifest |= {
            "status": "finished",
            "finished": now(),
            "epochs_done": self.at.epoch,
            "steps_done": self.at.steps,
            "best_epoch": self.at.best_epoch,
            "train_seconds": round(self.at.seconds, 1),
            "peak_memory_mib": peak_memory_mib(),
            "crops_trained": trained,
            "crops_validated": validated,
        }
        if self.course.fabric.device.type == "cuda":
            self.run.manifest["peak_gpu_memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
        self.run.save_manifest()
        (self.run.path / "resume.pt").unlink(missing_ok=True)
