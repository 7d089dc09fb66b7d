"""Training: undamaged crops in, a checkpoint out (paper, sections III-B, III-E and IV-B). Chapters 04, 12 and 13.

In the order of the work: a batch is augmented and masked; D learns to tell restored roads from real ones, then G to
restore (`Trainer`); epochs, validation, log and early stop (`Loop`, which trains the compared methods too); `train`
puts them together in a run folder, and goes on where a run was killed.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from upcrack_lite import masks
from upcrack_lite.discriminator import Discriminator
from upcrack_lite.errors import UserError
from upcrack_lite.generator import Generator, test_mode
from upcrack_lite.images import to_tensor, to_uint8
from upcrack_lite.io import write_image
from upcrack_lite.losses import adversarial_d, restoration_loss, total_loss
from upcrack_lite.recipes import Preset
from upcrack_lite.runs import Resumable, RunFolder, check_crops, check_device, describe, environment
from upcrack_lite.vgg import VGGFeatures

if TYPE_CHECKING:
    from lightning import Fabric

SLOW, SHARE = 0.5, 10
"""Seconds from which on writing a state is slow; then so many times its duration pass before the next."""


@dataclass(frozen=True)
class Batch:
    """What one training step sees. image and masked: ``(N, 3, S, S)`` in [-1, 1]; mask: ``(N, 1, S, S)``."""

    image: torch.Tensor
    masked: torch.Tensor
    mask: torch.Tensor


def draw_masks(n: int, preset: Preset, generator: torch.Generator) -> torch.Tensor:
    """Draw n masks ``(n, 1, S, S)`` of the preset's family."""
    cells = preset.mask_cells if preset.mask_family == "multi_scale_square" else None
    return masks.draw(preset.mask_family, n, preset.size, generator, cells)


def make_batch(images: torch.Tensor, preset: Preset, generator: torch.Generator) -> Batch:
    """Augment and mask one batch.

    images: ``(N, 3, S, S)`` in [-1, 1]. Each is enlarged to `load_size`, cropped back to S at its own place,
    flipped or not, and masked; with `mask_before_resize` the mask goes through the same enlargement and crop.
    """
    size, n = preset.size, len(images)
    mask = draw_masks(n, preset, generator).to(images.device)
    masked = masks.apply(images, mask, preset.hole_fill, generator)
    stack = torch.cat([images, masked, mask], dim=1)  # (N, 7, S, S): what is moved together stays together
    if preset.load_size > size:
        stack = functional.interpolate(stack, size=preset.load_size, mode="bilinear", align_corners=False)
        room = preset.load_size - size
        corners = torch.randint(room + 1, (n, 2), generator=generator).tolist()
        stack = torch.stack(
            [s[:, y : y + size, x : x + size] for s, (y, x) in zip(stack, corners, strict=True)]
        )
    if preset.flip:
        flip = torch.rand(n, generator=generator) < 0.5
        stack = torch.where(flip.view(-1, 1, 1, 1).to(stack.device), stack.flip(-1), stack)
    image, moved, moved_mask = stack[:, :3], stack[:, 3:6], stack[:, 6:]
    if preset.mask_before_resize:
        return Batch(image, moved, moved_mask)
    return Batch(image, masks.apply(image, mask, preset.hole_fill, generator), mask)


def epoch(
    images: np.ndarray,
    preset: Preset,
    generator: torch.Generator,
    device: torch.device,
    training: np.ndarray | None = None,
) -> Iterator[Batch]:
    """Go through the training crops once, in random order.

    images: uint8 ``(N, S, S, 3)``, in memory or memory-mapped. training: indices of the crops to train on;
    None takes all.
    """
    training = np.arange(len(images)) if training is None else training
    order = training[torch.randperm(len(training), generator=generator).numpy()]
    for start in range(0, len(order), preset.batch_size):
        # Ascending, which is kinder to a memory-mapped file.
        chosen = np.sort(order[start : start + preset.batch_size])
        yield make_batch(to_tensor(np.asarray(images[chosen])).to(device), preset, generator)


