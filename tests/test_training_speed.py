"""The released loop, written anew for timing: it computes what the kit computes, in its own wasteful way."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
import training_speed as speed

from upcrack_lite.losses import msgms_loss, ssim_loss, style_loss
from upcrack_lite.recipes import preset
from upcrack_lite.show.speed import AIMS, Speed, kind_of, shares
from upcrack_lite.vgg import LAYERS, VGGFeatures

SMALL = {"size": 64, "load_size": 72, "depth": 6, "width": 4, "disc_width": 4, "mask_cells": (32, 16)}


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    values, _, folder = speed.setting(
        "lite", SMALL | {"lambda_style": 10.0}, 2, tmp_path_factory.mktemp("crops")
    )
    return speed.Released(values, folder, "cpu")


def test_its_losses_are_the_kits(released):
    a, b = (torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(i)) * 2 - 1 for i in (0, 1))
    assert released.ssim(a, b).item() == pytest.approx(float(ssim_loss(a, b, 1.0, "zero")), rel=1e-4)
    assert released.msgms(a, b).item() == pytest.approx(float(msgms_loss(a, b, median=True)), rel=1e-4)
    assert tuple(speed.LAYERS.values()) == LAYERS["vgg19"]
    vgg = VGGFeatures("vgg19", weights="random", normalize=False)
    vgg.features.load_state_dict(released.vgg[: len(vgg.features)].state_dict())
    assert released.style(a, b).item() == pytest.approx(float(style_loss(vgg(a), vgg(b))), rel=1e-4)


def test_a_step_reads_files_learns_and_wastes_what_the_program_wastes(released):
    before = [p.clone() for net in (released.g, released.d) for p in net.parameters()]
    losses = released.step()
    after = [p for net in (released.g, released.d) for p in net.parameters()]
    assert len(losses) == 9
    assert all(loss > 0 for loss in losses)
    assert all(not torch.equal(x, y) for x, y in zip(before, after, strict=True))
    # D's gradients of G's loss are there, though nothing uses them.
    assert all(p.grad.abs().sum() > 0 for p in released.d.parameters())


def test_one_row_of_the_table(monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "peak_memory", lambda *_: 1)
    monkeypatch.setattr(speed, "SCALES", {"small": "lite"})
    monkeypatch.setattr(speed, "growth", lambda *given: [{"given": given}])
    monkeypatch.setattr(speed, "COMBINATIONS", {"small": SMALL | {"lambda_style": 0.0}})
    speed.main(tmp_path / "speed.json", batch=2, rounds=1, device="cpu", one="", scale="", changes="{}")
    lines = json.loads((tmp_path / "speed.json").read_text())["lines"]
    assert [line["loop"] for line in lines] == [speed.RELEASED, *speed.KIT]
    assert lines[0]["times_as_fast"] == 1
    assert all(0 < line["share_of_peak"] < 2 for line in lines)


def test_few_and_many_crops_take_turns(monkeypatch):
    monkeypatch.setattr(speed, "preset", lambda *_, **values: preset("released", "lite", **SMALL | values))
    lines = speed.growth("cpu", 2, 3, (2, 6))
    assert [line["crops"] for line in lines] == [2, 6]
    for line in lines:
        low, high = line["spread"]
        assert 0 < low <= line["seconds_an_image"] <= high
        assert line["memory_mib"] > 100


@pytest.mark.slow
def test_memory_is_of_a_process_of_its_own():
    words = [sys.executable, speed.__file__, "--one", "kit, float32", "--scale", "lite", "--batch", "1"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert 100 < int(done.stdout.split()[-1]) < 8000


@pytest.mark.parametrize(("ratio", "word"), [(3.1, "reached"), (2.9, "missed")])
def test_the_page_says_what_is_reached(tmp_path, ratio, word):
    loops = [("released loop", 1.0), ("kit, float32", 1.5), ("kit, bfloat16", ratio)]
    lines = [
        {"scale": "width 64, 256 px", "losses": losses, "loop": loop, "times_as_fast": fast}
        for losses in AIMS
        for loop, fast in loops
    ]
    seconds = {"three programs": {"all": 40.0}, "kit": {"all": 8.0}}
    grown = [{"crops": n, "seconds_an_image": s} for n, s in ((300, 0.02), (3000, 0.02), (30_000, 0.025))]
    (tmp_path / "training_speed.json").write_text(json.dumps({"lines": lines, "growth": grown}))
    (tmp_path / "detection_speed.json").write_text(json.dumps({"seconds": seconds}))
    said = Speed(tmp_path).says().data
    assert f"bfloat16, is {ratio:.2f} times as fast as the released loop; the aim of 3 is {word}" in said
    assert (
        "30,000 crops takes 1.25 times as long as one of 300; at most 1.2 times was the aim, which is missed"
        in said
    )
    assert "Detection: 5.00 times as fast; the aim of 4 is reached" in said


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("aten::convolution_backward", "convolutions"),
        ("aten::native_batch_norm", "batch normalization"),
        ("Optimizer.step#Adam.step", "optimizers"),
        ("aten::mul", "all else"),
    ],
)
def test_operators_are_sorted_by_the_kind_of_work(operator, kind):
    assert kind_of(operator) == kind


def test_shares_add_up_and_name_what_is_done():
    image, kernel = torch.rand(1, 8, 64, 64), torch.rand(8, 8, 3, 3)
    parts = shares(lambda: torch.nn.functional.conv2d(image, kernel))
    assert sum(parts.values()) == pytest.approx(100)
    assert next(iter(parts)) == "convolutions"
