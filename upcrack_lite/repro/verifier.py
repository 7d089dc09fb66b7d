"""Compare what the table pages show with the records: what `upcrack verify` does. Chapter: the tables.

`results/shown.json` lists each number and verdict of the pages, and what each record said when they were written.
All of it is computed anew from the printed tables and the records, and any difference is a finding.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from upcrack_lite.errors import UserError
from upcrack_lite.files import write_text
from upcrack_lite.metrics import METRICS
from upcrack_lite.repro import published, records
from upcrack_lite.repro.code_digest import code_digest
from upcrack_lite.repro.ladder import numbers
from upcrack_lite.repro.map_levels import level_numbers
from upcrack_lite.repro.tables import TableRow, Verdict, table

FORMAT = 1
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


def shown(folder: Path | str) -> dict[str, Any]:
    """Compute all that the table pages show from the records in a folder, as plain values.

    Raises UserError for a record that does not hold together.
    """
    folder = Path(folder)
    given = records.load_all(folder)
    rows = [row for number in published.TABLES for row in table(number, given)]
    return {
        "format": FORMAT,
        "records": {record.slug: _record(record, folder) for record in given},
        "verdicts": {
            _where(row): {"verdict": str(row.verdict), "reason": row.reason, "command": row.command}
            for row in rows
        },
        "numbers": [
            *(one for row in rows for one in _numbers(row)),
            *(
                {"table": LADDER, **one, "value": _plain(one["value"])}
                for one in (*numbers(given), *level_numbers(given, folder))
            ),
        ],
    }


def update(folder: Path | str) -> Path:
    """Write `shown.json` anew; returns its path. Raises UserError for a record that does not hold together."""
    values = shown(folder)
    # One line for each number: then a change can be read line by line.
    lines = ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in values.pop("numbers"))
    text = json.dumps(values, indent=1, ensure_ascii=False).removesuffix("\n}")
    path = Path(folder) / FILE
    write_text(path, f'{text},\n "numbers": [\n{lines}\n ]\n}}\n')
    return path


def verify(folder: Path | str) -> list[Finding]:
    """Compare `shown.json` with what the records say now; empty: nothing differs.

    Raises UserError when there is no such folder, or no readable `shown.json` in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder of records")
    before = _read(folder / FILE)
    try:
        now = shown(folder)
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
        good = (
            f"{len(values['numbers'])} numbers in {len(published.TABLES)} tables and {len(values['records'])} "
            "records: all as shown"
        )
        old = earlier(folder)
        return good + (
            f"\n{old} of the records were tested by an earlier version of the code; `upcrack cell` tests them again"
            if old
            else ""
        )
    many = f"{len(found)} difference{'s' if len(found) != 1 else ''}"
    damaged = any(one.where == DAMAGED for one in found)  # to write it down anew would not mend it
    return "\n".join([*map(str, found), "", f"{many}." if damaged else f"{many}. {_UPDATE}."])


def earlier(folder: Path | str) -> int:
    """How many records were tested by other code than this; none of them is wrong for it."""
    said = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).glob("*-s*.json")]
    digests = {method: code_digest(method) for method in {one["key"]["method"] for one in said}}
    return sum(one["code_sha256"] != digests[one["key"]["method"]] for one in said)


def _record(record: records.Record, folder: Path) -> dict[str, Any]:
    said = json.dumps(record.model_dump(mode="json"), sort_keys=True).encode()
    scores = records.scores(record, records.arrays_of(folder / f"{record.slug}.json"))
    return {
        "sha256": hashlib.sha256(said).hexdigest(),
        "arrays_sha256": record.arrays.sha256,
        "scores": _flat(scores),
    }


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
    found = []
    for name in ("sha256", "arrays_sha256"):
        if before.get(name) != now[name]:
            what = "the record" if name == "sha256" else "its arrays"
            found.append(Finding(where, f"{what} changed after the pages were written"))
    was = before.get("scores", {})
    found += [
        Finding(where, f"{name} was {was.get(name)} and is {now['scores'].get(name)}")
        for name in sorted(was.keys() | now["scores"].keys())
        if name not in was or name not in now["scores"] or _moved(was[name], now["scores"][name])
    ]
    return found


def _compare_numbers(before: list[dict], now: list[dict]) -> list[Finding]:
    def by_place(some: list[dict]) -> dict[tuple, dict]:
        return {tuple(one.get(name) for name in ("table", "row", "what", "metric")): one for one in some}

    was, has, found = by_place(before), by_place(now), []
    if len(was) != len(before):
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
