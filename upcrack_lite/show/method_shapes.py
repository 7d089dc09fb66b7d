"""How large the maps are on a photo's way through a network, traced and drawn. Chapter: methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import nn

from upcrack_lite.errors import UserError
from upcrack_lite.show.figures import LINES, WIDTH, styled


@dataclass(frozen=True)
class Step:
    """One convolution: the channels and the side of the map that it gives, px."""

    channels: int
    side: int


def trace(network: nn.Module, size: int = 256) -> list[Step]:
    """Every convolution of one pass in eval mode over a photo of size × size, in the order in which they run.

    The network may live on the "meta" device, which knows shapes and no values. It is left in its mode.
    """
    steps: list[Step] = []

    def note(module: nn.Module, given: object, result: torch.Tensor) -> None:
        steps.append(Step(result.shape[1], result.shape[-1]))

    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, kinds)]
    mode, device = network.training, next(network.parameters()).device
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, size, size, device=device))
    finally:
        network.train(mode)
        for hook in hooks:
            hook.remove()
    return steps


def trace_method(name: str, size: int = 256) -> list[Step]:
    """As `trace`, for a compared method at full width. Raises UserError that lists the valid names."""
    from upcrack_lite.baselines.registry import method

    with torch.device("meta"):
        network = method(name).build(1.0)
    return trace(network, size)


@styled
def sides(traced: Mapping[str, Sequence[Step]], size: int = 256, ncols: int = 3) -> Figure:
    """One panel for each network: the side of the map after each convolution, first to last.

    traced: title to its steps. A dot is larger the more channels the map has. Raises UserError for none.
    """
    if not traced or not all(traced.values()):
        raise UserError("there is nothing to draw: give at least one network with a convolution")
    ncols = min(ncols, len(traced))
    nrows = -(-len(traced) // ncols)
    figure, grid = plt.subplots(
        nrows, ncols, figsize=(WIDTH, 1.62 * nrows + 0.35), squeeze=False, sharey=True
    )
    for axis in grid.ravel()[len(traced) :]:
        axis.axis("off")
    for axis, (title, steps) in zip(grid.ravel(), traced.items(), strict=False):
        places = range(1, len(steps) + 1)
        heights = [step.side for step in steps]
        axis.plot(places, heights, color="#c4c8cf", linewidth=0.9, zorder=1)
        dots = [1.5 + step.channels / 24 for step in steps]
        axis.scatter(places, heights, s=dots, color=LINES[0], alpha=0.75, linewidths=0, zorder=2)
        axis.set_yscale("log", base=2)
        axis.set_ylim(0.7, size * 1.6)
        axis.set_yticks(*_ticks(size))
        axis.set_title(title, fontsize=10.5, pad=3)
        axis.set_xticks([1, len(steps)])
        axis.minorticks_off()
    for axis in grid[:, 0]:
        axis.set_ylabel("side")
    figure.supxlabel("convolutions, first to last", fontsize=10.5)
    return figure


def sides_alt(traced: Mapping[str, Sequence[Step]]) -> str:
    """The same in words: how many convolutions there are, and how small the maps become."""
    parts = [
        f"{title} {len(steps)} convolutions, smallest map {min(s.side for s in steps)} px, most channels "
        f"{max(s.channels for s in steps)}"
        for title, steps in traced.items()
    ]
    return "The side of the map after each convolution: " + "; ".join(parts) + "."


def _ticks(size: int) -> tuple[list[int], list[str]]:
    """A tick for the photo, every second halving, and one pixel."""
    found = {size: "1", size // 4: "1/4", size // 16: "1/16", size // 64: "1/64", 1: "1 px"}
    return list(found), list(found.values())
