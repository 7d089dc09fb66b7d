"""A sweep: tables x recipes x training sets x test sets x seeds, each row of a table in turn.

What it is told is plain text, as a command line gives it. PyTorch is not imported, so planning is quick; only preset
values for compared methods need it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from upcrack_lite.baselines.registry import CRACKNET
from upcrack_lite.errors import UserError
from upcrack_lite.recipes import PRECISIONS, RECIPES
from upcrack_lite.reproduction import cells, published, row_settings
from upcrack_lite.reproduction.cells import Cell
from upcrack_lite.reproduction.plan import Plan

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
    "vgg_weights": "",
    "settings": "",
    "max_steps": "",
    "allow_dirty": "",
}
"""What a sweep is told, with its defaults. The first seven (without scale) may be lists: `0,1,2`.

settings: preset values set otherwise, `a=1 b=2` or a list of such words; each reaches the rows that have it.
"""


def plan(config: Mapping[str, Any]) -> Plan:
    """Make the plan of a sweep from its settings; what is missing or empty has the value in `DEFAULTS`.

    Raises UserError for an unknown setting, table, row, recipe, scale, set, device or precision, or a preset value
    that no row has (it lists the valid ones); a value that does not fit its row; a number that is none; a file that
    is missing; or a plan without any cell.
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
    settings = row_settings.parse(config.get("settings"))
    chosen, left_out = _product({name: _list(values[name]) for name in _LISTS}, values["scale"], settings)
    if not chosen:
        raise UserError(f"nothing is left to do: {'; '.join(left_out)}")
    return Plan(
        chosen,
        tuple(left_out),
        *(Path(values[name]) for name in ("data_root", "runs", "results", "state")),
        options={
            "device": values["device"],
            "precision": values["precision"],
            "vgg_weights": vgg or None,
            "max_steps": _whole("max_steps", values["max_steps"], 1) if values["max_steps"] else None,
            "allow_dirty": _flag("allow_dirty", values["allow_dirty"]),
        },
    )


_LISTS = ("tables", "rows", "recipe", "train_set", "test_set", "seeds")


def _product(
    lists: Mapping[str, Sequence[str]], scale: str, settings: Mapping[str, Any]
) -> tuple[dict[str, Cell], list[str]]:
    seeds = [_whole("seed", seed, 0) for seed in lists["seeds"]]
    rows = _rows(lists["tables"], lists["rows"])
    for name in (*lists["train_set"], ""):  # wrong names are refused before the first pair
        Cell(train_set=name or "synthetic", test_set="synthetic")
    for name in (*lists["test_set"], ""):
        Cell(train_set="synthetic", test_set=name or "synthetic")
    made = [cells.row_overrides(table, row) for table in rows for row in _named(table, rows[table])]
    if settings:
        row_settings.check_used(made, settings)
        row_settings.check_width([method for method, _ in made], settings)
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
                    having, without = _having(recipe, table, of_table)
                    left_out += without
                    for row in having:
                        for cell in _cells(table, row, recipe, scale, seeds, train, test, settings):
                            chosen.setdefault(cell.slug(), cell)
    return chosen, list(dict.fromkeys(left_out))


def _cells(
    table: int, row: str, recipe: str, scale: str, seeds: Sequence[int], train: str, test: str, settings: Any
) -> list[Cell]:
    """The cells of one row, with those of the settings that it has a use for."""
    values = row_settings.of_row(cells.row_overrides(table, row)[0], settings) if settings else None
    try:
        return cells.cells(table, recipe, scale, seeds, train, test, [row], values)
    except UserError as error:
        if not values:
            raise
        raise UserError(f"settings, for {row}: {error}") from None


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


def _named(table: int, rows: Sequence[str] | None) -> list[str]:
    return list(cells.row_names(table) if rows is None else rows)


def _having(recipe: str, table: int, rows: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The rows that have a recipe, and a sentence about the others, if any."""
    named = _named(table, rows)
    if recipe not in RECIPES or recipe == "paper" or table in cells.BY_CHOICE:
        return named, []
    others = [row for row in named if row != CRACKNET]
    left = [f"{', '.join(others)}: no recipe {recipe}, which is UP-CrackNet's alone"] if others else []
    return [row for row in named if row == CRACKNET], left


def _shared(train: str, test: str) -> str | None:
    """Why a model trained on one set must not be tested on another; both names are known to be right."""
    try:
        Cell(train_set=train, test_set=test)
    except UserError as error:
        return str(error)
    return None


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
