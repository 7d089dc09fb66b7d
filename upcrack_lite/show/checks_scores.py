"""Checks of the exercises in chapters 13 to 15: training, detection, scoring. Import them from `checks`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from upcrack_lite.show.checking import array, check, close, need, number, texture

Answer = Callable[..., Any]


@check("it starts at the first rate and loses the same share every epoch.")
def check_learning_rate(fn: Answer) -> None:
    """fn(epoch, lr, decay) -> float: exponential decay (section IV-B); epochs count from 0."""
    need(close(number(fn(0, 2e-4, 0.99)) / 2e-4, 1), "epoch 0 should use the first rate as it is")
    need(close(number(fn(1, 2e-4, 0.9)) / 2e-4, 0.9), "epoch 1 should use decay times the first rate")
    rates = np.array([number(fn(epoch, 1e-3, 0.8)) for epoch in range(12)])
    need((rates > 0).all(), "a rate should never reach 0: multiply, do not subtract")
    need(close(rates[1:] / rates[:-1], 0.8), "each epoch should multiply the rate by the same factor")
    need(close(number(fn(50, 1e-3, 1.0)) / 1e-3, 1), "a decay of 1 should keep the rate")


@check("it waits for the best value to be `patience` epochs old, and a new best starts the count again.")
def check_early_stop(fn: Answer) -> None:
    """fn(valid_losses so far, patience) -> bool: stop now?"""
    cases = [
        ([1.0], 3, False, "after one epoch there is nothing to compare with"),
        ([5.0, 4.0, 3.0, 2.0, 1.0], 2, False, "while it gets better, training goes on"),
        ([3.0, 1.0, 2.0], 2, False, "one epoch without a new best is less than a patience of 2"),
        ([3.0, 1.0, 2.0, 2.0], 2, True, "two epochs without a new best reach a patience of 2"),
        ([3.0, 1.0, 2.5, 2.0, 1.5], 3, True, "compare with the best so far, not with the epoch before"),
        ([3.0, 1.0, 2.0, 0.5, 0.6], 2, False, "a new best starts the count again"),
        ([3.0, 1.0, 2.0, 2.0, 0.5], 2, False, "the newest value may be the best one"),
        ([1.0, 1.0, 1.0], 2, True, "an equal value is no new best"),
    ]
    for losses, patience, stop, hint in cases:
        need(bool(fn(list(losses), patience)) == stop, f"{hint}: losses {losses}, patience {patience}")


@check("equal images give 0, black against white gives 1, and both signs count.")
def check_error_map(fn: Answer) -> None:
    """fn(image (N, 3, H, W) in [-1, 1], restored) -> (N, 1, H, W) in [0, 1]."""
    a, b, shape = texture(seed=1), texture(seed=2), (2, 1, 32, 32)
    need(close(array(fn(a, a), shape), 0, 1e-7), "equal images should give 0 everywhere")
    errors = array(fn(a, b), shape)
    need(errors.min() >= 0, "an error is never negative: take absolute values")
    need(close(errors, array(fn(b, a), shape)), "swapping the images should change nothing")
    white = torch.ones_like(a)
    worst = array(fn(white, -white), shape)
    need(
        close(worst, 1),
        f"white against black should give 1, not {worst.flat[0]:g}: images span 2, from -1 to 1",
    )
    one = a.clone()
    one[0, :, 5, 7] = -a[0, :, 5, 7]
    where = array(fn(a, one), shape) > 1e-6
    need(
        where[0, 0, 5, 7] and where.sum() == 1, "one changed pixel should show in that pixel and nowhere else"
    )
    tinted = torch.zeros_like(a)
    tinted[:, 0], tinted[:, 1] = 0.6, -0.6
    found = array(fn(torch.zeros_like(a), tinted), shape)
    need(
        found.max() > 1e-3,
        "red too bright and green too dark must not cancel: absolute value first, then the mean",
    )
    need(close(found, 0.2), "take the mean over the three channels")


@check("no other cut puts more variance between the two classes.")
def check_otsu(fn: Answer) -> None:
    """fn(histogram, 256 counts) -> int: Otsu's level. "Above t" and "from t on" are both right."""
    levels = np.arange(256)

    def between(counts: np.ndarray, first_above: int) -> float:
        shares = counts / counts.sum()
        low, high = shares[:first_above], shares[first_above:]
        if not low.sum() or not high.sum():
            return 0.0
        means = (low @ levels[:first_above]) / low.sum(), (high @ levels[first_above:]) / high.sum()
        return float(low.sum() * high.sum() * (means[0] - means[1]) ** 2)

    def bell(center: float, width: float, weight: int) -> np.ndarray:
        return np.round(weight * np.exp(-(((levels - center) / width) ** 2) / 2)).astype(np.int64)

    shapes = {
        "two equal peaks": bell(60, 10, 900) + bell(180, 10, 900),
        "a large dark peak and a small light one": bell(40, 12, 9000) + bell(150, 20, 300),
        "a small dark peak and a large light one": bell(60, 15, 200) + bell(200, 10, 5000),
        "peaks that overlap": bell(90, 25, 700) + bell(150, 30, 500),
        "many pixels": (bell(30, 8, 900) + bell(220, 9, 300)) * 10**7,
    }
    for name, counts in shapes.items():
        cut = number(fn(counts.copy()), "the level")
        need(
            cut == int(cut) and 0 <= cut <= 255,
            f"the level should be a whole number from 0 to 255, got {cut:g}",
        )
        best = max(between(counts, t) for t in range(257))
        reached = max(between(counts, int(cut) + 1), between(counts, int(cut)))
        hint = (
            "is the product of both class sizes in the formula?"
            if name != "many pixels"
            else "do the counts overflow?"
        )
        need(
            reached >= best * (1 - 1e-9),
            f"{name}: level {cut:g} has less variance between the classes than others; {hint}",
        )


