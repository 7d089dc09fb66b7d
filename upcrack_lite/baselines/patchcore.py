"""PatchCore: keep what patches of undamaged road look like to a pretrained network, and score others by distance.

Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022. The paper does not compare with it.
From the source: features of two middle levels, each averaged over 3 x 3 places; a greedy coreset of them as memory,
chosen after a random projection; the distance to the nearest of them as score, enlarged to the photo and smoothed.
Otherwise here: VGG-16 instead of WideResNet-50, for the kit has it anyway; one grid at a quarter of the photo's side
instead of the finer level's; coreset and memory of a sample of the patches; no weighting by neighbors, which
concerns the score of a whole photo. There is no gradient step: a training that was stopped begins anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torchvision.transforms.functional import gaussian_blur
from tqdm import tqdm

from upcrack_lite.baselines.recipes import MemoryPreset
from upcrack_lite.images import to_tensor
from upcrack_lite.runs import RunFolder, check_crops, check_device, describe, train_at_once, weights_hash
from upcrack_lite.training import split_by_photo
from upcrack_lite.vgg import IMAGENET_MEAN, IMAGENET_STD, VGGFeatures

WIDTHS = ((64, 64), (128, 128), (256, 256, 256))  # channels of VGG-16's convolutions, down to relu3_3
LEVELS = ("relu2_2", "relu3_3")  # on grids of a half and a quarter of the photo's side
CHANNELS = WIDTHS[1][-1] + WIDTHS[2][-1]


class PatchCore(nn.Module):
    """VGG-16 down to relu3_3, and the memory: vectors ``(M, 384)``, and `top`, the distance that is mapped to 1.

    sigma: of the Gaussian over the map, px.
    """

    def __init__(self, memory: int, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        layers, before = [], 3
        for widths in WIDTHS:
            for width in widths:
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
                before = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])
        self.register_buffer("memory", torch.zeros(memory, CHANNELS))
        self.register_buffer("top", torch.ones(1))
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def patches(self, image: torch.Tensor) -> torch.Tensor:
        """What each place looks like: ``(N, 384, S / 4, S / 4)`` of images ``(N, 3, S, S)`` in [-1, 1]."""
        fine = self.features[:9](((image + 1) / 2 - self.mean) / self.std)  # relu2_2
        maps = [
            functional.avg_pool2d(m, 3, 1, 1, count_include_pad=False)
            for m in (fine, self.features[9:](fine))
        ]
        return torch.cat([functional.avg_pool2d(maps[0], 2), maps[1]], dim=1)

    @torch.no_grad()
    def distances(self, image: torch.Tensor) -> torch.Tensor:
        """How far each pixel is from all undamaged road, ``(N, 1, S, S)``, at least 0."""
        found = self.patches(image)
        flat = found.permute(0, 2, 3, 1).flatten(1, 2)  # (N, places, 384)
        near = torch.stack([torch.cdist(one, self.memory).amin(dim=1) for one in flat])
        large = functional.interpolate(
            near.view(len(image), 1, *found.shape[2:]), scale_factor=4, mode="bilinear", align_corners=False
        )
        return gaussian_blur(large, 2 * round(4 * self.sigma) + 1, self.sigma)

    def score_map(self, image: torch.Tensor, seed: int = 0) -> torch.Tensor:
        """The same in [0, 1]; nothing is drawn by the seed."""
        return (self.distances(image) / self.top).clamp(0, 1)


def coreset(vectors: torch.Tensor, count: int, projection: int, generator: torch.Generator) -> torch.Tensor:
    """Choose vectors that leave no other one far from all of them: greedily, always the one that is farthest so far.

    vectors: ``(N, D)``. count: how many, N at most. projection: the number of random directions in which distances
    are taken, to save time. Returns indices ``(count,)``.
    """
    directions = torch.randn(vectors.shape[1], projection, generator=generator).to(vectors)
    seen = vectors @ directions / projection**0.5
    lengths = seen.square().sum(dim=1)
    chosen = [int(torch.randint(len(seen), (1,), generator=generator))]
    nearest = torch.full_like(lengths, torch.inf)  # squared distance to the nearest chosen one
    while len(chosen) < min(count, len(seen)):
        last = chosen[-1]
        nearest = torch.minimum(nearest, lengths + lengths[last] - 2 * seen @ seen[last])
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)


def fill(
    core: PatchCore,
    images: np.ndarray,
    split: tuple[np.ndarray, np.ndarray],
    preset: MemoryPreset,
    generator: torch.Generator,
    progress: bool = True,
) -> None:
    """Fill the memory from undamaged crops, uint8 ``(N, S, S, 3)``, and scale the map on crops that are held out.

    split: indices of the crops to remember and of those held out; where none are, the same ones scale the map.
    """

    def shown(chosen: np.ndarray, doing: str) -> Iterator[torch.Tensor]:
        for index in tqdm(chosen, doing, disable=not progress, unit="crop"):
            yield to_tensor(images[index]).to(core.top.device)

    each, sample = math.ceil(preset.candidates / len(split[0])), []
    for image in shown(split[0], "remembering"):
        vectors = core.patches(image)[0].flatten(1).T  # (places, 384)
        sample.append(vectors[torch.randperm(len(vectors), generator=generator)[:each]])
    vectors = torch.cat(sample)
    # Rounded as the checkpoint keeps it, before anything is measured with it.
    core.memory = vectors[coreset(vectors, preset.memory, preset.projection, generator)].half().float()
    held_out = split[1] if len(split[1]) else split[0]
    road = [core.distances(image).cpu().numpy() for image in shown(held_out, "scaling")]
    # The level that undamaged road exceeds in so few pixels becomes 0.5.
    core.top.fill_(2 * float(np.quantile(np.concatenate(road), 1 - preset.false_alarm)))


def train_patchcore(
    images: np.ndarray,
    preset: MemoryPreset,
    out: Path | str,
    *,
    groups: list[str] | None = None,
    data: dict[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    vgg_weights: str | None = None,
    progress: bool = True,
) -> RunFolder:
    """Make a run whose checkpoint is a filled `PatchCore` in half precision, so that a test needs no other file.

    images: uint8 ``(N, S, S, 3)``, S as the preset says. seed: of the split, the sample and the projection.
    vgg_weights: as in `VGGFeatures`. The other arguments and the run are as in `training.train`.
    Raises UserError for crops of another size, weights that cannot be had, or a folder of another run.
    """
    groups, device = check_crops(images, preset.size, groups), check_device(device)
    split = split_by_photo(groups, preset.validation_share, seed)
    vgg = VGGFeatures("vgg16", LEVELS, vgg_weights)
    weights = {name: weight.half() for name, weight in vgg.features.state_dict().items()}
    encoder = {"source": vgg.source, "sha256": weights_hash(weights)}
    own = {"crack_masks_sha256": None, "encoder": encoder}
    what = describe(preset.method, preset, images, data, seed, None, "32-true", own)

    def learn() -> dict[str, torch.Tensor]:
        core = PatchCore(0, preset.sigma).to(device)
        core.features.load_state_dict(weights)
        fill(core, images, split, preset, torch.Generator().manual_seed(seed), progress)
        return {name: w if name == "top" else w.half() for name, w in core.state_dict().items()}

    return train_at_once(learn, what, preset, out, device, (len(split[0]), len(split[1])))


def load_patchcore(run: RunFolder, device: str = "cpu") -> tuple[PatchCore, MemoryPreset]:
    """The memory of a finished run on a device, and its preset. Raises UserError where the files do not fit."""
    preset = MemoryPreset.from_dict(run.preset_values())
    core = PatchCore(len(run.load_weights().get("memory", ())), preset.sigma)
    run.load_into(core, f"{preset.method}, {len(core.memory)} vectors")
    return core.to(device), preset
