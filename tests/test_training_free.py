"""Detectors without training: what each map answers to, cuts, pieces, and the protocol that freezes a choice."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from upcrack_lite.baselines import darkness, variants
from upcrack_lite.baselines.variants import FAMILIES, Variant
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import Confusion


def line(size: int = 96, width: int = 4, depth: int = 80, noise: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A gray road with one dark line across, and the line's mask."""
    rng = np.random.default_rng(0)
    photo = 140 + rng.integers(-noise, noise + 1, (size, size, 1)).repeat(3, 2)
    crack_mask = np.zeros((size, size), np.uint8)
    cv2.line(crack_mask, (0, 20), (size - 1, 70), 1, width)
    return (photo - depth * crack_mask[..., None]).astype(np.uint8), crack_mask.astype(bool)


@pytest.mark.parametrize("name", darkness.MAPS)
@pytest.mark.parametrize("shape", [(96, 96), (61, 87)])
def test_each_map_is_higher_on_a_dark_line(name, shape):
    photo, crack_mask = line()
    photo, crack_mask = photo[: shape[0], : shape[1]], crack_mask[: shape[0], : shape[1]]
    values = darkness.MAPS[name](darkness.to_gray(photo), 1.0)
    assert values.shape == shape
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert np.median(values[crack_mask]) > np.percentile(values[~crack_mask], 90)
    bright = darkness.MAPS[name](1 - darkness.to_gray(photo), 1.0)
    assert np.median(bright[crack_mask]) < np.median(values[crack_mask]), "a bright line is no crack"


@pytest.mark.parametrize("name", darkness.MAPS)
def test_a_uniform_photo_gives_no_crack_by_z_and_no_error(name):
    photo = np.full((64, 64, 3), 128, np.uint8)
    assert np.isfinite(darkness.MAPS[name](darkness.to_gray(photo))).all()
    assert not variants.segment(photo, Variant(name, cut="z", z=2.0)).any()


def test_darkness_is_measured_in_interquartile_ranges():
    gray = np.tile(np.linspace(0, 1, 101, dtype=np.float32), (101, 1))
    found = darkness.global_darkness(gray)
    assert found[0, 0] == pytest.approx(1.0)  # half of the range below the median, IQR is half the range
    assert found[0, 50] == pytest.approx(0.0, abs=1e-6)
    same = darkness.global_darkness(gray * 0.5 + 0.25)
    np.testing.assert_allclose(found, same, atol=1e-4)


def test_local_darkness_does_not_mind_a_slope_of_light():
    photo, crack_mask = line(depth=40)
    slope = np.linspace(0, 90, 96).astype(np.uint8)[None, :, None]
    lit = photo + slope
    variant = Variant("local_darkness", 1.0, "z", 2.0)
    found, bare = variants.segment(lit, variant), variants.segment(photo, variant)
    assert (found & crack_mask).sum() > 0.8 * (bare & crack_mask).sum()
    glob = variants.segment(lit, Variant("global_darkness", 1.0, "z", 2.0))
    assert (glob & crack_mask).sum() < (found & crack_mask).sum()


def test_small_pieces_go_and_large_ones_stay():
    crack_mask = np.zeros((100, 100), bool)
    crack_mask[10, 10:40] = True  # 30 px
    crack_mask[50:52, 50:52] = True  # 4 px
    crack_mask[52, 52] = True  # joined at a corner: 5 px
    assert variants.kept(crack_mask, 10 / 10_000).sum() == 30
    assert variants.kept(crack_mask, 5 / 10_000).sum() == 35
    assert variants.kept(crack_mask, 0).sum() == 35
    assert variants.kept(np.zeros((9, 9), bool), 0.5).sum() == 0
    assert variants.kept(np.ones((9, 9), bool), 0.5).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_finds_a_plain_line(family):
    photo, crack_mask = line()
    judged = variants.counts([(photo, crack_mask)], FAMILIES[family])
    least = 30 if family.endswith("_paper") else 60  # the paper's wide filter smears a thin line
    assert judged[variants.choose(judged)].f1 > least


def test_many_variants_at_once_are_the_same_as_one_by_one():
    photo, _ = synthetic_road(64, 3)
    chosen = [FAMILIES["tf_gabor_otsu"][1], FAMILIES["tf_global_darkness"][5], FAMILIES["tf_gabor_paper"][2]]
    for variant, found in zip(chosen, variants.segment_all(photo, chosen), strict=True):
        np.testing.assert_array_equal(found, variants.segment(photo, variant))


@pytest.mark.parametrize("variant", [family[0] for family in FAMILIES.values()], ids=lambda v: v.name)
def test_the_score_map_keeps_the_order_that_is_cut(variant):
    photo, _ = line()
    score, found = variants.score_map(photo, variant), variants.segment(photo, variant)
    assert score.dtype == np.float32
    assert 0 <= score.min() <= score.max() <= 1
    assert found.any()
    assert score[found].min() >= score[~found].max() - 1 / 255, "all that is marked scores higher"


def test_the_choice_is_the_best_on_the_training_set_and_the_median_is_of_all():
    low, high, none = (Confusion(a, 10, 10, 70) for a in (5, 50, 0))
    judged = dict(zip(FAMILIES["tf_gabor_otsu"][:3], (low, high, none), strict=True))
    assert variants.choose(judged) == FAMILIES["tf_gabor_otsu"][1]
    assert variants.median_f1(judged) == pytest.approx(low.f1)
    empty = {FAMILIES["tf_gabor_otsu"][0]: Confusion(0, 0, 0, 10)}
    assert variants.median_f1(empty) == 0, "an undefined F1 is no success"


def test_names_are_distinct_and_wrong_ones_refused():
    names = [variant.name for family in FAMILIES.values() for variant in family]
    assert len(names) == len(set(names))
    with pytest.raises(UserError, match="unknown map 'edges'; choose one of global_darkness"):
        Variant("edges")
    with pytest.raises(UserError, match="unknown cut 'half'; choose one of otsu"):
        Variant("gabor", cut="half")
    with pytest.raises(UserError, match="uint8"):
        darkness.to_gray(np.zeros((4, 4), np.uint8))
    with pytest.raises(UserError, match="no photo with a mask"):
        variants.counts([], FAMILIES["tf_gabor_otsu"])
