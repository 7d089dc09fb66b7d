"""The trained models that come with the kit; both have seen synthetic roads alone, so no license binds them.

`drawn` finds cracks in photos. `upcracknet` is a lite network that the chapters restore roads with. Each is a run
folder like any other, with the weights in half precision; `make stored` makes both anew.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from upcrack_lite.errors import UserError
from upcrack_lite.generator import Generator
from upcrack_lite.recipes import Preset, from_dict
from upcrack_lite.runs import RunFolder, check_device, check_numbers

_ASSETS = Path(__file__).resolve().parent / "assets"
FOLDERS = {"drawn": _ASSETS / "drawn", "upcracknet": _ASSETS / "upcracknet"}


def stored_run(name: str = "upcracknet") -> RunFolder:
    """Open a stored run. Raises UserError for an unknown name, or when the installation lacks it."""
    if name not in FOLDERS:
        raise UserError(f"no model {name!r} comes with the kit; choose one of {', '.join(FOLDERS)}")
    return RunFolder.open(FOLDERS[name])


def load_generator(run: RunFolder | Path | str, device: str = "cpu") -> tuple[Generator, Preset]:
    """Load the generator and the preset of a run onto a device ("auto", "cpu" or "cuda").

    Raises UserError when the folder does not hold them, or there is no such device.
    """
    device = check_device(device)
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    preset = from_dict(run.preset_values())
    generator = Generator(preset.width, preset.depth, preset.dropout)
    run.load_into(generator, f"width {preset.width}, depth {preset.depth}")
    return generator.to(device).eval(), preset


def store(run: RunFolder | Path | str, folder: Path | str, command: str = "") -> RunFolder:
    """Put what is needed to detect from a finished run, weights in float16, in place of a stored one.

    command: how the run was made, for the manifest. Raises UserError when the run is not finished, a weight is
    beyond 65504, or the folder holds something else; nothing is touched then.
    """
    run, folder = run if isinstance(run, RunFolder) else RunFolder.open(run), Path(folder)
    if not run.finished:
        raise UserError(f"{run.path} is not finished: let `upcrack train` end first")
    if folder.exists():
        RunFolder.open(folder)
    weights = {k: v.half() if v.dtype == torch.float32 else v for k, v in run.load_weights().items()}
    check_numbers(weights, f"{run.path} in half precision")
    beside = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    stored = RunFolder.create(beside, {**run.manifest, "status": "running"})
    stored.save_weights(weights)
    stored.save_log(run.log())
    stored.manifest |= {"status": "finished", "stored_as": "float16", "command": command}
    stored.manifest["checkpoint_sha256"] = stored.weights_sha256()
    stored.save_manifest()
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    return RunFolder.open(folder)
