"""How long a training step takes: the loop of the authors' program, and the kit's, alternating in one run.

    python benchmarks/training_speed.py --out benchmarks/training_speed.json

`Released` is written anew, for timing alone, with the habits of the released program: float32; a picture at a time is
prepared with PIL and NumPy; G runs twice; its picture is not detached when D learns, so D's loss goes back through G
for nothing; D's own gradients are computed again when G learns; VGG runs to its last layer although an earlier one
is the last that is used, and for the target with a graph; the window of SSIM is two-dimensional; eight losses are
read after every step. Weights of VGG are random: only time is measured. Both have the same recipe, `released`.
Before that the kit's step is timed with few and with many crops.
"""

from __future__ import annotations

import itertools
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from lightning import Fabric
from PIL import Image
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import vgg19

from upcrack_lite.data.folders import blank_images
from upcrack_lite.discriminator import Discriminator
from upcrack_lite.generator import Generator
from upcrack_lite.io import write_json
from upcrack_lite.losses import gram
from upcrack_lite.masks import draw
from upcrack_lite.recipes import Preset, preset
from upcrack_lite.training import Trainer, numbers

CROPS = (300, 3_000, 30_000)
COMBINATIONS = {"all five losses": {"lambda_style": 10.0}, "without style": {"lambda_style": 0.0}}
KIT = {"kit, float32": "32-true", "kit, bfloat16": "bf16-mixed"}
RELEASED = "released loop"
SCALES = {"width 64, 256 px": "full", "lite": "lite"}
LAYERS = {8: "relu2_2", 17: "relu3_4", 26: "relu4_4", 31: "relu5_2"}
"""Place in VGG-19's list of layers: those whose Gram matrices are compared."""


