"""Run one chapter as a plain script, where papermill or Jupyter is missing; what it prints goes to a text log.

    python ci/plain_run.py notebooks/03_data.ipynb out.log --smoke

One fresh process for each chapter. Stand-ins take the place of `display` and of widgets. The exit code is 0, 1 if a
cell failed, or 3 if a package is missing that the chapter needs.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import needs
import stand_ins
from part import write_text

DONE, BROKE, LACKS = 0, 1, 3


class Tee(io.TextIOBase):
    """Writes to the screen and remembers."""

    def __init__(self, screen: Any) -> None:
        self.screen, self.parts = screen, []

    def write(self, text: str) -> int:
        """Write to both."""
        self.parts.append(text)
        return self.screen.write(text)

    def flush(self) -> None:
        """Flush the screen."""
        self.screen.flush()


def parameters_of(source: str) -> list[str]:
    """The names that the cell tagged `parameters` sets."""
    body = ast.parse(source).body
    return [node.targets[0].id for node in body if isinstance(node, ast.Assign)]


def run_cell(source: str, number: int, names: dict[str, Any]) -> None:
    """Run one cell, and print the value of its last line if it has one, as a notebook does."""
    tree = ast.parse(source)
    ends_on_value = tree.body and isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";")
    last = ast.Expression(tree.body.pop().value) if ends_on_value else None
    exec(compile(tree, f"<cell {number}>", "exec"), names)
    if last is not None:
        value = eval(compile(last, f"<cell {number}>", "eval"), names)
        if value is not None:
            print(repr(value))


def run(notebook: Path, parameters: dict[str, Any]) -> tuple[int, str]:
    """Run the code cells of a notebook in its folder; return the exit code and what stood in the way.

    A name in `parameters` that the notebook does not set is a failure.
    """
    lacking = needs.missing(needs.of_notebook(notebook, stand_ins.NAMES))
    if lacking:
        return LACKS, f"not installed here: {', '.join(lacking)}"
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [(n, c) for n, c in enumerate(cells, 1) if c["cell_type"] == "code"]
    skipped: list[str] = []
    stand_ins.install(skipped)
    os.environ["MPLBACKEND"] = "agg"
    os.chdir(notebook.parent)
    names: dict[str, Any] = {"__name__": "__main__", "display": stand_ins.display}
    injected = False
    for number, cell in code:
        source, before = "".join(cell["source"]), len(skipped)
        print(f"--- cell {number}", flush=True)
        try:
            run_cell(source, number, names)
            if "parameters" in cell["metadata"].get("tags", []):
                known, injected = parameters_of(source), True
                unknown = sorted(set(parameters) - set(known))
                if unknown:
                    return BROKE, f"no parameter named {', '.join(unknown)}; there are {', '.join(known)}"
                names |= parameters
        except ModuleNotFoundError as error:
            if error.name and error.name.split(".")[0] not in (needs.KIT, *sys.stdlib_module_names):
                return LACKS, f"not installed here: {error.name}, for cell {number}"
            traceback.print_exc(file=sys.stdout)
            return BROKE, f"cell {number}: {error}"
        except Exception as error:
            traceback.print_exc(file=sys.stdout)
            return BROKE, f"cell {number}: {type(error).__name__}: {error}"
        for name in skipped[before:]:
            print(f"SKIPPED cell {number}: the widget {name}")
    if parameters and not injected:
        return BROKE, "it has parameters but no cell tagged `parameters`"
    return DONE, f"without {' and '.join(skipped)}" if skipped else ""


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("log", type=Path)
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--smoke", action="store_true", help="with the tiny parameters of its own metadata")
    args = parser.parse_args()
    notebook, log = args.notebook.resolve(), args.log.absolute()
    settings = json.loads(notebook.read_text(encoding="utf-8"))["metadata"].get("upcrack", {})
    parameters = dict(settings.get("smoke", {})) if args.smoke else {}
    for name, value in args.parameter:
        try:
            parameters[name] = json.loads(value)
        except json.JSONDecodeError:
            parameters[name] = value
    start, tee = time.perf_counter(), Tee(sys.stdout)
    with contextlib.redirect_stdout(tee), contextlib.redirect_stderr(tee):
        code, said = run(notebook, parameters)
        word = {DONE: "done", BROKE: "FAILED", LACKS: "SKIPPED"}[code]
        print(f"{word} in {time.perf_counter() - start:.0f} s: {said or 'every cell ran'}")
    write_text(log, "".join(tee.parts))
    return code


if __name__ == "__main__":
    sys.exit(main())
