"""Training on two processes is the training on one: batch norm, gradients, weights, resuming, errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from torch import nn

from upcrack_lite import launch, training
from upcrack_lite.batches import Batch, epoch, make_batch
from upcrack_lite.errors import UserError
from upcrack_lite.presets import Preset, preset
from upcrack_lite.repro.runs import RunFolder
from upcrack_lite.spread import SpreadBatchNorm2d, own_part, set_idle, synchronize
from upcrack_lite.steps import Trainer
from upcrack_lite.tensors import to_tensor
from upcrack_lite.training import train

SIZES = {"even": 4, "ragged": 3, "one for two": 1}  # images in a batch


def tiny(**overrides) -> Preset:
    values = {
        "size": 32, "depth": 5, "width": 4, "disc_width": 4, "mask_cells": (16, 8, 4), "load_size": 36,
        "batch_size": 4, "epochs": 3, "dropout": 0.0,
    }  # fmt: skip
    return preset("paper", "lite", **values | overrides)


@cache
def crops(n: int = 8) -> np.ndarray:
    rng = np.random.default_rng(0)
    shade = rng.uniform(80, 150, (n, 1, 1, 1)) + np.linspace(-10, 10, 32)[:, None, None]
    return np.clip(shade + rng.normal(0, 4, (n, 32, 32, 3)), 0, 255).astype(np.uint8)


def run(out: Path, devices: int = 2, chosen: Preset | None = None, **options) -> RunFolder:
    options = {"device": "cpu", "progress": False} | options
    return train(crops(), chosen or tiny(dropout=0.5), out, devices=devices, **options)


# --- What each process computes; the results come back as files ------------------------------------------------


def one_process(device: str = "cpu", precision: str = "32-true") -> lightning.Fabric:
    return lightning.Fabric(accelerator=device, devices=1, precision=precision)


def norms(fabric: lightning.Fabric) -> dict[str, dict[str, torch.Tensor]]:
    """Batch norm, forward and backward, on batches of several sizes, far from mean 0."""
    found = {}
    for name, n in SIZES.items():
        draws = torch.Generator().manual_seed(0)
        x, wanted = torch.randn(2, n, 3, 5, 5, generator=draws)
        own, share = own_part(n, fabric.world_size, fabric.global_rank)
        x = (10 + 3 * x[own]).to(fabric.device).requires_grad_()
        layers = nn.Sequential(nn.BatchNorm2d(3))
        layers[0].load_state_dict(layers[0].state_dict() | {"weight": torch.arange(1.0, 4.0)})
        if torch.distributed.is_initialized():
            layers = synchronize(layers)
            assert type(layers[0]) is SpreadBatchNorm2d
            set_idle(layers, share == 0)
        norm = layers.to(fabric.device)[0]
        y = norm(x)
        ((y - wanted[own].to(fabric.device)) ** 2).sum().mul(1.0 if share else 0.0).backward()
        kept = slice(None) if share else slice(0, 0)
        found[name] = {"y": y.detach()[kept], "x.grad": x.grad[kept]}
        found[name] |= {"weight.grad": norm.weight.grad, "bias.grad": norm.bias.grad}
        found[name] |= {name: value.detach().clone() for name, value in norm.state_dict().items()}
    return found


def one_step(fabric: lightning.Fabric) -> dict[str, dict[str, torch.Tensor]]:
    """The gradients of D and G after one step on batches of several sizes, and the losses."""
    found = {}
    for name, n in SIZES.items():
        trainer = Trainer(tiny(), fabric, seed=0)
        own, share = own_part(n, fabric.world_size, fabric.global_rank)
        images = to_tensor(crops()[:n][own]).to(fabric.device)
        batch = make_batch(images, tiny(), trainer.draws, (n, own, share))
        terms = trainer.step(batch)
        found[name] = {f"term {name}": value for name, value in terms.items()}
        for which, network in (("g", trainer.g), ("d", trainer.d)):
            found[name] |= {f"{which}.{k}": p.grad.clone() for k, p in network.named_parameters()}
    return found


def three_steps(fabric: lightning.Fabric) -> dict[str, torch.Tensor]:
    """All weights and running statistics after batches of 4, 3 and 4 images."""
    trainer = Trainer(tiny(), fabric, seed=0)
    mine = (fabric.world_size, fabric.global_rank)
    steps = 0
    while steps < 3:
        for batch in epoch(crops()[:7], tiny(), trainer.draws, fabric.device, None, *mine):
            trainer.step(batch)
            steps += 1
            if steps == 3:
                break
    networks = {"g": trainer.g, "d": trainer.d}
    return {f"{n}.{k}": v.clone() for n, net in networks.items() for k, v in net.state_dict().items()}


def noise(fabric: lightning.Fabric) -> dict[str, torch.Tensor]:
    trainer = Trainer(tiny(dropout=0.5), fabric, seed=0)
    return {"first weight": next(trainer.g.parameters()).detach().clone(), "noise": torch.rand(5)}


def compute(fabric: lightning.Fabric, folder: Path, parts: tuple[str, ...]) -> None:
    found = {part: globals()[part](fabric) for part in parts}
    torch.save(found, folder / f"{''.join(parts)}{fabric.global_rank}.pt")


def computed(folder: Path, parts: tuple[str, ...], processes: int, device: str, precision: str) -> list[dict]:
    launch.launch(compute, processes, device, precision, folder, parts)
    names = [folder / f"{''.join(parts)}{rank}.pt" for rank in range(processes)]
    return [torch.load(name, map_location="cpu") for name in names]


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[dict]:
    """What two processes found, by rank."""
    return computed(tmp_path_factory.mktemp("two"), ("norms", "one_step", "noise"), 2, "cpu", "32-true")


def close(found: torch.Tensor, wanted: torch.Tensor, rtol: float) -> None:
    """Equal up to a share of the largest value."""
    atol = rtol * max(float(wanted.abs().max()), 1e-12)
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


# --- The mathematics -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_the_parts_of_a_batch_are_all_of_it_and_their_shares_add_up_to_1(n, processes):
    parts = [own_part(n, processes, rank) for rank in range(processes)]
    taken = [i for own, share in parts if share for i in range(n)[own]]
    assert taken == list(range(n))
    assert sum(share for _, share in parts) == pytest.approx(1)
    sizes = [len(range(n)[own]) if share else 0 for own, share in parts]
    assert max(sizes) - min(sizes) <= 1
    assert all(len(range(n)[own]) >= 1 for own, _ in parts)


def test_the_parts_of_a_batch_have_the_draws_of_the_whole():
    def all_of(processes: int) -> list[list[Batch]]:
        each = []
        for rank in range(processes):
            draws = torch.Generator().manual_seed(5)
            each.append(list(epoch(crops()[:7], tiny(), draws, torch.device("cpu"), None, processes, rank)))
        return list(zip(*each, strict=True))

    whole, parts = all_of(1), all_of(2)
    assert [len(batch.image) for (batch,) in whole] == [4, 3]
    for (batch,), split in zip(whole, parts, strict=True):
        assert sum(part.share for part in split) == batch.share == 1
        for name in ("image", "masked", "mask"):
            assert torch.equal(torch.cat([getattr(part, name) for part in split]), getattr(batch, name))


@pytest.mark.parametrize("name", SIZES)
def test_batch_norm_over_two_processes_is_that_of_the_whole_batch(two, name):
    wanted = norms(one_process())[name]
    for field in ("y", "x.grad"):
        close(torch.cat([found["norms"][name][field] for found in two]), wanted[field], 1e-5)
    for field in ("weight.grad", "bias.grad"):  # sums of what almost cancels
        close(sum(found["norms"][name][field] for found in two), wanted[field], 1e-4)
    for found in two:
        for field in ("running_mean", "running_var"):
            close(found["norms"][name][field], wanted[field], 1e-6)
        assert found["norms"][name]["num_batches_tracked"] == 1


def test_at_test_time_the_batch_norm_of_each_process_is_its_own():
    norm, usual = SpreadBatchNorm2d(3), nn.BatchNorm2d(3)  # here are no others that could take part
    x = torch.randn(2, 3, 4, 4)
    for mode, tracking in ((False, True), (True, False)):
        for layer in (norm, usual):
            layer.train(mode).track_running_stats = tracking
        assert torch.equal(norm(x), usual(x))


@pytest.mark.parametrize("name", SIZES)
def test_after_one_step_both_gradients_and_all_losses_are_those_of_one_process(two, name):
    wanted = one_step(one_process())[name]
    scale = {net: max(float(v.abs().max()) for k, v in wanted.items() if k[0] == net) for net in "gd"}
    for found in two:
        assert found["one_step"][name].keys() == wanted.keys()
        for key, value in found["one_step"][name].items():
            atol = 1e-6 if key.startswith("term") else 1e-4 * scale[key[0]]
            torch.testing.assert_close(value, wanted[key], rtol=1e-5, atol=atol)
            assert torch.equal(value, two[0]["one_step"][name][key])  # the very same bits on both


@pytest.mark.slow
def test_after_three_steps_the_weights_are_those_of_one_process(tmp_path):
    # In float64: a bias before a batch norm has gradient 0, and Adam makes whole steps of float32's rounding errors.
    found = computed(tmp_path, ("three_steps",), 2, "cpu", "64-true")
    wanted = three_steps(one_process(precision="64-true"))
    for key, value in wanted.items():
        torch.testing.assert_close(found[0]["three_steps"][key], value, rtol=1e-6, atol=1e-8, msg=key)
    start = Trainer(tiny(), one_process(precision="64-true"), seed=0).g.state_dict()
    assert all((wanted[f"g.{k}"] - v).abs().max() > 1e-5 for k, v in start.items() if k.endswith("0.weight"))


def test_the_noise_differs_between_processes_and_the_first_weights_do_not(two):
    one = noise(one_process())
    assert all(torch.equal(found["noise"]["first weight"], one["first weight"]) for found in two)
    draws = [one["noise"], *(found["noise"]["noise"] for found in two)]
    assert not any(torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])


# --- Whole runs ----------------------------------------------------------------------------------------------


def in_rank_1(at: int, act) -> None:
    """Let the process of rank 1 do something in place of its step number `at`."""
    real, count = Trainer.step, iter(range(100))

    def step(self, batch):
        if self.fabric.global_rank == 1 and next(count) == at:
            return act(self, batch, real)
        return real(self, batch)

    Trainer.step = step


def dying(fabric, *arguments) -> None:
    in_rank_1(3, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    training._train_spread(fabric, *arguments)


def broken(fabric, *arguments) -> None:
    def fail(*_):
        raise RuntimeError("out of lamp oil")

    in_rank_1(1, fail)
    training._train_spread(fabric, *arguments)


def poisoned(fabric, *arguments) -> None:
    def poison(self, batch, real):
        with torch.no_grad():
            next(self.g.parameters()).fill_(float("nan"))
        return real(self, batch)

    in_rank_1(2, poison)
    training._train_spread(fabric, *arguments)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> RunFolder:
    return run(tmp_path_factory.mktemp("whole") / "run")


def without_time(found: RunFolder) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found.log()]


@pytest.mark.slow
def test_a_run_on_two_processes_ends_like_one_on_one(whole, tmp_path):
    one = run(tmp_path / "one", devices=1)
    assert whole.finished
    assert (whole.manifest["processes"], one.manifest["processes"]) == (2, 1)
    for key in one.manifest.keys() - {"processes", "started", "finished", "train_seconds", "environment"}:
        if key not in ("peak_memory_mib", "best_epoch"):
            assert whole.manifest[key] == one.manifest[key], key
    assert {p.name for p in whole.path.iterdir()} == {p.name for p in one.path.iterdir()}
    for a, b in zip(whole.log(), one.log(), strict=True):
        assert list(a) == list(b)
        assert a["mae"] == pytest.approx(b["mae"], rel=0.05)  # another noise
    training.load_generator(whole)
    assert run(whole.path).manifest == whole.manifest  # finished: nothing is done


@pytest.mark.slow
def test_a_run_with_a_killed_process_ends_and_goes_on_bit_by_bit_with_two_only(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(training, "_train_spread", dying)
        with pytest.raises(UserError, match=r"rank 1 .*killed by SIGKILL.*goes on"):
            run(tmp_path / "run")
    left = RunFolder.open(tmp_path / "run")
    assert not left.finished
    assert len(left.log()) == 1
    monkeypatch.setattr(training, "Trainer", None)  # refused before any work
    with pytest.raises(UserError, match=r"2 process.*asked for 1.*Use devices 2.*nothing was touched"):
        run(tmp_path / "run", devices=1)
    resumed = run(tmp_path / "run")
    assert without_time(resumed) == without_time(whole)
    for name in ("checkpoint.safetensors", "progress/0002.png"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes()


@pytest.mark.slow
def test_an_error_in_one_process_ends_the_run_and_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_train_spread", broken)
    with pytest.raises(RuntimeError, match=r"(?s)rank 1 \(of 2\).*out of lamp oil.*Traceback"):
        run(tmp_path / "run")


@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_one_process_is_named_and_the_run_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_train_spread", poisoned)
    with pytest.raises(UserError, match=r"epoch 1, step 2: .*mae.* not finite"):
        run(tmp_path / "run")
    assert RunFolder.open(tmp_path / "run").manifest["status"] == "failed"


@pytest.mark.slow
def test_the_command_line_trains_on_two_processes(tmp_path):
    words = ["train", "--data=synthetic", "--crops=6", "--max-steps=1", "--device=cpu", "--devices=2"]
    chosen = tiny(size=64, depth=6, load_size=72, lambda_style=0)  # the smallest road that can be drawn
    settings = [f"--set={name}={json.dumps(value)}" for name, value in chosen.overrides().items()]
    command = [sys.executable, "-m", "upcrack_lite.cli", *words, "--out", str(tmp_path / "run"), *settings]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("undamaged crops") == 1  # the crops are made by one process
    assert RunFolder.open(tmp_path / "run").manifest["processes"] == 2


# --- Numbers that cannot be ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "device", "named"),
    [
        (0, "cpu", "got 0"), (-2, "cpu", "got -2"), (1.5, "cpu", "got 1.5"), (True, "cpu", "got True"),
        (5, "cpu", "batch of 4 images.*5 processes.*4 devices at most"),
    ],
)  # fmt: skip
def test_a_wrong_number_is_refused_before_any_work(tmp_path, devices, device, named):
    with pytest.raises(UserError, match=named):
        run(tmp_path / "run", devices=devices, device=device)
    assert not (tmp_path / "run").exists()


def test_more_gpus_than_there_are_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    launch.check_devices(1, "cuda", 4)
    with pytest.raises(UserError, match=r"2 devices.*sees 1 GPU"):
        launch.check_devices(2, "cuda", 4)


def test_a_run_from_before_processes_were_counted_is_one_of_one_process(tmp_path):
    one = run(tmp_path / "run", devices=1, max_steps=1)
    del one.manifest["processes"]
    one.save_manifest()
    assert run(tmp_path / "run", devices=1, max_steps=1).finished
    with pytest.raises(UserError, match=r"1 process.*asked for 2"):
        run(tmp_path / "run", devices=2, max_steps=1)


# --- GPUs, where there are any -------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize("gpus", [1, 2])
def test_processes_on_gpus_find_what_one_cpu_process_finds(tmp_path, gpus):
    if torch.cuda.device_count() < gpus:
        pytest.skip(f"NOT TESTED on {gpus} GPU(s): this machine has {torch.cuda.device_count()}")
    found = computed(tmp_path, ("norms", "one_step"), gpus, "cuda", "32-true")
    for name in SIZES:
        wanted = norms(one_process())[name]
        for field in ("running_mean", "running_var"):
            close(found[0]["norms"][name][field], wanted[field], 1e-4)
        close(torch.cat([part["norms"][name]["y"] for part in found]), wanted["y"], 1e-3)
        wanted = one_step(one_process())[name]
        for key in ("term mae", "term d", "g.decoder.4.1.weight", "d.layers.0.weight"):
            close(found[0]["one_step"][name][key], wanted[key], 1e-2)  # cuDNN may use TF32
    run_on = run(tmp_path / "run", devices=gpus, device="cuda")
    assert run_on.finished
    assert run_on.manifest["processes"] == gpus


@pytest.mark.gpu
def test_one_gpu_is_the_ordinary_training(tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("NOT TESTED on a GPU: this machine has no CUDA device")
    usual = train(crops(), tiny(), tmp_path / "usual", device="cuda", progress=False)
    named = run(tmp_path / "named", devices=1, chosen=tiny(), device="cuda")
    for a, b in zip(usual.log(), named.log(), strict=True):
        assert a["mae"] == pytest.approx(b["mae"], rel=1e-3)  # cuDNN may add in another order


def note_and_wait(fabric: lightning.Fabric, folder: Path) -> None:
    """Say that this process is there, and stay."""
    (folder / f"{fabric.global_rank}.pid").write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(600)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_the_one_that_started_them(tmp_path, how):
    """Else they would go on writing to a run that the next call takes up."""
    code = (
        "import sys; from pathlib import Path; from upcrack_lite.launch import launch; import test_spread\n"
        "if __name__ == '__main__':\n"
        "    launch(test_spread.note_and_wait, 2, 'cpu', '32-true', Path(sys.argv[1]))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code, encoding="utf-8")
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    starter = subprocess.Popen(
        [sys.executable, script, tmp_path], env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    )
    files = [tmp_path / "0.pid", tmp_path / "1.pid"]
    while not all(file.exists() and file.read_text() for file in files):
        assert starter.poll() is None
        time.sleep(0.2)
    starter.send_signal(how)
    starter.wait()
    for file in files:
        for _ in range(300):
            if not running(int(file.read_text())):
                break
            time.sleep(0.2)
        else:
            pytest.fail("a process lives on")


def running(pid: int) -> bool:
    """True while a process is there and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
