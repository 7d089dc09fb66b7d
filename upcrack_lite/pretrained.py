"""The small checkpoint that comes with the kit: a lite model trained on synthetic roads.

It is a run folder like any other, with the weights in half precision. Its manifest holds the command that
remakes it. The quick start and the detection chapter use it, so that they need no training.
"""

from __future__ import annotations

from pathlib import Path

import torch

from upcrack_lite.errors import UserError
from upcrack_lite.runs import RunFolder

FOLDER = Path(__file__).resolve().parent / "assets" / "lite_synthetic"


def stored_run() -> RunFolder:
    """Open the stored run. Raises UserError when the installation lacks it."""
    return RunFolder.open(FOLDER)


def store(run: RunFolder, folder: Path | str, command: str) -> RunFolder:
    """Copy what is needed to detect from a finished run, weights in float16, into a new folder.

    command: how the run was made, for the manifest. Raises UserError when the run is not finished or the
    folder is not empty.
    """
    if not run.finished:
        raise UserError(f"{run.path} is not finished: let `upcrack train` end first")
    weights = run.load_weights()
    stored = RunFolder.create(folder, {**run.manifest, "status": "running"})
    stored.save_weights({k: v.half() if v.dtype == torch.float32 else v for k, v in weights.items()})
    stored.save_log(run.log())
    stored.manifest |= {"status": "finished", "stored_as": "float16", "command": command}
    stored.save_manifest()
    return stored
