"""The command `upcrack`. Every error of the user's is one plain message and status 2."""

from __future__ import annotations

import json
import signal
import statistics
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Argument, Option

from upcrack_lite import __version__
from upcrack_lite.errors import Note, UserError, first_of, listed, memory_for, safe
from upcrack_lite.io import check_writable, parse_settings, read_settings

if TYPE_CHECKING:
    from upcrack_lite.predict.model import Model
    from upcrack_lite.predict.photos import Detected
    from upcrack_lite.reproduction.experiments import Experiment
    from upcrack_lite.runs import RunFolder

# What costs time to import (torch, lightning) is imported inside the commands, so that --help answers at once.
PLAIN: dict[str, Any] = {"add_completion": False, "rich_markup_mode": None, "pretty_exceptions_enable": False}
app = typer.Typer(no_args_is_help=True, **PLAIN)
data_app = typer.Typer(
    help="Public data sets: fetch, check, crop. Without a command: which there are.", **PLAIN
)
app.add_typer(data_app, name="data")

Seed = Annotated[int, Option(min=0, max=2**32 - 1, help="Seed of all random draws.")]
Device = Annotated[str, Option(help="auto, cpu or cuda.")]
Precision = Annotated[
    Literal["32-true", "bf16-mixed", "bf16-true", "16-mixed"], Option(help="32-true, or another on a GPU.")
]
Method = Annotated[str, Option(help="upcracknet, drawn, another network, or a training-free family.")]
Recipe = Annotated[str, Option(help="paper or released.")]
Scale = Annotated[
    str, Option(help="full (256 px, width 64), half (256 px, width 32) or lite (128 px, width 16).")
]
MaxSteps = Annotated[int | None, Option(min=1, help="Stop after so many batches: a try, never a result.")]
VGG = Annotated[str | None, Option(help="VGG file for the style loss or patchcore, or 'random'.")]
Settings = Annotated[
    list[str] | None,
    Option(
        "--set",
        metavar="NAME=VALUE",
        help="Set one value of the preset, such as epochs=20 or threshold_value=0.6.",
    ),
]
Detector = Annotated[
    str, Option(help="drawn, upcracknet, a run folder, or a training-free family such as tf_frangi_otsu.")
]
SettingsFile = Annotated[
    Path | None,
    Option(
        "--settings", help="YAML file of settings, as `upcrack tune` or the tuner of chapter 14 writes it."
    ),
]
Photos = Annotated[
    Path | None, Option(help="A folder of the photos, for overlays, and to doubt masks that do not fit them.")
]
Beside = Annotated[
    str | None, Option(help="deepcrack, cfd or crack500: print UP-CrackNet's row of the paper beside it.")
]
Json = Annotated[bool, Option("--json", help="Print JSON instead of text.")]
Results = Annotated[Path, Option(help="The folder of records.")]
ROOT, TUNED = Path("data"), Path("settings.yaml")


def echo(text: str = "", err: bool = False, nl: bool = True) -> None:
    """Print a text, which may hold names of files that nobody has looked at."""
    typer.echo(safe(text), err=err, nl=nl)


def _version(wanted: bool) -> None:
    if wanted:
        echo(__version__)
        raise typer.Exit


Version = Option("--version", help="Print the version and stop.", is_eager=True, callback=_version)


@app.callback()
def _root(version: Annotated[bool, Version] = False) -> None:
    """Find cracks in road photos after training on undamaged roads alone."""


@contextmanager
def _interruptible(remedy: str) -> Iterator[None]:
    """Ctrl-C ends a command with status 130, SIGTERM with 143, and it says how to go on."""
    try:
        yield
    except BaseException as error:
        stop: BaseException | None = error
        # What is stopped while it writes may raise an error of its own on the way out, as torch.save does.
        while stop is not None and not isinstance(stop, KeyboardInterrupt):
            stop = stop.__context__
        if stop is None:
            raise
        echo(f"\nstopped; {remedy}", err=True)
        raise typer.Exit(128 + (stop.args or (signal.SIGINT,))[0]) from None


def _stop(number: int, frame: Any) -> None:
    """SIGTERM, as a cluster sends it at its time limit, ends a command as Ctrl-C does."""
    raise KeyboardInterrupt(number)


# --- Train, detect, score


