"""The compared methods on a tiny scale: they learn, resume, load, and refuse what is not their own."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from upcrack_lite.baselines import choices, encoders, learning, presets, riad, scadn
from upcrack_lite.baselines.courses import MethodCourse, random_views
from upcrack_lite.baselines.learning import optimizer_of, train_method
from upcrack_lite.baselines.prediction import load_network, score_map, smooth_and_cut
from upcrack_lite.baselines.presets import MethodPreset, method_preset
from upcrack_lite.baselines.registry import METHODS
from upcrack_lite.detection import binarize
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor
from upcrack_lite.recipes import preset
from upcrack_lite.runs import RunFolder

SIDE = 64
SUPERVISED = [name for name, found in METHODS.items() if found.strategy != "unsupervised"]
UNSUPERVISED = [name for name in METHODS if name not in SUPERVISED]
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
    return train_method(name, images, chosen or tiny(name), out, device="cpu", progress=False, **given)


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def without_time(found: RunFolder) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found.log()]


@pytest.fixture(scope="module", params=CHEAP.values(), ids=CHEAP)
def finished(request, tmp_path_factory) -> RunFolder:
    """An uninterrupted run of one method of each kind."""
    return run(request.param, tmp_path_factory.mktemp("finished") / "run")


# --- Every method --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_and_comes_back_from_its_folder(name, tmp_path, monkeypatch):
    built = []
    real = learning._course
    monkeypatch.setattr(learning, "_course", lambda *a: built.append(real(*a)) or built[-1])
    found = run(name, tmp_path / "run", max_steps=2)
    assert found.finished
    assert (found.manifest["method"], found.manifest["steps_done"]) == (name, 2)
    assert found.manifest["preset"] == tiny(name).to_dict()
    (row,) = found.log()
    assert all(math.isfinite(value) for value in row.values())
    assert row["loss"] > 0
    assert row["lr"] > 0
    names = {p.name for p in found.path.iterdir()}
    assert names == {"manifest.json", "checkpoint.safetensors", "log.csv", "progress"}
    network, chosen = load_network(found.path)
    assert chosen == tiny(name)
    assert not network.training
    image = to_tensor(roads(1, seed=9)[0])
    maps = [score_map(one, chosen, image) for one in (network, built[0].network, network)]
    assert maps[0].shape == (1, 1, SIDE, SIDE)
    assert maps[0].dtype == torch.float32
    assert 0 <= float(maps[0].min()) < float(maps[0].max()) <= 1
    assert torch.equal(maps[0], maps[1])
    assert torch.equal(maps[0], maps[2])
    smoothed, cuts = smooth_and_cut(maps[0], chosen)
    assert (smoothed.shape, cuts.shape) == ((1, 1, SIDE, SIDE), (1,))


# Biases that the batch norm behind them takes out again: there, each channel has one value a photo.
WITHOUT_EFFECT = {
    "bisenetv2": {"context.norm.bias"},
    "ddrnet": {"low.2.main.4.1.bias", "low.2.shortcut.1.bias"},
}


@pytest.mark.parametrize("name", METHODS)
def test_training_reaches_and_moves_every_parameter(name):
    """In two steps: the blocks of a ResNet begin with a norm of weight 0, which nothing in them passes at first."""
    import lightning

    fabric = lightning.Fabric(accelerator="cpu", devices=1)
    images, masks = roads(2)
    given = (images, masks if name in SUPERVISED else None)
    split = (np.arange(2), np.arange(0))
    course = learning._course(METHODS[name], tiny(name, lr=0.01), fabric, given, split, 0, None)
    parameters = dict(course.network.named_parameters())
    before = {key: value.detach().clone() for key, value in parameters.items()}
    course.set_epoch(0)
    for _ in range(2):
        for batch in course.batches():
            course.step(batch)
    unreached = {key for key, value in parameters.items() if value.grad is None or not value.grad.any()}
    still = {key for key, value in parameters.items() if torch.equal(before[key], value)}
    assert unreached | still <= WITHOUT_EFFECT.get(name, set())


# --- A run and its folder ------------------------------------------------------------------------------------


def test_the_log_of_each_kind(finished):
    rows = finished.log()
    name = finished.manifest["method"]
    if name == "enet":
        columns = ["epoch", "steps", "loss", "lr", "seconds"]
        assert [row["steps"] for row in rows] == [2, 4]  # five photos in pairs: the single one is left out
        # Poly at the last step of each epoch: of four steps, the second and the fourth.
        assert [row["lr"] for row in rows] == pytest.approx([0.01 * 0.75**0.9, 0.01 * 0.25**0.9])
        assert (finished.manifest["crops_trained"], finished.manifest["crops_validated"]) == (5, 0)
        assert finished.manifest["best_epoch"] == 1
    else:
        columns = ["epoch", "steps", "l2", "gms", "ssim", "loss", "lr", "valid", "seconds"]
        assert [row["steps"] for row in rows] == [2, 4]  # four crops, one held out
        assert [row["lr"] for row in rows] == pytest.approx([1e-4, 1e-4])
        assert (finished.manifest["crops_trained"], finished.manifest["crops_validated"]) == (4, 1)
        assert finished.manifest["best_epoch"] == int(np.argmin([row["valid"] for row in rows]))
    assert all(list(row) == columns for row in rows)
    assert sorted(p.name for p in (finished.path / "progress").iterdir()) == ["0000.png", "0001.png"]


def test_the_manifest_says_what_a_record_asks_of_every_run(finished):
    for key in ("seed", "max_steps", "precision", "train_seconds", "peak_memory_mib", "style_weights",
                "start_sha256", "environment", "overrides", "encoder"):  # fmt: skip
        assert key in finished.manifest, key
    assert finished.manifest["data"]["crops"] == 5
    assert finished.manifest["overrides"]["width"] == 0.125
    masks = finished.manifest["crack_masks_sha256"]
    assert (masks is None) == (finished.manifest["method"] in UNSUPERVISED)


@pytest.mark.parametrize("step", [1, 3])
def test_a_run_that_was_killed_goes_on_bit_by_bit(finished, tmp_path, monkeypatch, step):
    name = finished.manifest["method"]
    real, count = MethodCourse.step, iter(range(100))

    def crash(self, batch):
        if next(count) == step:
            raise KeyboardInterrupt
        return real(self, batch)

    monkeypatch.setattr(MethodCourse, "step", crash)
    with pytest.raises(KeyboardInterrupt):
        run(name, tmp_path / "run")
    monkeypatch.undo()
    assert not RunFolder.open(tmp_path / "run").finished
    torch.rand(11)  # whatever happens in between does not matter
    resumed = run(name, tmp_path / "run")
    assert without_time(resumed) == without_time(finished)
    for file in ("checkpoint.safetensors", "progress/0000.png", "progress/0001.png"):
        assert (resumed.path / file).read_bytes() == (finished.path / file).read_bytes(), file


def test_a_finished_run_comes_back_untouched(finished, monkeypatch):
    before = listing(finished.path)
    monkeypatch.setattr(learning, "_course", None)  # it must not even be built
    assert run(finished.manifest["method"], finished.path).manifest == finished.manifest
    assert listing(finished.path) == before


def test_another_run_in_the_folder_is_refused_and_nothing_touched(finished):
    name, before = finished.manifest["method"], listing(finished.path)
    other = {"images": roads(seed=1)[0]}
    for options, named in (
        ({"seed": 1}, "seed"),
        (other, "data"),
        ({"chosen": tiny(name, lr=0.5)}, "preset"),
    ):
        with pytest.raises(UserError, match=f"another .*{named}.*nothing was touched"):
            run(name, finished.path, **options)
    if name in SUPERVISED:
        with pytest.raises(UserError, match=r"another .*crack_masks_sha256"):
            run(name, finished.path, crack_masks=roads(seed=1)[1])
    assert listing(finished.path) == before


def test_a_loss_that_is_not_finite_names_the_learning_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(MethodCourse, "step", lambda self, batch: {"loss": torch.tensor(float("nan"))})
    with pytest.raises(UserError, match=r"loss is not finite. Lower lr \(0.01\)"):
        run("enet", tmp_path / "run")
    assert RunFolder.open(tmp_path / "run").manifest["status"] == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "deepcrack18"])
def test_a_crack_is_learned_and_found(name, tmp_path):
    images, masks = roads(12)
    chosen = tiny(name, epochs=20, batch_size=4, validate_every=20)
    found = run(name, tmp_path / "run", chosen, images=images, crack_masks=masks)
    network, _ = load_network(found)
    photo, truth = roads(2, seed=5)
    smoothed, cuts = smooth_and_cut(score_map(network, chosen, to_tensor(photo)), chosen)
    predicted = (smoothed[:, 0] > cuts.view(-1, 1, 1)).numpy()
    assert 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum()) > 0.7


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", ["enet", "riad", "scadn"])
def test_a_gpu_trains_and_predicts(name, precision, tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("NOT TESTED on a GPU: this machine has no CUDA device")
    images, masks = roads()
    given = {"crack_masks": masks if name in SUPERVISED else None, "device": "cuda", "progress": False}
    found = train_method(name, images, tiny(name), tmp_path / "run", precision=precision, **given)
    assert found.manifest["environment"]["used_device"].startswith("cuda")
    network, chosen = load_network(found, "cuda")
    found = score_map(network, chosen, to_tensor(images[:1]).cuda())
    alone = score_map(network.cpu(), chosen, to_tensor(images[:1]))
    assert torch.allclose(found.cpu(), alone, atol=0.01)


@pytest.mark.parametrize(
    ("name", "precision"), [("unet", "bf16-mixed"), ("riad", "bf16-mixed"), ("enet", "64-true")]
)
def test_other_precisions_train_too(name, precision, tmp_path):
    found = run(name, tmp_path / "run", max_steps=2, precision=precision)
    single = run(name, tmp_path / "single", max_steps=2)
    assert found.log()[0]["loss"] == pytest.approx(single.log()[0]["loss"], rel=0.1)
    assert float(score_map(*load_network(found), to_tensor(roads(1)[0])).max()) > 0


# --- Learning rates, views, judging --------------------------------------------------------------------------


def course_of(name: str, chosen: MethodPreset, n: int = 4, held_out: int = 1) -> MethodCourse:
    import lightning

    fabric = lightning.Fabric(accelerator="cpu", devices=1)
    images, masks = roads(n)
    split = (np.arange(n - held_out), np.arange(n - held_out, n))
    given = (images, masks if name in SUPERVISED else None)
    return learning._course(METHODS[name], chosen, fabric, given, split, 0, None)


def test_riads_rate_falls_to_a_tenth_at_its_step():
    course = course_of("riad", tiny("riad", epochs=6, step_at=0.5))
    found = []
    for epoch in range(6):
        course.set_epoch(epoch)
        found.append(course.rates()["lr"])
    assert found == pytest.approx([1e-4] * 3 + [1e-5] * 3)


def test_a_restorer_takes_rate_and_weight_decay_from_the_preset_and_keeps_its_ratios():
    network = METHODS["scadn"].build(0.125)
    own = optimizer_of(network, tiny("scadn")).param_groups
    assert [group["lr"] for group in own] == [scadn.LR, scadn.LR_DISCRIMINATOR]
    assert own[0]["betas"] == scadn.BETAS
    twice = optimizer_of(network, tiny("scadn", lr=2e-4, weight_decay=0.5)).param_groups
    assert [group["lr"] for group in twice] == pytest.approx([2e-4, 2e-5])
    assert [group["weight_decay"] for group in twice] == [0.5, 0.5]


def test_sgd_has_momentum_and_weight_decay_and_adam_can_take_its_place():
    network = METHODS["enet"].build(0.125)
    sgd = optimizer_of(network, tiny("enet"))
    assert isinstance(sgd, torch.optim.SGD)
    assert [sgd.param_groups[0][k] for k in ("lr", "momentum", "weight_decay")] == [0.01, 0.9, 1e-4]
    assert isinstance(optimizer_of(network, tiny("enet", optimizer="adam")), torch.optim.Adam)


def views(chosen: MethodPreset, n: int = 64, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Views of an image that holds its own coordinates, x in [-1, 1] and y, and of a mask of the left half."""
    axis = torch.linspace(-1, 1, SIDE)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    image = torch.stack([x, y, torch.zeros_like(x)]).expand(n, -1, -1, -1)
    return random_views(image, (image[:, :1] < 0).float(), chosen, torch.Generator().manual_seed(seed))


