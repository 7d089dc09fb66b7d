"""Widgets of chapters 04 and 14: move a slider, see the masks or the detection change.

Every stage is computed by the functions that the chapters teach. A page without a kernel shows the state in which
the chapter left the widget.
"""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets
import numpy as np
import torch

from upcrack_lite import masks
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor, to_uint8
from upcrack_lite.show.panels import Panel, Plate, controls, pictures
from upcrack_lite.show.pictures import png
from upcrack_lite.show.tuner import PostProcessingTuner

__all__ = ["MaskExplorer", "PostProcessingTuner"]

FILLS: Mapping[str, float] = {"black (−1)": -1.0, "mid-gray (0)": 0.0, "white (1)": 1.0}


class MaskExplorer(Plate):
    """Draw masks of each family over one photo and see what share of it they remove.

    image: uint8 ``(S, S, 3)``, S a multiple of 16. seed: the draw shown first, 0 to 63.
    Controls: `family`, `cell`, `seed`, `fill`. Results: `mask` float ``(1, 1, S, S)``, 1 = kept, and `share`, the
    removed share in percent. Raises UserError for an image that is not square or does not fit the grids.
    """

    def __init__(self, image: np.ndarray, seed: int = 0) -> None:
        self._image = to_tensor(image)  # (1, 3, S, S)
        if len(self._image) != 1 or image.shape[-2] != image.shape[-3] or image.shape[-2] % 16:
            raise UserError(f"give one square photo (S, S, 3), S a multiple of 16, got {image.shape}")
        if not 0 <= seed <= 63:
            raise UserError(f"seed must lie between 0 and 63, got {seed}")
        self._size = image.shape[-2]
        self._busy = False
        self.family = ipywidgets.Dropdown(
            options=[
                ("multi-scale square", "multi_scale_square"),
                ("striped", "striped"),
                ("jumbled", "jumbled"),
            ],
            description="family",
        )
        self.cell = ipywidgets.Dropdown(options=self._cells("multi_scale_square"), description="cells")
        self.seed = ipywidgets.IntSlider(value=seed, min=0, max=63, description="draw")
        self.fill = ipywidgets.Dropdown(options=list(FILLS.items()), description="holes are")
        self._pictures = {name: Panel(name) for name in ("photo", "mask (white = kept)", "masked photo")}
        self._text = ipywidgets.HTML()
        self._pictures["photo"].show(png(to_uint8(self._image)[0]))
        for control in (self.cell, self.seed, self.fill):
            control.observe(self._draw, "value")
        self.family.observe(self._new_family, "value")
        super().__init__(
            controls(self.family, self.cell, self.seed, self.fill),
            self._text,
            pictures(*self._pictures.values()),
        )
        self._draw()

    def _cells(self, family: str) -> list[tuple[str, tuple[int, ...] | None]]:
        """The cell sizes that a family offers at this image size, all of the family's own first."""
        if family == "striped":
            return [("follow from the size", None)]
        fitting = [c for c in (2, 4, 8, 16, 32, 64, 128) if self._size % (2 * c) == 0]
        usual = tuple(fitting[-3:][::-1]) if family == "multi_scale_square" else (2, 4, 8, 16)
        own = [(f"one of {', '.join(map(str, usual))} px", usual)]
        return own + [(f"{cell} px", (cell,)) for cell in reversed(fitting)]

    def _new_family(self, change: object = None) -> None:
        self._busy = True  # new options change the value too: one drawing is enough
        self.cell.options = self._cells(self.family.value)
        self.cell.value = self.cell.options[0][1]
        self.cell.disabled = self.family.value == "striped"
        self._busy = False
        self._draw()

    def _draw(self, change: object = None) -> None:
        if self._busy:
            return
        draws = torch.Generator().manual_seed(self.seed.value)
        self.mask = masks.draw(self.family.value, 1, self._size, draws, self.cell.value)
        self.share = 100 * (1 - self.mask.mean().item())
        masked = masks.apply(self._image, self.mask, self.fill.value)
        self._pictures["mask (white = kept)"].show(png(self.mask[0, 0].numpy() > 0.5))
        self._pictures["masked photo"].show(png(to_uint8(masked)[0]))
        self._text.value = f"removed: <b>{self.share:.1f} %</b> of the pixels"
