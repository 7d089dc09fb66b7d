"""Training: D learns to tell restored roads from real ones, G learns to restore (paper, section IV-B).

One readable loop over epochs; `steps` has the step of D and the step of G. Lightning Fabric takes care of
device and precision. Chapter 13 reads the curves.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from upcrack_lite.batches import epoch, split_by_photo
from upcrack_lite.errors import UserError
from upcrack_lite.generator import Generator
from upcrack_lite.presets import Preset, from_dict
from upcrack_lite.repro.runs import RunFolder, data_hash, environment, now, peak_memory_mib, weights_hash
from upcrack_lite.steps import Trainer, picture


def train(
    images: np.ndarray,
    preset: Preset,
    out: Path | str,
    *,
    groups: list[str] | None = None,
    data: dict[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "32-true",
    max_steps: int | None = None,
    start: dict[str, torch.Tensor] | None = None,
    vgg_weights: str | None = None,
    progress: bool = True,
) -> RunFolder:
    """Train UP-CrackNet on undamaged crops; a run that was killed goes on where it stopped.

    images: uint8 ``(N, S, S, 3)``, S as the preset says. groups: the photo of each crop, for the split.
    out: the run folder. data: facts about the crops for the manifest. device: "auto", "cpu" or "cuda".
    precision: Fabric's name, such as "32-true" or "bf16-mixed". max_steps: stop after so many batches.
    start: generator weights to begin from. vgg_weights: see `VGGFeatures`. progress: show a bar.
    Returns the finished run. Raises UserError for crops of another size, a folder that belongs to another
    run, or a loss that is no longer finite (it names the term).
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (preset.size, preset.size, 3):
        raise UserError(
            f"crops must be uint8 (N, {preset.size}, {preset.size}, 3), got {images.dtype} {images.shape}"
        )
    if not len(images):
        raise UserError("there is no crop to train on")
    groups = groups if groups is not None else [str(i) for i in range(len(images))]
    if len(groups) != len(images):
        raise UserError(f"{len(groups)} groups for {len(images)} crops: give the photo of each crop")
    device = check_device(device)
    training, validation = split_by_photo(groups, preset.validation_share, seed)
    what = {
        "method": "upcracknet",
        "preset": preset.to_dict(),
        "overrides": preset.overrides(),
        "seed": seed,
        "max_steps": max_steps,
        "precision": precision,
        "start_sha256": weights_hash(start),
        "vgg_weights": None if vgg_weights is None else Path(vgg_weights).name,
        "data": {"crops": len(images), "sha256": data_hash(images)} | (data or {}),
    }
    what = json.loads(json.dumps(what))  # as a manifest gives it back, where tuples have become lists
    run = RunFolder.matching(out, what)
    if run is not None and run.finished:
        return run
    fabric = lightning.Fabric(accelerator=device, devices=1, precision=precision)
    trainer = Trainer(preset, fabric, seed, vgg_weights)
    if start is not None:
        try:
            trainer.g.load_state_dict(start)
        except RuntimeError as error:
            raise UserError(
                f"the start weights do not fit width {preset.width}, depth {preset.depth}"
            ) from error
    if run is None:  # made last, so that weights that cannot be had leave no folder behind
        run = RunFolder.create(out, what | {"started": now()})
    run.manifest["environment"] = environment() | {"used_device": str(fabric.device)}
    run.manifest["style_weights"] = trainer.vgg.source if trainer.vgg else None
    run.save_manifest()
    return _Loop(trainer, run, images, training, validation, seed, max_steps, progress).run_all()


@dataclasses.dataclass
class _Position:
    """Where a run stands; saved with the networks after every epoch."""

    epoch: int = 0
    steps: int = 0
    best: float = math.inf
    best_epoch: int = -1
    seconds: float = 0.0


