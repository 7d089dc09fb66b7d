"""Compare what the table pages show with the records: what `upcrack verify` does. Chapter: the tables.

`results/shown.json` lists each number and verdict of the pages, and what each record said when they were written.
All of it is computed anew from the printed tables and the records, and any difference is a finding.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from upcrack_lite.errors import UserError
from upcrack_lite.io import load_json, write_text
from upcrack_lite.metrics import METRICS
from upcrack_lite.reproduction import ablation, published, records
from upcrack_lite.reproduction.experiments import Selection
from upcrack_lite.reproduction.tables import TableRow, table
from upcrack_lite.reproduction.verdicts import Verdict

FORMAT = 2
FILE = "shown.json"
ABLATION = "ladder"  # stands in the file where a number of a table has the table's
CORRECTED = "put right"  # the corrected columns, as the file calls them
CLOSE = 1e-6  # points; the same counts give the same numbers on every machine, except for the last digits
_UPDATE = "If that is meant, run `upcrack verify --update` and look at the change before you commit it"


def shown(folder: Path | str) -> dict[str, Any]:
    """Compute all that the table pages show from the records in a folder, as plain values.

    Raises UserError for no such folder, or a record that does not hold together.
    """
    _check_there(Path(folder))
    given = records.load_all(folder)
    rows = [row for number in published.TABLES for row in table(Selection(number), given)]
    numbers = [one for row in rows for one in _numbers(row)]
    numbers += [{"table": ABLATION, **one} for one in ablation.numbers(given)]
    for one in numbers:
        one["values"] = {metric: _plain(value) for metric, value in one["values"].items()}
    made = {
        one.slug: {"sha256": one.content_sha256, "scores": dict(_flat(records.scores(one)))} for one in given
    }
    verdicts = {
        f"Table {row.printed.name}": {
            "verdict": str(row.verdict),
            "reason": row.reason,
            "reading": row.reading,
            "command": row.command,
        }
        for row in rows
    }
    return {"format": FORMAT, "records": made, "verdicts": verdicts, "numbers": numbers}


def update(folder: Path | str) -> Path:
    """Write `shown.json` anew; returns its path. Raises UserError for a record that does not hold together."""
    values = shown(folder)

    def named(part: str) -> str:
        lines = (f"  {_json(name)}: {_json(value)}" for name, value in values[part].items())
        return "{\n" + ",\n".join(lines) + "\n }"

    # One line for each record, verdict and row of numbers: then a change can be read line by line.
    numbers = ",\n".join(f"  {_json(one)}" for one in values["numbers"])
    text = (
        f'{{\n "format": {FORMAT},\n "records": {named("records")},\n "verdicts": {named("verdicts")},\n'
        f' "numbers": [\n{numbers}\n ]\n}}\n'
    )
    path = Path(folder) / FILE
    write_text(path, text)
    return path


def verify(folder: Path | str) -> list[str]:
    """Compare `shown.json` with what the records say now; returns a line for each difference.

    Raises UserError when there is no such folder, no readable `shown.json` in it, or a record that does not hold
    together.
    """
    folder = Path(folder)
    before, now = _read(folder / FILE), shown(folder)
    loose = [path.name for path in sorted(folder.glob("*.npz")) if not path.with_suffix(".json").is_file()]
    lines = [f"{name}: belongs to no record" for name in loose]
    old, new = before["records"].keys(), now["records"].keys()
    lines += [f"{slug}.json: is shown, but there is no such record" for slug in sorted(old - new)]
    lines += [f"{slug}.json: is a record that the pages do not show yet" for slug in sorted(new - old)]
    listed, has = list(_facts(before, old & new)), dict(_facts(now, old & new))
    was = dict(listed)
    if len(was) != len(listed):
        lines.append(f"{FILE}: lists a number twice")
    for place in {**has, **was}:
        if place not in was:
            lines.append(f"{place}: is {has[place]} and is not listed")
        elif place not in has:
            lines.append(f"{place}: is listed with {was[place]}, but nothing gives it now")
        elif _moved(was[place], has[place]):
            lines.append(f"{place}: was {was[place]} and is {has[place]}")
    return lines


def text(lines: list[str], folder: Path | str) -> str:
    """What `upcrack verify` prints."""
    if lines:
        many = f"{len(lines)} difference{'s' if len(lines) != 1 else ''}"
        return "\n".join([*lines, "", f"{many}. {_UPDATE}."])
    values = _read(Path(folder) / FILE)
    numbers = sum(len(one["values"]) for one in values["numbers"])
    tables, made = len(published.TABLES), len(values["records"])
    said = Counter(one["verdict"] for one in values["verdicts"].values())
    verdicts = ", ".join(f"{said[word]} {word}" for word in Verdict if said[word] and word != Verdict.ABSENT)
    return f"{numbers} numbers in {tables} tables and {made} records: all as shown\nprinted rows: {verdicts}"


def _numbers(row: TableRow) -> Iterator[dict[str, Any]]:
    """Each number of a row of a page: its place, `what` it is, the records it comes from, and `values` by metric."""
    named: list[tuple[str, tuple[str, ...], dict[str, float | None]]] = []
    if row.verdict != Verdict.ABSENT:
        for what, one in (("printed", row.printed), (CORRECTED, row.corrected)):
            named.append((what, (), {metric: getattr(one, metric) for metric in METRICS}))
    for ours in row.ours:
        parts = {"family median": ours.middle}
        for which, scores in (("", ours.scores), ("without failed runs, ", ours.sound)):
            for part in ("mean", "sd", "low", "high"):
                parts[which + part] = {metric: getattr(score, part) for metric, score in scores.items()}
        parts["best threshold"] = asdict(ours.worth)
        named += [(f"{ours.label}: {what}", ours.files, values) for what, values in parts.items() if values]
    for what, files, values in named:
        place = {"table": row.printed.table, "row": row.printed.key, "what": what}
        yield place | {"records": list(files), "values": values}


def _facts(values: dict[str, Any], slugs: set[str]) -> Iterator[tuple[str, Any]]:
    """Every value with its place in words, and for a row of numbers the records that it comes from.

    slugs: the records whose own values are listed.
    """
    for slug in sorted(slugs):
        yield f"{slug}.json, SHA-256 of its contents", values["records"][slug].get("sha256")
        for name, value in values["records"][slug].get("scores", {}).items():
            yield f"{slug}.json, {name}", value
    for where, verdict in values["verdicts"].items():
        for name, value in verdict.items():
            yield f"{where}, {name}", value
    for one in values["numbers"]:
        name = one["table"] if one["table"] == ABLATION else f"Table {one['table']}"
        for metric, value in one["values"].items():
            where = f"{name} {one['row']}, {one['what']}, {metric}"
            yield where, value
            yield f"{where}, records", one["records"]


def _moved(before: Any, now: Any) -> bool:
    if isinstance(before, float) and isinstance(now, float):
        return not abs(before - now) <= CLOSE
    return before != now


def _flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, float | None]]:
    for name, value in values.items():
        if isinstance(value, tuple):
            value = dict(zip(("low", "high"), value, strict=True))
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, _plain(value)


def _plain(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(float(value), 9)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _check_there(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder of records")


def _read(path: Path) -> dict[str, Any]:
    _check_there(path.parent)
    try:
        values = load_json(path)
        if values["format"] != FORMAT:
            raise ValueError(f"it has format {values['format']}, this version reads {FORMAT}")
        return {part: values[part] for part in ("records", "verdicts", "numbers")}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); get it anew from the repository, or write it with "
            "`upcrack verify --update`"
        ) from error
