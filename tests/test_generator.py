"""The generator: sizes, start, and test-time modes that are explicit and leave no trace."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.errors import UserError
from upcrack_lite.generator import Generator, restore, test_mode, widths

SIZE = 32


@pytest.fixture(scope="module")
def generator() -> Generator:
    """A small network whose running averages differ from 0 and 1, as after some training."""
    torch.manual_seed(0)
    g = Generator(width=8, depth=5)
    with torch.no_grad():
        for parameter in g.parameters():
            parameter.mul_(5)  # the start is so near to 0 that differences would drown
    g.train()
    for _ in range(3):
        g(torch.rand(4, 3, SIZE, SIZE) * 2 - 1)
    return g.eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1


def snapshot(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_the_papers_network_has_its_parameters():
    assert sum(p.numel() for p in Generator(64, 8).parameters()) == 54_419_459
    assert widths(64, 8) == [64, 128, 256, 512, 512, 512, 512, 512]


@pytest.mark.parametrize("depth", [4, 5, 6, 7])
def test_a_network_of_depth_d_restores_images_of_2_to_the_d(depth):
    image = torch.rand(2, 3, 2**depth, 2**depth) * 2 - 1
    with torch.no_grad():
        restored = Generator(width=8, depth=depth)(image)
    assert restored.shape == image.shape
    assert restored.abs().max() <= 1


def test_levels_halve_down_to_one_pixel_and_every_skip_is_used():
    g = Generator(width=2, depth=6)
    shapes = []
    for level in g.encoder:
        level.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    image = torch.rand(2, 3, 64, 64, requires_grad=True)
    g(image).sum().backward()
    assert shapes == [(2, 32, 32), (4, 16, 16), (8, 8, 8), (16, 4, 4), (16, 2, 2), (16, 1, 1)]
    # A concatenated skip doubles the channels that every decoder level but the innermost takes.
    assert [level[1].in_channels for level in g.decoder] == [16, 32, 32, 16, 8, 4]
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for n, p in g.named_parameters() if "weight" in n
    )


def test_norms_and_dropout_sit_where_pix2pix_has_them():
    g = Generator(width=2, depth=8)
    norms = [any(isinstance(m, nn.BatchNorm2d) for m in level) for level in g.encoder]
    assert norms == [False] + [True] * 6 + [False]
    norms = [any(isinstance(m, nn.BatchNorm2d) for m in level) for level in g.decoder]
    assert norms == [True] * 7 + [False]
    drops = [[m.p for m in level if isinstance(m, nn.Dropout)] for level in g.decoder]
    assert drops == [[0.5]] * 3 + [[]] * 5


@pytest.mark.parametrize("statistics", ["batch", "running"])
@pytest.mark.parametrize("dropout", [True, False])
def test_a_restoration_depends_on_no_neighbor_and_no_order(generator, images, statistics, dropout):
    together = restore(generator, images, statistics, dropout, seed=3)
    assert together.shape == images.shape
    assert torch.equal(restore(generator, images.flip(0), statistics, dropout, seed=3).flip(0), together)
    for i in range(len(images)):
        assert torch.equal(restore(generator, images[i : i + 1], statistics, dropout, seed=3)[0], together[i])


def test_the_seed_decides_the_noise_and_nothing_else_does(generator, images):
    noisy = restore(generator, images, dropout=True, seed=1)
    torch.rand(7)
    assert torch.equal(restore(generator, images, dropout=True, seed=1), noisy)
    assert not torch.equal(restore(generator, images, dropout=True, seed=2), noisy)
    quiet = restore(generator, images, dropout=False, seed=1)
    assert torch.equal(restore(generator, images, dropout=False, seed=2), quiet)
    assert not torch.equal(quiet, noisy)


def test_batch_statistics_of_one_image_are_instance_normalization(generator, images, monkeypatch):
    ours = restore(generator, images, "batch", dropout=False)

    def instance(self: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
        return functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)

    monkeypatch.setattr(nn.BatchNorm2d, "forward", instance)
    with torch.no_grad():
        theirs = generator(images)  # all at once: instance norm knows no neighbors
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("statistics", ["batch", "running"])
@pytest.mark.parametrize("training", [True, False])
def test_restoring_leaves_the_module_and_the_random_state_as_found(generator, images, statistics, training):
    generator.train(training)
    generator.encoder[1].eval()  # a mixed state must come back as well
    modes = [m.training for m in generator.modules()]
    before, state = snapshot(generator), torch.get_rng_state()
    restore(generator, images, statistics, dropout=True, seed=9)
    assert [m.training for m in generator.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(m.momentum == 0.1 for m in generator.modules() if isinstance(m, nn.BatchNorm2d))
    assert all(m.track_running_stats for m in generator.modules() if isinstance(m, nn.BatchNorm2d))
    assert not restore(generator, images).requires_grad
    generator.eval()


def test_the_mode_is_put_back_even_after_an_error(generator):
    modes = [m.training for m in generator.modules()]
    with pytest.raises(UserError), test_mode(generator, "batch", True):
        generator(torch.zeros(1, 3, 8, 8))
    assert [m.training for m in generator.modules()] == modes


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (1, 3, 32, 64), (1, 1, 32, 32), (3, 32, 32)])
def test_another_size_is_refused_with_the_right_one(generator, shape):
    with pytest.raises(UserError, match=r"\(N, 3, 32, 32\)"):
        generator(torch.zeros(shape))
