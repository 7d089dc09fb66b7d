"""The five losses and their weighted sum (paper, section III-E, Eqs. 2-8). Chapters 07 to 12 plot each of them.

Images are ``(N, 3, H, W)`` in [-1, 1]. Every loss is a scalar, and 0 for equal images, except the
adversarial one. The weighted sums are computed in float32.
The whole image counts: removed pixels and kept ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from upcrack_lite.errors import UserError
from upcrack_lite.recipes import Preset, check_value

GMS_C = 0.0026  # 170 / 255**2, the constant of the gradient magnitude similarity (Xue et al.)


Features = Callable[[torch.Tensor], dict[str, torch.Tensor]]
"""What the style loss needs: something that turns images into named activations, such as `VGGFeatures`."""


def mae(restored: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Mean absolute error (Eq. 3); at most 2 on [-1, 1]."""
    return (restored - image).abs().mean()


def ssim_map(
    restored: torch.Tensor,
    image: torch.Tensor,
    data_range: float = 2.0,
    padding: str = "reflect",
    window: int = 11,
    sigma: float = 1.5,
) -> torch.Tensor:
    """Structural similarity of each pixel's neighborhood (Wang et al. 2004; Eq. 4), in [-1, 1], 1 = equal.

    data_range: what the values span; 2 on [-1, 1] (the released program has 1).
    padding: "reflect", "zero" (released) or "valid", which returns a map smaller by window - 1.
    Returns ``(N, 3, H, W)``. Raises UserError for an unknown padding.
    """
    check_value("padding", padding, ("reflect", "zero", "valid"))
    steps = torch.arange(window, dtype=image.dtype, device=image.device) - (window - 1) / 2
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()  # (window,)

    def blur(x: torch.Tensor) -> torch.Tensor:
        if padding != "valid":
            half = window // 2
            mode = {"reflect": "reflect", "zero": "constant"}[padding]
            x = functional.pad(x, (half, half, half, half), mode=mode)
        # A Gaussian is separable: rows, then columns.
        return _filter(_filter(x, kernel[None, :]), kernel[:, None])

    a, b = restored, image
    mean_a, mean_b = blur(a), blur(b)
    var_a = blur(a * a) - mean_a**2
    var_b = blur(b * b) - mean_b**2
    cov = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * cov + c2) / (var_a + var_b + c2)
    return luminance * structure


def ssim_loss(
    restored: torch.Tensor, image: torch.Tensor, data_range: float = 2.0, padding: str = "reflect"
) -> torch.Tensor:
    """Mean of 1 - SSIM (Eq. 4), from 0 to 2. Arguments as in `ssim_map`."""
    return (1 - ssim_map(restored, image, data_range, padding)).mean()


def gradient_magnitude(gray: torch.Tensor) -> torch.Tensor:
    """Prewitt gradient magnitude of gray images ``(N, 1, H, W)``; same shape, the change over two pixels."""
    prewitt = torch.tensor([-1.0, 0.0, 1.0], dtype=gray.dtype, device=gray.device).expand(3, 3) / 3
    padded = functional.pad(gray, (1, 1, 1, 1), mode="replicate")  # the border itself is no edge
    gx, gy = _filter(padded, prewitt), _filter(padded, prewitt.T)
    # The slope of the square root is infinite at 0, and a flat road is 0 all over: a tiny term keeps it finite.
    return torch.sqrt(gx**2 + gy**2 + 1e-12)


def gms_map(restored: torch.Tensor, image: torch.Tensor, median: bool = False) -> torch.Tensor:
    """Gradient magnitude similarity (Xue et al. 2014; Eq. 5) of the channel means: ``(N, 1, H, W)`` in (0, 1].

    median: apply a 3 x 3 median filter first, as RIAD's programs and the released one do.
    """
    grays = [x.mean(dim=1, keepdim=True) for x in (restored, image)]  # (N, 1, H, W)
    if median:
        grays = [_median3(gray) for gray in grays]
    a, b = (gradient_magnitude(gray) for gray in grays)
    return (2 * a * b + GMS_C) / (a**2 + b**2 + GMS_C)


def msgms_loss(
    restored: torch.Tensor, image: torch.Tensor, scales: int = 4, median: bool = False
) -> torch.Tensor:
    """Mean of 1 - GMS over scales 1, 1/2, 1/4, 1/8 (Eq. 5), in [0, 1). Each halving is a 2 x 2 mean.

    Raises UserError when the image is too small for the number of scales.
    """
    if min(image.shape[-2:]) < 2 ** (scales - 1):
        raise UserError(f"{tuple(image.shape[-2:])} px cannot be halved {scales - 1} times")
    terms = []
    for scale in range(scales):
        if scale > 0:
            restored, image = functional.avg_pool2d(restored, 2), functional.avg_pool2d(image, 2)
        terms.append((1 - gms_map(restored, image, median)).mean())
    return torch.stack(terms).mean()


