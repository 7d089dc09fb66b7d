"""Train a compared method: with crack masks, or, like UP-CrackNet, on undamaged road alone. Chapter: the methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from upcrack_lite.baselines.base import Method, Restorer, Supervised
from upcrack_lite.baselines.courses import MethodCourse, RestorerCourse, SupervisedCourse
from upcrack_lite.baselines.encoders import encoder_facts, read_encoder, start_encoder
from upcrack_lite.baselines.labels import check_masks
from upcrack_lite.baselines.presets import MethodPreset
from upcrack_lite.baselines.registry import method
from upcrack_lite.errors import UserError
from upcrack_lite.runs import RunFolder, check_crops, check_device, data_hash, describe, environment, now
from upcrack_lite.training import Loop, split_by_photo


def train_method(
    method_name: str,
    images: np.ndarray,
    preset: MethodPreset,
    out: Path | str,
    *,
    crack_masks: np.ndarray | None = None,
    groups: list[str] | None = None,
    data: dict[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "32-true",
    max_steps: int | None = None,
    progress: bool = True,
) -> RunFolder:
    """Train a compared method; a run that was killed goes on where it stopped, bit by bit on a CPU.

    Args:
        method_name: a name in `registry.METHODS`.
        images: uint8 ``(N, S, S, 3)``, S as the preset says: photos with cracks for a method that learns from masks,
            undamaged crops for another.
        preset: of this method, by `method_preset`.
        out: the run folder.
        crack_masks: bool ``(N, S, S)``, True = crack, for a method that learns from them, and for no other.
        groups: the photo of each image, for the split.
        data: facts about the images for the manifest.
        device: "auto", "cpu" or "cuda". precision: Fabric's name. max_steps: stop after so many batches.
        progress: show a bar.

    Returns:
        The finished run: as UP-CrackNet's, with the whole network as checkpoint.

    Raises:
        UserError: before any work, for images or masks of another size or type, masks that are missing or not
            wanted, an unknown method, a preset of another method, weights that do not fit, or a folder that belongs
            to another run; later, for a loss that is no longer finite (it names the term).
    """
    chosen = method(method_name)
    if not isinstance(preset, MethodPreset) or preset.method != chosen.name:
        kind = getattr(preset, "method", "upcracknet")
        raise UserError(
            f"the preset is {kind}'s, not {chosen.name}'s: make it with method_preset({chosen.name!r})"
        )
    groups = check_crops(images, preset.size, groups)
    _check_masks(chosen, images, crack_masks)
    device = check_device(device)
    training, validation = split_by_photo(groups, preset.validation_share, seed)
    if preset.supervised and len(training) < 2:
        raise UserError(f"{chosen.name} needs at least 2 images to train on, got {len(training)}")
    start = read_encoder(chosen, preset.encoder_weights)
    own = {
        "crack_masks_sha256": None if crack_masks is None else data_hash(crack_masks),
        "encoder": encoder_facts(start),
    }
    what = describe(chosen.name, preset, images, data, seed, max_steps, precision, own)
    run = RunFolder.matching(out, what, preset.older())
    if run is not None and run.finished:
        return run
    fabric = lightning.Fabric(accelerator=device, devices=1, precision=precision)
    course = _course(chosen, preset, fabric, (images, crack_masks), (training, validation), seed, start)
    if run is None:
        run = RunFolder.create(out, what | {"started": now()})
    run.start(environment() | {"used_device": str(fabric.device)})
    # What a record asks of every run, and only UP-CrackNet has.
    run.manifest |= {"style_weights": None, "start_sha256": None}
    run.save_manifest()
    return Loop(course, run, preset, max_steps, progress).run_all()


def _check_masks(chosen: Method, images: np.ndarray, crack_masks: np.ndarray | None) -> None:
    if chosen.strategy == "unsupervised":
        if crack_masks is not None:
            raise UserError(f"{chosen.name} learns from undamaged crops alone: leave crack_masks out")
        return
    if crack_masks is None:
        raise UserError(f"{chosen.name} learns from crack masks: give crack_masks, bool {images.shape[:3]}")
    check_masks(images, crack_masks)


def _course(
    chosen: Method,
    preset: MethodPreset,
    fabric: lightning.Fabric,
    data: tuple[np.ndarray, np.ndarray | None],
    split: tuple[np.ndarray, np.ndarray],
    seed: int,
    start: dict[str, torch.Tensor] | None,
) -> MethodCourse:
    """Build the network from the seed, and what trains it."""
    fabric.seed_everything(seed, workers=False, verbose=False)
    network = chosen.build(preset.width)
    if start is not None:
        start_encoder(chosen, network, start)
    kind = RestorerCourse if isinstance(network, Restorer) else SupervisedCourse
    return kind(network, optimizer_of(network, preset), preset, fabric, *data, *split, seed)


def optimizer_of(network: Supervised | Restorer, preset: MethodPreset) -> torch.optim.Optimizer:
    """The preset's optimizer; a restorer has its own, which takes rate and weight decay from the preset.

    A restorer with several rates keeps their ratios: `lr` is the first one's.
    """
    if isinstance(network, Restorer):
        optimizer = network.optimizer()
        first = optimizer.param_groups[0]["lr"]
        for group in optimizer.param_groups:
            group["lr"] *= preset.lr / first
            group["weight_decay"] = preset.weight_decay
        return optimizer
    if preset.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), preset.lr, weight_decay=preset.weight_decay)
    return torch.optim.SGD(network.parameters(), preset.lr, preset.momentum, weight_decay=preset.weight_decay)
