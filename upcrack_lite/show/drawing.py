"""Figure 1 of the paper, drawn from the modules themselves: what runs is traced, and what was traced is drawn.

No shape and no count is written down here. The networks run once on PyTorch's meta device, which keeps shapes
and no numbers, so that the paper's network costs no time; mask, error map, filter and threshold run on a blank image.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import nn

from upcrack_lite.detection import enlarge, error_map, smooth_and_threshold
from upcrack_lite.discriminator import Discriminator
from upcrack_lite.errors import UserError
from upcrack_lite.generator import Generator
from upcrack_lite.masks import apply
from upcrack_lite.predict.photos import TABLE_SIZE
from upcrack_lite.recipes import Preset, preset
from upcrack_lite.training import draw_masks

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Stage:
    """One level of a network as it ran: shapes `(C, H, W)` that went in and came out, and its parameters."""

    name: str
    into: Shape
    out: Shape
    parameters: int


@dataclass(frozen=True)
class Trace:
    """What one image meets on its way; shapes without the batch.

    steps: name to shape, in order: of the images between the parts. skips: pairs (encoder level, decoder level)
    whose maps are joined. g_parameters, d_parameters: of the whole networks.
    """

    preset: Preset
    steps: dict[str, Shape]
    encoder: tuple[Stage, ...]
    decoder: tuple[Stage, ...]
    judge: tuple[Stage, ...]
    skips: tuple[tuple[int, int], ...]
    g_parameters: int
    d_parameters: int


def sized(recipe: str = "paper", scale: str = "full", width: int = 0, size: int = 0) -> Preset:
    """Make a preset with another width of both networks or another image size; 0 keeps the preset's.

    The values that hang on the size follow it: depth, cells of the mask, side before the crop.
    Raises UserError for a size that is no power of 2 or below 32, and as `presets.preset`.
    """
    base, changes = preset(recipe, scale), {}
    if width:
        changes |= {"width": width, "disc_width": width}
    if size:
        if size < 32 or size & (size - 1):
            raise UserError(
                f"size must be a power of 2 from 32 on, got {size}: each level of G halves the side"
            )
        changes |= {"size": size, "depth": int(math.log2(size))}
        changes["mask_cells"] = tuple(cell * size // base.size for cell in base.mask_cells)
        changes["load_size"] = round(base.load_size * size / base.size)
    return preset(recipe, scale, **changes)


def trace(chosen: Preset) -> Trace:
    """Run every part once with the values of a preset and note what went in and came out."""
    size = chosen.size
    image = torch.zeros(1, 3, size, size)
    mask = draw_masks(1, chosen, torch.Generator().manual_seed(0))
    masked = apply(image, mask, chosen.hole_fill)
    with torch.device("meta"):
        g, d = Generator(chosen.width, chosen.depth, chosen.dropout), Discriminator(chosen.disc_width)
    with _Notes(g.encoder, "encoder") as down, _Notes(g.decoder, "decoder") as up:
        restored = g(masked.to("meta"))
    with _Notes(_levels(d.layers), "judge") as judge:
        logits = d(masked.to("meta"), restored)
    errors = error_map(image, torch.empty_like(restored, device="cpu").zero_(), chosen.error_variant)
    large = enlarge(errors, (TABLE_SIZE, TABLE_SIZE))
    smoothed, cut = smooth_and_threshold(large, chosen)
    steps = {"image": image, "mask": mask, "masked": masked, "restored": restored, "logits": logits}
    steps |= {"error map": errors, "enlarged": large, "smoothed": smoothed, "crack mask": smoothed > cut}
    return Trace(
        preset=chosen,
        steps={name: tuple(tensor.shape[1:]) for name, tensor in steps.items()},
        encoder=tuple(down.stages),
        decoder=tuple(up.stages),
        judge=tuple(judge.stages),
        skips=_skips(down.stages, up.stages),
        g_parameters=_parameters(g),
        d_parameters=_parameters(d),
    )


class _Notes:
    """Hooks on modules that note a `Stage` for each as it runs; they are gone afterwards."""

    def __init__(self, modules: list[nn.Module] | nn.ModuleList, name: str) -> None:
        self.modules, self.name, self.stages = modules, name, []

    def __enter__(self) -> _Notes:
        self.hooks = [module.register_forward_hook(self._note) for module in self.modules]
        return self

    def __exit__(self, *failure: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _note(self, module: nn.Module, given: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        name = f"{self.name} {len(self.stages) + 1}"
        self.stages.append(Stage(name, tuple(given[0].shape[1:]), tuple(out.shape[1:]), _parameters(module)))


def _levels(layers: nn.Sequential) -> list[nn.Module]:
    """The layers that change a shape: the convolutions."""
    return [layer for layer in layers if isinstance(layer, nn.Conv2d)]


def _skips(encoder: list[Stage], decoder: list[Stage]) -> tuple[tuple[int, int], ...]:
    """Where a decoder level got more channels than the one before it gave: the rest came from the encoder."""
    found = []
    for index, (before, after) in enumerate(itertools.pairwise(decoder)):
        extra = after.into[0] - before.out[0]
        found += [
            (level, index)
            for level, stage in enumerate(encoder)
            if extra and stage.out == (extra, *before.out[1:])
        ]
    return tuple(found)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