class Released:
    """One step of the released loop. folder: PNG files, which a step reads as its loader does."""

    def __init__(self, values: Preset, folder: Path, device: str) -> None:
        self.values, self.device = values, device
        self.files = sorted(folder.glob("*.png"))
        self.rng, self.draws = np.random.default_rng(0), torch.Generator().manual_seed(0)
        self.g = Generator(values.width, values.depth, values.dropout).to(device)
        self.d = Discriminator(values.disc_width).to(device)
        betas = (values.beta1, values.beta2)
        self.opt_g = torch.optim.Adam(self.g.parameters(), values.lr_g, betas)
        self.opt_d = torch.optim.Adam(self.d.parameters(), values.lr_d, betas)
        self.vgg = vgg19(weights=None).features.eval().requires_grad_(False).to(device)
        for module in self.vgg:
            if isinstance(module, torch.nn.ReLU):
                module.inplace = False
        places = torch.arange(11) - 5.0
        line = torch.exp(-(places**2) / (2 * 1.5**2))
        line = line / line.sum()
        self.window = (line[:, None] * line).expand(3, 1, 11, 11).contiguous().to(device)
        prewitt = torch.tensor([[1.0, 0, -1]] * 3) / 3
        self.prewitt = torch.stack([prewitt, prewitt.T])[:, None].to(device)

    def load(self, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
        """A picture and its masked twin, ``(3, S, S)`` in [-1, 1], by way of 8-bit pictures."""
        size, big = self.values.size, self.values.load_size
        image = np.asarray(Image.open(path).convert("RGB"))
        mask = draw(self.values.mask_family, 1, size, self.draws, self.values.mask_cells)[0, 0].numpy()
        masked = (image * mask[..., None]).astype(np.uint8)
        y, x = self.rng.integers(0, big - size + 1, 2)
        flip, pair = self.rng.random() < 0.5, []
        for picture in (image, masked):
            one = Image.fromarray(picture).resize((big, big), Image.Resampling.BILINEAR)
            one = np.asarray(one.crop((x, y, x + size, y + size)))
            one = one[:, ::-1] if flip else one
            pair.append(torch.from_numpy(one.copy()).permute(2, 0, 1).float() / 127.5 - 1)
        return pair[0], pair[1]

    def step(self) -> list[float]:
        """Load a batch, one step of D, one of G; the losses as numbers."""
        values, bce = self.values, functional.binary_cross_entropy
        chosen = self.rng.choice(self.files, values.batch_size)
        image, masked = (
            torch.stack(some).to(self.device) for some in zip(*map(self.load, chosen), strict=True)
        )
        restored = self.g(masked)
        self.opt_d.zero_grad()
        real, fake = (torch.sigmoid(self.d(masked, one)) for one in (image, restored))
        d_real, d_fake = bce(real, torch.ones_like(real)), bce(fake, torch.zeros_like(fake))
        d_loss = 0.5 * (d_real + d_fake)
        d_loss.backward()
        self.opt_d.step()

        restored = self.g(masked)
        self.opt_g.zero_grad()
        fake = torch.sigmoid(self.d(masked, restored))
        terms = {"adv": bce(fake, torch.ones_like(fake)), "mae": functional.l1_loss(restored, image)}
        terms |= {"ssim": self.ssim(restored, image), "gms": self.msgms(restored, image)}
        if values.lambda_style:
            terms["style"] = self.style(restored, image)
        restoration = sum(getattr(values, f"lambda_{name}") * terms[name] for name in terms if name != "adv")
        total = values.lambda_res * restoration + values.lambda_adv * terms["adv"]
        total.backward()
        self.opt_g.step()
        return [one.item() for one in (d_real, d_fake, d_loss, *terms.values(), total)]

    def ssim(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Mean of 1 - SSIM with a two-dimensional window, a convolution for each of the five moments."""
        mean = [functional.conv2d(x, self.window, padding=5, groups=3) for x in (a, b, a * a, b * b, a * b)]
        ma, mb, aa, bb, ab = mean
        upper = (2 * ma * mb + 1e-4) * (2 * (ab - ma * mb) + 9e-4)
        lower = (ma**2 + mb**2 + 1e-4) * (aa - ma**2 + bb - mb**2 + 9e-4)
        return (1 - upper / lower).mean()

    def msgms(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Mean over four scales of 1 - GMS, with a median filter before each gradient."""
        total = 0.0
        for scale in range(4):
            if scale:
                a, b = functional.avg_pool2d(a, 2), functional.avg_pool2d(b, 2)
            grads = []
            for x in (a, b):
                gray = functional.pad(x.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
                patches = gray.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4)
                median = functional.pad(patches.median(dim=-1).values, (1, 1, 1, 1), mode="replicate")
                grads.append((functional.conv2d(median, self.prewitt) ** 2).sum(1, True).add(1e-12).sqrt())
            ga, gb = grads
            total = total + (1 - (2 * ga * gb + 0.0026) / (ga**2 + gb**2 + 0.0026)).mean()
        return total / 4

    def style(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """L1 distance of Gram matrices; VGG runs to its end, once for each picture, the target with a graph."""
        kept: list[list[torch.Tensor]] = []
        for x in (a, b.clone().requires_grad_()):
            kept.append([])
            for place, layer in enumerate(self.vgg[:36]):  # relu5_4
                x = layer(x)
                if place in LAYERS:
                    kept[-1].append(x)
        return sum(functional.l1_loss(gram(one), gram(other)) for one, other in zip(*kept, strict=True))


def kit(values: Preset, images: np.ndarray, device: str, precision: Any) -> Callable[[], dict[str, float]]:
    """One step of the kit, from its batch to its losses as numbers."""
    fabric = Fabric(accelerator=device, devices=1, precision=precision)
    trainer = Trainer(values, fabric, 0, "random", images, (np.arange(len(images)), np.arange(0)))
    batches = itertools.chain.from_iterable(trainer.batches() for _ in itertools.count())
    return lambda: numbers(trainer.step(next(batches)))


def contender(name: str, values: Preset, images: np.ndarray, folder: Path, device: str) -> Callable[[], Any]:
    """A call of it is one step."""
    return (
        Released(values, folder, device).step if name == RELEASED else kit(values, images, device, KIT[name])
    )


def seconds(step: Callable[[], Any], device: str) -> float:
    """Wall clock of one step."""
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def matmul_peak(device: str, kind: torch.dtype, side: int = 2048) -> float:
    """Measured speed of a matrix product, in 10^9 operations a second (two for a multiply-add); the best of ten.

    As a product and as a 1 x 1 convolution, which on some processors takes another, faster library.
    """
    a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    image = a.view(1, side, 32, -1).to(memory_format=torch.channels_last)
    ways = (lambda: a @ b), (lambda: functional.conv2d(image, b[..., None, None]))
    return 2 * side**3 / min(seconds(way, device) for way in ways for _ in range(5)) / 1e9


def operations(step: Callable[[], Any]) -> float:
    """Operations of matrix products and convolutions in one step, in 10^9."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 1e9


def peak_memory(name: str, scale: str, changes: str, device: str, batch: int) -> int:
    """Peak memory of a process that does two steps, MiB."""
    words = [__file__, "--one", name, "--scale", scale, "--changes", changes]
    words += ["--device", device, "--batch", str(batch)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def setting(scale: str, changes: dict[str, Any], batch: int, folder: Path) -> tuple[Preset, np.ndarray, Path]:
    """Values, crops in memory and the same crops as files."""
    values = preset("released", scale, batch_size=batch, **changes)
    images = np.random.default_rng(0).integers(0, 256, (batch, values.size, values.size, 3), np.uint8)
    folder = folder / f"{values.size}"
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:03d}.png")
    return values, images, folder


def compare(scale: str, changes: dict[str, Any], device: str, batch: int, rounds: int) -> list[dict]:
    """All contenders in turn, so many rounds after one to warm up; a line for each."""
    with tempfile.TemporaryDirectory() as temporary:
        given = setting(scale, changes, batch, Path(temporary))
        steps = {name: contender(name, *given, device) for name in (RELEASED, *KIT)}
        work = {name: operations(step) for name, step in steps.items()}
        taken: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds):
            for name, step in steps.items():
                taken[name].append(seconds(step, device) / batch)
    peaks = {name: matmul_peak(device, torch.bfloat16 if "bf" in name else torch.float32) for name in steps}
    base, lines = statistics.median(taken[RELEASED]), []
    for name, values in taken.items():
        middle = statistics.median(values)
        lines.append(
            {
                "loop": name,
                "seconds_an_image": round(middle, 4),
                "spread": [round(min(values), 4), round(max(values), 4)],
                "times_as_fast": round(base / middle, 2),
                "share_of_peak": round(work[name] / batch / middle / peaks[name], 6),
                "peak_memory_mib": peak_memory(name, scale, json.dumps(changes), device, batch),
            }
        )
    return lines


def growth(device: str, batch: int, rounds: int, counts: Sequence[int] = CROPS) -> list[dict[str, Any]]:
    """A step of the kit, 16 bits, scale lite without style, with few and with many crops in a file; a line for each.

    The counts take turns. Memory: of the process after a first step, without what the system keeps of the file, MiB.
    """
    values = preset("released", "lite", batch_size=batch, lambda_style=0.0)
    crops, rng = blank_images(max(counts), values.size), np.random.default_rng(0)
    for crop in crops:
        crop[:] = rng.integers(0, 256, crop.shape, np.uint8)
    steps: dict[int, Callable[[], Any]] = {}
    memory: dict[int, int] = {}
    for count in counts:
        steps[count] = kit(values, crops[:count], device, "bf16-mixed")
        steps[count]()
        memory[count] = _memory("RssAnon")
    taken: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(rounds):
        for count, step in steps.items():
            taken[count].append(seconds(step, device) / batch)
    return [
        {
            "crops": count,
            "seconds_an_image": round(statistics.median(some), 5),
            "spread": [round(min(some), 5), round(max(some), 5)],
            "memory_mib": memory[count],
        }
        for count, some in taken.items()
    ]


def main(
    out: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    batch: Annotated[int, typer.Option(help="Images a step.")] = 8,
    rounds: Annotated[int, typer.Option(help="Steps of each loop, in turn.")] = 5,
    one: Annotated[str, typer.Option(help="Two steps of this loop, and its peak memory.")] = "",
    scale: Annotated[str, typer.Option(help="With --one.")] = "full",
    changes: Annotated[str, typer.Option(help="With --one: values of the recipe, as JSON.")] = "{}",
) -> None:
    """Time the loops and print a table; other work on the machine spoils it."""
    if one:
        with tempfile.TemporaryDirectory() as temporary:
            step = contender(one, *setting(scale, json.loads(changes), batch, Path(temporary)), device)
            step()
            step()
        typer.echo(_peak(device))
        return
    grown = growth(device, batch, 10 * rounds)  # first, while the process is small
    results = [
        {"scale": title, "losses": losses} | line
        for title, name in SCALES.items()
        for losses, changed in COMBINATIONS.items()
        for line in compare(name, changed, device, batch, rounds)
    ]
    for line in results + grown:
        typer.echo("  ".join(str(value) for value in line.values()))
    machine = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    facts = {"machine": machine, "platform": platform.machine(), "torch": torch.__version__}
    if out is not None:
        write_json(out, facts | {"batch": batch, "rounds": rounds, "lines": results, "growth": grown})


def _peak(device: str) -> int:
    """MiB at most in use by this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() // 2**20
    # Not getrusage: its peak of a new process begins with that of the process which started it.
    return _memory("VmHWM")


def _memory(kind: str) -> int:
    """A line of this process's status, MiB."""
    (line,) = re.findall(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(line) // 1024


if __name__ == "__main__":
    typer.run(main)
