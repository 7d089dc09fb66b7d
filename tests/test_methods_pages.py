"""What the chapters on compared methods and on detectors without training show: numbers, facts, pictures, widget."""

from __future__ import annotations

import html
import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from upcrack_lite.baselines import variants
from upcrack_lite.baselines.registry import METHODS
from upcrack_lite.baselines.variants import FAMILIES, Variant
from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import Confusion
from upcrack_lite.reproduction import published
from upcrack_lite.show import method_costs, method_masks, method_shapes, methods, untrained
from upcrack_lite.show.untrained_widget import DarknessExplorer

ROADS = synthetic_set(2, 64, seed=2, crack_share=0.05)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


# --- costs ---


def test_every_row_of_table_iii_has_a_line():
    printed = [row.key for row in published.rows(3)]
    assert [name for name in method_costs.lines() if name in printed] == printed


def test_restorers_pay_for_twelve_passes_and_others_for_one():
    found = method_costs.lines()
    assert {name for name, one in found.items() if one.passes > 1} == {"scadn", "riad"}
    for one in found.values():
        assert one.one_photo == one.passes * one.one_pass
    assert found["riad"].one_photo / found["upcracknet"].one_photo > 100


def test_what_the_chapter_says_about_costs_is_so():
    found = method_costs.lines()
    own = found["upcracknet"]
    assert own.parameters == pytest.approx(found["segresnet"].parameters, rel=0.05)
    assert own.parameters / found["unet"].parameters == pytest.approx(1.7, abs=0.1)
    assert found["unet"].one_photo / own.one_photo == pytest.approx(9, abs=0.5)
    assert own.parameters / found["enet"].parameters == pytest.approx(150, abs=5)
    once = {name: one.one_pass for name, one in found.items() if one.passes == 1}
    assert max(once, key=once.get) == "deepcrack18"


def test_the_table_shows_our_count_beside_the_source():
    text = method_costs.table().data
    for name, one in method_costs.lines().items():
        assert one.title in text
        assert f"{one.parameters / 1e6:.2f}" in text
        assert name == "upcracknet" or f"{METHODS[name].parameters:.2f}" in text


def test_no_name_covers_another_in_the_picture_of_costs():
    figure = method_costs.cost_figure()
    figure.canvas.draw()
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    names = [text for text in axes.texts if text.get_text()]
    assert {one.title for one in method_costs.lines().values()} <= {text.get_text() for text in names}
    boxes = {text.get_text() + str(i): text.get_window_extent() for i, text in enumerate(names)}
    for (a, first), (b, second) in itertools.combinations(boxes.items(), 2):
        assert not first.overlaps(second), f"{a} covers {b}"
    inside = axes.get_window_extent()
    assert all(inside.x0 < box.x0 and box.x1 < inside.x1 for box in boxes.values())


def test_the_picture_in_words_has_every_name():
    said = method_costs.cost_alt()
    assert all(one.title in said for one in method_costs.lines().values())
    assert said.count("in 12 passes") == 2


# --- facts and presets ---


@pytest.mark.parametrize("name", METHODS)
def test_facts_hold_the_source_and_every_choice(name):
    text = methods.facts(name).data
    assert html.escape(METHODS[name].source) in text
    for sentence in METHODS[name].chosen:
        assert html.escape(sentence) in text
    known = METHODS[name].encoder != "none"
    assert ("can start from ImageNet weights" in text) == known
    assert ("12 passes" in text) == (name in ("scadn", "riad"))


def test_an_unknown_method_is_refused():
    with pytest.raises(UserError, match="choose deeplabv3plus"):
        methods.facts("segnet")


def test_a_preset_shows_its_whys_and_not_what_is_unused():
    text = methods.whys("unet", "full").data
    assert "section IV-B: stochastic gradient descent" in text
    assert "step_at" not in text, "poly does not use it"
    assert "bilateral_d" not in text, "the map is cut as it is"
    restorer = methods.whys("riad", "full").data
    assert "bilateral_d" in restorer
    assert "0.833333<" in restorer, "numbers are short"


