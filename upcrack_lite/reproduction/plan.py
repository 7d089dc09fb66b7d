"""Which cells of a sweep are made already, and what the others need. PyTorch is not imported, so it is quick."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upcrack_lite.baselines.registry import CRACKNET, FAMILIES, learns_from_masks
from upcrack_lite.data.crop_folder import is_crop_folder, read_description
from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import committable, record_files
from upcrack_lite.reproduction.cells import Cell

if TYPE_CHECKING:
    from upcrack_lite.reproduction.cell_data import TestSet

NO_RECORD = "no record"


def run_name(cell: Cell, max_steps: int | None = None) -> str:
    """The name of the folder of a cell's run; a training that is cut short has one of its own."""
    return cell.run_slug() + (f"-{max_steps}steps" if max_steps is not None else "")


def full_command(
    cell: Cell,
    precision: str = "32-true",
    max_steps: int | None = None,
    vgg_weights: str | None = None,
) -> str:
    """The words that make the record of a cell again, with the options that differ from the usual."""
    command = cell.command()
    for name, value, usual in (
        ("precision", precision, "32-true"),
        ("max-steps", max_steps, None),
        ("vgg-weights", Path(vgg_weights).name if vgg_weights else None, None),
    ):
        command += f" --{name} {value}" if value != usual else ""
    return command


def usable(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of many rows for one method: those that it has no use for are as usual."""
    unused = {} if method == CRACKNET else {"vgg_weights": None}
    if method in FAMILIES:
        unused |= {"precision": "32-true", "max_steps": None}
    return {**options, **{name: value for name, value in unused.items() if name in options}}


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        cells: by their slug, in the order of the tables.
        left_out: what of the product is left out and why, one sentence each.
        data_root, runs, results, state: folders.
        options: of `make_cell.run_cell`: device, precision, vgg_weights, max_steps, allow_dirty.
    """

    cells: Mapping[str, Cell]
    left_out: tuple[str, ...]
    data_root: Path
    runs: Path
    results: Path
    state: Path
    options: Mapping[str, Any]
    _seen: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)

    def run(self, cell: Cell) -> str:
        """The name of the cell's run."""
        return run_name(cell, self.options_of(cell)["max_steps"])

    def command(self, cell: Cell) -> str:
        """The words that make the cell's record again."""
        options = self.options_of(cell)
        names = ("precision", "max_steps", "vgg_weights")
        return full_command(cell, **{name: options[name] for name in names})

    def options_of(self, cell: Cell) -> dict[str, Any]:
        """The options for one cell."""
        return usable(cell.method, self.options)

    def words(self, cell: Cell) -> list[str]:
        """The options as words of `upcrack cell`."""
        options = self.options_of(cell)
        words = ["--device", options["device"], "--precision", options["precision"]]
        for name in ("vgg_weights", "max_steps"):
            if options[name] is not None:
                words += [f"--{name.replace('_', '-')}", str(options[name])]
        return words + ["--allow-dirty"] * options["allow_dirty"]

    def is_trained(self, cell: Cell) -> bool:
        """True if the model of the cell has been trained to its end."""
        return _manifest(self.runs / self.run(cell)).get("status") == "finished"

    def can_be_tested(self, cell: Cell) -> bool:
        """True if the test set is there as its manifest lists it; else training for it would be in vain."""
        return self._test_digest(cell.test_set) is not None

    def is_done(self, cell: Cell) -> bool:
        """True if the record is there and holds; see `outdated`."""
        return not self.why(cell)

    def why(self, cell: Cell) -> str:
        """Why a cell is to be made, in a few words; empty where its record is there and holds.

        This is what `make_cell.run_cell` decides, but no photo is read: crops count by their description, test
        photos by their manifest. A record in `results/dirty` counts where the options allow it.
        """
        places = [self.results, *[self.results / committable.DIRTY] * self.options["allow_dirty"]]
        found = [self._why(cell, place / f"{cell.slug()}.json") for place in places]
        return "" if "" in found else min(found, key=lambda one: one == NO_RECORD)

    def _why(self, cell: Cell, path: Path) -> str:
        if not path.is_file():
            return NO_RECORD
        options = self.options_of(cell)
        folder = self.runs / self.run(cell)
        try:
            learned_from = self._training(cell)
        except UserError as error:
            return f"its record cannot be compared: {error}"
        return outdated(path, cell, options, self._test_digest(cell.test_set), learned_from, folder)

    def missing(self, cell: Cell) -> str:
        """What a cell needs and is not there: its test set, or the crops to train on; empty if nothing."""
        from upcrack_lite.reproduction.training_data import missing_data

        found = self._photos(cell.test_set, "test")
        if isinstance(found, UserError):
            return str(found)
        return "" if self.is_trained(cell) else missing_data(cell, self.data_root)

    def _test_digest(self, name: str) -> str | None:
        found = self._photos(name, "test")
        return None if isinstance(found, UserError) else found.digest

    def _training(self, cell: Cell) -> Any:
        """What tells a training set from another: the digest of photos with masks, or of the crops' pixels."""
        if learns_from_masks(cell.method):
            found = self._photos(cell.train_set, "train")
            if isinstance(found, UserError):
                raise found
            return found.digest
        return None if cell.train_set == "synthetic" else _crops(self.data_root, cell.train_set)

    def _photos(self, name: str, split: str) -> TestSet | UserError:
        """A set's split, looked up once for all cells of the plan, or why it cannot be used."""
        from upcrack_lite.reproduction.cell_data import photo_set

        if (name, split) not in self._seen:
            try:
                self._seen[name, split] = photo_set(name, self.data_root, split)
            except UserError as error:
                self._seen[name, split] = error
        return self._seen[name, split]


