"""Length and widths of drawn cracks whose length and width are known; tolerances follow from the rules."""

from __future__ import annotations

import numpy as np
import pytest

from upcrack_lite.data.cracks import Crack, _path, label, rasterize
from upcrack_lite.errors import UserError
from upcrack_lite.predict.measures import measure

PIXELS = np.moveaxis(np.mgrid[0:400, 0:400], 0, -1)[..., ::-1] + 0.0  # (400, 400, 2): x and y of each pixel


def bar(start, end, width) -> np.ndarray:
    """Pixels within width / 2 of the line from start to end, cut off straight at its ends: bool (400, 400)."""
    along = np.subtract(end, start)
    length = np.hypot(*along)
    u = (PIXELS - start) @ along / length
    v = (PIXELS - start) @ (-along[1], along[0]) / length
    return (u >= 0) & (u <= length) & (np.abs(v) <= width / 2)


def ring(radius, width, angle=np.pi) -> np.ndarray:
    """An arc around the middle, angle to either side of the x axis."""
    x, y = np.moveaxis(PIXELS - 199.7, -1, 0)
    return (np.abs(np.hypot(x, y) - radius) <= width / 2) & (np.abs(np.arctan2(y, x)) <= angle)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7, 12])
def test_bars_along_rows_and_columns_of_any_width_also_across_the_border(width):
    """Widths are exact; thinning an even width leaves its skeleton a pixel nearer to one corner, at each end."""
    mask = np.zeros((60, 200), bool)
    mask[20 : 20 + width, 30:130] = True
    for turned in (mask, mask.T, mask[:, 30:]):
        got = measure(turned)
        assert (got["max_width_px"], got["components"]) == (width, 1)
        assert got["length_px"] == (100 if width % 2 else pytest.approx(100, abs=2))
        assert got["mean_width_px"] == pytest.approx(width, abs=0.05 * width)  # half a pixel at an end
    assert got["crack_fraction_percent"] == pytest.approx(100 * width / (60 * 1.7), abs=1e-4)


@pytest.mark.parametrize("degrees", [0, 11, 22.5, 30, 45, 63, 90, 118, 135, 171])
@pytest.mark.parametrize("width", [2, 3, 5, 9, 20])
def test_straight_cracks_at_any_angle(degrees, width):
    """sqrt 2 for a diagonal step makes a line at angle t longer by cos t + (sqrt 2 - 1) sin t; ends: 1 %."""
    t = np.radians(degrees)
    reach = 150 * np.array([np.cos(t), np.sin(t)])
    got = measure(bar(200.3 - reach, 200.3 + reach, width))
    steep = abs((t + np.pi / 4) % (np.pi / 2) - np.pi / 4)
    rule = 300 * (np.cos(steep) + (np.sqrt(2) - 1) * np.sin(steep))
    assert got["length_px"] == pytest.approx(rule, rel=0.015)
    # A row of pixels more or less fits between two edges: one pixel at most, less where the angle mixes them.
    assert got["mean_width_px"] == pytest.approx(width, abs=0.5 if degrees % 45 else 1)
    assert width - 1 <= got["max_width_px"] <= width + 1


@pytest.mark.parametrize(
    ("mask", "length", "width", "largest", "components"),
    [
        (ring(120, 6), 2 * np.pi * 120, 6, 7, 1),  # a loop has no free end
        (ring(120, 6, np.pi / 3), 2 * np.pi / 3 * 120, 6, 7, 1),
        (np.logical_or.reduce([bar((200, 200), end, 8) for end in ((200, 350), (70, 125), (330, 125))]),
         450, 8, 8 * 1.155 + 1, 1),  # a Y: the circle in the junction is wider by 1 / sin 60°
        (bar((-50, 30), (450, 60), 5) | bar((40, 150), (360, 150), 5) | bar((100, 250), (101, 250), 2), 724, 5, 6, 3),
    ],
    ids=["loop", "arc", "Y", "three, one across the photo"],
)  # fmt: skip
def test_loops_arcs_junctions_and_several_components(mask, length, width, largest, components):
    got = measure(mask)
    assert got["components"] == components
    assert 0.985 * length <= got["length_px"] <= 1.09 * length  # + 0 to 8.2 % by direction
    assert got["mean_width_px"] == pytest.approx(width, abs=0.5)
    assert width - 0.5 <= got["max_width_px"] <= largest


@pytest.mark.parametrize("width", [3, 6, 12])
def test_wandering_cracks_of_the_synthetic_roads(width):
    """Corners of a rough line round off (-2 %) while diagonal steps add (+5 %)."""
    line = _path(np.random.default_rng(width), np.array([40.0, 230.0]), np.array([360.0, 180.0]), 0.06, 5.0)
    half = np.full(len(line), 0.5)
    mask = label(rasterize([Crack(line, half, half)], 400, width), 400)
    length = np.hypot(*np.diff(line, axis=0).T).sum()
    got = measure(mask)
    assert got["length_px"] == pytest.approx(length, rel=0.06)
    # Rasterizing cuts the inside of bends: the width that is there is area / length.
    assert got["mean_width_px"] == pytest.approx(mask.sum() / length, rel=0.06)


def test_a_wide_shadow_is_measured_on_a_smaller_copy_and_leaves_thin_cracks_alone():
    mask = np.zeros((900, 1200), bool)
    mask[50:52, 100:1100] = True
    thin = measure(mask)
    mask[100:500, 100:1100] = True
    both = measure(mask)
    assert both["components"] == 2
    assert both["max_width_px"] == pytest.approx(400, rel=0.02)
    assert both["length_px"] - thin["length_px"] == pytest.approx(1000, rel=0.02)


def test_empty_full_and_smallest_masks():
    assert set(measure(np.zeros((50, 60), bool)).values()) == {0}
    full = measure(np.ones((50, 60), bool))
    assert (full["crack_fraction_percent"], full["length_px"], full["max_width_px"]) == (100, 60, 50)
    assert measure(np.ones((1, 1), bool))["length_px"] == measure(np.ones((1, 1), bool))["max_width_px"] == 1


def test_millimeters_and_what_is_refused():
    mask = bar((50, 50), (300, 200), 5)
    pixels, scaled = measure(mask), measure(mask, 0.4)
    for name in ("length", "mean_width", "max_width"):
        assert scaled[f"{name}_mm"] == pytest.approx(0.4 * pixels[f"{name}_px"], abs=1e-3)
    assert scaled == pixels | {key: value for key, value in scaled.items() if key.endswith("_mm")}
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"mm_per_pixel must be in \(0, inf\)"):
            measure(mask, wrong)
    with pytest.raises(UserError, match="must be bool"):
        measure(mask.astype(np.uint8))