@app.command(no_args_is_help=True)
def train(
    context: typer.Context,
    data: Annotated[str, Option(help="A data set's folder, or 'synthetic' for roads drawn here.")],
    out: Annotated[Path, Option(help="The run folder; an interrupted run in it goes on.")],
    method: Method = "upcracknet",
    recipe: Recipe = "paper",
    scale: Scale = "lite",
    layout: Annotated[str, Option(help="auto, deepcrack, cfd, crack500, plain, or photos.")] = "auto",
    crops: Annotated[int, Option(min=2, help="How many undamaged crops, or roads, at most.")] = 300,
    window: Annotated[int, Option(min=16, help="Side of a crop in the photo, px.")] = 160,
    margin: Annotated[int, Option(min=0, help="Distance of a crop from any crack, px.")] = 4,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Precision = "32-true",
    max_steps: MaxSteps = None,
    vgg_weights: VGG = None,
    settings: Settings = None,
) -> None:
    """Train a method on undamaged crops of a data set, or on its photos with crack masks where it learns from these.

    Layout 'photos' takes a plain folder of photos without any crack.
    """
    from upcrack_lite.baselines.registry import learns_from_masks, preset_of, unused_options
    from upcrack_lite.data.catalog import labeled, undamaged
    from upcrack_lite.data.crops import CropRule

    values = parse_settings(settings)
    for name in {"method", "recipe", "scale"} & values.keys():
        raise UserError(f"{name} is an option of its own: --{name} {values[name]}")
    chosen = preset_of(method, recipe, scale, **values)
    given = [name for name in context.params if context.get_parameter_source(name).name == "COMMANDLINE"]
    if useless := [name.replace("_", "-") for name in given if name in unused_options(method)]:
        raise UserError(f"{method} has no use for --{', --'.join(useless)}: leave it out")
    check_writable(out)
    read = labeled if learns_from_masks(method) else undamaged
    rule = CropRule((window,), crops, margin, chosen.size, seed)
    got = read(data, layout, rule, [name for name in ("crops", "window", "margin") if name in given])
    few = f" ({got.facts['asked']} asked for; there is no room for more)" if "asked" in got.facts else ""
    cut = f", cut at {window} px and enlarged," if got.facts.get("window", chosen.size) < chosen.size else ","
    echo(
        f"{len(got.images)} {got.what}{few} from {len(set(got.groups))} photos{cut} used at {chosen.size} px"
    )
    from upcrack_lite.baselines.trainer import train_any

    how = {"device": device, "precision": precision, "max_steps": max_steps, "vgg_weights": vgg_weights}
    with _interruptible(f"the same command goes on from the last state in {out}"):
        run = train_any(method, got, chosen, out, seed=seed, progress=sys.stderr.isatty(), **how)
    echo(f"{out}: {_outcome(run)}")


def _outcome(run: RunFolder) -> str:
    """What a training came to, in words."""
    from upcrack_lite.baselines.registry import FAMILIES

    m = run.manifest
    if run.method in FAMILIES:
        from upcrack_lite.baselines.training_free import selected_variant

        variant, counted = selected_variant(run)
        return f"{variant.name}: the best of {len(counted)}, F1 {counted[variant].f1:.1f} on these photos"
    if not m["epochs_done"]:
        return f"trained in {m['train_seconds']:.0f} s, without steps"
    counts = f"{m['epochs_done']} epochs, {m['steps_done']} steps in {m['train_seconds']:.0f} s"
    return f"{counts}; best epoch {m['best_epoch']}"


