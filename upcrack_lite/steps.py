"""One step of D, then one of G: the two networks, their optimizers and their state (paper, sections III-E, IV-B).

`training.train` drives the `Trainer` through the epochs; chapter 12 takes single steps with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from upcrack_lite.batches import Batch, draw_masks
from upcrack_lite.discriminator import Discriminator
from upcrack_lite.files import write_image
from upcrack_lite.generator import Generator, test_mode
from upcrack_lite.losses import adversarial_d, restoration_loss, total_loss
from upcrack_lite.masks import apply
from upcrack_lite.presets import Preset
from upcrack_lite.tensors import to_tensor, to_uint8
from upcrack_lite.vgg import VGGFeatures


class Trainer:
    """The two networks, their optimizers and the state of a run; `train` drives it.

    fabric: says on which device and in which precision.
    """

    def __init__(
        self, preset: Preset, fabric: lightning.Fabric, seed: int, vgg_weights: str | None = None
    ) -> None:
        fabric.seed_everything(seed, workers=False, verbose=False)
        self.preset, self.fabric = preset, fabric
        betas = (preset.beta1, preset.beta2)
        g = Generator(preset.width, preset.depth, preset.dropout)
        d = Discriminator(preset.disc_width)
        self.g, self.opt_g = fabric.setup(g, torch.optim.Adam(g.parameters(), preset.lr_g, betas))
        self.d, self.opt_d = fabric.setup(d, torch.optim.Adam(d.parameters(), preset.lr_d, betas))
        self.vgg = None
        if preset.lambda_style:
            # In a fork, so that the same seed gives the same dropout wherever the weights come from.
            with torch.random.fork_rng(devices=[]):
                vgg = VGGFeatures(
                    preset.style_network,
                    weights=vgg_weights,
                    normalize=preset.style_normalize,
                    channels=preset.style_channels,
                )
            self.vgg = vgg.to(fabric.device)
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
        self.d.requires_grad_(False)  # D only judges here: its gradients would be thrown away
        self.opt_g.zero_grad()
        restored = self.g(batch.masked)
        logits = self.d(batch.masked, restored) if self.preset.lambda_adv else None
        total, terms = total_loss(restored, batch.image, logits, self.preset, self.vgg)
        self.fabric.backward(total)
        self.opt_g.step()
        self.d.requires_grad_(True)
        return {name: term.detach() for name, term in (terms | {"total": total}).items()}

    @contextmanager
    def at_test(self, seed: int) -> Iterator[None]:
        """G as at test time, its noise seeded; afterwards G and the random streams are as they were."""
        device, preset = self.fabric.device, self.preset
        with (
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            test_mode(self.g, preset.test_statistics, preset.test_dropout),
        ):
            torch.manual_seed(seed)
            yield

    @torch.no_grad()
    def validate(self, images: np.ndarray, seed: int) -> float:
        """L_res on held-out crops with masks and noise that are the same at every call."""
        draws = torch.Generator().manual_seed(seed)
        preset, losses = self.preset, []
        with self.at_test(seed):
            for start in range(0, len(images), preset.batch_size):
                image = to_tensor(np.asarray(images[start : start + preset.batch_size])).to(
                    self.fabric.device
                )
                mask = draw_masks(len(image), preset, draws).to(image.device)
                restored = self.g(apply(image, mask, preset.hole_fill))
                loss, _ = restoration_loss(restored, image, preset, self.vgg)
                losses += [loss.item()] * len(image)
        return float(np.mean(losses))

    def set_epoch(self, index: int) -> None:
        """Exponential decay of both learning rates (section IV-B)."""
        factor = self.preset.lr_decay**index
        for optimizer, rate in ((self.opt_g, self.preset.lr_g), (self.opt_d, self.preset.lr_d)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def state(self) -> dict[str, Any]:
        """Everything that a later process needs to go on exactly here."""
        cuda = torch.cuda.get_rng_state(self.fabric.device) if self.fabric.device.type == "cuda" else None
        return {
            "g": self.g.state_dict(),
            "d": self.d.state_dict(),
            "opt_g": self.opt_g.state_dict(),
            "opt_d": self.opt_d.state_dict(),
            "draws": self.draws.get_state(),
            "rng": torch.get_rng_state(),
            "rng_cuda": cuda,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up a saved state, random streams included."""
        for name in ("g", "d", "opt_g", "opt_d"):
            getattr(self, name).load_state_dict(state[name])
        self.draws.set_state(state["draws"])
        torch.set_rng_state(state["rng"])
        if state["rng_cuda"] is not None and self.fabric.device.type == "cuda":
            torch.cuda.set_rng_state(state["rng_cuda"], self.fabric.device)


@torch.no_grad()
def picture(trainer: Trainer, images: np.ndarray, seed: int, path: Path) -> None:
    """Save photo, masked and restored crops as one PNG, with the same masks and noise at every call."""
    preset, device = trainer.preset, trainer.fabric.device
    image = to_tensor(np.asarray(images)).to(device)
    mask = draw_masks(len(image), preset, torch.Generator().manual_seed(seed)).to(device)
    masked = apply(image, mask, preset.hole_fill)
    with trainer.at_test(seed):
        restored = trainer.g(masked)
    rows = [
        np.concatenate(list(to_uint8(x)), axis=1) for x in (image, masked, restored)
    ]  # (S, N * S, 3) each
    write_image(path, np.concatenate(rows))
