"""The checks of the exercises accept right answers in several wordings and refuse the usual wrong ones."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from upcrack_lite import detection, losses, masks
from upcrack_lite.baselines import training_free
from upcrack_lite.show import checks, checks_losses
from upcrack_lite.show.checking import CheckFailed


def crop_ok(m, x, y, w, margin):
    return not m[max(0, y - margin) : y + w + margin, max(0, x - margin) : x + w + margin].any()


def crop_by_points(m, x, y, w, margin):
    rows, columns = np.nonzero(m)
    near_y = (rows >= y - margin) & (rows < y + w + margin)
    return int((near_y & (columns >= x - margin) & (columns < x + w + margin)).sum()) == 0


def checkerboard(size, cell):
    return masks.all_multi_scale_square(size, (cell,))


def board_with_kron(size, cell):
    board = np.kron(np.indices((size // cell, size // cell)).sum(0) % 2, np.ones((cell, cell)))
    return np.stack([board, 1 - board])[:, None]


def blurred(covered, sigma=0.8):
    return cv2.GaussianBlur(covered, (0, 0), sigma)


def sharp_batch(batch, mask, fill):
    return replace(batch, masked=masks.apply(batch.image, mask, fill), mask=mask)


def field_backward(layers):
    seen = 1
    for kernel, stride in reversed(layers):
        seen = (seen - 1) * stride + kernel
    return seen


def by_torch(n, k, s, p):
    steps = len(range(0, n + 2 * p - k + 1, s))
    return nn.MaxPool1d(k, s, p)(torch.zeros(1, 1, n)).shape[-1] if p <= k // 2 else steps


def harmonic(p, r):
    return 2 * p * r / (p + r)


def rebuilt(p, r, prevalence):
    tp = prevalence * r / 100
    fp = 100 * tp / p - tp
    return tp, fp, prevalence - tp, 100 - prevalence - fp


def global_ssim(a, b, c1=4e-4, c2=36e-4):
    dims = (2, 3)
    ma, mb = a.mean(dims), b.mean(dims)
    va, vb = a.var(dims, unbiased=False), b.var(dims, unbiased=False)
    cov = (a * b).mean(dims) - ma * mb
    return (((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean()


def sobel(gray):
    k = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    x = functional.pad(gray, (1, 1, 1, 1), mode="replicate")
    return torch.hypot(*(functional.conv2d(x, kernel[None, None]) for kernel in (k, k.T)))


def one_kernel(gray):
    return functional.conv2d(gray, torch.tensor([[[[-1.0, 0, 1]]]]), padding=(0, 1)).abs()


def sobel_gms(a, b, c=0.003):
    ga, gb = (sobel(x.mean(1, keepdim=True)) for x in (a, b))
    return (2 * ga * gb + c) / (ga**2 + gb**2 + c)


def products(f):
    return torch.einsum("nchw,ndhw->ncd", f, f)


def d_softplus(real, fake):
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def d_naive(real, fake):
    return -torch.log(torch.sigmoid(real)).mean() - torch.log(1 - torch.sigmoid(fake)).mean()


def total_dot(t, w):
    names = ["mae", "ssim", "gms", "style"]
    return w["res"] * np.dot([w[n] for n in names], [t[n] for n in names]) + w["adv"] * t["adv"]


def stop_count(values, patience):
    best, waited = math.inf, 0
    for value in values:
        best, waited = (value, 0) if value < best else (best, waited + 1)
    return waited >= patience


def stop_argmin(values, patience):
    return len(values) - 1 - int(np.argmin(values)) >= patience


def otsu_cv(counts):
    if counts.sum() > 10**8:
        counts = counts // 10**7
    pixels = np.repeat(np.arange(256, dtype=np.uint8), counts)[None]
    return cv2.threshold(pixels, 0, 255, cv2.THRESH_OTSU)[0]


def f1_counts(p, t):
    tp, fp, fn = (p & t).sum(), (p & ~t).sum(), (~p & t).sum()
    return 100 * 2 * tp / (2 * tp + fp + fn)


def f1_dice(p, t):
    return 200.0 * float(np.logical_and(p, t).sum()) / float(p.sum() + t.sum())


def f1_mean(p, t):
    return np.mean([f1_counts(a, b) for a, b in zip(p, t, strict=True) if a.any() or b.any()])


def accuracy(p, t):
    return 100 * (p == t).mean()


def per_image(values):
    return values.mean((1, 2, 3))


def spread(gray):
    return np.subtract(*np.percentile(gray, (75, 25)))


ANSWERS = {
    "image_score": [
        lambda a, b: ((a - b) ** 2).flatten(1).amax(1).numpy(),
        lambda a, b: (a - b).abs().mean().expand(3),
        lambda a, b: per_image(a - b),
        lambda a, b: per_image(b),
    ],
    "crop_rule": [
        crop_by_points,
        lambda m, x, y, w, g: not m[y : y + w, x : x + w].any(),
        lambda m, x, y, w, g: not m[y - g : y + w + g, x - g : x + w + g].any(),
        lambda m, x, y, w, g: crop_ok(m.T, x, y, w, g),
        lambda m, x, y, w, g: crop_ok(m, x, y, w - 1, g),
    ],
    "crack_fraction": [
        lambda m: 100.0 * np.count_nonzero(m) / m.size,
        lambda m: m.mean(),
        lambda m: 100 * m[0].mean(),
    ],
    "mask_family": [
        board_with_kron,
        lambda s, c: checkerboard(s, c)[:1],
        lambda s, c: checkerboard(s, c)[:, 0],
        lambda s, c: checkerboard(s, c)[:, :, :1].expand(-1, -1, s, -1),  # stripes
    ],
    "sharp_batch": [
        lambda b, fill: sharp_batch(b, b.mask.round(), fill),
        lambda b, fill: b,
        lambda b, fill: sharp_batch(b, (b.mask > 0).float(), fill),
        lambda b, fill: sharp_batch(b, b.mask.round(), -1.0),
    ],
    "parameter_count": [
        lambda m: int(sum(math.prod(p.shape) for p in m.parameters() if p.requires_grad)),
        lambda m: sum(p.numel() for p in m.parameters()),
        lambda m: sum(v.numel() for v in m.state_dict().values()),
        lambda m: len(list(m.parameters())),
    ],
    "receptive_field": [
        field_backward,
        lambda layers: 1 + sum(k - 1 for k, _ in layers),
        lambda layers: math.prod(k for k, _ in layers),
    ],
    "output_size": [
        by_torch,
        lambda n, k, s, p: n // s,
        lambda n, k, s, p: (n + p - k) // s + 1,
        lambda n, k, s, p: (n + 2 * p - k) / s + 1,
    ],
    "mae": [functional.l1_loss, functional.mse_loss, lambda a, b: (a - b).mean().abs()],
    "ssim": [
        global_ssim,
        losses.ssim_loss,
        lambda a, b: global_ssim(a, b, 0, 0),
        lambda a, b: 1 - (a - b).abs().mean(),
    ],
    "gradient": [sobel, one_kernel, lambda g: one_kernel(g) + one_kernel(g.transpose(2, 3)).transpose(2, 3)],
    "gms": [
        sobel_gms,
        lambda a, b: 1 - losses.gms_map(a, b),
        lambda a, b: sobel_gms(a, b, 0),
        lambda a, b: losses.ssim_map(a, b).mean(1, keepdim=True).clamp(0, 1),
    ],
    "gram": [
        lambda f: products(f) / f[0].numel(),
        products,
        lambda f: products(f) / f[0, 0].numel(),
        lambda f: products(f).sum(0).expand(len(f), -1, -1) / f.numel(),
    ],
    "adversarial": [
        d_softplus,
        d_naive,
        lambda r, f: losses.adversarial_d(r, f, 0.5),
        lambda r, f: losses.adversarial_d(f, r),
    ],
    "generator_adversarial": [
        lambda f: functional.softplus(-f).mean(),
        lambda f: torch.log(1 - torch.sigmoid(f)).mean(),
        lambda f: functional.softplus(f).mean(),
        lambda f: -torch.log(torch.sigmoid(f)).mean(),
    ],
    "total": [
        total_dot,
        lambda t, w: sum(w[n] * t[n] for n in t),
        lambda t, w: w["res"] * sum(w[n] * t[n] for n in t),
    ],
    "learning_rate": [
        lambda e, lr, g: lr * math.exp(e * math.log(g)),
        lambda e, lr, g: lr * g ** (e + 1),
        lambda e, lr, g: lr * (1 - (1 - g) * e),
    ],
    "early_stop": [
        stop_count,
        lambda v, p: len(v) > p,
        lambda v, p: len(v) > 1 and v[-1] >= v[-2],
        lambda v, p: stop_argmin(v, p + 1),
        lambda v, p: len(v) - 1 - int(len(v) - 1 - np.argmin(v[::-1])) >= p,
    ],
    "error_map": [
        lambda a, b: np.abs(a.numpy() - b.numpy()).mean(1, keepdims=True) / 2,
        lambda a, b: (a - b).abs().mean(1, keepdim=True),
        lambda a, b: (a - b).mean(1, keepdim=True).abs() / 2,
        lambda a, b: detection.error_map(a, b, "signed"),
        lambda a, b: detection.error_map(a, b, "released"),
    ],
    "otsu": [
        otsu_cv,
        lambda h: int(h.argmax()),
        lambda h: 128,
        lambda h: int(np.average(np.arange(256), weights=h)),
    ],
    "pooled": [
        lambda p, t: f1_dice(p.ravel(), t.ravel()),
        f1_mean,
        accuracy,
        lambda p, t: f1_counts(p[0], t[0]),
    ],
    "iou_from_f1": [lambda f: 100 * (f / 100) / (2 - f / 100), lambda f: f / 2, lambda f: f * f / 100],
    "f1_range": [
        lambda p, r, h: sorted(harmonic(p + s * h, r + s * h) for s in (1, -1)),
        lambda p, r, h: (harmonic(p, r) - h, harmonic(p, r) + h),
        lambda p, r, h: (harmonic(p - h, r + h), harmonic(p + h, r - h)),
        lambda p, r, h: (harmonic(p + h, r + h), harmonic(p - h, r - h)),
    ],
    "rebuilt": [
        lambda p, r, s: np.array(rebuilt(p, r, s)),
        lambda p, r, s: rebuilt(r, p, s),
        lambda p, r, s: [part / 100 for part in rebuilt(p, r, s)],
        lambda p, r, s: (s * r / 100, 100 - p, s - s * r / 100, p - s),
    ],
    "multiply_adds": [
        lambda i, o, k, s, g: torch.Size((o, i // g, k, k)).numel() * s**2,
        lambda i, o, k, s, g: 2 * s * s * o * k * k * i // g,
        lambda i, o, k, s, g: s * s * o * k * k * i,
        lambda i, o, k, s, g: o * k * k * i // g,
    ],
    "weighted_optimum": [
        lambda p, w: 1 / (1 + w * (1 - p) / p),
        lambda p, w: p,
        lambda p, w: w * p / (w * p + 1 - p),
        lambda p, w: min(p / w, 0.99),
    ],
    "poly_rate": [
        lambda i, n, r, q: r * math.pow((n - i) / n, q),
        lambda i, n, r, q: r * (1 - i / n),
        lambda i, n, r, q: r * q**i,
    ],
    "robust_darkness": [
        lambda g: training_free.global_darkness(g.astype(np.float32)),
        lambda g: (g - np.median(g)) / spread(g),
        lambda g: (g.mean() - g) / g.std(),
    ],
    "frozen_choice": [
        lambda a, b: (max(zip(a, b, strict=True))[1], np.median(b)),
        lambda a, b: (max(b), np.median(b)),
        lambda a, b: (b[int(np.argmax(a))], np.mean(b[:1])),
    ],
    "either_side": [
        lambda g: np.abs(training_free.global_darkness(g.astype(np.float32))),
        lambda g: (np.median(g) - g) / spread(g),
        lambda g: np.abs(g.mean() - g) / g.std(),
    ],
    "floor": [
        lambda x, m: max(0, np.quantile(x, 1 - m, method="inverted_cdf")),
        lambda x, m: next(k for k in range(256) if (x >= k).mean() <= m),
        lambda x, m: next(k for k in range(256) if (x > k).mean(axis=(1, 2)).max() <= m),
        lambda x, m: next(k for k in range(256) if (x > k).mean() < m or k == 255),
    ],
    "soft_label": [
        lambda c, v: ~(blurred(c) <= v),
        lambda c, v: c > v,
        lambda c, v: blurred(c, 3) > v,
        lambda c, v: (blurred(c) > v).astype(float),
    ],
    "mean_logit": [
        lambda maps: np.tanh(np.mean(maps, axis=0) / 2) / 2 + 0.5,
        lambda maps: np.mean([1 / (1 + np.exp(-one)) for one in maps], axis=0),
        lambda maps: np.mean(maps, axis=0),
    ],
    "mm_per_pixel": [
        lambda a, b, mm: mm / abs(complex(*a) - complex(*b)),
        lambda a, b, mm: math.dist(a, b) / mm,
        lambda a, b, mm: mm / max(1, abs(b[0] - a[0])),
        lambda a, b, mm: mm / (abs(b[0] - a[0]) + abs(b[1] - a[1])),
    ],
    "agreement": [
        lambda a, b: 100.0 * (1 - (a ^ b).sum() / max(1, a.sum() + b.sum())),
        lambda a, b: 200 * (a & b).sum() / max(1, a.sum() + b.sum()),
        lambda a, b: 100.0 * (a == b).mean(),
    ],
}
"""Of each check a right answer in other words than the chapter's own, which runs on its page, then wrong ones."""

