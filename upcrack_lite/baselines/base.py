"""What a compared method is: a network with its loss, and where its structure comes from. Chapter: the methods.

Two kinds learn. A *supervised* network gives logits of the crack class, and learns from crack masks. An
*unsupervised* one restores undamaged road, and scores a photo by what it cannot restore. A new method is a module
with a `METHOD`, named in `recipes`: so it is trained, tested and shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.errors import UserError
from upcrack_lite.images import padded


@dataclass(frozen=True)
class Method:
    """A compared method.

    title: as the paper writes it.
    strategy: the training strategy, as the paper's tables name it.
    build: makes the network for a width factor in (0, 1]; 1 is full width.
    parameters: millions at full width, in the source named by `source`.
    source: where its structure is taken from.
    encoder: the encoder that others have trained, by its name in timm (vgg16: in torchvision), or "none".
    chosen: where paper and source are silent or differ, and what the kit took; one sentence each.
    """

    title: str
    strategy: str
    build: Callable[[float], nn.Module]
    parameters: float
    source: str
    encoder: str = "none"
    chosen: tuple[str, ...] = ()


@dataclass(frozen=True)
class PhotoScores:
    """What any detector makes of one photo.

    score_map: float32 ``(H, W)`` in [0, 1], before the filter. smoothed: after it, in steps of 1/255. threshold: in
    [0, 1]. crack_mask: bool ``(H, W)``, exactly the pixels whose smoothed value is above the threshold.
    """

    score_map: np.ndarray
    smoothed: np.ndarray
    threshold: float
    crack_mask: np.ndarray


class Baseline(nn.Module):
    """A network that scores photos. A subclass implements `scores`."""

    multiple = 32  # of the sides of the image that `scores`, `outputs` and `restore` take

    def scores(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """As `score_map`; masks, where there are any, are drawn from `generator`."""
        raise NotImplementedError

    @torch.no_grad()
    def score_map(self, image: torch.Tensor, seed: int = 0) -> torch.Tensor:
        """Where photos ``(N, 3, H, W)`` in [-1, 1] are likely to be cracked: float32 ``(N, 1, H, W)`` in [0, 1].

        From a network that learned masks, the probability; from a restorer, how little is restored. In eval mode.
        seed: of a restorer's masks.
        """
        height, width = image.shape[-2:]
        mode = self.training
        self.eval()
        try:
            scores = self.scores(padded(image, self.multiple), torch.Generator().manual_seed(seed))
        finally:
            self.train(mode)
        return scores[..., :height, :width].float().clamp(0, 1)


class Supervised(Baseline):
    """A network that gives crack logits. A subclass implements `outputs`, and `loss` where it has its own."""

    side_weight = 0.4  # of each side output in the loss, where the first output has 1

    def outputs(self, image: torch.Tensor) -> list[torch.Tensor]:
        """All logits of an image ``(N, 3, H, W)`` in [-1, 1], the one that counts first, each ``(N, 1, H, W)``.

        Side outputs follow; in eval mode they may be left out.
        """
        raise NotImplementedError

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Logits ``(N, 1, H, W)`` of an image of any size; in training mode a list of all outputs."""
        height, width = image.shape[-2:]
        cropped = [logits[..., :height, :width] for logits in self.outputs(padded(image, self.multiple))]
        return cropped if self.training else cropped[0]

    def loss(self, outputs: list[torch.Tensor], crack_mask: torch.Tensor) -> torch.Tensor:
        """Mean binary cross entropy of the first output, plus `side_weight` times that of each side output.

        crack_mask: float ``(N, 1, H, W)``, 1 = crack. Two classes under softmax with cross entropy are the same model
        as one logit under a sigmoid.
        """
        weights = [1.0] + [self.side_weight] * (len(outputs) - 1)
        terms = (functional.binary_cross_entropy_with_logits(one, crack_mask) for one in outputs)
        return sum(weight * term for weight, term in zip(weights, terms, strict=True))

    def scores(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The probability of crack. Nothing is drawn."""
        return torch.sigmoid(self.outputs(image)[0].float())


class Restorer(Baseline):
    """A network that restores undamaged road. A subclass implements `restore`, `losses`, `optimizer` and `scores`."""

    multiple = 16
    validated = "total"  # the term that tells how well undamaged road is restored, for validation

    def restore(self, masked: torch.Tensor) -> torch.Tensor:
        """Restore masked images ``(N, 3, H, W)`` in [-1, 1] to the same shape and range, not knowing the mask."""
        raise NotImplementedError

    def forward(self, masked: torch.Tensor) -> torch.Tensor:
        """See `restore`."""
        return self.restore(masked)

    def losses(self, image: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """The terms of one step on undamaged images ``(N, 3, S, S)`` in [-1, 1]; masks come from `generator`.

        "total" is the weighted sum that the step minimizes; the other terms are unweighted, for the log.
        """
        raise NotImplementedError

    def optimizer(self, lr: float, weight_decay: float) -> torch.optim.Optimizer:
        """The optimizer of the method's source."""
        raise NotImplementedError


def check_masks(images: np.ndarray, crack_masks: np.ndarray | None) -> None:
    """Check masks bool ``(N, S, S)`` of images ``(N, S, S, 3)``. Raises UserError for others, none, or no crack."""
    if crack_masks is None or crack_masks.dtype != bool or crack_masks.shape != images.shape[:3]:
        given = "none" if crack_masks is None else f"{crack_masks.dtype} {crack_masks.shape}"
        raise UserError(f"crack_masks must be bool {images.shape[:3]}, got {given}")
    if not crack_masks.any():
        raise UserError("no crack mask has a crack: there is nothing to learn")
