"""Scores against torchmetrics, against definitions worked by hand, and in their limit cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_auroc,
    binary_average_precision,
    binary_f1_score,
    binary_jaccard_index,
    binary_precision,
    binary_recall,
)

from upcrack_lite import metrics, thin_shapes
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import METRICS, Confusion

NAN = float("nan")
counts = st.integers(0, 10**9)
seeds = st.integers(0, 2**32)


def random_masks(seed: int, shape: tuple[int, ...] = (3, 17, 23)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    share = rng.random(2) * 0.6
    return rng.random(shape) < share[0], rng.random(shape) < share[1]


def random_maps(seed: int, shape: tuple[int, ...] = (4, 20, 30)) -> tuple[np.ndarray, np.ndarray]:
    """Error maps on the bin limits k / 256, so that a histogram loses nothing, and masks that follow them."""
    rng = np.random.default_rng(seed)
    masks = rng.random(shape) < 0.1
    values = np.clip(rng.beta(2, 5, shape) + 0.25 * masks, 0, 0.99)
    return (np.floor(values * 256) / 256).astype(np.float32), masks


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_the_five_metrics_equal_torchmetrics(seed):
    predicted, crack = random_masks(seed)
    assume(predicted.any() and crack.any())
    confusion = Confusion.of(predicted, crack)
    guess, target = torch.from_numpy(predicted).int(), torch.from_numpy(crack).int()
    theirs = {
        "precision": binary_precision,
        "recall": binary_recall,
        "accuracy": binary_accuracy,
        "f1": binary_f1_score,
        "iou": binary_jaccard_index,
    }
    for name, function in theirs.items():
        assert getattr(confusion, name) == pytest.approx(100 * float(function(guess, target)), abs=1e-4)


@pytest.mark.parametrize(
    ("predicted", "crack", "expected"),
    [
        (0, 0, (NAN, NAN, 100, NAN, NAN)),
        (0, 1, (NAN, 0, 0, 0, 0)),
        (1, 0, (0, NAN, 0, 0, 0)),
        (1, 1, (100, 100, 100, 100, 100)),
    ],
)
def test_empty_and_full_masks_are_defined(predicted, crack, expected):
    shape = (2, 8, 8)
    confusion = Confusion.of(np.full(shape, bool(predicted)), np.full(shape, bool(crack)))
    assert [getattr(confusion, name) for name in METRICS] == pytest.approx(expected, nan_ok=True)
    assert sum((confusion.tp, confusion.fp, confusion.fn, confusion.tn)) == 128


def test_numpy_and_torch_and_every_shape_agree():
    predicted, crack = random_masks(2, (2, 9, 9))
    expected = Confusion.of(predicted, crack)
    assert Confusion.of(torch.from_numpy(predicted)[:, None], torch.from_numpy(crack)[:, None]) == expected
    assert Confusion.of(predicted[:, None], torch.from_numpy(crack)) == expected
    assert Confusion.of(predicted[0], crack[0]) == metrics.per_image(predicted, crack)[0]


def test_wrong_inputs_are_refused():
    ok = np.zeros((2, 8, 8), bool)
    for bad, kind in (
        (ok.astype(np.uint8), "must be bool, not uint8"),
        (ok[:1], "differ in shape"),
        (np.zeros((2, 3, 8, 8), bool), "must be"),
        (ok[:0], "not empty"),
    ):
        with pytest.raises(UserError, match=kind):
            Confusion.of(bad, ok)
        with pytest.raises(UserError, match=kind):
            thin_shapes.tolerance_counts(bad, ok)
        with pytest.raises(UserError, match=kind):
            thin_shapes.cldice(bad, ok)
    for bad in (ok, np.full((2, 8, 8), 1.1), np.full((2, 8, 8), NAN), np.zeros((2, 8, 9))):
        with pytest.raises(UserError):
            metrics.histograms(bad, ok)
    with pytest.raises(UserError, match="radius"):
        thin_shapes.tolerance_counts(ok, ok, -1)
    with pytest.raises(UserError, match="hist must be"):
        metrics.ods(np.zeros((2, 3, 256), np.int64))


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([np.float16, np.float32, np.float64]))
def test_a_histogram_gives_every_threshold_exactly(seed, kind):
    rng = np.random.default_rng(seed)
    maps, masks = rng.random((2, 9, 9)).astype(kind), rng.random((2, 9, 9)) < 0.3
    limit = int(rng.integers(0, 256))
    maps[:, 0, 0] = kind(limit / 256)  # on the limit itself
    maps[:, 0, 1] = np.nextafter(kind(limit / 256), kind(0))  # and just below it
    hist = metrics.histograms(maps, masks)
    confusion = Confusion.of(maps >= limit / 256, masks)
    assert hist[:, 1, limit:].sum() == confusion.tp
    assert hist[:, 0, limit:].sum() == confusion.fp
    assert hist.sum() == maps.size


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_threshold_free_scores_equal_torchmetrics(seed):
    maps, masks = random_maps(seed)
    hist = metrics.histograms(maps, masks)
    scores, target = torch.from_numpy(maps).ravel(), torch.from_numpy(masks).ravel().int()
    assert metrics.average_precision(hist) == pytest.approx(
        100 * float(binary_average_precision(scores, target)), abs=1e-3
    )
    assert metrics.auroc(hist) == pytest.approx(100 * float(binary_auroc(scores, target)), abs=1e-3)
    limits = torch.arange(256) / 256
    assert metrics.average_precision(hist) == pytest.approx(
        100 * float(binary_average_precision(scores, target, thresholds=limits)), abs=1e-3
    )


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_ods_and_ois_are_what_a_search_over_masks_finds(seed):
    maps, masks = random_maps(seed, (3, 12, 12))
    assume(masks.any())
    hist = metrics.histograms(maps, masks)
    thresholds = np.arange(256) / 256
    pooled = [Confusion.of(maps >= t, masks).f1 for t in thresholds]
    best, threshold = metrics.ods(hist)
    assert best == pytest.approx(max(pooled))
    assert Confusion.of(maps >= threshold, masks).f1 == pytest.approx(best)
    each = [
        max(Confusion.of(one >= t, crack).f1 for t in thresholds)
        for one, crack in zip(maps, masks, strict=True)
        if crack.any()
    ]
    assert metrics.ois(hist) == pytest.approx(np.mean(each))


def test_threshold_scores_of_limit_cases():
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    none, full, top = np.zeros((1, 8, 8), bool), np.ones((1, 8, 8), bool), values > 0.8
    empty = metrics.histograms(values, none)
    assert math.isnan(metrics.ois(empty))
    assert math.isnan(metrics.auroc(empty))
    assert math.isnan(metrics.average_precision(empty))
    assert all(math.isnan(value) for value in metrics.ods(empty))
    all_crack = metrics.histograms(values, full)
    assert metrics.ods(all_crack) == (100, 0)
    assert metrics.average_precision(all_crack) == pytest.approx(100)
    assert math.isnan(metrics.auroc(all_crack))
    perfect = metrics.histograms(values, top)
    assert metrics.ods(perfect)[0] == metrics.ois(perfect) == 100
    assert metrics.auroc(perfect) == metrics.average_precision(perfect) == 100
    assert metrics.auroc(metrics.histograms(1 - values, top)) == 0
    flat = metrics.histograms(np.full_like(values, 0.5), top)
    assert metrics.auroc(flat) == 50
    assert metrics.average_precision(flat) == pytest.approx(100 * top.mean())
    # An image without cracks neither raises nor lowers OIS, but its false alarms count in ODS.
    both = np.concatenate([perfect, empty])
    assert metrics.ois(both) == 100
    assert metrics.ods(both)[0] < 100


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([0, 1, 1.5, 2, 3, 5]))
def test_tolerance_equals_a_distance_transform(seed, radius):
    rng = np.random.default_rng(seed)
    predicted, crack = rng.random((2, 2, 25, 31)) < 0.02
    found = thin_shapes.tolerance_counts(predicted, crack, radius)
    for index in range(2):
        a, b = predicted[index], crack[index]
        to_b = distance_transform_edt(~b) if b.any() else np.full(b.shape, np.inf)
        to_a = distance_transform_edt(~a) if a.any() else np.full(a.shape, np.inf)
        expected = [(a & (to_b <= radius)).sum(), a.sum(), (b & (to_a <= radius)).sum(), b.sum()]
        assert found[index].tolist() == expected
    if radius == 0 and (predicted.any() or crack.any()):
        assert thin_shapes.tolerance_f1(found) == pytest.approx(Confusion.of(predicted, crack).f1)


def test_cldice_by_hand_and_in_limit_cases():
    crack = np.zeros((40, 60), bool)
    crack[18:23, 5:55] = True
    thin = np.zeros_like(crack)
    thin[20, 5:55] = True
    half = crack.copy()
    half[:, 30:] = False
    none = np.zeros_like(crack)
    score = thin_shapes.cldice(
        np.stack([crack, thin, half, none, crack, none]), np.stack([crack] * 4 + [none] * 2)
    )
    assert score[0] == 100
    assert 95 < score[1] < 100  # thinner than the label, yet its whole course but for the forked ends
    assert 60 < score[2] < 72  # all of it is right, half the course is missing: near 2/3
    assert score[3:5].tolist() == [0, 0]
    assert math.isnan(score[5])
    # A gap costs clDice what it costs the course: two shares of line pixels, counted here by hand.
    line, broken = thin.copy(), thin.copy()
    broken[20, 25:35] = False
    assert thin_shapes.cldice(broken, line)[0] == pytest.approx(100 * 2 * 1 * 0.8 / 1.8)


def test_bootstrap_equals_a_plain_loop():
    rng = np.random.default_rng(0)
    parts = [Confusion(*rng.integers(1, 500, 4)) for _ in range(40)]
    low, high = metrics.bootstrap_interval(parts, "f1", seed=3)
    assert (low, high) == metrics.bootstrap_interval(parts, "f1", seed=3)
    assert low < metrics.pooled(parts).f1 < high
    draws = [metrics.pooled([parts[i] for i in rng.integers(0, 40, 40)]).f1 for _ in range(2000)]
    assert (low, high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1.0)
    narrow = metrics.bootstrap_interval(parts, "f1", level=0.5)
    assert low < narrow[0] < narrow[1] < high
    same = metrics.bootstrap_interval([parts[0]] * 10, "iou")
    assert same == pytest.approx((parts[0].iou, parts[0].iou))


def test_images_of_one_photo_are_drawn_together():
    rng = np.random.default_rng(0)
    parts = [Confusion(*rng.integers(1, 500, 4)) for _ in range(12)]
    copies, photos = parts * 4, [f"photo {i}" for i in range(12)] * 4
    alone = metrics.bootstrap_interval(parts, "f1")
    assert metrics.bootstrap_interval(copies, "f1", groups=photos) == pytest.approx(alone, abs=1.5)
    low, high = metrics.bootstrap_interval(copies, "f1")
    assert high - low < 0.7 * (alone[1] - alone[0]), "copies taken for other photos: too sure"
    each = metrics.bootstrap_interval(parts, "f1", groups=[*"abcdefghijkl"])
    assert each == alone, "each a photo of its own: as without groups"
    of_runs = metrics.bootstrap_interval([parts, parts[::-1]], "iou", groups=[*"aabbccddeeff"])
    pairs = [[a + b for a, b in zip(run[::2], run[1::2], strict=True)] for run in (parts, parts[::-1])]
    assert of_runs == metrics.bootstrap_interval(pairs, "iou")


def test_bootstrap_limit_cases():
    nothing = Confusion(0, 0, 0, 100)
    assert all(math.isnan(value) for value in metrics.bootstrap_interval([nothing] * 3, "f1"))
    # Draws without any crack leave F1 undefined: they are left out, not counted as 0.
    assert metrics.bootstrap_interval([nothing, Confusion(10, 0, 0, 90)], "f1") == (100, 100)
    for bad in ({"metric": "dice"}, {"level": 1.0}, {"n": 0}):
        with pytest.raises(UserError):
            metrics.bootstrap_interval([nothing], **{"metric": "f1"} | bad)
