"""The command `upcrack verify`: does the book show what the records say?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    results: Annotated[Path, typer.Option(help="The folder of records.")] = Path("results"),
    update: Annotated[
        bool, typer.Option("--update", help="Write RESULTS/shown.json anew from the records.")
    ] = False,
) -> None:
    """Compute every number of the table pages anew from the records, and compare it with what is shown.

    Status 1 if a number moved, or a record is missing, new or another one; 2 if one cannot be read.
    """
    from upcrack_lite.reproduction import verify as verifying

    if update:
        typer.echo(f"{verifying.update(results)}: written")
    differences = verifying.verify(results)
    typer.echo(verifying.text(differences, results))
    if differences:
        raise typer.Exit(1)
