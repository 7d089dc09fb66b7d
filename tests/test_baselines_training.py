"""Compared networks on a tiny scale: they train, resume, load, and refuse what is not their own."""

from __future__ import annotations

import math
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from upcrack_lite.baselines import encoders, trainer
from upcrack_lite.baselines.recipes import SUPERVISED, MethodPreset, method_preset
from upcrack_lite.baselines.registry import COMPARED, network
from upcrack_lite.baselines.trainer import Task, load_network, random_views, train_method
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor
from upcrack_lite.runs import RunFolder
from upcrack_lite.training import split_by_photo

SIDE = 64
CHEAP = {"supervised": "enet", "unsupervised": "riad"}  # one of each kind, for what the kinds have in common


def tiny(name: str, **overrides) -> MethodPreset:
    values = {"size": SIDE, "width": 0.125, "batch_size": 2, "epochs": 2, "patience": 0, "validate_every": 1}
    return method_preset(name, "lite", **values | overrides)


def roads(n: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Dim roads with a dark line of 6 px across: photos and masks."""
    rng = np.random.default_rng(seed)
    images = rng.normal(120, 6, (n, SIDE, SIDE, 3))
    masks = np.zeros((n, SIDE, SIDE), bool)
    for mask, at in zip(masks, rng.integers(8, SIDE - 14, n), strict=True):
        mask[:, at : at + 6] = True
    images[masks] -= 80
    return np.clip(images, 0, 255).astype(np.uint8), masks


def run(name: str, out: Path, chosen: MethodPreset | None = None, **options) -> RunFolder:
    images, masks = roads()
    given = {"images": images, "crack_masks": masks if name in SUPERVISED else None} | options
    images = given.pop("images")
    return train_method(images, chosen or tiny(name), out, device="cpu", progress=False, **given)


def task_of(name: str, chosen: MethodPreset, n: int = 4, held_out: int = 1) -> Task:
    fabric = lightning.Fabric(accelerator="cpu", devices=1)
    fabric.seed_everything(0, verbose=False)
    images, masks = roads(n)
    split = (np.arange(n - held_out), np.arange(n - held_out, n))
    masks = masks if name in SUPERVISED else None
    return Task(network(name).build(chosen.width), chosen, fabric, images, masks, split, 0)


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def without_time(finished: RunFolder) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in finished.log()]


@pytest.fixture(scope="module", params=CHEAP.values(), ids=CHEAP)
def finished(request, tmp_path_factory) -> RunFolder:
    """An uninterrupted run of one network of each kind."""
    return run(request.param, tmp_path_factory.mktemp("finished") / "run")


# --- Every network -------------------------------------------------------------------------------------------

# Biases that the batch norm behind them takes out again: there, each channel has one value a photo.
WITHOUT_EFFECT = {
    "bisenetv2": {"context.norm.bias"},
    "ddrnet": {"low.2.main.4.1.bias", "low.2.shortcut.1.bias"},
}


@pytest.mark.parametrize("name", COMPARED)
def test_training_reaches_and_moves_every_parameter(name):
    """In two steps: the blocks of a ResNet begin with a norm of weight 0, which nothing in them passes at first."""
    task = task_of(name, tiny(name, lr=0.01), 2, 0)
    parameters = dict(task.network.named_parameters())
    before = {key: value.detach().clone() for key, value in parameters.items()}
    task.set_epoch(0)
    for _ in range(2):
        for batch in task.batches():
            task.step(batch)
    unreached = {key for key, value in parameters.items() if value.grad is None or not value.grad.any()}
    still = {key for key, value in parameters.items() if torch.equal(before[key], value)}
    assert unreached | still <= WITHOUT_EFFECT.get(name, set())


# --- A run and its folder ------------------------------------------------------------------------------------


def test_the_log_of_each_kind(finished):
    rows, manifest = finished.log(), finished.manifest
    if manifest["method"] == "enet":
        columns = ["epoch", "steps", "loss", "lr", "seconds"]
        # Poly at the last step of each epoch: of four steps, the second and the fourth.
        assert [row["lr"] for row in rows] == pytest.approx([0.01 * 0.75**0.9, 0.01 * 0.25**0.9])
        # Five photos in pairs: the single one is left out of each epoch.
        assert (manifest["crops_trained"], manifest["crops_validated"], manifest["best_epoch"]) == (5, 0, 1)
        assert manifest["crack_masks_sha256"]
    else:
        columns = ["epoch", "steps", "l2", "gms", "ssim", "loss", "lr", "valid", "seconds"]
        assert [row["lr"] for row in rows] == pytest.approx([1e-4, 1e-4])
        assert (manifest["crops_trained"], manifest["crops_validated"]) == (4, 1)
        assert manifest["best_epoch"] == int(np.argmin([row["valid"] for row in rows]))
        assert manifest["crack_masks_sha256"] is None
    assert [row["steps"] for row in rows] == [2, 4]
    assert all(list(row) == columns for row in rows)
    assert sorted(p.name for p in (finished.path / "progress").iterdir()) == ["0000.png", "0001.png"]
    assert {"style_weights", "start_sha256", "encoder"} <= set(manifest), "what a record asks of every run"


def test_a_run_that_was_killed_goes_on_bit_by_bit(finished, tmp_path, monkeypatch):
    name = finished.manifest["method"]
    real, count = Task.step, iter(range(100))

    def crash(self, batch):
        if next(count) == 3:
            raise KeyboardInterrupt
        return real(self, batch)

    monkeypatch.setattr(Task, "step", crash)
    with pytest.raises(KeyboardInterrupt):
        run(name, tmp_path / "run")
    monkeypatch.undo()
    assert not RunFolder.open(tmp_path / "run").finished
    torch.rand(11)  # whatever happens in between does not matter
    resumed = run(name, tmp_path / "run")
    assert without_time(resumed) == without_time(finished)
    for file in ("checkpoint.safetensors", "progress/0000.png", "progress/0001.png"):
        assert (resumed.path / file).read_bytes() == (finished.path / file).read_bytes(), file


def test_a_finished_run_comes_back_untouched_and_another_is_refused(finished, monkeypatch):
    name, before = finished.manifest["method"], listing(finished.path)
    monkeypatch.setattr(trainer, "Task", None)  # nothing must even be built
    assert run(name, finished.path).manifest == finished.manifest
    masks = {"crack_masks": roads(seed=1)[1]}
    options, named = (masks, "crack_masks_sha256") if name in SUPERVISED else ({"seed": 1}, "seed")
    with pytest.raises(UserError, match=f"another .*{named}.*nothing was touched"):
        run(name, finished.path, **options)
    assert listing(finished.path) == before


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", ["enet", "riad", "scadn"])
def test_a_gpu_trains_and_predicts(name, precision, tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("NOT TESTED on a GPU: this machine has no CUDA device")
    images, masks = roads()
    given = {"crack_masks": masks if name in SUPERVISED else None, "device": "cuda", "progress": False}
    trained = train_method(images, tiny(name), tmp_path / "run", precision=precision, **given)
    assert trained.manifest["environment"]["used_device"].startswith("cuda")
    loaded, _ = load_network(trained, "cuda")
    on_gpu = loaded.score_map(to_tensor(images[:1]).cuda())
    alone = loaded.cpu().score_map(to_tensor(images[:1]))
    assert torch.allclose(on_gpu.cpu(), alone, atol=0.01)


@pytest.mark.parametrize(
    ("name", "precision"), [("unet", "bf16-mixed"), ("riad", "bf16-mixed"), ("enet", "64-true")]
)
def test_other_precisions_train_too(name, precision, tmp_path):
    trained = run(name, tmp_path / "run", max_steps=2, precision=precision)
    single = run(name, tmp_path / "single", max_steps=2)
    assert trained.log()[0]["loss"] == pytest.approx(single.log()[0]["loss"], rel=0.1)
    assert float(load_network(trained)[0].score_map(to_tensor(roads(1)[0])).max()) > 0


# --- Learning rates, views, validation -----------------------------------------------------------------------


def views(chosen: MethodPreset, n: int = 64, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Views of an image that holds its own coordinates, x in [-1, 1] and y, and of a mask of the left half."""
    axis = torch.linspace(-1, 1, SIDE)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    image = torch.stack([x, y, torch.zeros_like(x)]).expand(n, -1, -1, -1)
    return random_views(image, (image[:, :1] < 0).float(), chosen, torch.Generator().manual_seed(seed))


def test_views_are_scaled_cropped_and_flipped_with_their_masks():
    image, mask = views(tiny("unet", scale_low=1.0, scale_high=1.5))
    x, y = image[:, 0], image[:, 1]
    spans = (y[:, -1, 0] - y[:, 0, 0]).numpy() / 2  # share of the image that is seen
    assert 1 / 1.5 - 0.02 < spans.min() < 0.72
    assert 0.93 < spans.max() <= 1
    assert np.allclose((x[:, 0, -1] - x[:, 0, 0]).abs().numpy() / 2, spans, atol=0.01)  # nothing is stretched
    flipped = (x[:, 0, -1] < x[:, 0, 0]).float().mean()
    assert 0.3 < float(flipped) < 0.7
    assert y[:, 0, 0].min() == -1  # a view may reach the border
    assert y[:, 0, 0].max() > -0.6
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert float(((x < 0).float() == mask[:, 0]).float().mean()) > 0.985  # within a pixel of the edge
    again, other = views(tiny("unet")), views(tiny("unet"), seed=1)
    assert torch.equal(again[0], image)
    assert not torch.equal(other[0], image)


@pytest.mark.parametrize("name", ["enet", "riad", "scadn"])
def test_validation_and_pictures_leave_no_trace(name, tmp_path):
    task = task_of(name, tiny(name, validation_share=0.25))
    state, draws = torch.get_rng_state(), task.draws.get_state()
    before = {key: value.clone() for key, value in task.network.state_dict().items()}
    values = [task.validate() for _ in range(2)]
    task.picture(tmp_path / "picture.png")
    assert values[0] == values[1] > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(task.draws.get_state(), draws)
    assert all(torch.equal(value, before[key]) for key, value in task.network.state_dict().items())
    assert all(module.training for module in task.network.modules())


def test_scadn_is_validated_by_what_it_restores_and_calibrated_at_the_end(tmp_path, monkeypatch):
    task = task_of("scadn", tiny("scadn"))
    real, value = task.network.losses, task.validate()
    poisoned = {"adversarial": 1e9, "discriminator": 1e9, "total": 1e9}
    monkeypatch.setattr(task.network, "losses", lambda *a: real(*a) | poisoned)
    assert task.validate() == value
    assert task_of("enet", tiny("enet"), held_out=0).validate() is None
    loaded, _ = load_network(run("scadn", tmp_path / "run", max_steps=2))
    training, _ = split_by_photo([str(i) for i in range(5)], 0.1, 0)
    again = network("scadn").build(0.125)
    again.load_state_dict(loaded.state_dict())
    again.eval().calibrate([to_tensor(roads()[0][training])])
    assert float(loaded.usual.min()) > 0
    assert torch.allclose(loaded.usual, again.usual, rtol=1e-4)


# --- Bad input -----------------------------------------------------------------------------------------------


IMAGES, MASKS = roads()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unet", {"crack_masks": None}, r"crack_masks must be bool \(5, 64, 64\), got none"),
        ("unet", {"crack_masks": MASKS[:, ::2, ::2]}, r"got bool \(5, 32, 32\)"),
        ("unet", {"crack_masks": MASKS.astype(np.uint8)}, "got uint8"),
        ("unet", {"crack_masks": np.zeros_like(MASKS)}, "no crack mask has a crack"),
        ("unet", {"images": IMAGES[:1], "crack_masks": MASKS[:1]}, "at least 2 images"),
        ("riad", {"crack_masks": MASKS}, "undamaged crops alone"),
        ("unet", {"chosen": tiny("unet", width=1.0, encoder_weights="imagenet")}, "unet has no encoder"),
        ("pspnet", {"chosen": tiny("pspnet", width=1.0, encoder_weights="file")}, "use imagenet or none"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_a_folder_is_made(tmp_path, name, options, message):
    with pytest.raises(UserError, match=message):
        run(name, tmp_path / "run", options.pop("chosen", None) or tiny(name), **options)
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_kind_or_a_damaged_one_is_named(finished, tmp_path):
    name = finished.manifest["method"]
    with pytest.raises(UserError, match="'upcracknet', not of a compared method"):
        load_network(RunFolder.create(tmp_path / "a", {"method": "upcracknet"}))
    copy = RunFolder.create(tmp_path / "b", {"method": name, "preset": tiny(name, width=1.0).to_dict()})
    save_file(finished.load_weights(), copy.path / "checkpoint.safetensors")
    with pytest.raises(UserError, match=rf"does not fit its manifest \({name}, width 1.0\)"):
        load_network(copy)
    del copy.manifest["preset"]
    copy.save_manifest()
    with pytest.raises(UserError, match="holds no preset"):
        load_network(copy.path)


# --- Encoders ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in COMPARED if network(name).encoder != "none"])
def test_encoder_weights_of_the_public_names_fill_the_encoder(name):
    import timm
    import torchvision

    public = network(name).encoder
    torch.manual_seed(1)
    if public == "vgg16":
        state = torchvision.models.vgg16(weights=None).features.state_dict()
        state = {f"features.{key}": torch.randn_like(value) for key, value in state.items()}
    else:
        state = timm.create_model(public, pretrained=False).state_dict()
    filled = network(name).build(1.0)
    encoders.start_encoder(filled, public, state)
    held = {v.detach().float().sum().item() for v in filled.state_dict().values() if v.ndim == 4}
    wanted = [v.float().sum().item() for v in state.values() if v.ndim == 4]
    if name == "deepcrack19":  # whose convolutions have no bias
        assert "stages.0.0.bias" not in filled.state_dict()
    assert all(any(math.isclose(one, other, rel_tol=1e-6) for other in held) for one in wanted)


def test_a_run_starts_from_downloaded_weights_and_notes_their_digest(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(trainer, "download", lambda *given: {"features.0.weight": torch.zeros(1)})
    monkeypatch.setattr(trainer, "start_encoder", lambda *given: started.append(given[1]))
    chosen = tiny("deepcrack19", width=1.0, encoder_weights="imagenet")
    trained = run("deepcrack19", tmp_path / "run", chosen, max_steps=1)
    assert started == ["vgg16"]
    assert trained.manifest["encoder"]["source"] == "imagenet"
    assert len(trained.manifest["encoder"]["sha256"]) == 64
