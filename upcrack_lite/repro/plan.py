"""Which cells a sweep makes, and which of them are made already. PyTorch is not imported, so planning is quick.

A sweep is a product: tables x recipes x training sets x test sets x seeds, each row of a table in turn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upcrack_lite.errors import UserError
from upcrack_lite.presets import PRECISIONS
from upcrack_lite.repro import cells, published, records
from upcrack_lite.repro.cells import Cell
from upcrack_lite.repro.code_digest import code_digest
from upcrack_lite.roads.crop_folder import is_crop_folder, read_description

DEVICES = ("auto", "cpu", "cuda")

DEFAULTS: Mapping[str, Any] = {
    "tables": "1,2,3,4,5,6,7,8",
    "rows": "",
    "recipe": "paper",
    "scale": "lite",
    "train_set": "",
    "test_set": "",
    "seeds": "0",
    "data_root": "data",
    "runs": "runs",
    "results": "results",
    "state": "build/sweep",
    "device": "auto",
    "precision": "32-true",
    "devices": "1",
    "vgg_weights": "",
    "max_steps": "",
    "allow_dirty": "",
}
"""What a sweep is told, with its defaults. The first seven (without scale) may be lists: `0,1,2`."""


NO_RECORD = "no record"


def run_name(cell: Cell, max_steps: int | None = None) -> str:
    """The name of the folder of a cell's run; a training that is cut short has one of its own."""
    return cell.run_slug() + (f"-{max_steps}steps" if max_steps is not None else "")


def full_command(
    cell: Cell,
    precision: str = "32-true",
    max_steps: int | None = None,
    vgg_weights: str | None = None,
    devices: int = 1,
) -> str:
    """The words that make the record of a cell again, with the options that differ from the usual."""
    command = cell.command()
    for name, value, usual in (
        ("precision", precision, "32-true"),
        ("max-steps", max_steps, None),
        ("vgg-weights", Path(vgg_weights).name if vgg_weights else None, None),
        ("devices", devices, 1),
    ):
        command += f" --{name} {value}" if value != usual else ""
    return command


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        cells: by their slug, in the order of the tables.
        left_out: what of the product is left out and why, one sentence each.
        data_root, runs, results, state: folders.
        options: of `evaluate.run_cell`: device, precision, devices, vgg_weights, max_steps, allow_dirty.
    """

    cells: Mapping[str, Cell]
    left_out: tuple[str, ...]
    data_root: Path
    runs: Path
    results: Path
    state: Path
    options: Mapping[str, Any]

    def run(self, cell: Cell) -> str:
        """The name of the cell's run."""
        return run_name(cell, self.options["max_steps"])

    def command(self, cell: Cell) -> str:
        """The words that make the cell's record again. A finished run keeps its number of devices."""
        options = {name: self.options[name] for name in ("precision", "max_steps", "vgg_weights", "devices")}
        if self.is_trained(cell):
            options["devices"] = _manifest(self.runs / self.run(cell)).get("processes", 1)
        return full_command(cell, **options)

    def words(self) -> list[str]:
        """The options as words of `upcrack cell`."""
        words = ["--device", self.options["device"], "--precision", self.options["precision"]]
        for name, usual in (("vgg_weights", None), ("max_steps", None), ("devices", 1)):
            if self.options[name] != usual:
                words += [f"--{name.replace('_', '-')}", str(self.options[name])]
        return words + ["--allow-dirty"] * self.options["allow_dirty"]

    def is_trained(self, cell: Cell) -> bool:
        """True if the model of the cell has been trained to its end."""
        return _manifest(self.runs / self.run(cell)).get("status") == "finished"

    def can_be_tested(self, cell: Cell) -> bool:
        """True if the test set is there as its manifest lists it; else training for it would be in vain."""
        return self._test_digest(cell.test_set) is not None

    def is_done(self, cell: Cell) -> bool:
        """True if the record is there and holds: same command, code, crops and test set, and the run, if any."""
        return not self.why(cell)

    def why(self, cell: Cell) -> str:
        """Why a cell is to be made, in a few words; empty where its record is there and holds.

        This is what `evaluate.run_cell` decides, but no photo is read: crops count by their description, test
        photos by their manifest. A record in `results/dirty` counts where the options allow it.
        """
        places = [self.results, *[self.results / records.DIRTY] * self.options["allow_dirty"]]
        found = [self._why(cell, place / f"{cell.slug()}.json") for place in places]
        return "" if "" in found else min(found, key=lambda one: one == NO_RECORD)

    def _why(self, cell: Cell, path: Path) -> str:
        if not path.is_file():
            return NO_RECORD
        try:
            record = records.load(path)
            crops = None if cell.train_set == "synthetic" else _crops(self.data_root, cell.train_set)
        except UserError as error:
            return f"its record cannot be compared: {error}"
        for fits, otherwise in (
            (not record.stale(), "its record has other preset values"),
            (record.command == self.command(cell), "its record was made with other options"),
            (record.code_sha256 == code_digest(), "its record was made by earlier code"),
            (record.test.digest == self._test_digest(cell.test_set), "its record is of another test set"),
            (record.train.crops_json == crops, "its record is of other crops"),
        ):
            if not fits:
                return otherwise
        folder = self.runs / self.run(cell)
        if not _manifest(folder):
            return ""  # a record counts without its run, as in a fresh clone
        weights = folder / "checkpoint.safetensors"
        trained = self.is_trained(cell) and weights.is_file()
        same = trained and hashlib.sha256(weights.read_bytes()).hexdigest() == record.train.checkpoint_sha256
        return "" if same else "its record is of another training"

    def missing(self, cell: Cell) -> str:
        """What a cell needs and is not there: its test set, or the crops to train on; empty if nothing."""
        from upcrack_lite.repro.cell_data import missing_crops, test_set

        try:
            test_set(cell.test_set, self.data_root)
        except UserError as error:
            return str(error)
        return "" if self.is_trained(cell) else missing_crops(cell.train_set, self.data_root)

    def _test_digest(self, name: str) -> str | None:
        from upcrack_lite.repro.cell_data import test_set

        try:
            return test_set(name, self.data_root).digest
        except UserError:
            return None


