"""Compare what the table pages show with the records: what `upcrack verify` does. Chapter: the tables.

`results/shown.json` lists each number and verdict of the pages, and what each record said when they were written.
All of it is computed anew from the printed tables and the records, and any difference is a finding.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from upcrack_lite.errors import UserError
from upcrack_lite.io import write_text
from upcrack_lite.metrics import METRICS
from upcrack_lite.reproduction import published, records
from upcrack_lite.reproduction.ladder import numbers as ladder_numbers
from upcrack_lite.reproduction.map_levels import level_numbers
from upcrack_lite.reproduction.record_files import digest
from upcrack_lite.reproduction.tables import TableRow, Verdict, table

FORMAT = 2
FILE = "shown.json"
LADDER = "ladder"  # stands where a number of a table has the table's
DAMAGED = "a record cannot be read"
CLOSE = 1e-6  # points; the same counts give the same numbers on every machine, but for the last digits
_UPDATE = "If that is meant, run `upcrack verify --update` and look at the change before you commit it"


@dataclass(frozen=True)
class Finding:
    """One difference between the pages and the records; `where` is a table's cell or a file."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def shown(folder: Path | str, progress: bool = False) -> dict[str, Any]:
    """Compute all that the table pages show from the records in a folder, as plain values.

    progress: show a bar. Raises UserError for a record that does not hold together.
    """
    paths = records.paths(folder)
    steps = [*paths, *published.TABLES, LADDER]
    with tqdm(steps, "checking", disable=not progress, unit="step") as bar:
        done = iter(bar)
        given = [records.load(path) for path, _ in zip(paths, done, strict=False)]
        rows = [
            row for number, _ in zip(published.TABLES, done, strict=False) for row in table(number, given)
        ]
        numbers = [one for row in rows for one in _numbers(row)]
        for _ in done:
            for one in (*ladder_numbers(given), *level_numbers(given)):
                numbers.append({"table": LADDER, **one, "value": _plain(one["value"])})
    return {
        "format": FORMAT,
        "records": {record.slug: _record(record) for record in given},
        "verdicts": {
            _where(row): {"verdict": str(row.verdict), "reason": row.reason, "command": row.command}
            for row in rows
        },
        "numbers": numbers,
    }


def update(folder: Path | str) -> Path:
    """Write `shown.json` anew; returns its path. Raises UserError for a record that does not hold together."""
    values = shown(folder)
    # One line for each record, verdict and row of numbers: then a change can be read line by line.
    parts = {
        "records": _lines(values["records"]),
        "verdicts": _lines(values["verdicts"]),
        "numbers": "[\n" + ",\n".join("  " + _json(one) for one in _grouped(values["numbers"])) + "\n ]",
    }
    text = ",\n".join([f' "format": {FORMAT}', *(f' "{name}": {part}' for name, part in parts.items())])
    path = Path(folder) / FILE
    write_text(path, "{\n" + text + "\n}\n")
    return path


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(values: dict[str, Any]) -> str:
    return "{\n" + ",\n".join(f"  {_json(name)}: {_json(value)}" for name, value in values.items()) + "\n }"


