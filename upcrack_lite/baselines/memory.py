"""The values of the feature-memory baseline, each with its why; the method itself is `patchcore`.

The paper does not have this method. A reason begins as in `recipes`; "source" is the article that `patchcore` names.
PyTorch is not imported.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from upcrack_lite.baselines.recipes import SIDE
from upcrack_lite.errors import UserError
from upcrack_lite.recipes import RULES, Table, Values, value

PATCHCORE = "patchcore"


@dataclass(frozen=True)
class MemoryPreset(Values):
    """All values of the feature memory. The scale changes nothing."""

    method: str
    scale: str
    size: int = value(256, "the side at which the tables' photos are looked at")  # of the square input, px
    memory: int = value(
        2000, "kit: the source keeps 1 to 25 % of all patches; so many fit into 1.5 MB", "[1, inf)"
    )
    # patches, drawn evenly from the crops, among which the memory is chosen
    candidates: int = value(60_000, "kit: the source chooses among all, here over a million", "[1, inf)")
    projection: int = value(128, "kit: the source has the projection and leaves its size open", "[1, inf)")
    sigma: float = value(4.0, "source: at 224 px", "(0, inf)")  # px, of the Gaussian over the map
    validation_share: float = value(0.1, "as UP-CrackNet", "[0, 1)")  # crops on which the map is scaled
    # share of the pixels of undamaged road whose score is above 0.5
    false_alarm: float = value(0.001, "kit: the source gives no threshold", "(0, 1)")
    # detection: from here on, all can be changed after training
    map_filter: str = value(
        "none", "source: the Gaussian is all; it is in the map", ("bilateral", "gaussian", "none")
    )
    bilateral_d: int = value(25, "as UP-CrackNet, where the filter is used", "[1, 99]")  # px
    # gray levels of one channel, 0-255
    bilateral_sigma_color: float = value(150.0, "as UP-CrackNet, where the filter is used", "(0, inf)")
    bilateral_sigma_space: float = value(15.0, "as UP-CrackNet, where the filter is used", "(0, inf)")  # px
    threshold_rule: str = value("fixed", "kit: the map is scaled to it", RULES)
    threshold_value: float = value(0.5, "kit: exceeded on undamaged road by `false_alarm` of the pixels")
    threshold_floor: float = value(0.0, "not used by a fixed threshold", "[0, 1]")

    patience = 0  # there are no epochs to stop

    @classmethod
    def table(cls, *names: str) -> Table:
        """Every field but method and scale. Raises UserError for another method or an unknown scale."""
        method, scale = names
        if method != PATCHCORE or scale not in ("full", "lite"):
            raise UserError(f"there is no preset {method} {scale}: choose {PATCHCORE} at full or lite")
        return {field.name: (field.default, field.metadata["why"]) for field in fields(cls) if field.metadata}

    def check(self) -> None:
        """Raise UserError for the first value that is not allowed."""
        super().check()
        if self.size < 2 * SIDE or self.size % SIDE:
            raise UserError(f"size must be a multiple of {SIDE} from {2 * SIDE} on, got {self.size}")