def test_beside_another_method_only_differences_are_shown():
    text = methods.whys("riad", "full", beside="unet").data
    assert "from epoch 250 of 300" in text
    assert "encoder_weights" not in text, "the same in both"
    alike = methods.whys("enet", "full", beside="unet").data
    assert "ENet has the same values as U-Net" in alike, "all that learn from masks are trained alike"


def test_what_labels_buy_is_counted_from_the_printed_rows():
    assert methods.above(4) == 2, "Table IV: both networks made for cracks, and no other"
    assert methods.above(3) == 8  # all but ENet, SegResNet and DDRNet
    text = methods.labels_buy().data
    assert "8 of 11" in text
    assert "11.0 to 12.1" in text  # RIAD and SCADN in Table III


# --- shapes ---


def small_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, 2, 1), nn.ConvTranspose2d(6, 1, 2, 2)
    )


def test_a_trace_has_each_convolution_once_and_leaves_the_network_alone():
    network = small_network().train()
    steps = method_shapes.trace(network, 32)
    assert [(step.channels, step.side) for step in steps] == [(4, 16), (6, 8), (1, 16)]
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert torch.equal(network[1].running_mean, torch.zeros(4)), "nothing is learned on the way"


def test_enet_stays_at_an_eighth():
    steps = method_shapes.trace_method("enet", 64)
    assert min(step.side for step in steps) == 8
    assert sum(step.side == 8 for step in steps) > len(steps) / 2


def test_each_traced_network_has_a_panel_with_a_dot_for_each_convolution():
    steps = method_shapes.trace(small_network(), 32)
    figure = method_shapes.sides({"one": steps, "two": steps[:2]}, 32)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["one", "two"]
    assert [len(axes.collections[0].get_offsets()) for axes in figure.axes] == [3, 2]
    assert "one 3 convolutions, smallest map 8 px" in method_shapes.sides_alt({"one": steps})
    with pytest.raises(UserError, match="nothing to draw"):
        method_shapes.sides({})


# --- masks ---


def test_riads_sets_share_the_pixels_evenly():
    panels = method_masks.riad_sets(48)
    assert [title for title, _ in panels] == [f"cells of {cell} px" for cell in (2, 4, 8, 16)]
    for (_, picture), cell in zip(panels, (2, 4, 8, 16), strict=True):
        shares = [(picture == tone).all(axis=2).mean() for tone in method_masks.TONES]
        assert shares == pytest.approx([1 / 3] * 3, abs=1 / (48 / cell) ** 2)
        assert (picture[:cell, :cell] == picture[0, 0]).all()


def test_scadns_masks_come_in_opposite_pairs():
    panels = method_masks.scadn_stripes(64)
    assert [title for title, _ in panels] == ["16 px"] * 4 + ["8 px"] * 4 + ["4 px"] * 4
    for (_, one), (_, other) in zip(panels[::2], panels[1::2], strict=True):
        assert (one != other).all()
        assert one.mean() == 0.5


# --- detectors without training ---


def counted(*f1: float) -> dict[Variant, Confusion]:
    """Variants with these F1: of 100 crack pixels so many are found, and as many others marked as are missed."""
    found = (Confusion(round(one), 100 - round(one), 100 - round(one), 1000) for one in f1)
    return dict(zip(FAMILIES["tf_global_darkness"], found, strict=False))


def test_the_frozen_variant_is_chosen_without_the_test_set():
    judged = untrained.Judged(counted(80, 60, 50, 70), counted(30, 75, 40, 20))
    assert judged.numbers == pytest.approx(
        {"best on the test set": 75, "chosen on the training set": 30, "median": 35}
    )
    assert judged.chosen == FAMILIES["tf_global_darkness"][0]
    assert judged.luckiest == FAMILIES["tf_global_darkness"][1]


