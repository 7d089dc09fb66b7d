"""From a run to what is tested: a detector of any method, which finds cracks in one photo at a time.

The tables' protocol: a photo is stretched to 256 × 256. A network sees it at its own size; a smaller map is enlarged
to 256 × 256 before filter and threshold.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from upcrack_lite.baselines.registry import FAMILIES, after_training
from upcrack_lite.data.reading import resize
from upcrack_lite.detection import Found, enlarge
from upcrack_lite.images import to_tensor
from upcrack_lite.metrics import Confusion, per_image
from upcrack_lite.predict.model import Model, load_model
from upcrack_lite.predict.photos import TABLE_SIZE
from upcrack_lite.reproduction.cells import Cell
from upcrack_lite.runs import RunFolder

RULE = "area"  # of resizing


class NetworkDetector:
    """A trained network: a map of the photo at the network's size, enlarged, filtered and cut."""

    chosen: dict[str, Any] | None = None  # what was chosen among variants; a network has none

    def __init__(self, model: Model, seed: int) -> None:
        self.model, self.seed = model, seed

    def find(self, photo: np.ndarray, crack_mask: np.ndarray) -> Found:
        """Find cracks in a photo, uint8 `(H, W, 3)`; the mask is not looked at."""
        image = to_tensor(resize(photo, None, self.model.preset.size, RULE)[0]).to(self.model.device)
        raw = enlarge(self.model.score_map(image, self.seed), (TABLE_SIZE, TABLE_SIZE))  # (1, 1, 256, 256)
        smoothed, cuts = self.model.smooth_and_threshold(raw)
        smoothed, cut = smoothed[0, 0].cpu().numpy(), float(cuts[0])
        return Found(raw[0, 0].cpu().numpy(), smoothed, cut, smoothed > cut)

    def family(self) -> None:
        """A network stands alone."""


class FamilyDetector:
    """The variant that a run chose; all others of its family are counted beside it."""

    def __init__(self, run: RunFolder) -> None:
        from upcrack_lite.baselines.training_free import selected_variant

        self.variant, self.judged = selected_variant(run)
        counts = self.judged[self.variant]
        self.chosen = {"name": self.variant.name, "variants": len(self.judged), "training_f1": counts.f1}
        self.chosen["training"] = _named(self.judged)
        self.totals = dict.fromkeys(self.judged, Confusion())

    def find(self, photo: np.ndarray, crack_mask: np.ndarray) -> Found:
        """Find cracks in a photo, uint8 `(H, W, 3)`, and count what all variants mark, with its mask `(256, 256)`."""
        from upcrack_lite.baselines.training_free import find, segment_all

        small = resize(photo, None, TABLE_SIZE, RULE)[0]
        for variant, marked in zip(self.totals, segment_all(small, self.totals), strict=True):
            self.totals[variant] += per_image(marked, crack_mask)[0]
        return find(small, self.variant)

    def family(self) -> list[dict[str, Any]]:
        """For each variant its name and its counts over all photos so far."""
        return _named(self.totals)


def _named(counts: dict[Any, Confusion]) -> list[dict[str, Any]]:
    return [
        {"name": variant.name, "tp": one.tp, "fp": one.fp, "fn": one.fn, "tn": one.tn}
        for variant, one in counts.items()
    ]


def detector(run: RunFolder, cell: Cell, device: str) -> NetworkDetector | FamilyDetector:
    """Load a finished run onto "cpu" or "cuda", with the filter and threshold of a cell.

    Raises UserError for a run whose files do not fit together.
    """
    if cell.method in FAMILIES:
        return FamilyDetector(run)
    later = {name: value for name, value in cell.overrides if name in after_training(cell.method)}
    return NetworkDetector(load_model(run, device, later), cell.seed)
