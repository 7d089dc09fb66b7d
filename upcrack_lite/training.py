"""Training: D learns to tell restored roads from real ones, G learns to restore (paper, section IV-B).

One readable loop over epochs; `steps` has the step of D and the step of G. Lightning Fabric takes care of
device and precision; `launch` and `spread` of several devices. Chapter 13 reads the curves.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
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
from upcrack_lite.files import write_aside
from upcrack_lite.generator import Generator
from upcrack_lite.launch import check_devices, launch
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
    devices: int = 1,
    precision: str = "32-true",
    max_steps: int | None = None,
    start: dict[str, torch.Tensor] | None = None,
    vgg_weights: str | None = None,
    progress: bool = True,
) -> RunFolder:
    """Train UP-CrackNet on undamaged crops; a run that was killed goes on where it stopped.

    images: uint8 ``(N, S, S, 3)``, S as the preset says. groups: the photo of each crop, for the split.
    out: the run folder. data: facts about the crops for the manifest. device: "auto", "cpu" or "cuda".
    devices: how many GPUs, or processes on a CPU, share each batch; see below.
    precision: Fabric's name, such as "32-true" or "bf16-mixed". max_steps: stop after so many batches.
    start: generator weights to begin from. vgg_weights: see `VGGFeatures`. progress: show a bar.
    Returns the finished run. Raises UserError for crops of another size, a folder that belongs to another
    run, a number of devices that cannot be had, or a loss that is no longer finite (it names the term).

    With several devices, new processes are started, so a script needs ``if __name__ == "__main__":``. From a
    notebook it works as it is, but the bar appears where the notebook was started. The crops are written
    to a temporary file that all processes read. `preset.batch_size` is the batch of all together, and order,
    masks, crops and flips, statistics of batch norm, gradients and losses are those of one process, up to
    rounding. Dropout is not: each process draws its own noise. So a run belongs to its number of processes, and
    goes on, bit by bit on a CPU, with that number alone. When one process fails, all are ended, and its error is
    raised: RuntimeError with its traceback where it is no UserError.
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
    check_devices(devices, device, preset.batch_size)
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
    if run is not None:
        _check_processes(run, devices)
        if run.finished:
            return run
    job = _Job(Path(out), run, what, preset, training, validation, seed, max_steps, vgg_weights, progress)
    if devices == 1:
        fabric = lightning.Fabric(accelerator=device, devices=1, precision=precision)
        return _train(fabric, job, images, start)
    with tempfile.TemporaryDirectory(prefix="upcrack-") as folder:
        # Files, not arguments: those would be copied into every process, or through scarce shared memory.
        write_aside(Path(folder) / CROPS, lambda path: _save_array(path, images))
        write_aside(Path(folder) / START, lambda path: torch.save(start, path))
        launch(_train_spread, devices, device, precision, job, Path(folder))
    return RunFolder.open(out)


CROPS, START = "crops.npy", "start.pt"


def _save_array(path: Path, images: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, images)


def _check_processes(run: RunFolder, devices: int) -> None:
    """Refuse to go on with another number of processes; a run that does not say was trained by one."""
    before = run.manifest.get("processes", 1)
    if before != devices:
        raise UserError(
            f"{run.path} holds a run of {before} process(es), asked for {devices}: its dropout noise belongs to "
            f"that number. Use devices {before}, or name a new folder; nothing was touched"
        )


@dataclasses.dataclass(frozen=True)
class _Job:
    """What a process needs to know of a run beside the crops. run: the one to go on with. what: its facts."""

    out: Path
    run: RunFolder | None
    what: dict[str, Any]
    preset: Preset
    training: np.ndarray
    validation: np.ndarray
    seed: int
    max_steps: int | None
    vgg_weights: str | None
    progress: bool


def _train_spread(fabric: lightning.Fabric, job: _Job, folder: Path) -> None:
    """What each of several processes does."""
    images = np.load(folder / CROPS, mmap_mode="r")  # the processes share the memory
    _train(fabric, job, images, torch.load(folder / START, weights_only=True))


