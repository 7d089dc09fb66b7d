"""What the front page says in numbers, computed from the printed rows and the records, as Markdown. Page: intro."""

from __future__ import annotations

import statistics
from pathlib import Path

from upcrack_lite.baselines.registry import CRACKNET, DRAWN
from upcrack_lite.reproduction import experiments, published, record_files
from upcrack_lite.reproduction.audit import audit_paper
from upcrack_lite.reproduction.conditions import SETS
from upcrack_lite.reproduction.tables import Ours, TableRow
from upcrack_lite.reproduction.verdicts import Verdict, reading
from upcrack_lite.show import sees
from upcrack_lite.show.overview import SMALL_LEGEND, AllRows
from upcrack_lite.show.table_words import speaking_for, title

NOTEBOOKS = "../notebooks/"
"""From the front page to the chapters."""

ANSWERS = {
    Verdict.MATCHES: "Yes, it matches.",
    Verdict.DIFFERS: "No, ours differs.",
    Verdict.OPEN: "That is open.",
    Verdict.NOT_RUN: "It has not been run here.",
}


def substitutions(results: Path | str = "") -> dict[str, str]:
    """Name to Markdown, for each `{{ name }}` of the front page. results: the folder of records; empty: the kit's."""
    page = AllRows(results)
    findings = (swapped(), *what_it_sees(results), full_scale(page), without_labels(page))
    return {
        "holds": holds(page),
        "findings": "\n".join(f"- {one}" for one in findings),
        "all_rows": f"{page.small(f'{NOTEBOOKS}tables/')}\n\n{SMALL_LEGEND}",
    }


def holds(page: AllRows) -> str:
    """Whether UP-CrackNet's printed F1 on DeepCrack holds, in two sentences."""
    row = _own(page, 4)
    said = f"**Does the printed F1 of {row.printed.f1:.1f} % on DeepCrack hold? {ANSWERS[row.verdict]}**"
    for ours in row.ours[:1]:
        how = ", ".join([_seeds(ours), f"recipe `{ours.recipe}`", *ours.substituted])
        said += f" At {ours.scale} scale ours is {ours.f1:.1f} % ({how}): {reading(row.printed.f1, ours.f1)} points."
    if not any(ours.scale == "full" for ours in row.ours):
        said += " We have not run it at the paper's full size, so we can say neither yes nor no."
    return f"{said} [Table IV]({NOTEBOOKS}tables/table_4.ipynb) has the rest."


def swapped() -> str:
    """Whether the printed precision and recall are swapped, and in how many tables."""
    rows = [row for row in published.rows() if row.precision is not None]
    wrong = [group.name for group in audit_paper().groups if group.swapped]
    where = f"in all {len({row.table for row in rows})} tables that have them"
    if not {row.test_set for row in rows} <= {*wrong}:
        where = f"on {', '.join(wrong)}"
    return (
        f"The paper prints precision and recall swapped {where}, {len(rows)} rows: "
        f"[arithmetic alone shows it]({NOTEBOOKS}20_audit.ipynb)."
    )


def what_it_sees(results: Path | str = "") -> list[str]:
    """What decides which cracks UP-CrackNet finds; nothing without the experiment's file."""
    if not (record_files.folder("results", results) / sees.FILE).exists():
        return []
    found = sees.Recorded(results).found()
    black, white = (
        [statistics.fmean(found[sees.NAMES[fill]][how]) for how in ("as they are", "brightened")]
        for fill in ("black", "white")
    )
    return [
        "The color of the holes decides which cracks it sees: on DeepCrack, black holes give an average precision "
        f"of {black[0]:.0f} % on its dark cracks and {black[1]:.0f} % on the same cracks brightened, white holes "
        f"{white[0]:.0f} and {white[1]:.0f} % ([what it sees]({NOTEBOOKS}17_what_it_sees.ipynb))."
    ]


def full_scale(page: AllRows) -> str:
    """What full scale gave, and what smaller runs gave."""
    full = sum(any(ours.scale == "full" for ours in row.ours) for row in page.every)
    read = page.readings
    return (
        f"{full or 'None'} of the {len(page.every)} printed rows {'have' if full > 1 else 'has'} been run at full "
        f"scale. Of the {read.total()} with a record of any scale, F1 lies below the printed one in {read['below']}, "
        f"near it in {read['near']}, above it in {read['above']} ([all rows]({NOTEBOOKS}tables/all_rows.ipynb))."
    )


def without_labels(page: AllRows) -> str:
    """How the detector that learned from drawn cracks stands against what is printed, and against darkness."""
    said, seeds = [], ""
    for number in (4, 7, 8):
        row = next(one for one in page.beside[number] if one.printed.key == DRAWN)
        home = experiments.PAIRS[number][0]
        own = [ours for ours in row.ours if ours.train_set == home and not ours.substituted]
        printed = _own(page, number).printed.f1
        for one in own[:1]:
            said.append(f"{one.f1:.1f} % where {printed:.1f} % is printed, on {SETS[one.test_set]}")
            seeds = f" ({_seeds(one)})"
    dark = speaking_for(page.beside[4])
    return (
        "The same undamaged crops allow another task: draw cracks on them, and learn to mark these. A small "
        f"network{seeds} then has an F1 of {'; '.join(said) or 'no record yet'}. No label is trained on"
        + (f"; yet plain {title(dark[0].printed)} has {dark[1].f1:.1f} % on DeepCrack" if dark else "")
        + f" ([drawn cracks]({NOTEBOOKS}18_drawn_cracks.ipynb))."
    )


def _seeds(ours: Ours) -> str:
    return f"mean of {len(ours.seeds)} seeds" if len(ours.seeds) > 1 else "one seed"


def _own(page: AllRows, number: int) -> TableRow:
    return next(row for row in page.rows[number] if row.printed.key == CRACKNET)
