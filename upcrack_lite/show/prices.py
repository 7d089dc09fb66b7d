"""What the paper's tables cost at full scale: hours and money for every row. Page: all rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from upcrack_lite.baselines.registry import COMPARED, CRACKNET, AnyPreset, preset_of
from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import published, record_files
from upcrack_lite.reproduction.conditions import SETS
from upcrack_lite.reproduction.experiments import CHOICES, PAIRS
from upcrack_lite.reproduction.verdicts import SEEDS
from upcrack_lite.show.markup import table
from upcrack_lite.show.table_words import TITLES

PLAIN = "upcracknet without style"  # as six of the nine rows of Table I
ROWS = (*COMPARED, CRACKNET, PLAIN)
PHOTOS = {"deepcrack": 300, "crack500": 1896}
"""Crops or photos to train on, as the paper says."""


def full(name: str, **changes: int) -> AnyPreset:
    """The values of a row at full scale."""
    if name == PLAIN:
        return preset_of(CRACKNET, "paper", "full", lambda_style=0.0, **changes)
    return preset_of(name, "paper", "full", **changes)


def images(name: str, train_set: str) -> float:
    """How many images one training of a row sees, if it does not stop early."""
    values = full(name)
    return PHOTOS[train_set] * (1 - values.validation_share) * values.epochs


def price_list(cards: Mapping[str, tuple[float, float]], share: float, results: Path | str = "") -> Any:
    """The time of each row and of whole tables: what `benchmarks/price.py` measured, times the images of a training.

    cards: name of a graphics card to its peak in bfloat16, TFLOP/s, and what an hour of it costs. share: of the peak
    that a training reaches. results: folder of the measurement; empty: the kit's.
    """
    file = record_files.folder("results", results) / "price.json"
    # A machine on which only some rows were timed has no line of whole tables.
    measured = [
        one for one in json.loads(file.read_text(encoding="utf-8")) if {*ROWS} <= one["seconds"].keys()
    ]
    if not measured:
        raise UserError(f"{file}: no machine has timed every row: run benchmarks/price.py without --row")
    operations = measured[-1]["operations"]
    machines = {one["machine"]: (one["seconds"], 0.0) for one in measured}
    for name, (peak, price) in cards.items():
        each = {row: count / (share * peak * 1e12) for row, count in operations.items()}
        machines[f"{name}, reckoned"] = (each, price)
    lines = []
    for name in ROWS:
        title = TITLES[CRACKNET] + " without the style loss" if name == PLAIN else TITLES[name]
        line = {"": title, "operations": f"{operations[name] / 1e9:,.0f}"}
        lines.append(line | _cells(machines, [name], PHOTOS, 1))
    methods = f"Tables IV, VII, VIII; III, V, VI: {len(ROWS) - 1} rows, {SEEDS} seeds"
    lines.append({"": methods, "operations": ""} | _cells(machines, ROWS[:-1], PHOTOS, SEEDS))
    for number, choices in CHOICES.items():
        title = f"Table {published.TABLES[number].roman}: {len(choices)} rows, {SEEDS} seeds"
        rows = [PLAIN if values.get("lambda_style") == 0 else CRACKNET for values in choices.values()]
        lines.append({"": title, "operations": ""} | _cells(machines, rows, PAIRS[number][:1], SEEDS))
    labels, spanners = {"operations": "GFLOP an image"}, {}
    for place, name in enumerate(machines):
        spanners[name] = [f"{one}_{place}" for one in PHOTOS]
        labels |= dict(zip(spanners[name], (SETS[one] for one in PHOTOS), strict=True))
    costs = ", ".join(f"{price:g} an hour ({name})" for name, (_, price) in cards.items())
    money = f", and in brackets their cost at {costs}" if costs else ""
    note = (
        f"Time of one training with one seed; of whole tables in the last lines{money}. A training that stops "
        "early costs less; validation and tests are not counted. A processor's times come from timed steps."
    )
    if cards:
        peaks = ", ".join(f"{peak:g} TFLOP/s ({name})" for name, (peak, _) in cards.items())
        note += (
            f" A card's are reckoned, not measured: counted operations at {100 * share:g} % of {peaks}. Small "
            "networks such as ENet, DDRNet and BiSeNetv2 reach less of the peak, so their true times are longer."
        )
    return table("What full scale would cost", lines, labels, note, "price-list", spanners=spanners)


def _time(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:.2g} min"
    return f"{hours:.3g} h" if hours < 100 else f"{hours:,.0f} h"


def _cells(
    machines: Mapping[str, tuple[Mapping[str, float], float]],
    rows: Sequence[str],
    sets: Collection[str],
    seeds: int,
) -> dict[str, str]:
    """Of a line: hours of each machine on each training set of `sets`, and their cost where there are many seeds."""
    cells = {}
    for place, (seconds, price) in enumerate(machines.values()):
        for one in PHOTOS:
            hours = seeds * sum(seconds[name] * images(name, one) for name in rows) / 3600
            money = f" ({hours * price:,.0f})" if price and seeds > 1 else ""
            cells[f"{one}_{place}"] = _time(hours) + money if one in sets else ""
    return cells