def outdated(
    path: Path,
    cell: Cell,
    options: Mapping[str, Any],
    test_digest: str | None,
    learned_from: str | None,
    folder: Path,
) -> str:
    """Why the record of a cell is not what would be made now, in a few words; empty where it holds.

    Versions of the numbers, preset values, options and digests are compared, never bytes of code or words of a
    command. A record counts without its run, as in a fresh clone.

    options: as of `Plan`. test_digest, learned_from: of the test set, and as `learned_from` gives it of the training
    data. folder: the run's.
    """
    try:
        values, _ = record_files.read(path)
        train, has = values["train"], learned_from_in(values)
        changed = cell.changed_since(values["preset"], values["versions"])
        same_options = _options_fit(values, options)
        tested_on, checkpoint = values["test"]["digest"], train["checkpoint_sha256"]
    except UserError as error:
        return f"its record cannot be compared: {error}"
    except (KeyError, TypeError, AttributeError) as error:
        return f"its record cannot be compared: it does not say {error}"
    if changed:
        return f"its record is of an earlier kit: {changed}"
    if not same_options:
        return "its record was made with other options"
    if tested_on != test_digest:
        return "its record is of another test set"
    if has != learned_from:
        return f"its record is of other {'training photos' if learns_from_masks(cell.method) else 'crops'}"
    if not _manifest(folder):
        return ""
    weights = folder / "checkpoint.safetensors"
    trained = _manifest(folder).get("status") == "finished" and weights.is_file()
    same = trained and hashlib.sha256(weights.read_bytes()).hexdigest() == checkpoint
    return "" if same else "its record is of another training"


def learned_from_in(values: Mapping[str, Any]) -> str | None:
    """What a record learned from, as a digest: of its set's manifest, or of the pixels of its crops."""
    train = values["train"]
    if train.get("crack_masks_sha256"):
        return train["set_manifest_sha256"]
    return None if train["crops_json"] is None else train["crops_json"].get("pixels_sha256")


def _options_fit(values: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """True if a record was made with these options; a file of weights that is not named may be any."""
    train = values["train"]
    has = (train["precision"], train["max_steps"])
    same = has == (options["precision"], options["max_steps"])
    return same and _is_from(train["style_weights"], options["vgg_weights"])


def _is_from(source: str | None, given: str | None) -> bool:
    """True if weights with this source are those of an option; None: no weights were used, or none are named."""
    if source is None or given is None:
        return source != "random"
    return source == (given if given == "random" else f"file {Path(given).name}")


def _crops(data_root: Path, train_set: str) -> str:
    folder = data_root / f"{train_set}_undamaged"
    if not is_crop_folder(folder):
        raise UserError(f"{folder}: the crops are not there")
    return read_description(folder)["pixels_sha256"]


def _manifest(folder: Path) -> dict[str, Any]:
    """A run's manifest; empty where it is missing or no JSON."""
    try:
        values = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
