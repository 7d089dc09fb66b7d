"""Training on a tiny scale: it learns, it resumes bit by bit, and it refuses what is not its own."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from upcrack_lite import training
from upcrack_lite.data import folders
from upcrack_lite.data.folders import blank_images
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor
from upcrack_lite.losses import style_loss
from upcrack_lite.pretrained import load_generator
from upcrack_lite.recipes import Preset, preset
from upcrack_lite.runs import RunFolder
from upcrack_lite.training import Trainer, make_batch, train

SMALL = {
    "size": 32, "depth": 5, "width": 4, "disc_width": 4, "mask_cells": (16, 8, 4), "load_size": 36, "epochs": 3,
}  # fmt: skip


def tiny(recipe: str = "paper", **overrides) -> Preset:
    return preset(recipe, "lite", **SMALL | overrides)


def crops(n: int = 20, seed: int = 0) -> np.ndarray:
    """Smooth, dim roads with a little noise: easy to restore."""
    rng = np.random.default_rng(seed)
    shade = rng.uniform(80, 150, (n, 1, 1, 1)) + np.linspace(-10, 10, 32)[:, None, None]
    return np.clip(shade + rng.normal(0, 4, (n, 32, 32, 3)), 0, 255).astype(np.uint8)


def run(out: Path, chosen: Preset | None = None, images: np.ndarray | None = None, **options) -> RunFolder:
    options = {"device": "cpu", "progress": False} | options
    return train(crops() if images is None else images, chosen or tiny(), out, **options)


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def without_time(found: RunFolder) -> list[str]:
    """The lines of the log as they stand in the file, without the column of seconds."""
    lines = (found.path / "log.csv").read_text().splitlines()
    column = lines[0].split(",").index("seconds")
    return [",".join(cell for i, cell in enumerate(line.split(",")) if i != column) for line in lines]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> RunFolder:
    """One uninterrupted run that several tests look at."""
    return run(tmp_path_factory.mktemp("finished") / "run")


def trainer_for(chosen: Preset, precision: str = "32-true") -> Trainer:
    return Trainer(chosen, lightning.Fabric(accelerator="cpu", devices=1, precision=precision), seed=0)


def batch_for(chosen: Preset):
    return make_batch(to_tensor(crops(4)), chosen, torch.Generator().manual_seed(0))


# --- A run and its folder ------------------------------------------------------------------------------------


def test_crops_in_a_file_train_as_those_in_memory(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "IN_MEMORY", 0)
    mapped = blank_images(*crops().shape[:2])
    mapped[:] = crops()
    found = run(tmp_path / "run", images=mapped)
    ours, theirs = ((one.path / "checkpoint.safetensors").read_bytes() for one in (found, finished))
    assert ours == theirs


def test_a_run_ends_with_everything_in_its_folder(finished):
    manifest = json.loads((finished.path / "manifest.json").read_text())
    assert finished.finished
    assert manifest["status"] == "finished"
    assert manifest["preset"] == tiny().to_dict()
    assert manifest["overrides"]["width"] == 4
    assert (manifest["epochs_done"], manifest["steps_done"]) == (3, 9)  # 18 crops in batches of 8
    assert (manifest["crops_trained"], manifest["crops_validated"]) == (18, 2)
    assert manifest["environment"]["used_device"] == "cpu"
    assert manifest["precision"] == "32-true"
    assert manifest["style_weights"] is None
    assert manifest["peak_memory_mib"] > 50
    names = {p.name for p in finished.path.iterdir()}
    assert names == {"manifest.json", "checkpoint.safetensors", "log.csv", "progress"}


def test_the_log_has_a_row_an_epoch_and_the_learning_rate_decays(finished):
    rows = finished.log()
    columns = ["epoch", "steps", "d", "mae", "ssim", "gms", "res", "adv", "total", "lr_g", "valid", "seconds"]
    assert all(list(row) == columns for row in rows)
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert [row["steps"] for row in rows] == [3, 6, 9]
    assert [row["lr_g"] for row in rows] == pytest.approx([1e-4 * 0.99**e for e in range(3)])
    for row in rows:
        assert row["res"] == pytest.approx(row["mae"] + row["ssim"] + row["gms"], rel=1e-5)
        assert row["total"] == pytest.approx(100 * row["res"] + row["adv"], rel=1e-5)
    assert rows[0]["seconds"] <= rows[1]["seconds"] <= rows[2]["seconds"]


def test_the_checkpoint_is_the_generator_of_the_best_epoch(finished):
    generator, chosen = load_generator(finished.path)
    assert chosen == tiny()
    assert not generator.training
    validation = [row["valid"] for row in finished.log()]
    assert finished.manifest["best_epoch"] == int(np.argmin(validation))
    trainer = trainer_for(chosen)
    trainer.g.load_state_dict(generator.state_dict())
    _, validated = training.split_by_photo([str(i) for i in range(20)], 0.1, 0)
    trainer.validation_images = crops()[validated]
    assert trainer.validate() == pytest.approx(min(validation), rel=1e-6)


@pytest.mark.slow
def test_the_loss_falls_on_easy_roads(tmp_path):
    found = run(tmp_path / "run", tiny(epochs=15, lr_g=2e-3, lr_d=2e-3, patience=0, width=8))
    rows = found.log()
    assert rows[-1]["mae"] < 0.6 * rows[0]["mae"]
    assert rows[-1]["res"] < 0.65 * rows[0]["res"]


def test_the_same_seed_gives_the_same_run_and_another_another(finished, tmp_path):
    again, other = run(tmp_path / "again"), run(tmp_path / "other", seed=1)
    weights = [(f.path / "checkpoint.safetensors").read_bytes() for f in (finished, again, other)]
    assert weights[0] == weights[1] != weights[2]
    assert without_time(again) == without_time(finished)


# --- Interrupted and resumed ---------------------------------------------------------------------------------


def same_run(resumed: RunFolder, whole: RunFolder) -> None:
    assert resumed.finished
    for name in ("checkpoint.safetensors", *(f"progress/{e:04d}.png" for e in range(3))):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert without_time(resumed) == without_time(whole)
    for key in ("best_epoch", "steps_done", "epochs_done", "preset", "data"):
        assert resumed.manifest[key] == whole.manifest[key]


@pytest.mark.parametrize("step", [1, 5, 8])
def test_a_run_that_crashed_in_any_epoch_resumes_bit_by_bit(finished, tmp_path, monkeypatch, step):
    real, count = Trainer.step, iter(range(100))

    def crash(self, batch):
        if next(count) == step:
            raise KeyboardInterrupt
        return real(self, batch)

    monkeypatch.setattr(Trainer, "step", crash)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run")
    monkeypatch.undo()
    assert not RunFolder.open(tmp_path / "run").finished
    torch.rand(11)  # whatever happens in between does not matter
    same_run(run(tmp_path / "run"), finished)


@pytest.mark.parametrize("method", ["save_weights", "save_log", "save_resume"])
def test_a_run_that_crashed_while_saving_resumes_bit_by_bit(finished, tmp_path, monkeypatch, method):
    real, count = getattr(RunFolder, method), iter(range(100))

    def crash(self, *args):
        if next(count) == 1:  # the second save
            raise KeyboardInterrupt
        real(self, *args)

    monkeypatch.setattr(RunFolder, method, crash)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run")
    monkeypatch.undo()
    same_run(run(tmp_path / "run"), finished)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2])
def test_where_writing_a_state_is_slow_it_is_written_less_often_and_nothing_is_lost(
    finished, tmp_path, monkeypatch, epoch
):
    written = []
    monkeypatch.setattr(
        training, "SLOW", 0.0
    )  # every write counts as slow, and the next would come after hours
    monkeypatch.setattr(training, "SHARE", 1e9)
    save, step = RunFolder.save_resume, Trainer.set_epoch
    monkeypatch.setattr(RunFolder, "save_resume", lambda *a: (written.append(1), save(*a))[1])
    whole = run(tmp_path / "whole")
    same_run(whole, finished)
    assert len(written) == 2, "after the first epoch and at the end"

    def crash(trainer, index):
        if index == epoch and not (tmp_path / "crashed").exists():
            (tmp_path / "crashed").touch()
            raise KeyboardInterrupt
        step(trainer, index)

    monkeypatch.setattr(Trainer, "set_epoch", crash)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run")
    same_run(run(tmp_path / "run"), finished)


def test_a_finished_run_comes_back_untouched(finished, monkeypatch):
    before = listing(finished.path)
    monkeypatch.setattr(training, "Trainer", None)  # it must not even be built
    again = run(finished.path)
    assert again.finished
    assert again.manifest == finished.manifest
    assert listing(finished.path) == before


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"chosen": tiny(lr_g=2e-4)}, "preset"),
        ({"images": crops(seed=1)}, "data"),
        ({"seed": 1}, "seed"),
        ({"max_steps": 2}, "max_steps"),
        ({"data": {"name": "elsewhere"}}, "data"),
        ({"precision": "bf16-mixed"}, "precision"),
    ],
    ids=["preset", "images", "seed", "max_steps", "facts", "precision"],
)
def test_another_run_in_the_folder_is_refused_and_nothing_touched(finished, options, named):
    before = listing(finished.path)
    with pytest.raises(UserError, match=f"another .*{named}.*nothing was touched"):
        run(finished.path, **options)
    assert listing(finished.path) == before


def test_a_device_that_is_not_there_is_named_and_no_folder_made(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("gpu0", "cuda"):
        with pytest.raises(UserError, match=device):
            run(tmp_path / "run", device=device)
    assert not (tmp_path / "run").exists()


# --- Ways to stop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", ["mae", "gms", "d"])
def test_a_loss_that_is_not_finite_stops_the_run_and_is_named(tmp_path, monkeypatch, term):
    real, count = Trainer.step, iter(range(100))

    def poison(self, batch):
        terms = real(self, batch)
        return terms | {term: terms[term] * float("nan")} if next(count) == 4 else terms

    monkeypatch.setattr(Trainer, "step", poison)
    with pytest.raises(UserError, match=rf"epoch 1, step 4: {term} is not finite.*lr_g"):
        run(tmp_path / "run")
    failed = RunFolder.open(tmp_path / "run")
    assert failed.manifest["status"] == "failed"
    assert term in failed.manifest["error"]
    assert all(torch.isfinite(t).all() for t in failed.load_weights().values())  # of the epoch before
    monkeypatch.undo()
    with pytest.raises(UserError, match=f"failed .*{term}"):
        run(tmp_path / "run")


def test_a_validation_that_is_not_finite_stops_the_run_too(tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "validate", lambda self: math.nan)
    with pytest.raises(UserError, match="valid is not finite"):
        run(tmp_path / "run")
    assert RunFolder.open(tmp_path / "run").manifest["status"] == "failed"


@pytest.mark.parametrize("rate", [1e6, 1e10])
def test_a_running_variance_that_overflows_stops_the_run_though_no_loss_tells(tmp_path, rate):
    with pytest.raises(UserError, match=r"in epoch [01], step \d+: .*running_var is not finite.*Lower lr_g"):
        run(tmp_path / "run", tiny(validate_every=3, lr_g=rate))
    assert RunFolder.open(tmp_path / "run").manifest["status"] == "failed"


@pytest.mark.parametrize(("patience", "every", "stops_after"), [(2, 1, 5), (4, 2, 8), (0, 1, 12)])
def test_patience_counts_epochs_since_the_best_look(tmp_path, monkeypatch, patience, every, stops_after):
    values = iter([5.0, 4.0, 3.0, *[3.5] * 20] if every == 1 else [5.0, 4.0, *[4.5] * 20])
    monkeypatch.setattr(Trainer, "validate", lambda self: next(values))
    chosen = tiny(epochs=12, patience=patience, validate_every=every)
    found = run(tmp_path / "run", chosen, crops(10))
    assert len(found.log()) == stops_after
    assert found.manifest["best_epoch"] == (2 if every == 1 else 3)
    assert found.finished


def test_max_steps_ends_inside_an_epoch_with_a_checkpoint(tmp_path):
    found = run(tmp_path / "run", max_steps=4)
    assert found.finished
    assert found.manifest["steps_done"] == 4
    assert [row["steps"] for row in found.log()] == [3, 4]
    assert "valid" in found.log()[-1]
    load_generator(found)


def test_validation_looks_every_nth_epoch_and_at_the_last(tmp_path):
    found = run(tmp_path / "run", tiny(epochs=5, validate_every=2, patience=0))
    assert ["valid" in row for row in found.log()] == [False, True, False, True, True]
    assert sorted(p.name for p in (found.path / "progress").iterdir()) == ["0001.png", "0003.png", "0004.png"]


# --- One step ------------------------------------------------------------------------------------------------


def grads(module) -> list[torch.Tensor | None]:
    return [None if p.grad is None else p.grad.clone() for p in module.parameters()]


def weights(module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def equal(a, b) -> bool:
    return all((x is None and y is None) or torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_each_step_moves_its_own_network_only():
    trainer = trainer_for(tiny())
    batch = batch_for(tiny())
    g, d = weights(trainer.g), weights(trainer.d)
    trainer.step_d(batch)
    assert all(grad is None for grad in grads(trainer.g))
    assert all(grad is not None for grad in grads(trainer.d))
    assert equal(weights(trainer.g), g)
    assert not equal(weights(trainer.d), d)
    d, d_grads = weights(trainer.d), grads(trainer.d)
    trainer.step_g(batch)
    assert equal(grads(trainer.d), d_grads)  # nothing was added by G's backward pass
    assert equal(weights(trainer.d), d)
    assert not equal(weights(trainer.g), g)
    assert all(grad is not None and grad.isfinite().all() for grad in grads(trainer.g))
    assert all(p.requires_grad for p in trainer.d.parameters())


def test_without_the_adversarial_term_d_is_never_touched(tmp_path, monkeypatch):
    chosen = tiny(lambda_adv=0)
    trainer = trainer_for(chosen)
    before = {name: t.clone() for name, t in trainer.d.state_dict().items()}
    terms = trainer.step(batch_for(chosen))
    assert all(torch.equal(t, before[name]) for name, t in trainer.d.state_dict().items())
    assert not trainer.opt_d.state_dict()["state"]
    assert set(terms) == {"mae", "ssim", "gms", "res", "total"}
    monkeypatch.setattr(training.Discriminator, "forward", None)
    assert "d" not in run(tmp_path / "run", chosen).log()[0]


def test_one_step_in_bf16_is_finite_and_leaves_float32_weights():
    trainer = trainer_for(tiny(), "bf16-mixed")
    before = weights(trainer.g)
    terms = trainer.step(batch_for(tiny()))
    assert all(term.isfinite() and term.dtype == torch.float32 for term in terms.values())
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in trainer.g.parameters())
    assert not equal(weights(trainer.g), before)
    single = trainer_for(tiny()).step(batch_for(tiny()))
    assert float(terms["mae"]) == pytest.approx(float(single["mae"]), rel=0.05)


def test_the_fast_path_learns_what_the_plain_one_learns(monkeypatch):
    """Channels last and the fused Adam, in 32 bits, after 20 steps; no dropout, which draws in the order of memory.

    A bias before a batch norm is left out: it changes nothing, and its gradient is rounding alone.
    """
    chosen = tiny(dropout=0)
    plain = trainer_for(chosen)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "is_autocast_enabled", lambda device: True)
        fast = trainer_for(chosen)
    assert [one.opt_g.param_groups[0]["fused"] for one in (plain, fast)] == [None, True]
    assert fast.layout is torch.channels_last
    start = {name: value.detach().clone() for name, value in plain.g.named_parameters()}
    for seed in range(20):
        batch = make_batch(to_tensor(crops(4, seed)), chosen, torch.Generator().manual_seed(seed))
        wanted = training.numbers(plain.step(batch))
        assert training.numbers(fast.step(batch)) == pytest.approx(wanted, rel=1e-4)
    idle = re.compile(r"encoder\.[1-3]\.1\.bias|decoder\.[0-3]\.1\.bias")
    found = dict(fast.g.named_parameters())
    for name, value in plain.g.named_parameters():
        apart = (found[name] - value).norm() / (value - start[name]).norm()
        assert apart < 1e-3 or idle.search(name), name


def test_the_style_term_in_bf16_is_near_that_of_float64():
    """VGG runs in 16 bits, Gram matrices in 32: the term is within 3 % of float64's, and float32's within 1e-4."""
    image = to_tensor(crops(2))
    restored = image.flip(3)
    terms = {}
    for precision in ("32-true", "bf16-mixed"):
        chosen = tiny(lambda_style=10)
        fabric = lightning.Fabric(accelerator="cpu", devices=1, precision=precision)
        trainer = Trainer(chosen, fabric, 0, "random")
        terms[precision] = float(style_loss(trainer.features(restored), trainer.features(image)))
    vgg = trainer.vgg.double()
    exact = float(style_loss(vgg(restored.double()), vgg(image.double())))
    assert terms["32-true"] == pytest.approx(exact, rel=1e-4)
    assert terms["bf16-mixed"] == pytest.approx(exact, rel=0.03)
    assert terms["bf16-mixed"] != terms["32-true"]


@pytest.mark.slow
def test_the_style_term_joins_in_and_its_weights_are_named(tmp_path):
    found = run(tmp_path / "run", tiny(lambda_style=10), crops(4), max_steps=1, vgg_weights="random")
    assert found.manifest["style_weights"] == "random"
    assert found.log()[0]["style"] > 0


def test_validation_is_the_same_at_every_call_and_leaves_no_trace():
    trainer = trainer_for(tiny())
    trainer.step(batch_for(tiny()))
    state, draws = torch.get_rng_state(), trainer.draws.get_state()
    before = {name: t.clone() for name, t in trainer.g.state_dict().items()}
    modes = [m.training for m in trainer.g.modules()]
    trainer.validation_images, trainer.seed = crops(5), 3
    values = [trainer.validate() for _ in range(2)]
    assert values[0] == values[1]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(trainer.draws.get_state(), draws)
    assert [m.training for m in trainer.g.modules()] == modes
    assert all(torch.equal(t, before[name]) for name, t in trainer.g.state_dict().items())
    trainer.seed = 4
    assert trainer.validate() != values[0]


# --- Bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((4, 64, 64, 3), np.uint8), np.zeros((4, 32, 32, 3), np.float32),
        np.zeros((32, 32, 3), np.uint8), np.zeros((0, 32, 32, 3), np.uint8),
    ],
    ids=["size", "type", "one photo", "none"],
)  # fmt: skip
def test_crops_that_do_not_fit_are_refused_before_a_folder_is_made(tmp_path, images):
    with pytest.raises(UserError, match="crop"):
        run(tmp_path / "run", images=images)
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_that_is_damaged_or_of_another_network_is_named(finished, tmp_path):
    copy = RunFolder.create(tmp_path / "copy", {"preset": tiny(width=8).to_dict()})
    with pytest.raises(UserError, match="no checkpoint"):
        load_generator(copy)
    save_file(finished.load_weights(), copy.path / "checkpoint.safetensors")
    with pytest.raises(UserError, match=r"checkpoint.*width 8"):
        load_generator(copy)
    (copy.path / "checkpoint.safetensors").write_bytes(b"x" * 30)
    with pytest.raises(UserError, match="is damaged"):
        load_generator(copy)
    del copy.manifest["preset"]
    copy.save_manifest()
    with pytest.raises(UserError, match="preset"):
        load_generator(copy.path)
    with pytest.raises(UserError, match="not a run folder"):
        load_generator(tmp_path / "nowhere")


# --- A GPU, where there is one -------------------------------------------------------------------------------


@pytest.mark.gpu
def test_a_gpu_trains_and_resumes(tmp_path, monkeypatch):
    if not torch.cuda.is_available():
        pytest.skip("NOT TESTED on a GPU: this machine has no CUDA device")
    whole = run(tmp_path / "whole", device="cuda")
    assert whole.manifest["environment"]["used_device"].startswith("cuda")
    assert whole.manifest["peak_gpu_memory_mib"] > 0
    real, count = Trainer.step, iter(range(100))

    def crash(self, batch):
        if next(count) == 5:
            raise KeyboardInterrupt
        return real(self, batch)

    monkeypatch.setattr(Trainer, "step", crash)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", device="cuda")
    monkeypatch.undo()
    resumed = run(tmp_path / "run", device="cuda")
    for a, b in zip(whole.log(), resumed.log(), strict=True):
        assert a["mae"] == pytest.approx(b["mae"], rel=1e-3)  # cuDNN may add in another order
    generator, _ = load_generator(resumed, device="cuda")
    assert next(generator.parameters()).is_cuda
    mixed = run(tmp_path / "mixed", device="cuda", precision="bf16-mixed")
    assert mixed.log()[-1]["mae"] == pytest.approx(whole.log()[-1]["mae"], rel=0.2)
