"""Make one record: train an experiment's model if it is not there, test it, write what came out. Chapter: the tables.

The tables' protocol: photo and mask are stretched to 256 × 256, one photo at a time. A network sees the photo at its
own size; a smaller map is enlarged to 256 × 256 before filter and threshold. With the value `native` photo and mask
keep their size. `upcrack detect`, with `--protocol tables --size 256`, and `upcrack score` give the same numbers.
Records are plain JSON and arrays, so a machine that only trains and tests needs no pydantic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from upcrack_lite.baselines import registry
from upcrack_lite.baselines.base import PhotoScores
from upcrack_lite.baselines.trainer import train_any
from upcrack_lite.data.datasets import TrainingData
from upcrack_lite.data.reading import resize
from upcrack_lite.errors import UserError
from upcrack_lite.io import check_writable
from upcrack_lite.metrics import Confusion, histograms, per_image
from upcrack_lite.predict.model import Model, load_model
from upcrack_lite.predict.scoring import RADIUS
from upcrack_lite.recipes import TABLE_SIZE
from upcrack_lite.reproduction import photo_sets, record_files
from upcrack_lite.reproduction.experiments import Experiment, RunOptions, Selection, experiments
from upcrack_lite.reproduction.photo_sets import RULE, PhotoSet
from upcrack_lite.reproduction.record_files import COUNTS, FORMAT, MAPS, MapCounts
from upcrack_lite.runs import BEFORE, RunFolder, check_device, code_digest, environment, now
from upcrack_lite.thin_shapes import cldice, tolerance_counts
from upcrack_lite.versions import testing_version

_NARROW = {"depth": 6, "width": 4, "disc_width": 4, "load_size": 72, "mask_cells": (32, 16, 8)}
TINY = {
    registry.CRACKNET: {**_NARROW, "epochs": 1},
    registry.DRAWN: {"scene": 64, "width": 4, "epochs": 1, "batch_size": 2},
    registry.PATCHCORE: {"memory": 20, "candidates": 200},
}
"""Networks far too small to learn anything."""

TINY_STEPS = 4
USUAL = RunOptions()


def tiny_values(method: str) -> dict[str, Any]:
    """Preset values that make a method's training a matter of seconds; training-free baselines need none."""
    if method in registry.FAMILIES:
        return {}
    return {"size": 64, **TINY.get(method, {"width": 0.125, "epochs": 1, "batch_size": 4})}


def silent(line: str) -> None:
    """Say nothing."""


def run_experiment(
    experiment: Experiment,
    data_root: Path | str,
    runs: Path | str,
    results: Path | str,
    options: RunOptions = USUAL,
    *,
    again: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = silent,
) -> Path:
    """Train a model if its run is not there (an interrupted one goes on), test it and write its record.

    A record that was made with the same versions of the numbers and options, from the same training data, run and
    test set is left as it is, without any work.

    data_root: the folder of all sets, with `TEST_SET/`, `TRAIN_SET/` and `TRAIN_SET_undamaged/`.
    runs: the folder of runs; experiments that share a trained model share its run.
    results: the folder of records.
    again: test again although the record is there.
    progress: show bars. say: is called with a line of text for each step.
    Returns the record's JSON file.
    Raises UserError: before any long work, for sets that are not there, a record that must not be committed, or a
    folder that cannot be written; later, for what the training and `evaluate` refuse.
    """
    options.check(experiment)
    device, tests = check_device(options.device), photo_sets.photo_set(experiment.test_set, data_root)
    folder = Path(runs) / options.run_name(experiment)
    data, why = _training_data(experiment, data_root, folder, options, tests.known)
    path = record_files.place(experiment.slug(), results, why, options.allow_dirty)
    check_writable(Path(runs))
    check_writable(path.parent)
    if path.is_file():
        record_files.leave_other_formats(path)
        learned_from = photo_sets.training_digest(experiment, data_root)
        inputs = (options, tests.digest, learned_from, folder)
        changed = "asked for" if again else record_files.outdated(path, experiment, *inputs)
        if not changed:
            say(f"{path}: is there already, from the same values and data")
            return path
        say(f"{path}: is made again: {changed}")
    run = _train(experiment, data, folder, options, progress, say)
    command = experiment.command(options)
    values, maps = evaluate(run, experiment, tests, device=device, progress=progress, command=command)
    record_files.write(values, maps, path)
    return path


def train_experiment(
    experiment: Experiment,
    data_root: Path | str,
    runs: Path | str,
    options: RunOptions = USUAL,
    *,
    progress: bool = True,
    say: Callable[[str], None] = silent,
) -> RunFolder:
    """Train the model of an experiment, or go on where its training stopped; nothing is tested or recorded.

    Arguments as in `run_experiment`. The test set is not looked at. Returns the finished run.

    Raises UserError: before any long work, for training data that is not there, a folder that cannot be written, or
    a model whose records must not be committed, unless `allow_dirty`; later, for what the training refuses.
    """
    options.check(experiment)
    folder = Path(runs) / options.run_name(experiment)
    data, why = _training_data(experiment, data_root, folder, options, "packaged")
    record_files.place(experiment.slug(), "", why, options.allow_dirty)
    check_writable(Path(runs))
    return _train(experiment, data, folder, options, progress, say)


