"""Checks of the exercises in chapters 07 to 12, the losses; `checks` says what a check is."""

from __future__ import annotations

import math

import numpy as np
import torch

from upcrack_lite.show.checking import Answer, array, check, equal, examples, need, number, shaped, texture

INSIDE = (..., slice(2, -2), slice(2, -2))
"""All but the outermost pixels, which depend on how a kernel is padded."""
SWAPPED = "swapping the images should change nothing"


@check(
    "it is 0 for equal images, symmetric, and grows with the size of the difference, not its square.", number
)
def check_mae(fn: Answer) -> None:
    """fn(restored, image) -> scalar, both (N, 3, H, W) in [-1, 1]."""
    a, b = texture(seed=1), texture(seed=2)
    equal(fn(a, a), 0, "equal images should give 0", 1e-7)
    equal(fn(a, b), fn(b, a), f"{SWAPPED}: is the sign removed?")
    black, white = -torch.ones_like(a), torch.ones_like(a)
    need(fn(black, white) > 0, "black against white should be above 0: take absolute values")
    equal(fn(black, white), 2, "black (-1) against white (1) should give 2: take the mean, not the sum")
    double = 2 * fn(black, black + 0.1)
    equal(fn(black, black + 0.2), double, "twice the difference is twice the error: do not square it")
    split = torch.cat((black[..., :16] + 0.5, black[..., 16:] - 0.5), -1)
    equal(fn(split, black), 0.5, "errors of both signs must not cancel: absolute value first, then mean")


@check(
    "it is 1 for equal images, symmetric, never above 1, and structure counts more than brightness.", number
)
def check_ssim(fn: Answer) -> None:
    """fn(restored, image) -> scalar: mean SSIM on [-1, 1], over windows or the whole image; 1 = equal."""
    a, b, noise = texture(seed=1) * 0.5, texture(seed=2) * 0.5, texture(seed=3)
    equal(fn(a, a), 1, "equal images should give 1 (the loss is 1 - SSIM; this is SSIM itself)")
    equal(fn(a, b), fn(b, a), SWAPPED)
    need(fn(a, b) < 0.5, "two textures that have nothing in common should be far from 1")
    flat = torch.full_like(a, 0.3)
    equal(fn(flat, flat), 1, "two equal flat images should give 1: do C1 and C2 keep 0/0 away?")
    some, more = (fn(a, (a + s * noise).clamp(-1, 1)) for s in (0.1, 0.5))
    need(some > more, "more noise should give a lower value")
    need(max(some, more) <= 1 + 1e-6, "SSIM is never above 1")
    lifted = a + 0.5  # mean far from 0, so that the brightness term is mild
    need(fn(lifted, 1.0 - a) < 0, "light and dark swapped: the covariance is negative, and so should SSIM be")
    moved = fn(lifted, lifted.flip(-1))
    need(fn(lifted, lifted + 0.1) > moved, "a little brightness should matter less than moved structure")


@check("flat images have no gradient, a ramp has the same everywhere, and direction does not matter.")
def check_gradient(fn: Answer) -> None:
    """fn(gray (N, 1, H, W)) -> (N, 1, H, W): gradient magnitude. The outermost pixels do not count."""
    shape = (2, 1, 16, 16)

    def magnitude(gray: torch.Tensor) -> np.ndarray:
        return array(fn(gray), shape)[INSIDE]

    flat = magnitude(torch.full(shape, 0.4))
    equal(flat, 0, "a flat image should give 0: do the kernel's weights add up to 0?", 2e-3)
    ramp = (torch.arange(16) / 16).expand(shape).contiguous()
    down, right = ramp.transpose(2, 3).contiguous(), magnitude(ramp)
    need(right.min() > 1e-3, "a ramp from dark to light should give more than 0")
    equal(right, right.mean(), "a ramp is equally steep everywhere", 1e-3)
    equal(magnitude(ramp.flip(-1)), right, "light to dark counts as dark to light: no sign", 1e-3)
    equal(magnitude(down), right, "a ramp downwards counts as one to the right: use both kernels", 1e-3)
    hint = "add both directions as the sides of a right triangle: root of the sum of squares"
    equal(magnitude(ramp + down), math.sqrt(2) * right, hint, 2e-3)
    gray = texture(2, 1, 16)
    equal(magnitude(gray + 0.3), magnitude(gray), "more light everywhere should change nothing", 1e-3)
    equal(magnitude(gray * 2), 2 * magnitude(gray), "twice the contrast is twice the magnitude", 5e-3)


@check(
    "it is 1 where the edges agree, lower where one is missing, and blind to brightness.",
    shaped(2, 1, 32, 32),
)
def check_gms(fn: Answer) -> None:
    """fn(restored (N, 3, H, W), image) -> (N, 1, H, W): gradient magnitude similarity, 1 = equal."""
    a, b = texture(seed=1) * 0.5, texture(seed=2) * 0.5
    flat = torch.zeros_like(a)
    equal(fn(a, a), 1, "equal images should give 1 everywhere", 1e-3)
    equal(fn(flat, flat), 1, "two flat images should give 1: does a constant keep 0/0 away?", 1e-3)
    specks = fn(flat, flat + 1e-4 * texture(seed=3))
    need(specks.min() > 0.99, "differences far below one gray level should not count: raise the constant")
    similarity = fn(a, b)
    equal(similarity, fn(b, a), SWAPPED)
    need(similarity.min() >= 0 and similarity.max() <= 1 + 1e-4, "every value should lie between 0 and 1")
    need(similarity.mean() < 0.95, "two different textures should be clearly below 1")
    equal(fn(a + 0.2, a)[INSIDE], 1, "brightness alone changes nothing: compare gradients, not pixels", 2e-3)
    edge = flat.clone()
    edge[..., 16:] = 0.6
    similarity = fn(flat, edge)
    need(similarity[..., 15:17].max() < 0.3, "where only one image has an edge, it should be near 0")
    equal(similarity[..., 4:12], 1, "far from the edge the images agree: 1", 1e-3)


