"""Checks of the exercises: an answer is asked for its properties, so that a right answer in other words passes.

A check takes the reader's function. It prints one line, "Right: ...", or raises CheckFailed, whose message says
which property failed. Every check's docstring says what the function takes and returns. Those of the losses are in
`checks_losses`.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from upcrack_lite import masks
from upcrack_lite.recipes import preset
from upcrack_lite.show.checking import Answer, array, check, equal, examples, need, number, shaped, texture
from upcrack_lite.training import Batch, make_batch

# --- chapters 01 to 06: data, masks, networks


@check("all pixels of all masks count the same, in percent.")
def check_crack_fraction(fn: Answer) -> None:
    """fn(crack_masks bool (N, H, W)) -> percent of all pixels that are crack."""
    none = np.zeros((4, 10, 20), bool)
    some = none.copy()
    some[0, :5] = some[1, 0, 0] = True  # half of one mask in four, and one pixel of the next
    examples(
        fn,
        ((none,), 0, "no crack should give 0"),
        ((~none,), 100, "all crack should give 100: is the answer in percent?"),
        ((some,), 100 * 101 / 800, "count the crack pixels of all masks, divide by all pixels"),
        ((some[:1],), 50, "a single mask, half crack, should give 50"),
    )


@check("equal images score 0, and each image is scored by itself, on its own scale.", shaped(3))
def check_image_score(fn: Answer) -> None:
    """fn(image (N, 3, H, W), restored) -> (N,): 0 for a perfect restoration, larger the further off."""
    image = texture(3)
    equal(fn(image, image), 0, "an image restored perfectly should score 0", 1e-6)
    dimmed, dark = (image * torch.tensor([1, gain, 1]).view(3, 1, 1, 1) for gain in (0.5, 0.2))
    scores = fn(image, dimmed)
    need(scores[1] > 1e-4, "the damaged image should score above 0")
    hint = "a damaged image changes its neighbors' scores: average each image alone"
    equal(scores[[0, 2]], 0, hint, 1e-6)
    need(fn(image, dark)[1] > scores[1], "a larger difference should score higher")
    gray = image * 0.5
    for offset in (0.2, -0.2):
        need((fn(gray, gray + offset) > 0).all(), "too bright and too dark both count: is the sign removed?")
    mixed = torch.cat((gray[..., :16] + 0.2, gray[..., 16:] - 0.2), -1)
    need((fn(gray, mixed) > 1e-3).all(), "bright and dark errors should not cancel out")


@check("it refuses a crack inside the window or within the margin, and stops at the photo's border.")
def check_crop_rule(fn: Answer) -> None:
    """fn(crack_mask bool (H, W), x, y, window, margin) -> bool: True where the window may be used."""
    clean = np.zeros((40, 60), bool)
    need(fn(clean, 10, 10, 16, 3), "a photo without any crack should give every window")
    for row, column, x, y, margin, allowed, hint in (
        (15, 20, 10, 10, 3, False, "one crack pixel inside the window should forbid it"),
        (25, 25, 10, 10, 3, False, "the window ends with row y + window - 1 and column x + window - 1"),
        (10, 10, 10, 10, 3, False, "the window's first row and column belong to it"),
        (12, 45, 10, 20, 3, True, "a crack far away should not matter: are x (column) and y (row) in order?"),
        (30, 44, 30, 20, 3, False, "x counts columns, y rows: this crack is inside the window at x=30, y=20"),
        (15, 8, 10, 10, 3, False, "a crack 2 px left of the window lies within the margin of 3 px"),
        (28, 15, 10, 10, 3, False, "a crack 3 px below the window lies within the margin of 3 px"),
        (15, 6, 10, 10, 3, True, "a crack 4 px left of the window is outside the margin of 3 px"),
        (29, 15, 10, 10, 3, True, "a crack 4 px below the window is outside the margin of 3 px"),
        (0, 0, 2, 2, 3, False, "at the border the margin stops: a slice that starts below 0 is empty"),
        (15, 8, 10, 10, 0, True, "with margin 0 only the window itself counts"),
    ):
        crack_mask = clean.copy()
        crack_mask[row, column] = True
        need(bool(fn(crack_mask, x, y, 16, margin)) == allowed, hint)


@check("each mask removes half of the pixels, and each pixel is removed in half of the masks.")
def check_mask_family(fn: Answer) -> None:
    """fn(size, cell) -> (k, 1, size, size), 1 = kept: cells of `cell` px, and the family is fair."""
    for size, cell in ((16, 4), (16, 8), (32, 2)):
        first = np.asarray(fn(size, cell))
        family = array(first, (first.shape[0] if first.ndim else 0, 1, size, size))
        need(np.isin(family, (0, 1)).all(), "a mask holds 0 (removed) and 1 (kept), nothing else")
        equal(family.mean((1, 2, 3)), 0.5, "each mask should remove exactly half of the pixels")
        equal(family.mean(0), 0.5, "a pixel is removed more often than another: is the other phase missing?")
        cells = family[:, 0].reshape(len(family), size // cell, cell, size // cell, cell)
        same = (cells == cells[:, :, :1, :, :1]).all()
        need(same, f"inside a cell of {cell} x {cell} px all pixels should share one value")
        corners = cells[:, :, 0, :, 0]
        across, down = corners[:, :, 1:] != corners[:, :, :-1], corners[:, 1:] != corners[:, :-1]
        hint = f"neighboring cells of {cell} px should differ, along rows and along columns"
        need(across.all() and down.all(), hint)


@check("weights and biases count; running statistics and frozen parameters do not.")
def check_parameter_count(fn: Answer) -> None:
    """fn(module) -> int: how many numbers training may change."""
    bare, biased = nn.Conv2d(3, 8, 4, bias=False), nn.Conv2d(3, 8, 4)
    nested = nn.Sequential(nn.Conv2d(3, 8, 4), nn.Sequential(nn.BatchNorm2d(8), nn.ReLU()))
    frozen = nn.Sequential(nn.Conv2d(3, 8, 4).requires_grad_(False), nn.BatchNorm2d(8))
    examples(
        fn,
        ((bare,), 384, "Conv2d(3, 8, 4) without bias has 8 * 3 * 4 * 4 = 384"),
        ((biased,), 392, "a bias adds one number for each output channel"),
        ((nn.BatchNorm2d(8),), 16, "BatchNorm2d(8) trains 8 scales and 8 shifts; its statistics are buffers"),
        ((nested,), 408, "modules inside modules should count too"),
        ((frozen,), 16, "a frozen parameter (requires_grad False) is not trained: leave it out"),
        ((nn.ReLU(),), 0, "a module without parameters should give 0"),
    )


@check("a kernel adds (kernel - 1) steps of the size that all strides before it have made.")
def check_receptive_field(fn: Answer) -> None:
    """fn(layers: list of (kernel, stride), first layer first) -> int, in input pixels."""
    examples(
        fn,
        (([(3, 1)],), 3, "one 3 x 3 layer sees 3 pixels"),
        (([(4, 2)],), 4, "one layer sees its kernel; its stride acts on later layers"),
        (([(3, 1), (3, 1)],), 5, "two 3 x 3 layers with stride 1 see 5 pixels"),
        (([(3, 2), (3, 1)],), 7, "after a stride of 2, each step of the next kernel is 2 input pixels wide"),
        (([(3, 1), (3, 2)],), 5, "order matters: list the first layer first"),
        (([(4, 2), (4, 2), (4, 2), (4, 1)],), 46, "the strides multiply: steps of 1, 2, 4, 8 pixels"),
        (([(5, 2), (1, 1), (1, 1)],), 5, "a 1 x 1 layer sees no more than what lies below it"),
    )


@check("padding adds on both sides, and a kernel that does not fit any more is dropped.")
def check_output_size(fn: Answer) -> None:
    """fn(size, kernel, stride, padding) -> int: side of a convolution's output."""
    cases = ((256, 4, 2, 1), (32, 4, 1, 1), (31, 4, 1, 1), (7, 3, 1, 0), (8, 3, 2, 0), (9, 4, 2, 1))
    for size, kernel, stride, padding in cases:
        truth = nn.Conv2d(1, 1, kernel, stride, padding)(torch.zeros(1, 1, size, size)).shape[-1]
        hint = f"size {size}, kernel {kernel}, stride {stride}, padding {padding}: torch gives {truth}"
        examples(fn, ((size, kernel, stride, padding), truth, hint))


