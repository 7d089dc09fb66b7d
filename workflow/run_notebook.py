"""Run one chapter with papermill: errors named, the result written aside and then renamed.

papermill itself keeps half-run notebooks under the final name and stores machine paths and times in them. Here only a
chapter that ran to its end gets its name. An unknown parameter is found by the chapter's first import of
`upcrack_lite.show`.

    python workflow/run_notebook.py notebooks/03_data.ipynb out.ipynb -p data_root /data
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alone import end_with_parent

from upcrack_lite.io import write_json, write_text

# Read by NumPy, PyTorch and OpenCV when the kernel imports them.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

# Bytes of a temporary folder's path; that of a socket below it may have 104 on macOS, 108 on Linux.
LONGEST = 70


class NotebookError(RuntimeError):
    """A chapter that failed; the message names it."""


def upcrack_metadata(notebook: Path) -> dict[str, Any]:
    """Return the notebook's own settings: `smoke` (parameters of a tiny run), `real` (bool), `minutes` (to read)."""
    return json.loads(notebook.read_text(encoding="utf-8"))["metadata"].get("upcrack", {})


def clean(notebook: Any) -> None:
    """Drop what papermill recorded (times, machine paths), and keep the injected cell off the page.

    Alt text that a cell computed moves from its image's metadata to where the book looks for it, the cell's.
    """
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("remove-cell")
        for output in cell.get("outputs", []):
            for kind, values in output.get("metadata", {}).items():
                if kind.startswith("image/") and "alt" in values:
                    options = cell.metadata.setdefault("mystnb", {})
                    options.setdefault("image", {})["alt"] = values.pop("alt")


def printed(notebook: Any) -> str:
    """Return all that the chapter printed, warnings included, cell by cell: the log."""
    parts = []
    for number, cell in enumerate(notebook.cells, 1):
        if texts := [one["text"] for one in cell.get("outputs", []) if one["output_type"] == "stream"]:
            parts.append(f"--- cell {number}\n" + "".join(texts))
    return "\n".join(parts)


def execute(notebook: Path, raw: Path, parameters: Mapping[str, Any], cell_timeout: int | None) -> None:
    """Let papermill run `notebook` and write it to `raw`; raise `NotebookError` with cell and reason if it fails."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    try:
        papermill.execute_notebook(
            str(notebook),
            str(raw),
            parameters=dict(parameters),
            kernel_name="python3",
            cwd=str(notebook.parent),
            progress_bar=False,
            execution_timeout=cell_timeout,
            extra_arguments=["--IPKernelApp.log_level=50"],  # it calls a normal end an interrupt
            config=Config(KernelManager={"transport": "ipc", "ip": f"{raw.parent}/kernel"}),  # not TCP ports
        )
    except papermill.PapermillExecutionError as error:
        raise NotebookError(f"{error.ename}: {error.evalue}\n\nin this cell:\n\n{error.source}") from None
    except CellTimeoutError as error:
        raise NotebookError(f"a cell took longer than {cell_timeout} s: {error}") from None
    except DeadKernelError:
        raise NotebookError("the kernel died; most often the memory was too small") from None


def run_notebook(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, Any] | None = None,
    threads: int = 1,
    cell_timeout: int | None = 900,
) -> None:
    """Run `notebook` from a fresh kernel and write it, with outputs, to `output`.

    The kernel works in the notebook's folder and talks over local sockets, so no network is needed. What it printed
    goes to `output` with the suffix `.log`. After an error the notebook as far as it got lies beside `output`, its
    name ending in `.failed.ipynb`. A cell may take `cell_timeout` seconds; None lets it take what it needs.

    Raises `NotebookError` when a cell fails.
    """
    import nbformat

    notebook, output = notebook.resolve(), output.absolute()
    output.parent.mkdir(parents=True, exist_ok=True)
    failed = output.with_suffix(".failed.ipynb")
    # The sockets' paths must stay short, and no user's IPython history or start-up file may take part.
    place = "/tmp" if len(os.fsencode(tempfile.gettempdir())) > LONGEST else None
    with tempfile.TemporaryDirectory(prefix="upcrack-", dir=place) as scratch:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        os.environ["IPYTHONDIR"] = f"{scratch}/ipython"
        os.environ["JUPYTER_RUNTIME_DIR"] = f"{scratch}/r"
        os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # this environment's kernel, not another of the user's
        raw = Path(scratch) / output.name
        try:
            execute(notebook, raw, parameters or {}, cell_timeout)
        except NotebookError as error:
            hint = ""
            if raw.exists():
                write_text(failed, raw.read_text(encoding="utf-8"))
                hint = f"\n\nThe chapter as far as it got, with the traceback: {failed}"
            raise NotebookError(f"{notebook.name} failed: {error}{hint}") from None
        result = nbformat.read(raw, as_version=4)
    write_text(output.with_suffix(".log"), printed(result))
    clean(result)
    write_text(output, nbformat.writes(result))
    failed.unlink(missing_ok=True)


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--smoke", action="store_true", help="with the tiny parameters of its own metadata")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--timing", type=Path, help="JSON file for the time it took")
    parser.add_argument("--cell-timeout", type=int, default=900, metavar="SECONDS", help="0: none")
    args = parser.parse_args()
    parameters = upcrack_metadata(args.notebook).get("smoke", {}) if args.smoke else {}
    for name, value in args.parameter:
        try:
            parameters[name] = json.loads(value)  # 3, 0.5, true, "text", [1, 2]
        except json.JSONDecodeError:
            parameters[name] = value
    end_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the kernel and its folder go too
    name, start = args.notebook.stem, time.perf_counter()
    print(f"  {name:<28} started", flush=True)
    try:
        run_notebook(args.notebook, args.output, parameters, args.threads, args.cell_timeout or None)
    except NotebookError as error:
        # Not on stderr, which the Makefile keeps for Snakemake's messages.
        print(f"\nChapter {error}\n", flush=True)
        return 1
    seconds = time.perf_counter() - start
    print(f"  {name:<28} done in {seconds:.0f} s", flush=True)
    if args.timing:
        write_json(args.timing, {"chapter": name, "seconds": round(seconds, 1), "threads": args.threads})
    return 0


if __name__ == "__main__":
    sys.exit(main())
