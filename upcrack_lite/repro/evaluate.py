"""Train and test one cell, and write its record: what `upcrack cell` does. Chapter: the tables.

The tables' protocol: photo and mask are stretched to 256 × 256; a smaller error map is enlarged to 256 × 256 before
smoothing and threshold; one photo at a time. `upcrack detect --size 256` and `upcrack score` give the same numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from upcrack_lite.detection import compare, enlarge, smooth_and_cut
from upcrack_lite.errors import UserError
from upcrack_lite.files import check_writable
from upcrack_lite.metrics import cldice, histograms, per_image, tolerance_counts
from upcrack_lite.photos import TABLE_SIZE
from upcrack_lite.presets import DETECTION, check_precision
from upcrack_lite.repro import failures, records
from upcrack_lite.repro.cell_data import TestSet, TrainingCrops, content_digest, test_set, training_crops
from upcrack_lite.repro.cells import Cell
from upcrack_lite.repro.code_digest import code_digest
from upcrack_lite.repro.plan import full_command, run_name
from upcrack_lite.repro.records import Record
from upcrack_lite.repro.runs import RunFolder, data_hash, environment, now
from upcrack_lite.roads.reading import resize
from upcrack_lite.scoring import RADIUS
from upcrack_lite.tensors import to_tensor
from upcrack_lite.training import check_device, load_generator, train

RULE = "area"  # of resizing


def run_cell(
    cell: Cell,
    data_root: Path | str,
    runs_root: Path | str,
    results: Path | str,
    *,
    device: str = "auto",
    precision: str = "32-true",
    devices: int = 1,
    vgg_weights: str | None = None,
    max_steps: int | None = None,
    allow_dirty: bool = False,
    again: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train a cell if its run is not there (an interrupted one goes on), test it and write its record.

    A record of the same cell that was made by the same code from the same crops, run and test set is left as
    it is, without any work. A note that this cell failed earlier (`failures`) goes away.

    Args:
        data_root: the folder of all sets, with `TEST_SET/` and `TRAIN_SET_undamaged/`.
        runs_root: the folder of runs; cells that share a trained model share its run.
        results: the folder of records.
        device, precision, devices, vgg_weights, max_steps: as in `training.train`; a finished run keeps its number
            of devices.
        allow_dirty: let a record that must not be committed go to `results/dirty`.
        again: test again although the record is there.
        say: is called with a line of text for each step.

    Returns:
        The record's JSON file.

    Raises:
        UserError: before any long work, for sets that are not there, a record that must not be committed, or a
            folder that cannot be written; later, for what `training.train` and `evaluate` refuse.
    """
    check_precision(precision)
    device, tests = check_device(device), test_set(cell.test_set, data_root)
    folder = Path(runs_root) / run_name(cell, max_steps)
    trained_by, devices = _trained(folder, devices)
    why = records.reasons(trained_by, environment(), tests.known, max_steps)
    path = records.place(cell.slug(), results, why, allow_dirty)
    crops = training_crops(cell, data_root)
    check_writable(Path(runs_root))
    check_writable(path.parent)
    command = full_command(cell, precision, max_steps, vgg_weights, devices)
    if path.is_file() and not again and _is_current(path, command, tests, crops.images, folder):
        say(f"{path}: is there already, from the same code and data")
        failures.clear(cell, results)
        return path
    run = _train(
        cell,
        crops,
        folder,
        device=device,
        precision=precision,
        devices=devices,
        max_steps=max_steps,
        vgg_weights=vgg_weights,
        progress=progress,
        say=say,
    )
    record, arrays = evaluate(
        run, cell, data_root, device=device, progress=progress, command=command, tests=tests
    )
    path = records.save(record, arrays, results, allow_dirty=allow_dirty)
    failures.clear(cell, results)
    return path