@app.command(no_args_is_help=True)
def detect(
    photos: Annotated[Path, Argument(help="A photo or a folder of photos.")],
    out: Annotated[Path, Argument(help="A folder for masks, maps, overlays and numbers.")],
    model: Detector = "drawn",
    protocol: Annotated[
        str, Option(help="native, or tables: squeezed as for the paper's tables.")
    ] = "native",
    window: Annotated[int | None, Option(help="Side of windows, px; else a training crop's.")] = None,
    size: Annotated[int | None, Option(help="With --protocol tables: side of the results.")] = None,
    overlay: Annotated[str, Option(help="How cracks are shown: outline, fill or none.")] = "outline",
    mm_per_pixel: Annotated[float | None, Option(help="Side of a pixel on the road: adds mm.")] = None,
    report: Annotated[bool, Option(help="Write report.html, a page with all of it.")] = True,
    seed: Seed = 0,
    device: Device = "cpu",
    as_json: Json = False,
    settings: Settings = None,
    settings_file: SettingsFile = None,
) -> None:
    """Find the cracks in photos: masks, maps, overlays, and a table of crack fractions, lengths and widths.

    The same command goes on after a stop, and does the photos that are new. Status 3 if photos were skipped.
    """
    from upcrack_lite.predict.model import load_model
    from upcrack_lite.predict.photos import detect_folder
    from upcrack_lite.predict.report import write_report

    if window is not None and protocol == "tables":
        raise UserError("--window is for --protocol native, which cuts a photo into windows: leave it out")
    values = (read_settings(settings_file) if settings_file else {}) | parse_settings(settings)
    detector = load_model(model, device, values, window)
    how = {"protocol": protocol, "size": size, "seed": seed, "overlays": overlay}
    how |= {"mm_per_pixel": mm_per_pixel, "say": partial(echo, err=as_json)}
    with _interruptible(f"the same command goes on where it was stopped; {out} holds what is done"):
        found = detect_folder(detector, photos, out, **how)
        page = write_report(out) if report else None
    if as_json:
        echo(json.dumps({"photos": found.rows, "failed": found.failed}, indent=1))
    else:
        echo("\n".join(_detected(found, detector, photos, out)))
        if page is not None:
            echo(f"to look at it all in a browser: {page}" if found.rows else "nothing was done")
    if found.failed:
        echo("\n  ".join([f"{len(found.failed)} skipped:", *found.failed]), err=True)
        raise typer.Exit(3)


def _detected(found: Detected, model: Model, photos: Path, out: Path) -> Iterator[str]:
    """What `upcrack detect` says at its end, line by line."""
    if found.rows:
        percent = [row["crack_fraction_percent"] for row in found.rows]
        before = len(found.rows) - found.new
        yield (
            f"photos: {found.new}{f' and {before} done before' if before else ''}; crack fraction: median "
            f"{statistics.median(percent):.2f} %, most {max(percent):.2f} %"
        )
        yield f"masks, maps, overlays and summary.csv are in {out}"
    if found.gone:
        gone = first_of(found.gone)
        yield f"Note: not in {photos} any more, and so in no number: {gone}; their pictures stay in {out}."
    if found.blank:
        yield f"Warning: no contrast, so nothing can be found here: {', '.join(found.blank)}"
    if model.run is not None and not model.run.finished:
        yield f"Note: the training in {model.name} is not finished; this is its best epoch so far."
    if model.run is not None and model.run.manifest.get("data", {}).get("name") == "synthetic":
        yield "Note: this model has seen synthetic roads only; look at the overlays before you trust it."
    others = sum(not path.name.startswith(".") for path in photos.iterdir()) if photos.is_dir() else 0
    if others > len(found.rows) + len(found.failed):
        yield f"Note: other files or folders in {photos} were passed over."


@app.command(no_args_is_help=True)
def score(
    predictions: Annotated[Path, Argument(help="What `upcrack detect` wrote, or a folder of masks.")],
    masks: Annotated[Path, Argument(help="A folder of hand-made masks with the photos' names.")],
    photos: Photos = None,
    out: Annotated[Path | None, Option(help="The folder of the results; else PREDICTIONS/score.")] = None,
    beside: Beside = None,
    as_json: Json = False,
) -> None:
    """Compare predicted masks with hand-made ones: the five metrics of the paper and more.

    Both sides pair by file name; white is crack. Status 3: some photos could not be scored; they are named.
    """
    from upcrack_lite.predict.scoring import as_text, score_folder
    from upcrack_lite.reproduction import beside as printing

    if beside is not None:
        printing.own_rows(beside)
    result = score_folder(predictions, masks, photos=photos, out=out)
    texts = [as_text(result)]
    if beside is not None:
        result["beside"] = printing.beside(result, beside)
        texts.append(printing.as_text(result))
    echo(json.dumps(result, indent=1) if as_json else "\n\n".join(texts))
    for warning in result["warnings"]:
        echo(f"Warning: {warning}", err=True)
    if not as_json:
        echo(f"\nscore.json, per_image.csv and overlays are in {out or predictions / 'score'}")
    if left := result["not_scored"]:
        echo(listed(left, "not scored"), err=True)
        raise typer.Exit(3)


