"""Weights that others trained, from a file of theirs."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from upcrack_lite.errors import UserError


def read_state(
    path: Path | str, what: str, remedy: str = "name a file that is there"
) -> dict[str, torch.Tensor]:
    """Read a table of tensors, .safetensors or what `torch.save` wrote. No code in the file is run.

    what: such as "encoder weights", for the error. Raises UserError for a file that is missing (with `remedy`),
    damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no {what} at {path}: {remedy}")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise UserError(f"{path} cannot be read as {what} ({error}): fetch it again") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise UserError(f"{path} holds no table of tensors, so no {what}: save model.state_dict()")
    return state
