"""Does UP-CrackNet's error map, as a second channel, help the drawn-crack detector? `drawn_ablation.py` asks it.

The stored UP-CrackNet restores what the detector sees: squares of a scene's side, their contrast as the detector has
it. Of a photo at each scale the error comes from overlapping windows of that side. All else is as in the detector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.baselines.registry import DRAWN
from upcrack_lite.detection import error_map
from upcrack_lite.drawn.detect import MULTIPLE, DrawnNet, over_scales
from upcrack_lite.drawn.recipe import DrawnPreset
from upcrack_lite.drawn.training import Batch, DrawnTrainer
from upcrack_lite.generator import restore
from upcrack_lite.images import padded
from upcrack_lite.predict.model import windowed_map
from upcrack_lite.pretrained import load_generator, stored_run
from upcrack_lite.reproduction.experiments import Experiment
from upcrack_lite.reproduction.photo_sets import training_data
from upcrack_lite.runs import RunFolder, describe
from upcrack_lite.training import train_task

GAIN = 10.0  # of the error, so that it is of the size of the other channel


class Restorer:
    """The stored UP-CrackNet, as something that turns normalized gray into a map of its error."""

    def __init__(self) -> None:
        self.generator, self.preset = load_generator(stored_run())

    @torch.no_grad()
    def __call__(self, gray: torch.Tensor) -> torch.Tensor:
        """From normalized gray ``(N, 1, S, S)`` to its error, the same shape."""
        photo = (0.4 * gray).clamp(-1, 1).expand(-1, 3, -1, -1)
        small = functional.interpolate(photo, size=(self.preset.size,) * 2, mode="area")
        with torch.autocast("cpu", enabled=False):
            restored = restore(
                self.generator, small.float(), self.preset.test_statistics, self.preset.test_dropout
            )
        error = error_map(small.float(), restored)
        return GAIN * functional.interpolate(
            error, size=gray.shape[-2:], mode="bilinear", align_corners=False
        )


class TwoChannels(DrawnNet):
    """The detector's network with one channel more at its entrance."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        first = self.down[0][0]
        self.down[0][0] = nn.Conv2d(
            2 * first.in_channels, first.out_channels, first.kernel_size, padding=1, bias=False
        )


class TwoChannelTrainer(DrawnTrainer):
    """The detector's training, where each scene carries its error."""

    network_class = TwoChannels

    def batches(self) -> Iterator[Batch]:
        """See `DrawnTrainer.batches`; two channels."""
        restorer = Restorer()
        for gray, label in super().batches():
            yield torch.cat([gray, restorer(gray)], dim=1), label

    def picture(self, path: Path) -> None:
        """None is needed."""


def train(seed: int, out: Path, **values: Any) -> RunFolder:
    """Train at scale lite on synthetic roads alone; a finished run is left as it is. values: of the preset."""
    preset = DrawnPreset.make("drawn", "lite", **values)
    ground = training_data(Experiment(DRAWN, train_set="synthetic", test_set="synthetic"), "").images
    data, precision = {"name": "synthetic", "second_channel": "error of the stored UP-CrackNet"}, "bf16-mixed"
    what = describe("drawn", preset, ground, data, seed, None, precision, {})
    return train_task(
        lambda fabric: TwoChannelTrainer(preset, fabric, ground, seed), what, preset, out, "cpu", False
    )


def detector(run: RunFolder) -> Callable[[np.ndarray], np.ndarray]:
    """From a photo, uint8 ``(H, W, 3)``, to the probability of crack, float32 ``(H, W)``."""
    preset = DrawnPreset.from_dict(run.preset_values())
    network, restorer = TwoChannels(preset.width), Restorer()
    run.load_into(network, "two channels")
    network.float().eval()

    @torch.no_grad()
    def logits(gray: np.ndarray) -> np.ndarray:
        def errors(windows: np.ndarray) -> np.ndarray:
            return restorer(torch.from_numpy(windows[..., 0].copy())[:, None])[:, 0].numpy()

        error = windowed_map(errors, gray[..., None], preset.scene)
        both = torch.from_numpy(np.stack([gray, error]))[None]
        height, width = gray.shape
        return network(padded(both, MULTIPLE))[0, 0, :height, :width].numpy()

    return lambda photo: over_scales(logits, preset, photo)
