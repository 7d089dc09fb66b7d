"""Train and test one cell, and write its record: what `upcrack cell` does. Chapter: the tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upcrack_lite.baselines.registry import CRACKNET, FAMILIES
from upcrack_lite.errors import UserError
from upcrack_lite.io import check_writable
from upcrack_lite.recipes import check_precision
from upcrack_lite.reproduction import committable, failures, record_files
from upcrack_lite.reproduction.cell_data import TestSet, test_set
from upcrack_lite.reproduction.cells import Cell
from upcrack_lite.reproduction.evaluate import evaluate
from upcrack_lite.reproduction.plan import full_command, outdated, run_name
from upcrack_lite.reproduction.training_data import TrainingData, source_manifest, training_data
from upcrack_lite.runs import RunFolder, check_device, data_hash, environment
from upcrack_lite.training import train


@dataclass(frozen=True)
class Options:
    """How a cell is made, beside what it is.

    Attributes:
        device: "auto", "cpu" or "cuda". precision: Fabric's name.
        vgg_weights: of the style loss, a file or "random". max_steps: stop after so many
            batches.
        allow_dirty: let a record that must not be committed go to `results/dirty`.
        progress: show bars. say: is called with a line of text for each step.
    """

    device: str = "auto"
    precision: str = "32-true"
    vgg_weights: str | None = None
    max_steps: int | None = None
    allow_dirty: bool = False
    progress: bool = True
    say: Callable[[str], None] = lambda line: None

    def checked(self, cell: Cell) -> Options:
        """With the device by its name. Raises UserError for a wrong one, or an option that the method has not."""
        check_precision(self.precision)
        own = {
            "vgg_weights": self.vgg_weights is not None and cell.method != CRACKNET,
            "max_steps": self.max_steps is not None and cell.method in FAMILIES,
            "precision": self.precision != "32-true" and cell.method in FAMILIES,
        }
        if wrong := [name.replace("_", "-") for name, is_wrong in own.items() if is_wrong]:
            raise UserError(f"{cell.method} has no use for --{', --'.join(wrong)}: leave it out")
        return dataclasses.replace(self, device=check_device(self.device))


def run_cell(
    cell: Cell,
    data_root: Path | str,
    runs_root: Path | str,
    results: Path | str,
    *,
    again: bool = False,
    **options: Any,
) -> Path:
    """Train a cell if its run is not there (an interrupted one goes on), test it and write its record.

    A record of the same cell that was made by the same code from the same training data, run and test set is left
    as it is, without any work. A note that this cell failed earlier (`failures`) goes away.

    Args:
        data_root: the folder of all sets, with `TEST_SET/`, `TRAIN_SET/` and `TRAIN_SET_undamaged/`.
        runs_root: the folder of runs; cells that share a trained model share its run.
        results: the folder of records.
        again: test again although the record is there.
        options: see `Options`.

    Returns:
        The record's JSON file.

    Raises:
        UserError: before any long work, for sets that are not there, a record that must not be committed, or a
            folder that cannot be written; later, for what the training and `evaluate` refuse.
    """
    chosen, tests = Options(**options).checked(cell), test_set(cell.test_set, data_root)
    folder, trained_by = _run_of(cell, runs_root, chosen)
    why = committable.reasons(trained_by, environment(), tests.known, chosen.max_steps)
    data = training_data(cell, data_root)
    why += committable.unknown_training_set(cell.train_set, source_manifest(data.facts))
    path = committable.place(cell.slug(), results, why, chosen.allow_dirty)
    check_writable(Path(runs_root))
    check_writable(path.parent)
    command = full_command(cell, chosen.precision, chosen.max_steps, chosen.vgg_weights)
    if path.is_file():
        record_files.leave_other_formats(path)
    if path.is_file() and not again:
        if not (changed := _why_not(path, cell, chosen, tests, data, folder)):
            chosen.say(f"{path}: is there already, from the same values and data")
            failures.clear(cell, results)
            return path
        chosen.say(f"{path}: is made again, for {changed}")
    run = _train(cell, data, folder, chosen)
    values, maps = evaluate(
        run, cell, data_root, device=chosen.device, progress=chosen.progress, command=command, tests=tests
    )
    record_files.write(values, maps, path)
    failures.clear(cell, results)
    return path


def train_cell(cell: Cell, data_root: Path | str, runs_root: Path | str, **options: Any) -> RunFolder:
    """Train the model of a cell, or go on where its training stopped; nothing is tested and no record is written.

    Arguments as in `run_cell`. The test set is not looked at. Returns the finished run.

    Raises:
        UserError: before any long work, for training data that is not there, a folder that cannot be written, or a
            model whose records must not be committed, unless `allow_dirty`; later, for what the training refuses.
    """
    chosen = Options(**options).checked(cell)
    folder, trained_by = _run_of(cell, runs_root, chosen)
    why = committable.reasons(trained_by, environment(), "packaged", chosen.max_steps)
    data = training_data(cell, data_root)
    why += committable.unknown_training_set(cell.train_set, source_manifest(data.facts))
    committable.place(cell.slug(), "", why, chosen.allow_dirty)
    check_writable(Path(runs_root))
    return _train(cell, data, folder, chosen)


def _run_of(cell: Cell, runs_root: Path | str, options: Options) -> tuple[Path, list[dict[str, Any]]]:
    """The run's folder, and the environments it was trained in so far."""
    folder = Path(runs_root) / run_name(cell, options.max_steps)
    return folder, RunFolder.open(folder).starts() if RunFolder.is_run(folder) else []


def _train(cell: Cell, data: TrainingData, folder: Path, options: Options) -> RunFolder:
    preset = cell.training_preset()
    options.say(f"{folder}: {len(data.images)} {data.what} at {preset.size} px")
    both = {"data": data.facts, "seed": cell.seed, "progress": options.progress}
    if cell.method in FAMILIES:
        from upcrack_lite.baselines.training_free import select_variant

        return select_variant(data.images, data.crack_masks, preset, folder, **both)
    both |= {"groups": data.groups, "device": options.device, "precision": options.precision}
    both |= {"max_steps": options.max_steps}
    if cell.method == CRACKNET:
        return train(data.images, preset, folder, **both, vgg_weights=options.vgg_weights)
    from upcrack_lite.baselines.trainer import train_method

    return train_method(cell.method, data.images, preset, folder, **both, crack_masks=data.crack_masks)


def _why_not(
    path: Path, cell: Cell, options: Options, tests: TestSet, data: TrainingData, folder: Path
) -> str:
    """Why the record at `path` is not what would be made now; empty where it is."""
    facts = data.facts
    learned_from = facts.get("manifest_sha256")
    if data.crack_masks is None:
        learned_from = facts["crops"]["pixels_sha256"] if "crops" in facts else None
    why = outdated(path, cell, dataclasses.asdict(options), tests.digest, learned_from, folder)
    if why:
        return why
    train = record_files.read(path)[0]["train"]
    masks = None if data.crack_masks is None else data_hash(data.crack_masks)
    same = (train["crops_sha256"], train.get("crack_masks_sha256")) == (data_hash(data.images), masks)
    return "" if same else f"its record is of other {data.what}"
