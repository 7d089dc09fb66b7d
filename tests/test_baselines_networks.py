"""What is special to one of the compared networks: its parts, windows, weights, masks and errors."""

from __future__ import annotations

import pytest
import torch
from baselines_images import images
from torch.nn import functional

from upcrack_lite import masks
from upcrack_lite.baselines import base, blocks, deepcrack19, lawin, riad, scadn
from upcrack_lite.baselines.enet import ENet
from upcrack_lite.baselines.registry import network as method

SMALL = 0.125  # width of the networks here


def small(name: str) -> base.Supervised:
    """A narrow network with seeded weights."""
    torch.manual_seed(0)
    return method(name).build(SMALL)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Values in [-1, 1]."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


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


@pytest.mark.parametrize("ratio", lawin.RATIOS)
def test_lawin_answers_as_one_window_after_another_would(ratio):
    """The module pools the map once and cuts afterwards; here each context is cut first, then pooled and asked."""
    size, n, channels = lawin.WINDOW, 2, 128
    torch.manual_seed(0)
    one = lawin.WindowAttention(channels, ratio).eval()
    torch.nn.init.normal_(one.mixing, std=0.1)
    torch.nn.init.normal_(one.mixing_bias, std=0.1)
    x = noise(1, channels, size * n, size * n)
    around = functional.pad(x, (size * (ratio - 1) // 2,) * 4)
    wanted = torch.empty_like(x)
    with torch.no_grad():
        for i in range(n):
            for j in range(n):
                context = around[..., i * size :, j * size :][..., : ratio * size, : ratio * size]
                pooled = (functional.max_pool2d(context, ratio) + functional.avg_pool2d(context, ratio)) / 2
                context = one.norm(pooled).reshape(channels, -1)  # (C, 64)
                parts = [
                    part + part @ matrix.T + bias[:, 0]
                    for part, matrix, bias in zip(
                        context.chunk(one.heads), one.mixing, one.mixing_bias, strict=True
                    )
                ]
                key, value = one.answer(torch.cat(parts).reshape(1, channels, size, size))[0].chunk(2)
                window = x[..., i * size : (i + 1) * size, j * size : (j + 1) * size]
                found = []
                for q, k, v in zip(
                    *(part.flatten(1).chunk(one.heads) for part in (one.ask(window)[0], key, value)),
                    strict=True,
                ):
                    share = (q.T @ k / len(q) ** 0.5).softmax(
                        dim=1
                    )  # (64, 64): of each position for each pixel
                    found.append(v @ share.T)
                answer = window + one.leave(torch.cat(found).reshape(1, -1, size, size))
                wanted[..., i * size : (i + 1) * size, j * size : (j + 1) * size] = answer
        torch.testing.assert_close(one(x), wanted, atol=1e-5, rtol=1e-4)


def test_deepcrack19_weighs_as_two_classes_under_softmax_do():
    network = deepcrack19.DeepCrack19(0.125)
    two = noise(6, 2, 2, 8, 8) * 3  # road and crack logits
    crack_mask = (noise(2, 1, 8, 8, seed=1) > 0.5).float()
    terms = [functional.cross_entropy(one, crack_mask[:, 0].long(), torch.tensor([0.03, 1.0])) for one in two]
    wanted = sum(a * term for a, term in zip((1, 0.5, 0.75, 1, 0.75, 0.5), terms, strict=True))
    one_logit = [one[:, 1:] - one[:, :1] for one in two]
    torch.testing.assert_close(network.loss(one_logit, crack_mask), wanted)


def test_unpooling_puts_values_where_the_library_puts_them():
    x = noise(2, 3, 8, 12)
    small, where = functional.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(blocks.unpool(small, where), functional.max_unpool2d(small, where, 2))


def test_riad_restores_each_pixel_without_having_seen_it():
    class Copy(riad.Riad):
        def restore(self, masked):
            return masked

    found = Copy(0.125).all_restored(images(1), 8, torch.Generator().manual_seed(0))
    assert (found == riad.HOLE).all()


def test_scadn_errors_are_those_in_the_holes():
    class White(scadn.Scadn):
        def restore(self, masked):
            return masked

    image = images(1)
    errors = White(0.125).errors(image)
    # Every pixel is a hole of some mask of each width, and there the masked image is white.
    wanted = ((1 - scadn.unit(image)) ** 2).mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(errors, wanted)


def test_scadn_chooses_the_width_that_stands_out_from_its_usual_error():
    network = small("scadn").eval()
    image = images(2)
    with torch.no_grad():
        errors = network.errors(image)
        network.calibrate([image])
        torch.testing.assert_close(network.usual, errors.mean(dim=(0, 2, 3)))
        for width in range(scadn.WIDTHS):
            network.usual.fill_(1.0)
            network.usual[width] = 0.0
            torch.testing.assert_close(network.score_map(image), errors[:, width : width + 1].sqrt())
    assert "usual" in network.state_dict()


def test_scadn_gives_each_network_its_own_gradients():
    network = small("scadn")
    image = images(2)
    kept = masks.striped(2, 64, torch.Generator().manual_seed(0))
    terms = network.losses(image, torch.Generator().manual_seed(0))
    judge, restorer = list(network.discriminator.parameters()), list(network.generator.parameters())
    gradients = torch.autograd.grad(terms["total"], judge + restorer, retain_graph=True)
    alone = torch.autograd.grad(terms["discriminator"], judge, retain_graph=True)
    torch.testing.assert_close(gradients[: len(judge)], alone)
    assert torch.autograd.grad(terms["discriminator"], restorer, retain_graph=True, allow_unused=True) == (
        (None,) * len(restorer)
    )
    assert torch.autograd.grad(terms["adversarial"], restorer, retain_graph=True)[0].abs().sum() > 0
    with torch.no_grad():
        squared = ((network.restore(masks.apply(image, kept, 1.0)) - image) / 2) ** 2
    wanted = ((squared * kept).mean() + 4 * (squared * (1 - kept)).mean()) / 0.5
    torch.testing.assert_close(terms["mse"].detach(), wanted)
    groups = network.optimizer(1e-4, 0.0).param_groups
    assert [group["lr"] for group in groups] == [1e-4, 1e-5]
    assert [len(group["params"]) for group in groups] == [len(restorer), len(judge)]
