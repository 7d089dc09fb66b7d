"""A sweep: tables x rows x recipes x training sets x test sets x seeds, and which of them are to be made.

What it is told is plain text, as a command line gives it. PyTorch is not imported, so planning is quick; only preset
values for compared methods need it.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from upcrack_lite.baselines.registry import CRACKNET, learns_from_masks
from upcrack_lite.errors import UserError
from upcrack_lite.io import parse_settings
from upcrack_lite.reproduction import published
from upcrack_lite.reproduction.experiments import (
    CHOICES,
    Experiment,
    RunOptions,
    Selection,
    experiments,
    row_names,
    shared_photos,
)
from upcrack_lite.reproduction.photo_sets import photo_set, training_digest
from upcrack_lite.reproduction.record_files import DRAFT, outdated, run_status

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
    "vgg_weights": "",
    "settings": "",
    "max_steps": "",
    "allow_dirty": "",
}
"""What a sweep is told, with its defaults. The first seven (without scale) may be lists: `0,1,2`.

settings: preset values set otherwise, `a=1 b=2` or a list of such words; each reaches the rows that have it.
"""

_NO, _YES = ("0", "false", "no"), ("1", "true", "yes")


@dataclass(frozen=True)
class Plan:
    """A sweep and its four folders."""

    experiments: Mapping[str, Experiment]  # by their slug, in the order of the tables
    left_out: tuple[str, ...]  # what of the product is left out and why, one sentence each
    data_root: Path
    runs: Path
    results: Path
    state: Path
    options: RunOptions  # of all experiments; each takes those that it has a use for
    _seen: dict[tuple, Any] = field(default_factory=dict, repr=False, compare=False)

    def run(self, experiment: Experiment) -> str:
        """The name of the experiment's run."""
        return self.options.run_name(experiment)

    def is_trained(self, experiment: Experiment) -> bool:
        """True if the model of the experiment has been trained to its end."""
        return run_status(self.runs / self.run(experiment)) == "finished"

    def can_be_tested(self, experiment: Experiment) -> bool:
        """True if the test set is there as its manifest lists it; else training for it would be in vain."""
        return not isinstance(self._tested_on(experiment), UserError)

    def missing(self, experiment: Experiment) -> str:
        """What an experiment needs and is not there: its test set, or what it learns from; empty if nothing."""
        needed = [self._tested_on(experiment)]
        if not self.is_trained(experiment):
            needed.append(self._learned_from(experiment))
        return next((str(one) for one in needed if isinstance(one, UserError)), "")

    def why(self, experiment: Experiment) -> str:
        """Why an experiment is to be made, in a few words; empty where its record is there and holds.

        This is what `run_experiment` decides, but no photo is read: crops count by their description, test photos
        by their manifest. A draft counts where the options allow it.
        """
        options = self.options.usable(experiment)
        endings = ("", DRAFT) if options.allow_dirty else ("",)
        files = [self.results / f"{experiment.slug()}{ending}.json" for ending in endings]
        files = [path for path in files if path.is_file()]
        if not files:
            return "no record"
        tested_on, learned_from = self._tested_on(experiment), self._learned_from(experiment)
        for one in (tested_on, learned_from):
            if isinstance(one, UserError):
                return f"its record cannot be compared: {one}"
        now = (options, tested_on, learned_from, self.runs / self.run(experiment))
        said = [outdated(path, experiment, *now) for path in files]
        return "" if "" in said else said[0]

    def _tested_on(self, experiment: Experiment) -> str | UserError:
        name = experiment.test_set
        return self._once(("test", name), lambda: photo_set(name, self.data_root).digest)

    def _learned_from(self, experiment: Experiment) -> str | UserError | None:
        kind = (learns_from_masks(experiment.method), experiment.train_set)
        return self._once(kind, lambda: training_digest(experiment, self.data_root))

    def _once(self, name: tuple, look: Callable[[], Any]) -> Any:
        """A digest, looked up once for all experiments of the plan, or why there is none."""
        if name not in self._seen:
            try:
                self._seen[name] = look()
            except UserError as error:
                self._seen[name] = error
        return self._seen[name]


