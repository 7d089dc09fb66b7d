"""The discriminator: its size, its map of opinions, and what each opinion really sees."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from upcrack_lite.discriminator import Discriminator, receptive_field


def test_the_papers_network_has_its_parameters():
    assert sum(p.numel() for p in Discriminator(64).parameters()) == 2_769_601


@pytest.mark.parametrize(("size", "side"), [(256, 30), (128, 14), (64, 6), (32, 2)])
def test_opinions_form_a_map(size, side):
    pair = torch.rand(2, 2, 3, size, size)
    logits = Discriminator(width=2)(pair[0], pair[1])
    assert logits.shape == (2, 1, side, side)


def support(size: int, row: int, column: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row and column whose pixels move one opinion, from gradients."""
    torch.manual_seed(0)
    d = Discriminator(width=4).double().eval()  # in training mode batch norm would mix all pixels
    image = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    d(torch.rand_like(image), image)[0, 0, row, column].backward()
    touched = image.grad.abs().sum(dim=(0, 1)) > 0
    rows, columns = touched.any(dim=1).nonzero().flatten(), touched.any(dim=0).nonzero().flatten()
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


@pytest.mark.parametrize("size", [128, 256])
def test_the_receptive_field_is_what_the_gradient_reaches(size):
    side = size // 8 - 2
    for row, column in [(0, side - 1), (side // 2, 1), (4, side // 2), (side - 1, 0)]:
        assert support(size, row, column) == (receptive_field(row, size), receptive_field(column, size))


def test_an_inner_opinion_sees_70_px_and_the_next_one_8_px_further():
    first, last = receptive_field(15, 256)
    assert last - first + 1 == 70
    assert receptive_field(16, 256) == (first + 8, last + 8)
    assert receptive_field(0, 256)[0] == 0
    assert receptive_field(29, 256)[1] == 255


def test_opinions_are_logits_and_norms_sit_on_the_middle_three():
    d = Discriminator(4)
    assert not isinstance(d.layers[-1], nn.Sigmoid)
    with torch.no_grad():
        d.layers[-1].bias.fill_(50.0)
        assert d(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)).min() > 1
    kinds = [type(m).__name__ for m in d.layers]
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert kinds == ["Conv2d", "LeakyReLU", *block, *block, *block, "Conv2d"]
    assert [m.stride[0] for m in d.layers if isinstance(m, nn.Conv2d)] == [2, 2, 2, 1, 1]
    assert all(m.kernel_size == (4, 4) for m in d.layers if isinstance(m, nn.Conv2d))
    assert all(m.negative_slope == 0.2 for m in d.layers if isinstance(m, nn.LeakyReLU))