# --- chapters 13 to 15: training, detection, scoring


@check("it starts at the first rate and shrinks by the same factor every epoch.", number)
def check_learning_rate(fn: Answer) -> None:
    """fn(epoch, lr, decay) -> float: exponential decay (section IV-B); epochs count from 0."""
    equal(fn(0, 2e-4, 0.99) / 2e-4, 1, "epoch 0 should use the first rate as it is")
    equal(fn(1, 2e-4, 0.9) / 2e-4, 0.9, "epoch 1 should use decay times the first rate")
    rates = np.array([fn(epoch, 1e-3, 0.8) for epoch in range(12)])
    need((rates > 0).all(), "a rate should never reach 0: multiply, do not subtract")
    equal(rates[1:] / rates[:-1], 0.8, "each epoch should multiply the rate by the same factor")
    equal(fn(50, 1e-3, 1.0) / 1e-3, 1, "a decay of 1 should keep the rate")


@check("it waits for the best value to be `patience` epochs old, and a new best starts the count again.")
def check_early_stop(fn: Answer) -> None:
    """fn(valid_losses so far, patience) -> bool: stop now?"""
    for losses, patience, stop, hint in (
        ([1.0], 3, False, "after one epoch there is nothing to compare with"),
        ([5.0, 4.0, 3.0, 2.0, 1.0], 2, False, "while it gets better, training goes on"),
        ([3.0, 1.0, 2.0], 2, False, "one epoch without a new best is less than a patience of 2"),
        ([3.0, 1.0, 2.0, 2.0], 2, True, "two epochs without a new best reach a patience of 2"),
        ([3.0, 1.0, 2.5, 2.0, 1.5], 3, True, "compare with the best so far, not with the epoch before"),
        ([3.0, 1.0, 2.0, 0.5, 0.6], 2, False, "a new best starts the count again"),
        ([3.0, 1.0, 2.0, 2.0, 0.5], 2, False, "the newest value may be the best one"),
        ([1.0, 1.0, 1.0], 2, True, "an equal value is no new best"),
    ):
        need(bool(fn(losses, patience)) == stop, f"{hint}: losses {losses}, patience {patience}")


