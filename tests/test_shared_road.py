"""Shifted crops of one photo are found, other photos are not: `benchmarks/shared_road.py`."""

from __future__ import annotations

import numpy as np
from shared_road import features, shared

from upcrack_lite.data.synthetic import synthetic_road


def test_shifted_and_turned_crops_of_one_photo_are_found_and_others_are_not():
    road, other = (synthetic_road(512, seed, "asphalt", confounders=0)[0] for seed in (1, 2))
    training = {"left": features(road[:384, :400]), "other": features(other[:384, :400])}
    tests = {
        "right": features(road[60:444, 100:500]),
        "turned": features(np.rot90(road[100:500, 60:460]).copy()),
        "elsewhere": features(synthetic_road(400, 3, "asphalt", confounders=0)[0]),
        "flat": features(np.full((400, 400, 3), 128, np.uint8)),
    }
    found = shared(tests, training)
    assert {(pair["test"], pair["training"]) for pair in found} == {("right", "left"), ("turned", "left")}
    assert found == sorted(found, key=lambda pair: -pair["matches"])
    assert min(pair["matches"] for pair in found) >= 6
