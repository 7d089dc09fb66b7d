"""What the chapter on compared methods shows: facts, presets, printed scores and pictures."""

from __future__ import annotations

import html
import itertools

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from upcrack_lite.baselines.registry import COMPARED, network
from upcrack_lite.show import method_figures, methods


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


# --- facts and presets ---


@pytest.mark.parametrize("name", COMPARED)
def test_facts_hold_the_source_and_every_choice(name):
    text = methods.facts(name).data
    assert html.escape(network(name).source) in text
    for sentence in network(name).chosen:
        assert html.escape(sentence) in text
    known = network(name).encoder != "none"
    assert ("can start from ImageNet weights" in text) == known
    assert ("12 passes" in text) == (name in ("scadn", "riad"))


def test_a_preset_shows_its_whys_and_not_what_is_unused():
    text = methods.whys("unet").data
    assert "section IV-B: stochastic gradient descent" in text
    assert "step_at" not in text, "poly does not use it"
    assert "bilateral_d" not in text, "the map is cut as it is"
    restorer = methods.whys("riad").data
    assert "bilateral_d" in restorer
    assert "0.833333<" in restorer, "numbers are short"


def test_beside_another_method_only_differences_are_shown():
    text = methods.whys("riad", beside="unet").data
    assert "from epoch 250 of 300" in text
    assert "encoder_weights" not in text, "the same in both"


def test_what_labels_buy_is_counted_from_the_printed_rows():
    assert methods.masks_ahead(4)[1:] == (2, 11), "Table IV: both networks made for cracks, and no other"
    assert methods.masks_ahead(3)[1:] == (8, 11)  # all except ENet, SegResNet and DDRNet
    text = methods.labels_buy().data
    assert "8 of 11" in text
    assert "11.0 to 12.1" in text  # RIAD and SCADN in Table III


# --- pictures ---


def test_no_name_covers_another_in_the_picture_of_costs():
    figure = method_figures.cost_figure()
    figure.canvas.draw()
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    names = [text for text in axes.texts if text.get_text()]
    titles = {one.title for one in methods.lines().values()}
    assert titles <= {text.get_text() for text in names}
    boxes = {text.get_text() + str(i): text.get_window_extent() for i, text in enumerate(names)}
    for (a, first), (b, second) in itertools.combinations(boxes.items(), 2):
        assert not first.overlaps(second), f"{a} covers {b}"
    inside = axes.get_window_extent()
    assert all(inside.x0 < box.x0 and box.x1 < inside.x1 for box in boxes.values())
    alt = method_figures.cost_alt()
    assert all(title in alt for title in titles)
    assert alt.count("in 12 passes") == 2


def small_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, 2, 1), nn.ConvTranspose2d(6, 1, 2, 2)
    )


def test_a_trace_has_each_convolution_once_and_leaves_the_network_alone():
    network = small_network().train()
    steps = method_figures.trace(network, 32)
    assert [(step.channels, step.side) for step in steps] == [(4, 16), (6, 8), (1, 16)]
    assert torch.equal(network[1].running_mean, torch.zeros(4)), "nothing is learned on the way"


def test_enet_stays_at_an_eighth():
    steps = method_figures.trace_method("enet")
    assert min(step.side for step in steps) == 256 / 8
    assert sum(step.side == 256 / 8 for step in steps) > len(steps) / 2


def test_each_traced_network_has_a_panel_with_a_dot_for_each_convolution():
    steps = method_figures.trace(small_network(), 32)
    figure = method_figures.sides({"one": steps, "two": steps[:2]})
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["one", "two"]
    assert [len(axes.collections[0].get_offsets()) for axes in figure.axes] == [3, 2]
    assert "one 3 convolutions, smallest map 8 px" in method_figures.sides_alt({"one": steps})


def test_riads_sets_share_the_pixels_evenly():
    panels = method_figures.riad_sets(48)
    assert [title for title, _ in panels] == [f"cells of {cell} px" for cell in (2, 4, 8, 16)]
    for (_, picture), cell in zip(panels, (2, 4, 8, 16), strict=True):
        parts = [(picture == tone).all(axis=2).mean() for tone in method_figures.TONES]
        assert parts == pytest.approx([1 / 3] * 3, abs=1 / (48 / cell) ** 2)
        assert (picture[:cell, :cell] == picture[0, 0]).all()


def test_scadns_masks_come_in_opposite_pairs():
    panels = method_figures.scadn_stripes(64)
    assert [title for title, _ in panels] == ["16 px"] * 4 + ["8 px"] * 4 + ["4 px"] * 4
    for (_, one), (_, other) in zip(panels[::2], panels[1::2], strict=True):
        assert (one != other).all()
        assert one.mean() == 0.5