def _train(
    fabric: lightning.Fabric, job: _Job, images: np.ndarray, start: dict[str, torch.Tensor] | None
) -> RunFolder:
    preset, run = job.preset, job.run
    trainer = Trainer(preset, fabric, job.seed, job.vgg_weights)
    if start is not None:
        try:
            trainer.g.load_state_dict(start)
        except RuntimeError as error:
            raise UserError(
                f"the start weights do not fit width {preset.width}, depth {preset.depth}"
            ) from error
    fabric.barrier()  # no process has found weights that cannot be had, which should leave no folder behind
    if fabric.is_global_zero:
        if run is None:
            run = RunFolder.create(job.out, job.what | {"processes": fabric.world_size, "started": now()})
        run.manifest["environment"] = environment() | {"used_device": str(fabric.device)}
        run.manifest["style_weights"] = trainer.vgg.source if trainer.vgg else None
        run.save_manifest()
    fabric.barrier()
    run = run or RunFolder.open(job.out)
    loop = _Loop(trainer, run, images, job.training, job.validation, job.seed, job.max_steps, job.progress)
    return loop.run_all()


@dataclasses.dataclass
class _Position:
    """Where a run stands; saved with the networks after every epoch."""

    epoch: int = 0
    steps: int = 0
    best: float = math.inf
    best_epoch: int = -1
    seconds: float = 0.0


class _Loop:
    """The epochs of one run: steps, validation, log, checkpoint, early stop.

    Of several processes, the first alone writes and judges the held-out crops; all make the same decisions.
    """

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
        self.first = trainer.fabric.is_global_zero
        self.max_steps, self.progress = max_steps, progress and self.first
        self.at, self.rows = _Position(), []
        saved = run.load_resume()
        if saved:
            trainer.load_state(saved["trainer"])
            self.at = _Position(**saved["position"])
            self.rows = [row for row in run.log() if row["epoch"] < self.at.epoch]
        if self.first:
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
        if self.first:
            self.board.close()
            self._finish()
        return self.run

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
        fabric = trainer.fabric
        mine = (fabric.world_size, fabric.global_rank)
        for batch in epoch(self.images, self.preset, trainer.draws, fabric.device, self.training, *mine):
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
        self.at.epoch += 1
        state = {"trainer": trainer.state(), "position": dataclasses.asdict(self.at)}
        if self.first:
            self._save(row, state)
        return row

    def _save(self, row: dict[str, float], state: dict[str, Any]) -> None:
        for name, value in row.items():
            self.board.add_scalar(name, value, row["epoch"])
        self.rows.append(row)
        self.run.save_log(self.rows)
        self.run.save_resume(state)

    def _validate(self, row: dict[str, float]) -> None:
        """Judge the held-out crops; without any, the last epoch counts as the best."""
        value = -float(self.at.epoch)
        if len(self.valid_images):
            found = self.trainer.validate(self.valid_images, self.seed) if self.first else None
            value = row["valid"] = self.trainer.fabric.broadcast(found)
            self._check_finite({"valid": value})
        better = value < self.at.best
        if better:
            self.at.best, self.at.best_epoch = value, self.at.epoch
        if not self.first:
            return
        if better:
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
            if self.first:
                self.run.manifest |= {"status": "failed", "error": f"not finite: {', '.join(bad)}"}
                self.run.save_manifest()
            self.trainer.fabric.barrier()  # the first process to raise ends them all
            kept = (self.run.path / "checkpoint.safetensors").is_file()
            where = f"the last good checkpoint is in {self.run.path}" if kept else "no epoch was completed"
            raise UserError(
                f"training stopped in epoch {self.at.epoch}, step {self.at.steps}: {', '.join(bad)} is not "
                f"finite. Lower lr_g ({self.preset.lr_g}) or leave the term out; {where}"
            )

    def _finish(self) -> None:
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