@app.command(no_args_is_help=True)
def tune(
    photos: Annotated[Path, Argument(help="A folder of photos of your road without any crack.")],
    model: Annotated[str, Option(help="drawn, upcracknet or a run folder.")] = "drawn",
    false_alarm: Annotated[str, Option(help="Most of the road that may be marked: 0.1% or 0.001.")] = "0.1%",
    out: Annotated[Path, Option(help="The YAML file to write, for `upcrack detect --settings`.")] = TUNED,
    window: Annotated[int | None, Option(help="Side of a window, px, as for `upcrack detect`.")] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    settings: Settings = None,
) -> None:
    """Choose the threshold of a model on photos of undamaged road, and say what it costs on cracks drawn into them.

    Status 3: some photos could not be read; they are named.
    """
    from upcrack_lite.io import check_settings_file, write_settings
    from upcrack_lite.predict import tune as tuning

    limit, values = tuning.fraction(false_alarm), parse_settings(settings)
    check_settings_file(out, {*tuning.SETTINGS, *values})
    how = {"window": window, "seed": seed, "device": device, "settings": values}
    got = tuning.tune(model, photos, limit, **how)
    write_settings(out, got.settings, f"for {model}: at most {100 * limit:g} % of undamaged road is marked")
    echo(tuning.as_text(got))
    for warning in tuning.warnings(got):
        echo(f"Warning: {warning}", err=True)
    seen = f" --window {window}" if window else ""
    echo(f"\n{out} written: upcrack detect PHOTOS OUT --model {model}{seen} --settings {out}")
    if got.failed:
        echo(listed(got.failed, "not used"), err=True)
        raise typer.Exit(3)


# --- The paper's tables

Row = Annotated[
    str | None, Option(help="Its row, such as unet, or a training-free baseline. Without it, all in turn.")
]
TrainSet = Annotated[
    str | None, Option(help="deepcrack, crack500_kept, crack500 or synthetic; else the table's.")
]
TestSet = Annotated[
    str | None,
    Option(help="deepcrack, cfd_patches, crack500_heldout, crack500 or synthetic; else the table's."),
]
Seeds = Annotated[
    list[int] | None,
    Option("--seed", min=0, max=2**32 - 1, help="Seed of all random draws; may be repeated."),
]
Draft = Annotated[
    bool, Option(help="Write a record that is not fit for the tables, as a draft that they leave out.")
]


