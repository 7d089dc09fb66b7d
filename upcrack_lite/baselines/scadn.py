"""SCADN: restore striped holes of three widths, and look where that fails at the width that stands out.

Source: Yan et al., AAAI 2021. The paper's tables call it SCADN [46]. Half of a photo is removed in stripes
(`masks.all_striped`: three widths, upright and lying, two phases each). A network with residual blocks restores it,
and a discriminator gives logits of the result. At test time the four masks of a width give four squared errors in
their holes; their maximum is that width's map. The map of the width whose mean exceeds its usual mean the most is the
score.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from upcrack_lite import masks
from upcrack_lite.baselines.base import Method, Restorer
from upcrack_lite.baselines.blocks import scaled
from upcrack_lite.images import padded

CHANNELS = (64, 128, 256, 512)
BLOCKS = 8  # residual blocks
WIDTHS = 3  # of stripes
MASKS_PER_WIDTH = 4
HOLE = 1.0  # a removed pixel in [-1, 1]: white, as in the authors' program; UP-CrackNet's is black
HOLE_WEIGHT = 4.0  # of an error in a hole, where one outside has 1
ADVERSARIAL_WEIGHT = 0.001
BETAS = (0.0, 0.9)  # of Adam: no momentum, as usual where two networks chase each other
SLOWER = 10  # so many times slower D learns, so that it does not win at once


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the first with holes between its taps; added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(2),
            nn.Conv2d(channels, channels, 3, dilation=2),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


def generator(width: float) -> nn.Sequential:
    """Three halvings, eight residual blocks, three doublings; ``(N, 3, H, W)`` in [-1, 1] to the same."""
    channels = [scaled(one, width) for one in CHANNELS]
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, channels[0], 7)]
    for inward, out in pairwise(channels):
        layers += [nn.InstanceNorm2d(inward), nn.ReLU(), nn.Conv2d(inward, out, 4, 2, 1)]  # half the side
    layers += [nn.InstanceNorm2d(channels[-1]), nn.ReLU()]
    layers += [ResidualBlock(channels[-1]) for _ in range(BLOCKS)]
    for inward, out in pairwise(reversed(channels)):
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(inward, out, 3, padding=1)]  # twice the side
        layers += [nn.InstanceNorm2d(out), nn.ReLU()]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(channels[0], 3, 7), nn.Tanh())


def discriminator(width: float) -> nn.Sequential:
    """Logits of patches of images in [0, 1]; ``(N, 3, H, W)`` to ``(N, 1, H / 8 - 2, W / 8 - 2)``."""
    channels = [3, *(scaled(one, width) for one in CHANNELS), 1]
    layers: list[nn.Module] = []
    for inward, out, stride in zip(channels, channels[1:], (2, 2, 2, 1, 1), strict=False):
        layers += [spectral_norm(nn.Conv2d(inward, out, 4, stride, 1, bias=False)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class Scadn(Restorer):
    """The generator and the discriminator of SCADN with their losses and the score; `width` scales the channels.

    usual: the mean error of each stripe width on undamaged road, set by `calibrate` and saved with the weights.
    """

    # "total" also has the discriminator's loss, which rises the better the road is restored.
    validated = "mse"

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.generator = generator(width)
        self.discriminator = discriminator(width)
        self.register_buffer("usual", torch.zeros(WIDTHS))
        for module in self.generator.modules():  # D's weights are divided by their norm anyway
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
                nn.init.zeros_(module.bias)

    def restore(self, masked: torch.Tensor) -> torch.Tensor:
        return self.generator(masked)

    def losses(self, image: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """The terms of one step on ``(N, 3, S, S)``: "mse", "adversarial", "discriminator" and "total".

        "total" has gradients for both networks that do not mix: the generator's come from the first two terms, the
        discriminator's from its own. The squared error is that of images in [0, 1].
        """
        kept = masks.striped(len(image), image.shape[-1], generator).to(image)  # (N, 1, S, S)
        restored = self.restore(masks.apply(image, kept, HOLE))
        # What D says of the restoration teaches the generator, not D.
        self.discriminator.requires_grad_(False)
        logits = self.discriminator(unit(restored))
        self.discriminator.requires_grad_(True)
        real, fake = self.discriminator(unit(image)), self.discriminator(unit(restored.detach()))
        weights = kept + HOLE_WEIGHT * (1 - kept)
        terms = {
            "mse": (weights * squared_error(restored, image)).mean() / (1 - kept).mean(),
            "adversarial": towards(logits, 1.0),
            "discriminator": (towards(real, 1.0) + towards(fake, 0.0)) / 2,
        }
        total = terms["mse"] + ADVERSARIAL_WEIGHT * terms["adversarial"] + terms["discriminator"]
        return {**terms, "total": total}

    def optimizer(self, lr: float, weight_decay: float) -> torch.optim.Adam:
        """One Adam with a learning rate for each network."""
        networks = ((self.generator, lr), (self.discriminator, lr / SLOWER))
        groups = [{"params": list(one.parameters()), "lr": rate} for one, rate in networks]
        return torch.optim.Adam(groups, betas=BETAS, weight_decay=weight_decay)

    def errors(self, image: torch.Tensor) -> torch.Tensor:
        """The error map of each stripe width, from wide to narrow: ``(N, WIDTHS, H, W)`` in [0, 1]."""
        height, width = image.shape[-2:]
        errors = []
        for mask in masks.all_striped(max(height, width)).to(image)[..., :height, :width].split(1):
            squared = squared_error(self.restore(masks.apply(image, mask, HOLE)), image)
            errors.append(squared.mean(dim=1) * (1 - mask[0]))  # (N, H, W)
        stacked = torch.stack(errors, dim=1)  # (N, 12, H, W)
        return stacked.unflatten(1, (WIDTHS, MASKS_PER_WIDTH)).amax(dim=2)

    @torch.no_grad()
    def calibrate(self, batches: Iterable[torch.Tensor]) -> None:
        """Set `usual` from undamaged training images, batches of ``(N, 3, H, W)`` in [-1, 1]."""
        means = [self.errors(padded(batch, self.multiple)).mean(dim=(2, 3)) for batch in batches]
        self.usual.copy_(torch.cat(means).mean(dim=0))

    def scores(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The root of the error map of the width that exceeds its `usual` mean most, chosen for each photo."""
        errors = self.errors(image)  # (N, WIDTHS, H, W)
        chosen = (errors.mean(dim=(2, 3)) - self.usual).argmax(dim=1)  # (N,)
        # The squares of small errors would vanish where maps are rounded to 8 bits before filter and threshold.
        return errors[torch.arange(len(errors), device=errors.device), chosen][:, None].sqrt()


def unit(image: torch.Tensor) -> torch.Tensor:
    """Move values from [-1, 1] to [0, 1]."""
    return (image + 1) / 2


def squared_error(restored: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """The squared error of images moved to [0, 1]."""
    return (unit(restored).float() - unit(image).float()) ** 2


def towards(logits: torch.Tensor, target: float) -> torch.Tensor:
    """How far logits are from a target: mean binary cross entropy."""
    logits = logits.float()
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


METHOD = Method(
    title="SCADN",
    strategy="unsupervised",
    build=Scadn,
    parameters=44.84,  # 42.08 of the generator, 2.76 of the discriminator
    source="github.com/Xudong-Yan/SCADN, the authors' program (no license; read, not copied)",
    chosen=(
        "The authors of the comparison wrote their own code and do not share it: their rows cannot be run again.",
        "Stripes have the widths of the masks in this kit, an image's side divided by 4, 8 and 16.",
        "Both networks step after one backward pass; the authors' program steps the discriminator in between.",
        "The score is the root of the squared error: rounded to 8 bits, squares of small errors would vanish.",
        "Feature matching is left out: its weight is 0 in the authors' settings.",
    ),
)
