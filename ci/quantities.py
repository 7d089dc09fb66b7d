"""What `compare` measures on each device, from the networks to the crack masks, and how far it may differ."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightning
import torch

from upcrack_lite.detection import compare, smooth_and_threshold
from upcrack_lite.pretrained import load_generator, stored_run
from upcrack_lite.recipes import Preset, from_dict
from upcrack_lite.training import Batch, Trainer, make_batch


@dataclass(frozen=True)
class Limit:
    """How far a quantity may be from the reference, for each kind of arithmetic, and why so far."""

    float32: float
    tf32: float
    bf16: float
    why: str


# A product keeps 24 bits in float32, 11 in TF32 and 8 in bf16: rounding of 6e-8, 5e-4 and 4e-3. The limits leave room
# for a wider network than that of the rehearsal, where float32 and bf16 stay below a tenth of most of them.
LIMITS = {
    "G: output, largest difference": Limit(
        1e-4, 2e-2, 0.1, "on [-1, 1]; sixteen layers, and batch norm over few pixels enlarges what reaches it"
    ),
    "D: logits, difference over their size": Limit(1e-4, 1e-2, 0.1, "five layers, sums in another order"),
    "loss": Limit(1e-4, 3e-3, 2e-2, "relative; a mean over many pixels, where roundings cancel"),
    "gradient": Limit(
        2e-3,
        0.1,
        0.4,
        "length of the difference over the gradient's; |x| has a kink, and all of the above again",
    ),
    "update of a step": Limit(
        0.15,
        0.5,
        0.9,
        "length of the difference over the update's; the sign of a gradient near zero is chance",
    ),
    "loss of the next step": Limit(1e-3, 1e-2, 5e-2, "relative; after weights that differ as above"),
    "error map, largest difference": Limit(1e-4, 1e-2, 5e-2, "on [0, 1], of the stored trained network"),
    "error map, mean difference": Limit(1e-5, 1e-3, 5e-3, "on [0, 1]"),
    "crack mask, share that differs": Limit(
        2e-3, 1e-2, 5e-2, "a pixel at the cut falls to either side, and the cut may move by a gray level"
    ),
}


@dataclass(frozen=True)
class Mode:
    """One way to compute: a device, a precision for Fabric, and flags."""

    name: str
    device: str
    kind: str  # of `Limit`
    precision: str = "32-true"
    tf32: bool = False
    onednn: bool = True


REFERENCE = Mode("CPU", "cpu", "float32")
MODES = {
    "cuda": [
        Mode("GPU, TF32 off", "cuda", "float32"),
        Mode("GPU, TF32 on", "cuda", "tf32", tf32=True),
        Mode("GPU, bf16-mixed", "cuda", "bf16", precision="bf16-mixed"),
    ],
    "cpu": [
        Mode("CPU without oneDNN", "cpu", "float32", onednn=False),
        Mode("CPU, bf16-mixed", "cpu", "bf16", precision="bf16-mixed"),
    ],
}


@contextlib.contextmanager
def arithmetic(mode: Mode) -> Iterator[None]:
    """Set what the mode says, and put it back."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = mode.tf32
    try:
        with contextlib.nullcontext() if mode.onednn else torch.backends.mkldnn.flags(enabled=False):
            yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


def measured(mode: Mode, chosen: Preset, images: torch.Tensor, weights: dict[str, Any]) -> dict[str, Any]:
    """Everything that is compared, on the CPU. weights: filled by the first call, used by the later ones."""
    fabric = lightning.Fabric(accelerator=mode.device, devices=1, precision=mode.precision)
    trainer = Trainer(chosen, fabric, 0, "random")
    parts = {"g": trainer.g, "d": trainer.d, "vgg": trainer.vgg}
    states = {"opt_g": trainer.opt_g.state_dict(), "opt_d": trainer.opt_d.state_dict()}
    if not weights:
        weights |= {name: _copy(net.state_dict()) for name, net in parts.items() if net is not None}

    def reset() -> None:
        for name, net in parts.items():
            if net is not None:
                net.load_state_dict(weights[name])
        trainer.opt_g.load_state_dict(states["opt_g"])
        trainer.opt_d.load_state_dict(states["opt_d"])

    made = make_batch(images, chosen, torch.Generator().manual_seed(0))  # on the CPU, so the same for all
    where = fabric.device
    batch = Batch(made.image.to(where), made.masked.to(where), made.mask.to(where))
    got: dict[str, Any] = {}
    reset()
    with torch.no_grad():
        got["output"] = trainer.g(batch.masked).float().cpu()
        got["logits"] = trainer.d(batch.masked, batch.image).float().cpu()
    reset()
    got["losses"] = {"d": trainer.step_d(batch).item()}
    got["gradient d"] = _gradient(trainer.d)
    reset()
    got["losses"] |= {name: value.item() for name, value in trainer.step_g(batch).items()}
    got["gradient g"] = _gradient(trainer.g)
    reset()
    trainer.step(batch)
    got["weights"] = {
        name: torch.cat([p.detach().float().cpu().flatten() for p in parts[name].parameters()])
        for name in ("g", "d")
    }
    got["next"] = trainer.step(batch)["total"].item()
    return got


