"""A run on disk: a folder that says what was done, with what, and how far it got.

    manifest.json           what, with which values, on which machine, when; "format": 1
    checkpoint.safetensors  the generator to test with (the best one so far)
    resume.pt               everything needed to go on after a kill; removed when the run is finished
    log.csv                 one row an epoch
    progress/               the same masked crops restored after some epochs

Every file is written aside and renamed, so a killed process leaves the last complete one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from safetensors.torch import load_file, save

from upcrack_lite import __version__
from upcrack_lite.errors import UserError, memory_for
from upcrack_lite.io import (
    LOCK,
    alone_in,
    clear_leftovers,
    holds,
    read_csv,
    read_json,
    write_atomically,
    write_csv,
    write_json,
)
from upcrack_lite.recipes import check_value
from upcrack_lite.versions import COMMIT, FIRST, training_version

_ROOT = Path(__file__).resolve().parents[1]

FORMAT = 1

BEFORE: dict[str, Any] = {
    "method": "upcracknet",
    "training_version": FIRST,
    "processes": 1,
    "precision": "32-true",
    "max_steps": None,
    "overrides": {},
    "start_sha256": None,
    "vgg_weights": None,
    "style_weights": None,
    "crack_masks_sha256": None,
    "encoder": None,
    "peak_gpu_memory_mib": None,
}
"""What a manifest means that lacks one of these."""

_FIELDS: dict[str, Any] = {
    "status": str,
    "method": str | None,
    "training_version": int | None,
    "preset": dict | None,
    "data": dict | None,
    "environment": dict | None,
    "environments": list | None,
    "epochs_done": int | None,
    "steps_done": int | None,
    "train_seconds": int | float | None,
    "checkpoint_sha256": str | None,
}
"""What a manifest holds, by type; older ones lack some."""

_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.int64)
"""What weights and counters come in; doubles come from a training in double precision."""

_LESS = "take a smaller batch_size, size or width, --scale lite, or fewer crops"

_TOLD_APART = ("commit", "code_sha256", "device", "used_device")
"""What of the environment makes one start of a run another than an earlier one."""


class RunFolder:
    """One run: its manifest in memory, and methods that keep the folder whole."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @property
    def finished(self) -> bool:
        """True once training came to its end (the last epoch, early stopping or a step limit)."""
        return self.manifest.get("status") == "finished"

    @property
    def method(self) -> str:
        """Name of the method that was trained."""
        return self.manifest.get("method", BEFORE["method"])

    @property
    def training_version(self) -> int:
        """The version of the numbers (`upcrack_lite.versions`) that it was trained with."""
        return self.manifest.get("training_version", BEFORE["training_version"])

    @classmethod
    def create(cls, path: Path | str, manifest: dict[str, Any]) -> RunFolder:
        """Start a run in a new or empty folder. Raises UserError when something else is in it."""
        path = Path(path)
        if holds(path):
            raise UserError(
                f"{path} is not empty and is no run: name a new folder; nothing in it was touched"
            )
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, {"format": FORMAT, "status": "running", "started": now()} | manifest)
        run.save_manifest()
        return run

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """Open a run. Raises UserError when the folder is missing, is no run, or is of another format."""
        path = Path(path)
        if not cls.is_run(path):
            raise UserError(f"{path} is not a run folder (no manifest.json): make one with `upcrack train`")
        remedy = f"copy the run again, or delete {path} and train anew"
        manifest = read_json(path / "manifest.json", "run", remedy, FORMAT, _FIELDS)
        return cls(path, manifest)

    @classmethod
    @contextmanager
    def working(
        cls, path: Path | str, what: dict[str, Any], older: dict[str, Any]
    ) -> Iterator[RunFolder | None]:
        """The run of these very facts, None for a new or empty folder; alone there unless the run is finished.

        older: values of the preset that a manifest means which lacks them, as the preset's `older` gives them.
        What killed processes left is cleared. Raises UserError where the folder holds another run, or one that
        failed, and nothing is touched; or where another process is at work in it.
        """
        run = cls._matching(path, what, older)
        if run is not None and run.finished:
            yield run
            return
        with alone_in(Path(path)), memory_for(f"the training in {path}", _LESS):
            run = cls._matching(path, what, older)
            if run is not None or not holds(Path(path)):
                clear_leftovers(Path(path))
            yield run

    @classmethod
    def _matching(cls, path: Path | str, what: dict[str, Any], older: dict[str, Any]) -> RunFolder | None:
        if not cls.is_run(path):
            return None
        run = cls.open(path)
        preset = {**older, **(run.manifest.get("preset") or {})}
        differ = _differences({**BEFORE, **run.manifest, "preset": preset}, what)
        if differ:
            raise UserError(
                f"{path} holds a run with another {'; '.join(differ)}. Name another folder (--out; for a "
                "cell --runs), or delete this one; nothing was touched"
            )
        if run.manifest.get("status") == "failed":
            raise UserError(
                f"{path} holds a run that failed ({run.manifest.get('error')}): look at its log.csv, "
                "then delete the folder, or name another one"
            )
        if run.finished:
            for left in ("resume.pt", LOCK):  # by a process that was killed as it finished
                with contextlib.suppress(OSError):
                    (run.path / left).unlink(missing_ok=True)
        return run

    def begin(self, environment: dict[str, Any], facts: dict[str, Any]) -> None:
        """Note in the manifest where this start takes place, from `environment()`, and facts that are known by now.

        `environment` is the latest. `environments` lists one of each kind, in order, once there is more than one
        commit, state of the tree, digest of the code or device among the starts that the training goes on from.
        """
        earlier = self.starts()
        kinds = [[one.get(name) for name in _TOLD_APART] for one in earlier]
        if [environment.get(name) for name in _TOLD_APART] not in kinds:
            earlier.append(environment)
        self.manifest |= {"environment": environment, "style_weights": None, "start_sha256": None} | facts
        self.manifest.pop("environments", None)
        if len(earlier) > 1:
            self.manifest["environments"] = earlier
        self.save_manifest()

    def starts(self) -> list[dict[str, Any]]:
        """The environments that the model was trained in so far; a start that left no `resume.pt` does not count."""
        if not self.finished and not (self.path / "resume.pt").is_file():
            return []
        single = self.manifest.get("environment")
        return list(self.manifest.get("environments") or ([single] if single else []))

    def fail(self, error: str, where: str, advice: str) -> NoReturn:
        """Note in the manifest that training failed, and raise UserError."""
        self.manifest |= {"status": "failed", "error": error}
        self.save_manifest()
        kept = (self.path / "checkpoint.safetensors").is_file()
        last = f"the last good checkpoint is in {self.path}" if kept else "no checkpoint was written yet"
        raise UserError(f"training stopped {where}: {error}. {advice}; {last}")

    def finish(
        self,
        counts: tuple[int, int],
        seconds: float,
        device: str,
        epochs: int = 0,
        steps: int = 0,
        best: int = -1,
    ) -> None:
        """Note in the manifest that training is done; what it would go on from is removed.

        counts: images to train on, and to validate on. best: the epoch whose weights are kept, -1 for none.
        """
        self.manifest |= {
            "status": "finished",
            "finished": now(),
            "peak_memory_mib": peak_memory_mib(),
            "checkpoint_sha256": self.weights_sha256(),
            "epochs_done": epochs,
            "steps_done": steps,
            "best_epoch": best,
            "train_seconds": seconds,
            "crops_trained": counts[0],
            "crops_validated": counts[1],
        }
        if device == "cuda":
            self.manifest["peak_gpu_memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
        self.save_manifest()
        (self.path / "resume.pt").unlink(missing_ok=True)

    @classmethod
    def is_run(cls, path: Path | str) -> bool:
        """True when the folder holds a manifest of any format."""
        return (Path(path) / "manifest.json").is_file()

    def save_manifest(self) -> None:
        """Write the manifest as it is in memory."""
        write_json(self.path / "manifest.json", self.manifest)

    def check_there(self) -> None:
        """Raise UserError where somebody has removed the folder meanwhile; else writing would make half of one."""
        if not self.is_run(self.path):
            raise UserError(f"{self.path} was removed or renamed while its training ran: train anew")

    def weights_sha256(self) -> str:
        """SHA-256 of the file of weights. Raises UserError where there is none."""
        file = self.path / "checkpoint.safetensors"
        if not file.is_file():
            raise UserError(f"{file} is not there: {self._remedy()}")
        return hashlib.sha256(file.read_bytes()).hexdigest()

    def _remedy(self) -> str:
        return f"put it back, go on with the training, or delete the folder {self.path} and train anew"

    def save_weights(self, state: dict[str, torch.Tensor]) -> None:
        """Write the weights. Raises UserError for some that are no sound numbers; the file stays as it was."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        file = self.path / "checkpoint.safetensors"
        check_numbers(tensors, file)
        if self.manifest.pop("checkpoint_sha256", None) is not None:
            self.save_manifest()
        write_atomically(file, lambda p: p.write_bytes(save(tensors)))

    def load_weights(self) -> dict[str, torch.Tensor]:
        """Read the weights. Raises UserError as `read_state`, or for other bytes than those of the finished run."""
        file, known = self.path / "checkpoint.safetensors", self.manifest.get("checkpoint_sha256")
        weights = read_state(file, "checkpoint", self._remedy())
        # Hashed only where there is a digest to hold.
        if known is not None and known != self.weights_sha256():
            raise UserError(f"{file} is not as the training left it (checkpoint_sha256): {self._remedy()}")
        return weights

    def preset_values(self) -> dict[str, Any]:
        """The preset as the manifest holds it. Raises UserError where it holds none."""
        values = self.manifest.get("preset")
        if not isinstance(values, dict):
            raise UserError(
                f"{self.path}: its manifest holds no preset, so its network is unknown: train anew"
            )
        return values

    def load_into(self, network: torch.nn.Module, what: str) -> None:
        """Give a network, built as `what` says, the weights. Raises UserError where they do not fit it."""
        weights = self.load_weights()
        check_numbers(weights, self.path / "checkpoint.safetensors", network.state_dict())
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(
                f"the checkpoint in {self.path} does not fit its manifest ({what}): one of the two files was "
                "replaced; copy the run again"
            ) from error

    def save_resume(self, state: dict[str, Any]) -> None:
        """Write everything that training needs to go on: one file, so that its parts belong together."""

        def write(aside: Path) -> None:
            # To a file of Python's: PyTorch's own reports a full disk as RuntimeError.
            with aside.open("wb") as file:
                torch.save(state, file)

        write_atomically(self.path / "resume.pt", write)

    def load_resume(self, take_up: Callable[[dict[str, Any]], None]) -> bool:
        """Let that state be taken up; False when there is none. Raises UserError for one that is damaged."""
        file = self.path / "resume.pt"
        if not file.is_file():
            return False
        try:
            with memory_for(f"{file}", _LESS):
                take_up(torch.load(file, map_location="cpu", weights_only=True))
        except UserError:
            raise
        except Exception as error:  # torch raises many kinds for a damaged file
            raise UserError(f"{file} is damaged ({error!r}): remove it and train anew") from error
        return True

    def save_log(self, rows: list[dict[str, Any]]) -> None:
        """Write all rows of the log (one an epoch); the columns are the union of the rows' keys."""
        write_csv(self.path / "log.csv", rows)

    def log(self) -> list[dict[str, float]]:
        """Read the log back: a dict of numbers per epoch; empty cells are left out."""
        file = self.path / "log.csv"
        if not file.is_file():
            return []
        rows = read_csv(file, {"epoch": int}, f"delete {self.path} and train anew", _number)
        return [{name: value for name, value in row.items() if value is not None} for row in rows]


class Resumable:
    """What a training puts aside and takes up again: the state of its `parts`, and of the random streams.

    A subclass names its parts, attributes with a `state_dict`, among them its `optimizer`, unless it says its `rates`
    itself; it has `fabric` and the torch.Generator `draws`.
    """

    parts: tuple[str, ...]

    def state(self) -> dict[str, Any]:
        """Everything that a later process needs to go on exactly here."""
        cuda = torch.cuda.get_rng_state(self.fabric.device) if self.fabric.device.type == "cuda" else None
        streams = {"draws": self.draws.get_state(), "rng": torch.get_rng_state(), "rng_cuda": cuda}
        return {name: getattr(self, name).state_dict() for name in self.parts} | streams

    def facts(self) -> dict[str, Any]:
        """What the manifest holds of the task, beside what `describe` says; mostly nothing."""
        return {}

    def rates(self) -> dict[str, float]:
        """Learning rates for the log."""
        return {"lr": self.optimizer.param_groups[0]["lr"]}

    def finish(self, load: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor] | None:
        """What replaces the weights of the best epoch, which `load` reads, at the end; mostly nothing."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up a saved state, random streams included."""
        for name in self.parts:
            getattr(self, name).load_state_dict(state[name])
        self.draws.set_state(state["draws"])
        torch.set_rng_state(state["rng"])
        if state["rng_cuda"] is not None and self.fabric.device.type == "cuda":
            torch.cuda.set_rng_state(state["rng_cuda"], self.fabric.device)


def _number(cell: str) -> float | None:
    return None if not cell else int(cell) if cell.isdigit() else float(cell)


def _differences(present: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Name the facts that differ, with both values where they are short."""
    differ = []
    for key, value in wanted.items():
        have = present.get(key)
        if have == value:
            continue
        if isinstance(have, dict) and isinstance(value, dict):
            inner = sorted(k for k in have.keys() | value.keys() if have.get(k) != value.get(k))
            differ.append(f"{key} ({', '.join(inner)})")
        else:
            differ.append(f"{key} ({have}, asked for {value})" if len(f"{have}{value}") < 60 else key)
    return differ


def check_numbers(
    state: dict[str, torch.Tensor], file: Path | str, own: dict[str, torch.Tensor] | None = None
) -> None:
    """Raise UserError, with the file and the tensor, where a value is NaN or infinite, or of an odd type.

    own: of the network that takes them; integers in place of its weights are of an odd type, too.
    """
    for name, tensor in state.items():
        fraction = own is not None and name in own and own[name].is_floating_point()
        if (fraction and not tensor.is_floating_point()) or tensor.dtype not in _TYPES:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise UserError(f"{file}: {name} is of the type {kind}, so it is no weight: save it as float32")
        if not torch.isfinite(tensor).all():
            raise UserError(
                f"{file}: {name} holds NaN or infinite values, so nothing can be computed with it: take the file "
                "anew from where it was right, or train anew with a smaller learning rate"
            )


def read_state(path: Path | str, what: str, remedy: str) -> dict[str, torch.Tensor]:
    """Read a table of tensors, .safetensors or what `torch.save` wrote. No code in the file is run.

    what: such as "VGG weights", for the error. Raises UserError, with `remedy`, for a file that is missing, damaged,
    or holds something else or no sound numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no {what} at {path}: {remedy}")
    try:
        with memory_for(f"{path}", "free some, or take a machine with more"):
            state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    except UserError:
        raise
    except Exception as error:  # PyTorch raises a dozen kinds for a file that is something else
        raise UserError(f"{path} is damaged, or holds no {what} ({error}): {remedy}") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise UserError(f"{path} holds no table of tensors, so no {what}: save model.state_dict()")
    check_numbers(state, path)
    return state


def check_crops(images: np.ndarray, size: int, groups: list[str] | None) -> list[str]:
    """The photo of each crop: `groups`, or a photo of its own for each.

    Raises UserError unless images are uint8 ``(N, size, size, 3)`` with N above 0, and N groups, where given.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (size, size, 3):
        raise UserError(f"crops must be uint8 (N, {size}, {size}, 3), got {images.dtype} {images.shape}")
    if not len(images):
        raise UserError("there is no crop to train on")
    groups = groups if groups is not None else [str(i) for i in range(len(images))]
    if len(groups) != len(images):
        raise UserError(f"{len(groups)} groups for {len(images)} crops: give the photo of each crop")
    return groups


def describe(
    method: str,
    preset: Any,
    images: np.ndarray,
    data: dict[str, Any] | None,
    seed: int,
    max_steps: int | None,
    precision: str,
    own: dict[str, Any],
) -> dict[str, Any]:
    """The facts that make a run what it is, for its manifest: the same facts are the same run.

    preset: has `to_dict` and `overrides`. data: facts about the crops. own: facts that only this method has.
    """
    what = {
        "method": method,
        "training_version": training_version(method),
        "preset": preset.to_dict(),
        "overrides": preset.overrides(),
        "seed": seed,
        "max_steps": max_steps,
        "precision": precision,
        **own,
        "data": {"crops": len(images), "sha256": data_hash(images)} | (data or {}),
    }
    return json.loads(json.dumps(what))  # as a manifest gives it back, where tuples have become lists


def train_at_once(
    learn: Callable[[], dict[str, torch.Tensor]],
    what: dict[str, Any],
    preset: Any,
    out: Path | str,
    device: str,
    counts: tuple[int, int],
) -> RunFolder:
    """A training without steps, in its run folder; one that was stopped begins anew.

    learn: gives what is kept, once it is known that there is work. what: the run's facts, from `describe`.
    counts: images to learn from, and to validate on. Raises UserError for a folder that belongs to another run.
    """
    with RunFolder.working(out, what, preset.older()) as run:
        if run is not None and run.finished:
            return run
        run, began = run or RunFolder.create(out, what), time.monotonic()
        weights = learn()
        run.check_there()
        run.save_weights(weights)
        run.begin(environment(device), {})
        run.finish(counts, round(time.monotonic() - began, 3), device)
        return run


def data_hash(images: np.ndarray) -> str:
    """SHA-256 over the shape and bytes of an array: which data a run has seen."""
    digest = hashlib.sha256(repr((images.shape, str(images.dtype))).encode())
    for image in images:  # one at a time, so that a memory-mapped set need not fit into memory
        digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


def weights_hash(weights: dict[str, torch.Tensor]) -> str:
    """SHA-256 over names and values: weights to start from are part of what a run is."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()


def check_device(name: str) -> str:
    """Resolve "auto", "cpu" or "cuda" to "cpu" or "cuda". Raises UserError for another name or no GPU."""
    check_value("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda was asked for, but PyTorch sees no GPU here: use auto or cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def peak_memory_mib() -> int:
    """The most memory this process has held so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)  # bytes there, KiB here


def environment(used_device: str = "") -> dict[str, Any]:
    """Commit, versions, device and determinism flags, as read back from where they live.

    used_device: of this work, such as "cpu" or "cuda:0"; named where given.
    """
    lock = _ROOT / "requirements" / "lock.txt"
    facts = {
        "kit": __version__,
        "commit": _commit(),
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
        "code_sha256": code_digest(),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "platform": platform.platform(terse=True),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
    }
    return facts | ({"used_device": used_device} if used_device else {})


@cache
def code_digest() -> str:
    """SHA-256 over all Python files of the kit, with their names: for those who look for a difference.

    It is never compared, so that a changed comment makes nothing stale; what is compared are `versions`.
    """
    root, total = Path(__file__).resolve().parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return total.hexdigest()


def _commit() -> dict[str, Any]:
    """The commit of the code and whether the tree differs from it; UPCRACK_COMMIT where git does not keep this code.

    The kit may be installed inside another project's repository: only one that tracks this very file counts.
    Raises UserError where UPCRACK_COMMIT is no commit.
    """
    try:
        _git("ls-files", "--error-unmatch", "--", "upcrack_lite/runs.py")
        head = _git("rev-parse", "HEAD")
        # A new or replaced record is what a run makes, not what it is made from.
        status = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)results")
        return {"id": head, "dirty": bool(status)}
    except (OSError, subprocess.SubprocessError):
        given = os.environ.get("UPCRACK_COMMIT") or None
    if given and not re.fullmatch(COMMIT, given):
        raise UserError(
            f"UPCRACK_COMMIT is {given!r}, which is no commit: set it to the 7 to 40 digits (0-9, a-f) of the commit "
            "that the code comes from, or unset it"
        )
    return {"id": given, "dirty": None}


def _git(*words: str) -> str:
    """What git prints at the root of the code. Raises OSError or SubprocessError where there is no answer."""
    call = ["git", "-C", str(_ROOT), *words]
    return subprocess.run(call, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
