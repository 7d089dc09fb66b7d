"""The undamaged crops to train on, from whatever `upcrack train --data` names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.data import manifest
from upcrack_lite.data.catalog import places_of, refuse_test_set
from upcrack_lite.data.crop_folder import is_crop_folder, read_crops, read_description
from upcrack_lite.data.crops import CropRule, undamaged_crops
from upcrack_lite.data.datasets import load
from upcrack_lite.data.layouts import LAYOUTS, fitting, pairs, unlabeled
from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.errors import UserError


def undamaged(
    data: str, layout: str, rule: CropRule, given: Sequence[str] = ()
) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    """Cut, read or draw undamaged crops.

    data: a folder of photos with masks, of photos without any crack (layout "photos"), or of crops that are cut
    already; or "synthetic". given: options of the rule that the user asked for; crops that are cut refuse them.
    Returns uint8 ``(N, S, S, 3)``, the photo of each crop, and facts about them for a run's manifest.
    Raises UserError for an unknown layout, a folder that does not fit it, a test set, or a file that cannot be read.
    """
    folder = Path(data)
    if data == "synthetic":
        roads = synthetic_set(rule.count, rule.size, rule.seed, crack_free=1.0)
        return roads.images, roads.names, {"name": "synthetic", "seed": rule.seed}
    if layout not in ("auto", "photos", *LAYOUTS):
        raise UserError(f"unknown layout {layout!r}; choose auto, photos, {', '.join(LAYOUTS)}")
    is_cut = is_crop_folder(folder) or (folder.is_dir() and "crack500_authors" in fitting(folder))
    if given and is_cut:
        raise UserError(f"the crops in {data} are cut already: leave out --{', --'.join(given)}")
    facts: dict[str, Any] = {"name": folder.resolve().name}
    if layout == "auto" and is_crop_folder(folder):
        crops = read_crops(folder, rule.size)
        return crops.images, crops.groups, facts | {"crops": read_description(folder)}
    if layout == "photos":
        photos = unlabeled(folder)
    else:
        photos = pairs(folder, layout, "train")
        refuse_test_set(folder)
    facts["photos"] = len(photos)
    if listed := manifest.digest_in(folder):
        facts["fetched_manifest_sha256"] = listed
    if layout != "photos" and photos[0].mask is None:  # undamaged crops as their authors cut them
        roads = load(folder, "train", rule.size, layout)
        return roads.images, places_of(folder, roads.names), facts
    crops = undamaged_crops(photos, rule)
    places = places_of(folder, [str(row["name"]) for row in crops.rows])
    return crops.images, places, facts | {"window": rule.windows[0], "margin": rule.margin}