@check("equal images give 0, black against white gives 1, and both signs count.", shaped(2, 1, 32, 32))
def check_error_map(fn: Answer) -> None:
    """fn(image (N, 3, H, W) in [-1, 1], restored) -> (N, 1, H, W) in [0, 1]."""
    a, b = texture(seed=1), texture(seed=2)
    equal(fn(a, a), 0, "equal images should give 0 everywhere", 1e-7)
    need(fn(a, b).min() >= 0, "an error is never negative: take absolute values")
    equal(fn(a, b), fn(b, a), "swapping the images should change nothing")
    white = torch.ones_like(a)
    worst = fn(white, -white)
    hint = f"white against black should give 1, not {worst.flat[0]:g}: images span 2, from -1 to 1"
    equal(worst, 1, hint)
    one = a.clone()
    one[0, :, 5, 7] = -a[0, :, 5, 7]
    changed = fn(a, one) > 1e-6
    hint = "one changed pixel should show in that pixel and nowhere else"
    need(changed[0, 0, 5, 7] and changed.sum() == 1, hint)
    tinted = torch.tensor([0.6, -0.6, 0.0]).view(1, 3, 1, 1).expand_as(a)
    errors = fn(torch.zeros_like(a), tinted)
    need(errors.max() > 1e-3, "red too bright, green too dark must not cancel: absolute value, then mean")
    equal(errors, 0.2, "take the mean over the three channels")


