"""How a compared method learns: random views of a batch, one step, a look at what is held out.

Two courses for the two kinds of methods; `training.Loop` drives either through the epochs, as it drives a `Trainer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch.nn import functional

from upcrack_lite.baselines.base import Restorer, Supervised
from upcrack_lite.baselines.presets import MethodPreset
from upcrack_lite.images import to_tensor, to_uint8
from upcrack_lite.io import write_image

SHOWN = 4  # images in a picture


def random_views(
    image: torch.Tensor, crack_mask: torch.Tensor | None, preset: MethodPreset, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Scale, crop and flip a batch, each image in its own way and its mask with it (section IV-B).

    image: ``(N, 3, S, S)`` in [-1, 1]; crack_mask: float ``(N, 1, S, S)``, 0 or 1, or None. An image is enlarged by
    a factor between `scale_low` and `scale_high`, and a square of S px is cut out anywhere. Same shapes come back.
    """
    n, (low, high) = len(image), (preset.scale_low, preset.scale_high)
    factor = low + (high - low) * torch.rand(n, generator=generator)  # (N,)
    place = 2 * torch.rand(n, 2, generator=generator) - 1  # from one border, -1, to the other
    mirrored = torch.rand(n, generator=generator) < 0.5 if preset.flip else torch.zeros(n, dtype=torch.bool)
    # Where a pixel comes from, on axes from -1 to 1: the cut is 1 / factor as wide as the image.
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0] = torch.where(mirrored, -1.0, 1.0) / factor
    matrix[:, 1, 1] = 1 / factor
    matrix[:, :, 2] = place * (1 - 1 / factor)[:, None]
    grid = functional.affine_grid(matrix, list(image.shape), align_corners=False).to(image)  # (N, S, S, 2)
    stack = image if crack_mask is None else torch.cat([image, crack_mask], dim=1)  # (N, 4, S, S)
    moved = functional.grid_sample(stack, grid, "bilinear", "border", align_corners=False)
    return moved[:, :3], None if crack_mask is None else (moved[:, 3:] > 0.5).to(moved)


