"""The epochs of one run: steps, validation, log, checkpoint, early stop (paper, section IV-B)."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from upcrack_lite.batches import epoch
from upcrack_lite.errors import UserError
from upcrack_lite.repro.runs import RunFolder, now, peak_memory_mib
from upcrack_lite.steps import Trainer, picture


@dataclasses.dataclass
class Position:
    """Where a run stands; saved with the networks after every epoch."""

    epoch: int = 0
    steps: int = 0
    best: float = math.inf
    best_epoch: int = -1
    seconds: float = 0.0


class Loop:
    """The epochs of one run: steps, validation, log, checkpoint, early stop.

    Of several processes, the first alone writes and judges the held-out crops; all make the same decisions.
    """

    def __init__(
        self,
        trainer: Trainer,
        run: RunFolder,
        images: np.ndarray,
        training: np.ndarray,
        validation: np.ndarray,
        seed: int,
        max_steps: int | None,
        progress: bool,
    ) -> None:
        self.trainer, self.run, self.preset, self.seed = trainer, run, trainer.preset, seed
        # Indices, not a copy: the training crops may lie in a memory-mapped file larger than memory.
        self.images, self.training, self.valid_images = images, training, images[validation]
        self.first = trainer.fabric.is_global_zero
        self.max_steps, self.progress = max_steps, progress and self.first
        self.at, self.rows = Position(), []
        saved = run.load_resume()
        if saved:
            trainer.load_state(saved["trainer"])
            self.at = Position(**saved["position"])
            self.rows = [row for row in run.log() if row["epoch"] < self.at.epoch]
        if self.first:
            self.board = SummaryWriter(str(run.path / "tensorboard"), purge_step=self.at.epoch)

    def run_all(self) -> RunFolder:
        bar = tqdm(
            total=self.preset.epochs,
            initial=self.at.epoch,
            disable=not self.progress,
            desc="training",
            unit="epoch",
        )
        with bar:
            while self.at.epoch < self.preset.epochs and not self._enough():
                row = self._one_epoch()
                bar.update()
                bar.set_postfix({k: f"{row[k]:.3g}" for k in ("mae", "valid") if k in row})
        if self.first:
            self.board.close()
            self._finish()
        return self.run

    def _enough(self) -> bool:
        if self.max_steps is not None and self.at.steps >= self.max_steps:
            return True
        stale = self.at.epoch - 1 - self.at.best_epoch
        return bool(self.preset.patience and len(self.valid_images) and stale >= self.preset.patience)

    def _one_epoch(self) -> dict[str, float]:
        began, trainer = time.monotonic(), self.trainer
        trainer.set_epoch(self.at.epoch)
        sums: dict[str, float] = {}
        batches = 0
        fabric = trainer.fabric
        mine = (fabric.world_size, fabric.global_rank)
        for batch in epoch(self.images, self.preset, trainer.draws, fabric.device, self.training, *mine):
            terms = {name: term.item() for name, term in trainer.step(batch).items()}
            self._check_finite(terms)
            sums = {name: sums.get(name, 0.0) + value for name, value in terms.items()}
            batches += 1
            self.at.steps += 1
            if self.max_steps is not None and self.at.steps >= self.max_steps:
                break
        row: dict[str, float] = {"epoch": self.at.epoch, "steps": self.at.steps}
        row |= {name: value / batches for name, value in sums.items()}
        row["lr_g"] = trainer.opt_g.param_groups[0]["lr"]
        last = self.at.epoch + 1 == self.preset.epochs or self.max_steps == self.at.steps
        if last or (self.at.epoch + 1) % self.preset.validate_every == 0:
            self._validate(row)
        self.at.seconds += time.monotonic() - began
        row["seconds"] = round(self.at.seconds, 2)
        self.at.epoch += 1
        state = {"trainer": trainer.state(), "position": dataclasses.asdict(self.at)}
        if self.first:
            self._save(row, state)
        return row

    def _save(self, row: dict[str, float], state: dict[str, Any]) -> None:
        for name, value in row.items():
            self.board.add_scalar(name, value, row["epoch"])
        self.rows.append(row)
        self.run.save_log(self.rows)
        self.run.save_resume(state)

    def _validate(self, row: dict[str, float]) -> None:
        """Judge the held-out crops; without any, the last epoch counts as the best."""
        value = -float(self.at.epoch)
        if len(self.valid_images):
            found = self.trainer.validate(self.valid_images, self.seed) if self.first else None
            value = row["valid"] = self.trainer.fabric.broadcast(found)
            self._check_finite({"valid": value})
        better = value < self.at.best
        if better:
            self.at.best, self.at.best_epoch = value, self.at.epoch
        if not self.first:
            return
        if better:
            self.run.save_weights(self.trainer.g.state_dict())
        picture(
            self.trainer,
            self.images[self.training[:4]],
            self.seed,
            self.run.path / "progress" / f"{self.at.epoch:04d}.png",
        )

    def _check_finite(self, terms: dict[str, float]) -> None:
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        if bad:
            if self.first:
                self.run.manifest |= {"status": "failed", "error": f"not finite: {', '.join(bad)}"}
                self.run.save_manifest()
            self.trainer.fabric.barrier()  # the first process to raise ends them all
            kept = (self.run.path / "checkpoint.safetensors").is_file()
            where = f"the last good checkpoint is in {self.run.path}" if kept else "no epoch was completed"
            raise UserError(
                f"training stopped in epoch {self.at.epoch}, step {self.at.steps}: {', '.join(bad)} is not "
                f"finite. Lower lr_g ({self.preset.lr_g}) or leave the term out; {where}"
            )

    def _finish(self) -> None:
        self.run.manifest |= {
            "status": "finished",
            "finished": now(),
            "epochs_done": self.at.epoch,
            "steps_done": self.at.steps,
            "best_epoch": self.at.best_epoch,
            "train_seconds": round(self.at.seconds, 1),
            "peak_memory_mib": peak_memory_mib(),
            "crops_trained": len(self.training),
            "crops_validated": len(self.valid_images),
        }
        if self.trainer.fabric.device.type == "cuda":
            self.run.manifest["peak_gpu_memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
        self.run.save_manifest()
        (self.run.path / "resume.pt").unlink(missing_ok=True)
