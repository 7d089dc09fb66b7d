"""The way back from a max pooling, as SegNet does it: what ENet, SegResNet and Deepcrack18 share."""

from __future__ import annotations

import torch


def unpool(x: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Undo a 2 x 2 max pooling: each value goes back to its place `where`, the other three become 0.

    x and where: ``(N, C, h, w)``; returns ``(N, C, 2h, 2w)``. As `max_unpool2d`, but repeatable on a GPU.
    """
    height, width = 2 * x.shape[-2], 2 * x.shape[-1]
    here = torch.arange(height * width, device=x.device).reshape(height, width)
    x, where = (one.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1) for one in (x, where))
    return x * (where == here)
