"""The command `upcrack`. Every error of the user's is one plain message and status 2."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from upcrack_lite import __version__, cli_audit, cli_data, cli_record, cli_verify
from upcrack_lite.errors import UserError
from upcrack_lite.io import check_writable, parse_settings, read_settings

# The heavy imports (torch, lightning) happen inside the commands, so that --help answers at once.
app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)

app.add_typer(cli_data.app, name="data")
app.command(no_args_is_help=True)(cli_audit.audit)
app.command(no_args_is_help=True)(cli_record.cell)
app.command()(cli_verify.verify)

Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all random draws.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set one value of the preset; may be repeated."),
]


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Find cracks in road photos after training on undamaged roads alone."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command(no_args_is_help=True)
def train(
    context: typer.Context,
    data: Annotated[str, typer.Option(help="A data set's folder, or 'synthetic' for roads drawn here.")],
    out: Annotated[Path, typer.Option(help="The run folder; an interrupted run in it goes on.")],
    recipe: Annotated[str, typer.Option(help="paper or released.")] = "paper",
    scale: Annotated[str, typer.Option(help="full (256 px, width 64) or lite (128 px, width 16).")] = "lite",
    layout: Annotated[str, typer.Option(help="auto, deepcrack, cfd, crack500, plain, or photos.")] = "auto",
    crops: Annotated[int, typer.Option(min=2, help="How many undamaged crops to train on.")] = 300,
    window: Annotated[int, typer.Option(min=16, help="Side of a crop in the photo, px.")] = 160,
    margin: Annotated[int, typer.Option(min=0, help="Distance of a crop from any crack, px.")] = 4,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Annotated[
        str, typer.Option(help="32-true, or bf16-mixed, bf16-true or 16-mixed on a GPU.")
    ] = "32-true",
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many batches.")] = None,
    vgg_weights: Annotated[str | None, typer.Option(help="VGG file for the style loss, or 'random'.")] = None,
    settings: Settings = None,
) -> None:
    """Train on undamaged crops of a data set.

    Layout 'photos' takes a plain folder of photos without any crack.
    """
    from upcrack_lite.recipes import preset

    values = parse_settings(settings)
    for name in ("recipe", "scale"):
        if name in values:
            raise UserError(f"{name} is an option of its own: --{name} {values[name]}")
    chosen = preset(recipe, scale, **values)
    check_writable(out)
    _refuse_unused(context, data)
    images, groups, facts = _crops(data, layout, crops, window, margin, chosen.size, seed)
    typer.echo(f"{len(images)} undamaged crops from {len(set(groups))} photos, used at {chosen.size} px")
    from upcrack_lite.training import train as run_training

    try:
        run = run_training(
            images,
            chosen,
            out,
            groups=groups,
            data=facts,
            seed=seed,
            device=device,
            precision=precision,
            max_steps=max_steps,
            vgg_weights=vgg_weights,
        )
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; the same command goes on from the last whole epoch in {out}", err=True)
        raise typer.Exit(130) from None
    m = run.manifest
    typer.echo(
        f"{out}: {m['epochs_done']} epochs, {m['steps_done']} steps in {m['train_seconds']:.0f} s; "
        f"best epoch {m['best_epoch']}"
    )


@app.command(no_args_is_help=True)
def detect(
    run: Annotated[
        str, typer.Argument(help="A run folder, or 'stored' for the model that comes with the kit.")
    ],
    photos: Annotated[Path, typer.Argument(help="A photo or a folder of photos.")],
    out: Annotated[Path, typer.Argument(help="A folder for masks, maps, overlays and numbers.")],
    size: Annotated[
        int | None, typer.Option(help="Make square results of this side, as the tables do.")
    ] = None,
    window: Annotated[int | None, typer.Option(help="Work in overlapping windows of this side, px.")] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    settings: Settings = None,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="YAML file of settings, as the tuner exports it.")
    ] = None,
) -> None:
    """Find the cracks in photos: masks, error maps, overlays, and a table of cracked shares."""
    from upcrack_lite.predict.photos import detect_folder
    from upcrack_lite.pretrained import stored_run
    from upcrack_lite.runs import RunFolder

    model = stored_run() if run == "stored" else RunFolder.open(run)
    values = (read_settings(settings_file) if settings_file else {}) | parse_settings(settings)
    rows = detect_folder(
        model, photos, out, size=size, window=window, seed=seed, device=device, settings=values
    )
    shares = [row["crack_share_percent"] for row in rows]
    typer.echo(
        f"photos: {len(rows)}; cracked share: median {statistics.median(shares):.2f} %, most {max(shares):.2f} %"
    )
    typer.echo(f"masks, maps, overlays and summary.csv are in {out}")
    if not model.finished:
        typer.echo(f"Note: the training in {run} is not finished; this is its best epoch so far.")
    if model.manifest.get("data", {}).get("name") == "synthetic":
        typer.echo(
            "Note: this model has seen synthetic roads only; look at the overlays before you trust it."
        )
    others = sum(not p.name.startswith(".") for p in photos.iterdir()) - len(rows) if photos.is_dir() else 0
    if others:
        typer.echo(f"Note: {others} other file(s) or folder(s) in {photos} were passed over.")


@app.command(no_args_is_help=True)
def score(
    out: Annotated[Path, typer.Argument(help="What `upcrack detect` wrote.")],
    masks: Annotated[Path, typer.Argument(help="A folder of masks with the photos' names.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare detections with hand-made masks: the five metrics of the paper and more."""
    from upcrack_lite.predict.scoring import as_text, score_folder

    result = score_folder(out, masks, progress=sys.stderr.isatty())
    typer.echo(json.dumps(result, indent=1) if as_json else as_text(result))
    for warning in result["warnings"]:
        typer.echo(f"Warning: {warning}", err=True)
    if not as_json:
        typer.echo(f"\nscore.json, per_image.csv and overlays are in {out / 'score'}")


