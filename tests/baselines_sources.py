"""What the sources of the compared methods count that the kit's networks do not have.

With these differences added, a count here must be the source's but for rounding, norms and enlarging.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def conv(inward: int, out: int, kernel: int, side: int, groups: int = 1) -> np.ndarray:
    """Parameters and multiply-adds of a convolution without bias whose output map is `side` × `side`."""
    weights = inward // groups * out * kernel**2
    return np.array([weights, weights * side**2])


def separable(inward: int, out: int, side: int) -> np.ndarray:
    """The same of a 3 × 3 convolution within each channel, then one of 1 × 1 across channels."""
    return conv(inward, inward, 3, side, groups=inward) + conv(inward, out, 1, side)


TRAINING = 0  # the side of a map that no photo needs after training: its multiply-adds do not count
THREE_FIRST = conv(64, 64, 3, 128) + conv(64, 128, 3, 128) + conv(3, 64, 3, 128)
NARROW_FIRST = conv(3, 32, 3, 128) + conv(32, 32, 3, 128) + conv(32, 64, 3, 128)
ONE_FIRST = conv(3, 64, 7, 128)  # of a ResNet


@dataclass(frozen=True)
class Difference:
    """What a source has more (less, where negative): parameters and multiply-adds over 256 × 256 px; and the shares
    by which the sums may still miss the source's numbers.
    """

    more: np.ndarray
    parameters: float = 0.002  # a class or two, norms, biases
    multiply_adds: float = 0.005  # programs that count also count norms and enlarging


DIFFERENCES = {
    # Two full convolutions at 1/4, where the library has separable ones, at 1/4 and at 1/16.
    "deeplabv3plus": Difference(
        conv(304, 256, 3, 64) + conv(256, 256, 3, 64) - separable(304, 256, 64) - separable(256, 256, 16)
    ),
    # 19 classes in the article's parameters, printed as 0.37; two in the program's multiply-adds, printed as 0.48.
    "enet": Difference(
        np.array([conv(16, 18, 3, 128)[0], conv(16, 1, 3, 128)[1]]), 0.005 / 0.37, 0.005 / 0.48
    ),
    # The second output has 512 inner channels instead of 256. The encoder begins with three convolutions, whose 128
    # channels the first block reads.
    "pspnet": Difference(
        conv(1024, 256, 3, TRAINING) + THREE_FIRST - ONE_FIRST + conv(64, 64, 1, 64) + conv(64, 256, 1, 64)
    ),
    # A second output of 256 inner channels, 150 classes, three convolutions at the begin; printed as 86.
    "upernet": Difference(
        conv(1024, 256, 3, TRAINING)
        + conv(256, 150, 1, TRAINING)
        + conv(512, 149, 1, 64)
        + NARROW_FIRST
        - ONE_FIRST,
        parameters=0.5 / 86,
    ),
    # On the way up, 2 × 2 transposed convolutions halve the channels; here the next convolution reads them all.
    "unet": Difference(
        sum(conv(2 * c, c, 2, 8192 // c) - conv(c, c, 3, 16384 // c) for c in (512, 256, 128, 64))
    ),
    # The multiply-adds are those of 19 classes, 64 logits each to a pixel at 1/8. The parameters are those of one.
    "bisenetv2": Difference(conv(1024, 18 * 64, 1, 32) * [0, 1]),
}
TOLERANCES = {"ddrnet": 0.02, "lawin": 0.02}
"""Where nothing is known to differ: the share by which a count of parameters may miss its source, if not 0.01."""

NONE = Difference(np.zeros(2))
"""A method that is built as its source is."""
