"""Small records of made-up maps, for tests that need records but no model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.baselines.registry import FAMILIES, learns_from_masks
from upcrack_lite.data import manifest as manifests
from upcrack_lite.metrics import histograms, per_image
from upcrack_lite.reproduction import record_files, records
from upcrack_lite.reproduction.experiments import Experiment, Selection, experiments
from upcrack_lite.reproduction.record_files import COUNTS, FORMAT, MAPS, MapCounts
from upcrack_lite.thin_shapes import cldice, tolerance_counts
from upcrack_lite.versions import testing_version, training_version

SIZE = 16
_CLEAN = {"kit": "0.1.0", "commit": {"id": "0" * 40, "dirty": False}, "threads": 1}


def chosen(
    table: int | str, settings: Mapping[str, Any] | None = None, **conditions: Any
) -> list[Experiment]:
    """The experiments of one table; conditions: of `Selection`."""
    return experiments([Selection(table, **conditions)], settings)


def save(values: Mapping[str, Any], maps: Mapping[str, MapCounts], folder: Path) -> Path:
    """Write a record as `run_experiment` does."""
    path = folder / f"{Experiment.from_key(values['key']).slug()}.json"
    record_files.write(values, maps, path)
    return path


def small_record(
    experiment: Experiment | None = None, n: int = 3, seed: int = 0, contrast: float = 0.5
) -> tuple[records.Record, dict[str, MapCounts]]:
    """A record that fits together, of n made-up 16 × 16 photos. The last photo has no crack.

    contrast: how much higher the map is on a crack, at most 0.5: the higher, the better the scores.
    """
    values, maps = small_values(experiment or Experiment(), n, seed, contrast)
    return records.make(values, maps), maps


def small_values(
    experiment: Experiment, n: int = 3, seed: int = 0, contrast: float = 0.5
) -> tuple[dict[str, Any], dict[str, MapCounts]]:
    """The plain values of `small_record`, for tests that plant a fault."""
    rng = np.random.default_rng(seed)
    rows, hists, crack_total = [], {name: [] for name in MAPS}, 0
    for index in range(n):
        crack_mask = np.zeros((SIZE, SIZE), bool)
        if index < n - 1:
            crack_mask[5:8, 2:14] = True
        raw = (rng.random((SIZE, SIZE), np.float32) * 0.5 + contrast * crack_mask).clip(0).astype(np.float32)
        levels = (raw * 255).round()
        smoothed, cut = levels.astype(np.float32) / 255, float(np.float32(120 / 255))
        predicted = smoothed > np.float32(cut)
        counts = per_image(predicted, crack_mask)[0]
        lines = float(cldice(predicted, crack_mask)[0])
        row = {"name": f"photo_{index}", **{name: getattr(counts, name) for name in COUNTS}, "threshold": cut}
        row["tolerance"] = tolerance_counts(predicted, crack_mask, 2)[0].tolist()
        rows.append(row | {"cldice": None if np.isnan(lines) else lines})
        crack_total += int(crack_mask.sum())
        hists["smoothed"].append(histograms(smoothed, crack_mask)[0])
        hists["raw"].append(histograms(raw, crack_mask)[0])
    maps = {name: MapCounts.of(np.stack(some)) for name, some in hists.items()}
    values = {
        "format": FORMAT,
        "key": experiment.key(),
        "preset": experiment.preset().to_dict(),
        "command": experiment.command(),
        "protocol": {
            "size": SIZE,
            "resize_rule": "area",
            "dropout_seed": experiment.seed,
            "threshold_rule": experiment.preset().threshold_rule,
            "tolerance_px": 2.0,
        },
        "train": {
            "crops": 300,
            "crops_trained": 270,
            "crops_validated": 30,
            "crops_sha256": "1" * 64,
            "crops_json": {"count": 300, "facts": {"set": experiment.train_set, "split": "train"}},
            "set_manifest_sha256": "2" * 64,
            "max_steps": None,
            "steps": 2040,
            "epochs": 60,
            "best_epoch": 50,
            "precision": "32-true",
            "seconds": 300.5,
            "peak_memory_mib": 900,
            "peak_gpu_memory_mib": None,
            "style_weights": None,
            "start_sha256": None,
            "encoder": None,
            "crack_masks_sha256": None,
            "chosen": None,
            "checkpoint_sha256": hashlib.sha256(experiment.run_slug().encode()).hexdigest(),
        },
        "test": {
            "digest": "4" * 64,
            "known": "packaged",
            "content_sha256": "5" * 64,
            "images": n,
            "crack_share": 100 * crack_total / (n * SIZE**2),
        },
        "environment": {"training": _CLEAN, "evaluation": _CLEAN},
        "versions": {
            "training": training_version(experiment.method),
            "testing": testing_version(experiment.method),
        },
        "code_sha256": "6" * 64,
        "images": rows,
        "family": None,
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:05:05+00:00",
    }
    if learns_from_masks(experiment.method):
        values["train"] |= {"crops_json": None, "crack_masks_sha256": "7" * 64}
    if experiment.method in FAMILIES:
        variants = [variant.name for variant in experiment.preset().variants]
        values["train"]["chosen"] = {"name": variants[0], "variants": len(variants), "training_f1": 50.5}
        values["family"] = _family(variants, rows)
    return values, maps


def official_values(experiment: Experiment, seed: int = 0) -> dict[str, Any]:
    """The plain values of a record as if from DeepCrack's 237 test photos at 256 × 256: their names and crack shares.

    What was found in them is made up, by the seed.
    """
    rng, size = np.random.default_rng(seed), 256
    values, _ = small_values(experiment)
    entries = manifests.read(manifests.packaged("deepcrack"))
    rows = []
    for entry in entries:
        if not entry.path.startswith("test_lab/"):
            continue
        crack = round(entry.crack_share / 100 * size**2)
        tp, fp = int(crack * rng.uniform(0.5, 0.9)), int(size**2 * rng.uniform(0.005, 0.03))
        counts = {"tp": tp, "fp": fp, "fn": crack - tp, "tn": size**2 - crack - fp}
        near = {"threshold": 0.5, "tolerance": [tp, tp + fp, tp, crack], "cldice": 60.0}
        rows.append({"name": entry.path.removeprefix("test_lab/").removesuffix(".png")} | counts | near)
    digest, crack = manifests.digest(entries), sum(row["tp"] + row["fn"] for row in rows)
    values["images"] = rows
    values["protocol"]["size"] = size
    values["train"]["set_manifest_sha256"] = digest
    values["test"] |= {
        "digest": digest,
        "images": len(rows),
        "crack_share": 100 * crack / (len(rows) * size**2),
    }
    if experiment.method in FAMILIES:
        values["family"] = _family([one["name"] for one in values["family"]], rows)
    return values


def _family(names: list[str], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The counts of the first variant are those of the record; each of the others finds half as much."""
    whole = {name: sum(row[name] for row in rows) for name in COUNTS}
    half = whole | {"tp": whole["tp"] // 2, "fn": whole["fn"] + whole["tp"] - whole["tp"] // 2}
    return [{"name": names[0]} | whole, *({"name": name} | half for name in names[1:])]
