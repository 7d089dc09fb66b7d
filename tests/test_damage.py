"""Damages: unchanged at strength 0, the same for the same seed, worse with more strength, and each of its kind."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor
from upcrack_lite.losses import gradient_magnitude, mae, msgms_loss
from upcrack_lite.show.damage import DAMAGES, equally_wrong, strength_curves


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return to_tensor(np.stack([synthetic_road(128, seed, crack=False)[0] for seed in (3, 8)]))


@pytest.mark.parametrize("name", DAMAGES)
def test_same_seed_same_damage_and_the_input_is_left_alone(name, image):
    before = image.clone()
    unharmed = DAMAGES[name](image, 0)
    assert torch.equal(unharmed, image)
    assert unharmed.data_ptr() != image.data_ptr()
    torch.manual_seed(1)
    first = DAMAGES[name](image, 0.7, seed=5)
    torch.manual_seed(2)
    assert torch.equal(first, DAMAGES[name](image, 0.7, seed=5))
    assert torch.equal(image, before)
    assert first.shape == image.shape
    assert first.abs().max() <= 1
    if name in ("thin crack", "texture", "stain"):
        assert not torch.allclose(first, DAMAGES[name](image, 0.7, seed=6))


@pytest.mark.parametrize("seed", range(4))
def test_more_strength_is_a_larger_error(seed):
    road = to_tensor(synthetic_road(128, seed)[0])
    curves = strength_curves(mae, road, np.linspace(0, 1, 11))
    assert list(curves) == list(DAMAGES)
    for name, values in curves.items():
        assert values[0] == 0, name
        assert all(a < b for a, b in pairwise(values)), name


def test_shift_by_whole_pixels_moves_them_exactly(image):
    shifted = DAMAGES["shift"](image, 0.5)  # half of 2 px
    assert torch.allclose(shifted[..., 1:], image[..., :-1], atol=1e-5)
    assert torch.allclose(DAMAGES["shift"](image, 1)[..., 2:], image[..., :-2], atol=1e-5)


def test_blur_removes_grain_and_keeps_the_mean(image):
    blurred = DAMAGES["blur"](image, 1)
    assert blurred.mean() == pytest.approx(image.mean().item(), abs=5e-3)
    gray, soft = image.mean(1, keepdim=True), blurred.mean(1, keepdim=True)
    assert gradient_magnitude(soft).mean() < 0.5 * gradient_magnitude(gray).mean()


def test_texture_keeps_its_statistics_but_not_its_place(image):
    other = DAMAGES["texture"](image, 1)
    assert other.mean() == pytest.approx(image.mean().item(), abs=0.01)
    assert other.std() == pytest.approx(image.std().item(), rel=0.05)
    sharp = [gradient_magnitude(x.mean(1, keepdim=True)).pow(2).mean().item() for x in (image, other)]
    assert sharp[1] == pytest.approx(sharp[0], rel=0.1)
    assert mae(other, image) > 0.02


def test_contrast_keeps_the_mean_and_brightness_the_gradients(image):
    flat = DAMAGES["contrast"](image, 1)
    assert torch.allclose(flat.mean((2, 3)), image.mean((2, 3)), atol=1e-4)
    assert torch.allclose(flat.std((2, 3)), 0.2 * image.std((2, 3)), rtol=1e-3)
    road = image * 0.5  # so that nothing reaches white
    assert msgms_loss(DAMAGES["brightness"](road, 1), road) < 1e-5
    assert mae(DAMAGES["brightness"](road, 1), road) == pytest.approx(0.2, abs=1e-5)


@pytest.mark.parametrize("name", ["thin crack", "stain"])
def test_local_damage_only_darkens_and_leaves_the_rest(name, image):
    change = DAMAGES[name](image, 1) - image
    assert change.max() <= 1e-6
    assert (change[:, :, :, :8].abs() < 1e-2).all()
    assert 0.01 < (change.abs() > 0.02).float().mean() < 0.5


def test_thin_crack_runs_from_edge_to_edge_and_gets_wider(image):
    dark = [(DAMAGES["thin crack"](image, s, seed=4) - image).mean(1) < -0.05 for s in (0.3, 0.6, 1.0)]
    areas = [one.float().mean(0) for one in dark]
    assert all(area.amax(1).min() > 0 for area in areas)  # each row holds crack
    assert areas[0].sum() < areas[1].sum() < areas[2].sum()


def test_what_cannot_be_damaged_is_refused(image):
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match="between 0 and 1"):
            DAMAGES["blur"](image, strength)


def test_equally_wrong_images_share_one_error(image):
    equal, target = equally_wrong(image)
    assert equal.keys() == DAMAGES.keys()
    for name, damaged in equal.items():
        assert (damaged - image).abs().mean().item() == pytest.approx(target, rel=0.02), name
    full = [(damage(image, 1.0) - image).abs().mean().item() for damage in DAMAGES.values()]
    assert target == pytest.approx(min(full))
