"""Every compared network: shapes, size, learning, bfloat16. A new one is tested by being registered.

What is special to one network stands in test_baselines_networks.py and test_baselines_costs.py; training into a run
folder in test_baselines_training.py.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from baselines_images import SIDE, close_ups, dark_line, images, learning, wide_cracks
from baselines_sources import DIFFERENCES, TOLERANCES
from torch import nn

from upcrack_lite.baselines.base import Restorer, Supervised
from upcrack_lite.baselines.cost import cost
from upcrack_lite.baselines.recipes import CRACK, GENERAL, SUPERVISED, UNSUPERVISED
from upcrack_lite.baselines.registry import COMPARED, network
from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import published


def each(names) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", names)


def small(name: str, seed: int = 0) -> Supervised | Restorer:
    """A narrow network with seeded weights, in training mode."""
    torch.manual_seed(seed)
    return network(name).build(learning(name).width)


def answer(net: Supervised | Restorer, image: torch.Tensor) -> torch.Tensor:
    """What a network in eval mode says of images: logits or a score map."""
    with torch.no_grad():
        return net(image) if isinstance(net, Supervised) else net.score_map(image)


def loss_of(net: Supervised | Restorer, image: torch.Tensor) -> torch.Tensor:
    """The loss of a training step; where masks are needed, bright pixels are cracks."""
    if isinstance(net, Supervised):
        return net.loss(net(image), (image[:, :1] > 0.8).float())
    return net.losses(image, torch.Generator().manual_seed(0))["total"]


# --- The registry ---


def test_the_printed_methods_come_in_the_papers_order():
    printed = [row for row in published.rows("III") if row.strategy != "proposed"]
    assert [name for name in COMPARED if name in {row.key for row in printed}] == [row.key for row in printed]
    strategies = dict.fromkeys(GENERAL, "general_supervised") | dict.fromkeys(CRACK, "crack_supervised")
    strategies |= dict.fromkeys(UNSUPERVISED, "unsupervised")
    assert [strategies[row.key] for row in printed] == [row.strategy for row in printed]
    assert {name: network(name).strategy for name in COMPARED} == strategies


def test_an_unknown_method_is_told_the_names():
    with pytest.raises(UserError, match=r"unknown method 'segnet'; choose one of deeplabv3plus, .*, riad"):
        network("segnet")


def test_names_and_presets_need_no_torch():
    code = "import sys; from upcrack_lite.baselines.registry import METHODS, preset_of\n"
    code += "for name in METHODS: preset_of(name, 'paper', 'lite')\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- Its size ---


@each(COMPARED)
def test_the_parameters_are_those_of_the_source_and_a_narrow_network_has_fewer(name):
    known, full, narrow = DIFFERENCES.get(name), cost(name), cost(name, 0.25)
    more, tolerance = (known.more[0], known.parameters) if known else (0, TOLERANCES.get(name, 0.01))
    assert (full.parameters + more) / 1e6 == pytest.approx(network(name).parameters, rel=tolerance)
    assert narrow.multiply_adds < full.multiply_adds / 8
    assert narrow.parameters < full.parameters / 3  # a head may have channels that belong to pixels


# --- Its outputs ---


@each(COMPARED)
@pytest.mark.parametrize(("height", "width"), [(256, 256), (123, 181)])
def test_the_output_has_the_photos_size(name, height, width):
    output = answer(small(name).eval(), images(1, height, width))
    assert output.shape == (1, 1, height, width)
    assert output.isfinite().all()
    assert output.std() > 0  # not one value for all pixels
    if name in UNSUPERVISED:
        assert 0 <= output.min() <= output.max() <= 1


@each(SUPERVISED)
def test_in_training_every_output_has_the_photos_size_and_the_first_is_shown(name):
    net, image = small(name), images(2, 70, 90)
    for module in net.modules():  # training and testing differ in more than the number of outputs
        if isinstance(module, nn.modules.batchnorm._BatchNorm) or "Drop" in type(module).__name__:
            module.eval()
        elif "Stochastic" in type(module).__name__:
            module.p = 0.0
    with torch.no_grad():
        outputs = net(image)
    assert all(one.shape == (2, 1, 70, 90) for one in outputs)
    torch.testing.assert_close(outputs[0], answer(net.eval(), image))


@each(UNSUPERVISED)
def test_a_restorer_gives_photos_and_a_score_map_that_can_be_repeated(name):
    net, image = small(name), images(1)
    with torch.no_grad():
        restored = net.restore(images(2, 64, 96))
    assert restored.shape == (2, 3, 64, 96)
    assert restored.abs().max() <= 1
    assert {"total", net.validated} <= set(net.losses(images(2), torch.Generator().manual_seed(0)))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    assert torch.equal(net.score_map(image), net.score_map(image))
    assert net.training  # as it was found
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


# --- It learns ---


HOURS = 4 * 3600  # s; minutes on a graphics card


def at_scale(name: str, full: bool) -> tuple[Supervised | Restorer, str]:
    """A narrow network on the CPU, or one of full width on the fastest device there is."""
    torch.manual_seed(0)
    device = "cuda" if full and torch.cuda.is_available() else "cpu"
    return network(name).build(1.0 if full else learning(name).width).to(device), device


def pooled_f1(net: Supervised, image: torch.Tensor, crack_mask: torch.Tensor) -> float:
    """F1 over the pixels of all images, in eval mode."""
    marked = answer(net.eval(), image) > 0
    net.train()
    return 2 * float((marked & (crack_mask > 0)).sum()) / float(marked.sum() + crack_mask.sum())


@pytest.mark.parametrize(
    "full",
    [
        pytest.param(False, marks=pytest.mark.slow),
        pytest.param(True, marks=[pytest.mark.full, pytest.mark.timeout(HOURS)]),
    ],
)
@each(SUPERVISED)
def test_four_photos_are_learned_by_heart(name, full):
    how, (net, device) = learning(name), at_scale(name, full)
    image, crack_mask = (one.to(device) for one in (wide_cracks() if full else close_ups()))
    optimizer = torch.optim.Adam(net.parameters(), how.full_rate if full else how.rate)
    losses, best = [], 0.0
    for step in range(1, how.steps + 1):
        loss = net.loss(net(image), crack_mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 10 == 0 and (best := max(best, pooled_f1(net, image, crack_mask))) > 0.9:
            break
    assert best > 0.9, f"F1 {best:.3f} after {step} steps, loss {losses[0]:.3f} to {losses[-1]:.3f}"
    assert losses[-1] < how.falls * losses[0]


def trained_on(
    net: Restorer, image: torch.Tensor, optimizer: torch.optim.Optimizer, steps: int
) -> list[float]:
    """Train a restorer on the images; the validated term of each step."""
    generator, seen = torch.Generator().manual_seed(0), []
    for _ in range(steps):
        terms = net.losses(image, generator)
        optimizer.zero_grad()
        terms["total"].backward()
        optimizer.step()
        seen.append(terms[net.validated].item())
    return seen


@pytest.mark.slow
@each(UNSUPERVISED)
def test_a_short_training_lowers_the_loss_and_a_dark_line_stands_out(name):
    how, net = learning(name), small(name)
    image, damaged, line = dark_line()
    seen = trained_on(net, image, torch.optim.Adam(net.parameters(), how.rate), how.steps)
    assert np.mean(seen[-10:]) < how.falls * np.mean(seen[:10])
    if hasattr(net, "calibrate"):
        net.eval().calibrate([image])
    score = net.score_map(damaged)
    # Farther than maps are smoothed.
    beside = nn.functional.max_pool2d(line.float(), (1, 23), 1, (0, 11)) < 0.5
    assert score[line].mean() > how.stands_out * score[beside].mean()


@pytest.mark.full
@pytest.mark.timeout(HOURS)
@each(UNSUPERVISED)
def test_a_few_steps_restore_better_at_full_size(name):
    net, device = at_scale(name, full=True)
    seen = trained_on(net, wide_cracks()[0].to(device), net.optimizer(1e-4, 0.0), 20)
    assert np.mean(seen[-5:]) < np.mean(seen[:5])


# --- It takes a step in bfloat16 ---


def step_in_bfloat16(name: str, device: str) -> None:
    net, image = small(name).to(device), images(2, 70, 64).to(device)
    if name in UNSUPERVISED:
        image = image[..., :SIDE, :]  # masks are square
    with torch.autocast(device, torch.bfloat16):
        loss = loss_of(net, image)
    loss.backward()
    torch.optim.SGD(net.parameters(), lr=0.001).step()
    assert loss.isfinite()
    assert not [key for key, value in net.named_parameters() if value.grad is None]
    assert all(value.isfinite().all() and value.grad.isfinite().all() for value in net.parameters())


@each(COMPARED)
def test_a_step_in_bfloat16_is_finite(name):
    step_in_bfloat16(name, "cpu")


@pytest.mark.gpu
@each(COMPARED)
def test_a_gpu_takes_a_step_in_bfloat16_and_says_what_a_cpu_says(name):
    if not torch.cuda.is_available():
        pytest.skip("NOT TESTED on a GPU: this machine has none")
    step_in_bfloat16(name, "cuda")
    net, image = small(name).eval(), images(1)
    wanted = answer(net, image)
    torch.testing.assert_close(answer(net.cuda(), image.cuda()).cpu(), wanted, atol=2e-2, rtol=2e-2)  # TF32
