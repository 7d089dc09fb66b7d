"""Damages to look at: what each loss notices is measured on each of them (chapters 7 to 12).

A damage takes images ``(N, 3, H, W)`` in [-1, 1], a strength from 0 to 1 and a seed, and returns images of the
same shape and range. Strength 0 changes nothing, the same seed gives the same damage, and more strength means a
larger mean absolute error. Strength 1 is about the worst of its kind that a restoration might show.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn import functional

from upcrack_lite.errors import UserError

Damage = Callable[..., torch.Tensor]


def _damage(change: Damage) -> Damage:
    """Check the strength, and return the very image at strength 0, where rounding could creep in."""

    @functools.wraps(change)
    def checked(image: torch.Tensor, strength: float, seed: int = 0) -> torch.Tensor:
        if not 0 <= strength <= 1:
            raise UserError(f"strength must lie between 0 and 1, got {strength}")
        return change(image, float(strength), seed).clamp(-1, 1) if strength else image.clone()

    return checked


@_damage
def blur(image: torch.Tensor, strength: float, seed: int = 0) -> torch.Tensor:
    """Blur by a Gaussian of 0.3 to 3 px (standard deviation): grain goes first, then edges."""
    sigma = 0.3 + 2.7 * strength  # below 0.3 px a sampled Gaussian is a single pixel
    half = max(1, min(math.ceil(3 * sigma), *(side - 1 for side in image.shape[-2:])))
    steps = torch.arange(-half, half + 1, dtype=image.dtype, device=image.device)
    weights = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = (weights / weights.sum()).expand(3, 1, 1, -1)
    x = functional.pad(image, (half, half, half, half), mode="reflect")
    return functional.conv2d(functional.conv2d(x, kernel, groups=3), kernel.transpose(2, 3), groups=3)


@_damage
def shift(image: torch.Tensor, strength: float, seed: int = 0) -> torch.Tensor:
    """Move the image right by up to 2 px, in fractions of a pixel; the left column is repeated.

    A cubic spline interpolates between pixels: a linear one would blur as well, and the plot is about shift alone.
    """
    width = image.shape[-1]
    x = torch.arange(width, dtype=image.dtype, device=image.device) - 2 * strength
    whole = x.floor()
    f = x - whole
    weights = {  # Catmull-Rom
        -1: ((-0.5 * f + 1.0) * f - 0.5) * f,
        0: (1.5 * f - 2.5) * f * f + 1.0,
        1: ((-1.5 * f + 2.0) * f + 0.5) * f,
        2: (0.5 * f - 0.5) * f * f,
    }
    columns = {k: (whole.long() + k).clamp(0, width - 1) for k in weights}
    return sum(weight * image[..., columns[k]] for k, weight in weights.items())


@_damage
def contrast(image: torch.Tensor, strength: float, seed: int = 0) -> torch.Tensor:
    """Lower the contrast: each pixel moves up to 80 % of the way to its image's mean color."""
    mean = image.mean(dim=(2, 3), keepdim=True)  # (N, 3, 1, 1)
    return torch.lerp(image, mean.expand_as(image), 0.8 * strength)


@_damage
def brightness(image: torch.Tensor, strength: float, seed: int = 0) -> torch.Tensor:
    """Brighten all pixels by up to 0.2 (of the 2 from black to white); what reaches white stays white."""
    return image + 0.2 * strength


@_damage
def thin_crack(image: torch.Tensor, strength: float, seed: int = 0) -> torch.Tensor:
    """Draw one dark crack across the image: up to 4 px wide and up to 90 % of the way to black.

    The seed bends it. Its edge is anti-aliased, so that width and darkness grow without steps.
    """
    h, w = image.shape[-2:]
    draws = torch.Generator().manual_seed(seed)
    y = torch.arange(h, dtype=image.dtype) / max(h - 1, 1)
    path = 0.5 + 0.25 * (torch.rand(1, generator=draws) - 0.5) + torch.zeros(h)  # x in widths, for each row
    for waves in (1, 2, 5, 11):
        phase = 2 * math.pi * torch.rand(1, generator=draws)
        path = path + 0.10 / waves * torch.sin(2 * math.pi * waves * y + phase)
    x = (path * (w - 1)).to(image)[:, None]  # (H, 1)
    slope = torch.gradient(x[:, 0])[0][:, None] if h > 1 else torch.zeros_like(x)
    columns = torch.arange(w, dtype=image.dtype, device=image.device)[None, :]  # (1, W)
    distance = (columns - x).abs() / (1 + slope**2).sqrt()  # px, across the line: (H, W)
    width = 0.8 + 3.2 * strength
    covered = (width / 2 + 0.5 - distance).clamp(0, 1)
    return torch.lerp(image, torch.full_like(image, -1), 0.9 * strength * covered)