@check("no other threshold puts more variance between the two classes.", number)
def check_otsu(fn: Answer) -> None:
    """fn(histogram, 256 counts) -> int: Otsu's level. "Above t" and "from t on" are both right."""
    levels = np.arange(256)

    def between(counts: np.ndarray) -> np.ndarray:
        """(257,): variance between the classes below a level and from it on."""
        weights = counts / counts.sum()
        low, mean = (np.append(0, np.cumsum(values)) for values in (weights, weights * levels))
        both = low * (1 - low)
        return np.divide((mean[-1] * low - mean) ** 2, both, out=np.zeros(257), where=both > 1e-12)

    def peak(center: float, width: float, weight: int) -> np.ndarray:
        return np.round(weight * np.exp(-(((levels - center) / width) ** 2) / 2)).astype(np.int64)

    product = "is the product of both class sizes in the formula?"
    for name, counts, why in (
        ("two equal peaks", peak(60, 10, 900) + peak(180, 10, 900), product),
        ("a large dark peak and a small light one", peak(40, 12, 9000) + peak(150, 20, 300), product),
        ("a small dark peak and a large light one", peak(60, 15, 200) + peak(200, 10, 5000), product),
        ("peaks that overlap", peak(90, 25, 700) + peak(150, 30, 500), product),
        ("many pixels", (peak(30, 8, 900) + peak(220, 9, 300)) * 10**7, "do the counts overflow?"),
    ):
        level = fn(counts)
        whole = level == int(level) and 0 <= level <= 255
        need(whole, f"the level should be a whole number from 0 to 255, got {level:g}")
        variance = between(counts)
        best, reached = variance.max(), variance[int(level) : int(level) + 2].max()
        hint = f"{name}: level {level:g} has less variance between the classes than others; {why}"
        need(reached >= best * (1 - 1e-9), hint)


@check("the pixels of all images are counted together before the ratio is taken.", number)
def check_pooled(fn: Answer) -> None:
    """fn(predicted bool (N, H, W), crack_masks) -> F1 in percent of the pooled counts."""
    clean = np.zeros((10, 10), bool)
    half, truth, small = clean.copy(), clean.copy(), clean.copy()
    truth[:, 4:6] = half[:5, 4:8] = small[0, 0] = True  # 20 px; 20 px, 10 of them right; 1 px
    pooled = 100 * 40 / 41
    mean = fn(np.stack([truth, clean]), np.stack([truth, small]))
    need(abs(mean - 50) > 0.01, "this is the mean of the images' F1 (100 and 0); add TP, FP and FN up first")
    for predicted, crack_masks, expected, hint in (
        ([half], [truth], 50, "for one image it is that image's F1, in percent"),
        ([truth, clean], [truth, small], pooled, "20 px found, 1 missed, pooled: 2·20 / (2·20 + 1) = 97.6"),
        ([truth, clean], [truth, clean], 100, "an image without crack and without alarm adds only TN"),
        ([truth, small], [truth, clean], pooled, "a false alarm on an image without crack should count"),
    ):
        equal(fn(np.stack(predicted), np.stack(crack_masks)), expected, hint)


@check("it fits every pair of counts: IoU = F1 / (2 - F1), as fractions of 1.", number)
def check_iou_from_f1(fn: Answer) -> None:
    """fn(F1 in percent) -> IoU in percent."""
    equal(fn(0.0), 0, "F1 0 means IoU 0")
    equal(fn(100.0), 100, "F1 100 means IoU 100: are percent turned into fractions and back?")
    for tp, wrong in ((1, 1), (10, 3), (7, 50), (300, 40)):
        f1, iou = 200 * tp / (2 * tp + wrong), 100 * tp / (tp + wrong)
        equal(fn(f1), iou, f"TP {tp}, FP + FN {wrong}: F1 {f1:.2f} goes with IoU {iou:.2f}")


# --- chapters 16 to 20, and the reference: training-free baselines, the audit, batches, the compared methods


@check("it holds every F1 that the digits allow, and no other.", shaped(2))
def check_f1_range(fn: Answer) -> None:
    """fn(precision, recall, half, all in percent) -> (lowest, highest) F1: each may be wrong by up to half."""
    equal(fn(60.0, 60.0, 0.0), 60, "equal precision and recall, known exactly, are F1 too: (60, 60)")
    low, high = fn(60.0, 60.0, 0.5)
    need(low <= high, "give the lowest value first")
    equal((low, high), (59.5, 60.5), "60 and 60, each wrong by up to 0.5, allow F1 from 59.5 to 60.5")
    for p, r, half in ((75.0, 60.0, 0.05), (8.3, 85.0, 0.05), (63.412, 88.852, 0.0005)):
        ends = [2 * a * b / (a + b) for a, b in ((p - half, r - half), (p + half, r + half))]
        hint = "F1 grows with both, so its ends lie where both are lowest or both are highest"
        equal(fn(p, r, half), ends, f"P {p}, R {r}, half {half}: {hint}", 1e-7)


