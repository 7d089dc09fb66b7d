"""Checks of the exercises in the chapters on the compared methods and on detectors without training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from upcrack_lite.show.checking import array, check, close, need, number

Answer = Callable[..., Any]


@check("each output value takes one product for every weight that it looks through.")
def check_multiply_adds(fn: Answer) -> None:
    """fn(inward, out, kernel, side of the output map, groups) -> int: multiply-adds of a convolution, no bias."""
    cases = (
        (3, 8, 3, 32, 1),
        (8, 8, 3, 32, 1),
        (16, 4, 1, 64, 1),
        (8, 16, 5, 10, 1),
        (8, 8, 3, 32, 8),
        (8, 16, 3, 4, 4),
    )
    for inward, out, kernel, side, groups in cases:
        with torch.device("meta"):
            layer = nn.Conv2d(inward, out, kernel, padding=kernel // 2, groups=groups, bias=False)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                layer(torch.zeros(1, inward, side, side))
        truth, said = counter.get_total_flops() // 2, number(fn(inward, out, kernel, side, groups))
        need(
            said != 2 * truth,
            "a multiplication and the addition after it count as one: this is twice too many",
        )
        need(
            said != truth * groups or groups == 1,
            "with groups, an output sees only inward / groups input channels",
        )
        need(
            said == truth,
            f"{inward} to {out} channels, kernel {kernel}, map {side} x {side}, groups {groups}: PyTorch counts "
            f"{truth:,}, you {said:,.0f}",
        )


@check("it is the answer at which the weighted loss is least.")
def check_weighted_optimum(fn: Answer) -> None:
    """fn(p, road_weight) -> q: where a share p of such pixels is crack, the probability that costs least.

    A crack pixel has weight 1 in the cross entropy, a road pixel `road_weight`.
    """
    for p in (0.02, 0.5, 0.9):
        need(
            close(number(fn(p, 1.0)), p),
            f"with equal weights the best answer to a share of {p} is {p} itself",
        )
    grid = np.linspace(1e-4, 1 - 1e-4, 9999)
    for p, weight in ((0.03, 0.03), (0.2, 0.1), (0.5, 0.03), (0.1, 3.0)):
        loss = -(p * np.log(grid) + (1 - p) * weight * np.log(1 - grid))
        best, said = float(grid[loss.argmin()]), number(fn(p, weight))
        need(0 < said < 1, "a probability lies between 0 and 1")
        need(
            abs(said - best) < 2e-3,
            f"p {p}, road_weight {weight}: the loss is least at {best:.3f}, not {said:.3f}; set its derivative to 0",
        )


@check("it starts at the first rate, falls all the way, and ends at 0.")
def check_poly_rate(fn: Answer) -> None:
    """fn(step, steps, first, power) -> the learning rate of a step counted from 0, after `steps` in all it is 0."""
    need(close(number(fn(0, 100, 0.01, 0.9)), 0.01), "step 0 has the first rate")
    need(close(number(fn(100, 100, 0.01, 0.9)), 0, 1e-9), "after the last step the rate is 0")
    need(
        close(number(fn(25, 100, 0.8, 1.0)), 0.6),
        "power 1 is a line: a quarter done, a quarter gone",
    )
    need(close(number(fn(75, 100, 1.0, 2.0)), 0.0625), "the power acts on what is left, 1 - step / steps")
    half = number(fn(50, 100, 0.01, 0.9))
    need(
        close(half, 0.01 * 0.5**0.9, 1e-6),
        f"half-way, power 0.9: 0.01 times 0.5 to the power 0.9, not {half:g}",
    )


@check("neither a brighter lamp nor a stronger contrast moves it, and a few dark pixels do not either.")
def check_robust_darkness(fn: Answer) -> None:
    """fn(gray (H, W) in [0, 1]) -> (H, W): interquartile ranges below the photo's median."""
    ramp = np.tile(np.linspace(0.2, 0.8, 101), (11, 1))
    found = array(fn(ramp.copy()), ramp.shape)
    need(close(found[0, 50], 0, 1e-3), "the median itself is 0")
    need(found[0, 0] > 0, "dark pixels have positive values: subtract from the median, not the reverse")
    need(
        close(found[0, 0], 1, 1e-3),
        "the darkest pixel here is one interquartile range (75 % - 25 %) below the median",
    )
    need(
        close(array(fn(0.5 * ramp + 0.3), ramp.shape), found, 1e-3),
        "half the contrast, more light: the same map",
    )
    cracked = ramp.copy()
    cracked[0, :20] = 0.0
    moved = array(fn(cracked), ramp.shape)[5, 0]
    need(
        abs(moved - found[5, 0]) < 0.1,
        "a small crack moves the map elsewhere: mean and deviation do that",
    )


@check("only the training scores decide, and the test score is read once.")
def check_frozen_choice(fn: Answer) -> None:
    """fn(training: list of F1, test: list of F1, same order) -> (F1 to report, median of the test F1)."""
    draws = np.random.default_rng(0)
    for n in (1, 5, 24):
        training, test = (list(draws.permutation(np.linspace(20, 80, n))) for _ in range(2))
        found = array(fn(list(training), list(test)), (2,), "the answer")
        wanted = test[int(np.argmax(training))]
        need(n == 1 or not math.isclose(found[0], max(training)), "report the chosen variant's *test* score")
        need(
            math.isclose(found[0], wanted) or not math.isclose(found[0], max(test)),
            "that is the best test score: it was chosen with the answers in hand",
        )
        need(
            close(found[0], wanted),
            f"the best on the training set has {wanted:.1f} on the test set, not {found[0]:.1f}",
        )
        need(close(found[1], np.median(test)), "the second number is the median of all test scores")
