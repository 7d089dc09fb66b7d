"""The command `upcrack cell`: train and test experiments of a table, and write their records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from upcrack_lite.errors import UserError

if TYPE_CHECKING:
    from upcrack_lite.reproduction.experiments import Experiment


def cell(
    table: Annotated[
        str | None, typer.Option(help="A table of the paper, 1 to 8, for its sets and rows.")
    ] = None,
    row: Annotated[
        str | None,
        typer.Option(
            help="A row of the table, such as unet, or a training-free baseline. Without it, all in turn."
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="The method, where no table is named; else upcracknet.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="paper or released.")] = "paper",
    scale: Annotated[
        str,
        typer.Option(
            help="full (256 px) or lite (128 px, a quarter of the width); without training: one scale."
        ),
    ] = "lite",
    train_set: Annotated[
        str | None, typer.Option(help="deepcrack, crack500_kept, crack500 or synthetic; else the table's.")
    ] = None,
    test_set: Annotated[
        str | None,
        typer.Option(
            help="deepcrack, cfd_patches, crack500_heldout, crack500 or synthetic; else the table's."
        ),
    ] = None,
    seeds: Annotated[
        list[int] | None,
        typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of all random draws; may be repeated."),
    ] = None,
    data_root: Annotated[Path, typer.Option(help="The folder of all data sets.")] = Path("data"),
    runs: Annotated[Path, typer.Option(help="The folder of runs; an interrupted one goes on.")] = Path(
        "runs"
    ),
    results: Annotated[Path, typer.Option(help="The folder of records.")] = Path("results"),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="32-true, or bf16-mixed, bf16-true or 16-mixed on a GPU.")
    ] = "32-true",
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many batches: a try, never a result.")
    ] = None,
    vgg_weights: Annotated[str | None, typer.Option(help="VGG file for the style loss, or 'random'.")] = None,
    allow_dirty: Annotated[
        bool, typer.Option(help="Write a record that must not be committed as a draft.")
    ] = False,
    again: Annotated[bool, typer.Option(help="Test again although the record is there.")] = False,
    train_only: Annotated[
        bool, typer.Option("--train-only", help="Train, or go on, and stop there: no test, no record.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Set one value of the preset; may be repeated."),
    ] = None,
) -> None:
    """Train and test experiments (cells) of a table, and write a record of each.

    A run that is there is used, and one that was interrupted goes on. A record that is there and still holds is
    left as it is. With --train-only each model is trained once, however many experiments share it.
    """
    from upcrack_lite.baselines.registry import CRACKNET, FAMILIES
    from upcrack_lite.io import parse_settings
    from upcrack_lite.reproduction.experiments import Experiment, RunOptions, Selection, experiments
    from upcrack_lite.reproduction.records import load, scores
    from upcrack_lite.reproduction.run import run_experiment, train_experiment

    values: dict[str, Any] = parse_settings(settings)
    numbers = tuple(dict.fromkeys(seeds or (0,)))
    if table is None:
        if row is not None:
            raise UserError("--row names a row of a table: give --table too, or --method")
        sets = {"train_set": train_set, "test_set": test_set}
        named = {name: value for name, value in sets.items() if value is not None}
        pairs = tuple(values.items())
        wanted = [Experiment(method or CRACKNET, recipe, scale, pairs, seed=one, **named) for one in numbers]
    else:
        if method is not None:
            raise UserError(f"--method is for a call without --table: leave it out, or write --row {method}")
        rows = () if row is None else (row,)
        selection = Selection(table, recipe, scale, train_set or "", test_set or "", rows, numbers)
        wanted = experiments([selection], values)
    if train_only:
        if again:
            raise UserError("--again tests again, and --train-only does not test: leave one of them out")
        wanted = list({one.run_slug(): one for one in wanted}.values())
    given = RunOptions(device, precision, vgg_weights, max_steps, allow_dirty)
    _check_proxies(wanted, data_root)
    if {one.method for one in wanted} <= set(FAMILIES) and (numbers != (0,) or scale != "full"):
        typer.echo("no training and no random draw: one scale, full, and seed 0, whatever is asked")
    for one in dict.fromkeys(wanted):
        # A command for many rows gives each the options that it has a use for.
        options = given.usable(one) if table is not None and row is None else given
        typer.echo(f"{one.run_slug() if train_only else one.slug()}  ({one.command(options)})")
        _note_start(runs / options.run_name(one))
        both: dict[str, Any] = {"progress": sys.stderr.isatty(), "say": typer.echo}
        try:
            if train_only:
                run = train_experiment(one, data_root, runs, options, **both)
                typer.echo(f"{run.path}: trained for {run.manifest['epochs_done']} epochs")
                continue
            path = run_experiment(one, data_root, runs, results, options, again=again, **both)
        except KeyboardInterrupt:
            typer.echo("\nstopped; the same command goes on from the last whole epoch", err=True)
            raise typer.Exit(130) from None
        got = scores(load(path))
        five = ", ".join(
            f"{name} {got[name]:.3f}" for name in ("precision", "recall", "accuracy", "f1", "iou")
        )
        typer.echo(f"{path}: {got['images']} images, {got['crack_share']:.3f} % crack; {five}")


def _check_proxies(wanted: list[Experiment], data_root: Path) -> None:
    """Before any work: a set that only its owners give out is not there, and others can stand in for it."""
    from upcrack_lite.reproduction.experiments import PROXIES

    for name, (kept, held) in PROXIES.items():
        needed = {one.train_set for one in wanted} | {one.test_set for one in wanted}
        there = [(data_root / one).is_dir() for one in (name, f"{name}_undamaged")]
        if name in needed and not any(there):
            raise UserError(
                f"{name} is not in {data_root}: `upcrack data fetch {name}` says how to get it by hand. "
                f"Or use its proxies: --train-set {kept} --test-set {held}, each where the table has {name}"
            )


def _note_start(folder: Path) -> None:
    """Say what a command does not show: a training that goes on."""
    from upcrack_lite.runs import RunFolder

    if RunFolder.is_run(folder) and not (run := RunFolder.open(folder)).finished and (log := run.log()):
        typer.echo(f"{folder}: goes on after epoch {len(log)}")