def _training_data(
    experiment: Experiment, data_root: Path | str, folder: Path, options: RunOptions, known: str | None
) -> tuple[TrainingData, list[str]]:
    """What is learned from, and why a record made from it now must not be committed."""
    data = photo_sets.training_data(experiment, data_root)
    starts = RunFolder.open(folder).starts() if RunFolder.is_run(folder) else []
    by = {"trained": starts, "evaluated": [environment()]}
    source = photo_sets.source_manifest(data.facts)
    return data, record_files.unfit(by, known, options.max_steps, experiment.train_set, source)


def _train(
    experiment: Experiment,
    data: TrainingData,
    folder: Path,
    options: RunOptions,
    progress: bool,
    say: Callable[[str], None],
) -> RunFolder:
    preset = experiment.training_preset()
    say(f"{folder}: {len(data.images)} {data.what} at {preset.size} px")
    how = {name: getattr(options, name) for name in ("device", "precision", "max_steps", "vgg_weights")}
    return train_any(experiment.method, data, preset, folder, seed=experiment.seed, progress=progress, **how)


def run_table(
    selection: Selection,
    data_root: Path | str,
    runs: Path | str,
    results: Path | str,
    device: str = "auto",
    say: Callable[[str], None] = silent,
) -> list[Path]:
    """Make the records of a table, or their drafts; a record that is there and holds is used. Returns the JSON files.

    Raises UserError, before any work, for real photos without a `data_root`; and as `run_experiment`.
    """
    sets = sorted(set(selection.sets) - {"synthetic"})
    if sets and not str(data_root):
        fetch = " and ".join(f"`upcrack data fetch {name} --root data`" for name in sets)
        raise UserError(f"a live table needs photos: get them with {fetch}, and name the folder as data_root")
    made = []
    for one in experiments([selection]):
        say(one.slug())
        options = RunOptions(device=device, allow_dirty=True).usable(one)
        made.append(run_experiment(one, data_root, runs, results, options, progress=False, say=say))
    return made


class NetworkDetector:
    """A trained network: a map of the photo at the network's size, enlarged, filtered and thresholded."""

    chosen = None  # a network has no variants

    def __init__(self, model: Model, seed: int) -> None:
        self.model, self.seed = model, seed

    def find(self, photo: np.ndarray, crack_mask: np.ndarray) -> PhotoScores:
        """Find cracks in a photo, uint8 `(H, W, 3)`; the mask is not looked at."""
        protocol = "native" if getattr(self.model.preset, "native", False) else "tables"
        return self.model.find(photo, protocol, self.seed)

    def family(self) -> None:
        """A network stands alone."""


class FamilyDetector:
    """The variant that a run chose; all others of its family are counted beside it."""

    def __init__(self, run: RunFolder) -> None:
        from upcrack_lite.baselines.training_free import selected_variant

        self.variant, training = selected_variant(run)
        f1 = training[self.variant].f1
        self.chosen = {"name": self.variant.name, "variants": len(training), "training_f1": f1}
        self.chosen["training"] = _named(training)
        self.totals = dict.fromkeys(training, Confusion())

    def find(self, photo: np.ndarray, crack_mask: np.ndarray) -> PhotoScores:
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
    return [{"name": variant.name} | _counts(one) for variant, one in counts.items()]


def _counts(confusion: Confusion) -> dict[str, int]:
    return {name: getattr(confusion, name) for name in COUNTS}


def detector(run: RunFolder, experiment: Experiment, device: str) -> NetworkDetector | FamilyDetector:
    """Load a finished run onto "cpu" or "cuda", with the filter and threshold of an experiment.

    Raises UserError for a run whose files do not fit together.
    """
    if experiment.method in registry.FAMILIES:
        return FamilyDetector(run)
    known = registry.after_training(experiment.method)
    later = {name: value for name, value in experiment.overrides if name in known}
    return NetworkDetector(load_model(run, device, later), experiment.seed)