def test_sets_must_hold_the_same_variants():
    for training, test in ((counted(80, 60), counted(80)), ({}, {})):
        with pytest.raises(UserError, match="same variants"):
            untrained.Judged(training, test)


def test_judging_counts_both_sets():
    family = FAMILIES["tf_global_darkness"][:3]
    pairs = list(zip(ROADS.images, ROADS.crack_masks, strict=True))
    judged = untrained.judge(family, pairs[:1], iter(pairs[1:]))
    assert judged.test == variants.counts(pairs[1:], family)
    assert judged.training == variants.counts(pairs[:1], family)


def test_the_picture_of_a_family_marks_its_three_numbers():
    judged = untrained.Judged(counted(80, 60, 50, 70), counted(30, 75, 40, 20))
    (axes,) = untrained.family_figure(judged).axes
    lines = [line.get_xydata() for line in axes.lines]
    dots = [line for line in lines if len(line) == 4]
    assert sorted(dots[0][:, 0]) == pytest.approx([50, 60, 70, 80])
    assert sorted(dots[1][:, 0]) == pytest.approx([20, 30, 40, 75])
    marks = {line.get_label(): line.get_xdata() for line in axes.lines if line.get_label()[0] != "_"}
    assert list(marks["chosen on the training set"]) == pytest.approx([80, 30])
    assert list(marks["best on the test set"]) == pytest.approx([75])
    said = untrained.family_alt(judged)
    assert "best on the test set 75.0, chosen on the training set 30.0, median 35.0" in said


def test_dots_of_equal_score_do_not_cover_each_other():
    heights = untrained._spread(np.array([50.0, 50.2, 50.4, 80.0]))
    assert len(set(heights[:3])) == 3
    assert heights[3] == 0


def test_every_map_is_shown_up_to_one():
    panels = untrained.all_maps(ROADS.images[0], 1.0)
    assert len(panels) == 6
    assert all(values.max() == pytest.approx(1) and values.min() >= 0 for _, values in panels)


# --- the widget ---


@pytest.fixture
def explorer() -> DarknessExplorer:
    return DarknessExplorer(ROADS.images, ROADS.crack_masks)


@pytest.mark.parametrize(
    ("settings", "variant"),
    [
        ({}, Variant("global_darkness", 0, "z", 2)),
        ({"map": "local_darkness", "sigma": 1.0, "z": 3.0}, Variant("local_darkness", 1, "z", 3)),
        ({"cut": "otsu", "area": 0.5}, Variant("global_darkness", 0, "otsu", 0, 0.005)),
        ({"map": "sato", "cut": "bilateral_otsu"}, Variant("sato", 0, "bilateral_otsu")),
        ({"image": 1, "map": "gabor"}, Variant("gabor", 0, "otsu")),
    ],
)
def test_the_widget_shows_what_the_variant_finds(explorer, settings, variant):
    for name, value in settings.items():
        getattr(explorer, name).value = value
    photo = explorer.image.value
    assert explorer.variant == variant
    np.testing.assert_array_equal(explorer.found, variants.segment(ROADS.images[photo], variant))
    assert explorer.confusion == Confusion.of(explorer.found, ROADS.crack_masks[photo])


def test_a_level_is_offered_where_the_map_has_a_unit(explorer):
    def offered() -> list[str]:
        return [cut for _, cut in explorer.cut.options]

    assert "z" in offered()
    explorer.map.value = "frangi"
    assert "z" not in offered()
    assert explorer.z.disabled
    explorer.map.value = "local_darkness"
    assert "z" in offered()


def test_each_control_changes_the_overlay(explorer):
    panel = explorer._panels["overlay"].image
    for name, value in (("z", 1.0), ("sigma", 2.0), ("area", 1.0), ("cut", "otsu"), ("image", 1)):
        before = panel.value
        getattr(explorer, name).value = value
        assert panel.value != before, name


def test_the_widget_refuses_masks_of_another_shape():
    with pytest.raises(UserError, match="do not fit"):
        DarknessExplorer(ROADS.images, ROADS.crack_masks[:, :32])
