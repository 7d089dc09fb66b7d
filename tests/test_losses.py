"""The losses against independent versions, worked by hand, and in their limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve, median_filter
from torchmetrics.functional.image import structural_similarity_index_measure

from upcrack_lite import losses
from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor
from upcrack_lite.recipes import preset

TERMS = ("mae", "ssim", "gms", "style", "adv")


def pair(size: int = 40, n: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64):
    """Two related images in [-1, 1]: smooth parts, edges and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    base = np.sin(5 * x + rng.random((n, 3, 1, 1)) * 6) * np.cos(4 * y) * 0.5 + 0.4 * (x > y)
    other = np.clip(base * 0.8 + rng.normal(0, 0.1, base.shape), -1, 1)
    return torch.from_numpy(other).to(dtype), torch.from_numpy(np.clip(base, -1, 1)).to(dtype)


class ToyFeatures:
    """Two layers of fixed random filters, instead of VGG."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.kernels = {name: torch.randn(4, 3, 3, 3, generator=generator) for name in ("one", "two")}

    def __call__(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: torch.conv2d(image, k.to(image.dtype)).relu() for name, k in self.kernels.items()}


# --- MAE -----------------------------------------------------------------------------------------------------


def test_mae_by_hand_and_at_its_limit():
    a, b = torch.tensor([[0.0, 1.0], [-1.0, 0.5]]), torch.tensor([[0.5, 1.0], [1.0, 0.0]])
    assert losses.mae(a, b) == pytest.approx((0.5 + 0 + 2 + 0.5) / 4)
    assert losses.mae(torch.ones(2, 3, 4, 4), -torch.ones(2, 3, 4, 4)) == 2


# --- SSIM ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data_range", [1.0, 2.0])
def test_ssim_with_reflection_equals_torchmetrics_everywhere(data_range):
    a, b = pair()
    _, theirs = structural_similarity_index_measure(
        a, b, sigma=1.5, kernel_size=11, data_range=data_range, return_full_image=True
    )
    assert torch.allclose(losses.ssim_map(a, b, data_range), theirs, atol=1e-6)


def test_ssim_paddings_agree_inside_and_differ_only_at_the_border():
    a, b = pair()
    reflect, zero, valid = (losses.ssim_map(a, b, padding=p) for p in ("reflect", "zero", "valid"))
    assert valid.shape[-2:] == (30, 30)
    for padded in (reflect, zero):
        assert padded.shape == a.shape
        assert torch.allclose(padded[..., 5:-5, 5:-5], valid, atol=1e-12)
    assert (reflect - zero)[..., 0, :].abs().max() > 1e-3
    assert losses.ssim_loss(a, b, padding="zero") == pytest.approx(float((1 - zero).mean()))


def test_the_photo_negative_costs_little_on_minus_one_to_one_and_much_on_zero_to_one():
    """Why a training can be caught in the negative: means and deviations all change their sign."""
    road = to_tensor(synthetic_set(4, 128, 0, crack_free=1.0).images)
    flat = road.mean(dim=(2, 3), keepdim=True).expand_as(road)
    released = {"data_range": 1.0, "padding": "zero"}
    assert losses.msgms_loss(-road, road) < 1e-6
    assert losses.ssim_loss(-road, road, **released) < 0.5 * losses.ssim_loss(flat, road, **released)
    assert losses.ssim_loss((1 - road) / 2, (1 + road) / 2, data_range=1.0) > 1


# --- MSGMS ---------------------------------------------------------------------------------------------------


def numpy_gms(a: np.ndarray, b: np.ndarray, median: bool) -> np.ndarray:
    """Gradient magnitude similarity of (3, H, W) images, with SciPy and in float64."""
    prewitt = np.array([[1, 0, -1]] * 3) / 3
    magnitudes = []
    for image in (a, b):
        gray = image.mean(axis=0)
        if median:
            gray = median_filter(gray, size=3, mode="nearest")
        gx, gy = convolve(gray, prewitt, mode="nearest"), convolve(gray, prewitt.T, mode="nearest")
        magnitudes.append(np.hypot(gx, gy))
    ga, gb = magnitudes
    return (2 * ga * gb + 0.0026) / (ga**2 + gb**2 + 0.0026)


def numpy_msgms(a: np.ndarray, b: np.ndarray, scales: int, median: bool) -> float:
    values = []
    for scale in range(scales):
        if scale > 0:
            n, c, h, w = a.shape
            a, b = (x.reshape(n, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5)) for x in (a, b))
        values.append(np.mean([1 - numpy_gms(x, y, median) for x, y in zip(a, b, strict=True)]))
    return float(np.mean(values))


@pytest.mark.parametrize("median", [False, True])
@pytest.mark.parametrize("scales", [1, 4])
def test_msgms_equals_a_numpy_version_in_both_precisions(median, scales):
    a, b = pair()
    theirs = numpy_msgms(a.numpy(), b.numpy(), scales, median)
    assert float(losses.msgms_loss(a, b, scales, median)) == pytest.approx(theirs, abs=1e-6)
    assert float(losses.msgms_loss(a.float(), b.float(), scales, median)) == pytest.approx(theirs, abs=1e-5)


def test_the_gradient_of_a_ramp_is_its_rise_over_two_pixels_and_the_border_is_no_edge():
    ramp = torch.arange(8.0).expand(1, 1, 8, 8) * 0.1
    magnitude = losses.gradient_magnitude(ramp)
    assert torch.allclose(magnitude[..., 1:-1], torch.tensor(0.2), atol=1e-6)
    assert losses.gradient_magnitude(torch.full((1, 1, 8, 8), 0.7)).max() < 1e-5
    assert torch.allclose(losses.gradient_magnitude(ramp.mT), magnitude.mT)


# --- Style ---------------------------------------------------------------------------------------------------


def test_gram_by_hand():
    # Two channels of 1 x 2 pixels, (1, 2) and (3, 4); products 5, 11, 25; divided by 2 * 1 * 2.
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    assert losses.gram(features).tolist() == [[[1.25, 2.75], [2.75, 6.25]]]


def test_style_loss_by_hand_over_two_layers():
    a = {"x": torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]]), "y": torch.ones(1, 1, 2, 2)}
    b = {"x": torch.zeros(1, 2, 1, 2), "y": torch.full((1, 1, 2, 2), 3.0)}
    # First layer: mean of 1.25, 2.75, 2.75, 6.25. Second: 4 ones over 4 against 4 nines over 4.
    assert losses.style_loss(a, b) == pytest.approx(13 / 4 + 8)


# --- Adversarial ---------------------------------------------------------------------------------------------


def test_adversarial_losses_equal_the_formula_on_sigmoids():
    real, fake = torch.randn(2, 3, 1, 4, 4, dtype=torch.float64)
    d = -(real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean())
    assert torch.allclose(losses.adversarial_d(real, fake), d)
    assert torch.allclose(losses.adversarial_d(real, fake, 0.5), d / 2)
    assert torch.allclose(losses.adversarial_g(fake), -fake.sigmoid().log().mean())


def test_a_certain_discriminator_gives_finite_losses_and_g_still_learns():
    sure = torch.full((1, 1, 2, 2), -500.0, requires_grad=True)
    loss = losses.adversarial_g(sure)
    loss.backward()
    assert loss == 500
    assert sure.grad.sum() == -1  # non-saturating: the slope does not vanish
    assert losses.adversarial_d(-sure.detach(), sure.detach()) == 0


# --- All together --------------------------------------------------------------------------------------------

CASES = {
    "random": lambda: pair(32, dtype=torch.float32),
    "equal": lambda: (pair(32, dtype=torch.float32)[1],) * 2,
    "both constant": lambda: (torch.full((1, 3, 32, 32), 0.3),) * 2,
    "black and white": lambda: (torch.full((1, 3, 32, 32), -1.0), torch.ones(1, 3, 32, 32)),
    "constant target": lambda: (pair(32, 1, dtype=torch.float32)[0], torch.zeros(1, 3, 32, 32)),
    "constant restored": lambda: (torch.zeros(1, 3, 32, 32), pair(32, 1, dtype=torch.float32)[0]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("recipe", ["paper", "released"])
def test_every_loss_and_gradient_is_finite(name, dtype, recipe):
    restored, image = (x.to(dtype) for x in CASES[name]())
    restored = restored.clone().requires_grad_()
    logits = restored.mean(dim=1, keepdim=True)
    chosen = preset(recipe, "lite", lambda_style=10)
    total, terms = losses.total_loss(restored, image, logits, chosen, ToyFeatures())
    total.backward()
    assert total.dtype == torch.float32
    assert set(terms) == {*TERMS, "res"}
    assert all(term.ndim == 0 and term.isfinite() for term in terms.values())
    assert restored.grad.isfinite().all()
    assert restored.grad.abs().sum() > 0


def test_the_total_is_the_weighted_sum_of_its_terms():
    restored, image = pair(32, dtype=torch.float32)
    weights = {"mae": 2.0, "ssim": 3.0, "gms": 5.0, "style": 7.0}
    chosen = preset(lambda_res=11, lambda_adv=13, **{f"lambda_{k}": v for k, v in weights.items()})
    total, terms = losses.total_loss(restored, image, torch.ones(2, 1, 2, 2), chosen, ToyFeatures())
    res = sum(weights[name] * float(terms[name]) for name in weights)
    assert float(terms["res"]) == pytest.approx(res, rel=1e-5)
    assert float(total) == pytest.approx(11 * res + 13 * float(terms["adv"]), rel=1e-5)


# The nine combinations of Table I.
ROWS = [
    {"mae"}, {"mae", "ssim"}, {"mae", "gms"}, {"mae", "style"}, {"mae", "adv"}, {"mae", "ssim", "gms"},
    {"mae", "ssim", "gms", "style"}, {"mae", "ssim", "gms", "adv"}, set(TERMS),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "+".join(t for t in TERMS if t in row))
def test_a_weight_of_0_leaves_its_term_out_so_that_table_1_is_a_matter_of_overrides(row, monkeypatch):
    restored, image = pair(32, dtype=torch.float32)
    calls = []
    for name, function in {"ssim": "ssim_loss", "gms": "msgms_loss", "style": "style_loss"}.items():
        real = getattr(losses, function)
        monkeypatch.setattr(
            losses, function, lambda *a, _n=name, _f=real, **k: (calls.append(_n), _f(*a, **k))[1]
        )
    off = {f"lambda_{name}": 0.0 for name in TERMS if name not in row}
    chosen = preset("paper", "full", **off)
    features = ToyFeatures() if "style" in row else None
    logits = torch.zeros(2, 1, 2, 2) if "adv" in row else None
    _, terms = losses.total_loss(restored, image, logits, chosen, features)
    assert set(terms) == row | {"res"}
    assert set(calls) == row & {"ssim", "gms", "style"}  # what has no weight is not even computed


def test_what_a_term_needs_must_be_there():
    restored, image = pair(32, dtype=torch.float32)
    with pytest.raises(UserError, match="lambda_style=0"):
        losses.total_loss(restored, image, torch.zeros(1), preset(lambda_style=1))
    with pytest.raises(UserError, match="lambda_adv=0"):
        losses.total_loss(restored, image, None, preset())
