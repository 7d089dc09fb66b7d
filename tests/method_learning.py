"""How each compared method learns four images in the tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Learning:
    """How a method learns four images here.

    rate: of Adam; width: of the network; steps: at most, for a supervised one; falls: the share of its first value
    to which the loss must fall; stands_out: how many times a restorer's score on a dark line must exceed that beside;
    full_rate: of Adam at full width and 256 px, for a supervised one.
    """

    rate: float = 3e-3
    width: float = 0.125
    steps: int = 200
    falls: float = 0.5
    stands_out: float = 1.0
    full_rate: float = 1e-3


NEW = Learning()  # of a method that is not named here
LEARNING = {
    "deeplabv3plus": Learning(1e-2),
    "enet": Learning(1e-2),  # the smallest network takes the largest steps
    "ddrnet": Learning(width=0.25),
    "deepcrack19": Learning(1e-2),
    "deepcrack18": Learning(1e-3, full_rate=1e-4),  # 26 layers without batch norm
    # Untrained, the line stands out too: 3.6 times in SCADN's map, 1.8 times in RIAD's, of edges.
    "scadn": Learning(2e-3, steps=60, falls=0.4, stands_out=5.5),
    "riad": Learning(2e-3, steps=60, falls=0.8, stands_out=1.4),
}


def learning(name: str) -> Learning:
    """The settings of a method, or those of a new one."""
    return LEARNING.get(name, NEW)