def detected(mode: Mode, photos: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Error maps and crack masks of the stored network, without dropout, on the CPU."""
    generator, _ = load_generator(stored_run(), mode.device)
    fabric = lightning.Fabric(accelerator=mode.device, devices=1, precision=mode.precision)
    values = from_dict(stored_run().manifest["preset"] | {"test_dropout": False})
    with fabric.autocast():
        _, errors = compare(generator, photos.to(mode.device), values)
    errors = errors.float().cpu()
    smoothed, cuts = smooth_and_threshold(errors, values)
    return errors, smoothed > cuts.view(-1, 1, 1, 1) + 1e-6


def _copy(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def _gradient(net: torch.nn.Module) -> torch.Tensor:
    return torch.cat(
        [p.grad.detach().float().cpu().flatten() for p in net.parameters() if p.grad is not None]
    )


def differences(got: dict[str, Any], wanted: dict[str, Any], start: dict[str, Any], chosen: Preset) -> dict:
    """Name to (quantity of `LIMITS`, distance, the reference's own size)."""
    far: dict[str, tuple[str, float, float]] = {}
    largest = (got["output"] - wanted["output"]).abs().max().item()
    name = "G: output, largest difference"
    far[name] = (name, largest, wanted["output"].abs().max().item())
    name = "D: logits, difference over their size"
    far[name] = (name, _apart(got["logits"], wanted["logits"]), wanted["logits"].norm().item())
    for term, value in wanted["losses"].items():
        far[f"loss {term}"] = ("loss", _relative(got["losses"][term], value), value)
    for net in ("g", "d"):
        key = f"gradient {net}"
        far[f"gradient of {net.upper()}"] = (
            "gradient",
            _apart(got[key], wanted[key]),
            wanted[key].norm().item(),
        )
        new, old = got["weights"][net], wanted["weights"][net]
        first = start[net]
        far[f"update of {net.upper()}"] = (
            "update of a step",
            _apart(new - first, old - first),
            (old - first).norm().item(),
        )
    far["total loss of the next step"] = (
        "loss of the next step",
        _relative(got["next"], wanted["next"]),
        wanted["next"],
    )
    errors, masks = got["detection"]
    errors_wanted, masks_wanted = wanted["detection"]
    away = (errors - errors_wanted).abs()
    for name, value, size in (
        ("error map, largest difference", away.max().item(), errors_wanted.max().item()),
        ("error map, mean difference", away.mean().item(), errors_wanted.mean().item()),
        (
            "crack mask, share that differs",
            (masks != masks_wanted).float().mean().item(),
            masks_wanted.float().mean().item(),
        ),
    ):
        far[name] = (name, value, size)
    return far


def _apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm().clamp_min(1e-12)).item()


def _relative(a: float, b: float) -> float:
    return abs(a - b) / max(abs(b), 1e-12)


def flat(state: dict[str, torch.Tensor], count: int, chosen: Preset, name: str) -> torch.Tensor:
    """The weights in the order of `parameters()`; what batch norm counts and averages is none of them."""
    kept = [t.float().flatten() for key, t in state.items() if not key.endswith(("mean", "var", "tracked"))]
    flat = torch.cat(kept)
    assert len(flat) == count, f"{name}: {len(flat)} weights for {count} of width {chosen.width}"
    return flat
