"""Training-free detectors: what each map answers to, thresholds, components, families, and the frozen selection."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT

from upcrack_lite.baselines import recipes, training_free
from upcrack_lite.baselines.recipes import FROZEN
from upcrack_lite.baselines.training_free import FAMILIES, MAPS, Variant, find, segment, to_gray
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import Confusion
from upcrack_lite.reproduction import records


def line(size: int = 96, width: int = 4, depth: int = 80, noise: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A gray road with one dark line across, and the line's mask."""
    rng = np.random.default_rng(0)
    photo = 140 + rng.integers(-noise, noise + 1, (size, size, 1)).repeat(3, 2)
    crack_mask = np.zeros((size, size), np.uint8)
    cv2.line(crack_mask, (0, 20), (size - 1, 70), 1, width)
    return (photo - depth * crack_mask[..., None]).astype(np.uint8), crack_mask.astype(bool)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("shape", [(96, 96), (61, 87)])
def test_each_map_is_higher_on_a_dark_line_and_not_on_a_bright_one(name, shape):
    photo, crack_mask = line()
    photo, crack_mask = photo[: shape[0], : shape[1]], crack_mask[: shape[0], : shape[1]]
    values = MAPS[name](to_gray(photo), 1.0)
    assert (values.shape, values.dtype) == (shape, np.float32)
    assert np.isfinite(values).all()
    assert np.median(values[crack_mask]) > np.percentile(values[~crack_mask], 90)
    assert np.median(MAPS[name](1 - to_gray(photo), 1.0)[crack_mask]) < np.median(values[crack_mask])


@pytest.mark.parametrize("name", MAPS)
def test_a_uniform_photo_gives_no_crack_by_z_and_no_error(name):
    photo = np.full((64, 64, 3), 128, np.uint8)
    assert np.isfinite(MAPS[name](to_gray(photo))).all()
    assert not segment(photo, Variant(name, rule="z", z=2.0)).any()


def test_darkness_is_measured_in_interquartile_ranges():
    gray = np.tile(np.linspace(0, 1, 101, dtype=np.float32), (101, 1))
    values = training_free.global_darkness(gray)
    assert values[0, 0] == pytest.approx(1.0)  # half of the range below the median, IQR is half the range
    assert values[0, 50] == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(values, training_free.global_darkness(gray * 0.5 + 0.25), atol=1e-4)


def test_local_darkness_does_not_mind_a_slope_of_light():
    photo, crack_mask = line(depth=40)
    lit = photo + np.linspace(0, 90, 96).astype(np.uint8)[None, :, None]
    variant = Variant("local_darkness", 1.0, "z", 2.0)
    local, bare = segment(lit, variant), segment(photo, variant)
    assert (local & crack_mask).sum() > 0.8 * (bare & crack_mask).sum()
    whole = segment(lit, Variant("global_darkness", 1.0, "z", 2.0))
    assert (whole & crack_mask).sum() < (local & crack_mask).sum()


def test_small_components_go_and_large_ones_stay():
    crack_mask = np.zeros((100, 100), bool)
    crack_mask[10, 10:40] = True  # 30 px
    crack_mask[50:52, 50:52] = True  # 4 px
    crack_mask[52, 52] = True  # joined at a corner: 5 px
    for least, left in ((10 / 10_000, 30), (5 / 10_000, 35), (0, 35)):
        assert training_free.without_small(crack_mask, least).sum() == left
    assert training_free.without_small(np.zeros((9, 9), bool), 0.5).sum() == 0
    assert training_free.without_small(np.ones((9, 9), bool), 0.5).all()


@pytest.mark.parametrize("rule", recipes.FAMILY_RULES)
def test_the_map_of_a_variant_above_its_threshold_is_what_it_marks(rule):
    for index in range(3):
        photo, _ = synthetic_road(96, [5, index])
        variant = Variant("local_darkness", 1.0, rule, 1.0, 1 / 100)
        found = find(photo, variant)
        assert (found.crack_mask == segment(photo, variant)).all()
        assert ((found.smoothed > np.float32(found.threshold)) == found.crack_mask).all()
        assert np.allclose(found.smoothed * 255, (found.smoothed * 255).round(), atol=1e-4)
        assert 0 <= found.smoothed.min() <= found.smoothed.max() <= 1
        assert 0 <= found.score_map.min() <= found.score_map.max() <= 1


def test_the_selection_is_the_best_on_the_training_set_and_the_median_is_of_all():
    low, high, none = (Confusion(a, 10, 10, 70) for a in (5, 50, 0))
    family = FAMILIES["tf_gabor_otsu"]
    counted = dict(zip(family[:3], (low, high, none), strict=True))
    assert training_free.best_of(counted) == family[1]
    assert training_free.median_f1(counted) == pytest.approx(low.f1)
    undefined = {family[0]: Confusion(0, 0, 0, 10)}
    assert training_free.median_f1(undefined) == 0, "an undefined F1 is no success"
    with pytest.raises(UserError, match="no photo with a mask"):
        training_free.counts([], family)


def test_photos_of_another_kind_are_refused():
    with pytest.raises(UserError, match="uint8"):
        to_gray(np.zeros((4, 4), np.uint8))


def test_a_family_that_cannot_be_is_refused():
    for name, scale in (("tf_canny", "lite"), ("tf_sato_otsu", "huge")):
        with pytest.raises(UserError, match=f"unknown (family|scale) '({name}|{scale})'"):
            recipes.FamilyPreset.make(name, scale)
    with pytest.raises(UserError, match="map cannot be set otherwise"):
        recipes.FamilyPreset.make("tf_sato_otsu", "lite", map="gabor")


@pytest.fixture(scope="module")
def selected(tmp_path_factory):
    """A run that selected among six variants on two roads, and the weights that it keeps."""
    roads = [synthetic_road(256, [31, index]) for index in range(2)]
    photos, crack_masks = (np.stack(part) for part in zip(*roads, strict=True))
    chosen = recipes.FamilyPreset.make("tf_sato_otsu", "lite")
    out = tmp_path_factory.mktemp("selected") / "run"
    run = training_free.select_variant(photos, chosen, out, crack_masks=crack_masks, progress=False)
    return run, run.load_weights()


def test_a_selection_is_kept_and_a_finished_one_comes_back(selected):
    run, kept = selected
    variant, counted = training_free.selected_variant(run)
    assert list(counted) == list(recipes.FamilyPreset.make("tf_sato_otsu", "lite").variants)
    assert variant == training_free.best_of(counted) == list(counted)[int(kept["chosen"])]
    assert (run.finished, run.manifest["steps_done"]) == (True, 0)


@pytest.mark.parametrize("place", [-1, 1, 7, None])
def test_a_checkpoint_that_is_not_this_selection_is_refused(selected, place):
    run, _ = selected
    counts = torch.tensor([[9, 1, 1, 9]] + [[5, 5, 5, 5]] * 5)
    run.save_weights({"counts": counts, "chosen": torch.tensor(0)})
    assert training_free.selected_variant(run)[0].least_area == 0
    counts = torch.zeros(5, 4, dtype=torch.int64) if place is None else counts
    run.save_weights({"counts": counts, "chosen": torch.tensor(place or 0)})
    with pytest.raises(UserError, match="one of its files was replaced; select anew"):
        training_free.selected_variant(run)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_frozen_variant_is_the_one_that_the_committed_record_chose(family):
    record = records.load(ROOT / "results" / f"{family}-paper-full-deepcrack-to-deepcrack-s0.json")
    assert FROZEN[family] in FAMILIES[family]
    assert FROZEN[family].name == record.train.chosen.name
