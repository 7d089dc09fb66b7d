"""Train the detector: scenes are drawn as the training goes, and no scene comes twice. Chapter: drawn cracks.

`training.Loop` drives it, as it drives UP-CrackNet, so a run that was killed goes on bit by bit on a CPU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR

from upcrack_lite.drawn.detect import DrawnNet, normalized
from upcrack_lite.drawn.recipe import STEPS, DrawnPreset
from upcrack_lite.drawn.scenes import Material, draw_scene, prepare
from upcrack_lite.errors import UserError
from upcrack_lite.io import write_image
from upcrack_lite.runs import Resumable, RunFolder, check_crops, check_device, describe
from upcrack_lite.training import train_task

if TYPE_CHECKING:
    from lightning import Fabric

AHEAD = 4  # batches that are drawn while the network learns
Batch = tuple[torch.Tensor, torch.Tensor]
"""Normalized gray ``(N, 1, S, S)`` and labels, float ``(N, 1, S, S)``, 1 = crack."""


def draw_batch(material: Material, preset: DrawnPreset, seed: int, step: int) -> Batch:
    """Draw the scenes of one step."""
    draws = [np.random.default_rng([seed, step, i]) for i in range(preset.batch_size)]
    scenes = [draw_scene(rng, material, preset) for rng in draws]
    gray = np.stack([normalized(scene) for scene, _ in scenes])
    labels = np.stack([label for _, label in scenes]).astype(np.float32)
    return torch.from_numpy(gray)[:, None], torch.from_numpy(labels)[:, None]


def crack_loss(logits: torch.Tensor, label: torch.Tensor) -> dict[str, torch.Tensor]:
    """Cross entropy, and what is missing to a Dice coefficient of 1 over the batch; "loss" is what is minimized."""
    bce = functional.binary_cross_entropy_with_logits(logits, label)
    probability = torch.sigmoid(logits)
    dice = 1 - (2 * (probability * label).sum() + 1) / (probability.sum() + label.sum() + 1)
    return {"bce": bce, "dice": dice, "loss": bce + 0.5 * dice}


class DrawnTrainer(Resumable):
    """The network, its average over the last steps, its optimizer; a `Loop` drives it."""

    parts = ("network", "average", "optimizer", "schedule")
    network_class = DrawnNet

    def __init__(self, preset: DrawnPreset, fabric: Fabric, images: np.ndarray, seed: int) -> None:
        fabric.seed_everything(seed, workers=False, verbose=False)
        self.preset, self.fabric, self.seed = preset, fabric, seed
        self.material, self.counts, self.steps = prepare(images, seed), (len(images), 0), 0
        # Channels last in memory: a third faster on a CPU.
        network = self.network_class(preset.width).to(memory_format=torch.channels_last)
        self.average = deepcopy(network).to(fabric.device).eval()
        optimizer = torch.optim.AdamW(network.parameters(), preset.lr, weight_decay=preset.weight_decay)
        self.network, self.optimizer = fabric.setup(network, optimizer)
        steps = preset.epochs * STEPS
        self.schedule = OneCycleLR(self.optimizer, preset.lr, total_steps=steps + 1, pct_start=0.1)
        self.draws = torch.Generator().manual_seed(seed)  # nothing is drawn from it: a scene has its own seed

    def set_epoch(self, index: int) -> None:
        """Where the training stands."""
        self.steps = index * STEPS

    def batches(self) -> Iterator[Batch]:
        """The scenes of one epoch, drawn ahead by a thread of its own."""
        steps = range(self.steps, self.steps + STEPS)
        with ThreadPoolExecutor(1) as pool:
            draw = partial(pool.submit, draw_batch, self.material, self.preset, self.seed)
            waiting = deque(map(draw, steps[:AHEAD]))
            for step in steps:
                gray, label = waiting.popleft().result()
                if step + AHEAD in steps:
                    waiting.append(draw(step + AHEAD))
                yield gray.to(self.fabric.device), label.to(self.fabric.device)

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One step; then the averaged weights follow."""
        gray, label = batch
        self.network.train()
        self.optimizer.zero_grad()
        terms = crack_loss(self.network(gray).float(), label)
        self.fabric.backward(terms["loss"])
        self.fabric.clip_gradients(self.network, self.optimizer, max_norm=1.0)
        self.optimizer.step()
        self.schedule.step()
        self.steps += 1
        self._follow()
        return {name: term.detach() for name, term in terms.items()}

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(self.preset.ema, self.steps / (self.steps + 10))  # at first the average is of little worth
        present = self.network.state_dict()
        for name, averaged in self.average.state_dict().items():
            if averaged.is_floating_point():
                averaged.lerp_(present[name].to(averaged), 1 - keep)

    def validate(self) -> None:
        """There is no set to validate on: scenes never come twice, so the training loss tells."""

    @torch.no_grad()
    def picture(self, path: Path) -> None:
        """Four scenes, their labels, and what the averaged network finds; the same scenes at every call."""
        gray, label = draw_batch(self.material, self.preset, self.seed, 2**31)
        found = torch.sigmoid(self.average(gray[:4].to(self.fabric.device))).cpu()
        shown = torch.cat([(gray[:4] * 0.2 + 0.5).clamp(0, 1), label[:4], found], dim=2)
        rows = np.concatenate(list((shown[:, 0] * 255).round().byte().numpy()), axis=1)  # (3 S, 4 S)
        write_image(path, rows)

    def weights(self) -> dict[str, torch.Tensor]:
        """The averaged weights."""
        return self.average.state_dict()


def train_drawn(
    images: np.ndarray,
    preset: DrawnPreset,
    out: Path | str,
    *,
    groups: list[str] | None = None,
    data: dict[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "32-true",
    max_steps: int | None = None,
    progress: bool = True,
) -> RunFolder:
    """Train on undamaged crops, uint8 ``(N, S, S, 3)``, S as the preset says; a killed run goes on where it stopped.

    The other arguments and the run are as in `training.train`. Raises UserError for crops of another size, a preset
    of another method, a folder that belongs to another run, or a loss that is no longer finite.
    """
    if not isinstance(preset, DrawnPreset):
        raise UserError("the preset is not drawn's: use DrawnPreset.make('drawn', scale)")
    check_crops(images, preset.size, groups)
    device = check_device(device)
    what = describe("drawn", preset, images, data, seed, max_steps, precision, {})
    return train_task(
        lambda fabric: DrawnTrainer(preset, fabric, images, seed), what, preset, out, device, progress
    )
