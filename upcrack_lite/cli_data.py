"""The commands `upcrack data`: fetch, verify, report, crops, prepare, and all of them in one (build)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from upcrack_lite.errors import UserError

# The imports that cost time happen inside the commands, so that --help answers at once.
app = typer.Typer(add_completion=False, rich_markup_mode=None, help="Public data sets: fetch, check, crop.")

Root = Annotated[Path, typer.Option(envvar="UPCRACK_DATA", help="The folder of all sets.")]
Name = Annotated[str, typer.Argument(help="A set; `upcrack data` lists them.")]
Terms = Annotated[bool, typer.Option("--accept-terms", help="Accept the set's terms of use; asked once.")]
Mirror = Annotated[
    Path | None, typer.Option(help="A folder that holds the set; else UPCRACK_MIRROR, if it does.")
]
Files = Annotated[
    list[Path] | None,
    typer.Option("--from", metavar="PATH", help="An archive, or a folder, got by hand; may be repeated."),
]
Manifest = Annotated[
    Path | None, typer.Option(help="Compare with this manifest instead of the one in the kit.")
]
Faulty = Annotated[bool, typer.Option("--keep-faulty", help="Keep the set although it has errors.")]
Windows = Annotated[
    str, typer.Option(help="Sides of a crop in the photo, px, largest first. A photo gives its largest.")
]
Count = Annotated[int | None, typer.Option(min=1, help="How many crops; else what the paper trains on.")]
Margin = Annotated[int, typer.Option(min=0, help="Distance of a crop from any crack, px.")]
Stride = Annotated[int, typer.Option(min=1, help="Crops start at multiples of so many px.")]
Overlap = Annotated[float, typer.Option(min=0, max=0.99, help="Largest shared area of two crops of a photo.")]
Size = Annotated[int, typer.Option(min=16, help="Side of the result, px.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random draws.")]
Rule = Annotated[str, typer.Option(help="Rule of resizing: area or nearest.")]

DEFAULT_ROOT = Path("data")
WINDOWS = "256,192,160,128"


@app.callback(invoke_without_command=True)
def overview(context: typer.Context, root: Root = DEFAULT_ROOT) -> None:
    """Say which sets there are, which are here, and how to get the others."""
    if context.invoked_subcommand is None:
        from upcrack_lite.data.catalog import overview as screen

        typer.echo(screen(root))
    elif context.get_parameter_source("root").name == "COMMANDLINE":
        raise UserError(
            f"give --root after the command: upcrack data {context.invoked_subcommand} --root {root}"
        )


@app.command(no_args_is_help=True)
def fetch(
    name: Name,
    root: Root = DEFAULT_ROOT,
    accept_terms: Terms = False,
    mirror: Mirror = None,
    files: Files = None,
    manifest: Manifest = None,
    keep_faulty: Faulty = False,
) -> None:
    """Download a set, or copy it from a mirror or from files got by hand, and verify it."""
    _fetch(name, root, accept_terms, mirror, files, manifest, keep_faulty)


@app.command(no_args_is_help=True)
def verify(
    name: Annotated[str, typer.Argument(help="A set's name, or any folder of photos with masks.")],
    root: Root = DEFAULT_ROOT,
    manifest: Manifest = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Check a set: every file, pair, mask and number. Status 1 if there are errors."""
    from upcrack_lite.data import report
    from upcrack_lite.data.catalog import folder_of
    from upcrack_lite.data.check import passed
    from upcrack_lite.data.crop_folder import is_crop_folder, read_crops

    folder = folder_of(name, root)
    if is_crop_folder(folder):
        typer.echo(f"{folder}: {len(read_crops(folder, 16))} undamaged crops, all as they were written")
        return
    seen, findings, src = _verified(name, root, manifest)
    typer.echo(
        json.dumps(report.to_json(seen, findings, src, _digest(seen)), indent=1)
        if as_json
        else report.text(seen, findings, src)
    )
    if not passed(findings):
        raise typer.Exit(1)


@app.command(name="report", no_args_is_help=True)
def write_report(
    name: Annotated[str, typer.Argument(help="A set's name, or any folder of photos with masks.")],
    out: Annotated[Path, typer.Option(help="The page to write; its JSON lies beside it.")],
    root: Root = DEFAULT_ROOT,
    manifest: Manifest = None,
    thumbnails: Annotated[int, typer.Option(min=0, help="How many pairs without a finding to show.")] = 24,
) -> None:
    """Write what `verify` finds as a page with pictures, and as JSON."""
    from upcrack_lite.data import report
    from upcrack_lite.io import check_writable, write_json

    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{out}: the page is HTML; give it a name that ends in .html")
    check_writable(out.parent)
    _refuse_other_files(out)
    seen, findings, src = _verified(name, root, manifest)
    report.write_page(out, seen, findings, src, thumbnails)
    write_json(out.with_suffix(".json"), report.to_json(seen, findings, src, _digest(seen)))
    typer.echo(
        f"{out} and {out.with_suffix('.json')}; the page holds photos of the set, so do not publish it"
    )


@app.command(no_args_is_help=True)
def crops(
    name: Name,
    root: Root = DEFAULT_ROOT,
    out: Annotated[Path | None, typer.Option(help="A new folder; else ROOT/NAME_undamaged.")] = None,
    windows: Windows = WINDOWS,
    count: Count = None,
    margin: Margin = 4,
    stride: Stride = 1,
    overlap: Overlap = 0.25,
    size: Size = 256,
    seed: Seed = 0,
) -> None:
    """Cut undamaged crops from a set's training photos, with an index of where each comes from."""
    _crops(name, root, out, _rule(name, windows, count, margin, size, seed, overlap, stride))


