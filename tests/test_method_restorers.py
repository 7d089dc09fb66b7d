"""What is special to SCADN and RIAD: their masks, errors and discriminator."""

from __future__ import annotations

import torch
from method_images import images

from upcrack_lite import masks
from upcrack_lite.baselines import riad, scadn


def small_scadn() -> scadn.Scadn:
    torch.manual_seed(0)
    return scadn.Scadn(0.125)


def test_riad_restores_each_pixel_without_having_seen_it():
    class Copy(riad.Riad):
        def restore(self, masked, mask=None):
            return masked

    found = Copy(0.125).all_restored(images(1), 8, torch.Generator().manual_seed(0))
    assert (found == riad.HOLE).all()


def test_scadn_errors_are_those_in_the_holes():
    class White(scadn.Scadn):
        def restore(self, masked, mask=None):
            return masked

    image = images(1)
    errors = White(0.125).errors(image)
    # Every pixel is a hole of some mask of each width, and there the masked image is white.
    wanted = ((1 - scadn.unit(image)) ** 2).mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(errors, wanted)


def test_scadn_chooses_the_width_that_stands_out_from_its_usual_error():
    network = small_scadn().eval()
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
    network = small_scadn()
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
    groups = network.optimizer().param_groups
    assert [group["lr"] for group in groups] == [1e-4, 1e-5]
    assert [len(group["params"]) for group in groups] == [len(restorer), len(judge)]