class MethodCourse:
    """What the courses of both kinds share: images, optimizer, learning rate, random streams.

    images: uint8 ``(N, S, S, 3)``; crack_masks: bool ``(N, S, S)``, or None for a network that learns without.
    training, validation: indices of images. seed: of order, views and masks.
    """

    drop_single = False  # leave out a last batch of one image

    def __init__(
        self,
        network: Supervised | Restorer,
        optimizer: torch.optim.Optimizer,
        preset: MethodPreset,
        fabric: lightning.Fabric,
        images: np.ndarray,
        crack_masks: np.ndarray | None,
        training: np.ndarray,
        validation: np.ndarray,
        seed: int,
    ) -> None:
        self.preset, self.fabric, self.seed = preset, fabric, seed
        self.images, self.crack_masks = images, crack_masks
        self.training, self.held_out = training, validation
        self.counts = (len(training), len(validation))
        # The network itself is called, not Fabric's wrapper of it, which knows `forward` alone.
        _, self.optimizer = fabric.setup(network, optimizer)
        self.network = network.train()
        self.first_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.draws = torch.Generator().manual_seed(seed)  # dropout has another stream and does not shift it
        self.steps = 0

    # --- Images and learning rates ---

    @property
    def steps_an_epoch(self) -> int:
        whole, rest = divmod(len(self.training), self.preset.batch_size)
        return whole + (rest > 1 if self.drop_single else rest > 0)

    def load(self, chosen: np.ndarray) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Images by their indices, and float masks ``(N, 1, S, S)``, on the device."""
        device = self.fabric.device
        image = to_tensor(np.asarray(self.images[chosen])).to(device, self.dtype)
        if self.crack_masks is None:
            return image, None
        return image, torch.from_numpy(np.asarray(self.crack_masks[chosen]))[:, None].to(device, self.dtype)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    def batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        size = self.preset.batch_size
        order = self.training[torch.randperm(len(self.training), generator=self.draws).numpy()]
        for start in range(0, self.steps_an_epoch * size, size):
            # Ascending: kinder to a memory-mapped file.
            yield random_views(*self.load(np.sort(order[start : start + size])), self.preset, self.draws)

    def set_epoch(self, index: int) -> None:
        self.steps = index * self.steps_an_epoch
        self._set_rates()

    def _set_rates(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.first_rates, strict=True):
            group["lr"] = rate * self._factor()

    def _factor(self) -> float:
        """The learning rate as a share of the first one."""
        preset, done = self.preset, self.steps / (self.preset.epochs * self.steps_an_epoch)  # done in [0, 1)
        if preset.schedule == "poly":
            return (1 - done) ** preset.poly_power
        return 0.1 if preset.schedule == "step" and done >= preset.step_at else 1.0

    def rates(self) -> dict[str, float]:
        return {"lr": self.optimizer.param_groups[0]["lr"]}

    # --- Steps ---

    def losses(self, image: torch.Tensor, crack_mask: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """The terms of a batch; "loss" is what the step minimizes."""
        raise NotImplementedError

    def step(self, batch: tuple[torch.Tensor, torch.Tensor | None]) -> dict[str, torch.Tensor]:
        self._set_rates()
        self.optimizer.zero_grad()
        terms = self.losses(*batch)
        self.fabric.backward(terms["loss"])
        self.optimizer.step()
        self.steps += 1
        return {name: term.detach() for name, term in terms.items()}

    def validate(self) -> float | None:
        """The mean loss of the held-out images, each as it is; the network is in eval mode."""
        if not self.counts[1]:
            return None
        draws, size, found = torch.Generator().manual_seed(self.seed), self.preset.batch_size, []
        self.network.eval()
        with torch.no_grad():
            for start in range(0, len(self.held_out), size):
                chosen = self.held_out[start : start + size]
                found += [float(self.judged(*self.load(chosen), draws))] * len(chosen)
        self.network.train()
        return float(np.mean(found))

    def judged(
        self, image: torch.Tensor, crack_mask: torch.Tensor | None, draws: torch.Generator
    ) -> torch.Tensor:
        """How bad a batch of held-out images is."""
        raise NotImplementedError

    # --- What is kept ---

    def weights(self) -> dict[str, torch.Tensor]:
        return self.network.state_dict()

    def finish(self, load: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor] | None:
        """Nothing is left to find out."""

    def state(self) -> dict[str, Any]:
        cuda = torch.cuda.get_rng_state(self.fabric.device) if self.fabric.device.type == "cuda" else None
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "draws": self.draws.get_state(),
            "rng": torch.get_rng_state(),
            "rng_cuda": cuda,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.draws.set_state(state["draws"])
        torch.set_rng_state(state["rng"])
        if state["rng_cuda"] is not None and self.fabric.device.type == "cuda":
            torch.cuda.set_rng_state(state["rng_cuda"], self.fabric.device)

    @torch.no_grad()
    def picture(self, path: Path) -> None:
        """Photos, crack masks where there are any, and score maps; the first photos at every call."""
        image, crack_mask = self.load(self.training[:SHOWN])
        self.network.eval()
        rows = [image, *([] if crack_mask is None else [2 * crack_mask - 1]), 2 * self.scores(image) - 1]
        self.network.train()
        lines = [np.concatenate(list(to_uint8(x.expand(-1, 3, -1, -1))), axis=1) for x in rows]
        write_image(path, np.concatenate(lines))

    def scores(self, image: torch.Tensor) -> torch.Tensor:
        """Score maps ``(N, 1, S, S)`` in [0, 1] to look at."""
        raise NotImplementedError


class SupervisedCourse(MethodCourse):
    """Learns from crack masks. A last batch of one image is left out: several networks normalize over the batch."""

    drop_single = True

    def losses(self, image: torch.Tensor, crack_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        with self.fabric.autocast():
            outputs = self.network(image)
        return {"loss": self.network.loss([one.to(self.dtype) for one in outputs], crack_mask)}

    def judged(self, image: torch.Tensor, crack_mask: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
        """The cross entropy of the main output: in eval mode there is no other."""
        with self.fabric.autocast():
            logits = self.network(image)
        return functional.binary_cross_entropy_with_logits(logits.to(self.dtype), crack_mask)

    def scores(self, image: torch.Tensor) -> torch.Tensor:
        with self.fabric.autocast():
            return torch.sigmoid(self.network(image).float())


class RestorerCourse(MethodCourse):
    """Learns to restore undamaged road."""

    def losses(self, image: torch.Tensor, crack_mask: None) -> dict[str, torch.Tensor]:
        with self.fabric.autocast():
            terms = self.network.losses(image, self.draws)
        return {("loss" if name == "total" else name): term for name, term in terms.items()}

    def judged(self, image: torch.Tensor, crack_mask: None, draws: torch.Generator) -> torch.Tensor:
        """The term that tells how well the road is restored, under masks that are the same at every call."""
        with self.fabric.autocast():
            return self.network.losses(image, draws)[self.network.judged]

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

    def scores(self, image: torch.Tensor) -> torch.Tensor:
        """Divided by their maximum: what is not restored is little."""
        with self.fabric.autocast():
            found = self.network.score_map(image).float()
        return found / found.amax().clamp_min(1e-6)