@_damage
def texture_noise(image: torch.Tensor, strength: float, seed: int = 0) -> torch.Tensor:
    """Move the texture without changing what kind of texture it is.

    Each frequency keeps its amplitude, and its phase turns by strength times a random angle, up to 180 degrees:
    the grain keeps its contrast and size, but lies in another place. What is coarser than about 16 px stays in place.
    """
    h, w = image.shape[-2:]
    # Mirrored, the image has no jump between its opposite edges, which would be scattered as if it were texture.
    tall = torch.cat((image, image.flip(2)), 2)
    spectrum = torch.fft.rfft2(torch.cat((tall, tall.flip(3)), 3))  # (N, 3, 2H, W + 1)
    draws = torch.Generator().manual_seed(seed)
    # The phases of white noise are those of a real image; one set for the three channels keeps gray gray.
    angles = torch.fft.rfft2(torch.randn((2 * h, 2 * w), generator=draws)).angle().to(image)
    fy, fx = torch.fft.fftfreq(2 * h).to(image)[:, None], torch.fft.rfftfreq(2 * w).to(image)[None, :]
    fine = 1 - torch.exp(-(fy**2 + fx**2) * 16**2 / 2)  # 0 for the mean, near 1 for what is finer than 8 px
    turned = spectrum * torch.exp(1j * strength * angles * fine)
    return torch.fft.irfft2(turned, s=(2 * h, 2 * w))[..., :h, :w]


@_damage
def stain(image: torch.Tensor, strength: float, seed: int = 0) -> torch.Tensor:
    """Darken a soft round patch, as oil does: by up to 60 % of the way to black, texture kept."""
    _, _, h, w = image.shape
    draws = torch.Generator().manual_seed(seed)
    cy, cx = (0.35 + 0.3 * torch.rand(2, generator=draws)).tolist()
    y = (torch.arange(h).to(image) / h - cy)[:, None]
    x = (torch.arange(w).to(image) / w - cx)[None, :]
    soft = torch.sigmoid((0.22 - (y**2 + x**2).sqrt()) * 40)  # (H, W), 1 inside
    return torch.lerp(image, torch.full_like(image, -1), 0.6 * strength * soft)


DAMAGES: dict[str, Damage] = {
    "blur": blur,
    "shift": shift,
    "contrast": contrast,
    "brightness": brightness,
    "thin crack": thin_crack,
    "texture": texture_noise,
    "stain": stain,
}


def strength_curves(
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    image: torch.Tensor,
    strengths: Sequence[float],
    damages: Mapping[str, Damage] = DAMAGES,
) -> dict[str, list[float]]:
    """Measure what a loss says of each damage: name -> one value for each strength.

    loss: takes (damaged, image) and returns a scalar. image: ``(N, 3, H, W)`` in [-1, 1].
    """
    with torch.no_grad():
        return {
            name: [float(loss(damage(image, strength), image)) for strength in strengths]
            for name, damage in damages.items()
        }


def equally_wrong(image: torch.Tensor) -> tuple[dict[str, torch.Tensor], float]:
    """Do every damage at the strength where all have the same mean absolute error, so that losses compare.

    image: ``(N, 3, H, W)`` in [-1, 1]. Returns name -> damaged image, and the error they share: that of the
    mildest damage at full strength. Chapter 07 builds it.
    """

    def error(damage: Damage, strength: float) -> float:
        return float((damage(image, strength) - image).abs().mean())

    target = min(error(damage, 1.0) for damage in DAMAGES.values())
    equal = {}
    for name, damage in DAMAGES.items():
        low, high = 0.0, 1.0
        for _ in range(20):  # halve the interval until the strength fits
            middle = (low + high) / 2
            low, high = (middle, high) if error(damage, middle) < target else (low, middle)
        equal[name] = damage(image, high)
    return equal, target
