"""Checks of the exercises in chapters 07 to 12, the losses. Import them from `checks`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from upcrack_lite.show.checking import array, check, close, need, number, texture

Answer = Callable[..., Any]


@check("it is 0 for equal images, symmetric, and grows with the size of the difference, not its square.")
def check_mae(fn: Answer) -> None:
    """fn(restored, image) -> scalar, both (N, 3, H, W) in [-1, 1]."""
    a, b = texture(seed=1), texture(seed=2)
    need(close(number(fn(a, a)), 0, 1e-7), "equal images should give 0")
    need(
        close(number(fn(a, b)), number(fn(b, a))),
        "swapping the images should change nothing: is the sign removed?",
    )
    black, white = -torch.ones_like(a), torch.ones_like(a)
    need(number(fn(black, white)) > 0, "black against white should be above 0: take absolute values")
    need(
        close(number(fn(black, white)), 2),
        "black (-1) against white (1) should give 2: take the mean, not the sum",
    )
    one, two = number(fn(black, black + 0.1)), number(fn(black, black + 0.2))
    need(
        close(two, 2 * one), "twice the difference should give twice the error: absolute values, not squares"
    )
    split = black.clone()
    split[..., :16] += 0.5
    split[..., 16:] -= 0.5
    need(
        close(number(fn(split, black)), 0.5),
        "errors of both signs must not cancel: absolute value first, then mean",
    )


@check("it is 1 for equal images, symmetric, never above 1, and judges structure more than brightness.")
def check_ssim(fn: Answer) -> None:
    """fn(restored, image) -> scalar: mean SSIM on [-1, 1], over windows or the whole image; 1 = equal."""
    a = texture(seed=1) * 0.5
    need(close(number(fn(a, a)), 1), "equal images should give 1 (the loss is 1 - SSIM; this is SSIM itself)")
    b = texture(seed=2) * 0.5
    need(close(number(fn(a, b)), number(fn(b, a))), "swapping the images should change nothing")
    need(number(fn(a, b)) < 0.5, "two textures that have nothing in common should be far from 1")
    flat = torch.full_like(a, 0.3)
    need(close(number(fn(flat, flat)), 1), "two equal flat images should give 1: do C1 and C2 keep 0/0 away?")
    noise = texture(seed=3)
    some, more = (number(fn(a, (a + s * noise).clamp(-1, 1))) for s in (0.1, 0.5))
    need(some > more, "more noise should give a lower value")
    need(max(some, more) <= 1 + 1e-6, "SSIM is never above 1")
    lifted = a + 0.5  # mean far from 0, so that the brightness term is mild
    need(
        number(fn(lifted, 1.0 - a)) < 0,
        "light and dark swapped: the covariance is negative, and so should SSIM be",
    )
    structure = number(fn(lifted, lifted.flip(-1)))
    need(
        number(fn(lifted, lifted + 0.1)) > structure,
        "a little brightness should matter less than moved structure",
    )


@check("flat images have no gradient, a ramp has the same everywhere, and direction does not matter.")
def check_gradient(fn: Answer) -> None:
    """fn(gray (N, 1, H, W)) -> (N, 1, H, W): gradient magnitude. The outermost pixels are not judged."""
    shape, inside = (2, 1, 16, 16), (slice(None), slice(None), slice(2, -2), slice(2, -2))

    def magnitude(gray: torch.Tensor) -> np.ndarray:
        return array(fn(gray), shape, "the magnitude")[inside]

    need(
        close(magnitude(torch.full(shape, 0.4)), 0, 2e-3),
        "a flat image should give 0: do the kernel's weights add up to 0?",
    )
    ramp = (torch.arange(16) / 16).expand(shape).contiguous()
    right = magnitude(ramp)
    need(right.min() > 1e-3, "a ramp from dark to light should give more than 0")
    need(close(right, right.mean(), 1e-3), "a ramp is equally steep everywhere")
    need(
        close(magnitude(ramp.flip(-1)), right, 1e-3),
        "light to dark should count as dark to light: a magnitude has no sign",
    )
    need(
        close(magnitude(ramp.transpose(2, 3).contiguous()), right, 1e-3),
        "a ramp downwards should count as one to the right: use both kernels",
    )
    diagonal = (ramp + ramp.transpose(2, 3)).contiguous()
    need(
        close(magnitude(diagonal), math.sqrt(2) * right, 2e-3),
        "add both directions as the sides of a right triangle: root of the sum of squares",
    )
    gray = texture(2, 1, 16)
    need(
        close(magnitude(gray + 0.3), magnitude(gray), 1e-3),
        "adding the same to all pixels should change nothing",
    )
    need(
        close(magnitude(gray * 2), 2 * magnitude(gray), 5e-3),
        "twice the contrast should give twice the magnitude",
    )


@check("it is 1 where the edges agree, lower where one is missing, and blind to brightness.")
def check_gms(fn: Answer) -> None:
    """fn(restored (N, 3, H, W), image) -> (N, 1, H, W): gradient magnitude similarity, 1 = equal."""
    a, shape = texture(seed=1) * 0.5, (2, 1, 32, 32)
    need(close(array(fn(a, a), shape), 1, 1e-3), "equal images should give 1 everywhere")
    flat = torch.zeros_like(a)
    hint = "two flat images should give 1: is there a constant that keeps 0/0 away?"
    need(close(array(fn(flat, flat), shape), 1, 1e-3), hint)
    specks = array(fn(flat, flat + 1e-4 * texture(seed=3)), shape)
    need(
        specks.min() > 0.99,
        "differences far below one gray level should not count: the constant is too small",
    )
    b = texture(seed=2) * 0.5
    similarity = array(fn(a, b), shape)
    need(close(similarity, array(fn(b, a), shape)), "swapping the images should change nothing")
    need(similarity.min() >= 0 and similarity.max() <= 1 + 1e-4, "every value should lie between 0 and 1")
    need(similarity.mean() < 0.95, "two different textures should be clearly below 1")
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    need(
        close(array(fn(a + 0.2, a), shape)[inside], 1, 2e-3),
        "brightness alone should change nothing: compare gradients, not pixels",
    )
    edge = flat.clone()
    edge[..., 16:] = 0.6
    found = array(fn(flat, edge), shape)
    need(
        found[..., 15:17].max() < 0.3,
        "where one image has an edge and the other none, similarity should be near 0",
    )
    need(close(found[..., 4:12], 1, 1e-3), "far from the edge the images agree and similarity should be 1")


@check("it is symmetric, forgets where things are, and does not depend on the image's size.")
def check_gram(fn: Answer) -> None:
    """fn(features (N, C, H, W)) -> (N, C, C), divided by C * H * W."""
    n, c, h, w = 2, 5, 8, 6
    features = texture(n, c, 8)[..., :w].contiguous()
    g = array(fn(features), (n, c, c))
    need(
        close(g, g.transpose(0, 2, 1)), "a Gram matrix is symmetric: entry i, j is channel i times channel j"
    )
    order = torch.randperm(h * w, generator=torch.Generator().manual_seed(0))
    shuffled = features.flatten(2)[..., order].reshape(n, c, h, w)
    need(
        close(array(fn(shuffled), (n, c, c)), g),
        "moving the pixels about should change nothing: sum over all positions",
    )
    need(
        close(array(fn(2 * features), (n, c, c)), 4 * g),
        "twice the activations should give four times the matrix",
    )
    need(
        close(array(fn(features[1:]), (1, c, c))[0], g[1]),
        "each image should get its own matrix, whatever its neighbors",
    )
    ones = array(fn(torch.ones(1, c, h, w)), (1, c, c))
    need(ones.max() < h * w - 1e-3, "divide by the number of positions, or a larger image has a larger style")
    need(not close(ones, 1), "divide by the channels too: C * H * W")
    need(
        close(ones, 1 / c),
        f"ones everywhere should give 1 / C = {1 / c:g}, not {ones.flat[0]:g}: divide by C * H * W",
    )
    need(
        np.linalg.eigvalsh(g).min() > -1e-5,
        "no eigenvalue is negative: multiply the activations with themselves",
    )


@check("no idea costs 2 ln 2, a right opinion nearly nothing, and huge logits stay finite.")
def check_adversarial(fn: Answer) -> None:
    """fn(real_logits, fake_logits) -> scalar: what D minimizes (Eq. 8, its sign turned)."""
    zero = torch.zeros(2, 1, 6, 6)
    none = number(fn(zero, zero))
    need(
        not close(none, math.log(2)),
        "no idea (logits 0) gives ln 2: add the real and the fake half, do not average",
    )
    need(close(none, 2 * math.log(2)), f"no idea (all logits 0) should give 2 ln 2 = 1.386, not {none:.3f}")
    need(number(fn(zero + 8, zero - 8)) < 0.01, "real high and fake low is what D wants: nearly 0")
    wrong = number(fn(zero - 8, zero + 8))
    need(wrong > 10, "real low and fake high should cost much: are the targets 1 for real and 0 for fake?")
    need(number(fn(zero + 1, zero)) < none, "surer that real is real: it should cost less")
    need(number(fn(zero, zero + 1)) > none, "taking fake for real: it should cost more")
    huge = number(fn(zero - 1000, zero + 1000), "the loss of logits ±1000")
    need(
        huge > 500,
        "logits of ±1000 should cost about 2000: use a function that takes logits, not log(sigmoid(x))",
    )
    more = torch.zeros(8, 1, 3, 3)
    need(close(number(fn(more, more)), none), "the number of opinions should not matter: take the mean")


@check("no idea costs ln 2, fooling D costs nearly nothing, and a G that is seen through still learns.")
def check_generator_adversarial(fn: Answer) -> None:
    """fn(fake_logits) -> scalar: what G minimizes, non-saturating."""
    zero = torch.zeros(2, 1, 6, 6)
    need(close(number(fn(zero)), math.log(2)), "no idea (all logits 0) should give ln 2 = 0.693")
    need(number(fn(zero + 8)) < 0.01, "G wants D to say real (a high logit): it should cost nearly nothing")
    need(number(fn(zero - 8)) > 5, "when D sees through G (a low logit), G should pay much")
    logits = torch.full((1, 1, 2, 2), -12.0, requires_grad=True)
    loss = fn(logits)
    need(hasattr(loss, "backward"), "return a torch scalar, so that G can learn from it")
    loss.backward()
    slope = float(logits.grad.sum())
    need(slope < -0.5, f"at a logit of -12 the slope is {slope:.1e}: log(1 - D) saturates there, use -log D")
    need(
        number(fn(zero - 1000), "the loss of a logit of -1000") > 500,
        "a logit of -1000 should cost about 1000",
    )


@check("each term counts with its own weight, and the restoration terms with λ_res on top.")
def check_total(fn: Answer) -> None:
    """fn(terms, weights) -> scalar; terms mae, ssim, gms, style, adv; weights the same and res (Eqs. 2 and 7)."""
    names = ("mae", "ssim", "gms", "style")
    terms = {"mae": 0.2, "ssim": 0.7, "gms": 0.1, "style": 0.03, "adv": 2.0}
    ones = dict.fromkeys((*names, "res", "adv"), 1.0)
    need(
        close(number(fn(terms, ones)), sum(terms.values())),
        "with all weights 1 it is the plain sum of the five terms",
    )
    only_adv = ones | {"res": 0.0, "adv": 3.0}
    need(
        close(number(fn(terms, only_adv)), 6.0),
        "with λ_res = 0 only λ_adv times the adversarial term is left",
    )
    for name in names:
        alone = dict.fromkeys(ones, 0.0) | {name: 5.0, "res": 10.0}
        need(
            close(number(fn(terms, alone)), 50 * terms[name]),
            f"λ_res times λ_{name} should weigh the {name} term",
        )
    paper = {"mae": 1.0, "ssim": 2.0, "gms": 3.0, "style": 10.0, "res": 100.0, "adv": 1.0}
    truth = 100 * (0.2 + 1.4 + 0.3 + 0.3) + 2.0
    need(
        close(number(fn(dict(terms), paper)), truth),
        "λ_res multiplies the four restoration terms, not the adversarial one",
    )