def split_by_photo(groups: list[str], fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split crops into training and validation so that no photo is in both.

    groups: the photo each crop came from. fraction: of the crops, for validation, in [0, 1).
    Returns the indices of both, ascending. Validation is empty when fraction is 0.
    Raises UserError when a fraction above 0 leaves nothing to train on.
    """
    photos, sizes = np.unique(groups, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(photos))
    before = np.cumsum(sizes[order]) - sizes[order]  # validation crops before a photo's turn
    in_validation = np.isin(groups, photos[order[before < fraction * len(groups)]])
    training, validation = np.flatnonzero(~in_validation), np.flatnonzero(in_validation)
    if not len(training):
        raise UserError(
            f"{len(groups)} crops from {len(photos)} photo(s) leave none to train on beside validation: "
            "add photos, or set validation_share=0"
        )
    return training, validation


def numbers(terms: dict[str, torch.Tensor]) -> dict[str, float]:
    """Terms of a step as numbers, read in one go: a graphics card is waited for once."""
    return dict(zip(terms, torch.stack(tuple(terms.values())).tolist(), strict=True))


class Trainer(Resumable):
    """The two networks, their optimizers and the state of a run; a `Loop` drives it through the epochs.

    fabric: says on which device and in which precision. seed: of the weights, of everything drawn, and of the masks
    and the noise of validation. vgg_weights: see `VGGFeatures`. images: uint8 ``(N, S, S, 3)``, the undamaged crops;
    split: indices of those to train on and of those to validate on. Single steps need no crops.
    """

    parts = ("g", "d", "opt_g", "opt_d")

    def __init__(
        self,
        preset: Preset,
        fabric: Fabric,
        seed: int,
        vgg_weights: str | None = None,
        images: np.ndarray | None = None,
        split: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        fabric.seed_everything(seed, workers=False, verbose=False)
        self.preset, self.fabric, self.seed = preset, fabric, seed
        if images is not None and split is not None:
            # Indices, not a copy: the training crops may lie in a memory-mapped file larger than memory.
            self.images, self.training, self.validation_images = images, split[0], images[split[1]]
            self.counts = (len(split[0]), len(split[1]))
        with fabric.autocast():
            mixed = torch.is_autocast_enabled(fabric.device.type)
        # Channels last and a fused Adam suit 16 bits; 32 bits keep the usual ones, and with them their numbers.
        self.layout = torch.channels_last if mixed else torch.preserve_format
        adam = partial(torch.optim.Adam, betas=(preset.beta1, preset.beta2), fused=mixed or None)
        g = Generator(preset.width, preset.depth, preset.dropout).to(memory_format=self.layout)
        d = Discriminator(preset.disc_width).to(memory_format=self.layout)
        self.g, self.opt_g = fabric.setup(g, adam(g.parameters(), preset.lr_g))
        self.d, self.opt_d = fabric.setup(d, adam(d.parameters(), preset.lr_d))
        self.vgg = None
        if preset.lambda_style:
            look = {"normalize": preset.style_normalize, "channels": preset.style_channels}
            # In a fork, so that the same seed gives the same dropout wherever the weights come from.
            with torch.random.fork_rng(devices=[]):
                vgg = VGGFeatures(preset.style_network, weights=vgg_weights, **look)
            self.vgg = vgg.to(fabric.device, memory_format=self.layout)
        # Masks, order and crops draw from their own stream, so that dropout does not shift them.
        self.draws = torch.Generator().manual_seed(seed)

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One step of D, then one of G; returns every term, unweighted."""
        terms: dict[str, torch.Tensor] = {}
        if self.preset.lambda_adv:
            terms["d"] = self.step_d(batch)
        return terms | self.step_g(batch)

    def step_d(self, batch: Batch) -> torch.Tensor:
        """D minimizes the negative of Eq. 8. G is not trained here: its output carries no gradient."""
        with torch.no_grad():
            restored = self.g(batch.masked)
        self.opt_d.zero_grad()
        real, fake = self.d(batch.masked, batch.image), self.d(batch.masked, restored)
        loss = adversarial_d(real.float(), fake.float(), self.preset.disc_loss_factor)
        self.fabric.backward(loss)
        self.opt_d.step()
        return loss.detach()

    def step_g(self, batch: Batch) -> dict[str, torch.Tensor]:
        """G minimizes Eq. 2, on a second forward pass with its own dropout, as in the released program."""
        self.d.requires_grad_(False)  # D's gradients would be thrown away
        self.opt_g.zero_grad()
        restored = self.g(batch.masked)
        logits = self.d(batch.masked, restored) if self.preset.lambda_adv else None
        total, terms = total_loss(restored, batch.image, logits, self.preset, self.features)
        self.fabric.backward(total)
        self.opt_g.step()
        self.d.requires_grad_(True)
        return {name: term.detach() for name, term in (terms | {"total": total}).items()}

    def features(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Activations of VGG for the style loss: computed in the training's precision, float32 for Gram matrices."""
        with self.fabric.autocast():
            activations = self.vgg(image.to(memory_format=self.layout))
        return {name: values.float() for name, values in activations.items()}

    @contextmanager
    def at_test(self, seed: int) -> Iterator[None]:
        """G in the mode of the test, its noise seeded; afterwards G and the random streams are as they were.

        With batch statistics a batch is still a batch here, while `detection.restore` takes photos one by one.
        """
        device, preset = self.fabric.device, self.preset
        with (
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            test_mode(self.g, preset.test_statistics, preset.test_dropout),
        ):
            torch.manual_seed(seed)
            yield

    def _masked(self, images: np.ndarray, draws: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Crops as they are and masked, on the device, without augmentation."""
        image = to_tensor(np.asarray(images)).to(self.fabric.device)
        mask = draw_masks(len(image), self.preset, draws).to(image.device)
        return image, masks.apply(image, mask, self.preset.hole_fill, draws)

    @torch.no_grad()
    def validate(self) -> float | None:
        """L_res on the validation crops, with masks and noise that are the same at every call; None without any."""
        draws, size, losses = torch.Generator().manual_seed(self.seed), self.preset.batch_size, []
        with self.at_test(self.seed):
            for start in range(0, len(self.validation_images), size):
                image, masked = self._masked(self.validation_images[start : start + size], draws)
                loss, _ = restoration_loss(self.g(masked), image, self.preset, self.features)
                losses += [loss.item()] * len(image)
        return float(np.mean(losses)) if losses else None

    @torch.no_grad()
    def picture(self, path: Path) -> None:
        """Save four crops, masked and restored, as one PNG, with the same masks and noise at every call."""
        image, masked = self._masked(self.images[self.training[:4]], torch.Generator().manual_seed(self.seed))
        with self.at_test(self.seed):
            restored = self.g(masked)
        rows = [np.concatenate(list(to_uint8(x)), axis=1) for x in (image, masked, restored)]
        write_image(path, np.concatenate(rows))

    def batches(self) -> Iterator[Batch]:
        """Go through the training crops once."""
        return epoch(self.images, self.preset, self.draws, self.fabric.device, self.training)

    def weights(self) -> dict[str, torch.Tensor]:
        """What is kept of the best epoch."""
        return self.g.state_dict()

    def facts(self) -> dict[str, Any]:
        """Where the features of the style loss come from, for the manifest."""
        return {"style_weights": self.vgg.source if self.vgg else None}

    def rates(self) -> dict[str, float]:
        """Learning rates for the log."""
        return {"lr_g": self.opt_g.param_groups[0]["lr"]}

    def set_epoch(self, index: int) -> None:
        """Exponential decay of both learning rates (section IV-B)."""
        factor = self.preset.lr_decay**index
        for optimizer, rate in ((self.opt_g, self.preset.lr_g), (self.opt_d, self.preset.lr_d)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor


@dataclass
class Position:
    """Where a run stands; saved with the networks after every epoch."""

    epoch: int = 0
    steps: int = 0
    best: float = math.inf
    best_epoch: int = -1
    seconds: float = 0.0


class Loop:
    """The epochs of one run: steps, validation, log, checkpoint, early stop (section IV-B).

    task: what is trained, a `Trainer`, or a compared method's task with the same methods from `batches` on.
    preset: with `epochs`, `validate_every` and `patience`, in epochs; a patience of 0 never stops early.
    """

    def __init__(self, task: Any, run: RunFolder, preset: Any, max_steps: int | None, progress: bool) -> None:
        self.task, self.run, self.preset = task, run, preset
        self.max_steps, self.progress = max_steps, progress
        self.at, self.rows = Position(), []
        self.saved_at, self.save_seconds = time.monotonic(), 0.0
        self.best_weights: dict[str, torch.Tensor] | None = None  # of the best epoch, until they are written
        if run.load_resume(self._take_up):
            self.rows = [row for row in run.log() if row["epoch"] < self.at.epoch]
            if len(self.rows) != self.at.epoch:
                lacks = f"log.csv does not hold the first {self.at.epoch} epochs"
                raise UserError(f"{run.path}: {lacks}: delete the folder and train anew")

    def _take_up(self, saved: dict[str, Any]) -> None:
        self.task.load_state(saved["trainer"])
        self.at = Position(**saved["position"])

    def run_all(self) -> RunFolder:
        """Train to the end and return the finished run."""
        epochs, hidden = self.preset.epochs, not self.progress
        with tqdm(total=epochs, initial=self.at.epoch, disable=hidden, desc="training", unit="epoch") as bar:
            while self.at.epoch < epochs and not self._is_over():
                row = self._one_epoch()
                bar.update()
                bar.set_postfix({k: f"{row[k]:.3g}" for k in ("mae", "loss", "valid") if k in row})
        self._finish()
        return self.run

    def _at_limit(self) -> bool:
        return self.max_steps is not None and self.at.steps >= self.max_steps

    def _is_over(self) -> bool:
        """The limit of steps is reached, or the best epoch lies at least `patience` epochs back."""
        stale = self.at.epoch - 1 - self.at.best_epoch
        patience = self.preset.patience if self.task.counts[1] else 0  # without validation no epoch is better
        return self._at_limit() or bool(patience and stale >= patience)

    def _one_epoch(self) -> dict[str, float]:
        began, task = time.monotonic(), self.task
        task.set_epoch(self.at.epoch)
        sums, batches = dict[str, float](), 0
        for batch in task.batches():
            terms = numbers(task.step(batch))
            self._check_finite(terms)
            sums = {name: sums.get(name, 0.0) + value for name, value in terms.items()}
            self.at.steps += 1
            batches += 1
            if self._at_limit():
                break
        row: dict[str, float] = {"epoch": self.at.epoch, "steps": self.at.steps}
        row |= {name: value / batches for name, value in sums.items()} | task.rates()
        self.run.check_there()
        # Unlike other weights, running statistics that are infinite show in no loss.
        running = {name: values for name, values in task.weights().items() if "running_" in name}
        unsound = [name for name, values in running.items() if not values.isfinite().all()]
        self._check_finite(dict.fromkeys(unsound[:1], math.nan))
        last = self.at.epoch + 1 == self.preset.epochs or self._at_limit()
        if last or (self.at.epoch + 1) % self.preset.validate_every == 0:
            self._validate(row)
        self.at.seconds += time.monotonic() - began
        row["seconds"] = round(self.at.seconds, 2)
        self.at.epoch += 1
        self.rows.append(row)
        self.run.save_log(self.rows)
        # At full scale a state is 700 MB, and an epoch on a GPU takes less time than to write them.
        wait = 0.0 if last or self.save_seconds < SLOW else SHARE * self.save_seconds
        if time.monotonic() - self.saved_at >= wait:
            self._save()
        return row

    def _validate(self, row: dict[str, float]) -> None:
        """Validate, and keep the weights if they are the best so far; without crops for it the last are the best."""
        loss = self.task.validate()
        if loss is not None:
            row["valid"] = loss
            self._check_finite({"valid": loss})
        value = -float(self.at.epoch) if loss is None else loss
        if value < self.at.best:
            self.at.best, self.at.best_epoch = value, self.at.epoch
            self.best_weights = {k: w.detach().cpu().clone() for k, w in self.task.weights().items()}
        self.task.picture(self.run.path / "progress" / f"{self.at.epoch:04d}.png")

    def _save(self) -> None:
        began = time.monotonic()
        self._save_best()  # first, so that a state never speaks of weights that are not there
        self.run.save_resume({"trainer": self.task.state(), "position": dataclasses.asdict(self.at)})
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - began

    def _save_best(self) -> None:
        if self.best_weights is not None:
            self.run.save_weights(self.best_weights)
            self.best_weights = None

    def _check_finite(self, terms: dict[str, float]) -> None:
        bad = ", ".join(name for name, value in terms.items() if not math.isfinite(value))
        if bad:
            self._save_best()
            name, rate = next(iter(self.task.rates().items()))
            advice = f"Lower {name} ({getattr(self.preset, name, rate)}) or leave the term out"
            self.run.fail(f"{bad} is not finite", f"in epoch {self.at.epoch}, step {self.at.steps}", advice)

    def _finish(self) -> None:
        self._save_best()
        if (complete := self.task.finish(self.run.load_weights)) is not None:
            self.run.save_weights(complete)
        at, device = self.at, self.task.fabric.device.type
        self.run.finish(self.task.counts, round(at.seconds, 1), device, at.epoch, at.steps, at.best_epoch)


def train_task(
    make: Callable[[Fabric], Any],
    what: dict[str, Any],
    preset: Any,
    out: Path | str,
    device: str,
    progress: bool,
) -> RunFolder:
    """Train any method's task in its run folder, which may hold this very run: finished, or killed on its way.

    make: builds the task for a `Loop`, once it is known that there is work. what: the run's facts, from `describe`.
    Raises UserError for a folder that belongs to another run, or a loss that is no longer finite.
    """
    with RunFolder.working(out, what, preset.older()) as run:
        if run is not None and run.finished:
            return run
        from lightning import Fabric  # here: it takes seconds, and many import this file without training

        task = make(Fabric(accelerator=device, devices=1, precision=what["precision"]))
        run = run or RunFolder.create(out, what)
        run.begin(environment(str(task.fabric.device)), task.facts())
        return Loop(task, run, preset, what["max_steps"], progress).run_all()


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
    vgg_weights: str | None = None,
    progress: bool = True,
) -> RunFolder:
    """Train UP-CrackNet on undamaged crops; a run that was killed goes on where it stopped.

    images: uint8 ``(N, S, S, 3)``, S as the preset says. groups: the photo of each crop, for the split.
    out: the run folder. data: facts about the crops for the manifest. device: "auto", "cpu" or "cuda".
    precision: Fabric's name, such as "32-true" or "bf16-mixed". max_steps: stop after so many batches.
    vgg_weights: see `VGGFeatures`. progress: show a bar.
    Returns the finished run. Raises UserError for crops of another size, a folder that belongs to another
    run, or a loss that is no longer finite (it names the term).
    """
    groups, device = check_crops(images, preset.size, groups), check_device(device)
    split = split_by_photo(groups, preset.validation_share, seed)
    own = {"start_sha256": None, "vgg_weights": None if vgg_weights is None else Path(vgg_weights).name}
    what = describe("upcracknet", preset, images, data, seed, max_steps, precision, own)
    return train_task(
        lambda fabric: Trainer(preset, fabric, seed, vgg_weights, images, split),
        what,
        preset,
        out,
        device,
        progress,
    )