def plan(config: Mapping[str, Any]) -> Plan:
    """Make the plan of a sweep from its settings; what is missing or empty has the value in `DEFAULTS`.

    Raises UserError for an unknown setting, table, row, recipe, scale, set, device or precision, or a preset value
    that no row has (it lists the valid ones); a value that does not fit its row; a number that is none; a file that
    is missing; or a plan without any experiment.
    """
    if unknown := sorted(set(config) - set(DEFAULTS)):
        raise UserError(f"unknown setting {', '.join(unknown)}; choose from {', '.join(DEFAULTS)}")
    given = {name: "" if config.get(name) is None else str(config[name]).strip() for name in DEFAULTS}
    values = {name: value or DEFAULTS[name] for name, value in given.items()}
    vgg, steps, dirty = (values[name] for name in ("vgg_weights", "max_steps", "allow_dirty"))
    if vgg not in ("", "random") and not Path(vgg).is_file():
        raise UserError(f"vgg_weights: there is no file {vgg}; name one, or random")
    if dirty.lower() not in ("", *_NO, *_YES):
        raise UserError(f"allow_dirty must be 0 or 1, not {dirty!r}")
    limit = _whole("max_steps", steps, 1) if steps else None
    options = RunOptions(values["device"], values["precision"], vgg or None, limit, dirty.lower() in _YES)
    selections, left_out = _selections(values)
    if not selections:
        raise UserError(f"nothing is left to do: {'; '.join(left_out)}")
    chosen = {one.slug(): one for one in experiments(selections, _settings(config.get("settings")))}
    folders = (Path(values[name]) for name in ("data_root", "runs", "results", "state"))
    return Plan(chosen, tuple(dict.fromkeys(left_out)), *folders, options)


def _selections(values: Mapping[str, str]) -> tuple[list[Selection], list[str]]:
    """The rows to make, table by table, and a sentence about each part of the product that is left out."""
    seeds = tuple(_whole("seed", seed, 0) for seed in _list(values["seeds"]))
    tables = [Selection(table).table for table in _list(values["tables"])]
    rows = [row.lower() for row in _list(values["rows"])]
    known = dict.fromkeys(row for table in tables for row in row_names(table))
    if wrong := [row for row in rows if row not in known]:
        raise UserError(f"no table of this sweep has a row {wrong[0]!r}; choose {', '.join(known)}")
    sets = [_list(values[name]) or [""] for name in ("train_set", "test_set")]
    product = itertools.product(tables, *sets, _list(values["recipe"]))
    made, left_out = [], []
    for table, train, test, recipe in product:
        named = tuple(row for row in rows if row in row_names(table))
        one = Selection(table, recipe, values["scale"], train, test, named, seeds)
        if rows and not named:
            roman = published.TABLES[table].roman
            left_out.append(f"Table {roman} has none of the rows {', '.join(rows)}")
        elif why := shared_photos(*one.sets):
            left_out.append(why)
        elif recipe == "paper" or table in CHOICES:
            made.append(one)
        else:
            if others := [row for row in one.row_names if row != CRACKNET]:
                left_out.append(f"{', '.join(others)}: no recipe {recipe}, which is UP-CrackNet's alone")
            if CRACKNET in one.row_names:
                made.append(replace(one, rows=(CRACKNET,)))
    return made, left_out


def _settings(given: Any) -> dict[str, Any]:
    """Read `a=1 b=2`, or a list of such words, as `upcrack cell --set` reads them.

    A value with spaces is quoted together with its name: `'mask_cells=[32, 16]'`. Quotes go, as in a shell.
    """
    try:
        return parse_settings(shlex.split(given) if isinstance(given, str) else list(given or ()))
    except ValueError as error:  # a UserError is one
        raise UserError(f"settings: {error}") from None


def _list(text: str) -> list[str]:
    return list(dict.fromkeys(part for part in (one.strip() for one in text.split(",")) if part))


def _whole(name: str, text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise UserError(f"{name} must be a whole number, {least} or more, not {text!r}")
    return int(text)
