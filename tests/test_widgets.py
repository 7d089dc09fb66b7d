"""The widgets without a browser: a control is set, and what they show must equal what the functions compute."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import yaml

from upcrack_lite.baselines import training_free
from upcrack_lite.baselines.training_free import Variant
from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.detection import VARIANTS, binarize, error_map, smooth, threshold_of
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor
from upcrack_lite.metrics import METRICS, Confusion
from upcrack_lite.recipes import preset
from upcrack_lite.show.widget_parts import heat, histogram_svg, png
from upcrack_lite.show.widgets import DarknessExplorer, MaskExplorer, PostProcessingTuner

ROADS = synthetic_set(3, 64, seed=2, crack_share=0.05)
IMAGE = to_tensor(ROADS.images)
RESTORED = torch.nn.functional.avg_pool2d(
    IMAGE, 9, 1, 4, count_include_pad=False
)  # a fair stand-in for a network


def decoded(panel) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(panel.image.value, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.fixture
def tuner() -> PostProcessingTuner:
    return PostProcessingTuner(ROADS.images, RESTORED, ROADS.crack_masks)


def chain(tuner: PostProcessingTuner) -> tuple[torch.Tensor, float]:
    """What detection says for the parameters that the tuner exports."""
    p, i = tuner.parameters(), tuner.image.value
    errors = error_map(IMAGE[i : i + 1], RESTORED[i : i + 1], p["error_variant"])
    smoothed = smooth(errors, p["bilateral_d"], p["bilateral_sigma_color"], p["bilateral_sigma_space"])
    cut = p["threshold_rule"], p["threshold_value"], p["threshold_floor"]
    return binarize(smoothed, *cut), float(threshold_of(smoothed, *cut)[0])


def set_all(tuner: PostProcessingTuner, settings: dict) -> None:
    for name, value in settings.items():
        control = tuner.values[name[6:]] if name.startswith("value_") else getattr(tuner, name)
        control.value = value


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"image": 2},
        {"variant": "released"},
        {"variant": "signed", "image": 1},
        {"d": 9, "sigma_color": 40.0, "sigma_space": 3.5},
        {"rule": "otsu_factor", "value_otsu_factor": 1.5},
        {"rule": "fixed", "value_fixed": 0.12},
        {"rule": "percentile", "value_percentile": 95.5, "image": 1},
        {"floor": 0.2},
    ],
)
def test_what_is_shown_is_what_detection_computes(tuner, settings):
    set_all(tuner, settings)
    mask, cut = chain(tuner)
    assert torch.equal(tuner.crack_mask, mask)
    assert tuner.threshold == cut
    assert tuner.confusion == Confusion.of(mask[0, 0], ROADS.crack_masks[tuner.image.value])
    assert (decoded(tuner._panels["mask"])[::4, ::4, 0] > 0).tolist() == mask[0, 0].tolist()
    for name in METRICS:
        assert f"{getattr(tuner.confusion, name):.1f} %" in tuner._scores.value or np.isnan(
            getattr(tuner.confusion, name)
        )
    assert f"threshold {cut:.3f}" in bytes(tuner._panels["histogram"].image.value).decode()


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ({"image": 1}, {"photo", "error map", "smoothed", "histogram", "mask", "overlay"}),
        ({"variant": "released"}, {"error map", "smoothed", "histogram", "mask", "overlay"}),
        ({"d": 5}, {"smoothed", "histogram", "mask", "overlay"}),
        ({"sigma_color": 10.0}, {"smoothed", "histogram", "mask", "overlay"}),
        ({"sigma_space": 1.0}, {"smoothed", "histogram", "mask", "overlay"}),
        ({"rule": "percentile"}, {"histogram", "mask", "overlay"}),
        ({"rule": "otsu_factor", "value_otsu_factor": 1.6}, {"histogram", "mask", "overlay"}),
        ({"floor": 0.4}, {"histogram", "mask", "overlay"}),
    ],
)
def test_each_control_changes_the_pictures_after_its_stage_and_no_other(tuner, setting, changed):
    before = {name: panel.image.value for name, panel in tuner._panels.items()}
    set_all(tuner, setting)
    assert {name for name, panel in tuner._panels.items() if panel.image.value != before[name]} == changed


def test_a_threshold_does_not_filter_again(tuner, monkeypatch):
    def fail(*_):
        raise AssertionError("filtered again")

    monkeypatch.setattr("upcrack_lite.show.widgets.smooth", fail)
    tuner.rule.value = "fixed"
    tuner.values["fixed"].value = 0.3
    tuner.floor.value = 0.1
    with pytest.raises(AssertionError, match="filtered again"):
        tuner.d.value = 7


def test_only_the_slider_of_the_chosen_rule_is_shown(tuner):
    for rule in ("otsu", "otsu_factor", "fixed", "percentile"):
        tuner.rule.value = rule
        assert [r for r, slider in tuner.values.items() if slider.layout.display != "none"] == (
            [] if rule == "otsu" else [rule]
        )


def test_it_starts_from_a_preset_even_beyond_the_usual_ranges():
    start = preset(
        bilateral_d=41,
        bilateral_sigma_color=450,
        threshold_rule="fixed",
        threshold_value=0.07,
        error_variant="gray",
    )
    parameters = PostProcessingTuner(ROADS.images, RESTORED, start=start).parameters()
    assert parameters == {name: getattr(start, name) for name in parameters}


def test_export_round_trips_through_yaml_and_makes_a_preset(tuner, tmp_path):
    set_all(tuner, {"rule": "otsu_factor", "value_otsu_factor": 1.15, "floor": 0.035, "variant": "gray"})
    path = tuner.export(tmp_path / "p.yaml")
    read = yaml.safe_load(path.read_text())
    assert read == tuner.parameters()
    assert read["threshold_value"] == 1.15
    assert preset(**read).threshold_floor == 0.035
    assert [p.name for p in tmp_path.iterdir()] == ["p.yaml"]
    tuner.d.value = 3
    tuner.export(path)  # its own earlier file may be replaced
    assert yaml.safe_load(path.read_text())["bilateral_d"] == 3


def test_export_refuses_to_destroy_another_file(tuner, tmp_path):
    notes = tmp_path / "notes.yaml"
    for text in ("mine: 1\n", "just words", "", "a: [", "{}"):
        notes.write_text(text)
        with pytest.raises(UserError, match="not touched"):
            tuner.export(notes)
        assert notes.read_text() == text


@pytest.mark.parametrize(
    ("path", "message"),
    [("", "name a file"), ("nowhere/p.yaml", "no folder"), (".", "is a folder")],
)
def test_a_path_that_cannot_be_gives_a_message_and_no_traceback(tuner, tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    tuner.path.value = path
    tuner.export_button.click()
    assert message in tuner.message.value
    assert list(tmp_path.iterdir()) == []


def test_the_button_exports_and_says_so_until_something_changes(tuner, tmp_path):
    tuner.path.value = str(tmp_path / "a<b.yaml")
    tuner.export_button.click()
    assert "wrote" in tuner.message.value
    assert "a&lt;b.yaml" in tuner.message.value
    assert (tmp_path / "a<b.yaml").is_file()
    tuner.d.value = 9
    assert tuner.message.value == ""


def test_score_all_pools_every_photo(tuner):
    tuner.d.value = 9
    tuner.score_button.click()
    p = tuner.parameters()
    smoothed = smooth(error_map(IMAGE, RESTORED), 9, p["bilateral_sigma_color"], p["bilateral_sigma_space"])
    pooled = Confusion.of(binarize(smoothed), ROADS.crack_masks[:, None])
    assert f"{pooled.f1:.1f} %" in tuner.message.value
    assert "3 photos" in tuner.message.value


def test_without_labels_nothing_is_scored():
    tuner = PostProcessingTuner(ROADS.images, {"gray": error_map(IMAGE, RESTORED, "gray")})
    assert tuner.confusion is None
    assert "no labels" in tuner._scores.value
    assert tuner.variant.options == ("gray",)
    assert tuner.variant.value == "gray"


def test_crack_free_photo_shows_undefined_metrics_as_a_dash():
    none = np.zeros_like(ROADS.crack_masks)
    tuner = PostProcessingTuner(ROADS.images, RESTORED, none)
    set_all(tuner, {"rule": "fixed", "value_fixed": 1.0})
    assert tuner._scores.value.count("–") == 4  # all but the accuracy
    assert "100.0 %" in tuner._scores.value


@pytest.mark.parametrize(
    ("errors", "truth", "message"),
    [
        ({"other": torch.zeros(3, 1, 64, 64)}, None, "unknown error maps other"),
        ({}, None, "unknown error maps"),
        ({"gray": torch.zeros(3, 64, 64)}, None, "images need"),
        (RESTORED, ROADS.crack_masks[:2], "do not fit"),
    ],
)
def test_what_does_not_fit_together_is_refused(errors, truth, message):
    with pytest.raises(UserError, match=message):
        PostProcessingTuner(ROADS.images, errors, truth)


def test_all_variants_come_from_the_restored_images(tuner):
    assert tuner.variant.options == VARIANTS


# --- mask explorer


def test_explorer_removes_what_the_mask_says():
    explorer = MaskExplorer(ROADS.images[0], seed=4)
    for family, percent in (("multi_scale_square", 50), ("striped", 50), ("jumbled", 33.3)):
        explorer.family.value = family
        assert explorer.removed == pytest.approx(percent, abs=3)
        assert explorer.removed == pytest.approx(100 * (explorer.mask == 0).float().mean().item())
        assert f"{explorer.removed:.1f} %" in explorer._text.value
        kept = decoded(explorer._panels["mask (white = kept)"])[::4, ::4, 0] > 0
        assert (kept == (explorer.mask[0, 0].numpy() > 0)).all()
        masked = decoded(explorer._panels["masked photo"])[::4, ::4]
        assert (masked[~kept] == 0).all()
        assert (masked[kept] == ROADS.images[0][kept]).all()


@pytest.mark.parametrize(("fill", "level"), [(-1.0, 0), (0.0, 128), (1.0, 255)])
def test_explorer_fills_the_holes(fill, level):
    explorer = MaskExplorer(ROADS.images[0])
    explorer.fill.value = fill
    removed = explorer.mask[0, 0].numpy() == 0
    assert (decoded(explorer._panels["masked photo"])[::4, ::4][removed] == level).all()


def test_explorer_draws_every_cell_size_it_offers_and_every_phase():
    explorer = MaskExplorer(ROADS.images[0])
    for family in ("jumbled", "striped", "multi_scale_square"):
        explorer.family.value = family
        assert explorer.cell.disabled == (family == "striped")
        for _, cells in explorer.cell.options:
            explorer.cell.value = cells
            found = set()
            for seed in range(12):
                explorer.seed.value = seed
                found.add(explorer.mask.numpy().tobytes())
            assert len(found) > 1


def test_explorer_refuses_a_photo_that_no_grid_fits():
    with pytest.raises(UserError, match="square"):
        MaskExplorer(ROADS.images[0][:, :48])
    with pytest.raises(UserError, match="seed"):
        MaskExplorer(ROADS.images[0], seed=99)


# --- training-free baselines


@pytest.fixture
def darkness() -> DarknessExplorer:
    return DarknessExplorer(ROADS.images, ROADS.crack_masks)


@pytest.mark.parametrize(
    ("settings", "variant"),
    [
        ({}, Variant("global_darkness", 0, "z", 2)),
        ({"map": "local_darkness", "sigma": 1.0, "z": 3.0}, Variant("local_darkness", 1, "z", 3)),
        ({"rule": "otsu", "area": 0.5}, Variant("global_darkness", 0, "otsu", 0, 0.005)),
        ({"map": "sato", "rule": "bilateral_otsu"}, Variant("sato", 0, "bilateral_otsu")),
        ({"image": 1, "map": "gabor"}, Variant("gabor", 0, "otsu")),
    ],
)
def test_the_widget_shows_what_the_variant_finds(darkness, settings, variant):
    for name, value in settings.items():
        getattr(darkness, name).value = value
    photo = darkness.image.value
    assert darkness.variant == variant
    np.testing.assert_array_equal(darkness.crack_mask, training_free.segment(ROADS.images[photo], variant))
    assert darkness.confusion == Confusion.of(darkness.crack_mask, ROADS.crack_masks[photo])


def test_a_level_is_offered_where_the_map_has_a_unit(darkness):
    def offered() -> list[str]:
        return [rule for _, rule in darkness.rule.options]

    assert "z" in offered()
    darkness.map.value = "frangi"
    assert "z" not in offered()
    assert darkness.z.disabled
    darkness.map.value = "local_darkness"
    assert "z" in offered()


def test_each_control_changes_the_overlay(darkness):
    panel = darkness._panels["overlay"].image
    for name, value in (("z", 1.0), ("sigma", 2.0), ("area", 1.0), ("rule", "otsu"), ("image", 1)):
        before = panel.value
        getattr(darkness, name).value = value
        assert panel.value != before, name


def test_the_widget_refuses_masks_of_another_shape():
    with pytest.raises(UserError, match="do not fit"):
        DarknessExplorer(ROADS.images, ROADS.crack_masks[:, :32])


# --- pictures


def test_png_keeps_every_pixel_and_enlarges_small_pictures_by_whole_factors():
    image = ROADS.images[0]
    back = cv2.imdecode(np.frombuffer(png(image), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert back.shape == (256, 256, 3)
    assert (back[::4, ::4] == image).all()
    with pytest.raises(UserError, match="uint8 or bool"):
        png(np.zeros((4, 4)))


def test_heat_runs_from_black_to_light():
    light = heat(np.linspace(0, 0.5, 50)[None], 0.5)[0].astype(int) @ [299, 587, 114]
    assert (np.diff(light) >= 0).all()
    assert light[0] < 5000 < 200000 < light[-1]
    assert (heat(np.zeros((3, 3)), 0) == heat(np.zeros((3, 3)), 1)).all()


@pytest.mark.parametrize("truth", [None, np.zeros((8, 8), bool), np.ones((8, 8), bool)])
@pytest.mark.parametrize("level", [0, 255])
def test_histogram_is_well_formed_for_maps_of_one_level(truth, level):
    import xml.etree.ElementTree as ET

    svg = histogram_svg(np.full((8, 8), level, np.uint8), 1.0, truth, level / 255)
    root = ET.fromstring(svg)
    areas = [e for e in root if e.tag.endswith("polygon")]
    assert len(areas) == (1 if truth is None else 2)
    assert "nan" not in svg.decode()