@app.command(no_args_is_help=True)
def cell(
    table: Annotated[str | None, Option(help="A table of the paper, 1 to 8, for its sets and rows.")] = None,
    row: Row = None,
    method: Annotated[str | None, Option(help="The method, where no table is named.")] = None,
    recipe: Recipe = "paper",
    scale: Scale = "lite",
    train_set: TrainSet = None,
    test_set: TestSet = None,
    seeds: Seeds = None,
    data_root: Annotated[Path, Option(envvar="UPCRACK_DATA", help="The folder of all data sets.")] = ROOT,
    runs: Annotated[Path, Option(help="The folder of runs; interrupted ones go on.")] = Path("runs"),
    results: Results = Path("results"),
    device: Device = "auto",
    precision: Precision = "32-true",
    max_steps: MaxSteps = None,
    vgg_weights: VGG = None,
    allow_dirty: Draft = False,
    again: Annotated[bool, Option(help="Test again although the record is there.")] = False,
    train_only: Annotated[bool, Option("--train-only", help="Train only: no test, no record.")] = False,
    settings: Settings = None,
) -> None:
    """Train and test experiments (cells) of a table, and write a record of each.

    A run that is there is used, and one that was interrupted goes on. A record that is there and still holds is
    left as it is. With --train-only each model is trained once, however many experiments share it. At the end each
    printed row has its verdict and its reading, from all records in the folder.
    """
    from upcrack_lite.baselines.registry import FAMILIES
    from upcrack_lite.metrics import METRICS
    from upcrack_lite.reproduction.experiments import RunOptions, Selection, check_proxies
    from upcrack_lite.reproduction.records import load, scores
    from upcrack_lite.reproduction.run import run_experiment, train_experiment
    from upcrack_lite.reproduction.tables import recorded, told

    numbers, sets = tuple(dict.fromkeys(seeds or (0,))), (train_set, test_set)
    wanted = _experiments(table, row, method, recipe, scale, sets, numbers, parse_settings(settings))
    if train_only:
        if again:
            raise UserError("--again tests again, and --train-only does not test: leave one of them out")
        wanted = list({one.run_slug(): one for one in wanted}.values())
    given = RunOptions(device, precision, vgg_weights, max_steps, allow_dirty)
    if not train_only:
        check_proxies(wanted, data_root)
    if {one.method for one in wanted} <= set(FAMILIES) and (numbers != (0,) or scale != "full"):
        echo("no training and no random draw: one scale, full, and seed 0, whatever is asked")
    both: dict[str, Any] = {"progress": sys.stderr.isatty(), "say": echo}
    for one in dict.fromkeys(wanted):
        # A command for many rows gives each the options that it has a use for.
        options = given.usable(one) if table is not None and row is None else given
        echo(f"{one.run_slug() if train_only else one.slug()}  ({one.command(options)})")
        _note_start(runs / options.run_name(one))
        with _interruptible("the same command goes on from the last state of the run"):
            if train_only:
                run = train_experiment(one, data_root, runs, options, **both)
                echo(f"{run.path}: trained for {run.manifest['epochs_done']} epochs")
                continue
            path = run_experiment(one, data_root, runs, results, options, again=again, **both)
        got = scores(load(path))
        five = ", ".join(f"{name} {got[name]:.3f}" for name in METRICS)
        echo(f"{path}: {got['images']} images, {got['crack_share']:.3f} % crack; {five}")
    if table is not None and not train_only:
        meant = Selection(table, recipe, rows=() if row is None else (row,))
        for line in told(meant, recorded(results)):
            echo(line)


def _experiments(
    table: str | None,
    row: str | None,
    method: str | None,
    recipe: str,
    scale: str,
    sets: tuple[str | None, str | None],
    seeds: tuple[int, ...],
    values: dict[str, Any],
) -> list[Experiment]:
    """What `upcrack cell` is asked for: rows of a table, or one method. sets: to train and to test on."""
    from upcrack_lite.baselines.registry import CRACKNET
    from upcrack_lite.reproduction.experiments import Experiment, Selection, experiments

    if table is None:
        if row is not None:
            raise UserError("--row names a row of a table: give --table too, or --method")
        given = zip(("train_set", "test_set"), sets, strict=True)
        named = {name: one for name, one in given if one is not None}
        pairs = tuple(values.items())
        return [Experiment(method or CRACKNET, recipe, scale, pairs, seed=seed, **named) for seed in seeds]
    if method is not None:
        raise UserError(f"--method is for a call without --table: leave it out, or write --row {method}")
    rows, (train_set, test_set) = () if row is None else (row,), (one or "" for one in sets)
    return experiments([Selection(table, recipe, scale, train_set, test_set, rows, seeds)], values)


def _note_start(folder: Path) -> None:
    """Say what a command does not show: a training that goes on."""
    from upcrack_lite.runs import RunFolder

    if RunFolder.is_run(folder) and not (run := RunFolder.open(folder)).finished and run.log():
        echo(f"{folder}: goes on from its last state")


@app.command()
def verify(
    results: Results = Path("results"),
    update: Annotated[bool, Option("--update", help="Write RESULTS/shown.json anew.")] = False,
) -> None:
    """Compute every number of the table pages anew from the records, and compare it with what is shown.

    Status 1 if a number moved, or a record is missing, new or another one; 2 if one cannot be read.
    """
    from upcrack_lite.reproduction import verify as verifying

    if update:
        echo(f"{verifying.update(results)}: written")
    differences = verifying.verify(results)
    echo(verifying.text(differences, results))
    if differences:
        raise typer.Exit(1)


Column = Option(metavar="NAME", help="Name of this column, where the usual names do not find it.")