def test_without_scaling_and_flipping_a_view_is_the_image():
    image, mask = views(tiny("unet", scale_low=1.0, scale_high=1.0, flip=False), 3)
    assert torch.allclose(image[1, 0, 0], torch.linspace(-1, 1, SIDE), atol=1e-5)
    assert torch.allclose(image[1, 1, :, 0], torch.linspace(-1, 1, SIDE), atol=1e-5)
    assert torch.equal(mask, (torch.linspace(-1, 1, SIDE) < 0).float().expand(3, 1, SIDE, SIDE))


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
def test_judging_and_pictures_are_the_same_at_every_call_and_leave_no_trace(name, tmp_path):
    course = course_of(name, tiny(name, validation_share=0.25))
    state, draws = torch.get_rng_state(), course.draws.get_state()
    before = {key: value.clone() for key, value in course.network.state_dict().items()}
    values = [course.validate() for _ in range(2)]
    assert all(module.training for module in course.network.modules())
    course.picture(tmp_path / "picture.png")
    assert values[0] == values[1] > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(course.draws.get_state(), draws)
    assert all(torch.equal(value, before[key]) for key, value in course.network.state_dict().items())
    assert all(module.training for module in course.network.modules())


def test_nothing_held_out_is_not_judged():
    assert course_of("enet", tiny("enet"), held_out=0).validate() is None


