"""Scorer and pairing against slow and plain ways to do the same."""

from __future__ import annotations

import string
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from upcrack_lite.metrics import auroc, histograms, ods, per_image
from upcrack_lite.predict.pairing import Prediction, Predictions, pair

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
few = settings(max_examples=30, deadline=None)


@few
@given(st.data(), SHAPES)
def test_counts_and_maps_are_those_of_a_loop_over_pixels(data, shape):
    truth, predicted = (data.draw(arrays(bool, shape)) for _ in range(2))
    levels = data.draw(arrays(np.uint8, shape))
    pairs = list(zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True))
    got = per_image(predicted, truth)[0]
    wanted = [pairs.count(case) for case in ((True, True), (False, True), (True, False), (False, False))]
    assert [got.tp, got.fp, got.fn, got.tn] == wanted
    hist = histograms(levels.astype(np.float32) / 255, truth)
    crack, road = levels[truth].tolist(), levels[~truth].tolist()
    if crack:
        f1 = []
        for level in range(256):
            tp, fp = sum(one >= level for one in crack), sum(one >= level for one in road)
            f1.append(200 * tp / (tp + fp + len(crack)))
        assert abs(ods(hist)[0] - max(f1)) < 1e-9
    if crack and road:
        wins = [(a > b) + (a == b) / 2 for a in crack for b in road]
        assert abs(auroc(hist) - 100 * sum(wins) / len(wins)) < 1e-9


names = st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=3), unique=True, min_size=1, max_size=6)


@few
@given(names, names, st.booleans())
def test_what_pairs_is_what_has_one_name(predictions, masks, ours):
    with TemporaryDirectory() as folder:
        for name in masks:
            (Path(folder) / f"{name}.png").touch()
        listed = tuple(Prediction(name, Path(f"{name}.png")) for name in predictions)
        got = pair(Predictions(listed, model="drawn" if ours else None), folder)
    both, spare = set(predictions) & set(masks), set(masks) - set(predictions)
    assert {(one.name, mask.stem) for one, mask in got.listed} == {(name, name) for name in both}
    assert set(got.spare) == (spare if ours else set())
    assert len(got.unpaired) == len(set(predictions) - both) + (0 if ours else len(spare))