@app.command(no_args_is_help=True)
def audit(
    table: Annotated[Path, Argument(help="A CSV file, or 'paper' for the tables of the paper as printed.")],
    precision: Annotated[str | None, Column] = None,
    recall: Annotated[str | None, Column] = None,
    accuracy: Annotated[str | None, Column] = None,
    f1: Annotated[str | None, Column] = None,
    iou: Annotated[str | None, Column] = None,
    group: Annotated[str | None, Option(metavar="NAME", help="Column of the test sets.")] = None,
    label: Annotated[str | None, Option(metavar="NAME", help="Column of the rows' names.")] = None,
    unit: Annotated[str, Option(help="percent, fraction or auto.")] = "auto",
    slack: Annotated[float, Option(min=0, help="Rounding, in last digits: 0.5; 1 if truncated.")] = 0.5,
    drift: Annotated[
        float,
        Option(min=0, max=10, help="How far prevalences may differ, %."),
    ] = 0.05,
    as_json: Json = False,
) -> None:
    """Check a table of precision, recall, accuracy, F1 and IoU against itself.

    Finds swapped columns, averages, contradictions and mixed test sets. Status 1 if it finds any.
    """
    from upcrack_lite.reproduction.audit import audit_paper, audit_rows, text, to_json
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
    echo(json.dumps(to_json(result), indent=1, ensure_ascii=False) if as_json else text(result))
    if result.findings:
        raise typer.Exit(1)


# --- Data sets

Root = Annotated[Path, Option(envvar="UPCRACK_DATA", help="The folder of all sets.")]
Name = Annotated[str, Argument(help="A set; `upcrack data` lists them.")]
Folder = Annotated[str, Argument(help="A set's name, or any folder of photos with masks.")]
Terms = Annotated[bool, Option("--accept-terms", help="Accept the set's terms of use; asked once.")]
Mirror = Annotated[
    Path | None, Option(help="A folder that holds the set; else the one that UPCRACK_MIRROR names.")
]
Files = Annotated[
    list[Path] | None,
    Option("--from", metavar="PATH", help="An archive, or a folder, got by hand; may be repeated."),
]
Faulty = Annotated[bool, Option("--keep-faulty", help="Keep the set although it has errors.")]
Size = Annotated[int, Option(min=16, help="Side of the result, px.")]
WINDOWS = "256,192,160,128"


@data_app.callback(invoke_without_command=True)
def overview(context: typer.Context, root: Root = ROOT) -> None:
    """Say which sets there are, which are here, and how to get the others."""
    if context.invoked_subcommand is None:
        from upcrack_lite.data.catalog import overview as screen

        echo(screen(root))
    elif context.get_parameter_source("root").name == "COMMANDLINE":
        raise UserError(
            f"give --root after the command: upcrack data {context.invoked_subcommand} --root {root}"
        )


@data_app.command(no_args_is_help=True)
def fetch(
    name: Name,
    root: Root = ROOT,
    accept_terms: Terms = False,
    mirror: Mirror = None,
    files: Files = None,
    keep_faulty: Faulty = False,
) -> None:
    """Download a set, or copy it from a mirror or from files got by hand, and verify it."""
    from upcrack_lite.data import report
    from upcrack_lite.data.fetch import Options
    from upcrack_lite.data.fetch import fetch as run
    from upcrack_lite.data.sources import source

    options = Options(accept_terms, mirror, files or (), keep_faulty, lambda line: echo(line, err=True))
    with _interruptible("nothing half-done is left. The same command starts again"):
        got = run(name, root, options)
    echo(report.text(got.survey, got.findings, source(name)))
    counts = {level: sum(f.level == level for f in got.findings) for level in ("error", "warning")}
    named = ", ".join(f"{count} {level}{'s' * (count != 1)}" for level, count in counts.items() if count)
    state = "fetched and every file read" if got.new else "was here before, unchanged"
    echo(f"{got.folder}: {state}" + (f"; {named}" if named else ""))


@data_app.command(name="verify", no_args_is_help=True)
def verify_set(name: Folder, root: Root = ROOT, as_json: Json = False) -> None:
    """Check a set: every file, pair, mask and number. Status 1 if there are errors."""
    from upcrack_lite.data import report
    from upcrack_lite.data.catalog import folder_of, verified
    from upcrack_lite.data.check import passed
    from upcrack_lite.data.crops import is_crop_folder, read_crops

    folder = folder_of(name, root)
    if is_crop_folder(folder):
        echo(f"{folder}: {len(read_crops(folder, 16))} undamaged crops, all as they were written")
        return
    checked = verified(name, root)
    echo(json.dumps(report.to_json(*checked), indent=1) if as_json else report.text(*checked))
    if checked[1] and not as_json:
        echo(f"All of it, with pictures: upcrack data report {name} --out page.html")
    if not passed(checked[1]):
        raise typer.Exit(1)


