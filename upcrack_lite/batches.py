"""Training batches: scale, crop, flip and mask undamaged crops (paper, sections III-B and IV-B)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from upcrack_lite import masks
from upcrack_lite.errors import UserError
from upcrack_lite.presets import Preset
from upcrack_lite.tensors import to_tensor


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
    masked = masks.apply(images, mask, preset.hole_fill)
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
    return Batch(image, masks.apply(image, mask, preset.hole_fill), mask)


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
        chosen = np.sort(
            order[start : start + preset.batch_size]
        )  # ascending: kinder to a memory-mapped file
        yield make_batch(to_tensor(np.asarray(images[chosen])).to(device), preset, generator)


def split_by_photo(groups: list[str], share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split crops into training and validation so that no photo is in both.

    groups: the photo each crop came from. share: of the crops, for validation, in [0, 1).
    Returns the indices of both, ascending. Validation is empty when share is 0.
    Raises UserError when a share above 0 leaves nothing to train on.
    """
    photos = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(photos))
    wanted, held, count = share * len(groups), set(), 0
    sizes = {photo: groups.count(photo) for photo in photos}
    for index in order:
        if count >= wanted:
            break
        held.add(photos[index])
        count += sizes[photos[index]]
    validation = np.array([i for i, group in enumerate(groups) if group in held], dtype=int)
    training = np.array([i for i, group in enumerate(groups) if group not in held], dtype=int)
    if not len(training):
        raise UserError(
            f"{len(groups)} crops from {len(photos)} photo(s) leave none to train on beside validation: "
            "add photos, or set validation_share=0"
        )
    return training, validation
