"""What a method costs: its parameters, and the multiply-adds of one pass. Chapter: the methods.

Networks are built on PyTorch's "meta" device, which knows shapes and no values: the largest is counted in seconds
and takes no memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from upcrack_lite.baselines.registry import network
from upcrack_lite.recipes import TABLE_SIZE, check_value


@dataclass(frozen=True)
class Cost:
    """parameters: all that training changes, with heads that only training uses. multiply_adds: of one pass in
    eval mode over one photo; convolutions and matrix products count, additions and activations do not. SCADN and
    RIAD look at a photo through twelve masks, so they need twelve passes.
    """

    parameters: int
    multiply_adds: int


def count(net: nn.Module, size: int = TABLE_SIZE) -> Cost:
    """Count a network for one photo ``(1, 3, size, size)``, on the device of its parameters; its mode stays."""
    device, mode = next(net.parameters()).device, net.training
    net.eval()
    try:
        # Two operations, a multiplication and an addition, are one multiply-add.
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net(torch.zeros(1, 3, size, size, device=device))
    finally:
        net.train(mode)
    return Cost(sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2)


def cost(name: str, width: float = 1.0, size: int = TABLE_SIZE) -> Cost:
    """Count a compared network at a width in (0, 1]. Raises UserError for an unknown name or another width."""
    check_value("width", width, "(0, 1]")
    with torch.device("meta"):
        return count(network(name).build(width), size)