def _refuse_unused(context: typer.Context, data: str) -> None:
    """Refuse options on how to cut crops for a folder of crops that are cut already."""
    from upcrack_lite.data.crop_folder import is_crop_folder
    from upcrack_lite.data.layouts import fitting

    folder = Path(data)
    cut = is_crop_folder(folder) or (folder.is_dir() and "crack500_authors" in fitting(folder))
    given = [
        name
        for name in ("crops", "window", "margin")
        if context.get_parameter_source(name).name == "COMMANDLINE"
    ]
    if given and cut:
        raise UserError(f"the crops in {data} are cut already: leave out --{', --'.join(given)}")


def _crops(
    data: str, layout: str, count: int, window: int, margin: int, size: int, seed: int
) -> tuple[Any, list[str], dict[str, Any]]:
    """Undamaged crops, the photo of each, and the facts about them for the manifest."""
    from upcrack_lite.data import manifest
    from upcrack_lite.data.catalog import places_of, refuse_test_set
    from upcrack_lite.data.crop_folder import is_crop_folder, read_crops, read_description
    from upcrack_lite.data.crops import CropRule, undamaged_crops
    from upcrack_lite.data.datasets import load
    from upcrack_lite.data.layouts import LAYOUTS, pairs, unlabeled

    if data == "synthetic":
        from upcrack_lite.data.synthetic import synthetic_set

        roads = synthetic_set(count, size, seed, crack_free=1.0)
        return roads.images, roads.names, {"name": "synthetic", "seed": seed}
    folder = Path(data)
    if layout not in ("auto", "photos", *LAYOUTS):
        raise UserError(f"unknown layout {layout!r}; choose auto, photos, {', '.join(LAYOUTS)}")
    if layout == "auto" and is_crop_folder(folder):
        cut = read_crops(folder, size)
        return cut.images, cut.groups, {"name": folder.resolve().name, "crops": read_description(folder)}
    if layout != "photos":
        found = pairs(folder, layout, "train")
        refuse_test_set(folder)
    else:
        found = unlabeled(folder)
    facts: dict[str, Any] = {"name": folder.resolve().name, "photos": len(found)}
    if listed := manifest.digest_in(folder):
        facts["fetched_manifest_sha256"] = listed
    if layout != "photos" and found[0].mask is None:  # undamaged crops as their authors cut them
        roads = load(folder, "train", size, layout)
        return roads.images, places_of(folder, roads.names), facts
    cut = undamaged_crops(found, CropRule((window,), count, margin, size, seed))
    places = places_of(folder, [str(row["name"]) for row in cut.rows])
    return cut.images, places, facts | {"window": window, "margin": margin}


def main() -> None:
    """Run the command line."""
    run(sys.argv[1:])


def script(name: str) -> None:
    """Run `upcrack data build NAME` with the options of the command line: what data_scripts/ call."""
    run(["data", "build", name, *sys.argv[1:]])


def run(words: list[str]) -> None:
    """Run a command given as words; print a UserError as text and exit with status 2."""
    try:
        app(words)
    except (UserError, PermissionError) as error:
        typer.echo(f"upcrack: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
