"""The command `upcrack verify`: does the book show what the records say?"""

from __future__ import annotations

import sys
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

    Status 1 if a number moved, or a record is missing, new, or changed.
    """
    from upcrack_lite.reproduction import verifier

    if update:
        typer.echo(f"{verifier.update(results)}: written")
    found = verifier.verify(results, progress=sys.stderr.isatty())
    typer.echo(verifier.text(found, results))
    if found:
        raise typer.Exit(1)
