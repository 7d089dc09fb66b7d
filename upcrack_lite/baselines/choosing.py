"""Choose a detector without training on photos with masks, and freeze the choice: the "training" of a family.

All variants are counted on the training photos, and the one with the highest pooled F1 is kept. What is kept is a run
as any other: its checkpoint holds the counts of each variant and the place of the one chosen.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from upcrack_lite.baselines.families import FamilyPreset, Variant, from_dict
from upcrack_lite.baselines.labels import check_masks
from upcrack_lite.baselines.variants import choose, counts
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import Confusion
from upcrack_lite.runs import RunFolder, check_crops, data_hash, describe, environment, now, peak_memory_mib


def choose_variant(
    images: np.ndarray,
    crack_masks: np.ndarray,
    preset: FamilyPreset,
    out: Path | str,
    *,
    data: dict[str, Any] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> RunFolder:
    """Judge all variants of a family on photos with masks, and keep the best; a finished run is returned as it is.

    Args:
        images: uint8 ``(N, S, S, 3)``, S as the preset says. crack_masks: bool ``(N, S, S)``, True = crack.
        preset: by `families.family_preset`.
        out: the run folder.
        data: facts about the photos for the manifest.
        seed: only names the run; nothing is drawn.
        progress: show a bar.

    Returns:
        The finished run: a manifest, and a checkpoint with ``counts``, int64 ``(V, 4)`` (tp, fp, fn, tn of each
        variant), and ``chosen``, its row.

    Raises:
        UserError: images or masks of another size or type, masks without a crack, or a folder with another run.
    """
    check_crops(images, preset.size, None)
    check_masks(images, crack_masks)
    own = {"crack_masks_sha256": data_hash(crack_masks), "encoder": None}
    what = describe(preset.method, preset, images, data, seed, None, "32-true", own)
    run = RunFolder.matching(out, what, preset.older())
    if run is not None and run.finished:
        return run
    started = now()
    if run is None:
        run = RunFolder.create(out, what | {"started": started})
    began = time.monotonic()
    bar = tqdm(
        zip(images, crack_masks, strict=True), "choosing", len(images), disable=not progress, unit="photo"
    )
    judged = counts(bar, preset.variants)
    kept = [[one.tp, one.fp, one.fn, one.tn] for one in judged.values()]
    place = list(judged).index(choose(judged))
    run.save_weights({"counts": torch.tensor(kept), "chosen": torch.tensor(place)})
    run.manifest |= {
        "environment": environment() | {"used_device": "cpu"},
        "style_weights": None,
        "start_sha256": None,
        "status": "finished",
        "finished": now(),
        "epochs_done": 0,
        "steps_done": 0,
        "best_epoch": -1,
        "train_seconds": round(time.monotonic() - began, 3),
        "peak_memory_mib": peak_memory_mib(),
        "crops_trained": len(images),
        "crops_validated": 0,
    }
    run.save_manifest()
    return run


def chosen_variant(run: RunFolder) -> tuple[Variant, dict[Variant, Confusion]]:
    """The variant that a run chose, and the counts of all on its training photos.

    Raises UserError for a run of another kind, or a checkpoint that does not fit it.
    """
    preset, kept = from_dict(run.manifest.get("preset") or {"method": "?"}), run.load_weights()
    variants = preset.variants
    if kept.keys() == {"counts", "chosen"} and kept["counts"].shape == (len(variants), 4):
        rows = zip(variants, kept["counts"].tolist(), strict=True)
        judged = {one: Confusion(*row) for one, row in rows}
        chosen = choose(judged)
        if int(kept["chosen"]) == variants.index(chosen):
            return chosen, judged
    raise UserError(
        f"the checkpoint in {run.path} is not that of {preset.method}: one of its files was replaced; choose anew"
    )
