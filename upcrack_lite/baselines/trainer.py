"""Train a compared network on photos with crack masks, or, like UP-CrackNet, on undamaged road alone; load it again.

A batch is seen in random views; `training.Loop` drives a `Task` through the epochs, as it drives UP-CrackNet's own
`Trainer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from upcrack_lite.baselines.base import Restorer, Supervised, check_masks
from upcrack_lite.baselines.encoders import download, start_encoder
from upcrack_lite.baselines.recipes import MethodPreset
from upcrack_lite.baselines.registry import (
    COMPARED,
    CRACKNET,
    DRAWN,
    FAMILIES,
    PATCHCORE,
    AnyPreset,
    learns_from_masks,
    network,
    unused_options,
)
from upcrack_lite.data.datasets import TrainingData
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor, to_uint8
from upcrack_lite.io import write_image
from upcrack_lite.runs import (
    Resumable,
    RunFolder,
    check_crops,
    check_device,
    data_hash,
    describe,
    weights_hash,
)
from upcrack_lite.training import split_by_photo, train, train_task

if TYPE_CHECKING:
    from lightning import Fabric

SHOWN = 4  # images in a picture
Batch = tuple[torch.Tensor, torch.Tensor | None]
"""Images ``(N, 3, S, S)`` in [-1, 1], and float crack masks ``(N, 1, S, S)`` for a network that learns from them."""


def random_views(
    image: torch.Tensor, crack_mask: torch.Tensor | None, preset: MethodPreset, generator: torch.Generator
) -> Batch:
    """Scale, crop and flip a batch, each image in its own way and its mask with it (section IV-B).

    image: ``(N, 3, S, S)`` in [-1, 1]; crack_mask: float ``(N, 1, S, S)``, 0 or 1, or None. An image is enlarged by
    a factor between `scale_low` and `scale_high`, and a square of S px is cropped anywhere. Same shapes come back.
    """
    n, (low, high) = len(image), (preset.scale_low, preset.scale_high)
    factor = low + (high - low) * torch.rand(n, generator=generator)  # (N,)
    place = 2 * torch.rand(n, 2, generator=generator) - 1  # from one border, -1, to the other
    mirrored = torch.rand(n, generator=generator) < 0.5 if preset.flip else torch.zeros(n, dtype=torch.bool)
    # Where a pixel comes from, on axes from -1 to 1: the crop is 1 / factor as wide as the image.
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0] = torch.where(mirrored, -1.0, 1.0) / factor
    matrix[:, 1, 1] = 1 / factor
    matrix[:, :, 2] = place * (1 - 1 / factor)[:, None]
    grid = functional.affine_grid(matrix, list(image.shape), align_corners=False).to(image)  # (N, S, S, 2)
    stack = image if crack_mask is None else torch.cat([image, crack_mask], dim=1)  # (N, 4, S, S)
    moved = functional.grid_sample(stack, grid, "bilinear", "border", align_corners=False)
    return moved[:, :3], None if crack_mask is None else (moved[:, 3:] > 0.5).to(moved)


class Task(Resumable):
    """A network with its images, optimizer, learning rate and random streams; a `Loop` drives it.

    images: uint8 ``(N, S, S, 3)``; crack_masks: bool ``(N, S, S)``, or None for a network that restores. split:
    indices of the images to train on and of those to validate on. seed: of order, views and masks.
    """

    parts = ("network", "optimizer")

    def __init__(
        self,
        network: Supervised | Restorer,
        preset: MethodPreset,
        fabric: Fabric,
        images: np.ndarray,
        crack_masks: np.ndarray | None,
        split: tuple[np.ndarray, np.ndarray],
        seed: int,
    ) -> None:
        self.preset, self.fabric, self.seed = preset, fabric, seed
        self.images, self.crack_masks = images, crack_masks
        self.training, self.validation = split
        self.counts = (len(split[0]), len(split[1]))
        # The network itself is called, not Fabric's wrapper of it, which knows `forward` alone.
        _, self.optimizer = fabric.setup(network, optimizer_of(network, preset))
        self.network = network.train()
        self.dtype = next(network.parameters()).dtype
        self.first_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.draws = torch.Generator().manual_seed(seed)  # dropout has another stream and does not shift it
        # Several supervised networks normalize over the batch: a last batch of one image is left out.
        whole, rest = divmod(len(self.training), preset.batch_size)
        self.steps_an_epoch = whole + (rest >= (1 if crack_masks is None else 2))
        self.steps = 0

    def load(self, chosen: np.ndarray) -> Batch:
        """Images and masks by their indices, on the device."""
        device = self.fabric.device
        image = to_tensor(np.asarray(self.images[chosen])).to(device, self.dtype)
        if self.crack_masks is None:
            return image, None
        return image, torch.from_numpy(np.asarray(self.crack_masks[chosen]))[:, None].to(device, self.dtype)

    def batches(self) -> Iterator[Batch]:
        """Go through the training images once, in random order."""
        size = self.preset.batch_size
        order = self.training[torch.randperm(len(self.training), generator=self.draws).numpy()]
        for start in range(0, self.steps_an_epoch * size, size):
            # Ascending: kinder to a memory-mapped file.
            yield random_views(*self.load(np.sort(order[start : start + size])), self.preset, self.draws)

    def set_epoch(self, index: int) -> None:
        """Where the training stands; the learning rates follow from it."""
        self.steps = index * self.steps_an_epoch

    def rate_factor(self) -> float:
        """What the first learning rates are multiplied by in the next step."""
        preset, done = self.preset, self.steps / (self.preset.epochs * self.steps_an_epoch)  # in [0, 1)
        if preset.schedule == "poly":
            return (1 - done) ** preset.poly_power
        return 0.1 if preset.schedule == "step" and done >= preset.step_at else 1.0

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One step on a batch; returns every term, unweighted, and "loss", which the step minimizes."""
        for group, rate in zip(self.optimizer.param_groups, self.first_rates, strict=True):
            group["lr"] = rate * self.rate_factor()
        self.optimizer.zero_grad()
        terms = self.losses(*batch)
        self.fabric.backward(terms["loss"])
        self.optimizer.step()
        self.steps += 1
        return {name: term.detach() for name, term in terms.items()}

    def losses(self, image: torch.Tensor, crack_mask: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """The terms of a batch."""
        with self.fabric.autocast():
            if crack_mask is None:
                terms = self.network.losses(image, self.draws)
                return {("loss" if name == "total" else name): term for name, term in terms.items()}
            outputs = self.network(image)
        return {"loss": self.network.loss([one.to(self.dtype) for one in outputs], crack_mask)}

    @torch.no_grad()
    def validate(self) -> float | None:
        """The mean loss of the validation images as they are, under the same masks at every call; None without any.

        In eval mode. A network that learns from masks has one output then, and its loss is the cross entropy.
        """
        draws, size, losses = torch.Generator().manual_seed(self.seed), self.preset.batch_size, []
        self.network.eval()
        for start in range(0, len(self.validation), size):
            chosen = self.validation[start : start + size]
            image, crack_mask = self.load(chosen)
            with self.fabric.autocast():
                if crack_mask is None:
                    loss = self.network.losses(image, draws)[self.network.validated]
                else:
                    logits = self.network(image)
            if crack_mask is not None:
                loss = functional.binary_cross_entropy_with_logits(logits.to(self.dtype), crack_mask)
            losses += [float(loss)] * len(chosen)
        self.network.train()
        return float(np.mean(losses)) if losses else None

    def weights(self) -> dict[str, torch.Tensor]:
        """What is kept of the best epoch."""
        return self.network.state_dict()

    def finish(self, load: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor] | None:
        """Let the best network see the training crops once more, where its score needs what is usual on them."""
        if not hasattr(self.network, "calibrate"):
            return None
        self.network.load_state_dict(load())
        self.network.eval()
        size = self.preset.batch_size
        starts = range(0, len(self.training), size)
        with self.fabric.autocast():
            self.network.calibrate(self.load(self.training[start : start + size])[0] for start in starts)
        return self.network.state_dict()

    @torch.no_grad()
    def picture(self, path: Path) -> None:
        """Photos, crack masks where there are any, and score maps; the first photos at every call."""
        image, crack_mask = self.load(self.training[:SHOWN])
        with self.fabric.autocast():
            scores = self.network.score_map(image)  # (N, 1, S, S) in [0, 1]
        if crack_mask is None:
            scores = scores / scores.amax().clamp_min(1e-6)  # what is not restored is little
        rows = [image, *([] if crack_mask is None else [2 * crack_mask - 1]), 2 * scores - 1]
        lines = [np.concatenate(list(to_uint8(x.expand(-1, 3, -1, -1))), axis=1) for x in rows]
        write_image(path, np.concatenate(lines))


def train_any(
    method_name: str,
    given: TrainingData,
    preset: AnyPreset,
    out: Path | str,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
    **options: Any,
) -> RunFolder:
    """Train a method of any kind on what it learns from; a family selects its variant.

    options: `precision`, `max_steps` and `vgg_weights`, as in `training.train`, which explains all arguments; those
    that the method has no use for are left out. Returns the finished run. Raises UserError as the method's training.
    """
    unused = unused_options(method_name)
    how: dict[str, Any] = {"data": given.facts, "seed": seed, "progress": progress}
    how |= {name: value for name, value in options.items() if name not in unused}
    if learns_from_masks(method_name):
        how["crack_masks"] = given.crack_masks
    if method_name not in FAMILIES:
        how |= {"groups": given.groups, "device": device}
    if method_name in FAMILIES:
        from upcrack_lite.baselines.training_free import select_variant as learn
    elif method_name == DRAWN:
        from upcrack_lite.drawn.training import train_drawn as learn
    elif method_name == PATCHCORE:
        from upcrack_lite.baselines.patchcore import train_patchcore as learn
    else:
        learn = train if method_name == CRACKNET else train_method
    return learn(given.images, preset, out, **how)


def train_method(
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
    """Train a compared network; a run that was killed goes on where it stopped, bit by bit on a CPU.

    images: uint8 ``(N, S, S, 3)``, S as the preset says: photos with cracks for a network that learns from masks,
    undamaged crops for another. crack_masks: bool ``(N, S, S)``, True = crack, for a network that learns from them,
    and for no other. The other arguments and the run are as in `training.train`; the checkpoint is the whole network.

    Raises UserError before any work, for images or masks of another size or type, masks that are missing or not
    wanted, weights that cannot be had, or a folder that belongs to another run; later, for a loss that is no longer
    finite (it names the term).
    """
    name, chosen = preset.method, network(preset.method)
    groups, device = check_crops(images, preset.size, groups), check_device(device)
    if preset.supervised:
        check_masks(images, crack_masks)
    elif crack_masks is not None:
        raise UserError(f"{name} learns from undamaged crops alone: leave crack_masks out")
    split = split_by_photo(groups, preset.validation_share, seed)
    if preset.supervised and len(split[0]) < 2:
        raise UserError(f"{name} needs at least 2 images to train on, got {len(split[0])}")
    start = None
    if preset.encoder_weights != "none":
        start = download(name, chosen.encoder, preset.encoder_weights)
    own = {
        "crack_masks_sha256": None if crack_masks is None else data_hash(crack_masks),
        "encoder": None if start is None else {"source": "imagenet", "sha256": weights_hash(start)},
    }
    what = describe(name, preset, images, data, seed, max_steps, precision, own)

    def make(fabric: Fabric) -> Task:
        fabric.seed_everything(seed, workers=False, verbose=False)
        built = chosen.build(preset.width)
        if start is not None:
            start_encoder(built, chosen.encoder, start)
        return Task(built, preset, fabric, images, crack_masks, split, seed)

    return train_task(make, what, preset, out, device, progress)


def load_network(
    run: RunFolder | Path | str, device: str = "cpu"
) -> tuple[Supervised | Restorer, MethodPreset]:
    """Load the network, in eval mode, and the preset of a run onto a device ("auto", "cpu" or "cuda").

    Raises UserError when the folder does not hold them, it is a run of UP-CrackNet, or there is no such device.
    """
    device = check_device(device)
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    name = run.manifest.get("method")
    if name not in COMPARED:
        raise UserError(f"{run.path} is a run of {name!r}, not of a compared method ({', '.join(COMPARED)})")
    preset = MethodPreset.from_dict(run.preset_values())
    built = network(name).build(preset.width)
    run.load_into(built, f"{name}, width {preset.width}")
    return built.float().to(device).eval(), preset


def optimizer_of(network: Supervised | Restorer, preset: MethodPreset) -> torch.optim.Optimizer:
    """The preset's optimizer; a restorer has its own, which takes rate and weight decay from the preset."""
    if isinstance(network, Restorer):
        return network.optimizer(preset.lr, preset.weight_decay)
    if preset.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), preset.lr, weight_decay=preset.weight_decay)
    return torch.optim.SGD(network.parameters(), preset.lr, preset.momentum, weight_decay=preset.weight_decay)
