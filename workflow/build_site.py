"""Build the site: stage pages and executed chapters, call Jupyter Book, and put the result in place when it is whole.

    python workflow/build_site.py --build build/book [--real]

`--build` holds `run/` (executed chapters) and `alive/` (what the pages that move load); this adds `stage/` (what
Jupyter Book reads) and `html/` (the site).
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import yaml
from slim_site import slim

ROOT = Path(__file__).resolve().parents[1]
WIDGET = "application/vnd.jupyter.widget-view+json"
BANNER = "Built with real photos: for reading, not for publishing. The photos' terms do not allow it."


def toc_files(toc: Path) -> list[str]:
    """Return the pages that `_toc.yml` lists, in reading order, without suffix, such as `notebooks/03_data`."""
    return re.findall(r"^[ -]*(?:root|file): (\S+)$", toc.read_text(encoding="utf-8"), re.MULTILINE)


def staged_config(config: dict[str, Any], project: dict[str, Any], real: bool = False) -> dict[str, Any]:
    """Return Jupyter Book's settings: `_config.yml`, completed from the `[project]` table of pyproject.toml.

    Without a Repository address there are no launch buttons. Their links are made from the page's path inside the
    book, which is its path inside the repository too, so that they open the real notebook.
    """
    config = dict(config)
    config["author"] = ", ".join(author["name"] for author in project["authors"])
    html = config["html"] = dict(config.get("html", {}))
    html["extra_footer"] = f"<p>Version {project['version']}, {project['license']} license.</p>"
    address = project.get("urls", {}).get("Repository", "")
    config["repository"] = {"url": address, "path_to_book": "", "branch": "main"}
    if address:
        html["use_repository_button"] = True
    else:
        config.pop("launch_buttons", None)
    if real:
        html["announcement"] = BANNER
    return config


def copy_changed(source: Path, target: Path) -> None:
    """Copy a file unless an equal one is there: Sphinx looks at times. A chapter goes without its widgets."""
    data = without_widgets(source.read_bytes()) if source.suffix == ".ipynb" else source.read_bytes()
    if not target.exists() or target.read_bytes() != data:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def without_widgets(executed: bytes) -> bytes:
    """An executed notebook without what only a kernel could move: widgets and their state."""
    notebook = json.loads(executed)
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        if "outputs" in cell:
            cell["outputs"] = [one for one in cell["outputs"] if WIDGET not in one.get("data", {})]
    return json.dumps(notebook).encode()


def stage(build: Path, root: Path = ROOT, real: bool = False) -> Path:
    """Fill `build/stage` with settings, pages, static files and executed chapters; return that folder.

    Raises `FileNotFoundError`, naming all of them, when the table of contents lists pages that are not there.
    """
    folder, static = build / "stage", root / "book/_static"
    pairs = {p: p.relative_to(root) for p in (root / "_toc.yml", *(root / "book").rglob("*.bib"))}
    for name in toc_files(root / "_toc.yml"):
        page = root / f"{name}.md"
        if name.startswith("notebooks/"):
            page = build / "run" / f"{name.removeprefix('notebooks/')}.ipynb"
        pairs[page] = Path(f"{name}{page.suffix}")
    if missing := [str(page) for page in pairs if not page.exists()]:
        raise FileNotFoundError(f"_toc.yml lists pages that do not exist: {', '.join(missing)}")
    pairs |= {p: p.relative_to(root) for p in static.rglob("*") if p.is_file()}
    pairs |= {p: Path("book/_static/alive", p.name) for p in (build / "alive").glob("*")}
    for source, target in pairs.items():
        copy_changed(source, folder / target)
    wanted = {Path("_config.yml"), *pairs.values()}
    for path in folder.rglob("*"):  # a page that was renamed must not stay
        if path.is_file() and path.relative_to(folder) not in wanted:
            path.unlink()
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    config = staged_config(config, project, real)
    if any("{{ " in page.read_text(encoding="utf-8") for page in (folder / "book").rglob("*.md")):
        from upcrack_lite.show.front import substitutions  # some seconds: reads all records

        config["sphinx"]["config"]["myst_substitutions"] = substitutions(root / "results")
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (folder / "_config.yml").write_text(text, encoding="utf-8")
    return folder


def build_site(build: Path, real: bool = False, root: Path = ROOT) -> Path:
    """Build the site with warnings as errors; return its index page.

    Every page is read again each time: a page that is not read does not warn, and a second try would look clean.
    The site of the last good build stays until the new one is whole.

    Raises `RuntimeError` with Jupyter Book's warnings if there are any.
    """
    folder, new = stage(build, root, real), build / "new"
    shutil.rmtree(new, ignore_errors=True)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(folder)]
    command += ["--path-output", str(new), "-W", "--keep-going", "--all"]
    run = subprocess.run(command, capture_output=True, text=True)
    log = build / "site.log"
    output = re.sub(r"\x1b\[[0-9;]*m", "", run.stdout + run.stderr)  # no colors
    log.write_text(output := output.replace(f"{folder}/", ""), encoding="utf-8")
    if run.returncode:
        lines = [line for line in output.splitlines() if "WARNING" in line or "ERROR" in line]
        shown = "\n".join(dict.fromkeys(lines)) or output[-3000:]
        raise RuntimeError(f"Jupyter Book reported problems (all of its output: {log}):\n{shown}")
    made, html, old = new / "_build/html", build / "html", build / "old"
    # Table pages link to the records by a path that holds in a clone and on the site.
    (made / "results").mkdir()
    for record in {*(root / "results").glob("*.json")} - {*(root / "results").glob("*-draft.json")}:
        shutil.copy2(record, made / "results")
    slim(made, build / "webp", root / "notebooks")
    if html.exists():
        html.replace(old)
    made.replace(html)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(new)
    return html / "index.html"


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--real", action="store_true")
    args = parser.parse_args()
    print("  site                         started", flush=True)
    start = time.perf_counter()
    try:
        index = build_site(args.build.absolute(), args.real)
    except (RuntimeError, FileNotFoundError) as error:
        print(f"\nThe site was not built. {error}\n", flush=True)
        return 1
    seconds = time.perf_counter() - start
    record = {"index": str(index.relative_to(ROOT)), "seconds": round(seconds, 1), "real": args.real}
    (args.build / "site.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"  site                         done in {seconds:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
