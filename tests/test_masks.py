"""Masks by their properties: shares, phases, disjoint sets, uniform and repeatable draws."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from upcrack_lite import masks
from upcrack_lite.errors import UserError

FAMILIES = ["multi_scale_square", "striped", "jumbled"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("size", "cells"), [(256, (128, 64, 32)), (128, (64, 32, 16)), (64, (8,))])
def test_square_masks_are_half_kept_and_come_in_complementary_pairs(size, cells):
    six = masks.all_multi_scale_square(size, cells)
    assert six.shape == (2 * len(cells), 1, size, size)
    assert six.dtype == torch.float32
    assert set(six.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(six.mean(dim=(1, 2, 3)), torch.full((2 * len(cells),), 0.5))
    assert torch.equal(six[0::2] + six[1::2], torch.ones(len(cells), 1, size, size))


@pytest.mark.parametrize("cell", [128, 64, 32])
def test_a_square_mask_is_a_checkerboard_of_cells(cell):
    first = masks.all_multi_scale_square(256, (cell,))[0, 0]
    for row in range(256 // cell):
        for column in range(256 // cell):
            block = first[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
            assert block.eq((row + column) % 2).all()


def test_striped_masks_are_twelve_different_halves_of_straight_stripes():
    twelve = masks.all_striped(64)
    assert twelve.shape == (12, 1, 64, 64)
    assert len({tuple(mask.flatten().tolist()) for mask in twelve}) == 12
    assert twelve.mean(dim=(1, 2, 3)).eq(0.5).all()
    assert (twelve[0::2] + twelve[1::2]).eq(1).all()
    runs = []
    for mask in twelve[:, 0]:
        vertical = bool(mask.eq(mask[:1]).all())  # every row like the first
        assert vertical != bool(mask.eq(mask[:, :1]).all())
        line = mask[0] if vertical else mask[:, 0]
        runs.append((vertical, torch.unique_consecutive(line, return_counts=True)[1].unique().tolist()))
    widths = [([width]) for width in (16, 8, 4)]
    assert sorted(map(str, runs)) == sorted(str((v, w)) for w in widths for v in (True, False) for _ in "ab")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 4), st.integers(0, 2**32))
def test_jumbled_sets_are_disjoint_cover_everything_and_are_even(cell, n_sets, seed):
    sets = masks.jumbled_sets(32, cell, seeded(seed), n_sets)
    assert sets.shape == (n_sets, 1, 32, 32)
    removed = 1 - sets
    assert removed.sum(dim=0).eq(1).all()  # each pixel belongs to exactly one set
    cells = removed[:, 0, ::cell, ::cell]
    assert torch.equal(cells.repeat_interleave(cell, 1).repeat_interleave(cell, 2), removed[:, 0])
    counts = cells.sum(dim=(1, 2))
    assert counts.max() - counts.min() <= 1


def test_square_draws_take_each_of_the_six_alike_and_remove_every_pixel_half_of_the_time():
    n = 3000
    drawn = masks.draw("multi_scale_square", n, 32, seeded(), (16, 8, 4))
    six = masks.all_multi_scale_square(32, (16, 8, 4))
    which = (drawn[:, None] == six[None]).flatten(2).all(dim=2)  # (n, 6)
    assert which.sum(dim=1).eq(1).all()
    assert (which.float().mean(dim=0) - 1 / 6).abs().max() < 4 * (1 / 6 * 5 / 6 / n) ** 0.5
    assert (drawn.mean(dim=0) - 0.5).abs().max() < 4 * (0.25 / n) ** 0.5


def test_jumbled_draws_use_every_cell_size_and_remove_a_third():
    drawn = masks.draw("jumbled", 300, 32, seeded(), (2, 4, 8))
    assert float(drawn.mean()) == pytest.approx(2 / 3, abs=0.01)
    coarse = [2, 4, 8]
    found = set()
    for mask in drawn[:, 0]:
        fits = [
            c for c in coarse if mask[::c, ::c].repeat_interleave(c, 0).repeat_interleave(c, 1).equal(mask)
        ]
        found.add(max(fits))
    assert found == set(coarse)


@pytest.mark.parametrize("family", FAMILIES)
def test_removed_pixels_are_exactly_black_and_kept_ones_bit_identical(family):
    image = torch.randn(4, 3, 64, 64, generator=seeded()).tanh()  # values of every magnitude
    mask = masks.draw(family, 4, 64, seeded(), (8, 4) if family != "striped" else None)
    masked = masks.apply(image, mask)
    removed = mask.expand_as(image) == 0
    assert masked[removed].eq(-1).all()
    assert torch.equal(masked[~removed], image[~removed])
    assert removed.any()
    assert (~removed).any()


@pytest.mark.parametrize("fill", [-1.0, 0.0, 1.0, torch.full((2, 3, 4, 4), 0.3)])
def test_any_fill_is_painted_exactly_and_a_soft_edge_mixes(fill):
    image = torch.randn(2, 3, 4, 4, generator=seeded()).tanh()
    assert torch.equal(masks.apply(image, torch.zeros(2, 1, 4, 4), fill), torch.zeros_like(image) + fill)
    assert torch.equal(masks.apply(image, torch.ones(2, 1, 4, 4), fill), image)
    half = masks.apply(image, torch.full((2, 1, 4, 4), 0.5), fill)
    assert torch.allclose(half, (image + fill) / 2, atol=1e-6)


def test_holes_take_the_mean_of_what_is_kept_or_one_seeded_gray_a_photo():
    image = torch.randn(6, 3, 32, 32, generator=seeded()).tanh()
    mask = masks.multi_scale_square(6, 32, seeded(), (8, 4))
    for photo, one, kept in zip(masks.apply(image, mask, "mean"), image, mask[:, 0] > 0, strict=True):
        assert torch.allclose(photo[:, ~kept], one[:, kept].mean(dim=1, keepdim=True), atol=1e-6)
        assert torch.equal(photo[:, kept], one[:, kept])
    filled = masks.apply(image, mask, "random", seeded())
    assert torch.equal(filled, masks.apply(image, mask, "random", seeded()))
    grays = [photo[:, ~kept].unique().tolist() for photo, kept in zip(filled, mask[:, 0] > 0, strict=True)]
    assert [len(gray) for gray in grays] == [1] * 6, "one gray a photo, the same in each channel"
    assert len({gray[0] for gray in grays}) == 6


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: masks.draw("squares", 1, 64, seeded()), "multi_scale_square, striped, jumbled"),
        (lambda: masks.apply(torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4), "blue"), "mean, random"),
        (lambda: masks.draw("multi_scale_square", 1, 64, seeded(), (24,)), "24 px"),
        (lambda: masks.draw("multi_scale_square", 1, 64, seeded(), (64,)), "64 px"),
        (lambda: masks.draw("jumbled", 1, 64, seeded(), (7,)), "7 px"),
        (lambda: masks.jumbled_sets(8, 8, seeded(), 3), "1 cells cannot be dealt into 3"),
        (lambda: masks.all_striped(40), "16"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(call, names):
    with pytest.raises(UserError, match=names):
        call()
