"""Every compared method: shapes, size, learning, coming back from a file, bfloat16. A new one is tested by being
registered.

What is special to one network stands in test_method_networks.py, test_method_restorers.py and test_method_costs.py;
training into a run folder in test_learning.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from method_images import SIDE, close_ups, dark_line, images
from method_learning import learning
from method_sources import DIFFERENCES
from safetensors.torch import load_file, save_file
from torch import nn

from upcrack_lite.baselines.base import STRATEGIES, Method, Restorer, Supervised
from upcrack_lite.baselines.cost import cost
from upcrack_lite.baselines.registry import METHODS, method

SUPERVISED = [name for name, found in METHODS.items() if found.strategy != "unsupervised"]
RESTORERS = [name for name in METHODS if name not in SUPERVISED]
LARGEST_TOLERANCE = 0.06  # of a count of parameters


def each(names) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", names)


def small(name: str, seed: int = 0, width: float | None = None) -> Supervised | Restorer:
    """A narrow network with seeded weights, in training mode."""
    torch.manual_seed(seed)
    return METHODS[name].build(width or learning(name).width)


def answer(network: Supervised | Restorer, image: torch.Tensor) -> torch.Tensor:
    """What a network in eval mode says of images: logits or a score map."""
    with torch.no_grad():
        return network(image) if isinstance(network, Supervised) else network.score_map(image)


def loss_of(network: Supervised | Restorer, image: torch.Tensor) -> torch.Tensor:
    """The loss of a training step; where masks are needed, bright pixels are cracks."""
    if isinstance(network, Supervised):
        return network.loss(network(image), (image[:, :1] > 0.8).float())
    return network.losses(image, torch.Generator().manual_seed(0))["total"]


# --- What it is ---


@each(METHODS)
def test_a_method_says_what_it_is(name):
    found = method(name)
    assert isinstance(found, Method)
    assert (found.name, found) == (name, METHODS[name])
    assert found.strategy in STRATEGIES
    assert found.encoder in ("imagenet", "vgg16", "none")
    assert found.source
    assert found.chosen
    assert all(sentence.endswith(".") for sentence in found.chosen)
    with torch.device("meta"):
        network = found.build(0.25)
    assert network.multiple == found.multiple
    assert isinstance(network, Restorer if name in RESTORERS else Supervised)


# --- Its size ---


@each(METHODS)
def test_the_parameters_are_those_of_the_source(name):
    found = METHODS[name]
    known = DIFFERENCES.get(name)
    more, tolerance = (known.more[0], known.parameters) if known else (0, found.tolerance)
    assert (cost(name).parameters + more) / 1e6 == pytest.approx(found.parameters, rel=tolerance)
    assert max(tolerance, found.tolerance) <= LARGEST_TOLERANCE


@each(METHODS)
def test_a_narrow_network_is_much_smaller(name):
    narrow, full = cost(name, 0.25), cost(name)
    assert narrow.multiply_adds < full.multiply_adds / 8
    assert narrow.parameters < full.parameters / 3  # a head may have channels that belong to pixels


# --- Its outputs ---


@each(METHODS)
@pytest.mark.parametrize(("height", "width"), [(256, 256), (123, 181)])
def test_the_output_has_the_photos_size(name, height, width):
    found = answer(small(name).eval(), images(1, height, width))
    assert found.shape == (1, 1, height, width)
    assert found.isfinite().all()
    assert found.std() > 0  # not one value for all pixels
    if name in RESTORERS:
        assert 0 <= found.min() <= found.max() <= 1


@each(SUPERVISED)
def test_in_training_every_output_has_the_photos_size_and_the_first_is_shown(name):
    network, image = small(name), images(2, 70, 90)
    for module in network.modules():  # training and testing differ in more than the number of outputs
        if isinstance(module, nn.modules.batchnorm._BatchNorm) or "Drop" in type(module).__name__:
            module.eval()
        elif "Stochastic" in type(module).__name__:
            module.p = 0.0
    with torch.no_grad():
        outputs = network(image)
    assert isinstance(outputs, list)
    assert all(one.shape == (2, 1, 70, 90) for one in outputs)
    torch.testing.assert_close(outputs[0], answer(network.eval(), image))


@each(RESTORERS)
def test_a_restored_image_has_the_size_and_range_of_photos(name):
    network = small(name)
    with torch.no_grad():
        restored = network.restore(images(2, 64, 96))
    assert restored.shape == (2, 3, 64, 96)
    assert restored.abs().max() <= 1
    terms = network.losses(images(2), torch.Generator().manual_seed(0))
    assert {"total", network.judged} <= set(terms)


@each(RESTORERS)
def test_a_score_map_can_be_repeated_and_does_not_change_the_network(name):
    network, image = small(name), images(1)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert torch.equal(network.score_map(image), network.score_map(image))
    assert network.training  # as it was found
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


# --- It learns ---


@pytest.fixture(scope="module")
def cracks() -> tuple[torch.Tensor, torch.Tensor]:
    return close_ups()


def pooled_f1(network: Supervised, image: torch.Tensor, crack_mask: torch.Tensor) -> float:
    """F1 over the pixels of all images, in eval mode."""
    found = answer(network.eval(), image) > 0
    network.train()
    return 2 * float((found & (crack_mask > 0)).sum()) / float(found.sum() + crack_mask.sum())


@pytest.mark.slow
@each(SUPERVISED)
def test_four_photos_are_learned_by_heart(name, cracks):
    how, network = learning(name), small(name)
    optimizer = torch.optim.Adam(network.parameters(), how.rate)
    losses, f1 = [], 0.0
    for step in range(1, how.steps + 1):
        loss = network.loss(network(cracks[0]), cracks[1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 10 == 0 and (f1 := pooled_f1(network, *cracks)) > 0.9:
            break
    assert f1 > 0.9, f"F1 {f1:.3f} after {step} steps"
    assert losses[-1] < how.falls * losses[0]


@pytest.mark.slow
@each(RESTORERS)
def test_a_short_training_lowers_the_loss_and_a_dark_line_stands_out(name):
    how, network, generator = learning(name), small(name), torch.Generator().manual_seed(0)
    image, damaged, line = dark_line()
    optimizer = torch.optim.Adam(network.parameters(), how.rate)
    seen = []
    for _ in range(how.steps):
        terms = network.losses(image, generator)
        optimizer.zero_grad()
        terms["total"].backward()
        optimizer.step()
        seen.append(terms[network.judged].item())
    assert np.mean(seen[-10:]) < how.falls * np.mean(seen[:10])
    if hasattr(network, "calibrate"):
        network.eval().calibrate([image])
    score = network.score_map(damaged)
    beside = (
        nn.functional.max_pool2d(line.float(), (1, 23), 1, (0, 11)) < 0.5
    )  # farther than maps are smoothed
    assert score[line].mean() > how.stands_out * score[beside].mean()


# --- It comes back, and takes a step in bfloat16 ---


@each(METHODS)
def test_it_comes_back_from_a_file(name, tmp_path):
    image, network, other = images(2), small(name), small(name, seed=1)
    loss_of(network, image)  # moves batch norm's averages, which must be stored too
    save_file(
        {key: value.contiguous() for key, value in network.state_dict().items()}, tmp_path / "w.safetensors"
    )
    assert not torch.equal(answer(other.eval(), image), answer(network.eval(), image))
    other.load_state_dict(load_file(tmp_path / "w.safetensors"))
    assert torch.equal(answer(other, image), answer(network, image))


def step_in_bfloat16(name: str, device: str) -> None:
    network, image = small(name).to(device), images(2, 70, 64).to(device)
    if name in RESTORERS:
        image = image[..., :SIDE, :]  # masks are square
    with torch.autocast(device, torch.bfloat16):
        loss = loss_of(network, image)
    loss.backward()
    torch.optim.SGD(network.parameters(), lr=0.001).step()
    assert loss.isfinite()
    unused = [key for key, value in network.named_parameters() if value.grad is None]
    assert not unused
    assert all(value.isfinite().all() and value.grad.isfinite().all() for value in network.parameters())


@each(METHODS)
def test_a_step_in_bfloat16_is_finite(name):
    step_in_bfloat16(name, "cpu")


@pytest.mark.gpu
@each(METHODS)
def test_a_gpu_takes_a_step_in_bfloat16_and_says_what_a_cpu_says(name):
    if not torch.cuda.is_available():
        pytest.skip("NOT TESTED on a GPU: this machine has none")
    step_in_bfloat16(name, "cuda")
    network, image = small(name).eval(), images(1)
    wanted = answer(network, image)
    found = answer(network.cuda(), image.cuda()).cpu()
    torch.testing.assert_close(found, wanted, atol=2e-2, rtol=2e-2)  # TF32