def train_cell(
    cell: Cell,
    data_root: Path | str,
    runs_root: Path | str,
    *,
    device: str = "auto",
    precision: str = "32-true",
    devices: int = 1,
    vgg_weights: str | None = None,
    max_steps: int | None = None,
    allow_dirty: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> RunFolder:
    """Train the model of a cell, or go on where its training stopped; nothing is tested and no record is written.

    Arguments as in `run_cell`. The test set is not looked at. Returns the finished run.

    Raises:
        UserError: before any long work, for crops that are not there, a folder that cannot be written, or a
            model whose records must not be committed, unless `allow_dirty`; later, for what `training.train`
            refuses.
    """
    check_precision(precision)
    device, folder = check_device(device), Path(runs_root) / run_name(cell, max_steps)
    trained_by, devices = _trained(folder, devices)
    why = records.reasons(trained_by, environment(), "packaged", max_steps)
    records.place(cell.slug(), "", why, allow_dirty)
    crops = training_crops(cell, data_root)
    check_writable(Path(runs_root))
    return _train(
        cell,
        crops,
        folder,
        device=device,
        precision=precision,
        devices=devices,
        max_steps=max_steps,
        vgg_weights=vgg_weights,
        progress=progress,
        say=say,
    )


def _train(
    cell: Cell, crops: TrainingCrops, folder: Path, say: Callable[[str], None], **options: Any
) -> RunFolder:
    say(f"{folder}: {len(crops.images)} undamaged crops at {cell.preset().size} px")
    return train(
        crops.images,
        cell.training_preset(),
        folder,
        groups=crops.groups,
        data=crops.facts,
        seed=cell.seed,
        **options,
    )


def _trained(folder: Path, devices: int) -> tuple[dict[str, Any] | None, int]:
    """Environment and number of processes of a finished run; None and the number asked for where there is none."""
    if RunFolder.is_run(folder) and (run := RunFolder.open(folder)).finished:
        return run.manifest.get("environment"), run.manifest.get("processes", 1)
    return None, devices


def evaluate(
    run: RunFolder,
    cell: Cell,
    data_root: Path | str,
    *,
    device: str = "cpu",
    progress: bool = True,
    command: str | None = None,
    tests: TestSet | None = None,
) -> tuple[Record, dict[str, np.ndarray]]:
    """Test a finished run on a cell's test set.

    Args:
        data_root: the folder of all sets.
        device: "auto", "cpu" or "cuda"; the dropout noise differs between them.
        command: how the record can be made again; None takes `cell.command()`.
        tests: the test set where it was looked up before; None looks it up.

    Returns:
        The record, and its arrays `smoothed` and `raw`, each uint32 `(N, 2, 256)`.

    Raises:
        UserError: a run that is not finished or not the cell's (it says what differs), a test set that is not
            there or not what its manifest says, or a file that cannot be read.
    """
    _check_run(run, cell)
    tests = test_set(cell.test_set, data_root) if tests is None else tests
    device, preset, started = check_device(device), cell.preset(), now()
    generator, _ = load_generator(run, device)
    rows, seen, maps = [], [], {name: [] for name in records.MAPS}
    todo = tqdm(
        tests.photos(TABLE_SIZE, seen), total=len(tests), disable=not progress, desc="testing", unit="photo"
    )
    for name, photo, crack_mask in todo:
        image = to_tensor(resize(photo, None, preset.size, RULE)[0]).to(device)  # (1, 3, S, S)
        _, errors = compare(generator, image, preset, cell.seed)
        errors = enlarge(errors, (TABLE_SIZE, TABLE_SIZE))  # (1, 1, 256, 256)
        smoothed, cuts = smooth_and_cut(errors, preset)
        smoothed, cut = smoothed[0, 0].cpu().numpy(), float(cuts[0])  # (256, 256)
        maps["raw"].append(histograms(errors[0, 0], crack_mask)[0])
        maps["smoothed"].append(histograms(smoothed, crack_mask)[0])
        rows.append(_image(name, smoothed > cut, crack_mask, cut))
    arrays = {name: np.stack(hists).astype(np.uint32) for name, hists in maps.items()}
    crack, pixels = sum(row["tp"] + row["fn"] for row in rows), len(rows) * TABLE_SIZE**2
    values = {
        "format": records.FORMAT,
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
        "train": _train_facts(run),
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
        },
        "code_sha256": code_digest(),
        "images": rows,
        "arrays": {
            "file": f"{cell.slug()}.npz",
            "sha256": hashlib.sha256(records.pack(arrays)).hexdigest(),
        },
        "started": started,
        "finished": now(),
    }
    return records.make(values), arrays


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
    found, wanted = run.manifest.get("preset") or {}, cell.training_preset().to_dict()
    differ = [
        f"{name} {found.get(name)!r} (the cell has {value!r})"
        for name, value in wanted.items()
        if name not in DETECTION and found.get(name) != value
    ]
    for name, value in (("method", cell.method), ("seed", cell.seed)):
        if run.manifest.get(name) != value:
            differ.append(f"{name} {run.manifest.get(name)!r} (the cell has {value!r})")
    data = run.manifest.get("data", {})
    if data.get("name") not in (cell.train_set, f"{cell.train_set}_undamaged"):
        differ.append(f"training set {data.get('name')!r} (the cell has {cell.train_set!r})")
    if differ:
        raise UserError(f"{run.path} is not the run of {cell.slug()}: it has {'; '.join(differ)}")


def _train_facts(run: RunFolder) -> dict[str, Any]:
    """What the run's manifest says about its training. Raises `UserError` where it says too little."""
    manifest = run.manifest
    data = manifest.get("data", {})
    described = data["crops"] if isinstance(data.get("crops"), dict) else None
    cut = described["facts"] if described else data
    try:
        return {
            "crops": described["count"] if described else data["crops"],
            "crops_trained": manifest["crops_trained"],
            "crops_validated": manifest["crops_validated"],
            "crops_sha256": data["sha256"],
            "crops_json": described,
            "set_manifest_sha256": cut.get("manifest_sha256"),
            "max_steps": manifest["max_steps"],
            "steps": manifest["steps_done"],
            "epochs": manifest["epochs_done"],
            "best_epoch": manifest["best_epoch"],
            "precision": manifest["precision"],
            "seconds": manifest["train_seconds"],
            "peak_memory_mib": manifest["peak_memory_mib"],
            "peak_gpu_memory_mib": manifest.get("peak_gpu_memory_mib"),
            "style_weights": manifest["style_weights"],
            "start_sha256": manifest["start_sha256"],
            "checkpoint_sha256": _checkpoint(run.path),
        }
    except KeyError as error:
        raise UserError(f"{run.path}: its manifest does not say {error}: train anew") from error


def _checkpoint(folder: Path) -> str:
    return hashlib.sha256((folder / "checkpoint.safetensors").read_bytes()).hexdigest()


def _is_current(path: Path, command: str, tests: TestSet, crops: np.ndarray, folder: Path) -> bool:
    """True if the record at `path` is what would be made now. Where there is no run, its record counts."""
    record = records.load(path)
    if record.stale() or (record.command, record.code_sha256) != (command, code_digest()):
        return False
    if (record.test.digest, record.train.crops_sha256) != (tests.digest, data_hash(crops)):
        return False
    if not RunFolder.is_run(folder):
        return True
    return RunFolder.open(folder).finished and _checkpoint(folder) == record.train.checkpoint_sha256
