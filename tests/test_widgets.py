"""The widgets without a browser: a control is set, and what they show must equal what the functions compute."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest
import torch
import yaml

from upcrack_lite.baselines import training_free
from upcrack_lite.baselines.training_free import Variant
from upcrack_lite.data.reading import read_image
from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.detection import VARIANTS, binarize, error_map, smooth, threshold_of
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor
from upcrack_lite.io import write_image
from upcrack_lite.metrics import METRICS, Confusion
from upcrack_lite.predict.model import load_model
from upcrack_lite.recipes import preset
from upcrack_lite.show.widget_parts import histogram_svg, png
from upcrack_lite.show.widgets import DarknessExplorer, MaskExplorer, PostProcessingTuner

ROADS = synthetic_set(3, 64, seed=2, crack_share=0.05)
IMAGE = to_tensor(ROADS.images)
RESTORED = torch.nn.functional.avg_pool2d(IMAGE, 9, 1, 4, count_include_pad=False)  # in place of a network's
ERRORS = {variant: error_map(IMAGE, RESTORED, variant) for variant in VARIANTS}


def decoded(panel) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(panel.image.value, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.fixture
def tuner() -> PostProcessingTuner:
    return PostProcessingTuner(ROADS.images, ERRORS, ROADS.crack_masks)


def set_all(tuner: PostProcessingTuner, settings: dict) -> None:
    for name, value in settings.items():
        control = tuner.values[name[6:]] if name.startswith("value_") else getattr(tuner, name)
        control.value = value


AFTER_THRESHOLD = {"histogram", "mask", "overlay"}
AFTER_FILTER = AFTER_THRESHOLD | {"smoothed"}
AFTER_ERRORS = AFTER_FILTER | {"error map"}


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({}, set()),
        ({"image": 2}, AFTER_ERRORS | {"photo"}),
        ({"variant": "released"}, AFTER_ERRORS),
        ({"variant": "signed", "image": 1}, AFTER_ERRORS | {"photo"}),
        ({"d": 9, "sigma_color": 40.0, "sigma_space": 3.5}, AFTER_FILTER),
        ({"rule": "otsu_factor", "value_otsu_factor": 1.5}, AFTER_THRESHOLD),
        ({"rule": "fixed", "value_fixed": 0.12}, AFTER_THRESHOLD),
        ({"rule": "percentile", "value_percentile": 95.5}, AFTER_THRESHOLD),
        ({"floor": 0.4}, AFTER_THRESHOLD),
        ({"d": 5, "area": 0.4}, AFTER_FILTER),
    ],
)
def test_what_is_shown_is_what_detection_computes_and_nothing_else_changes(tuner, settings, changed):
    before = {name: panel.image.value for name, panel in tuner._panels.items()}
    set_all(tuner, settings)
    assert {name for name, panel in tuner._panels.items() if panel.image.value != before[name]} == changed
    p, i = tuner.parameters(), tuner.image.value
    errors = ERRORS[p["error_variant"]][i : i + 1]
    smoothed = smooth(errors, p["bilateral_d"], p["bilateral_sigma_color"], p["bilateral_sigma_space"])
    rule = p["threshold_rule"], p["threshold_value"], p["threshold_floor"]
    mask, threshold = binarize(smoothed, *rule), float(threshold_of(smoothed, *rule)[0])
    mask[0, 0] = torch.from_numpy(training_free.without_small(mask[0, 0].numpy(), tuner.area.value / 100))
    assert torch.equal(tuner.crack_mask, mask)
    assert tuner.threshold == threshold
    assert tuner.confusion == Confusion.of(mask[0, 0], ROADS.crack_masks[i])
    assert (decoded(tuner._panels["mask"])[::4, ::4, 0] > 0).tolist() == mask[0, 0].tolist()
    scores = [getattr(tuner.confusion, name) for name in METRICS]
    assert all(f"{score:.1f} %" in tuner._scores.value for score in scores if not np.isnan(score))
    assert f"threshold {threshold:.3f}" in bytes(tuner._panels["histogram"].image.value).decode()


def test_a_threshold_does_not_filter_again_and_only_its_own_slider_is_shown(tuner, monkeypatch):
    def fail(*_):
        raise AssertionError("filtered again")

    monkeypatch.setattr("upcrack_lite.show.widgets.smooth", fail)
    for rule in ("otsu_factor", "percentile", "fixed", "otsu"):
        tuner.rule.value = rule
        shown = [name for name, slider in tuner.values.items() if slider.layout.display != "none"]
        assert shown == ([] if rule == "otsu" else [rule])
    tuner.values["fixed"].value = 0.3
    tuner.floor.value = 0.1
    with pytest.raises(AssertionError, match="filtered again"):
        tuner.d.value = 7


def test_it_starts_from_a_preset_even_beyond_the_usual_ranges():
    start = preset(
        bilateral_d=41,
        bilateral_sigma_color=450,
        threshold_rule="fixed",
        threshold_value=0.07,
        error_variant="gray",
    )
    parameters = PostProcessingTuner(ROADS.images, ERRORS, start=start).parameters()
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


def test_the_button_exports_and_says_so_until_something_changes(tuner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path, said in (("", "name a file"), ("nowhere/p.yaml", "no folder"), (".", "is a folder")):
        tuner.path.value = path
        tuner.export_button.click()
        assert said in tuner.message.value
    assert list(tmp_path.iterdir()) == []
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
    smoothed = smooth(ERRORS["absolute"], 9, p["bilateral_sigma_color"], p["bilateral_sigma_space"])
    pooled = Confusion.of(binarize(smoothed), ROADS.crack_masks[:, None])
    assert f"{pooled.f1:.1f} %" in tuner.message.value
    assert "3 photos" in tuner.message.value


@pytest.mark.parametrize("model", ["drawn", "upcracknet"])
def test_on_own_photos_it_shows_what_detect_would_mark(tmp_path, model):
    for i, size in enumerate((160, 192)):
        write_image(tmp_path / f"{i}.png", synthetic_set(1, size, 7 + i).images[0])
    tuner = PostProcessingTuner.of_photos(tmp_path, model)
    assert tuner._images.shape == (2, 160, 160, 3)
    middle = read_image(tmp_path / "1.png")[16:176, 16:176]
    for changed in ({"image": 1}, {"d": 7, "sigma_space": 3.0, "rule": "fixed", "value_fixed": 0.3}):
        set_all(tuner, changed)
        expected = load_model(model, settings=tuner.parameters()).find(middle).crack_mask
        assert np.array_equal(tuner.crack_mask[0, 0], expected)
    assert expected.any()
    with pytest.raises(UserError, match="no settings to tune"):
        PostProcessingTuner.of_photos(tmp_path, "tf_frangi_otsu")


def test_without_labels_nothing_is_scored_and_undefined_metrics_are_a_dash():
    tuner = PostProcessingTuner(ROADS.images, {"gray": ERRORS["gray"]})
    assert tuner.confusion is None
    assert "no labels" in tuner._scores.value
    assert (tuner.variant.options, tuner.variant.value) == (("gray",), "gray")
    tuner = PostProcessingTuner(ROADS.images, ERRORS, np.zeros_like(ROADS.crack_masks))
    set_all(tuner, {"rule": "fixed", "value_fixed": 1.0})
    assert tuner._scores.value.count("–") == 4  # all except the accuracy
    assert "100.0 %" in tuner._scores.value


def test_what_does_not_fit_together_is_refused():
    for make, said in (
        (lambda: PostProcessingTuner(ROADS.images, {"gray": torch.zeros(3, 64, 64)}), "images need"),
        (lambda: PostProcessingTuner(ROADS.images, {}), "holds no error map"),
        (lambda: PostProcessingTuner(ROADS.images, ERRORS, ROADS.crack_masks[:2]), "do not fit"),
        (lambda: DarknessExplorer(ROADS.images, ROADS.crack_masks[:, :32]), "do not fit"),
        (lambda: MaskExplorer(ROADS.images[0][:, :48]), "square"),
    ):
        with pytest.raises(UserError, match=said):
            make()


# --- masks


def test_explorer_removes_what_the_mask_says_and_fills_the_holes():
    explorer = MaskExplorer(ROADS.images[0], seed=4)
    for family, percent in (("multi_scale_square", 50), ("striped", 50), ("jumbled", 33.3)):
        explorer.family.value = family
        assert explorer.removed == pytest.approx(percent, abs=3)
        assert f"{explorer.removed:.1f} %" in explorer._text.value
        kept = decoded(explorer._panels["mask (white = kept)"])[::4, ::4, 0] > 0
        assert (kept == (explorer.mask[0, 0].numpy() > 0)).all()
        for fill, level in ((-1.0, 0), (0.0, 128), (1.0, 255)):
            explorer.fill.value = fill
            masked = decoded(explorer._panels["masked photo"])[::4, ::4]
            assert (masked[~kept] == level).all()
            assert (masked[kept] == ROADS.images[0][kept]).all()


def test_explorer_draws_every_cell_size_it_offers_and_every_phase():
    explorer = MaskExplorer(ROADS.images[0])
    for family in ("jumbled", "striped", "multi_scale_square"):
        explorer.family.value = family
        assert explorer.cell.disabled == (family == "striped")
        for _, cells in explorer.cell.options:
            explorer.cell.value = cells
            drawn = set()
            for seed in range(12):
                explorer.seed.value = seed
                drawn.add(explorer.mask.numpy().tobytes())
            assert len(drawn) > 1


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
def test_the_widget_shows_what_the_variant_marks(darkness, settings, variant):
    for name, value in settings.items():
        before = darkness._panels["overlay"].image.value
        getattr(darkness, name).value = value
        assert darkness._panels["overlay"].image.value != before, name
    photo = darkness.image.value
    assert darkness.variant == variant
    np.testing.assert_array_equal(darkness.crack_mask, training_free.segment(ROADS.images[photo], variant))
    assert darkness.confusion == Confusion.of(darkness.crack_mask, ROADS.crack_masks[photo])


def test_a_level_is_offered_where_the_map_has_a_unit(darkness):
    for name, offered in (("global_darkness", True), ("frangi", False), ("local_darkness", True)):
        darkness.map.value = name
        assert ("z" in dict(darkness.rule.options).values()) == offered
        assert darkness.z.disabled == (darkness.rule.value != "z")


# --- pictures


def test_png_keeps_every_pixel_and_enlarges_small_pictures_by_whole_factors():
    back = cv2.imdecode(np.frombuffer(png(ROADS.images[0]), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert back.shape == (256, 256, 3)
    assert (back[::4, ::4] == ROADS.images[0]).all()


@pytest.mark.parametrize("truth", [None, np.zeros((8, 8), bool), np.ones((8, 8), bool)])
@pytest.mark.parametrize("level", [0, 255])
def test_histogram_is_well_formed_for_maps_of_one_level(truth, level):
    svg = histogram_svg(np.full((8, 8), level, np.uint8), 1.0, truth, level / 255)
    areas = [e for e in ET.fromstring(svg) if e.tag.endswith("polygon")]
    assert len(areas) == (1 if truth is None else 2)
    assert "nan" not in svg.decode()
