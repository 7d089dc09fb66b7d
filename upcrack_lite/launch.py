"""Start processes that train together, and end them together.

Fabric knows which process has which device and how to talk to the others; here is what it leaves to a script: new
processes from any program (a command, a test, a notebook), and one error, the first, when one of them fails.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.strategies import DDPStrategy
from torch import nn
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException, start_processes

from upcrack_lite.errors import UserError

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others, who may be judging held-out crops, before it gives up."""


class _OwnSums(DDPStrategy):
    """Fabric's DDP without the wrapper that adds gradients up during the backward pass.

    The wrapper wants one backward pass for each forward pass, through all parameters. Here D is run twice before
    its backward pass, and once, frozen, in G's step, and G is run once without any. `spread.sum_gradients` after
    the backward pass says what happens in one line.
    """

    def setup_module(self, module: nn.Module) -> nn.Module:
        return module


def check_devices(devices: int, device: str, batch_size: int) -> None:
    """Raise UserError for a number of processes that cannot train together, with the reason.

    device: "cpu" or "cuda". batch_size: over all processes.
    """
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        raise UserError(f"devices must be a whole number from 1 on, got {devices!r}")
    if devices == 1:
        return
    if device == "cuda" and devices > torch.cuda.device_count():
        raise UserError(
            f"{devices} devices were asked for, but PyTorch sees {torch.cuda.device_count()} GPU(s) here: ask for "
            "fewer, or use device cpu"
        )
    if devices > batch_size:
        raise UserError(
            f"a batch of {batch_size} images cannot be shared by {devices} processes: use {batch_size} devices at "
            "most, or a larger batch_size"
        )
    if not dist.is_available():
        raise UserError("this PyTorch was built without torch.distributed: use devices 1")


def launch(
    function: Callable[..., None], processes: int, device: str, precision: str, *arguments: Any
) -> None:
    """Run ``function(fabric, *arguments)`` in so many new processes at once; return when all are done.

    function: of a module that can be imported; it and the arguments are pickled. device: "cpu" (exchange by gloo,
    through the loopback interface alone) or "cuda" (nccl, one process a GPU). precision: Fabric's name.
    A script needs ``if __name__ == "__main__":``, since a new process imports it. Threads are shared out evenly.
    Raises UserError when a process raised one or was killed, RuntimeError with its traceback when it failed
    otherwise. The other processes are ended at once then.
    """
    threads = max(1, torch.get_num_threads() // processes)
    # A fork of a program that has used several threads, or a GPU, may hang or fail. A fork server is a fresh process
    # that has only imported what is needed, once for all; but even an import may look for GPUs.
    how = "spawn" if device == "cuda" else "forkserver"
    multiprocessing.set_forkserver_preload(["upcrack_lite.training"])
    flags = (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark)
    with tempfile.TemporaryDirectory(prefix="upcrack-") as folder:
        common = (processes, device, precision, folder, threads, flags, function, arguments)
        context = start_processes(_child, common, processes, join=False, daemon=True, start_method=how)
        try:
            while not context.join():  # ends all others when one has failed
                pass
        except (ProcessExitedException, ProcessRaisedException) as error:
            codes = [process.exitcode for process in context.processes]
            if 130 in codes:
                raise KeyboardInterrupt from None
            raise _cause(Path(folder), codes, error) from None
        finally:  # after Ctrl+C, which `join` does not handle
            for process in context.processes:
                process.terminate()
            for process in context.processes:
                process.join(10)
                process.kill()


def _child(
    rank: int,
    processes: int,
    device: str,
    precision: str,
    folder: str,
    threads: int,
    flags: tuple[bool, bool],
    function: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    """What each new process does: meet the others, work, and leave a note when that fails."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(flags[0])
        torch.backends.cudnn.benchmark = flags[1]
        function(_connect(rank, processes, device, precision, folder, threads), *arguments)
        dist.destroy_process_group()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        # The note comes before the end of this process, which makes the others fail, too: so it is the first.
        user = isinstance(error, UserError)
        text = str(error) if user else f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}"
        note = {"at": time.time_ns(), "rank": rank, "user": user, "text": text}
        (Path(folder) / f"{rank}.error").write_text(json.dumps(note), encoding="utf-8")
        sys.exit(1)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, whatever killed it: nobody would read its results.

    Else it would go on writing to a run folder that the next call takes up.
    """
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _connect(
    rank: int, processes: int, device: str, precision: str, folder: str, threads: int
) -> lightning.Fabric:
    """Join the others. They meet through a file, so that no port is opened for that."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    for library in ("GLOO", "NCCL"):
        os.environ[f"{library}_SOCKET_IFNAME"] = loopback
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "OMP_NUM_THREADS": str(threads)}
    if device == "cuda":
        torch.cuda.set_device(rank)
    store = dist.FileStore(str(Path(folder) / "meeting"), processes)
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=processes, timeout=TIMEOUT)
    fabric = lightning.Fabric(
        accelerator=device,
        devices=processes,
        strategy=_OwnSums(timeout=TIMEOUT),
        precision=precision,
        plugins=[LightningEnvironment()],  # not what a scheduler's variables around us may say
    )
    fabric.launch()
    return fabric


def _cause(folder: Path, codes: list[int | None], error: Exception) -> Exception:
    """What went wrong first, as an exception to raise.

    folder: with the notes. codes: exit codes by rank. error: what is known beside them.
    """
    # A process that was killed from outside left no note, but the others did, about the exchange that broke off.
    # SIGTERM is how `join` ends those others, after it has found the first; that one it names.
    killed = {rank: -code for rank, code in enumerate(codes) if code and code < 0 and -code != signal.SIGTERM}
    if not killed and getattr(error, "signal_name", None):
        killed = {error.error_index: signal.Signals[error.signal_name]}
    if killed:
        rank, number = next(iter(killed.items()))
        return UserError(
            f"the process of rank {rank} (of {len(codes)}) was killed by {signal.Signals(number).name}. If memory "
            "ran out, use fewer devices in a new folder; otherwise the same call goes on from the last whole epoch"
        )
    notes = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.error")]
    if not notes:
        return RuntimeError(
            f'a process could not start: {error}. A script needs `if __name__ == "__main__":` around its call'
        )
    first = min(notes, key=lambda note: note["at"])
    if first["user"]:
        return UserError(first["text"])
    return RuntimeError(f"the process of rank {first['rank']} (of {len(codes)}) failed: {first['text']}")