class _Loop:
    """The epochs of one run: steps, validation, log, checkpoint, early stop."""

    def __init__(
        self,
        trainer: Trainer,
        run: RunFolder,
        images: np.ndarray,
        training: np.ndarray,
        validation: np.ndarray,
        seed: int,
        max_steps: int | None,
        progress: bool,
    ) -> None:
        self.trainer, self.run, self.preset, self.seed = trainer, run, trainer.preset, seed
        # Indices, not a copy: the training crops may lie in a memory-mapped file larger than memory.
        self.images, self.training, self.valid_images = images, training, images[validation]
        self.max_steps, self.progress = max_steps, progress
        self.at, self.rows = _Position(), []
        saved = run.load_resume()
        if saved:
            trainer.load_state(saved["trainer"])
            self.at = _Position(**saved["position"])
            self.rows = [row for row in run.log() if row["epoch"] < self.at.epoch]
        self.board = SummaryWriter(str(run.path / "tensorboard"), purge_step=self.at.epoch)

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
                bar.set_postfix({k: f"{row[k]:.3g}" for k in ("mae", "valid") if k in row})
        self.board.close()
        return self._finish()

    def _enough(self) -> bool:
        if self.max_steps is not None and self.at.steps >= self.max_steps:
            return True
        stale = self.at.epoch - 1 - self.at.best_epoch
        return bool(self.preset.patience and len(self.valid_images) and stale >= self.preset.patience)

    def _one_epoch(self) -> dict[str, float]:
        began, trainer = time.monotonic(), self.trainer
        trainer.set_epoch(self.at.epoch)
        sums: dict[str, float] = {}
        batches = 0
        for batch in epoch(self.images, self.preset, trainer.draws, trainer.fabric.device, self.training):
            terms = {name: term.item() for name, term in trainer.step(batch).items()}
            self._check_finite(terms)
            sums = {name: sums.get(name, 0.0) + value for name, value in terms.items()}
            batches += 1
            self.at.steps += 1
            if self.max_steps is not None and self.at.steps >= self.max_steps:
                break
        row: dict[str, float] = {"epoch": self.at.epoch, "steps": self.at.steps}
        row |= {name: value / batches for name, value in sums.items()}
        row["lr_g"] = trainer.opt_g.param_groups[0]["lr"]
        last = self.at.epoch + 1 == self.preset.epochs or self.max_steps == self.at.steps
        if last or (self.at.epoch + 1) % self.preset.validate_every == 0:
            self._validate(row)
        self.at.seconds += time.monotonic() - began
        row["seconds"] = round(self.at.seconds, 2)
        for name, value in row.items():
            self.board.add_scalar(name, value, self.at.epoch)
        self.rows.append(row)
        self.at.epoch += 1
        self.run.save_log(self.rows)
        self.run.save_resume({"trainer": trainer.state(), "position": dataclasses.asdict(self.at)})
        return row

    def _validate(self, row: dict[str, float]) -> None:
        """Judge the held-out crops; without any, the last epoch counts as the best."""
        value = -float(self.at.epoch)
        if len(self.valid_images):
            value = row["valid"] = self.trainer.validate(self.valid_images, self.seed)
            self._check_finite({"valid": value})
        if value < self.at.best:
            self.at.best, self.at.best_epoch = value, self.at.epoch
            self.run.save_weights(self.trainer.g.state_dict())
        picture(
            self.trainer,
            self.images[self.training[:4]],
            self.seed,
            self.run.path / "progress" / f"{self.at.epoch:04d}.png",
        )

    def _check_finite(self, terms: dict[str, float]) -> None:
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        if bad:
            self.run.manifest |= {"status": "failed", "error": f"not finite: {', '.join(bad)}"}
            self.run.save_manifest()
            kept = (self.run.path / "checkpoint.safetensors").is_file()
            where = f"the last good checkpoint is in {self.run.path}" if kept else "no epoch was completed"
            raise UserError(
                f"training stopped in epoch {self.at.epoch}, step {self.at.steps}: {', '.join(bad)} is not "
                f"finite. Lower lr_g ({self.preset.lr_g}) or leave the term out; {where}"
            )

    def _finish(self) -> RunFolder:
        self.run.manifest |= {
            "status": "finished",
            "finished": now(),
            "epochs_done": self.at.epoch,
            "steps_done": self.at.steps,
            "best_epoch": self.at.best_epoch,
            "train_seconds": round(self.at.seconds, 1),
            "peak_memory_mib": peak_memory_mib(),
            "crops_trained": len(self.training),
            "crops_validated": len(self.valid_images),
        }
        if self.trainer.fabric.device.type == "cuda":
            self.run.manifest["peak_gpu_memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
        self.run.save_manifest()
        (self.run.path / "resume.pt").unlink(missing_ok=True)
        return self.run


def check_device(name: str) -> str:
    """Resolve "auto", "cpu" or "cuda" to "cpu" or "cuda". Raises UserError for another name or no GPU."""
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"unknown device {name!r}; choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda was asked for, but PyTorch sees no GPU here: use auto or cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def load_generator(run: RunFolder | Path | str, device: str = "cpu") -> tuple[Generator, Preset]:
    """Load the generator and the preset of a run onto a device ("auto", "cpu" or "cuda").

    Raises UserError when the folder does not hold them, or there is no such device.
    """
    device = check_device(device)
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    if not isinstance(run.manifest.get("preset"), dict):
        raise UserError(f"{run.path}: its manifest holds no preset, so its network is unknown: train anew")
    preset = from_dict(run.manifest["preset"])
    generator = Generator(preset.width, preset.depth, preset.dropout)
    try:
        generator.load_state_dict({k: v.float() for k, v in run.load_weights().items()})
    except RuntimeError as error:
        raise UserError(
            f"the checkpoint in {run.path} does not fit its manifest (width {preset.width}, depth "
            f"{preset.depth}): one of the two files was replaced; copy the run again"
        ) from error
    return generator.to(device).eval(), preset