@app.command(no_args_is_help=True)
def prepare(name: Name, root: Root = DEFAULT_ROOT, size: Size = 256, rule: Rule = "area") -> None:
    """Store each split of a set at one size, memory-mapped, to be read at once from then on."""
    _prepare(name, root, size, rule)


@app.command(no_args_is_help=True)
def build(
    name: Name,
    root: Root = DEFAULT_ROOT,
    accept_terms: Terms = False,
    mirror: Mirror = None,
    files: Files = None,
    manifest: Manifest = None,
    keep_faulty: Faulty = False,
    windows: Windows = WINDOWS,
    count: Count = None,
    margin: Margin = 4,
    stride: Stride = 1,
    overlap: Overlap = 0.25,
    size: Size = 256,
    seed: Seed = 0,
    rule: Rule = "area",
) -> None:
    """Fetch, verify, crop and prepare a set: all of the above in one."""
    from upcrack_lite.data.catalog import trains

    crop_rule = _rule(name, windows, count, margin, size, seed, overlap, stride)
    _fetch(name, root, accept_terms, mirror, files, manifest, keep_faulty)
    if trains(name):
        _crops(name, root, None, crop_rule)
    _prepare(name, root, size, rule)


def _fetch(
    name: str,
    root: Path,
    accept_terms: bool,
    mirror: Path | None,
    files: list[Path] | None,
    manifest: Path | None,
    keep_faulty: bool,
) -> None:
    """Fetch a set and say what came of it."""
    from upcrack_lite.data import report
    from upcrack_lite.data.fetch import Options
    from upcrack_lite.data.fetch import fetch as run
    from upcrack_lite.data.sources import source

    options = Options(
        accept_terms,
        mirror,
        files or (),
        manifest,
        keep_faulty,
        progress=sys.stderr.isatty(),
        say=lambda line: typer.echo(line, err=True),
    )
    try:
        got = run(name, root, options)
    except KeyboardInterrupt:
        typer.echo("\nstopped; nothing half-done is left. The same command starts again", err=True)
        raise typer.Exit(130) from None
    typer.echo(report.text(got.survey, got.findings, source(name)))
    counts = {level: sum(f.level == level for f in got.findings) for level in ("error", "warning")}
    named = ", ".join(f"{count} {level}{'s' * (count != 1)}" for level, count in counts.items() if count)
    state = "fetched and every file read" if got.new else "was here before, unchanged"
    typer.echo(f"{got.folder}: {state}" + (f"; {named}" if named else ""))


def _verified(name: str, root: Path, manifest: Path | None):
    """Survey and check a set of the root by its name, or any other folder."""
    from upcrack_lite.data import manifest as manifests
    from upcrack_lite.data.catalog import folder_of
    from upcrack_lite.data.check import verify as check
    from upcrack_lite.data.sources import SOURCES
    from upcrack_lite.data.survey import survey

    folder = folder_of(name, root)
    folder = folder if folder.name else folder.resolve()  # "." has no name to show
    src = SOURCES.get(folder.resolve().name)
    expected = manifests.expected(src.name if src else "", manifest)
    seen = survey(folder, src.layout if src else "auto", progress=sys.stderr.isatty())
    return seen, check(seen, src, expected), src


def _refuse_other_files(page: Path) -> None:
    """Refuse to write over files that are no report."""
    facts = page.with_suffix(".json")
    if not page.exists() and not facts.exists():
        return
    try:
        written = json.loads(facts.read_text(encoding="utf-8"))
        if {"format", "passed", "findings"} <= written.keys():
            return  # an earlier report
    except (OSError, ValueError, AttributeError):
        pass
    there = page if page.exists() else facts
    raise UserError(f"{there} is there and is no report of this command: give the page another name")


def _digest(seen) -> str:
    """One hash over all files of a set, as it is on disk."""
    from upcrack_lite.data import manifest

    return manifest.digest(manifest.entries_of(seen))


def _rule(name: str, windows: str, count: int | None, *values: float):
    """The rule of cropping that the options name. Raises UserError for values that cannot work."""
    from upcrack_lite.data.catalog import usual_count
    from upcrack_lite.data.crops import CropRule

    return CropRule(tuple(_sides(windows)), count or usual_count(name), *values)


def _crops(name: str, root: Path, out: Path | None, rule) -> None:
    """Cut and write the crops, and say how many were enlarged."""
    from upcrack_lite.data.catalog import cut_crops, train_command

    folder, lines = cut_crops(name, root, out, rule)
    for line in lines:
        typer.echo(line)
    typer.echo(f"{folder}: crops, index.csv and crops.json")
    typer.echo(f"train with: {train_command(folder)}")


def _sides(windows: str) -> list[int]:
    """Turn "256,192" into numbers. Raises UserError for anything else."""
    try:
        sides = [int(word) for word in windows.split(",")]
    except ValueError:
        raise UserError(f"--windows takes sides such as {WINDOWS}, not {windows!r}") from None
    if min(sides) < 16:
        raise UserError(f"--windows takes sides of at least 16 px, not {min(sides)}")
    return sides


def _prepare(name: str, root: Path, size: int, rule: str) -> None:
    """Store every split of a set and say where."""
    from upcrack_lite.data.catalog import folder_of, splits_of
    from upcrack_lite.data.datasets import load

    folder = folder_of(name, root)
    for split in splits_of(folder):
        roads = load(folder, split, size, memmap_dir=root / "prepared", rule=rule)
        share = "" if roads.crack_masks is None else f", {100 * roads.crack_masks.mean():.3f} % crack"
        typer.echo(
            f"{roads.images.filename.parent}: {split}, {len(roads)} photos at {size} px by {rule}{share}"
        )