def test_scadn_is_judged_by_what_it_restores_and_calibrated_at_the_end(tmp_path, monkeypatch):
    course = course_of("scadn", tiny("scadn"))
    real = course.network.losses
    poisoned = {"adversarial": 1e9, "discriminator": 1e9, "total": 1e9}
    value = course.validate()
    monkeypatch.setattr(course.network, "losses", lambda *a: real(*a) | poisoned)
    assert course.validate() == value
    network, _ = load_network(run("scadn", tmp_path / "run", max_steps=2))
    images = roads()[0]
    manifest = RunFolder.open(tmp_path / "run").manifest
    assert manifest["crops_trained"] == 4
    training, _ = learning.split_by_photo([str(i) for i in range(5)], 0.1, 0)
    again = METHODS["scadn"].build(0.125)
    again.load_state_dict(network.state_dict())
    again.eval().calibrate([to_tensor(images[training])])
    assert float(network.usual.min()) > 0
    assert torch.allclose(network.usual, again.usual, rtol=1e-4)


def test_the_best_epoch_is_what_is_calibrated(tmp_path, monkeypatch):
    first = run("scadn", tmp_path / "first", max_steps=2)  # one epoch
    values = iter([1.0, 2.0])
    monkeypatch.setattr(MethodCourse, "validate", lambda self: next(values))
    both = run("scadn", tmp_path / "both")
    assert (both.manifest["epochs_done"], both.manifest["best_epoch"]) == (2, 0)
    one, other = first.load_weights(), both.load_weights()
    assert float(one["usual"].min()) > 0
    assert all(torch.equal(one[key], other[key]) for key in one)