def gram(features: torch.Tensor) -> torch.Tensor:
    """Gram matrix of activations ``(N, C, H, W)``: which channels light up together, divided by C·H·W.

    Returns ``(N, C, C)``, symmetric. Where a channel lights up is forgotten.
    """
    n, c, h, w = features.shape
    flat = features.reshape(n, c, h * w)  # (N, C, H * W)
    return flat @ flat.transpose(1, 2) / (c * h * w)  # (N, C, C)


def style_loss(restored: dict[str, torch.Tensor], image: dict[str, torch.Tensor]) -> torch.Tensor:
    """L1 distance of Gram matrices, mean over entries, summed over layers (Eq. 6).

    restored, image: named activations of the two images, from `VGGFeatures`.
    """
    return sum(mae(gram(restored[name]), gram(image[name])) for name in image)


def adversarial_d(real_logits: torch.Tensor, fake_logits: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
    """What D minimizes: the negative of Eq. 8. The probability of real images should be 1, that of restored ones 0.

    logits: any shape. factor: the released program halves the sum. 2·ln 2 ≈ 1.386 is "no idea".
    """
    real = functional.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))
    fake = functional.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
    return factor * (real + fake)


def adversarial_g(fake_logits: torch.Tensor) -> torch.Tensor:
    """What G minimizes: the non-saturating form of Eq. 8, -log D. ln 2 ≈ 0.693 is "D has no idea"."""
    return functional.binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))


def restoration_loss(
    restored: torch.Tensor, image: torch.Tensor, preset: Preset, features: Features | None = None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """L_res (Eq. 7): the weighted sum of the terms whose weight is not 0, and each such term unweighted.

    Raises UserError when the style term is wanted and no `features` are given.
    """
    restored, image = restored.float(), image.float()  # the root and the variances need float32
    terms: dict[str, torch.Tensor] = {}
    if preset.lambda_mae:
        terms["mae"] = mae(restored, image)
    if preset.lambda_ssim:
        terms["ssim"] = ssim_loss(restored, image, preset.ssim_data_range, preset.ssim_padding)
    if preset.lambda_gms:
        terms["gms"] = msgms_loss(restored, image, median=preset.gms_median)
    if preset.lambda_style:
        if features is None:
            raise UserError("the style loss needs VGG features: pass them, or set lambda_style=0")
        terms["style"] = style_loss(features(restored), features(image))
    weighted = (getattr(preset, f"lambda_{name}") * term for name, term in terms.items())
    return sum(weighted, image.new_zeros(())), terms


def total_loss(
    restored: torch.Tensor,
    image: torch.Tensor,
    fake_logits: torch.Tensor | None,
    preset: Preset,
    features: Features | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """What G minimizes (Eq. 2): λ_res·L_res + λ_adv·L_adv, and every term unweighted, for the log.

    fake_logits: D's output for `restored`; needed unless λ_adv is 0.
    Raises UserError when a term lacks what it needs.
    """
    total, terms = restoration_loss(restored, image, preset, features)
    terms["res"] = total
    total = preset.lambda_res * total
    if preset.lambda_adv:
        if fake_logits is None:
            raise UserError("the adversarial loss needs D's logits: pass them, or set lambda_adv=0")
        terms["adv"] = adversarial_g(fake_logits.float())
        total = total + preset.lambda_adv * terms["adv"]
    return total, terms


def _median3(gray: torch.Tensor) -> torch.Tensor:
    """3 x 3 median of ``(N, 1, H, W)``, borders repeated."""
    n, _, h, w = gray.shape
    patches = functional.unfold(functional.pad(gray, (1, 1, 1, 1), mode="replicate"), 3)  # (N, 9, H * W)
    return patches.median(dim=1).values.reshape(n, 1, h, w)


def _filter(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Convolve every channel of ``(N, C, H, W)`` with one small kernel ``(h, w)``, without padding."""
    n, c, h, w = x.shape
    # One image with N * C channels, each its own group: ten times faster on a CPU than N * C gray images.
    weight = kernel.expand(n * c, 1, *kernel.shape)
    y = functional.conv2d(x.reshape(1, n * c, h, w), weight, groups=n * c)
    return y.reshape(n, c, *y.shape[-2:])
