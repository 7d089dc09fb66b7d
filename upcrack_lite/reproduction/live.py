"""Rows of a table made while one waits, from photos on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from upcrack_lite.baselines.registry import CRACKNET, FAMILIES
from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import cells, published, records
from upcrack_lite.reproduction.records import Record
from upcrack_lite.reproduction.tables import check_names

TINY = {
    "size": 64,
    "depth": 6,
    "width": 4,
    "disc_width": 4,
    "load_size": 72,
    "epochs": 1,
    "mask_cells": (32, 16, 8),
}
"""A network far too small to learn anything."""

TINY_COMPARED = {"size": 64, "width": 0.125, "epochs": 1, "batch_size": 4}
"""The same for a compared method."""


def tiny_values(method: str) -> dict[str, Any]:
    """Preset values that make a method's training a matter of seconds; detectors without training need none."""
    if method in FAMILIES:
        return {}
    return dict(TINY if method == CRACKNET else TINY_COMPARED)


STEPS = 4
"""Batches that a tiny network is trained with."""


def run_table(
    number: int | str,
    recipe: str = "paper",
    scale: str = "",
    train_set: str = "",
    test_set: str = "",
    methods: Sequence[str] = (),
    seeds: Sequence[int] = (),
    data_root: Path | str = "",
    device: str = "auto",
    results: Path | str = "results",
    runs: Path | str = "runs",
    say: Callable[[str], None] = lambda line: None,
) -> list[Record]:
    """Train and test the cells of a table, and return their records. Empty values: lite, the printed sets, seed 0.

    A record that is there and still holds is used. One that must not be committed goes to `results/dirty`.

    Raises:
        UserError: before any work, an unknown name (it lists the valid ones) or no `data_root`; a set that is not
            there (it names the command that fetches it); or what training and test refuse.
    """
    check_names(recipe, scale, train_set, test_set)
    rows = tuple(methods) or None
    wanted = cells.cells(
        number, recipe, scale or "lite", tuple(seeds) or (0,), train_set or None, test_set or None, rows
    )
    sets = {wanted[0].train_set, wanted[0].test_set} - {"synthetic"}
    if sets and not str(data_root):
        fetch = " and ".join(f"`upcrack data fetch {name} --root data`" for name in sorted(sets))
        roman = published.rows(number)[0].name.split()[0]
        raise UserError(
            f"Table {roman} made live needs photos: get them with {fetch}, cut the undamaged crops with "
            f"`upcrack data build {wanted[0].train_set} --root data`, and name the folder as data_root"
        )
    from upcrack_lite.reproduction.make_cell import (
        run_cell,
    )  # brings torch, which pages from records do without

    made = []
    for cell in wanted:
        say(cell.slug())
        made.append(
            run_cell(cell, data_root, runs, results, device=device, allow_dirty=True, progress=False, say=say)
        )
    return [records.load(path) for path in made]