CHECKS = {
    name.removeprefix("check_"): function
    for module in (checks, checks_losses)
    for name, function in vars(module).items()
    if name.startswith("check_")
}


WRONG = [
    pytest.param(name, answer, id=f"{name}-{i}")
    for name, (_, *wrong) in ANSWERS.items()
    for i, answer in enumerate(wrong)
]


def test_every_check_has_right_and_wrong_answers_and_says_what_it_takes():
    assert set(ANSWERS) == set(CHECKS)
    assert all(len(some) >= 3 for some in ANSWERS.values())
    assert all(function.__doc__.startswith("fn(") for function in CHECKS.values())


@pytest.mark.parametrize("name", ANSWERS)
def test_a_right_answer_passes(name, capsys):
    CHECKS[name](ANSWERS[name][0])
    out = capsys.readouterr().out
    assert out.startswith("Right: ")
    assert out.count("\n") == 1


@pytest.mark.parametrize(("name", "answer"), WRONG)
def test_wrong_answers_are_refused_with_a_hint(name, answer, capsys):
    with pytest.raises(CheckFailed) as failed:
        CHECKS[name](answer)
    assert len(str(failed.value)) > 20
    assert not str(failed.value).startswith("it stopped with")  # a hint, not merely the crash
    assert capsys.readouterr().out == ""


def test_a_crash_in_the_answer_is_told_with_its_cause():
    with pytest.raises(CheckFailed, match="ZeroDivisionError") as failed:
        CHECKS["mae"](lambda a, b: 1 / 0)
    assert isinstance(failed.value.__cause__, ZeroDivisionError)


def test_a_value_instead_of_a_function_is_told():
    with pytest.raises(CheckFailed, match=r"check_mae\(name\)"):
        CHECKS["mae"](0.5)