def plan(config: Mapping[str, Any]) -> Plan:
    """Make the plan of a sweep from its settings; what is missing or empty has the value in `DEFAULTS`.

    Raises UserError for an unknown setting, table, row, recipe, scale, set, device or precision (it lists the
    valid ones), a number that is none, or a plan without any cell.
    """
    if unknown := sorted(set(config) - set(DEFAULTS)):
        raise UserError(f"unknown setting {', '.join(unknown)}; choose from {', '.join(DEFAULTS)}")
    given = {name: "" if config.get(name) is None else str(config[name]).strip() for name in DEFAULTS}
    values = {name: value or DEFAULTS[name] for name, value in given.items()}
    for name, known in (("device", DEVICES), ("precision", PRECISIONS)):
        if values[name] not in known:
            raise UserError(f"unknown {name} {values[name]!r}; choose one of {', '.join(known)}")
    vgg = values["vgg_weights"]
    if vgg not in ("", "random") and not Path(vgg).is_file():
        raise UserError(f"vgg_weights: there is no file {vgg}; name one, or random")
    chosen, left_out = _product({name: _list(values[name]) for name in _LISTS}, values["scale"])
    if not chosen:
        raise UserError(f"nothing is left to do: {'; '.join(left_out)}")
    return Plan(
        chosen,
        tuple(left_out),
        *(Path(values[name]) for name in ("data_root", "runs", "results", "state")),
        options={
            "device": values["device"],
            "precision": values["precision"],
            "devices": _whole("devices", values["devices"], 1),
            "vgg_weights": vgg or None,
            "max_steps": _whole("max_steps", values["max_steps"], 1) if values["max_steps"] else None,
            "allow_dirty": _flag("allow_dirty", values["allow_dirty"]),
        },
    )


_LISTS = ("tables", "rows", "recipe", "train_set", "test_set", "seeds")


def _product(lists: Mapping[str, Sequence[str]], scale: str) -> tuple[dict[str, Cell], list[str]]:
    seeds = [_whole("seed", seed, 0) for seed in lists["seeds"]]
    rows = _rows(lists["tables"], lists["rows"])
    for name in (*lists["train_set"], ""):  # wrong names are refused before the first pair
        Cell(train_set=name or "synthetic", test_set="synthetic")
    for name in (*lists["test_set"], ""):
        Cell(train_set="synthetic", test_set=name or "synthetic")
    chosen: dict[str, Cell] = {}
    left_out: list[str] = []
    for table, of_table in rows.items():
        if of_table == []:
            left_out.append(
                f"Table {published.TABLES[table].roman} has none of the rows {', '.join(lists['rows'])}"
            )
            continue
        printed = cells.PAIRS[table]
        for train in lists["train_set"] or printed[:1]:
            for test in lists["test_set"] or printed[1:]:
                if why := _shared(train, test):
                    left_out.append(why)
                    continue
                for recipe in lists["recipe"]:
                    for cell in cells.cells(table, recipe, scale, seeds, train, test, of_table):
                        chosen.setdefault(cell.slug(), cell)
    return chosen, list(dict.fromkeys(left_out))


def _rows(tables: Sequence[str], rows: Sequence[str]) -> dict[int, list[str] | None]:
    """For each table the rows to make; None: all. A row must be one of at least one table."""
    numbers = [published.rows(table)[0].table for table in tables]
    if not rows:
        return dict.fromkeys(numbers)
    found: dict[int, list[str] | None] = {number: [] for number in numbers}
    for row in rows:
        refused = []
        for number in found:
            try:
                cells.row_overrides(number, row)
                found[number].append(row)
            except UserError as error:
                refused.append(str(error))
        if len(refused) == len(found):
            raise UserError("; ".join(refused))
    return found


def _shared(train: str, test: str) -> str | None:
    """Why a model trained on one set must not be tested on another; both names are known to be right."""
    try:
        Cell(train_set=train, test_set=test)
    except UserError as error:
        return str(error)
    return None


def _crops(data_root: Path, train_set: str) -> dict[str, Any] | None:
    folder = data_root / f"{train_set}_undamaged"
    if not is_crop_folder(folder):
        raise UserError(f"{folder}: is no folder of crops")
    return read_description(folder)


def _manifest(folder: Path) -> dict[str, Any]:
    """A run's manifest; empty where it is missing or no JSON."""
    try:
        values = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _list(text: str) -> list[str]:
    return list(dict.fromkeys(part for part in (one.strip() for one in text.split(",")) if part))


def _whole(name: str, text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise UserError(f"{name} must be a whole number, {least} or more, not {text!r}")
    return int(text)


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("", "0", "1", "false", "true", "no", "yes"):
        raise UserError(f"{name} must be 0 or 1, not {text!r}")
    return text.lower() in ("1", "true", "yes")
