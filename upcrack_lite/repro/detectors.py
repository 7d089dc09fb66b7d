"""From a run to what is tested: a detector of any method, which finds cracks in one photo at a time.

The tables' protocol: a photo is stretched to 256 × 256. A network sees it at its own size; a smaller map is enlarged
to 256 × 256 before filter and threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from upcrack_lite import detection
from upcrack_lite.detection import Found
from upcrack_lite.methods.families import FAMILY
from upcrack_lite.methods.kinds import CRACKNET
from upcrack_lite.metrics import Confusion, per_image
from upcrack_lite.photos import TABLE_SIZE
from upcrack_lite.repro.cells import Cell
from upcrack_lite.repro.runs import RunFolder
from upcrack_lite.roads.reading import resize
from upcrack_lite.tensors import to_tensor
from upcrack_lite.training import load_generator

RULE = "area"  # of resizing


class NetworkDetector:
    """A trained network: a map of the photo at the network's size, enlarged, filtered and cut.

    map_of: from an image ``(1, 3, S, S)`` in [-1, 1] to a map ``(1, 1, S, S)`` in [0, 1]. filter_and_cut: from a map
    to the filtered map and its threshold.
    """

    chosen: dict[str, Any] | None = None  # what was chosen among variants; a network has none

    def __init__(
        self,
        map_of: Callable[[torch.Tensor], torch.Tensor],
        filter_and_cut: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
        size: int,
        device: str,
    ) -> None:
        self.map_of, self.filter_and_cut, self.size, self.device = map_of, filter_and_cut, size, device

    def find(self, photo: np.ndarray, crack_mask: np.ndarray) -> Found:
        """Find cracks in a photo, uint8 `(H, W, 3)`; the mask is not looked at."""
        image = to_tensor(resize(photo, None, self.size, RULE)[0]).to(self.device)  # (1, 3, S, S)
        raw = detection.enlarge(self.map_of(image), (TABLE_SIZE, TABLE_SIZE))  # (1, 1, 256, 256)
        smoothed, cuts = self.filter_and_cut(raw)
        smoothed, cut = smoothed[0, 0].cpu().numpy(), float(cuts[0])
        return Found(raw[0, 0].cpu().numpy(), smoothed, cut, smoothed > cut)

    def family(self) -> None:
        """A network stands alone."""


class FamilyDetector:
    """The variant that a run chose; all others of its family are counted beside it."""

    def __init__(self, run: RunFolder) -> None:
        from upcrack_lite.methods.choosing import chosen_variant

        self.variant, self.judged = chosen_variant(run)
        counts = self.judged[self.variant]
        self.chosen = {"name": self.variant.name, "variants": len(self.judged), "training_f1": counts.f1}
        self.totals = dict.fromkeys(self.judged, Confusion())

    def find(self, photo: np.ndarray, crack_mask: np.ndarray) -> Found:
        """Find cracks in a photo, uint8 `(H, W, 3)`, and count what all variants mark, with its mask `(256, 256)`."""
        from upcrack_lite.methods.variants import find, segment_all

        small = resize(photo, None, TABLE_SIZE, RULE)[0]
        for variant, marked in zip(self.totals, segment_all(small, self.totals), strict=True):
            self.totals[variant] += per_image(marked, crack_mask)[0]
        return find(small, self.variant)

    def family(self) -> list[dict[str, Any]]:
        """For each variant its name and its counts over all photos so far."""
        return [
            {"name": variant.name, "tp": one.tp, "fp": one.fp, "fn": one.fn, "tn": one.tn}
            for variant, one in self.totals.items()
        ]


def detector(run: RunFolder, cell: Cell, device: str) -> NetworkDetector | FamilyDetector:
    """Load a finished run onto "cpu" or "cuda", with the filter and threshold of a cell.

    Raises UserError for a run whose files do not fit together.
    """
    preset = cell.preset()
    if cell.method == CRACKNET:
        generator, _ = load_generator(run, device)
        map_of, cut = _errors(generator, preset, cell.seed), partial(detection.smooth_and_cut, preset=preset)
        return NetworkDetector(map_of, cut, preset.size, device)
    if cell.method in FAMILY:
        return FamilyDetector(run)
    from upcrack_lite.methods import prediction

    network, _ = prediction.load_network(run, device)
    map_of = partial(prediction.score_map, network, preset, seed=cell.seed)
    return NetworkDetector(map_of, partial(prediction.smooth_and_cut, preset=preset), preset.size, device)


def _errors(generator: torch.nn.Module, preset: Any, seed: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda image: detection.compare(generator, image, preset, seed)[1]