@check("the four parts add up to 100 and give precision, recall and prevalence back.", shaped(4))
def check_rebuilt(fn: Answer) -> None:
    """fn(precision, recall, prevalence, all in percent) -> (TP, FP, FN, TN) in percent of all pixels."""
    for tp, fp, fn_, tn in ((3.0, 1.0, 2.0, 94.0), (10.0, 30.0, 5.0, 55.0), (0.7, 0.1, 1.0, 98.2)):
        parts = fn(100 * tp / (tp + fp), 100 * tp / (tp + fn_), tp + fn_)
        equal(parts.sum(), 100, "TP, FP, FN and TN should add up to 100 %")
        equal(parts[0] + parts[2], tp + fn_, "TP + FN is all crack: the prevalence")
        equal(parts[0], tp, f"recall says which part of the crack is found: TP {tp:g}")
        equal(parts[1], fp, f"precision says TP / (TP + FP): FP {fp:g}")
        equal(parts[3], tn, f"TN is the rest: {tn:g}")


@check("the squares stay where the augmentation moved them, and their borders are sharp again.")
def check_sharp_batch(fn: Answer) -> None:
    """fn(batch with a soft mask, fill) -> Batch with the same images, its mask 0 or 1, masked by that mask."""
    values = preset("paper", "lite", mask_before_resize=True)
    soft = make_batch(texture(4, size=values.size), values, torch.Generator().manual_seed(1))
    for fill in (-1.0, 0.0):
        sharp = fn(soft, fill)
        need(isinstance(sharp, Batch), "give a Batch: image, masked and mask")
        same = torch.equal(sharp.image, soft.image)
        need(same, "the images are what the network should restore: leave them alone")
        values_held = set(sharp.mask.unique().tolist())
        need(values_held == {0.0, 1.0}, "a sharp mask holds 0 and 1 and nothing between")
        nearer = ((sharp.mask - soft.mask).abs() <= 0.5).all()
        need(nearer, "each pixel should go to the nearer of 0 and 1, so that the squares stay where they are")
        masked = torch.equal(sharp.masked, masks.apply(soft.image, sharp.mask, fill))
        need(masked, "make the masked image from image and sharp mask; the old one still has soft borders")


