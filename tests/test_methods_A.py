"""Six compared methods: shapes, sizes, that they learn, that they come back from a file; costs; the registry."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from upcrack_lite.errors import UserError
from upcrack_lite.methods.base import STRATEGIES, Method
from upcrack_lite.methods.cost import cost, count
from upcrack_lite.methods.deeplabv3plus import DeepLabV3Plus
from upcrack_lite.methods.enet import ENet
from upcrack_lite.methods.pspnet import PSPNet
from upcrack_lite.methods.registry import METHODS, method
from upcrack_lite.methods.unet import UNet
from upcrack_lite.methods.upernet import UPerNet
from upcrack_lite.repro import published
from upcrack_lite.roads.synthetic import synthetic_road

NAMES = ("deeplabv3plus", "enet", "pspnet", "upernet", "segresnet", "unet")
SMALL = 0.125  # width of the networks that learn here
RATES = dict.fromkeys(NAMES, 3e-3) | {"enet": 1e-2}  # of Adam: the smallest network takes the largest steps
POOLED = ("deeplabv3plus", "pspnet", "upernet")  # batch norm after a mean over the whole map

# Billions of multiply-adds for a photo of 256 × 256, the share that ours may differ, and where it differs much, why.
MULTIPLY_ADDS = {
    "deeplabv3plus": (20.75, 0.25),  # yassouali's decoder convolves fully, the library's is separable
    "enet": (0.48, 0.03),
    "pspnet": (46.2, 0.05),
    "upernet": (1029 / 16, 0.02),  # the Swin article: 1029 at 512 × 2048, with the same encoder and decoder
    "segresnet": (11.8, 0.01),
    "unet": (49.3, 0.14),  # yassouali halves the first convolution of each pair
    "bisenetv2": (4.34, 0.3),  # counted with the four heads, of 19 classes, that only training uses
    "ddrnet": (1.22, 0.08),  # counted with the head that only training uses
    "lawin": (9.9, 0.01),
    "deepcrack19": (20.1, 0.01),
    "deepcrack18": (136.8, 0.01),
    "scadn": (60.9, 0.01),
    "riad": (54.6, 0.01),
}


def small(name: str, seed: int = 0, width: float = SMALL) -> nn.Module:
    """A narrow network with seeded weights."""
    torch.manual_seed(seed)
    return METHODS[name].build(width)


def images(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="session")
def four_cracks() -> tuple[torch.Tensor, torch.Tensor]:
    """Four crops of 64 × 64 from synthetic roads, a fourth of each crack: images in [-1, 1], masks 0 and 1."""
    crops = [crop(*synthetic_road(256, [5, i], crack_share=0.12, confounders=0)) for i in range(4)]
    photos, masks = (torch.from_numpy(np.stack(one)) for one in zip(*crops, strict=True))
    return photos.permute(0, 3, 1, 2).float() / 127.5 - 1, masks[:, None].float()


def crop(photo: np.ndarray, mask: np.ndarray, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """The square whose share of crack is nearest to a fourth, so that coarse networks can draw it too."""
    starts = range(0, len(mask) - side + 1, 16)
    places = [(slice(top, top + side), slice(left, left + side)) for top in starts for left in starts]
    best = min(places, key=lambda place: abs(mask[place].mean() - 0.25))
    return photo[best], mask[best]


def pooled_f1(network: nn.Module, image: torch.Tensor, mask: torch.Tensor) -> float:
    """F1 over the pixels of all images, in eval mode."""
    network.eval()
    with torch.no_grad():
        found = network(image) > 0
    network.train()
    hits = float((found & (mask > 0)).sum())
    return 2 * hits / float(found.sum() + mask.sum())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(256, 256), (123, 181)])
def test_logits_have_the_photos_size(name, height, width):
    network = small(name, width=0.25).eval()
    with torch.no_grad():
        logits = network(images(1, height, width))
    assert logits.shape == (1, 1, height, width)
    assert logits.isfinite().all()
    assert logits.std() > 0  # not one value for all pixels


@pytest.mark.parametrize("name", NAMES)
def test_in_training_every_output_has_the_photos_size(name):
    network = small(name)
    outputs = network(images(2, 70, 90))
    assert isinstance(outputs, list)
    assert len(outputs) == (2 if name == "pspnet" else 1)
    assert all(one.shape == (2, 1, 70, 90) for one in outputs)
    assert len(network.eval().outputs(images(2, 64, 64))) == 1  # no work that nobody reads


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_are_those_of_the_source(name):
    found = METHODS[name]
    millions = cost(name).parameters / 1e6
    assert millions == pytest.approx(found.parameters, rel=found.tolerance)
    assert found.tolerance <= 0.06


@pytest.mark.parametrize("name", NAMES)
def test_a_narrow_network_is_much_smaller(name):
    assert cost(name, 0.25).parameters < cost(name).parameters / 8


@pytest.mark.parametrize("name", METHODS)
def test_the_multiply_adds_are_those_of_the_source(name):
    billions, tolerance = MULTIPLY_ADDS[name]
    assert cost(name).multiply_adds / 1e9 == pytest.approx(billions, rel=tolerance)


def test_multiply_adds_agree_with_a_count_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 16 × 16 pixels, 8 channels, 3 · 9 products each
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 5, padding=2, groups=4),  # 16 × 16 pixels, 8 channels, 2 · 25 products each
        nn.ConvTranspose2d(
            8, 4, 2, stride=2
        ),  # each of 16 × 16 pixels of 8 channels goes to 2 × 2 pixels of 4
        nn.Flatten(),
        nn.Linear(4 * 32 * 32, 5),
    )
    by_hand = 256 * 8 * 27 + 256 * 8 * 50 + 256 * 8 * 16 + 4 * 32 * 32 * 5
    found = count(network, 32)
    assert found.multiply_adds == by_hand
    assert found.parameters == (8 * 27 + 8) + 16 + (8 * 50 + 8) + (8 * 16 + 4) + (4 * 32 * 32 * 5 + 5)
    assert network.training  # as it was found


def test_four_times_the_pixels_cost_four_times_as_much():
    assert cost("unet", 0.25, 128).multiply_adds * 4 == cost("unet", 0.25, 256).multiply_adds


@pytest.mark.parametrize("width", [0, -1, 1.5, math.nan])
def test_a_cost_needs_a_width(width):
    with pytest.raises(UserError, match="width must be above 0 and at most 1"):
        cost("unet", width)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_learns_four_photos_by_heart(name, four_cracks):
    image, mask = four_cracks
    network = small(name)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATES[name])
    losses, best = [], 0.0
    for step in range(1, 201):
        loss = network.loss(network(image), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 20 == 0:
            best = max(best, pooled_f1(network, image, mask))
            if best > 0.9:
                break
    assert best > 0.9
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_it_comes_back_from_a_file(name, tmp_path):
    image = images(2, 64, 64)
    network = small(name)
    network(image)  # moves batch norm's averages, which must be stored too
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other = small(name, seed=1)
    with torch.no_grad():
        assert not torch.equal(other.eval()(image), network.eval()(image))
        other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        assert torch.equal(other(image), network(image))


@pytest.mark.parametrize("name", NAMES)
def test_a_step_in_bfloat16_is_finite(name):
    _step_in_bfloat16(name, "cpu")


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_a_step_in_bfloat16_on_a_gpu_is_finite(name):
    if not torch.cuda.is_available():
        pytest.skip("NOT TESTED on a GPU: this machine has none")
    _step_in_bfloat16(name, "cuda")


def _step_in_bfloat16(name: str, device: str) -> None:
    network, image = small(name).to(device), images(2, 64, 64).to(device)
    mask = (image[:, :1] > 0.8).float()
    with torch.autocast(device, torch.bfloat16):
        outputs = network(image)
        loss = network.loss(outputs, mask)
    loss.backward()
    torch.optim.SGD(network.parameters(), lr=0.01).step()
    assert loss.isfinite()
    assert all(one.isfinite().all() for one in outputs)
    unused = [key for key, value in network.named_parameters() if value.grad is None]
    assert not unused
    assert all(value.isfinite().all() and value.grad.isfinite().all() for value in network.parameters())


@pytest.mark.parametrize("name", POOLED)
def test_one_photo_cannot_be_learned_from_alone(name):
    network = small(name)
    with pytest.raises(UserError, match="at least 2 images a training step, got 1"):
        network(images(1, 64, 64))
    assert network.eval()(images(1, 64, 64)).shape == (1, 1, 64, 64)


def test_encoders_see_the_photo_at_the_sizes_they_should():
    with torch.device("meta"):
        image = torch.zeros(1, 3, 128, 128)
        psp, deeplab, uper = (
            kind(1.0).eval().net.encoder(image) for kind in (PSPNet, DeepLabV3Plus, UPerNet)
        )
    assert psp[-1].shape == (1, 2048, 16, 16)
    assert psp[-2].shape == (1, 1024, 16, 16)
    assert deeplab[-1].shape == (1, 2048, 8, 8)
    assert [one.shape[-1] for one in uper[2:]] == [32, 16, 8, 4]


def test_unet_joins_every_level_with_the_map_of_its_size():
    network = UNet(SMALL)
    entering = [level.conv1[0].in_channels for level in network.decoder.blocks]
    assert entering == [128 + 64, 64 + 32, 32 + 16, 16 + 8]  # from below, and across


def test_pspnets_second_output_counts_less():
    network, mask = small("pspnet"), torch.zeros(2, 1, 8, 8)
    main, side = torch.full((2, 1, 8, 8), 1.0), torch.full((2, 1, 8, 8), 3.0)
    expected = functional.softplus(torch.tensor(1.0)) + 0.4 * functional.softplus(torch.tensor(3.0))
    assert network.loss([main, side], mask).item() == pytest.approx(expected.item())


def test_enet_puts_values_back_where_they_were_found():
    network = ENet().eval()
    x = torch.rand(1, 16, 8, 8)
    _, winners = network.down1.shrink(x)
    assert winners.shape == (1, 16, 4, 4)
    back = functional.max_unpool2d(functional.max_pool2d(x, 2), winners, 2)
    kept = back > 0
    assert kept.sum() == 16 * 4 * 4  # no two windows name one pixel
    assert torch.equal(back[kept], x[kept])
    with torch.no_grad():
        for last in network.up5.branch[2][1].parameters():
            last.zero_()  # the branch adds nothing: only what is put back is left
        elsewhere = network.up5(torch.randn(1, 64, 4, 4), winners)[~kept]
    assert not elsewhere.any()


def test_the_registry_is_the_papers_table():
    printed = [row for row in published.rows("III") if row.strategy != "proposed"]
    assert list(METHODS) == [row.key for row in printed]
    assert [found.strategy for found in METHODS.values()] == [row.strategy for row in printed]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_is(name):
    found = method(name)
    assert isinstance(found, Method)
    assert found is METHODS[name]
    assert found.strategy in STRATEGIES
    assert found.encoder in ("imagenet", "vgg16", "none")
    assert found.chosen
    assert all(sentence.endswith(".") for sentence in found.chosen)
    with torch.device("meta"):
        assert found.build(0.25).multiple == found.multiple


@pytest.mark.slow  # a second Python starts
def test_the_registry_does_not_wait_for_the_library():
    code = (
        "import sys, upcrack_lite.methods.registry; assert 'segmentation_models_pytorch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_method_is_told_the_names():
    with pytest.raises(UserError, match=r"unknown method 'segnet'; choose deeplabv3plus, .*, riad"):
        method("segnet")