@check("it is symmetric, forgets where things are, and does not depend on the image's size.")
def check_gram(fn: Answer) -> None:
    """fn(features (N, C, H, W)) -> (N, C, C), divided by C * H * W."""
    n, c, h, w = 2, 5, 8, 6
    features = texture(n, c, 8)[..., :w].contiguous()
    g = array(fn(features), (n, c, c))
    equal(g, g.transpose(0, 2, 1), "a Gram matrix is symmetric: entry i, j is channel i times channel j")
    order = torch.randperm(h * w, generator=torch.Generator().manual_seed(0))
    shuffled = features.flatten(2)[..., order].reshape(n, c, h, w)
    hint = "moving the pixels about should change nothing: sum over all positions"
    equal(array(fn(shuffled), (n, c, c)), g, hint)
    equal(array(fn(2 * features), (n, c, c)), 4 * g, "twice the activations give four times the matrix")
    alone = array(fn(features[1:]), (1, c, c))[0]
    equal(alone, g[1], "each image should get its own matrix, whatever its neighbors")
    ones = array(fn(torch.ones(1, c, h, w)), (1, c, c))
    need(ones.max() < h * w - 1e-3, "divide by the number of positions, or a larger image has a larger style")
    need(not np.allclose(ones, 1), "divide by the channels too: C * H * W")
    equal(ones, 1 / c, f"ones everywhere should give 1 / C = {1 / c:g}: divide by C * H * W")
    need(np.linalg.eigvalsh(g).min() > -1e-5, "no eigenvalue is negative: channel times channel, unaltered")


@check("logits of 0 cost 2 ln 2, right logits nearly nothing, and huge logits stay finite.", number)
def check_adversarial(fn: Answer) -> None:
    """fn(real_logits, fake_logits) -> scalar: what D minimizes (Eq. 8, its sign turned)."""
    zero = torch.zeros(2, 1, 6, 6)
    undecided = fn(zero, zero)
    need(abs(undecided - math.log(2)) > 1e-4, "logits of 0 give ln 2: add the real and the fake half")
    equal(undecided, 2 * math.log(2), "logits of 0 should give 2 ln 2 = 1.386")
    need(fn(zero + 8, zero - 8) < 0.01, "real high and fake low is what D wants: nearly 0")
    need(fn(zero - 8, zero + 8) > 10, "real low, fake high should cost much: is the target 1 for real?")
    need(fn(zero + 1, zero) < undecided, "surer that real is real: it should cost less")
    need(fn(zero, zero + 1) > undecided, "taking fake for real: it should cost more")
    huge = fn(zero - 1000, zero + 1000)
    need(huge > 500, "logits of ±1000 should cost about 2000: use a function of logits, not log(sigmoid(x))")
    more = torch.zeros(8, 1, 3, 3)
    equal(fn(more, more), undecided, "the number of logits should not matter: take the mean")


@check("a logit of 0 costs ln 2, fooling D costs nearly nothing, and a G that is seen through still learns.")
def check_generator_adversarial(fn: Answer) -> None:
    """fn(fake_logits) -> scalar: what G minimizes, non-saturating."""
    zero = torch.zeros(2, 1, 6, 6)
    examples(fn, ((zero,), math.log(2), "logits of 0 should give ln 2 = 0.693"))
    need(hasattr(fn(zero), "backward"), "return a torch scalar, so that G can learn from it")
    need(number(fn(zero + 8)) < 0.01, "G wants D to say real (a high logit): it should cost nearly nothing")
    need(number(fn(zero - 8)) > 5, "when D sees through G (a low logit), G should pay much")
    slope = (number(fn(zero - 11)) - number(fn(zero - 13))) / 2
    need(slope < -0.5, f"at a logit of -12 the slope is {slope:.1e}: log(1 - D) saturates there, use -log D")
    need(number(fn(zero - 1000)) > 500, "a logit of -1000 should cost about 1000")


@check("each term counts with its own weight, and the restoration terms with λ_res on top.", number)
def check_total(fn: Answer) -> None:
    """fn(terms, weights) -> scalar; terms mae, ssim, gms, style, adv; weights the same and res (Eqs. 2 and 7)."""
    terms = {"mae": 0.2, "ssim": 0.7, "gms": 0.1, "style": 0.03, "adv": 2.0}
    ones = dict.fromkeys((*terms, "res"), 1.0)
    equal(fn(terms, ones), sum(terms.values()), "with all weights 1 it is the plain sum of the five terms")
    equal(fn(terms, ones | {"res": 0.0, "adv": 3.0}), 6.0, "with λ_res = 0 only λ_adv times its term is left")
    for name in ("mae", "ssim", "gms", "style"):
        alone = dict.fromkeys(ones, 0.0) | {name: 5.0, "res": 10.0}
        equal(fn(terms, alone), 50 * terms[name], f"λ_res times λ_{name} should weigh the {name} term")
    paper = {"mae": 1.0, "ssim": 2.0, "gms": 3.0, "style": 10.0, "res": 100.0, "adv": 1.0}
    truth = 100 * (0.2 + 1.4 + 0.3 + 0.3) + 2.0
    equal(fn(terms, paper), truth, "λ_res multiplies the four restoration terms, not the adversarial one")
