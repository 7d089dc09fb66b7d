"""The command `upcrack audit`: let a table of printed metrics check itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from upcrack_lite.errors import UserError

Column = typer.Option(metavar="NAME", help="Name of this column, where the usual names do not find it.")


def audit(
    table: Annotated[
        Path, typer.Argument(help="A CSV file, or 'paper' for the tables of the paper as printed.")
    ],
    precision: Annotated[str | None, Column] = None,
    recall: Annotated[str | None, Column] = None,
    accuracy: Annotated[str | None, Column] = None,
    f1: Annotated[str | None, Column] = None,
    iou: Annotated[str | None, Column] = None,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column that names the test set of a row.")
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="NAME", help="Column that names a row.")] = None,
    unit: Annotated[str, typer.Option(help="percent, fraction or auto.")] = "auto",
    slack: Annotated[
        float, typer.Option(min=0, help="Rounding, in units of the last digit: 0.5; 1 for truncated digits.")
    ] = 0.5,
    drift: Annotated[
        float,
        typer.Option(min=0, max=10, help="How far prevalences of one set may differ, % of their value."),
    ] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Check a table of precision, recall, accuracy, F1 and IoU against itself.

    Finds swapped columns, averages, contradictions and mixed test sets. Status 1 if it finds any.
    """
    from upcrack_lite.reproduction.audit import audit_paper, audit_rows
    from upcrack_lite.reproduction.audit_report import text, to_json
    from upcrack_lite.reproduction.audit_table import read_table

    columns = {"precision": precision, "recall": recall, "accuracy": accuracy, "f1": f1, "iou": iou}
    named = {metric: name for metric, name in columns.items() if name is not None}
    if str(table) == "paper":
        if named or group or label or unit != "auto":
            raise UserError("'paper' knows its columns and test sets: give it without column names")
        result = audit_paper(slack=slack, drift=drift / 100)
    else:
        rows, unused = read_table(table, named, group, label)
        notes = [f"columns not used: {', '.join(unused)}"] if unused else []
        result = audit_rows(rows, unit, slack, drift / 100, table.name, notes)
    typer.echo(json.dumps(to_json(result), indent=1, ensure_ascii=False) if as_json else text(result))
    if result.findings:
        raise typer.Exit(1)