# --- Bad input -----------------------------------------------------------------------------------------------


IMAGES, MASKS = roads()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unet", {"crack_masks": None}, "learns from crack masks"),
        ("unet", {"crack_masks": MASKS[:4]}, r"crack_masks must be bool \(5, 64, 64\), got bool \(4, 64, 64\)"),
        ("unet", {"crack_masks": MASKS[:, ::2, ::2]}, r"got bool \(5, 32, 32\)"),
        ("unet", {"crack_masks": MASKS.astype(np.uint8)}, "got uint8"),
        ("unet", {"crack_masks": np.zeros_like(MASKS)}, "no crack mask has a crack"),
        ("unet", {"images": IMAGES[:1], "crack_masks": MASKS[:1]}, "at least 2 images"),
        ("unet", {"images": IMAGES[:, :32, :32]}, r"crops must be uint8 \(N, 64, 64, 3\)"),
        ("riad", {"crack_masks": MASKS}, "undamaged crops alone"),
        ("riad", {"images": IMAGES.astype(np.float32)}, "crops must be uint8"),
        ("riad", {"images": IMAGES[:0]}, "no crop"),
        ("riad", {"groups": ["a"]}, "1 groups for 5 crops"),
        ("riad", {"device": "gpu0"}, "gpu0"),
        ("unknown", {"chosen": tiny("riad")}, "unknown method 'unknown'"),
        ("riad", {"chosen": tiny("scadn")}, "scadn's, not riad's"),
        ("unet", {"chosen": preset("paper", "lite")}, "upcracknet's, not unet's"),
        ("unet", {"chosen": tiny("unet", width=1.0, encoder_weights="imagenet")}, "unet has no encoder"),
        ("pspnet", {"chosen": tiny("pspnet", width=1.0, encoder_weights="file")}, "use imagenet or none"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_a_folder_is_made(tmp_path, name, options, message):
    given = {
        "images": IMAGES,
        "crack_masks": MASKS if name in SUPERVISED else None,
        "device": "cpu",
    } | options
    images, chosen = given.pop("images"), given.pop("chosen", None)
    chosen = chosen or tiny(name)
    with pytest.raises(UserError, match=message):
        train_method(name, images, chosen, tmp_path / "run", progress=False, **given)
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
    network, chosen = load_network(finished)
    with pytest.raises(UserError, match=r"photos must be \(N, 3, 64, 64\)"):
        score_map(network, chosen, torch.zeros(1, 3, 32, 32))


# --- Filter and threshold ------------------------------------------------------------------------------------


def test_the_filter_is_the_presets():
    draws = torch.Generator().manual_seed(0)
    maps = torch.rand(1, 1, SIDE, SIDE, generator=draws)
    plain, cuts = smooth_and_cut(maps, tiny("unet"))
    assert torch.equal(plain, (maps * 255).round() / 255)
    assert cuts.tolist() == [0.5]
    smooth, cuts = smooth_and_cut(maps, tiny("riad"))
    assert smooth.std() < 0.3 * plain.std()
    assert torch.equal(smooth > cuts, binarize(smooth))


# --- Presets -------------------------------------------------------------------------------------------------


def test_the_presets_cover_the_registry_and_agree_with_the_modules():
    assert (set(choices.SUPERVISED), set(choices.UNSUPERVISED)) == (set(SUPERVISED), set(UNSUPERVISED))
    chosen = method_preset("riad", "full")
    assert chosen.lr == riad.ADAM["lr"]
    assert chosen.weight_decay == riad.ADAM["weight_decay"]
    assert (chosen.epochs, chosen.batch_size) == (300, 4)
    assert chosen.step_at * chosen.epochs == pytest.approx(250)
    chosen = method_preset("scadn", "full")
    assert (chosen.lr, chosen.epochs, chosen.batch_size) == (scadn.LR, 200, 4)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("scale", choices.SCALES)
def test_every_value_has_its_why_and_a_preset_comes_back_from_plain_values(name, scale):
    chosen = method_preset(name, scale)
    assert (chosen.size, chosen.width) == ((256, 1.0) if scale == "full" else (128, 0.25))
    assert chosen.supervised == (name in SUPERVISED)
    values = chosen.to_dict()
    assert presets.from_dict(values) == chosen
    assert chosen.overrides() == {}
    starts = ("section IV-B", "silent", "source", "as UP-CrackNet", "lite", "not used", "the name", "Eq.")
    for field in values:
        assert chosen.why(field).startswith(starts), field
    assert method_preset(name, scale, epochs=7).overrides() == {"epochs": 7}
    assert "set by the user" in method_preset(name, scale, epochs=7).why("epochs")


def test_the_supervised_preset_is_the_papers():
    chosen = method_preset("unet", "full")
    assert (chosen.optimizer, chosen.lr, chosen.momentum, chosen.weight_decay) == ("sgd", 0.01, 0.9, 1e-4)
    assert (chosen.epochs, chosen.schedule, chosen.patience) == (200, "poly", 0)
    assert (chosen.map_filter, chosen.threshold_rule, chosen.threshold_value) == ("none", "fixed", 0.5)
    chosen, ours = method_preset("scadn", "full"), preset("paper", "full")
    assert (chosen.map_filter, chosen.threshold_rule) == ("bilateral", ours.threshold_rule)
    for field in (
        "bilateral_d",
        "bilateral_sigma_color",
        "bilateral_sigma_space",
        "patience",
        "validation_share",
    ):
        assert getattr(chosen, field) == getattr(ours, field)
    assert chosen.scale_low == ours.load_size / ours.size


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1}, "unknown preset value 'colour'"),
        ({"epochs": 1.5}, "epochs must be of type int"),
        ({"flip": 1}, "flip must be of type bool"),
        ({"lr": math.nan}, "lr must be above 0"),
        ({"size": 100}, "multiple of 32"),
        ({"width": 1.5}, "width must be"),
        ({"optimizer": "rmsprop"}, "choose one of sgd, adam"),
        ({"map_filter": "median"}, "choose one of bilateral"),
        ({"threshold_value": 2.0}, "from 0 to 1"),
        ({"scale_high": 0.5}, "scale_high must be at least 1"),
        ({"scale_low": 2.0}, "is below scale_low"),
        ({"momentum": 1.0}, "momentum must be below 1"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"patience": 5}, "below validate_every"),
        ({"encoder_weights": "imagenet"}, "width=1.0"),
        ({"scale_high": math.inf}, "scale_high must be"),
    ],
)
def test_values_that_cannot_be_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        method_preset("unet", **values)


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match=r"unknown method 'vgg'; choose one of deeplabv3plus"):
        method_preset("vgg")
    with pytest.raises(UserError, match="unknown scale 'huge'"):
        method_preset("unet", "huge")
    with pytest.raises(UserError, match="unknown preset value"):
        method_preset("unet").why("colour")
    with pytest.raises(UserError, match="preset lacks scale"):
        presets.from_dict({k: v for k, v in method_preset("unet").to_dict().items() if k != "scale"})
    with pytest.raises(UserError, match="cannot be overridden"):
        method_preset("unet", method="riad")
    with pytest.raises(UserError, match="trained by Adam"):
        method_preset("riad", optimizer="sgd")
    method_preset("riad", batch_size=1)