def _grouped(numbers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Numbers of one row of a table, of one kind and from the same records, as one entry."""
    found: dict[tuple, dict[str, Any]] = {}
    for one in numbers:
        head = {name: one[name] for name in ("table", "row", "what", "records")}
        entry = found.setdefault((*list(head.values())[:3], *one["records"]), head | {"values": {}})
        entry["values"][one["metric"]] = one["value"]
    return list(found.values())


def verify(folder: Path | str, progress: bool = False) -> list[Finding]:
    """Compare `shown.json` with what the records say now; empty: nothing differs. progress: show a bar.

    Raises UserError when there is no such folder, or no readable `shown.json` in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder of records")
    before = _read(folder / FILE)
    try:
        now = shown(folder, progress)
    except UserError as error:  # a record that does not hold together; the rest would only repeat it
        return [
            Finding(
                DAMAGED,
                f"{error}. Nothing else was checked: mend it, or take it back from git, and run again",
            )
        ]
    found = _orphans(folder)
    for slug in sorted(before["records"].keys() | now["records"].keys()):
        found += _compare_record(slug, before["records"].get(slug), now["records"].get(slug))
    for where in sorted(before["verdicts"].keys() | now["verdicts"].keys()):
        was, has = before["verdicts"].get(where, {}), now["verdicts"].get(where, {})
        found += [
            Finding(where, f"{name} was {was.get(name)!r} and is {has.get(name)!r}")
            for name in sorted(was.keys() | has.keys())
            if was.get(name) != has.get(name)
        ]
    return found + _compare_numbers(before["numbers"], now["numbers"])


def text(found: list[Finding], folder: Path | str) -> str:
    """What `upcrack verify` prints."""
    values = _read(Path(folder) / FILE)
    if not found:
        numbers = sum(len(one["values"]) for one in values["numbers"])
        tables, made = len(published.TABLES), len(values["records"])
        return f"{numbers} numbers in {tables} tables and {made} records: all as shown"
    many = f"{len(found)} difference{'s' if len(found) != 1 else ''}"
    damaged = any(one.where == DAMAGED for one in found)  # to write it down anew would not mend it
    return "\n".join([*map(str, found), "", f"{many}." if damaged else f"{many}. {_UPDATE}."])


def _record(record: records.Record) -> dict[str, Any]:
    return {"sha256": digest(record.model_dump(mode="json")), "scores": _flat(records.scores(record))}


def _flat(values: dict[str, Any], before: str = "") -> dict[str, float | None]:
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")
        elif isinstance(value, tuple):
            flat |= _flat(dict(zip(("low", "high"), value, strict=True)), f"{before}{name}.")
        else:
            flat[before + name] = _plain(value)
    return flat


def _plain(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(float(value), 9)


def _where(row: TableRow) -> str:
    return f"Table {row.printed.name}"


def _numbers(row: TableRow) -> list[dict[str, Any]]:
    found = []
    for what, one in (("printed", row.printed), ("put right", row.corrected)) * (
        row.verdict != Verdict.ABSENT
    ):
        found += [(what, metric, getattr(one, metric), ()) for metric in METRICS]
    for ours in row.ours:
        found += [(f"{ours.label}: family median", n, value, ours.files) for n, value in ours.middle.items()]
        for metric in METRICS:
            score = asdict(ours.scores[metric])
            found += [(f"{ours.label}: {part}", metric, value, ours.files) for part, value in score.items()]
    found += [("tolerance", metric, one.points, ()) for metric, one in row.tolerance.items()]
    return [
        {
            "table": row.printed.table,
            "row": row.printed.key,
            "what": what,
            "metric": metric,
            "value": _plain(value),
            "records": list(files),
        }
        for what, metric, value, files in found
    ]


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: is not there; write it with `upcrack verify --update`") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); get it anew from the repository") from None
    parts = {"format": int, "records": dict, "verdicts": dict, "numbers": list}
    if not isinstance(values, dict) or any(not isinstance(values.get(n), kind) for n, kind in parts.items()):
        raise UserError(f"{path}: holds no list of what the book shows; get it anew from the repository")
    if values["format"] != FORMAT:
        raise UserError(f"{path}: has format {values['format']}, this version reads {FORMAT}")
    return values


def _orphans(folder: Path) -> list[Finding]:
    return [
        Finding(path.name, "belongs to no record")
        for path in sorted(folder.glob("*.npz"))
        if not path.with_suffix(".json").is_file()
    ]


def _compare_record(slug: str, before: dict | None, now: dict | None) -> list[Finding]:
    where = f"{slug}.json"
    if before is None:
        return [Finding(where, "is a record that the pages do not show yet")]
    if now is None:
        return [Finding(where, "is shown, but there is no such record")]
    same = before.get("sha256") == now["sha256"]
    found = [] if same else [Finding(where, "changed after the pages were written")]
    was = before.get("scores", {})
    found += [
        Finding(where, f"{name} was {was.get(name)} and is {now['scores'].get(name)}")
        for name in sorted(was.keys() | now["scores"].keys())
        if name not in was or name not in now["scores"] or _moved(was[name], now["scores"][name])
    ]
    return found


def _compare_numbers(before: list[dict], now: list[dict]) -> list[Finding]:
    def by_place(some: list[dict]) -> dict[tuple, dict]:
        return {
            (*(one.get(name) for name in ("table", "row", "what")), metric): {"value": value, **one}
            for one in some
            for metric, value in one["values"].items()
        }

    now = _grouped(now)
    was, has, found = by_place(before), by_place(now), []
    if len(was) != sum(len(one["values"]) for one in before):
        found.append(Finding(FILE, "lists a number twice"))
    for place in [*has, *(place for place in was if place not in has)]:
        number, row, what, metric = place
        where = f"{'' if number == LADDER else 'Table '}{number} {row}, {what}, {metric}"
        if place not in was:
            found.append(Finding(where, f"is {has[place]['value']} and is not listed"))
        elif place not in has:
            found.append(
                Finding(where, f"is listed with {was[place].get('value')}, but nothing gives it now")
            )
        elif _moved(was[place].get("value"), has[place]["value"]):
            found.append(Finding(where, f"was {was[place].get('value')} and is {has[place]['value']}"))
        elif was[place].get("records") != has[place]["records"]:
            found.append(Finding(where, f"comes from {', '.join(has[place]['records'])} now"))
    return found


def _moved(before: Any, now: float | None) -> bool:
    if isinstance(before, bool) or not isinstance(before, int | float) or now is None:
        return before is not now
    return not abs(before - now) <= CLOSE
