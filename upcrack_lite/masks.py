"""Masks: which pixels are removed from an undamaged road (paper, section III-B and Table II).

A mask is float32 ``(N, 1, S, S)`` with 1 = kept and 0 = removed. Half of the pixels go in the square and
striped families; a third goes in the jumbled one. Chapter 04 builds these functions step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from upcrack_lite.errors import UserError
from upcrack_lite.recipes import HOLE_FILLS, check_value

BLACK = -1.0


def all_multi_scale_square(size: int, cells: Sequence[int] = (128, 64, 32)) -> torch.Tensor:
    """Every multi-scale square mask: a checkerboard per cell size, in two phases (paper, section III-B).

    size: side S of the image in pixels; each cell size must divide it into an even number of cells.
    Returns ``(2 * len(cells), 1, S, S)``. Masks 2i and 2i + 1 complement each other.
    Raises UserError when a cell size does not fit.
    """
    for cell in cells:
        if cell < 1 or size % (2 * cell):
            raise UserError(
                f"cells of {cell} px do not tile {size} px in equal halves: use a divisor of {size // 2}"
            )
    masks = []
    for cell in cells:
        index = torch.arange(size) // cell  # (S,): the row or column of cells that a pixel lies in
        phase = (index[:, None] + index[None, :]) % 2  # (S, S): 0 and 1 as on a checkerboard
        masks += [phase, 1 - phase]
    return torch.stack(masks).float()[:, None]  # (2 * len(cells), 1, S, S)


def all_striped(size: int) -> torch.Tensor:
    """Every striped mask (SCADN): stripes of S/4, S/8, S/16 px, vertical and horizontal, two phases each.

    Returns ``(12, 1, S, S)``. Masks 2i and 2i + 1 complement each other.
    Raises UserError when S is not a multiple of 16.
    """
    if size % 16:
        raise UserError(f"striped masks need a size that 16 divides, got {size}")
    masks = []
    for width in (size // 4, size // 8, size // 16):
        stripe = (torch.arange(size) // width) % 2  # (S,)
        vertical = stripe[None, :].expand(size, size)
        for phase in (vertical, vertical.T):
            masks += [phase, 1 - phase]
    return torch.stack(masks).float()[:, None]  # (12, 1, S, S)


def jumbled_sets(size: int, cell: int, generator: torch.Generator, n_sets: int = 3) -> torch.Tensor:
    """Deal square cells at random into disjoint sets; mask i removes set i (RIAD, section 3.1).

    cell: side of a cell in pixels (RIAD uses 2, 4, 8 and 16); it must divide S.
    Returns ``(n_sets, 1, S, S)``: each pixel is removed by exactly one of the masks.
    Raises UserError when the cell does not fit or there are fewer cells than sets.
    """
    if cell < 1 or size % cell:
        raise UserError(f"cells of {cell} px do not tile {size} px: use a divisor of {size}")
    side = size // cell
    if not 1 <= n_sets <= side * side:
        raise UserError(f"{side * side} cells cannot be dealt into {n_sets} sets")
    # A shuffled deck dealt in turn: the sets differ by at most one cell.
    dealt = torch.randperm(side * side, generator=generator) % n_sets
    owner = dealt.reshape(side, side).repeat_interleave(cell, 0).repeat_interleave(cell, 1)  # (S, S)
    return torch.stack([(owner != i).float() for i in range(n_sets)])[:, None]  # (n_sets, 1, S, S)


def multi_scale_square(
    n: int, size: int, generator: torch.Generator, cells: Sequence[int] = (128, 64, 32)
) -> torch.Tensor:
    """Draw n masks uniformly from `all_multi_scale_square`; every pixel is removed with probability 1/2.

    Returns ``(n, 1, S, S)``.
    """
    return _pick(all_multi_scale_square(size, cells), n, generator)


def striped(n: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Draw n masks uniformly from `all_striped`. Returns ``(n, 1, S, S)``."""
    return _pick(all_striped(size), n, generator)


def jumbled(
    n: int, size: int, generator: torch.Generator, cells: Sequence[int] = (2, 4, 8, 16)
) -> torch.Tensor:
    """Draw n jumbled masks, each with its own cell size and deal; one of the three sets is removed.

    Returns ``(n, 1, S, S)``. Raises UserError when a cell size does not fit.
    """
    masks = [torch.empty(0, 1, size, size)]
    for _ in range(n):
        cell = cells[int(torch.randint(len(cells), (1,), generator=generator))]
        masks.append(_pick(jumbled_sets(size, cell, generator), 1, generator))
    return torch.cat(masks)  # (n, 1, S, S)


FAMILIES: dict[str, Callable[..., torch.Tensor]] = {
    "multi_scale_square": multi_scale_square,
    "striped": striped,
    "jumbled": jumbled,
}


def draw(
    family: str, n: int, size: int, generator: torch.Generator, cells: Sequence[int] | None = None
) -> torch.Tensor:
    """Draw n masks of a family named in Table II. Returns ``(n, 1, S, S)``, 1 = kept.

    cells: cell sizes in pixels for the square and jumbled families; None takes the family's own.
    Raises UserError for an unknown family.
    """
    check_value("mask family", family, tuple(FAMILIES))
    chosen = {} if cells is None else {"cells": cells}
    return FAMILIES[family](n, size, generator, **chosen)


def apply(
    image: torch.Tensor,
    mask: torch.Tensor,
    fill: float | str | torch.Tensor = BLACK,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Remove pixels: kept ones stay, removed ones take `fill` (paper, section III-B: I ⊙ M).

    image: ``(N, 3, H, W)`` in [-1, 1]; mask: ``(N, 1, H, W)``, 1 = kept.
    fill: -1, black, is the paper's product on [0, 255]. On [-1, 1] a bare product would paint mid-gray. "mean" is the
    mean color of each photo's kept pixels, so that the holes tell nothing of what they hide; "random" is one gray for
    each photo, uniform in [-1, 1], drawn from `generator`.
    Returns the masked image, ``(N, 3, H, W)`` in [-1, 1].
    """
    if isinstance(fill, str):
        check_value("fill", fill, HOLE_FILLS)
        if fill == "mean":
            kept = mask.sum(dim=(2, 3), keepdim=True).clamp_min(1)  # (N, 1, 1, 1)
            fill = (image * mask).sum(dim=(2, 3), keepdim=True) / kept  # (N, 3, 1, 1)
        else:
            fill = (torch.rand(len(image), 1, 1, 1, generator=generator) * 2 - 1).to(image.device)
    return image * mask + fill * (1 - mask)  # this form is exact where the mask is 0 or 1


def _pick(masks: torch.Tensor, n: int, generator: torch.Generator) -> torch.Tensor:
    """Draw n of the given masks uniformly, with replacement: ``(n, 1, S, S)``."""
    return masks[torch.randint(len(masks), (n,), generator=generator)]