@data_app.command(name="report", no_args_is_help=True)
def report_set(
    name: Folder,
    out: Annotated[Path, Option(help="The page to write, such as page.html.")],
    root: Root = ROOT,
) -> None:
    """Write what `verify` finds as a page with pictures."""
    from upcrack_lite.data.catalog import verified
    from upcrack_lite.data.report import write_page

    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{out}: the page is HTML; give it a name that ends in .html")
    check_writable(out.parent)
    write_page(out, *verified(name, root))
    echo(f"{out}; it holds photos of the set, so do not publish it")


@data_app.command(no_args_is_help=True)
def crops(
    name: Name,
    root: Root = ROOT,
    out: Annotated[Path | None, Option(help="A new folder; else ROOT/NAME_undamaged.")] = None,
    windows: Annotated[str, Option(help="Sides of a crop in the photo, px, largest first.")] = WINDOWS,
    count: Annotated[int | None, Option(min=1, help="How many crops; else what the paper trains on.")] = None,
    margin: Annotated[int, Option(min=0, help="Distance of a crop from any crack, px.")] = 4,
    stride: Annotated[int, Option(min=1, help="Crops start at multiples of so many px.")] = 1,
    overlap: Annotated[float, Option(min=0, max=0.99, help="Largest shared area of two crops.")] = 0.25,
    size: Size = 256,
    seed: Seed = 0,
) -> None:
    """Cut undamaged crops from a set's training photos, with an index of where each comes from."""
    from upcrack_lite.data.catalog import cut_crops, train_command, usual_count
    from upcrack_lite.data.crops import CropRule

    try:
        sides = tuple(int(word) for word in windows.split(","))
    except ValueError:
        raise UserError(f"--windows takes sides such as {WINDOWS}, not {windows!r}") from None
    if min(sides) < 16:
        raise UserError(f"--windows takes sides of at least 16 px, not {min(sides)}")
    rule = CropRule(sides, count or usual_count(name), margin, size, seed, overlap, stride)
    folder, lines = cut_crops(name, root, out, rule)
    echo("\n".join([*lines, f"{folder}: crops, index.csv and crops.json"]))
    echo(f"train with: {train_command(folder)}")


@data_app.command(no_args_is_help=True)
def build(
    name: Name,
    root: Root = ROOT,
    accept_terms: Terms = False,
    mirror: Mirror = None,
    files: Files = None,
    keep_faulty: Faulty = False,
    count: Annotated[int | None, Option(min=1, help="How many undamaged crops to cut.")] = None,
    size: Size = 256,
) -> None:
    """Fetch a set, verify it, and cut its undamaged crops where it has a training split: fetch and crops in one."""
    from upcrack_lite.data.catalog import trains

    fetch(name, root, accept_terms, mirror, files, keep_faulty)
    if trains(name):
        crops(name, root, count=count, size=size)


def main() -> None:
    """Run the command line."""
    run(sys.argv[1:])


def script(name: str) -> None:
    """Run `upcrack data build NAME` with the options of the command line: what data_scripts/ call."""
    run(["data", "build", name, *sys.argv[1:]])


def run(words: list[str]) -> None:
    """Run a command given as words; print a UserError or a Note as text, and exit with status 2 for the first."""
    signal.signal(signal.SIGTERM, _stop)
    less = "take a smaller scale, size, batch_size or window, or a machine with more"
    try:
        with warnings.catch_warnings(), memory_for("this command", less):
            warnings.showwarning = _show_warning
            app(words)
    except (UserError, OSError) as error:
        echo(f"upcrack: {error}", err=True)
        sys.exit(2)


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Print a note without the place in the code that it comes from; other warnings keep it."""
    if issubclass(category, Note):
        echo(f"upcrack: {message}", err=True)
    else:
        echo(warnings.formatwarning(message, category, *where[:2]), err=True, nl=False)


if __name__ == "__main__":
    main()
