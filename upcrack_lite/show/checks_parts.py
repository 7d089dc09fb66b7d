"""Checks of the exercises in chapters 02 to 06, and of the batches in 18. Import them from `checks`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from upcrack_lite import masks
from upcrack_lite.recipes import preset
from upcrack_lite.show.checking import array, check, close, need, number, texture
from upcrack_lite.training import Batch, make_batch

Answer = Callable[..., Any]


@check("equal images score 0, and each image is judged by itself, on its own scale.")
def check_image_score(fn: Answer) -> None:
    """fn(image (N, 3, H, W), restored) -> (N,): 0 for a perfect restoration, larger the further off."""
    image = texture(3)
    need(close(array(fn(image, image), (3,)), 0, 1e-6), "an image restored perfectly should score 0")
    restored = image.clone()
    restored[1] = restored[1] * 0.5
    scores = array(fn(image, restored), (3,))
    need(scores[1] > 1e-4, "the damaged image should score above 0")
    need(
        close(scores[[0, 2]], 0, 1e-6),
        "a damaged image changes its neighbors' scores: average each image alone",
    )
    worse = array(fn(image, image * torch.tensor([1, 0.2, 1]).view(3, 1, 1, 1)), (3,))
    need(worse[1] > scores[1], "a larger difference should score higher")
    brighter, darker = image * 0.5 + 0.2, image * 0.5 - 0.2
    up, down = array(fn(image * 0.5, brighter), (3,)), array(fn(image * 0.5, darker), (3,))
    need(
        (up > 0).all() and (down > 0).all(), "too bright and too dark should both count: is the sign removed?"
    )
    mixed = image * 0.5
    mixed = torch.cat((mixed[..., :16] + 0.2, mixed[..., 16:] - 0.2), -1)
    need((array(fn(image * 0.5, mixed), (3,)) > 1e-3).all(), "bright and dark errors should not cancel out")


@check("it refuses a crack inside the window or within the margin, and stops at the photo's border.")
def check_crop_rule(fn: Answer) -> None:
    """fn(crack_mask bool (H, W), x, y, window, margin) -> bool: True where the window may be used."""
    clean = np.zeros((40, 60), bool)

    def ask(row: int, column: int, x: int, y: int, margin: int = 3) -> bool:
        mask = clean.copy()
        mask[row, column] = True
        return bool(fn(mask, x, y, 16, margin))

    need(fn(clean.copy(), 10, 10, 16, 3), "a photo without any crack should give every window")
    need(not ask(15, 20, 10, 10), "one crack pixel inside the window should forbid it")
    need(
        not ask(25, 25, 10, 10),
        "the window's last row and column, y + window - 1 and x + window - 1, belong to it",
    )
    need(not ask(10, 10, 10, 10), "the window's first row and column belong to it")
    need(
        ask(12, 45, 10, 20),
        "a crack far away should not matter: are x (column) and y (row) in the right order?",
    )
    need(
        not ask(30, 44, 30, 20),
        "x counts columns and y rows: this crack lies inside the window at x=30, y=20",
    )
    need(not ask(15, 8, 10, 10), "a crack 2 px left of the window lies within the margin of 3 px")
    need(not ask(28, 15, 10, 10), "a crack 3 px below the window lies within the margin of 3 px")
    need(ask(15, 6, 10, 10), "a crack 4 px left of the window is outside the margin of 3 px")
    need(ask(29, 15, 10, 10), "a crack 4 px below the window is outside the margin of 3 px")
    need(
        not ask(0, 0, 2, 2),
        "at the border the margin is cut off, not wrapped: a negative start slices nothing",
    )
    need(ask(15, 8, 10, 10, margin=0), "with margin 0 only the window itself counts")


@check("all pixels of all masks count the same, in percent.")
def check_crack_share(fn: Answer) -> None:
    """fn(crack_masks bool (N, H, W)) -> percent of all pixels that are crack."""
    masks = np.zeros((4, 10, 20), bool)
    need(close(number(fn(masks)), 0), "no crack should give 0")
    need(close(number(fn(~masks)), 100), "all crack should give 100: is the answer in percent?")
    masks[0, :5] = True  # half of one mask in four
    masks[1, 0, 0] = True
    need(
        close(number(fn(masks)), 100 * 101 / 800), "count the crack pixels of all masks, divide by all pixels"
    )
    need(close(number(fn(masks[:1])), 50), "a single mask, half crack, should give 50")


@check("each mask removes half of the pixels, and each pixel is removed in half of the masks.")
def check_mask_family(fn: Answer) -> None:
    """fn(size, cell) -> (k, 1, size, size), 1 = kept: cells of `cell` px, and the family is fair."""
    for size, cell in ((16, 4), (16, 8), (32, 2)):
        first = np.asarray(fn(size, cell))
        masks = array(first, (first.shape[0] if first.ndim else 0, 1, size, size), "the family")
        need(np.isin(masks, (0, 1)).all(), "a mask holds 0 (removed) and 1 (kept), nothing else")
        need(close(masks.mean((1, 2, 3)), 0.5), "each mask should remove exactly half of the pixels")
        need(
            close(masks.mean(0), 0.5),
            "a pixel is removed more often than another: is the other phase missing?",
        )
        cells = masks[:, 0].reshape(len(masks), size // cell, cell, size // cell, cell)
        same = (cells == cells[:, :, :1, :, :1]).all()
        need(same, f"inside a cell of {cell} x {cell} px all pixels should share one value")
        corners = cells[:, :, 0, :, 0]
        need((corners[:, :, 1:] != corners[:, :, :-1]).any(), f"neighboring cells of {cell} px should differ")


@check("removed pixels are black, -1, and kept pixels are untouched.")
def check_apply(fn: Answer) -> None:
    """fn(image (N, 3, H, W) in [-1, 1], mask (N, 1, H, W), 1 = kept) -> masked image."""
    image = texture(2)
    mask = torch.zeros(2, 1, 32, 32)
    mask[0, :, :, :16] = 1
    mask[1, :, 8:, :] = 1
    before = image.clone()
    masked = array(fn(image, mask), tuple(image.shape))
    need(torch.equal(image, before), "the image that came in was changed: work on a copy")
    kept = mask.expand_as(image).bool().numpy()
    need(close(masked[kept], image.numpy()[kept], 1e-6), "kept pixels (mask 1) should stay as they are")
    removed = masked[~kept]
    need(not close(removed, 0), "removed pixels are 0, which is mid-gray on [-1, 1]; black is -1")
    need(close(removed, -1), "removed pixels (mask 0) should be black, -1, in all three channels")
    need(
        close(array(fn(image, torch.ones_like(mask)), tuple(image.shape)), image),
        "an all-ones mask removes nothing",
    )


@check("both inputs arrive whole, side by side along the channels.")
def check_skip(fn: Answer) -> None:
    """fn(decoded (N, C1, H, W), skip (N, C2, H, W)) -> (N, C1 + C2, H, W), in either order."""
    decoded, skip = texture(2, 5, 8, seed=1), texture(2, 3, 8, seed=2)
    joined = array(fn(decoded, skip), (2, 8, 8, 8), "the joined tensor")
    orders = [torch.cat(pair, 1).numpy() for pair in ((decoded, skip), (skip, decoded))]
    need(
        any(close(joined, order) for order in orders),
        "every channel of both inputs should be there, unchanged",
    )


@check("weights and biases count; running statistics and frozen parameters do not.")
def check_parameter_count(fn: Answer) -> None:
    """fn(module) -> int: how many numbers training may change."""
    need(
        number(fn(nn.Conv2d(3, 8, 4, bias=False))) == 384,
        "Conv2d(3, 8, 4) without bias has 8 * 3 * 4 * 4 = 384",
    )
    need(number(fn(nn.Conv2d(3, 8, 4))) == 392, "a bias adds one number for each output channel")
    need(
        number(fn(nn.BatchNorm2d(8))) == 16,
        "BatchNorm2d(8) trains 8 scales and 8 shifts; its statistics are buffers",
    )
    nested = nn.Sequential(nn.Conv2d(3, 8, 4), nn.Sequential(nn.BatchNorm2d(8), nn.ReLU()))
    need(number(fn(nested)) == 408, "modules inside modules should count too")
    nested[0].requires_grad_(False)
    need(number(fn(nested)) == 16, "a frozen parameter (requires_grad False) is not trained: leave it out")
    need(number(fn(nn.ReLU())) == 0, "a module without parameters should give 0")


@check("a kernel adds (kernel - 1) steps of the size that all strides before it have made.")
def check_receptive_field(fn: Answer) -> None:
    """fn(layers: list of (kernel, stride), first layer first) -> int, in input pixels."""
    need(number(fn([(3, 1)])) == 3, "one 3 x 3 layer sees 3 pixels")
    need(
        number(fn([(4, 2)])) == 4,
        "one layer sees its kernel, whatever its stride: the stride acts on later layers",
    )
    need(number(fn([(3, 1), (3, 1)])) == 5, "two 3 x 3 layers with stride 1 see 5 pixels")
    need(
        number(fn([(3, 2), (3, 1)])) == 7,
        "after a stride of 2, each step of the next kernel is 2 input pixels wide",
    )
    need(number(fn([(3, 1), (3, 2)])) == 5, "order matters: list the first layer first")
    need(
        number(fn([(4, 2), (4, 2), (4, 2), (4, 1)])) == 46, "the strides multiply: steps of 1, 2, 4, 8 pixels"
    )
    need(number(fn([(5, 2), (1, 1), (1, 1)])) == 5, "a 1 x 1 layer sees no more than what lies below it")


@check("padding adds on both sides, and a kernel that does not fit any more is dropped.")
def check_output_size(fn: Answer) -> None:
    """fn(size, kernel, stride, padding) -> int: side of a convolution's output."""
    cases = [
        (256, 4, 2, 1),
        (32, 4, 1, 1),
        (31, 4, 1, 1),
        (7, 3, 1, 0),
        (8, 3, 2, 0),
        (9, 4, 2, 1),
        (5, 1, 1, 0),
    ]
    for size, kernel, stride, padding in cases:
        truth = nn.Conv2d(1, 1, kernel, stride, padding)(torch.zeros(1, 1, size, size)).shape[-1]
        said = number(fn(size, kernel, stride, padding))
        need(
            said == truth,
            f"size {size}, kernel {kernel}, stride {stride}, padding {padding}: torch gives {truth}, you {said:g}",
        )


@check("the squares stay where the augmentation moved them, and their borders are sharp again.")
def check_sharp_batch(fn: Answer) -> None:
    """fn(batch with a soft mask, fill) -> Batch with the same images, its mask 0 or 1, masked by that mask."""
    values = preset("paper", "lite", mask_before_resize=True)
    for fill in (-1.0, 0.0):
        soft = make_batch(texture(4, size=values.size), values, torch.Generator().manual_seed(1))
        image, mask = soft.image.clone(), soft.mask.clone()
        found = fn(soft, fill)
        need(isinstance(found, Batch), "give a Batch: image, masked and mask")
        need(
            torch.equal(found.image, image),
            "the images are what the network should restore: leave them alone",
        )
        need(
            set(found.mask.unique().tolist()) == {0.0, 1.0}, "a sharp mask holds 0 and 1 and nothing between"
        )
        need(
            ((found.mask - mask).abs() <= 0.5).all(),
            "each pixel should go to the nearer of 0 and 1, so that the squares stay where they are",
        )
        need(
            torch.equal(found.masked, masks.apply(image, found.mask, fill)),
            "make the masked image from the image and the sharp mask; the old one still has soft borders",
        )