def test_presets_need_no_torch():
    program = "import sys, upcrack_lite.baselines.presets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# --- Encoders ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", encoders.ENCODERS)
def test_encoder_weights_of_the_public_names_fill_the_encoder(name, monkeypatch):
    import timm
    import torchvision

    public = encoders.ENCODERS[name]
    torch.manual_seed(1)
    if public == "vgg16":
        state = torchvision.models.vgg16(weights=None).features.state_dict()
        state = {f"features.{key}": torch.randn_like(value) for key, value in state.items()}
    else:
        state = timm.create_model(public, pretrained=False).state_dict()
    monkeypatch.setattr(encoders, "_download", {public: state}.__getitem__)
    read = encoders.read_encoder(METHODS[name], "imagenet")
    network = METHODS[name].build(1.0)
    encoders.start_encoder(METHODS[name], network, read)
    held = {v.detach().float().sum().item() for v in network.state_dict().values() if v.ndim == 4}
    wanted = [v.float().sum().item() for v in state.values() if v.ndim == 4]
    if name == "deepcrack19":  # whose convolutions have no bias
        assert "stages.0.0.bias" not in network.state_dict()
    assert all(any(math.isclose(one, other, rel_tol=1e-6) for other in held) for one in wanted)
    with pytest.raises(UserError, match=f"not those of {public}"):
        encoders.start_encoder(METHODS[name], network, {k: v for k, v in read.items() if v.ndim != 4})
    assert encoders.encoder_facts(read)["source"] == "imagenet"
