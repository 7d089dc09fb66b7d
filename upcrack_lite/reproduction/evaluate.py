"""Test a finished run on a cell's test set: the numbers of a record. Chapter: the tables.

The tables' protocol: photo and mask are stretched to 256 × 256, one photo at a time (`detectors`). For UP-CrackNet
`upcrack detect --size 256` and `upcrack score` give the same numbers.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from upcrack_lite.baselines.registry import after_training, learns_from_masks
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import histograms, per_image
from upcrack_lite.predict.photos import TABLE_SIZE
from upcrack_lite.predict.scoring import RADIUS
from upcrack_lite.reproduction.cell_data import TestSet, content_digest, test_set
from upcrack_lite.reproduction.cells import Cell
from upcrack_lite.reproduction.detectors import RULE, detector
from upcrack_lite.reproduction.record_files import FORMAT, MAPS, MapCounts, pack
from upcrack_lite.reproduction.training_data import source_manifest
from upcrack_lite.runs import BEFORE, RunFolder, check_device, code_digest, environment, now
from upcrack_lite.thin_shapes import cldice, tolerance_counts
from upcrack_lite.versions import testing_version


def evaluate(
    run: RunFolder,
    cell: Cell,
    data_root: Path | str,
    *,
    device: str = "cpu",
    progress: bool = True,
    command: str | None = None,
    tests: TestSet | None = None,
) -> tuple[dict[str, Any], dict[str, MapCounts]]:
    """Test a finished run on a cell's test set.

    Args:
        data_root: the folder of all sets.
        device: "auto", "cpu" or "cuda"; the dropout noise differs between them.
        command: how the record can be made again; None takes `cell.command()`.
        tests: the test set where it was looked up before; None looks it up.

    Returns:
        The record's plain values, which `record_files.write` writes and `records` checks, and its maps.

    Raises:
        UserError: a run that is not finished or not the cell's (it says what differs), a test set that is not
            there or not what its manifest says, or a file that cannot be read.
    """
    _check_run(run, cell)
    tests = test_set(cell.test_set, data_root) if tests is None else tests
    device, preset, started = check_device(device), cell.preset(), now()
    tested = detector(run, cell, device)
    rows, seen, hists = [], [], {name: [] for name in MAPS}
    todo = tqdm(
        tests.photos(TABLE_SIZE, seen), total=len(tests), disable=not progress, desc="testing", unit="photo"
    )
    for name, photo, crack_mask in todo:
        found = tested.find(photo, crack_mask)
        hists["raw"].append(histograms(found.score_map, crack_mask)[0])
        hists["smoothed"].append(histograms(found.smoothed, crack_mask)[0])
        rows.append(_image(name, found.crack_mask, crack_mask, found.threshold))
    maps = {name: MapCounts.of(np.stack(some)) for name, some in hists.items()}
    crack, pixels = sum(row["tp"] + row["fn"] for row in rows), len(rows) * TABLE_SIZE**2
    values = {
        "format": FORMAT,
        "key": cell.key(),
        "preset": preset.to_dict(),
        "command": command or cell.command(),
        "protocol": {
            "size": TABLE_SIZE,
            "resize_rule": RULE,
            "dropout_seed": cell.seed,
            "threshold_rule": preset.threshold_rule,
            "tolerance_px": RADIUS,
        },
        "train": _train_facts(run) | {"chosen": tested.chosen},
        "test": {
            "digest": tests.digest,
            "known": tests.known,
            "content_sha256": content_digest(seen),
            "images": len(rows),
            "crack_share": 100 * crack / pixels,
        },
        "environment": {
            "training": run.manifest.get("environment", {}) | {"processes": run.manifest.get("processes", 1)},
            "evaluation": environment() | {"used_device": device},
            "starts": run.manifest.get("environments"),
        },
        "versions": {"training": run.training_version, "testing": testing_version(cell.method)},
        "code_sha256": code_digest(),
        "images": rows,
        "family": tested.family(),
        "arrays": {
            "file": f"{cell.slug()}.npz",
            "sha256": hashlib.sha256(pack(rows, maps)).hexdigest(),
        },
        "started": started,
        "finished": now(),
    }
    return values, maps


def _image(name: str, predicted: np.ndarray, crack_mask: np.ndarray, cut: float) -> dict[str, Any]:
    """One photo's line of the record, from two bool masks `(256, 256)`."""
    counts = per_image(predicted, crack_mask)[0]
    lines = float(cldice(predicted, crack_mask)[0])
    return {
        "name": name,
        "tp": counts.tp,
        "fp": counts.fp,
        "fn": counts.fn,
        "tn": counts.tn,
        "threshold": cut,
        "tolerance": tolerance_counts(predicted, crack_mask, RADIUS)[0].tolist(),
        "cldice": None if np.isnan(lines) else lines,
    }


def _check_run(run: RunFolder, cell: Cell) -> None:
    """Raise `UserError` if the run is not finished, or was not trained as the cell says."""
    if not run.finished:
        raise UserError(f"{run.path} is not finished: let its training end first")
    wanted = cell.training_preset()
    found = {**wanted.older(), **(run.manifest.get("preset") or {})}
    differ = [
        f"{name} {found.get(name)!r} (the cell has {value!r})"
        for name, value in wanted.to_dict().items()
        if name not in after_training(cell.method) and found.get(name) != value
    ]
    for name, has, value in (
        ("method", run.method, cell.method),
        ("seed", run.manifest.get("seed"), cell.seed),
    ):
        if has != value:
            differ.append(f"{name} {has!r} (the cell has {value!r})")
    data = run.manifest.get("data", {})
    named = (
        (cell.train_set,)
        if learns_from_masks(cell.method)
        else (cell.train_set, f"{cell.train_set}_undamaged")
    )
    if data.get("name") not in named:
        differ.append(f"training set {data.get('name')!r} (the cell has {cell.train_set!r})")
    if differ:
        raise UserError(f"{run.path} is not the run of {cell.slug()}: it has {'; '.join(differ)}")


def _train_facts(run: RunFolder) -> dict[str, Any]:
    """What the run's manifest says about its training. Raises `UserError` where it says too little."""
    manifest = {**BEFORE, **run.manifest}
    data = manifest.get("data", {})
    described = data["crops"] if isinstance(data.get("crops"), dict) else None
    try:
        return {
            "crops": described["count"] if described else data["crops"],
            "crops_trained": manifest["crops_trained"],
            "crops_validated": manifest["crops_validated"],
            "crops_sha256": data["sha256"],
            "crops_json": described,
            "set_manifest_sha256": source_manifest(data),
            "max_steps": manifest["max_steps"],
            "steps": manifest["steps_done"],
            "epochs": manifest["epochs_done"],
            "best_epoch": manifest["best_epoch"],
            "precision": manifest["precision"],
            "seconds": manifest["train_seconds"],
            "peak_memory_mib": manifest["peak_memory_mib"],
            "peak_gpu_memory_mib": manifest["peak_gpu_memory_mib"],
            "style_weights": manifest["style_weights"],
            "encoder": manifest["encoder"],
            "crack_masks_sha256": manifest["crack_masks_sha256"],
            "start_sha256": manifest["start_sha256"],
            "checkpoint_sha256": checkpoint_digest(run.path),
        }
    except KeyError as error:
        raise UserError(f"{run.path}: its manifest does not say {error}: train anew") from error


def checkpoint_digest(folder: Path) -> str:
    """SHA-256 of what a run has learned."""
    return hashlib.sha256((folder / "checkpoint.safetensors").read_bytes()).hexdigest()
