"""One training on several processes: every process works on its part of each batch, and all sums are those of the
whole batch, so that the same training comes out as on one process. Chapter 13 trains; `launch` starts processes.

What a whole batch has in common are three things: its statistics in batch norm, its gradient, and its losses.
Each is a sum over images, and a sum can be made from the sums of the parts. Nothing here is random: every process
draws the order, masks, crops and flips of the whole batch, and takes its own part of them. Dropout alone is drawn
by each process for itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn


def own_part(n: int, processes: int, rank: int) -> tuple[slice, float]:
    """Which images of a batch of n belong to a process, and which share of the batch they are, in [0, 1].

    The parts of all processes are next to each other, and their sizes differ by at most one image. Where there are
    fewer images than processes, a process without one works on the first image with share 0: it counts nowhere,
    but takes part in every exchange, for which the others wait.
    """
    first, last = n * rank // processes, n * (rank + 1) // processes
    if first == last:
        return slice(0, 1), 0.0
    return slice(first, last), (last - first) / n


class SpreadBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose batch is that of all processes together (`nn.SyncBatchNorm` has no version for CPUs).

    In training, every process must call it, and its backward pass, in the same order. Where it keeps no running
    statistics, as in `generator.test_mode`, or is not in training, it works on the images at hand alone.
    idle: this process's images do not count (see `own_part`).
    """

    idle = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize ``(N, C, H, W)``; N may differ between processes, C, H and W may not."""
        if not self.training or not self.track_running_stats:
            return super().forward(x)
        self._check_input_dim(x)
        wide = x if x.dtype == torch.float64 else x.float()
        var, mean = torch.var_mean(wide, dim=(0, 2, 3), correction=0)  # (C,) each, of this part
        var, mean = var.double(), mean.double()  # E[x²] - E[x]² below cancels too many digits in float32
        here = 0 if self.idle else x.numel() // x.shape[1]
        sums = torch.cat([here * mean, here * (var + mean**2), mean.new_tensor([here])])  # (2 C + 1,)
        sums = _AllSum.apply(sums)
        count = sums[-1].detach()
        mean, square = (sums[:-1] / count).chunk(2)  # (C,) each, of the whole batch
        var = square - mean**2
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            # What is kept is the unbiased variance, as in nn.BatchNorm2d.
            self.running_var.lerp_((var * count / (count - 1)).to(self.running_var), self.momentum)
        scale = self.weight * (var + self.eps).rsqrt().to(self.weight)  # (C,)
        y = (wide - mean.to(wide).view(1, -1, 1, 1)) * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return y.to(x.dtype)


class _AllSum(torch.autograd.Function):
    """The sum of a tensor over all processes, for all processes.

    The loss of every process depends on the sum, so the gradient is a sum over all processes, too.
    (`torch.distributed.nn.functional.all_reduce` does the same, but is deprecated.)
    """

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        return all_sum(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return all_sum(gradient)


def all_sum(tensor: torch.Tensor) -> torch.Tensor:
    """Add a tensor up over all processes; every process gets the very same bits. Carries no gradient."""
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def synchronize(network: nn.Module) -> nn.Module:
    """Replace each `nn.BatchNorm2d` by one that sees all processes' images; names and values stay. In place."""
    for name, module in list(network.named_modules()):
        if type(module) is nn.BatchNorm2d:
            norm = SpreadBatchNorm2d(module.num_features, module.eps, module.momentum)
            norm.load_state_dict(module.state_dict())
            network.set_submodule(name, norm)
    return network


def set_idle(network: nn.Module, idle: bool) -> None:
    """Say whether the images that this process puts through the network count (see `own_part`)."""
    for module in network.modules():
        if isinstance(module, SpreadBatchNorm2d):
            module.idle = idle


def sum_gradients(network: nn.Module) -> None:
    """Replace all gradients of a network by their sums over all processes, in one exchange."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    total = all_sum(torch.cat([gradient.reshape(-1) for gradient in gradients]))
    for gradient, part in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def whole_batch(terms: dict[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    """Means over the whole batch of losses that are means over this process's share of it; without a graph."""
    total = all_sum(torch.stack([term.detach() * share for term in terms.values()]))  # (number of terms,)
    return dict(zip(terms, total, strict=True))


def gather(value: Any) -> list[Any]:
    """The values of all processes, by rank, for all processes."""
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def dropout_seed(seed: int, rank: int) -> int:
    """A seed for the dropout of one process: every process draws another noise, and the same one in every run."""
    return int(np.random.SeedSequence((seed, rank)).generate_state(1)[0])