def evaluate(
    run: RunFolder,
    experiment: Experiment,
    tests: PhotoSet,
    *,
    device: str = "cpu",
    progress: bool = True,
    command: str | None = None,
) -> tuple[dict[str, Any], dict[str, MapCounts]]:
    """Test a finished run on an experiment's test set.

    tests: the experiment's test set. device: "auto", "cpu" or "cuda"; the dropout noise differs between them.
    command: how the record can be made again; None takes the one with the usual options.
    Returns the record's plain values, which `record_files.write` writes and `records` checks, and its maps.
    Raises UserError: a run that is not finished or not the experiment's (it says what differs), or a test photo
    that cannot be read or is not what the manifest says.
    """
    _check_run(run, experiment)
    device, preset, started = check_device(device), experiment.preset(), now()
    tested, manifest = detector(run, experiment, device), run.manifest
    rows, seen, hists = [], [], {name: [] for name in MAPS}
    size = 0 if getattr(preset, "native", False) else TABLE_SIZE
    bar = {"total": len(tests), "disable": not progress, "desc": "testing", "unit": "photo"}
    for name, photo, crack_mask in tqdm(tests.photos(size, seen), **bar):
        result = tested.find(photo, crack_mask)
        hists["raw"].append(histograms(result.score_map, crack_mask)[0])
        hists["smoothed"].append(histograms(result.smoothed, crack_mask)[0])
        rows.append(_photo(name, result, crack_mask))
    values = {
        "format": FORMAT,
        "key": experiment.key(),
        "preset": preset.to_dict(),
        "command": command or experiment.command(),
        "protocol": {
            "size": size,
            "resize_rule": RULE,
            "dropout_seed": experiment.seed,
            "threshold_rule": preset.threshold_rule,
            "tolerance_px": RADIUS,
        },
        "train": {**_train_facts(run), "chosen": tested.chosen},
        "test": _test_facts(tests, seen, rows),
        "environment": {
            "training": manifest.get("environment", {}) | {"processes": manifest.get("processes", 1)},
            "evaluation": environment() | {"used_device": device},
            "starts": manifest.get("environments"),
        },
        "versions": {"training": run.training_version, "testing": testing_version(experiment.method)},
        "code_sha256": code_digest(),
        "images": rows,
        "family": tested.family(),
        "started": started,
        "finished": now(),
    }
    return values, {name: MapCounts.of(np.stack(some)) for name, some in hists.items()}


def _photo(name: str, result: PhotoScores, crack_mask: np.ndarray) -> dict[str, Any]:
    """One photo's numbers, from two bool masks `(256, 256)`."""
    predicted = result.crack_mask
    lines = float(cldice(predicted, crack_mask)[0])
    return {"name": name, **_counts(per_image(predicted, crack_mask)[0])} | {
        "threshold": result.threshold,
        "tolerance": tolerance_counts(predicted, crack_mask, RADIUS)[0].tolist(),
        "cldice": None if np.isnan(lines) else lines,
    }


def _test_facts(tests: PhotoSet, seen: list[bytes], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Which photos were tested on."""
    crack, pixels = (sum(row[name] for row in rows for name in names) for names in (("tp", "fn"), COUNTS))
    return {
        "digest": tests.digest,
        "known": tests.known,
        "content_sha256": photo_sets.content_digest(seen),
        "images": len(rows),
        "crack_share": 100 * crack / pixels,
    }


def _check_run(run: RunFolder, experiment: Experiment) -> None:
    """Raise UserError if the run is not finished, or was not trained as the experiment says."""
    if not run.finished:
        raise UserError(f"{run.path} is not finished: let its training end first")
    wanted = experiment.training_preset()
    has = {**wanted.older(), **(run.manifest.get("preset") or {})}
    later, name = registry.after_training(experiment.method), run.manifest.get("data", {}).get("name")
    pairs = [(one, has.get(one), value) for one, value in wanted.to_dict().items() if one not in later]
    pairs += [("method", run.method, experiment.method), ("seed", run.manifest.get("seed"), experiment.seed)]
    if registry.learns_from_masks(experiment.method) or name != f"{experiment.train_set}_undamaged":
        pairs.append(("training set", name, experiment.train_set))
    differ = [f"{one} {a!r} (the experiment has {b!r})" for one, a, b in pairs if a != b]
    if differ:
        raise UserError(f"{run.path} is not the run of {experiment.slug()}: it has {'; '.join(differ)}")


def _train_facts(run: RunFolder) -> dict[str, Any]:
    """What the run's manifest says about its training. Raises UserError where it says too little."""
    manifest = {**BEFORE, **run.manifest}
    data = manifest.get("data", {})
    described = data["crops"] if isinstance(data.get("crops"), dict) else None
    same = ("crops_trained", "crops_validated", "max_steps", "best_epoch", "precision", "peak_memory_mib")
    same += ("peak_gpu_memory_mib", "style_weights", "encoder", "crack_masks_sha256", "start_sha256")
    kept = next((row for row in run.log() if row["epoch"] == manifest.get("best_epoch")), {})
    try:
        return {name: manifest[name] for name in same} | {
            "crops": described["count"] if described else data["crops"],
            "crops_sha256": data["sha256"],
            "crops_json": described,
            "set_manifest_sha256": photo_sets.source_manifest(data),
            "steps": manifest["steps_done"],
            "epochs": manifest["epochs_done"],
            "seconds": manifest["train_seconds"],
            "log": {name: value for name, value in kept.items() if math.isfinite(value)},
            "checkpoint_sha256": run.weights_sha256(),
        }
    except KeyError as error:
        raise UserError(f"{run.path}: its manifest does not say {error}: train anew") from error