@check("each output value takes one product for every weight that it looks through.", number)
def check_multiply_adds(fn: Answer) -> None:
    """fn(inward, out, kernel, side of the output map, groups) -> int: multiply-adds of a convolution, no bias."""
    cases = ((3, 8, 3, 32, 1), (16, 4, 1, 64, 1), (8, 16, 5, 10, 1), (8, 8, 3, 32, 8), (8, 16, 3, 4, 4))
    for inward, out, kernel, side, groups in cases:
        with torch.device("meta"):
            layer = nn.Conv2d(inward, out, kernel, padding=kernel // 2, groups=groups, bias=False)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                layer(torch.zeros(1, inward, side, side))
        truth, said = counter.get_total_flops() // 2, fn(inward, out, kernel, side, groups)
        need(said != 2 * truth, "a multiplication and the addition after it count as one: this is twice that")
        whole = groups > 1 and said == truth * groups
        need(not whole, "with groups, an output sees only inward / groups input channels")
        layer = f"{inward} to {out} channels, kernel {kernel}, map {side} x {side}, groups {groups}"
        need(said == truth, f"{layer}: PyTorch counts {truth:,}, you {said:,.0f}")


@check("it is the answer at which the weighted loss is least.", number)
def check_weighted_optimum(fn: Answer) -> None:
    """fn(p, road_weight) -> q: where the fraction p of such pixels is crack, the probability that costs least.

    A crack pixel has weight 1 in the cross entropy, a road pixel `road_weight`.
    """
    for p in (0.02, 0.5, 0.9):
        equal(fn(p, 1.0), p, f"with equal weights the best answer to a fraction of {p} is {p} itself")
    grid = np.linspace(1e-4, 1 - 1e-4, 9999)
    for p, weight in ((0.03, 0.03), (0.2, 0.1), (0.5, 0.03), (0.1, 3.0)):
        loss = -(p * np.log(grid) + (1 - p) * weight * np.log(1 - grid))
        best, said = float(grid[loss.argmin()]), fn(p, weight)
        need(0 < said < 1, "a probability lies between 0 and 1")
        hint = f"the loss is least at {best:.3f}, not {said:.3f}; set its derivative to 0"
        need(abs(said - best) < 2e-3, f"p {p}, road_weight {weight}: {hint}")


@check("it starts at the first rate, falls all the way, and ends at 0.")
def check_poly_rate(fn: Answer) -> None:
    """fn(step, steps, first, power) -> the learning rate of a step counted from 0, after `steps` in all it is 0."""
    examples(
        fn,
        ((0, 100, 0.01, 0.9), 0.01, "step 0 has the first rate"),
        ((100, 100, 1.0, 0.9), 0, "after the last step the rate is 0"),
        ((25, 100, 0.8, 1.0), 0.6, "power 1 is a line: a quarter done, a quarter gone"),
        ((75, 100, 1.0, 2.0), 0.0625, "the power acts on what is left, 1 - step / steps"),
        ((50, 100, 1.0, 0.9), 0.5**0.9, "half-way, power 0.9: 0.5 to the power 0.9"),
    )


@check("neither a brighter lamp nor more contrast moves it, and a few dark pixels do not.", shaped(11, 101))
def check_robust_darkness(fn: Answer) -> None:
    """fn(gray (H, W) in [0, 1]) -> (H, W): interquartile ranges below the photo's median."""
    ramp = np.tile(np.linspace(0.2, 0.8, 101), (11, 1))
    darkness = fn(ramp)
    equal(darkness[0, 50], 0, "the median itself is 0", 1e-3)
    need(darkness[0, 0] > 0, "dark pixels have positive values: subtract from the median, not the reverse")
    hint = "the darkest pixel here is one interquartile range (75 % - 25 %) below the median"
    equal(darkness[0, 0], 1, hint, 1e-3)
    equal(fn(0.5 * ramp + 0.3), darkness, "half the contrast, more light: the same map", 1e-3)
    cracked = ramp.copy()
    cracked[0, :20] = 0.0
    moved = abs(fn(cracked)[5, 0] - darkness[5, 0])
    need(moved < 0.1, "a small crack moves the map elsewhere: mean and deviation do that")


@check("only the training scores decide, and the test score is read once.", shaped(2))
def check_frozen_choice(fn: Answer) -> None:
    """fn(training: list of F1, test: list of F1, same order) -> (F1 to report, median of the test F1)."""
    draws = np.random.default_rng(0)
    for n in (1, 5, 24):
        training, test = (list(draws.permutation(np.linspace(20, 80, n))) for _ in range(2))
        reported, middle = fn(training, test)
        wanted = test[int(np.argmax(training))]
        trained = n > 1 and math.isclose(reported, max(training))
        need(not trained, "report the chosen variant's *test* score")
        peeked = math.isclose(reported, max(test)) and not math.isclose(reported, wanted)
        need(not peeked, "that is the best test score: it was chosen with the answers in hand")
        equal(reported, wanted, f"the best on the training set has {wanted:.1f} on the test set")
        equal(middle, np.median(test), "the second number is the median of all test scores")


@check("dark and bright count alike, and neither lamp nor contrast matters.", shaped(11, 101))
def check_either_side(fn: Answer) -> None:
    """fn(gray (H, W) in [0, 1]) -> (H, W): interquartile ranges from the photo's median, on either side of it."""
    ramp = np.tile(np.linspace(0.2, 0.8, 101), (11, 1))
    distance = fn(ramp)
    equal(distance[0, 50], 0, "the median itself is 0", 1e-3)
    hint = "the darkest pixel here is one interquartile range (75 % - 25 %) from the median"
    equal(distance[0, 0], 1, hint, 1e-3)
    hint = "the inverted photo has the same map: a bright crack counts like a dark one"
    equal(fn(1 - ramp), distance, hint, 1e-3)
    equal(fn(0.5 * ramp + 0.3), distance, "half the contrast, more light: the same map", 1e-3)


@check("the smallest floor that keeps the limit, for all photos together.", number)
def check_floor(fn: Answer) -> None:
    """fn(levels int (N, H, W), 0 to 255, of road without a crack; limit) -> the floor: above it at most `limit`."""
    levels = np.zeros((2, 10, 50), int)
    levels[0, 0, :10] = 200  # 1 % of all pixels
    levels[1, 0, :5] = 90  # another 0.5 %
    examples(
        fn,
        ((levels, 0.02), 0, "nothing has to be raised where the limit is kept already"),
        ((levels, 0.012), 90, "above the floor means above, not at it: 90 itself is no longer marked"),
        ((levels, 0.01), 90, "a limit that is met exactly is kept"),
        ((levels, 0.009), 200, "count the pixels of all photos together, not each photo's own"),
        ((levels, 0.0), 200, "no pixel lies above the largest level"),
    )


@check("the coverage is blurred first, so that the label is a little wider than the crack.")
def check_soft_label(fn: Answer) -> None:
    """fn(covered (H, W) in [0, 1], level) -> bool (H, W)."""
    covered = np.zeros((21, 21), np.float32)
    covered[:, 9:12] = 1.0
    narrow, wide = fn(covered, 0.6), fn(covered, 0.1)
    hint = "return a mask, True where the blurred coverage is above the level"
    need(np.asarray(narrow).dtype == bool, hint)
    need(narrow[10, 10] and not narrow[10, 3], "the crack itself is marked, and the road far from it is not")
    hint = "at level 0.1 the label of a crack of 3 px is wider than 3 px: blur by 0.8 px first"
    need(wide[10].sum() > 3, hint)
    need(narrow[10].sum() == 3, "at level 0.6 it is 3 px wide: the blur is 0.8 px, not more")


@check("logits are averaged, and the sigmoid comes last.")
def check_mean_logit(fn: Answer) -> None:
    """fn(list of logit maps (H, W)) -> probability (H, W)."""
    equal(fn([np.zeros((2, 2))]), np.full((2, 2), 0.5), "a logit of 0 is a probability of one half")
    maps = [np.full((2, 2), 6.0), np.full((2, 2), -2.0), np.full((2, 2), -7.0)]
    hint = (
        "average the logits (here to -1), then take the sigmoid: not the mean or the maximum of probabilities"
    )
    equal(fn(maps), np.full((2, 2), 1 / (1 + np.exp(1.0))), hint)


@check("the distance of the two ends counts, in whatever direction they lie.", number)
def check_mm_per_pixel(fn: Answer) -> None:
    """fn(first (x, y), second (x, y), known_mm) -> mm per pixel."""
    examples(
        fn,
        (((0, 0), (600, 0), 300.0), 0.5, "a ruler of 300 mm that covers 600 px gives 0.5"),
        (((10, 20), (10, 120), 50.0), 0.5, "it may lie along a column"),
        (((300, 400), (0, 0), 250.0), 0.5, "a slanted one is as long as its diagonal: sqrt(dx² + dy²) px"),
    )


@check(
    "it is 100 for equal masks, 0 for masks without a common pixel, and the order does not matter.", number
)
def check_agreement(fn: Answer) -> None:
    """fn(first bool (H, W), second) -> F in percent, 100 where both are empty."""
    none = np.zeros((8, 8), bool)
    top, row = none.copy(), none.copy()
    top[:4], row[3] = True, True
    examples(
        fn,
        ((top, top), 100, "equal masks agree wholly"),
        ((top, ~top), 0, "no common pixel: 0"),
        ((top, row), 40, "8 common pixels of 32 and 8: 2·8 / 40 is 40 %"),
        ((row, top), 40, "swapping the masks should change nothing"),
        ((none, top), 0, "one empty mask: 0"),
        ((none, none), 100, "two empty masks are equal: give 100 and do not divide by 0"),
    )