def _masks() -> tuple[np.ndarray, np.ndarray]:
    predicted, truth = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    truth[:, 4:6] = True  # 20 px
    predicted[:5, 4:8] = True  # 20 px, 10 of them right
    return predicted, truth


@check("a perfect mask gives 100, a useless one 0, and true background earns nothing.")
def check_f1(fn: Answer) -> None:
    """fn(predicted bool (H, W), crack_mask) -> percent. Two empty masks are not judged: 0/0 is a convention."""
    predicted, truth = _masks()
    need(
        close(number(fn(truth, truth)), 100),
        "a perfect prediction should give 100: is the answer in percent?",
    )
    need(close(number(fn(~truth, truth)), 0), "a prediction that misses everything should give 0, not fail")
    need(close(number(fn(predicted, truth)), 50), "precision 50 and recall 50 should give 50")
    need(close(number(fn(np.zeros_like(truth), truth)), 0), "nothing predicted although there is crack: 0")
    everything = number(fn(np.ones_like(truth), truth))
    need(
        close(everything, 100 * 40 / 120),
        "all predicted: precision 20, recall 100; the harmonic mean is 33.3",
    )
    wide = [np.pad(mask, ((0, 0), (0, 90))) for mask in (predicted, truth)]
    need(
        close(number(fn(*wide)), 50), "more background, found as such, should change nothing: TN is not in F1"
    )
    need(close(number(fn(truth, predicted)), 50), "swapping prediction and truth swaps FP and FN; F1 stays")


@check("the pixels of all images are counted together before the ratio is taken.")
def check_pooled(fn: Answer) -> None:
    """fn(predicted bool (N, H, W), crack_masks) -> F1 in percent of the pooled counts."""
    predicted, truth = _masks()
    need(
        close(number(fn(predicted[None], truth[None])), 50), "for one image it is that image's F1, in percent"
    )
    small = np.zeros_like(truth)
    small[0, 0] = True
    found, real = np.stack([truth, np.zeros_like(truth)]), np.stack([truth, small])
    value = number(fn(found, real))
    need(not close(value, 50), "this is the mean of the images' F1 (100 and 0); add TP, FP and FN up first")
    need(
        close(value, 100 * 40 / 41),
        f"20 px found and 1 px missed, pooled: 2·20 / (2·20 + 1) = 97.6, not {value:.1f}",
    )
    clean = np.zeros_like(truth)
    value = number(fn(np.stack([truth, clean]), np.stack([truth, clean])))
    need(close(value, 100), "an image without crack and without alarm adds only TN and should change nothing")
    value = number(fn(np.stack([truth, small]), np.stack([truth, clean])))
    need(close(value, 100 * 40 / 41), "a false alarm on an image without crack should count")


@check("it fits every pair of counts: IoU = F1 / (2 - F1), as shares of 1.")
def check_iou_from_f1(fn: Answer) -> None:
    """fn(F1 in percent) -> IoU in percent."""
    need(close(number(fn(0.0)), 0), "F1 0 means IoU 0")
    need(close(number(fn(100.0)), 100), "F1 100 means IoU 100: are percent turned into shares and back?")
    for tp, wrong in ((1, 1), (10, 3), (7, 50), (300, 40)):
        f1, iou = 200 * tp / (2 * tp + wrong), 100 * tp / (tp + wrong)
        said = number(fn(f1))
        need(
            close(said, iou), f"TP {tp}, FP + FN {wrong}: F1 {f1:.2f} goes with IoU {iou:.2f}, not {said:.2f}"
        )
