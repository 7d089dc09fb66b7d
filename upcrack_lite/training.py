"""Training: D learns to tell restored roads from real ones, G learns to restore (paper, section IV-B).

`loop` goes through the epochs; `steps` has the step of D and the step of G. Lightning Fabric takes care of device and
precision. Chapter 13 reads the curves. The compared methods are trained by `methods.learning`, which checks and opens
its runs with the functions here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from upcrack_lite.batches import Batch, epoch, split_by_photo
from upcrack_lite.errors import UserError
from upcrack_lite.generator import Generator
from upcrack_lite.loop import Loop
from upcrack_lite.presets import Preset, from_dict
from upcrack_lite.runs import RunFolder, data_hash, environment, now, weights_hash
from upcrack_lite.steps import Trainer, picture
from upcrack_lite.versions import training_version


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
    groups = check_crops(images, preset.size, groups)
    device = check_device(device)
    training, validation = split_by_photo(groups, preset.validation_share, seed)
    own = {
        "start_sha256": weights_hash(start),
        "vgg_weights": None if vgg_weights is None else Path(vgg_weights).name,
    }
    what = describe("upcracknet", preset, images, data, seed, max_steps, precision, own)
    run = RunFolder.matching(out, what, preset.older())
    if run is not None and run.finished:
        return run
    if run is not None and run.manifest.get("processes", 1) != 1:
        raise UserError(
            f"{run.path} was begun on several devices by an earlier version: use that, or train anew"
        )
    fabric = lightning.Fabric(accelerator=device, devices=1, precision=precision)
    trainer = Trainer(preset, fabric, seed, vgg_weights)
    if start is not None:
        try:
            trainer.g.load_state_dict(start)
        except RuntimeError as error:
            raise UserError(
                f"the start weights do not fit width {preset.width}, depth {preset.depth}"
            ) from error
    if run is None:
        run = RunFolder.create(out, what | {"started": now()})
    run.start(environment() | {"used_device": str(fabric.device)})
    run.manifest["style_weights"] = trainer.vgg.source if trainer.vgg else None
    run.save_manifest()
    course = CrackNetCourse(trainer, images, training, validation, seed)
    return Loop(course, run, preset, max_steps, progress).run_all()


def check_crops(images: np.ndarray, size: int, groups: list[str] | None) -> list[str]:
    """The photo of each crop: `groups`, or a photo of its own for each.

    Raises UserError unless images are uint8 ``(N, size, size, 3)`` with N above 0, and N groups, where given.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (size, size, 3):
        raise UserError(f"crops must be uint8 (N, {size}, {size}, 3), got {images.dtype} {images.shape}")
    if not len(images):
        raise UserError("there is no crop to train on")
    groups = groups if groups is not None else [str(i) for i in range(len(images))]
    if len(groups) != len(images):
        raise UserError(f"{len(groups)} groups for {len(images)} crops: give the photo of each crop")
    return groups


def describe(
    method: str,
    preset: Any,
    images: np.ndarray,
    data: dict[str, Any] | None,
    seed: int,
    max_steps: int | None,
    precision: str,
    own: dict[str, Any],
) -> dict[str, Any]:
    """The facts that make a run what it is, for its manifest: the same facts are the same run.

    preset: has `to_dict` and `overrides`. data: facts about the crops. own: facts that only this method has.
    """
    what = {
        "method": method,
        "training_version": training_version(method),
        "preset": preset.to_dict(),
        "overrides": preset.overrides(),
        "seed": seed,
        "max_steps": max_steps,
        "precision": precision,
        **own,
        "data": {"crops": len(images), "sha256": data_hash(images)} | (data or {}),
    }
    return json.loads(json.dumps(what))  # as a manifest gives it back, where tuples have become lists


class CrackNetCourse:
    """UP-CrackNet's `Course`: a `Trainer` with its undamaged crops.

    images: uint8 ``(N, S, S, 3)``. training, validation: indices of crops. seed: of the masks and the noise that the
    held-out crops are judged with.
    """

    def __init__(
        self, trainer: Trainer, images: np.ndarray, training: np.ndarray, validation: np.ndarray, seed: int
    ) -> None:
        self.trainer, self.fabric, self.seed = trainer, trainer.fabric, seed
        # Indices, not a copy: the training crops may lie in a memory-mapped file larger than memory.
        self.images, self.training, self.held_out = images, training, images[validation]
        self.counts = (len(training), len(validation))
        self.set_epoch, self.step = trainer.set_epoch, trainer.step
        self.state, self.load_state = trainer.state, trainer.load_state

    def batches(self) -> Iterator[Batch]:
        trainer = self.trainer
        return epoch(self.images, trainer.preset, trainer.draws, self.fabric.device, self.training)

    def judge(self) -> float | None:
        return self.trainer.validate(self.held_out, self.seed) if self.counts[1] else None

    def weights(self) -> dict[str, torch.Tensor]:
        return self.trainer.g.state_dict()

    def finish(self, load: Callable[[], dict[str, torch.Tensor]]) -> None:
        """Nothing is left to find out."""

    def rates(self) -> dict[str, float]:
        return {"lr_g": self.trainer.opt_g.param_groups[0]["lr"]}

    def picture(self, path: Path) -> None:
        picture(self.trainer, self.images[self.training[:4]], self.seed, path)


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
